//! Beside the obvious table: a map under nobody's eyes, with a clock.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Claim(u8, u64),
    Heartbeat(usize),
    Release(usize),
    Complete(usize),
    Transfer(usize, u64),
    IsCurrent(usize),
    Holder(u8),
    Forget(u8),
    Reclaim,
    Show,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let token = 0usize..1000;
    prop_oneof![
        6 => (0u8..6, 1u64..4).prop_map(|(id, owner)| Step::Claim(id, owner)),
        3 => token.clone().prop_map(Step::Heartbeat),
        3 => token.clone().prop_map(Step::Release),
        2 => token.clone().prop_map(Step::Complete),
        2 => (token.clone(), 1u64..4).prop_map(|(token, owner)| Step::Transfer(token, owner)),
        1 => token.prop_map(Step::IsCurrent),
        1 => (0u8..6).prop_map(Step::Holder),
        2 => (0u8..6).prop_map(Step::Forget),
        1 => Just(Step::Reclaim),
        1 => Just(Step::Show),
        3 => (0u64..8).prop_map(Step::Wait),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Known {
    Held { by: OwnerId, until: u64, token: FencingToken },
    Done,
}

/// What an id is, with claims that nobody has reclaimed.
#[derive(Default)]
struct Model {
    known: HashMap<u8, Known>,
    /// The token that an id had last.
    newest: HashMap<u8, FencingToken>,
    /// All tokens that were ever given out, and for which id.
    tokens: Vec<(u8, ClaimToken)>,
    now: u64,
}

impl Model {
    fn held(&self, id: u8) -> Option<(OwnerId, u64, FencingToken)> {
        match self.known.get(&id) {
            Some(&Known::Held { by, until, token }) if self.now < until => Some((by, until, token)),
            _ => None,
        }
    }

    /// The id of a token if that is current.
    fn current(&self, id: u8, token: &ClaimToken) -> bool {
        self.held(id).is_some_and(|(_, _, current)| current == token.fencing())
    }

    fn note(&mut self, id: u8, by: OwnerId, token: ClaimToken) {
        let (fencing, until) = (token.fencing(), self.now + LEASE);
        assert_eq!(token.until(), until);
        assert!(self.newest.insert(id, fencing) < Some(fencing), "tokens of an id rise");
        assert!(self.tokens.iter().all(|(_, old)| old.fencing() != fencing), "none repeats");
        self.known.insert(id, Known::Held { by, until, token: fencing });
        self.tokens.push((id, token));
    }

    fn step<S: BuildHasher>(&mut self, table: &ClaimTable<u8, S>, step: &Step) {
        let now = self.now;
        match *step {
            Step::Claim(id, owner) => self.claim(table, id, OwnerId(owner)),
            Step::Heartbeat(which) => {
                let Some((id, token)) = self.token(which) else { return };
                let answer = table.heartbeat(&token, now);
                if self.current(id, &token) {
                    let Some(Known::Held { until, .. }) = self.known.get_mut(&id) else { return };
                    *until = now + LEASE;
                    assert_eq!(answer, Ok(*until));
                } else {
                    assert!(answer.is_err());
                }
            }
            Step::Release(which) => {
                let Some((id, token)) = self.token(which) else { return };
                let current = self.current(id, &token);
                assert_eq!(table.release(&token, now).is_ok(), current);
                if current {
                    self.known.remove(&id);
                }
            }
            Step::Complete(which) => {
                let Some((id, token)) = self.token(which) else { return };
                let current = self.current(id, &token);
                assert_eq!(table.complete(&token, now).is_ok(), current);
                if current {
                    self.known.insert(id, Known::Done);
                }
            }
            Step::Transfer(which, owner) => {
                let Some((id, token)) = self.token(which) else { return };
                let answer = table.transfer(&token, OwnerId(owner), now);
                assert_eq!(answer.is_ok(), self.current(id, &token));
                if let Ok(token) = answer {
                    self.note(id, OwnerId(owner), token);
                }
            }
            Step::IsCurrent(which) => {
                let Some((id, token)) = self.token(which) else { return };
                assert_eq!(table.is_current(&token, now), self.current(id, &token));
            }
            Step::Holder(id) => {
                let held = table.holder(&id, now).map(|it| (it.by, it.until, it.token));
                assert_eq!(held, self.held(id));
            }
            Step::Forget(id) => {
                let done = self.known.get(&id) == Some(&Known::Done);
                assert_eq!(table.forget(&id), done);
                if done {
                    self.known.remove(&id);
                }
            }
            Step::Reclaim => {
                let mut told = Vec::new();
                table.reclaim_expired(now, |id, old| told.push((*id, old.by, old.token)));
                let mut over = Vec::new();
                self.known.retain(|id, known| match *known {
                    Known::Held { by, until, token } if now >= until => {
                        over.push((*id, by, token));
                        false
                    }
                    _ => true,
                });
                told.sort();
                over.sort();
                assert_eq!(told, over);
            }
            Step::Show => {
                let mut shown = HashMap::new();
                table.for_each(now, |id, status| {
                    let known = match status {
                        Status::Held(Holder { by, until, token }) => {
                            Known::Held { by, until, token }
                        }
                        Status::Completed => Known::Done,
                    };
                    assert_eq!(shown.insert(*id, known), None);
                });
                let mut expected = self.known.clone();
                expected.retain(|id, known| *known == Known::Done || self.held(*id).is_some());
                assert_eq!(shown, expected);
            }
            Step::Wait(ticks) => self.now += ticks,
        }
        assert_eq!(table.len(), self.known.len());
    }

    fn claim<S: BuildHasher>(&mut self, table: &ClaimTable<u8, S>, id: u8, owner: OwnerId) {
        let answer = table.claim(id, owner, self.now);
        let there = self.known.get(&id).copied();
        let expected = match (there, self.held(id)) {
            (Some(Known::Done), _) => Some(ClaimError::Completed { id }),
            (_, Some((by, until, _))) => Some(ClaimError::Held { id, by, until }),
            (None, None) if self.known.len() == table.capacity() => Some(ClaimError::Full { id }),
            _ => None,
        };
        match (answer, expected) {
            (Ok(token), None) => self.note(id, owner, token),
            (Err(said), Some(expected)) => assert_eq!(said, expected),
            (answer, expected) => panic!("{answer:?} instead of {expected:?}"),
        }
    }

    /// One of all tokens ever, the newest ones most often.
    fn token(&self, which: usize) -> Option<(u8, ClaimToken)> {
        let back = which % 7 * (which % 5);
        self.tokens.iter().rev().nth(back).or(self.tokens.last()).copied()
    }
}

proptest! {
    #[test]
    fn it_behaves_as_a_map_and_a_clock(
        steps in prop::collection::vec(step(), 0..120), capacity in 1usize..7
    ) {
        let table = table(capacity);
        let mut model = Model::default();
        steps.iter().for_each(|step| model.step(&table, step));
        let crowded = ClaimTable::with_capacity_and_hasher(capacity, LEASE, Incarnation(1), OneHash);
        let mut model = Model::default();
        steps.iter().for_each(|step| model.step(&crowded, step));
    }
}
