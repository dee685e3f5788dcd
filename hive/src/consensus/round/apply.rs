//! What a round makes of the state.

use std::collections::BTreeMap;

use queenright_primitives::Version;

use super::{Map, RoundInput, Verdicts};
use crate::key::Key;
use crate::op::{Delta, Op};
use crate::proposal::Proposal;
use crate::state::{Entry, Removal, State};

/// The state after a round. Pure; `verdicts` must be what [`decide`] said for the same arguments.
pub fn apply(state: &State, batch: &[Proposal], input: &RoundInput, verdicts: &Verdicts) -> State {
    let mut next = state.clone();
    next.version = state.version.next();
    let mut merged: BTreeMap<&Key, Option<Delta>> = BTreeMap::new();
    let mut writers: Map<&Key, (usize, &Op)> = Map::default();
    let mut removed = Vec::new();
    // Of several who wrote a key together, the one that was judged first counts as the writer.
    for &place in &verdicts.accepted {
        let writes = batch.get(place).map(|proposal| proposal.writes.as_slice());
        for (key, op) in writes.unwrap_or_default() {
            writers.entry(key).or_insert((place, op));
            fold(merged.entry(key).or_default(), op);
        }
    }
    for (key, delta) in merged {
        let (place, op) = writers[key];
        let proposal = &batch[place];
        let value = match &delta {
            // Decided on the same state, so that it is defined; if not, the entry stays as it is.
            Some(delta) => delta.apply(state.get(key.as_str())),
            None => match op {
                Op::Set(value) => Ok(value.clone()),
                _ => {
                    let removal = Removal { version: next.version, writer: proposal.agent.clone() };
                    next.entries.remove(key);
                    next.removed.insert(key.clone(), removal);
                    removed.push(key.clone());
                    continue;
                }
            },
        };
        debug_assert!(value.is_ok(), "an accepted change is defined: {value:?}");
        if let Ok(value) = value {
            // Nothing that a reader could see has changed.
            if state.get(key.as_str()) == Some(&value) {
                continue;
            }
            let entry = Entry {
                value,
                version: next.version,
                writer: proposal.agent.clone(),
                operator: op.operator(),
            };
            next.removed.remove(key);
            next.entries.insert(key.clone(), entry);
        }
    }
    if !removed.is_empty() {
        next.removals.insert(next.version, removed.into());
    }
    forget(&mut next, input.policy.window);
    next
}

fn fold(merged: &mut Option<Delta>, op: &Op) {
    use queenright_primitives::aggregate::Commutative;
    let Some(delta) = op.delta() else { return };
    match merged {
        None => *merged = Some(delta),
        Some(merged) => {
            let result = merged.merge(&delta);
            debug_assert!(result.is_ok(), "accepted changes merge: {result:?}");
        }
    }
}

/// Drops the memory of removals that fell out of the window. Each removal is dropped once.
fn forget(next: &mut State, window: u64) {
    let horizon = Version(next.version.0.saturating_sub(window)).max(next.horizon);
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
