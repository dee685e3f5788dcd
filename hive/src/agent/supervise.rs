//! When agents that failed are started again, and when no more. Without a clock: times are given.

use std::collections::VecDeque;
use std::time::Duration;

/// Who is started again when an agent of a [`Supervisor`](crate::Supervisor) has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// That agent alone.
    #[default]
    OneForOne,
    /// All agents of the supervisor.
    OneForAll,
    /// That agent, and those that were spawned after it.
    RestForOne,
}

/// How the agents of a supervisor are started again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supervision {
    /// Who is.
    pub strategy: Strategy,
    /// So many restarts after failures of one agent within [`within`](Self::within) are made; at the next it is quarantined,
    /// with those whom the strategy would start again with it. Default: 3.
    pub max_restarts: u32,
    /// Default: 5 seconds.
    pub within: Duration,
    /// How long the first restart waits; each further one twice as long as the one before. Default: 1 millisecond.
    pub delay: Duration,
    /// The most that a restart waits. Default: 1 second.
    pub most_delay: Duration,
}

impl Default for Supervision {
    fn default() -> Self {
        Supervision {
            strategy: Strategy::OneForOne,
            max_restarts: 3,
            within: Duration::from_secs(5),
            delay: Duration::from_millis(1),
            most_delay: Duration::from_secs(1),
        }
    }
}

impl Strategy {
    /// Whether an agent is started again when another has failed, by their places in the order of spawning.
    pub(crate) fn affects(self, other: usize, failed: usize) -> bool {
        match self {
            Strategy::OneForOne => other == failed,
            Strategy::OneForAll => true,
            Strategy::RestForOne => other >= failed,
        }
    }
}

/// The restarts after failures of one agent.
#[derive(Debug, Default)]
pub(crate) struct Restarts {
    times: VecDeque<Duration>,
}

impl Restarts {
    /// How long the restart after a failure waits; `None`: there is none.
    pub(crate) fn after_failure(&mut self, rule: &Supervision, now: Duration) -> Option<Duration> {
        while self.times.front().is_some_and(|time| now.saturating_sub(*time) > rule.within) {
            self.times.pop_front();
        }
        let before = self.times.len() as u32;
        if before >= rule.max_restarts {
            return None;
        }
        self.times.push_back(now);
        let doubled = rule.delay.saturating_mul(1_u32.checked_shl(before).unwrap_or(u32::MAX));
        Some(doubled.min(rule.most_delay))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(time: u64) -> Duration {
        Duration::from_millis(time)
    }

    #[test]
    fn restarts_wait_longer_each_time_and_end() {
        let rule = Supervision { max_restarts: 5, most_delay: ms(6), ..Supervision::default() };
        let mut restarts = Restarts::default();
        let delays: Vec<_> = (0..6).map(|n| restarts.after_failure(&rule, ms(n))).collect();
        assert_eq!(delays, [Some(ms(1)), Some(ms(2)), Some(ms(4)), Some(ms(6)), Some(ms(6)), None]);
    }

    #[test]
    fn what_was_long_ago_is_forgiven() {
        let rule = Supervision { max_restarts: 2, within: ms(100), ..Supervision::default() };
        let mut restarts = Restarts::default();
        assert!(restarts.after_failure(&rule, ms(0)).is_some());
        assert!(restarts.after_failure(&rule, ms(50)).is_some());
        assert_eq!(restarts.after_failure(&rule, ms(100)), None, "three within the time");
        assert_eq!(restarts.after_failure(&rule, ms(101)), Some(ms(2)), "the first is forgiven");
        assert_eq!(restarts.after_failure(&rule, ms(500)), Some(ms(1)), "and then all");
    }

    #[test]
    fn a_strategy_says_who_is_started_again() {
        let affected = |strategy: Strategy| [0, 1, 2, 3].map(|other| strategy.affects(other, 1));
        assert_eq!(affected(Strategy::OneForOne), [false, true, false, false]);
        assert_eq!(affected(Strategy::OneForAll), [true; 4]);
        assert_eq!(affected(Strategy::RestForOne), [false, true, true, true]);
    }
}
