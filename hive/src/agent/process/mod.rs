//! Agents that are programs of their own, in any language: they speak JSON lines, as `docs/PROTOCOL.md` says.
//!
//! `pump` carries lines between the hive and one program, on a thread of its own, and ends the program; `protocol` is what programs say and `told` what they are told; `remote` is the agent that the hive sees.

mod protocol;
mod pump;
mod remote;
mod told;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::AgentError;
use super::away::Made;
use super::reference::AgentRef;
use super::runtime::Runtime;
use super::spawn::Spawn;
use super::supervisor::{SpawnError, Supervisor};
use crate::id::AgentId;
use pump::{Limits, Pipes};
use remote::Remote;

pub use protocol::VERSION as PROTOCOL_VERSION;

/// A program that is an agent: how it is started, and what is asked of it.
///
/// It runs in a process group of its own, which is killed as a whole when the agent is ended, hangs, or breaks the protocol. Its errors go where those
/// of this process go. See `docs/PROTOCOL.md` in the repository.
///
/// ```
/// use queenright::{Hive, Program, Spawn, Supervision};
///
/// let hive = Hive::builder().build()?;
/// let supervisor = hive.supervisor(Supervision::default())?;
/// let script = r#"
///     echo '{"type":"hello","protocol":1}'
///     read welcome; read run
///     echo '{"type":"propose","set":{"greeting":"hello"},"next":"done"}'
///     read stop
/// "#;
/// let program = Program::new("sh").arg("-c").arg(script);
/// supervisor.spawn_process("greeter", Spawn::default(), program)?.join();
/// assert_eq!(hive.snapshot().get("greeting"), Some(&"hello".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Program {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
    is_quiet: bool,
    hello_within: Duration,
    limits: Limits,
}

impl Program {
    /// The program of this name or path; a name is looked for as a shell does.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Program {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            folder: None,
            is_quiet: false,
            hello_within: Duration::from_secs(10),
            limits: Limits { line: 1 << 20, stop_within: Duration::from_secs(2) },
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets a variable of its environment, which is this process's otherwise. `QUEENRIGHT_AGENT` holds the agent's name.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// The folder in which it runs. Default: this process's.
    #[must_use]
    pub fn current_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Drops what it writes to its standard error.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.is_quiet = true;
        self
    }

    /// How long it may take to say hello. Default: 10 seconds.
    #[must_use]
    pub fn hello_within(mut self, time: Duration) -> Self {
        self.hello_within = time;
        self
    }

    /// How long it may go on after it was told to stop, before it is killed. Default: 2 seconds.
    #[must_use]
    pub fn stop_within(mut self, time: Duration) -> Self {
        self.limits.stop_within = time;
        self
    }

    /// The longest line that it may write, in bytes; a longer one ends it. Default: 1 MiB.
    #[must_use]
    pub fn max_line(mut self, bytes: usize) -> Self {
        self.limits.line = bytes;
        self
    }

    fn start(&self, id: &AgentId, runtime: &Arc<Runtime>) -> Result<Made, AgentError> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env("QUEENRIGHT_AGENT", id.as_str());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(if self.is_quiet { Stdio::null() } else { Stdio::inherit() });
        let pipes = Pipes::open(&mut command, self.limits, |pump| {
            runtime.spawn_thread("queenright-process", || pump.run())
        });
        let pipes = pipes.map_err(|error| {
            AgentError::new(format!("`{}` could not be started: {error}", self.program.display()))
        })?;
        Ok(Made::Coming(Box::pin(Remote::meet(pipes, id.clone(), self.hello_within))))
    }
}

impl Supervisor {
    /// Starts a program as an agent, now and whenever the agent is started again, and waits until it has said hello.
    ///
    /// # Errors
    /// [`SpawnError::Failed`] if there is no such program, or it says something else or nothing; then nothing is left of it.
    pub fn spawn_process(
        &self,
        name: impl Into<AgentId>,
        spawn: Spawn,
        program: Program,
    ) -> Result<AgentRef, SpawnError> {
        let (id, runtime) = (name.into(), self.runtime.clone());
        let named = id.clone();
        let make = move || {
            let runtime = runtime.upgrade().ok_or_else(|| AgentError::new("the hive is gone"))?;
            program.start(&named, &runtime)
        };
        let agent = self.begin(id, &spawn, Box::new(make))?;
        agent.ready()?;
        Ok(agent)
    }
}
