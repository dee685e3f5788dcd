//! Agents that wait for other things than their hive: for answers over a network, for timers, for files.

use std::future::Future;

use queenright_primitives::schedule::Class;

use super::away::{Answered, Away, Going, Made, Ran, Voted};
use super::reference::AgentRef;
use super::spawn::{Place, Spawn};
use super::supervisor::{SpawnError, Supervisor};
use super::{AgentError, Context, Next, View, drop_guarded};
use crate::consensus::{OpenBallot, Vote};
use crate::id::AgentId;
use crate::outcome::Outcome;
use crate::value::Value;

/// An [`Agent`](super::Agent) whose runs may wait without holding up a thread.
///
/// Its futures are polled on the hive's own threads, so that it needs no runtime; with the feature `tokio`
/// [`Spawn::on_tokio`] lets them run on one, as whatever uses its timers or sockets has to.
///
/// # Cancel safety
/// A run is dropped where it awaits when its agent is killed or [hangs](Spawn::hang_after): nothing that it wrote is proposed then.
///
/// ```
/// use queenright::{AgentError, AsyncAgent, Hive, Next, Spawn, Supervision, View};
///
/// struct Greeter;
///
/// impl AsyncAgent for Greeter {
///     async fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
///         let name = std::future::ready("world").await;
///         view.set("greeting", format!("hello, {name}"))?;
///         Ok(Next::Done)
///     }
/// }
///
/// let hive = Hive::builder().build()?;
/// let supervisor = hive.supervisor(Supervision::default())?;
/// supervisor.spawn_async("greeter", Spawn::default(), || Ok(Greeter))?.join();
/// assert_eq!(hive.snapshot().get("greeting"), Some(&"hello, world".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait AsyncAgent: Send + 'static {
    /// How urgent its proposals are.
    fn class(&self) -> Class {
        Class::Normal
    }

    /// As [`Agent::run`](super::Agent::run).
    ///
    /// # Errors
    /// As there.
    fn run(&mut self, view: &mut View) -> impl Future<Output = Result<Next, AgentError>> + Send;

    /// As [`Agent::outcome`](super::Agent::outcome).
    fn outcome(&mut self, outcome: &Outcome) -> impl Future<Output = ()> + Send {
        let _ = outcome;
        async {}
    }

    /// As [`Agent::message`](super::Agent::message).
    ///
    /// # Errors
    /// As there.
    fn message(
        &mut self,
        message: Value,
        context: &mut Context,
    ) -> impl Future<Output = Result<Value, AgentError>> + Send {
        let _ = (message, context);
        async { Err(AgentError::takes_no_messages()) }
    }

    /// As [`Agent::vote`](super::Agent::vote).
    ///
    /// # Errors
    /// As there.
    fn vote(
        &mut self,
        ballot: &OpenBallot,
        context: &mut Context,
    ) -> impl Future<Output = Result<Option<Vote>, AgentError>> + Send {
        let _ = (ballot, context);
        async { Ok(None) }
    }
}

impl Supervisor {
    /// As [`spawn`](Self::spawn), for an agent that waits for other things.
    ///
    /// # Errors
    /// As there.
    pub fn spawn_async<A: AsyncAgent>(
        &self,
        name: impl Into<AgentId>,
        spawn: Spawn,
        mut make: impl FnMut() -> Result<A, AgentError> + Send + 'static,
    ) -> Result<AgentRef, SpawnError> {
        let place = spawn.place.clone();
        let make = move || {
            let agent = place.within(&mut make)?;
            let agent = Waiting { agent: Some(agent), place: place.clone() };
            Ok(Made::Away(Box::new(agent)))
        };
        let agent = self.begin(name.into(), &spawn, Box::new(make))?;
        agent.ready()?;
        Ok(agent)
    }
}

/// An agent, and where it waits.
struct Waiting<A> {
    /// It is there until this is dropped.
    agent: Option<A>,
    place: Place,
}

impl<A> Waiting<A> {
    fn agent(&mut self) -> &mut A {
        self.agent.as_mut().expect("it is there until this is dropped")
    }
}

impl<A> Drop for Waiting<A> {
    fn drop(&mut self) {
        let agent = self.agent.take();
        self.place.within(|| drop(agent));
    }
}

impl<A: AsyncAgent> Away for Waiting<A> {
    fn class(&self) -> Class {
        let class = || self.agent.as_ref().map(AsyncAgent::class);
        self.place.within(class).unwrap_or_default()
    }

    fn run(mut self: Box<Self>, mut view: View) -> Going<Ran> {
        self.place.clone().run(async move {
            let ran = self.agent().run(&mut view).await;
            (self as Box<dyn Away>, view, ran)
        })
    }

    fn outcome(mut self: Box<Self>, outcome: Outcome) -> Going<Box<dyn Away>> {
        self.place.clone().run(async move {
            self.agent().outcome(&outcome).await;
            self as Box<dyn Away>
        })
    }

    fn message(mut self: Box<Self>, message: Value, mut context: Context) -> Going<Answered> {
        self.place.clone().run(async move {
            let told = self.agent().message(message, &mut context).await;
            (self as Box<dyn Away>, told)
        })
    }

    fn vote(mut self: Box<Self>, ballot: OpenBallot, mut context: Context) -> Going<Voted> {
        self.place.clone().run(async move {
            let voted = self.agent().vote(&ballot, &mut context).await;
            (self as Box<dyn Away>, voted)
        })
    }

    fn stop(self: Box<Self>) -> Going<()> {
        Box::pin(async move { drop_guarded(self) })
    }
}

impl Place {
    /// Runs something where the agent's timers and sockets are found.
    fn within<R>(&self, run: impl FnOnce() -> R) -> R {
        match self {
            Place::Hive => run(),
            #[cfg(feature = "tokio")]
            Place::Tokio(runtime) => {
                let _entered = runtime.enter();
                run()
            }
        }
    }

    fn run<T: Send + 'static>(self, future: impl Future<Output = T> + Send + 'static) -> Going<T> {
        match self {
            Place::Hive => Box::pin(future),
            #[cfg(feature = "tokio")]
            Place::Tokio(runtime) => Box::pin(on_tokio::Task(runtime.spawn(future))),
        }
    }
}

#[cfg(feature = "tokio")]
mod on_tokio {
    use std::future::Future;
    use std::panic::resume_unwind;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::task::JoinHandle;

    /// A task that ends when it is not waited for any more.
    pub(super) struct Task<T>(pub(super) JoinHandle<T>);

    impl<T> Future for Task<T> {
        type Output = T;

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
            match Pin::new(&mut self.0).poll(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(back)) => Poll::Ready(back),
                // The agent is gone with it. Whoever polls this catches it.
                Poll::Ready(Err(error)) => match error.try_into_panic() {
                    Ok(panic) => resume_unwind(panic),
                    Err(_) => resume_unwind(Box::new("its tokio runtime was shut down")),
                },
            }
        }
    }

    impl<T> Drop for Task<T> {
        fn drop(&mut self) {
            self.0.abort();
        }
    }
}
