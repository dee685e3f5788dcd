//! A program, as the hive sees it: an agent that is handed lines and answers with lines, one thing at a time.

use std::future::poll_fn;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use queenright_primitives::schedule::Class;

use super::protocol::{FromProgram, Hello, VERSION, Wanted, Wants};
use super::pump::Pipes;
use super::told::{Asked, ToProgram, Told, Values};
use crate::agent::away::{Answered, Away, Going, Ran, Voted};
use crate::agent::{AgentError, Context, Next, View};
use crate::consensus::{OpenBallot, Vote};
use crate::id::AgentId;
use crate::json::encode;
use crate::outcome::Outcome;
use crate::value::Value;

/// So much of a line is shown when it cannot be read, and so much of a reason is kept.
const SHOWN: usize = 80;
const REASON: usize = 1000;
/// So many lines, and so many bytes of them, are looked at before others have their turn.
const LINES: u32 = 64;
const BYTES: usize = 1 << 18;

pub(super) struct Remote {
    pipes: Pipes,
    class: Class,
    /// What each run brings with it.
    wanted: Wanted,
    wants: Vec<Wants>,
    /// How many lines it has written.
    lines: u64,
    /// What was looked at since others had their turn.
    looked: (u32, usize),
    /// Why it cannot go on.
    broken: Option<String>,
}

impl Remote {
    /// Waits until the program has said hello, and welcomes it.
    pub(super) async fn meet(
        pipes: Pipes,
        id: AgentId,
        within: Duration,
    ) -> Result<Box<dyn Away>, AgentError> {
        pipes.answer_within(within);
        let (class, wanted, wants) = Default::default();
        let mut remote =
            Remote { pipes, class, wanted, wants, lines: 0, looked: (0, 0), broken: None };
        let hello = match remote.next_line().await? {
            FromProgram::Hello(hello) => hello,
            other => return Err(remote.unexpected(&other, "hello")),
        };
        let Hello { protocol, class, keys, under, wants } = hello;
        if protocol != VERSION {
            return Err(AgentError::new(format!(
                "its program speaks version {protocol} of the protocol, and this hive version {VERSION}"
            )));
        }
        if let Some(class) = class {
            remote.class = class.parse().map_err(|_| {
                AgentError::new(format!("its program asks for the class `{class}`: there is none"))
            })?;
        }
        remote.wanted = Wanted { keys, under, peek: false };
        remote.wanted.check().map_err(AgentError::new)?;
        remote.wants = wants;
        remote.tell(&ToProgram::Welcome { protocol: VERSION, agent: id.as_str() });
        Ok(Box::new(remote))
    }

    fn tell(&self, what: &ToProgram<'_>) {
        self.pipes.send(&what.line());
    }

    fn wants(&self, what: Wants) -> bool {
        self.wants.contains(&what)
    }

    async fn next_line(&mut self) -> Result<FromProgram, AgentError> {
        poll_fn(|context| self.poll_line(context)).await.map_err(AgentError::new)
    }

    fn poll_line(&mut self, context: &mut TaskContext<'_>) -> Poll<Result<FromProgram, String>> {
        if self.looked.0 >= LINES || self.looked.1 >= BYTES {
            self.looked = (0, 0);
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let line = ready!(self.pipes.poll_line(context))?;
        self.lines += 1;
        self.looked = (self.looked.0 + 1, self.looked.1 + line.len());
        Poll::Ready(FromProgram::read(&line).map_err(|error| {
            let shown = String::from_utf8_lossy(&line[..line.len().min(SHOWN)]).into_owned();
            format!(
                "line {} of its program is none of the protocol: {error}: {shown:?}",
                self.lines
            )
        }))
    }

    fn unexpected(&self, line: &FromProgram, wanted: &str) -> AgentError {
        let (number, name) = (self.lines, line.name());
        AgentError::new(format!("line {number} of its program is `{name}`, but `{wanted}` was due"))
    }

    async fn run_once(&mut self, view: &mut View) -> Result<Next, AgentError> {
        let values = Values::read(view, &self.wanted).map_err(AgentError::new)?;
        // As many bits as every language can read.
        let random = view.context().random() >> 11;
        let (version, attempt) = (view.version().0, view.context().attempt());
        self.tell(&ToProgram::Run { version, attempt, random, values });
        loop {
            let line = self.next_line().await?;
            view.context().heartbeat();
            match line {
                FromProgram::Heartbeat(_) => {}
                FromProgram::Read(wanted) => match Values::read(view, &wanted) {
                    Ok(values) => {
                        self.tell(&ToProgram::Values { version: view.version().0, values });
                    }
                    Err(reason) => self.tell(&ToProgram::Refused { reason }),
                },
                FromProgram::Propose(proposal) => match proposal.write_to(view) {
                    Ok(next) => return Ok(next),
                    Err(reason) => {
                        view.forget_writes();
                        self.tell(&ToProgram::Refused { reason });
                    }
                },
                FromProgram::Pass(pass) => return Ok(pass.next()),
                FromProgram::Fail(fail) => {
                    let reason: String = fail.reason.chars().take(REASON).collect();
                    return Err(AgentError::new(reason));
                }
                FromProgram::Bye(_) if attempt == 0 => return Ok(Next::Done),
                FromProgram::Bye(_) => {
                    return Err(AgentError::new(
                        "its program said bye, but what it proposed has lost",
                    ));
                }
                other => return Err(self.unexpected(&other, "propose")),
            }
        }
    }

    async fn answer(&mut self, message: &Value, context: &Context) -> Result<Answer, AgentError> {
        if !self.wants(Wants::Message) {
            return Ok(Err(AgentError::takes_no_messages()));
        }
        self.tell(&ToProgram::Message { message: encode(message) });
        loop {
            let line = self.next_line().await?;
            context.heartbeat();
            match line {
                FromProgram::Heartbeat(_) => {}
                FromProgram::Reply(reply) => {
                    let answer = reply.read().map_err(AgentError::new)?;
                    return Ok(answer.map_err(AgentError::new));
                }
                other => return Err(self.unexpected(&other, "reply")),
            }
        }
    }

    async fn ask(
        &mut self,
        ballot: &OpenBallot,
        context: &Context,
    ) -> Result<Option<Vote>, AgentError> {
        if !self.wants(Wants::Ballot) {
            return Ok(None);
        }
        self.tell(&ToProgram::Ballot(Box::new(Asked::of(ballot))));
        loop {
            let line = self.next_line().await?;
            context.heartbeat();
            match line {
                FromProgram::Heartbeat(_) => {}
                FromProgram::Vote(vote) => return Ok(vote.read()),
                other => return Err(self.unexpected(&other, "vote")),
            }
        }
    }
}

/// What a program has answered to a message.
type Answer = Result<Value, AgentError>;

impl Away for Remote {
    fn class(&self) -> Class {
        self.class
    }

    fn run(mut self: Box<Self>, mut view: View) -> Going<Ran> {
        Box::pin(async move {
            let ran = self.run_once(&mut view).await;
            (self as Box<dyn Away>, view, ran)
        })
    }

    fn outcome(self: Box<Self>, outcome: Outcome) -> Going<Box<dyn Away>> {
        if self.wants(Wants::Outcome) {
            self.tell(&ToProgram::Outcome(Told::of(&outcome)));
        }
        Box::pin(std::future::ready(self as Box<dyn Away>))
    }

    fn message(mut self: Box<Self>, message: Value, context: Context) -> Going<Answered> {
        Box::pin(async move {
            let answer = self.answer(&message, &context).await.unwrap_or_else(|error| {
                // Who asked is told, and so is whoever runs it next.
                self.broken = Some(error.to_string());
                Err(error)
            });
            (self as Box<dyn Away>, answer)
        })
    }

    fn vote(mut self: Box<Self>, ballot: OpenBallot, context: Context) -> Going<Voted> {
        Box::pin(async move {
            let voted = self.ask(&ballot, &context).await;
            (self as Box<dyn Away>, voted)
        })
    }

    fn stop(self: Box<Self>) -> Going<()> {
        self.pipes.end_soon(&ToProgram::Stop.line());
        Box::pin(async move { poll_fn(|context| self.pipes.poll_end(context)).await })
    }

    fn has_ended(&mut self, context: &mut TaskContext<'_>) -> Poll<Result<(), String>> {
        if let Some(reason) = self.broken.take() {
            return Poll::Ready(Err(reason));
        }
        loop {
            match ready!(self.poll_line(context)) {
                Ok(FromProgram::Heartbeat(_)) => {}
                Ok(FromProgram::Bye(_)) => return Poll::Ready(Ok(())),
                Ok(other) => {
                    let (number, name) = (self.lines, other.name());
                    let reason =
                        format!("line {number} of its program is `{name}`, but nothing was asked");
                    return Poll::Ready(Err(reason));
                }
                Err(reason) => return Poll::Ready(Err(reason)),
            }
        }
    }
}
