//! The model as the obvious loop: one proposal after the other, each against all that were accepted. This is the
//! specification; it shares nothing with what runs but the types and the meaning of a single operation.

use siphasher::sip::SipHasher13;

use super::*;
use crate::consensus::{Ballot, Tally, Vote};
use crate::outcome::{Fence, Rule};

/// What an answer comes to, without the words.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Said {
    Committed,
    Conflict(Winner, String, &'static str),
    Other(Outcome),
    Invalid,
    TooLarge,
}

/// What the model says: an answer for each place, whether it stays pending, and the accepted in serial order.
#[derive(Debug, PartialEq)]
pub(super) struct Answers {
    pub(super) said: Vec<(Said, bool)>,
    pub(super) accepted: Vec<(ProposalId, u32)>,
    pub(super) serial: Vec<(ProposalId, u32)>,
}

impl Answers {
    /// What the engine said, in the same words.
    pub(super) fn of(batch: &[Proposal], verdicts: &Verdicts) -> Answers {
        let each = verdicts.outcomes.iter().enumerate();
        let said = each.map(|(place, outcome)| (said(outcome), verdicts.is_pending(place)));
        Answers {
            said: said.collect(),
            accepted: names(batch, &verdicts.accepted),
            serial: names(batch, &verdicts.serial),
        }
    }
}

fn said(outcome: &Outcome) -> Said {
    match outcome.clone() {
        Outcome::Committed { .. } => Said::Committed,
        Outcome::Conflict { with, key, rule } => Said::Conflict(with, key, rule.name()),
        Outcome::Invalid { .. } => Said::Invalid,
        Outcome::LimitReached { .. } => Said::TooLarge,
        other => Said::Other(other),
    }
}

fn names(batch: &[Proposal], places: &[usize]) -> Vec<(ProposalId, u32)> {
    places.iter().map(|&place| (batch[place].id.clone(), batch[place].attempt)).collect()
}

/// What the model says of a batch.
pub(super) fn decide(state: &State, batch: &[Proposal], input: &RoundInput) -> Answers {
    let mut said: Vec<Option<(Said, bool)>> = vec![None; batch.len()];
    let mut accepted = Vec::new();
    let mut serial = Vec::new();
    for (turn, place) in in_turn(batch, input).into_iter().enumerate() {
        let mut model = Model { state, batch, input, accepted: &accepted, said: &said };
        let mut answer = model.answer(place);
        if turn >= input.policy.limits.proposals && !model.is_known(place) {
            answer = (Said::TooLarge, false);
        }
        let reads_written = model.raw(&batch[place]).is_some();
        if let (Said::Committed, false) = (&answer.0, model.is_known(place)) {
            accepted.push(place);
            serial.insert(if reads_written { 0 } else { serial.len() }, place);
        }
        said[place] = Some(answer);
    }
    Answers {
        said: said.into_iter().map(Option::unwrap).collect(),
        accepted: names(batch, &accepted),
        serial: names(batch, &serial),
    }
}

/// Aged class, deadline (the overdue before all others), lot, id, attempt.
fn in_turn(batch: &[Proposal], input: &RoundInput) -> Vec<usize> {
    let mut places: Vec<usize> = (0..batch.len()).collect();
    places.sort_by_key(|&place| {
        let proposal = &batch[place];
        let steps = (input.round.0 - proposal.born.0 - 1) / input.policy.aging;
        let class = proposal.hint.class.index() as u64;
        let due = if steps > class { Some(0) } else { proposal.hint.deadline };
        let (seed, round) = (input.seed.to_le_bytes(), input.round.0.to_le_bytes());
        let key = Digest::of(&[seed, round].concat()).0;
        let word = |from: usize| u64::from_le_bytes(key[from..from + 8].try_into().unwrap());
        let lot =
            SipHasher13::new_with_keys(word(0), word(8)).hash(proposal.id.as_str().as_bytes());
        let no_due = due.is_none();
        (class.saturating_sub(steps), no_due, due, lot, proposal.id.clone(), proposal.attempt)
    });
    places
}

struct Model<'a> {
    state: &'a State,
    batch: &'a [Proposal],
    input: &'a RoundInput,
    accepted: &'a [usize],
    said: &'a [Option<(Said, bool)>],
}

impl Model<'_> {
    /// Whether it was answered without being judged: by another of its intent.
    fn is_known(&self, place: usize) -> bool {
        self.first_rule(place).is_some()
    }

    fn answer(&mut self, place: usize) -> (Said, bool) {
        if let Some(known) = self.first_rule(place) {
            return known;
        }
        let proposal = &self.batch[place];
        match self.judge(proposal) {
            None => (Said::Committed, false),
            Some(said) => {
                let waited = self.input.round.0 - proposal.base.0 - 1;
                let pending = matches!(said, Said::Conflict(Winner::Accepted { .. }, ..))
                    && proposal.reads.is_empty()
                    && proposal.preconditions.is_empty()
                    && proposal.born.0 + self.input.policy.window >= self.input.round.0
                    && waited < self.input.policy.pending;
                (said, pending)
            }
        }
    }

    /// Rule 1.
    fn first_rule(&self, place: usize) -> Option<(Said, bool)> {
        let proposal = &self.batch[place];
        let same_attempt =
            |other: &Proposal| other.id == proposal.id && other.attempt == proposal.attempt;
        let decided = self.input.decided.get(&proposal.id);
        if let Some(known) = decided {
            if let Some(committed) = &known.committed {
                return Some((said(committed), false));
            }
            if let Some((bytes, outcome)) = known.attempts.get(&proposal.attempt) {
                let is_same = *bytes == digest(proposal);
                return Some((if is_same { said(outcome) } else { Said::Invalid }, false));
            }
        }
        if decided.is_none() && proposal.born < self.state.horizon {
            let horizon = self.state.horizon;
            return Some((Said::Other(Outcome::TooOld { horizon }), false));
        }
        if self.batch.iter().any(|other| same_attempt(other) && other != proposal) {
            return Some((Said::Invalid, false));
        }
        if self.accepted.iter().any(|&other| self.batch[other].id == proposal.id) {
            return Some((Said::Committed, false));
        }
        let mut judged = self.batch.iter().zip(self.said);
        judged.find(|(other, said)| same_attempt(other) && said.is_some())?.1.clone()
    }

    /// Why it is refused; `None`: it is accepted.
    fn judge(&self, proposal: &Proposal) -> Option<Said> {
        let Proposal { writes, reads, preconditions, .. } = proposal;
        let is_twice = |(at, (key, _)): (usize, &(Key, Op))| {
            writes[..at].iter().any(|(other, _)| other == key)
        };
        if proposal.base > self.state.version
            || proposal.born > proposal.base
            || writes.iter().enumerate().any(is_twice)
        {
            return Some(Said::Invalid);
        }
        if proposal.hint.deadline.is_some_and(|deadline| deadline < self.input.now) {
            return Some(Said::Other(Outcome::Expired));
        }
        if self.input.cancelled.contains(&(proposal.id.clone(), proposal.attempt)) {
            return Some(Said::Other(Outcome::Cancelled));
        }
        let permissions = &self.input.policy.permissions;
        for (key, _) in writes {
            if !permissions.may_write(&proposal.agent, key) {
                return Some(Said::Other(Outcome::Forbidden { key: key.clone() }));
            }
        }
        let limits = &self.input.policy.limits;
        let asked = preconditions.iter().filter_map(|p| p.value().map(Value::bytes));
        let values: Vec<usize> = writes.iter().map(|(_, op)| op.bytes()).chain(asked).collect();
        let names = proposal.id.as_str().len() + proposal.agent.as_str().len();
        let keys: usize = writes.iter().map(|(key, _)| key.as_str().len()).sum();
        if reads.len() + preconditions.len() + writes.len() > limits.keys
            || names + keys + values.iter().sum::<usize>() > limits.bytes
            || values.iter().any(|value| *value > limits.value)
        {
            return Some(Said::TooLarge);
        }
        if let Some(fence) = self.fence(proposal) {
            return Some(Said::Other(Outcome::StaleClaim { fence }));
        }
        if !reads.is_empty() && proposal.base < self.state.horizon {
            return Some(Said::Other(Outcome::TooOld { horizon: self.state.horizon }));
        }
        for read in reads {
            if let Some(with) = self.changed_since(read, proposal.base) {
                return Some(Said::Conflict(with, read.key().to_string(), "stale-read"));
            }
        }
        for precondition in preconditions {
            let found = self.state.get(precondition.key().as_str());
            if !precondition.holds(found) {
                let (expected, found) = (precondition.clone(), found.cloned());
                return Some(Said::Other(Outcome::PreconditionFailed { expected, found }));
            }
        }
        if let Some(rule) = &proposal.quorum {
            let name = (proposal.id.clone(), proposal.attempt);
            let none = Ballot::default();
            let ballot = self.input.ballots.get(&name).filter(|b| b.content == digest(proposal));
            let votes = &ballot.unwrap_or(&none).votes;
            let count = |vote| {
                let said = rule.roll().keys().filter(|member| votes.get(*member) == Some(&vote));
                said.count() as u64
            };
            let (yes, no, abstained) =
                (count(Vote::Yes), count(Vote::No) + count(Vote::Veto), count(Vote::Abstain));
            let vetoed = rule.veto_holders().iter().any(|m| votes.get(m) == Some(&Vote::Veto));
            let (needed, of) = (rule.needed(), rule.roll().len() as u64);
            if yes < needed || vetoed {
                let tally = Tally { yes, no, abstained, vetoed, needed, of };
                return Some(Said::Other(Outcome::Rejected { tally }));
            }
        }
        self.clash(proposal).or_else(|| self.refused(proposal))
    }

    fn fence(&self, proposal: &Proposal) -> Option<Fence> {
        let lowest = self.input.incarnations.get(&proposal.agent).copied().unwrap_or(0);
        if proposal.incarnation < lowest {
            return Some(Fence::Incarnation { current: lowest });
        }
        let claim = proposal.claim.as_deref()?;
        let current = self.input.claims.get(&claim.key).copied();
        let key = claim.key.clone();
        match current {
            Some(token) if token == claim.token && proposal.base >= claim.since => None,
            Some(token) if token == claim.token => Some(Fence::Since { key, since: claim.since }),
            _ => Some(Fence::Token { key, current }),
        }
    }

    /// The newest change of what is read, entries before removals.
    fn changed_since(&self, read: &Read<Key>, since: Version) -> Option<Winner> {
        let covers = |key: &Key| match read {
            Read::Key(read) => read == key,
            Read::Under(prefix) => key.is_under(prefix.as_str()),
        };
        let written = self.state.iter().filter(|(key, _)| covers(key));
        let written = written.map(|(_, entry)| (entry.version, entry.writer.clone()));
        let removed = self.state.removed.iter().filter(|(key, _)| covers(key));
        let removed = removed.map(|(_, gone)| (gone.version, gone.writer.clone()));
        let newer = written.chain(removed).filter(|(version, _)| *version > since);
        newer.max_by_key(|(v, _)| *v).map(|(version, agent)| Winner::Stored { agent, version })
    }

    fn accepted(&self) -> impl Iterator<Item = &Proposal> {
        self.accepted.iter().map(|&place| &self.batch[place])
    }

    /// What it reads that an accepted one writes: the first such read, and who wrote there first.
    fn raw(&self, proposal: &Proposal) -> Option<(String, Winner)> {
        all_reads(proposal).into_iter().find_map(|read| {
            let writer = self.accepted().find(|other| writes_in(other, &read))?;
            Some((read.key().to_string(), winner(writer)))
        })
    }

    /// Rule 6.
    fn clash(&self, proposal: &Proposal) -> Option<Said> {
        for (key, op) in &proposal.writes {
            for other in self.accepted() {
                let theirs = other.writes.iter().find(|(written, _)| written == key);
                if theirs.is_some_and(|(_, theirs)| !go_together(op, theirs)) {
                    return Some(Said::Conflict(winner(other), key.to_string(), "write-write"));
                }
            }
        }
        let war = self
            .accepted()
            .any(|other| all_reads(other).iter().any(|read| writes_in(proposal, read)));
        let (key, with) = self.raw(proposal).filter(|_| war)?;
        Some(Said::Conflict(with, key, "read-write"))
    }

    /// Rule 7.
    fn refused(&self, proposal: &Proposal) -> Option<Said> {
        for (key, op) in &proposal.writes {
            if !matches!(op.operator().mode(), Mode::Commutative(_)) {
                continue;
            }
            let stored = self.state.get(key.as_str());
            let on_key = |other: &&Proposal| other.writes.iter().any(|(written, _)| written == key);
            let others: Vec<&Proposal> = self.accepted().filter(on_key).collect();
            let op_of = |other: &Proposal| {
                other.writes.iter().find(|(written, _)| written == key).unwrap().1.clone()
            };
            let mut together: Vec<Op> = others.iter().map(|other| op_of(other)).collect();
            together.push(op.clone());
            let Some(rule) = undefined(&together, stored) else { continue };
            let with = if undefined(std::slice::from_ref(op), stored).is_some() {
                let entry = self.state.entry(key.as_str());
                let (agent, version) = match entry {
                    Some(entry) => (entry.writer.clone(), entry.version),
                    None => (proposal.agent.clone(), self.state.version),
                };
                Winner::Stored { agent, version }
            } else {
                let alone = others
                    .iter()
                    .find(|other| undefined(&[op.clone(), op_of(other)], stored).is_some());
                let jointly = (0..others.len()).find(|&last| {
                    let first = others[..=last].iter().map(|other| op_of(other));
                    undefined(&first.chain([op.clone()]).collect::<Vec<_>>(), stored).is_some()
                });
                winner(alone.copied().unwrap_or_else(|| others[jointly.unwrap()]))
            };
            return Some(Said::Conflict(with, key.to_string(), rule));
        }
        None
    }
}

fn winner(proposal: &Proposal) -> Winner {
    Winner::Accepted { agent: proposal.agent.clone(), id: proposal.id.clone() }
}

/// Keys before prefixes.
fn all_reads(proposal: &Proposal) -> Vec<Read<Key>> {
    let preconditions = proposal.preconditions.iter().map(|p| Read::Key(p.key().clone()));
    let mut reads: Vec<_> = proposal.reads.iter().cloned().chain(preconditions).collect();
    reads.sort_by_key(|read| matches!(read, Read::Under(_)));
    reads
}

fn writes_in(proposal: &Proposal, read: &Read<Key>) -> bool {
    proposal.writes.iter().any(|(key, _)| match read {
        Read::Key(read) => read == key,
        Read::Under(prefix) => key.is_under(prefix.as_str()),
    })
}

fn go_together(one: &Op, other: &Op) -> bool {
    let commutes = |op: &Op| !matches!(op, Op::Set(_) | Op::Remove);
    commutes(one) && commutes(other) && one.operator() == other.operator()
}

/// By which rule some order of these operations is undefined on what is stored; `None` if all are defined.
fn undefined(ops: &[Op], stored: Option<&Value>) -> Option<&'static str> {
    let mut turn: Vec<usize> = (0..ops.len()).collect();
    loop {
        let in_turn: Vec<&Op> = turn.iter().map(|&at| &ops[at]).collect();
        if let Some(rule) = undefined_in_turn(&in_turn, stored) {
            return Some(rule);
        }
        if !next_permutation(&mut turn) {
            return None;
        }
    }
}

fn undefined_in_turn(ops: &[&Op], stored: Option<&Value>) -> Option<&'static str> {
    let mut value = stored.cloned();
    let mut bounds: Vec<(Option<i64>, Option<i64>)> = Vec::new();
    for op in ops {
        match op.apply(value.as_ref()) {
            Ok(next) => value = next,
            Err(refusal) => return Some(Rule::Refused(refusal).name()),
        }
        // A bound holds from the operation that brings it, for all that come after it.
        if let Op::Add { at_least, at_most, .. } = op {
            bounds.push((*at_least, *at_most));
            let sum = value.as_ref().and_then(Value::as_int).unwrap();
            let breaks = |(least, most): &(Option<i64>, Option<i64>)| {
                least.is_some_and(|least| sum < least) || most.is_some_and(|most| sum > most)
            };
            if bounds.iter().any(breaks) {
                return Some("bound");
            }
        }
    }
    None
}

/// The next in the order of dictionaries; `false` after the last.
fn next_permutation(turn: &mut [usize]) -> bool {
    let Some(pivot) = (1..turn.len()).rev().find(|&at| turn[at - 1] < turn[at]) else {
        return false;
    };
    let swap = (pivot..turn.len()).rev().find(|&at| turn[at] > turn[pivot - 1]).unwrap();
    turn.swap(pivot - 1, swap);
    turn[pivot..].reverse();
    true
}
