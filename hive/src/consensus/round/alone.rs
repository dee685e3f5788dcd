//! What can be said of each proposal alone: rules 1 to 5, for which the others of its round do not matter.

use foldhash::fast::RandomState;
use queenright_primitives::proposal::Read;

use super::footprints::{Footprints, Gathered};
use super::{RoundInput, Set};
use crate::consensus::{Ballot, QuorumRule};
use crate::encoding::digest;
use crate::key::{Key, MAX_KEY_BYTES};
use crate::op::Op;
use crate::outcome::{Fence, Outcome, Rule, Winner};
use crate::proposal::Proposal;
use crate::state::State;

/// What is known of a proposal before it is held against others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It was answered in an earlier round, or is too old to tell.
    Answered,
    /// It is refused whatever the others do.
    Refused,
    /// Nothing is against it.
    Stands,
}

/// Says of each of a batch what can be said alone. Outcomes are written for those that do not stand; footprints are those of
/// those that do.
pub(super) fn judge<'a>(
    state: &'a State,
    batch: &'a [Proposal],
    input: &'a RoundInput,
    outcomes: &mut [Outcome],
) -> (Vec<Standing>, Footprints<'a>) {
    let mut gathered = Gathered::with_room_for(state, batch);
    let alone = Alone { state, input };
    let judged = batch.iter().zip(may_be_stale(state, batch)).zip(outcomes);
    let standing = |((proposal, may_be_stale), outcome): ((&'a Proposal, bool), &mut Outcome)| {
        let standing = match alone.answered_before(proposal) {
            Some(answer) => {
                *outcome = answer;
                Standing::Answered
            }
            None => match alone.stands(proposal, may_be_stale) {
                Ok(()) => Standing::Stands,
                Err(refusal) => {
                    *outcome = refusal;
                    Standing::Refused
                }
            },
        };
        gathered.push((standing == Standing::Stands).then_some(proposal));
        standing
    };
    let standings = judged.map(standing).collect();
    (standings, gathered.numbered())
}

/// Of which proposals something they read may have changed since their base: of nearly all it can be said at once that nothing has. The
/// keys of all of them are looked up together.
fn may_be_stale(state: &State, batch: &[Proposal]) -> Vec<bool> {
    let mut may_be_stale = vec![false; batch.len()];
    let (mut keys, mut readers) = (Vec::new(), Vec::new());
    for (place, proposal) in batch.iter().enumerate().filter(|(_, it)| it.base != state.version) {
        for read in &proposal.reads {
            match read {
                Read::Key(key) => {
                    keys.push(key);
                    readers.push(place);
                }
                Read::Under(_) => may_be_stale[place] = true,
            }
        }
    }
    let slots = state.entries.slots(&keys, Key::slot);
    for (entry, place) in state.entries.get_many_at(&keys, &slots).into_iter().zip(readers) {
        // What is not there may have been removed since.
        may_be_stale[place] |= entry.is_none_or(|entry| entry.version > batch[place].base);
    }
    may_be_stale
}

struct Alone<'a> {
    state: &'a State,
    input: &'a RoundInput,
}

impl Alone<'_> {
    /// Rule 1: an intent is answered once, whatever is sent again.
    fn answered_before(&self, proposal: &Proposal) -> Option<Outcome> {
        let decided = &self.input.decided;
        let known = if decided.is_empty() { None } else { decided.get(&proposal.id) };
        match known {
            Some(known) => known.committed.clone().or_else(|| {
                let (bytes, outcome) = known.attempts.get(&proposal.attempt)?;
                let reason =
                    "this attempt was answered before with other content: count the attempt up";
                Some(match *bytes == digest(proposal) {
                    true => outcome.clone(),
                    false => Outcome::Invalid { reason: reason.to_owned() },
                })
            }),
            // It may have been committed and forgotten, so that nothing may be guessed.
            None if proposal.born < self.state.horizon => {
                Some(Outcome::TooOld { horizon: self.state.horizon })
            }
            None => None,
        }
    }

    /// Rules 2 to 5.
    fn stands(&self, proposal: &Proposal, may_be_stale: bool) -> Result<(), Outcome> {
        self.well_formed(proposal)?;
        self.is_wanted(proposal)?;
        self.is_allowed(proposal)?;
        self.is_small_enough(proposal)?;
        self.is_not_fenced_out(proposal)?;
        self.reads_are_fresh(proposal, may_be_stale)?;
        self.preconditions_hold(proposal)?;
        self.is_agreed_to(proposal)
    }

    fn well_formed(&self, proposal: &Proposal) -> Result<(), Outcome> {
        let invalid = |reason| Err(Outcome::Invalid { reason });
        if proposal.base > self.state.version || proposal.born > proposal.base {
            return invalid(format!(
                "born at version {}, based on {}, but the current version is {}: \
                 take a snapshot and compute from it",
                proposal.born, proposal.base, self.state.version
            ));
        }
        match written_twice(&proposal.writes) {
            Some(key) => invalid(format!("it writes {key} twice: one operation per key")),
            None => Ok(()),
        }
    }

    /// Rule 2: time and will.
    fn is_wanted(&self, proposal: &Proposal) -> Result<(), Outcome> {
        let cancelled = &self.input.cancelled;
        if proposal.hint.deadline.is_some_and(|deadline| deadline < self.input.now) {
            Err(Outcome::Expired)
        } else if !cancelled.is_empty()
            && cancelled.contains(&(proposal.id.clone(), proposal.attempt))
        {
            Err(Outcome::Cancelled)
        } else {
            Ok(())
        }
    }

    /// Rule 2: permission.
    fn is_allowed(&self, proposal: &Proposal) -> Result<(), Outcome> {
        let permissions = &self.input.policy.permissions;
        if permissions.is_anybody_allowed() {
            return Ok(());
        }
        let keys = || proposal.writes.iter().map(|(key, _)| key);
        match keys().find(|key| !permissions.may_write(&proposal.agent, key)) {
            Some(key) => Err(Outcome::Forbidden { key: key.clone() }),
            None => Ok(()),
        }
    }

    /// Rule 2: size.
    fn is_small_enough(&self, proposal: &Proposal) -> Result<(), Outcome> {
        let limits = &self.input.policy.limits;
        let keys = proposal.reads.len() + proposal.preconditions.len() + proposal.writes.len();
        let mut bytes = proposal.id.as_str().len() + proposal.agent.as_str().len();
        let mut largest = 0;
        for (_, op) in &proposal.writes {
            let size = op.bytes();
            bytes += size;
            largest = largest.max(size);
        }
        for value in proposal.preconditions.iter().filter_map(|p| p.value()) {
            bytes += value.bytes();
            largest = largest.max(value.bytes());
        }
        let too_much = |what: &str, is, most| {
            let what = format!("{is} {what}, and at most {most} are allowed: split it");
            Err(Outcome::LimitReached { what })
        };
        // How long the keys are matters seldom.
        if bytes + proposal.writes.len() * MAX_KEY_BYTES > limits.bytes {
            bytes += proposal.writes.iter().map(|(key, _)| key.as_str().len()).sum::<usize>();
        }
        if keys > limits.keys {
            return too_much("keys", keys, limits.keys);
        }
        if bytes > limits.bytes {
            return too_much("bytes", bytes, limits.bytes);
        }
        if largest > limits.value {
            return too_much("bytes in one value", largest, limits.value);
        }
        Ok(())
    }

    /// Rule 3.
    fn is_not_fenced_out(&self, proposal: &Proposal) -> Result<(), Outcome> {
        let stale = |fence| Err(Outcome::StaleClaim { fence });
        let incarnations = &self.input.incarnations;
        if !incarnations.is_empty()
            && let Some(&current) = incarnations.get(&proposal.agent)
            && proposal.incarnation < current
        {
            return stale(Fence::Incarnation { current });
        }
        let Some(claim) = &proposal.claim else { return Ok(()) };
        let (key, current) = (claim.key.clone(), self.input.claims.get(&claim.key).copied());
        if current != Some(claim.token) {
            return stale(Fence::Token { key, current });
        }
        if proposal.base < claim.since {
            return stale(Fence::Since { key, since: claim.since });
        }
        Ok(())
    }

    /// Rule 4.
    fn reads_are_fresh(&self, proposal: &Proposal, may_be_stale: bool) -> Result<(), Outcome> {
        if !proposal.reads.is_empty() && proposal.base < self.state.horizon {
            return Err(Outcome::TooOld { horizon: self.state.horizon });
        }
        if !may_be_stale {
            return Ok(());
        }
        for read in &proposal.reads {
            if let Some((version, agent)) = self.state.changed_since(read, proposal.base) {
                let (Read::Key(key) | Read::Under(key)) = read;
                return Err(Outcome::Conflict {
                    with: Winner::Stored { agent: agent.clone(), version },
                    key: key.to_string(),
                    rule: Rule::StaleRead,
                });
            }
        }
        Ok(())
    }

    /// Rule 5.
    #[inline]
    fn preconditions_hold(&self, proposal: &Proposal) -> Result<(), Outcome> {
        for precondition in &proposal.preconditions {
            let found = self.state.entry_of(precondition.key()).map(|entry| &entry.value);
            if !precondition.holds(found) {
                return Err(Outcome::PreconditionFailed {
                    expected: precondition.clone(),
                    found: found.cloned(),
                });
            }
        }
        Ok(())
    }

    /// What needs a ballot is held against others only if that has passed. Last of all, so that nobody votes on what would
    /// be refused anyway.
    #[inline]
    fn is_agreed_to(&self, proposal: &Proposal) -> Result<(), Outcome> {
        match &proposal.quorum {
            Some(rule) => self.has_passed(proposal, rule),
            None => Ok(()),
        }
    }

    fn has_passed(&self, proposal: &Proposal, rule: &QuorumRule) -> Result<(), Outcome> {
        let ballot = self.input.ballots.get(&(proposal.id.clone(), proposal.attempt));
        let bound = ballot.filter(|ballot| ballot.content == digest(proposal));
        let none = Ballot::default();
        let ballot = bound.unwrap_or(&none);
        match rule.is_passed(ballot) {
            true => Ok(()),
            false => Err(Outcome::Rejected { tally: rule.count(ballot) }),
        }
    }
}

/// A key that is written twice.
fn written_twice(writes: &[(Key, Op)]) -> Option<&Key> {
    /// Up to here it is quicker to look at each two.
    const FEW: usize = 16;
    if writes.len() <= FEW {
        let is_before = |at: usize| writes[..at].iter().any(|(key, _)| *key == writes[at].0);
        return (1..writes.len()).find(|at| is_before(*at)).map(|at| &writes[at].0);
    }
    let mut keys = Set::with_capacity_and_hasher(writes.len(), RandomState::default());
    writes.iter().map(|(key, _)| key).find(|key| !keys.insert(*key))
}
