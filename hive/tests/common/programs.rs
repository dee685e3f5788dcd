//! Programs that are agents, and what is seen of them from outside.

// Each test file uses its own part of this.
#![allow(dead_code)]

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use queenright::Program;
use tempfile::TempDir;

use crate::waits::wait_until;

/// A program in shell.
pub(crate) fn sh(script: &str) -> Program {
    Program::new("sh").arg("-c").arg(script).quiet()
}

/// A program in Python, which can speak and listen, and wait at a [`Gate`] that is its argument.
pub(crate) fn python(script: &str) -> Program {
    let before = "import json, sys, os, time, signal, subprocess\n\
        def say(kind, **fields): print(json.dumps({'type': kind, **fields}), flush=True)\n\
        def hear(): return json.loads(sys.stdin.readline())\n\
        def wait(): open(sys.argv[1] + '/begun', 'w').close(); open(sys.argv[1] + '/gate').readline()\n";
    // Its lines begin as far to the right as the first.
    let script = script.trim_start_matches('\n');
    let margin = &script[..script.len() - script.trim_start().len()];
    let lines = script.lines().map(|line| line.strip_prefix(margin).unwrap_or(line));
    let script = lines.collect::<Vec<_>>().join("\n");
    Program::new("python3").arg("-c").arg(format!("{before}{script}")).quiet()
}

/// Where a program waits until the test lets it go on.
pub(crate) struct Gate {
    folder: TempDir,
    /// Open for both sides, so that neither waits for the other to open it.
    gate: File,
}

impl Gate {
    pub(crate) fn new() -> Gate {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("gate");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let gate = OpenOptions::new().read(true).write(true).open(path).unwrap();
        Gate { folder, gate }
    }

    /// What the program gets as its argument.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits until the program waits.
    pub(crate) fn is_reached(&self) {
        let begun = self.file("begun");
        wait_until("the program waits at its gate", || begun.exists());
    }

    /// Lets one through.
    pub(crate) fn open(&self) {
        (&self.gate).write_all(b"\n").unwrap();
    }
}

/// Whether a process is there and has not ended.
pub(crate) fn is_alive(pid: i64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().and_then(|rest| rest.trim().chars().next());
    state.is_some_and(|state| state != 'Z' && state != 'X')
}

pub(crate) fn wait_until_dead(pid: i64) {
    wait_until(&format!("{pid} is dead"), || !is_alive(pid));
}

/// Threads, children and open files of this process.
pub(crate) fn counts() -> [usize; 3] {
    let count = |path: &str| fs::read_dir(path).map_or(0, Iterator::count);
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let children =
        tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("children")).ok());
    let children = children.map(|list| list.split_whitespace().count()).sum();
    [count("/proc/self/task"), children, count("/proc/self/fd")]
}

/// How many processes are there that have this in their environment and have not ended.
pub(crate) fn with_variable(variable: &str) -> usize {
    let processes = fs::read_dir("/proc").unwrap();
    let environments =
        processes.filter_map(|process| fs::read(process.unwrap().path().join("environ")).ok());
    let has =
        |environment: &Vec<u8>| environment.split(|b| *b == 0).any(|v| v == variable.as_bytes());
    environments.filter(has).count()
}
