//! What a round makes of the state.

use std::collections::hash_map::Entry as Place;

use queenright_primitives::Version;
use queenright_primitives::aggregate::Commutative;
use queenright_primitives::proposal::Mode;

use super::{Map, RoundInput, Verdicts};
use crate::id::AgentId;
use crate::key::Key;
use crate::op::{Delta, Op};
use crate::proposal::Proposal;
use crate::state::{Entry, Removal, State};
use crate::value::Value;

/// The state after a round. Pure; `verdicts` must be what [`decide`](super::decide) said for the same arguments.
pub fn apply(state: &State, batch: &[Proposal], input: &RoundInput, verdicts: &Verdicts) -> State {
    applied(state.clone(), batch, input, verdicts)
}

/// The same, of a state that may be changed in place where nobody else has it.
pub(crate) fn applied(
    mut next: State,
    batch: &[Proposal],
    input: &RoundInput,
    verdicts: &Verdicts,
) -> State {
    next.version = next.version.next();
    let mut removed = Vec::new();
    let (removals, writes): (Vec<_>, Vec<_>) =
        changes(batch, verdicts).into_iter().partition(|change| matches!(change.op, Op::Remove));
    write(&mut next, &writes);
    for change in &removals {
        change.remove(&mut next);
        removed.push(change.key.clone());
    }
    if !removed.is_empty() {
        removed.sort_unstable();
        next.removals.insert(next.version, removed.into());
    }
    forget(&mut next, input.policy.window);
    next
}

/// What the accepted do to one key.
struct Change<'a> {
    key: &'a Key,
    /// Who counts as the writer: of several who write it together, the one that was judged first.
    writer: &'a AgentId,
    op: &'a Op,
    /// What their operations merge to, if there are several.
    merged: Option<Delta>,
}

/// One change for each key that the accepted write.
fn changes<'a>(batch: &'a [Proposal], verdicts: &Verdicts) -> Vec<Change<'a>> {
    let accepted = || verdicts.accepted.iter().filter_map(|&place| batch.get(place));
    let most = accepted().map(|proposal| proposal.writes.len()).sum();
    let mut places = Map::<&Key, usize>::default();
    let mut changes = Vec::<Change<'a>>::with_capacity(most);
    for proposal in accepted() {
        for (key, op) in &proposal.writes {
            // No other accepted one writes where one does that goes with none.
            if op.operator().mode() != Mode::Exclusive {
                match places.entry(key) {
                    Place::Occupied(place) => {
                        changes[*place.get()].merge(op);
                        continue;
                    }
                    Place::Vacant(place) => drop(place.insert(changes.len())),
                }
            }
            changes.push(Change { key, writer: &proposal.agent, op, merged: None });
        }
    }
    changes
}

impl Change<'_> {
    fn merge(&mut self, op: &Op) {
        if self.merged.is_none() {
            self.merged = self.op.delta();
        }
        if let (Some(merged), Some(delta)) = (&mut self.merged, op.delta()) {
            let result = merged.merge(&delta);
            debug_assert!(result.is_ok(), "accepted changes merge: {result:?}");
        }
    }

    /// The new value; `None` if there is none.
    fn value(&self, stored: Option<&Value>) -> Option<Value> {
        let value = match &self.merged {
            Some(merged) => merged.apply(stored).map(Some),
            None => self.op.apply(stored),
        };
        // Decided on the same state, so that it is defined; if not, the entry stays as it is.
        debug_assert!(value.is_ok(), "an accepted change is defined: {value:?}");
        value.ok().flatten()
    }

    fn remove(&self, next: &mut State) {
        let removal = Removal { version: next.version, writer: self.writer.clone() };
        next.entries.remove(self.key);
        next.removed.insert(self.key.clone(), removal);
    }
}

fn write(next: &mut State, writes: &[Change<'_>]) {
    let version = next.version;
    let keys: Vec<&Key> = writes.iter().map(|change| change.key).collect();
    let removed = (!next.removed.is_empty()).then_some(&mut next.removed);
    let mut back = Vec::new();
    let slots = next.entries.slots(&keys, Key::slot);
    next.entries.update_many_at(&keys, &slots, |place, entry| {
        let change = &writes[place];
        let stored = entry.map(|entry| &entry.value);
        // Where a reader could see no difference, nothing has changed.
        let value = change.value(stored).filter(|value| stored != Some(value))?;
        if entry.is_none() {
            back.push(change.key);
        }
        let (writer, operator) = (change.writer.clone(), change.op.operator());
        Some(Entry { value, version, writer, operator })
    });
    if let Some(removed) = removed {
        back.into_iter().for_each(|key| drop(removed.remove(key)));
    }
}

/// From which version on everything is known after a round, which was known from another one on before.
pub(crate) fn horizon(round: Version, window: u64, before: Version) -> Version {
    Version(round.0.saturating_sub(window)).max(before)
}

/// Drops the memory of removals that fell out of the window. Each removal is dropped once.
fn forget(next: &mut State, window: u64) {
    let horizon = horizon(next.version, window, next.horizon);
    let fallen = next.removals.range(next.horizon.next()..=horizon);
    for version in fallen.map(|(version, _)| *version).collect::<Vec<_>>() {
        let keys = next.removals.remove(&version);
        for key in keys.iter().flat_map(|keys| keys.iter()) {
            // The key may have been removed again since, or written.
            if next.removed.get(key).is_some_and(|gone| gone.version == version) {
                next.removed.remove(key);
            }
        }
    }
    next.horizon = horizon;
}
