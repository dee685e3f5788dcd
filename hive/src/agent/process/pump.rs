//! Lines between the hive and one program, on a thread that owns the program and sees to its end.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::error::HiveError;
use crate::lock::lock;

/// What a program may cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The longest line, in bytes.
    pub(super) line: usize,
    /// How long it may go on after it was told to stop.
    pub(super) stop_within: Duration,
}

/// So many lines wait to be looked at, or so many bytes of them; then the program has to wait.
const LINES: usize = 64;
const BYTES: usize = 1 << 20;
/// So much may wait to be read by the program; then its own lines have to wait.
const UNREAD: usize = 1 << 20;
/// So often is read before it is looked whether there is a reason to end.
const READS: usize = 16;
/// How often a program is looked at of which the system does not tell when it ends.
const LOOK: Duration = Duration::from_millis(50);
/// How long a program that has closed its output may take to end.
const END: Duration = Duration::from_secs(1);

/// The hive's ends of the pipes to a program. Dropping it kills the program.
pub(super) struct Pipes {
    shared: Arc<Mutex<Shared>>,
    wake: UnixStream,
}

struct Shared {
    /// What the program has written, in whole lines.
    lines: VecDeque<Vec<u8>>,
    /// How many bytes that is.
    bytes: usize,
    /// What it has not read yet.
    unread: VecDeque<u8>,
    /// Why nothing more comes.
    ended: Option<String>,
    /// Who waits for a line.
    waiting: Option<Waker>,
    /// By when it must have said something.
    answer_by: Option<(Instant, Duration)>,
    end: Option<End>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Once it has read everything, and had some time.
    Soon,
    Now,
}

impl Shared {
    fn is_room(&self) -> bool {
        self.lines.len() < LINES && self.bytes < BYTES
    }
}

impl Pipes {
    /// Starts a program; `start` gives the pump a thread.
    pub(super) fn open(
        command: &mut Command,
        limits: Limits,
        start: impl FnOnce(Pump) -> Result<(), HiveError>,
    ) -> io::Result<Pipes> {
        let (wake, woken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let mut child = command.process_group(0).spawn()?;
        let shared = Arc::new(Mutex::new(Shared {
            lines: VecDeque::new(),
            bytes: 0,
            unread: VecDeque::new(),
            ended: None,
            waiting: None,
            answer_by: None,
            end: None,
        }));
        let (input, output) = (child.stdin.take(), child.stdout.take());
        // What fails from here on drops the pump, which ends the program.
        let pump = Pump {
            exit: exit_of(&child),
            child,
            input,
            output,
            woken,
            partial: Vec::new(),
            left: None,
            stop_by: None,
            limits,
            shared: Arc::clone(&shared),
        };
        for pipe in [pump.input.as_ref().map(AsFd::as_fd), pump.output.as_ref().map(AsFd::as_fd)] {
            rustix::io::ioctl_fionbio(pipe.ok_or(ErrorKind::BrokenPipe)?, true)?;
        }
        start(pump).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Pipes { shared, wake })
    }

    /// Sends a line, which ends with a newline.
    pub(super) fn send(&self, line: &[u8]) {
        lock(&self.shared).unread.extend(line);
        self.wake_pump();
    }

    /// The next line; an error says why there is none any more.
    pub(super) fn poll_line(&self, context: &mut Context<'_>) -> Poll<Result<Vec<u8>, String>> {
        let mut shared = lock(&self.shared);
        let may_answer = shared.unread.len() <= UNREAD;
        let was_full = !shared.is_room();
        if may_answer && let Some(line) = shared.lines.pop_front() {
            shared.bytes -= line.len();
            drop(shared);
            if was_full {
                self.wake_pump();
            }
            return Poll::Ready(Ok(line));
        }
        if let Some(reason) = &shared.ended {
            return Poll::Ready(Err(reason.clone()));
        }
        shared.waiting = Some(context.waker().clone());
        Poll::Pending
    }

    /// Whether the program is no more; it is ready then.
    pub(super) fn poll_end(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut shared = lock(&self.shared);
        if shared.ended.is_some() {
            return Poll::Ready(());
        }
        // Nobody looks at what it still says.
        shared.lines.clear();
        shared.bytes = 0;
        shared.waiting = Some(context.waker().clone());
        drop(shared);
        self.wake_pump();
        Poll::Pending
    }

    /// Ends the program if it does not say anything for so long.
    pub(super) fn answer_within(&self, time: Duration) {
        lock(&self.shared).answer_by = Instant::now().checked_add(time).map(|by| (by, time));
        self.wake_pump();
    }

    /// Sends a last line, and ends the program once it has had some time. At once, as it may act upon the line before anything else is done.
    pub(super) fn end_soon(&self, line: &[u8]) {
        {
            let mut shared = lock(&self.shared);
            shared.unread.extend(line);
            shared.end.get_or_insert(End::Soon);
        }
        self.wake_pump();
    }

    fn wake_pump(&self) {
        // If there is no room, it is awake already; if there is nobody, there is nobody to wake.
        let _ = (&self.wake).write(&[1]);
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        lock(&self.shared).end = Some(End::Now);
        self.wake_pump();
    }
}

/// Carries lines until there is a reason to end.
pub(super) struct Pump {
    child: Child,
    /// Becomes readable when the program ends, where the system has such a thing.
    exit: Option<OwnedFd>,
    input: Option<ChildStdin>,
    output: Option<ChildStdout>,
    woken: UnixStream,
    /// The beginning of a line.
    partial: Vec<u8>,
    /// Once it has ended: how much of what is in its pipe was there by then.
    left: Option<u64>,
    /// Once it was told to stop: by when it must have ended, if ever.
    stop_by: Option<Option<Instant>>,
    limits: Limits,
    shared: Arc<Mutex<Shared>>,
}

/// Why a program is ended.
enum Why {
    Exited,
    OutputClosed,
    TooLong(usize),
    Silent(Duration),
    /// It was told to stop.
    Stopped,
    Failed(io::Error),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Exited => f.write_str("its program has ended"),
            Why::OutputClosed => f.write_str("its program has closed its output"),
            Why::TooLong(most) => write!(
                f,
                "its program has written a line of more than {most} bytes: write shorter ones, or allow longer ones with \
                 `Program::max_line`"
            ),
            Why::Silent(time) => write!(f, "its program has not said hello within {time:?}"),
            Why::Stopped => f.write_str("its program was told to end"),
            Why::Failed(error) => write!(f, "its program could not be talked to: {error}"),
        }
    }
}

impl Pump {
    pub(super) fn run(mut self) {
        let why = self.carry().unwrap_or_else(Why::Failed);
        if matches!(why, Why::OutputClosed) {
            let soon = Instant::now() + END;
            self.wait_for_exit(self.stop_by.unwrap_or(Some(soon)));
        }
        let status = self.finish();
        let reason = match status {
            Ok(status) => format!("{why} ({status})"),
            Err(error) => format!("{why} ({error})"),
        };
        self.tell_end(reason);
    }

    fn tell_end(&self, reason: String) {
        let waiting = {
            let mut shared = lock(&self.shared);
            shared.ended.get_or_insert(reason);
            shared.waiting.take()
        };
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }

    /// Carries lines until there is a reason not to.
    fn carry(&mut self) -> io::Result<Why> {
        loop {
            let mut woken = None;
            let (wants_input, may_output, deadline) = {
                let mut shared = lock(&self.shared);
                match shared.end {
                    Some(End::Now) => return Ok(Why::Stopped),
                    Some(End::Soon) if self.stop_by.is_none() => {
                        // A time that no clock reaches is no limit.
                        self.stop_by = Some(Instant::now().checked_add(self.limits.stop_within));
                    }
                    _ => {}
                }
                if self.input.is_none() && !shared.unread.is_empty() {
                    shared.unread.clear();
                    // Whoever waited for it to be read waits no more.
                    woken = shared.waiting.take();
                } else if shared.end.is_some() && shared.unread.is_empty() {
                    // The end of its input tells it as well.
                    self.input = None;
                }
                let answer_by = shared.answer_by.map(|(by, _)| by);
                let is_room = shared.is_room();
                let stop_by = self.stop_by.flatten();
                let deadline = stop_by.into_iter().chain(answer_by).min();
                (!shared.unread.is_empty(), is_room, deadline)
            };
            if let Some(waiting) = woken {
                waiting.wake();
            }
            let now = Instant::now();
            if self.stop_by.flatten().is_some_and(|by| by <= now) {
                return Ok(Why::Stopped);
            }
            if let Some((by, time)) = lock(&self.shared).answer_by
                && by <= now
            {
                return Ok(Why::Silent(time));
            }
            let time = deadline.map(|by| by.saturating_duration_since(now));
            // Its end is of interest once there is room for all that it wrote.
            let wants_exit = may_output && self.left.is_none();
            let ready = self.wait(wants_input, may_output, wants_exit, time)?;
            if ready.woken {
                self.sleep_again()?;
            }
            if ready.input {
                self.write()?;
            }
            if ready.output
                && let Some(why) = self.read()?
            {
                return Ok(why);
            }
            if may_output && self.left.is_none() && self.has_exited(ready.exited) {
                // What others that it has started still write is not waited for.
                let in_pipe = self.output.as_ref().map(rustix::io::ioctl_fionread);
                self.left = in_pipe.transpose()?;
            }
            if self.left == Some(0) {
                return Ok(Why::Exited);
            }
        }
    }

    /// Waits until there is something to do.
    fn wait(
        &self,
        input: bool,
        output: bool,
        exit: bool,
        time: Option<Duration>,
    ) -> io::Result<Ready> {
        let mut pipes = vec![PollFd::new(&self.woken, PollFlags::IN)];
        let mut add = |pipe, flags| {
            pipes.push(PollFd::from_borrowed_fd(pipe, flags));
            pipes.len() - 1
        };
        let exit = self.exit.as_ref().filter(|_| exit);
        let exit = exit.map(|exit| add(exit.as_fd(), PollFlags::IN));
        let output = self.output.as_ref().filter(|_| output);
        let output = output.map(|pipe| add(pipe.as_fd(), PollFlags::IN));
        let input = self.input.as_ref().filter(|_| input);
        let input = input.map(|pipe| add(pipe.as_fd(), PollFlags::OUT));
        let time = match self.exit {
            Some(_) => time,
            None => Some(time.unwrap_or(LOOK).min(LOOK)),
        };
        let time = time.map(|time| Timespec {
            tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: time.subsec_nanos().into(),
        });
        match poll(&mut pipes, time.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_ready =
            |place: Option<usize>| place.is_some_and(|place| !pipes[place].revents().is_empty());
        Ok(Ready {
            woken: is_ready(Some(0)),
            exited: is_ready(exit),
            output: is_ready(output),
            input: is_ready(input),
        })
    }

    fn sleep_again(&mut self) -> io::Result<()> {
        let mut bytes = [0; 64];
        loop {
            match self.woken.read(&mut bytes) {
                // Nobody is there to wake it any more, and has said so.
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives the program what it has not read, as far as there is room.
    fn write(&mut self) -> io::Result<()> {
        let Some(input) = &mut self.input else { return Ok(()) };
        let mut shared = lock(&self.shared);
        let before = shared.unread.len();
        let written = match input.write(shared.unread.as_slices().0) {
            Ok(written) => written,
            Err(error) if is_later(&error) => 0,
            // It reads no more: what it does otherwise counts all the same.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.input = None;
                before
            }
            Err(error) => return Err(error),
        };
        shared.unread.drain(..written);
        let is_below = before > UNREAD && shared.unread.len() <= UNREAD;
        let waiting = if is_below { shared.waiting.take() } else { None };
        drop(shared);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
        Ok(())
    }

    /// Reads what the program has written, until there is nothing more or too much.
    fn read(&mut self) -> io::Result<Option<Why>> {
        let mut bytes = [0; 16 * 1024];
        for _ in 0..READS {
            let Some(output) = &mut self.output else { return Ok(Some(Why::OutputClosed)) };
            let read = match output.read(&mut bytes) {
                Ok(0) => return Ok(Some(Why::OutputClosed)),
                Ok(read) => read,
                Err(error) if is_later(&error) => return Ok(None),
                Err(error) => return Err(error),
            };
            self.left = self.left.map(|left| left.saturating_sub(read as u64));
            let is_room = match self.take(&bytes[..read]) {
                Ok(is_room) => is_room,
                Err(why) => return Ok(Some(why)),
            };
            if !is_room {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Takes bytes in; says whether there is room for more.
    fn take(&mut self, mut bytes: &[u8]) -> Result<bool, Why> {
        let mut lines = Vec::new();
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.partial);
            if line.len() > self.limits.line {
                return Err(Why::TooLong(self.limits.line));
            }
            lines.push(line);
        }
        self.partial.extend_from_slice(bytes);
        if self.partial.len() > self.limits.line {
            return Err(Why::TooLong(self.limits.line));
        }
        let mut shared = lock(&self.shared);
        let waiting = if lines.is_empty() { None } else { shared.waiting.take() };
        if !lines.is_empty() {
            // It has said something in time, whenever somebody looks at it.
            shared.answer_by = None;
        }
        shared.bytes += lines.iter().map(Vec::len).sum::<usize>();
        shared.lines.extend(lines);
        let is_room = shared.is_room();
        drop(shared);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
        Ok(is_room)
    }

    /// Whether the program has ended. It is not waited for, so that nobody else gets its number.
    fn has_exited(&self, is_told: bool) -> bool {
        if !is_told && self.exit.is_some() {
            return false;
        }
        let looked = waitid(WaitId::Pid(Pid::from_child(&self.child)), LOOKING);
        !matches!(looked, Ok(None))
    }

    /// Waits for the program to end by itself, unless somebody wants it ended.
    fn wait_for_exit(&mut self, deadline: Option<Instant>) {
        self.output = None;
        loop {
            let left = deadline.map(|by| by.saturating_duration_since(Instant::now()));
            let is_unwanted = lock(&self.shared).end == Some(End::Now);
            if left == Some(Duration::ZERO) || is_unwanted || self.has_exited(true) {
                return;
            }
            if self.wait(false, false, true, left).is_err() || self.sleep_again().is_err() {
                return;
            }
        }
    }

    /// Ends the program, and all that it has started and left in its group.
    fn finish(&mut self) -> io::Result<ExitStatus> {
        (self.input, self.output) = (None, None);
        let pid = Pid::from_child(&self.child);
        // If others wait for the children of this process, the number may be somebody else's by now.
        if waitid(WaitId::Pid(pid), LOOKING).is_ok() {
            // An error says that nobody is left.
            let _ = kill_process_group(pid, Signal::KILL);
        }
        // It may have left the group.
        let _ = self.child.kill();
        lock(&self.shared).end = None;
        self.wait_for_exit(Some(Instant::now() + END));
        match self.child.try_wait()? {
            Some(status) => Ok(status),
            None => Err(io::Error::other("it cannot be killed")),
        }
    }
}

/// Looks at the end of a program, and leaves it to others to wait for it.
const LOOKING: WaitIdOptions =
    WaitIdOptions::EXITED.union(WaitIdOptions::NOWAIT).union(WaitIdOptions::NOHANG);

impl Drop for Pump {
    fn drop(&mut self) {
        // Once it was waited for, this does nothing.
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            drop(self.finish());
        }
        // Whatever has happened, nobody waits for ever.
        self.tell_end("its program is lost".to_owned());
    }
}

/// What can be done without waiting.
struct Ready {
    woken: bool,
    exited: bool,
    output: bool,
    input: bool,
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// What tells when a program ends.
#[cfg(target_os = "linux")]
fn exit_of(child: &Child) -> Option<OwnedFd> {
    use rustix::process::{PidfdFlags, pidfd_open};
    pidfd_open(Pid::from_child(child), PidfdFlags::empty()).ok()
}

#[cfg(not(target_os = "linux"))]
fn exit_of(_: &Child) -> Option<OwnedFd> {
    None
}
