//! Which intents were answered, and how: so that nothing is committed twice.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use foldhash::fast::RandomState;
use queenright_primitives::Version;

use super::round::{RoundInput, Verdicts};
use crate::encoding::{Decode, DecodeError, Digest, Encode, Sink, Source, digest, fields};
use crate::id::ProposalId;
use crate::outcome::Outcome;
use crate::proposal::Proposal;

/// What one intent was answered so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// The commit, if there was one. It answers every further attempt.
    pub committed: Option<Outcome>,
    /// The refused attempts, with the digest of what was sent. Each answers itself alone.
    pub attempts: BTreeMap<u32, (Digest, Outcome)>,
}

fields!(Known { committed, attempts });

/// The answers of the last rounds. An intent is known as long as its last answer is not older than the horizon.
///
/// There are two tables, and whoever is answered goes into the younger. When the horizon has passed all that is in the older, that is emptied,
/// and they change places: so nobody is forgotten one by one, which would cost a search each in cold memory. They hold
/// the answers of at most twice as many rounds as the window has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Intents {
    younger: Table,
    older: Table,
    /// No answer in `older` is of a later round.
    older_until: Version,
    /// What is older is not known any more, though it may still be here.
    horizon: Version,
}

type Table = HashMap<ProposalId, Answers, RandomState>;

/// What one intent was answered, and when last. There are hundreds of thousands of these, of which few have been refused.
#[derive(Clone, Debug, Default)]
struct Answers {
    last: Version,
    /// The version and the order of the commit; version 0 holds none.
    committed: Version,
    order: u32,
    refused: Option<Box<Attempts>>,
}

#[derive(Clone, Debug, Default)]
struct Attempts(BTreeMap<u32, Refused>);

/// One refused attempt.
#[derive(Clone, Debug)]
struct Refused {
    round: Version,
    content: Digest,
    outcome: Outcome,
}

impl Intents {
    /// What is known of the intents of a batch.
    pub(crate) fn of(&self, batch: &[Proposal]) -> BTreeMap<ProposalId, Known> {
        let mut of = BTreeMap::<_, Known>::new();
        for proposal in batch {
            let Some(answers) = self.answers(&proposal.id) else { continue };
            let told = of.entry(proposal.id.clone()).or_default();
            told.committed = answers.commit();
            let refused = answers.refused.as_ref();
            if let Some(one) = refused.and_then(|attempts| attempts.0.get(&proposal.attempt)) {
                told.attempts.insert(proposal.attempt, (one.content, one.outcome.clone()));
            }
        }
        of
    }

    /// When this attempt was answered, or its intent committed.
    pub(crate) fn answered_at(&self, proposal: &Proposal) -> Option<Version> {
        let answers = self.answers(&proposal.id)?;
        if answers.committed > Version(0) {
            return Some(answers.committed);
        }
        let refused = answers.refused.as_ref()?.0.get(&proposal.attempt)?;
        Some(refused.round)
    }

    /// From which version on answers are known.
    pub(crate) fn horizon(&self) -> Version {
        self.horizon
    }

    fn answers(&self, id: &ProposalId) -> Option<&Answers> {
        let answers = self.younger.get(id).or_else(|| self.older.get(id));
        answers.filter(|answers| answers.last >= self.horizon)
    }

    /// Remembers the answers of a round, which was told what is known [of](Self::of) its batch, and forgets those older than the
    /// horizon after it.
    pub(crate) fn remember(
        &mut self,
        input: &RoundInput,
        batch: &[Proposal],
        verdicts: &Verdicts,
        horizon: Version,
    ) {
        let each = batch.iter().zip(&verdicts.outcomes).enumerate();
        for (_, (proposal, outcome)) in each.filter(|(place, _)| !verdicts.is_pending(*place)) {
            self.remember_one(input, proposal, outcome);
        }
        self.horizon = horizon;
        if self.older_until < horizon {
            self.older.clear();
            std::mem::swap(&mut self.younger, &mut self.older);
            self.older_until = input.round;
        }
    }

    fn remember_one(&mut self, input: &RoundInput, proposal: &Proposal, outcome: &Outcome) {
        let was_known = !input.decided.is_empty() && input.decided.contains_key(&proposal.id);
        let answers = match self.younger.entry(proposal.id.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            // Whether it was committed is forgotten: an entry would say that it was not.
            Entry::Vacant(_) if matches!(outcome, Outcome::TooOld { .. }) && !was_known => return,
            Entry::Vacant(new) => {
                let before = if was_known { self.older.remove(&proposal.id) } else { None };
                new.insert(before.unwrap_or_default())
            }
        };
        if !was_known && answers.last < input.round {
            // What is left of a time that is forgotten.
            if matches!(outcome, Outcome::TooOld { .. }) {
                return;
            }
            *answers = Answers::default();
        }
        answers.last = input.round;
        match *outcome {
            Outcome::Committed { version, order } => {
                (answers.committed, answers.order) = (version, order);
            }
            _ => answers.refuse(input.round, proposal, outcome),
        }
    }
}

impl Answers {
    fn commit(&self) -> Option<Outcome> {
        let (version, order) = (self.committed, self.order);
        (version > Version(0)).then_some(Outcome::Committed { version, order })
    }

    fn refuse(&mut self, round: Version, proposal: &Proposal, outcome: &Outcome) {
        let attempts = &mut self.refused.get_or_insert_default().0;
        let kept = attempts.get(&proposal.attempt);
        let content = digest(proposal);
        // Of two in one round that differ, which were both refused for that, the same is kept whichever came first.
        if kept.is_none_or(|kept| kept.round == round && content < kept.content) {
            let refused = Refused { round, content, outcome: outcome.clone() };
            attempts.insert(proposal.attempt, refused);
        }
    }
}

/// Only what is known, of which the younger table hides nothing in the older: the same answers have the same bytes, whatever is
/// still in memory.
impl Encode for Intents {
    fn encode(&self, sink: &mut Sink) {
        let Intents { younger, older, older_until, horizon } = self;
        older_until.encode(sink);
        horizon.encode(sink);
        for table in [younger, older] {
            let known = table.iter().filter(|(_, answers)| answers.last >= *horizon);
            let mut known: Vec<_> = known.collect();
            known.sort_unstable_by_key(|(id, _)| *id);
            sink.all(known);
        }
    }
}

/// Refuses what is not known any more, and what stands in both tables.
impl Decode for Intents {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        let (older_until, horizon) = <(Version, Version)>::decode(source)?;
        let known = |source: &mut Source<'_>| {
            let known = <(ProposalId, Answers)>::decode(source)?;
            match known.1.last >= horizon {
                true => Ok(known),
                false => Err(source.error("an answer that is forgotten")),
            }
        };
        let younger = Table::from_iter(source.ascending(known, |(id, _)| id)?);
        let only_older = |source: &mut Source<'_>| {
            let known = known(source)?;
            match younger.contains_key(&known.0) {
                true => Err(source.error("an intent that was answered later")),
                false => Ok(known),
            }
        };
        let older = Table::from_iter(source.ascending(only_older, |(id, _)| id)?);
        Ok(Intents { younger, older, older_until, horizon })
    }
}

impl Encode for Answers {
    fn encode(&self, sink: &mut Sink) {
        let Answers { last, committed, order, refused } = self;
        last.encode(sink);
        committed.encode(sink);
        if *committed > Version(0) {
            order.encode(sink);
        }
        match refused {
            Some(attempts) => attempts.0.encode(sink),
            None => drop(sink.number(0)),
        }
    }
}

impl Decode for Answers {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        let (last, committed) = <(Version, Version)>::decode(source)?;
        let order = if committed > Version(0) { u32::decode(source)? } else { 0 };
        let attempts = BTreeMap::decode(source)?;
        let refused = (!attempts.is_empty()).then(|| Box::new(Attempts(attempts)));
        Ok(Answers { last, committed, order, refused })
    }
}

fields!(Refused { round, content, outcome });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Snapshot, State};

    /// Tables are emptied, not only hidden: what is kept is bounded by two windows of rounds.
    #[test]
    fn at_most_two_windows_of_rounds_are_kept() {
        let mut intents = Intents::default();
        let snapshot = Snapshot::from(State::base([]));
        let verdicts = |round| Verdicts {
            outcomes: vec![Outcome::Committed { version: Version(round), order: 0 }],
            accepted: vec![0],
            serial: vec![0],
            pending: Vec::new(),
        };
        for round in 1..200_u64 {
            let batch = [Proposal::on(&snapshot, "a", format!("p{round}"))];
            let horizon = Version(round.saturating_sub(10));
            let input = RoundInput::new(Version(round));
            intents.remember(&input, &batch, &verdicts(round), horizon);
            assert!(intents.younger.len() + intents.older.len() <= 2 * 11 + 1, "round {round}");
            let of_round = |round: u64| {
                let batch = [Proposal::on(&snapshot, "a", format!("p{round}"))];
                intents.of(&batch).len()
            };
            assert_eq!(of_round(horizon.0.max(1)), 1, "the last that is known");
            assert_eq!(of_round(horizon.0.max(1) - 1), 0, "the first that is not");
        }
    }
}
