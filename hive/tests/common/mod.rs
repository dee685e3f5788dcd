//! Folders of manifests, and the command run on them.

// Each test file uses its own part of this.
#![allow(dead_code)]

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value as Json;
use tempfile::TempDir;

/// No run takes nearly as long; one that does hangs.
const HANGS: Duration = Duration::from_secs(120);

/// A temporary folder, in which the command runs.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Folder {
        Folder(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, and the folders above it.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> &Folder {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    /// `FOLDER/pack.toml`, named as its folder, version 1.0.0; the body begins on line 5.
    pub(crate) fn pack(&self, folder: &str, body: &str) -> &Folder {
        self.ranked(folder, "normal", body)
    }

    /// The same with a priority.
    pub(crate) fn ranked(&self, folder: &str, priority: &str, body: &str) -> &Folder {
        let name = folder.rsplit('/').next().unwrap();
        let head = format!("[pack]\nname = {name:?}\nversion = \"1.0.0\"\npriority = {priority:?}");
        self.file(&format!("{folder}/pack.toml"), format!("{head}\n{body}\n"))
    }

    /// `NAME-VERSION/Cargo.toml`; the body begins on line 4.
    pub(crate) fn package(&self, name: &str, version: &str, body: &str) -> &Folder {
        let head = format!("[package]\nname = {name:?}\nversion = {version:?}");
        self.file(&format!("{name}-{version}/Cargo.toml"), format!("{head}\n{body}\n"))
    }

    /// The whole text of a file.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The names directly in it, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// `queenright run ARGS…`, in this folder.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        let args: Vec<&str> = ["run"].iter().chain(args).copied().collect();
        run_in(self.0.path(), &args)
    }

    /// The JSON document of `queenright run . ARGS…`.
    pub(crate) fn report_with(&self, args: &[&str]) -> Json {
        let args: Vec<&str> = [".", "--format", "json"].iter().chain(args).copied().collect();
        self.run(&args).json()
    }

    /// The JSON document of `queenright run .`.
    pub(crate) fn report(&self) -> Json {
        self.report_with(&[])
    }
}

/// What a run of the command left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Standard output, which is one JSON document and nothing else; standard error is empty.
    pub(crate) fn json(&self) -> Json {
        assert_eq!(self.stderr, "", "programs that ask for JSON get all of it there");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// The command, ready to be run in a folder.
pub(crate) fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_queenright"));
    command.current_dir(folder).args(args).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env_remove("CLICOLOR_FORCE");
    command
}

pub(crate) fn run_in(folder: &Path, args: &[&str]) -> Ran {
    finish(command(folder, args).spawn().unwrap())
}

/// Waits for a child and reads what it writes, but not forever.
pub(crate) fn finish(mut child: Child) -> Ran {
    fn text(stream: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut stream) = stream {
                stream.read_to_end(&mut bytes).unwrap();
            }
            sender.send(bytes)
        });
        receiver
    }
    let streams = [text(child.stdout.take()), text(child.stderr.take())];
    // Both streams end when the command does.
    let [stdout, stderr] = streams.map(|stream| match stream.recv_timeout(HANGS) {
        Ok(bytes) => String::from_utf8(bytes).expect("the output is UTF-8"),
        Err(_) => {
            child.kill().unwrap();
            panic!("the command hangs");
        }
    });
    let status = child.wait().unwrap();
    let status = status.code().unwrap_or_else(|| panic!("ended by a signal: {status}\n{stderr}"));
    Ran { status, stdout, stderr }
}

/// The conflict that a loser has about a key.
pub(crate) fn conflict<'j>(report: &'j Json, key: &str, loser: &str) -> &'j Json {
    let all = report["conflicts"].as_array().unwrap();
    let found = all.iter().find(|conflict| conflict["key"] == key && conflict["loser"] == loser);
    found.unwrap_or_else(|| panic!("{loser} has no conflict about {key}: {report:#}"))
}

/// Who lost about a key, in the order of the report.
pub(crate) fn losers<'j>(report: &'j Json, key: &str) -> Vec<&'j str> {
    let all = report["conflicts"].as_array().unwrap();
    let here = all.iter().filter(|conflict| conflict["key"] == key);
    here.map(|conflict| conflict["loser"].as_str().unwrap()).collect()
}
