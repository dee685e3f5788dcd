//! Rule 7: what the accepted ones do to a key together, and whether one more can.

use queenright_primitives::aggregate::Aggregator;
use queenright_primitives::conflict::{self, Clash};

use super::footprints::Name;
use crate::key::Key;
use crate::op::{Delta, Refusal};
use crate::outcome::{Outcome, Rule, Winner};
use crate::proposal::Proposal;
use crate::state::State;

/// The operations of the accepted, merged.
pub(super) struct Operations<'a> {
    pub(super) state: &'a State,
    pub(super) batch: &'a [Proposal],
    pub(super) deltas: Aggregator<&'a str, Delta>,
    /// The accepted in the order they were judged; the index knows them by their number in it.
    pub(super) admitted: Vec<usize>,
}

impl<'a> Operations<'a> {
    /// Rule 7: each operation is defined on the stored value together with all accepted ones.
    pub(super) fn stand(&self, proposal: &'a Proposal) -> Result<(), Outcome> {
        for (key, op) in &proposal.writes {
            let Some(delta) = op.delta() else { continue };
            let stored = self.state.entry_of(key).map(|entry| &entry.value);
            let together = self.deltas.preview(&key.as_str(), &delta);
            if let Err(refusal) = together.and_then(|delta| delta.apply(stored).map(drop)) {
                return Err(Outcome::Conflict {
                    with: self.refused_by(proposal, key, &delta),
                    key: key.to_string(),
                    rule: Rule::Refused(refusal),
                });
            }
        }
        Ok(())
    }

    /// Whom an operation lost to: the stored value if that alone refuses it; else the first accepted one that
    /// alone refuses it; else (it takes several) the accepted one with which it became impossible.
    fn refused_by(&self, proposal: &Proposal, key: &Key, delta: &Delta) -> Winner {
        use queenright_primitives::aggregate::Commutative;
        let entry = self.state.entry_of(key);
        let stored = entry.map(|entry| &entry.value);
        let on_key: Vec<(usize, Delta)> = self
            .admitted
            .iter()
            .filter_map(|&place| Some((place, self.delta_on(place, key)?)))
            .collect();
        let origin =
            || entry.map(|e| Winner::Stored { agent: e.writer.clone(), version: e.version });
        if delta.apply(stored).is_err() {
            let itself =
                || Winner::Stored { agent: proposal.agent.clone(), version: self.state.version };
            return origin().unwrap_or_else(itself);
        }
        let refuses = |sum: &Delta| -> Result<(), Refusal> { sum.apply(stored).map(drop) };
        let alone = on_key.iter().find(|(_, theirs)| {
            let mut both = delta.clone();
            both.merge(theirs).and_then(|()| refuses(&both)).is_err()
        });
        let jointly = || {
            let mut sum = delta.clone();
            on_key
                .iter()
                .find(|(_, theirs)| sum.merge(theirs).and_then(|()| refuses(&sum)).is_err())
        };
        match alone.or_else(jointly) {
            Some((place, _)) => self.accepted(*place),
            None => origin().unwrap_or(Winner::Stored {
                agent: proposal.agent.clone(),
                version: self.state.version,
            }),
        }
    }

    /// Rule 6, put into words.
    pub(super) fn clash(&self, clash: Clash<Name<'_>>) -> Outcome {
        let rule = match clash.rule {
            conflict::Rule::WriteWrite => Rule::WriteWrite,
            _ => Rule::ReadWrite,
        };
        let with = self.accepted(self.admitted[clash.with]);
        Outcome::Conflict { with, key: clash.key.as_str().to_owned(), rule }
    }

    fn delta_on(&self, place: usize, key: &Key) -> Option<Delta> {
        let (_, op) = self.batch[place].writes.iter().find(|(written, _)| written == key)?;
        op.delta()
    }

    pub(super) fn accepted(&self, place: usize) -> Winner {
        let proposal = &self.batch[place];
        Winner::Accepted { agent: proposal.agent.clone(), id: proposal.id.clone() }
    }

    /// Merges those of a proposal that stand.
    pub(super) fn merge(&mut self, place: usize) {
        for (key, op) in &self.batch[place].writes {
            if let Some(delta) = op.delta() {
                let merged = self.deltas.submit(key.as_str(), &delta);
                debug_assert!(merged.is_ok(), "checked before: {merged:?}");
            }
        }
    }
}
