//! Whose turn it is: an order that no agent controls, and that starves none.

use siphasher::sip::SipHasher13;

use super::RoundInput;
use crate::digest::Sink;
use crate::proposal::Proposal;

/// The order in which a batch is judged: by class, deadline and lot, and then by id and attempt. Of those that are equal in all
/// of it, either may come first.
pub(super) fn order(batch: &[Proposal], input: &RoundInput) -> Vec<usize> {
    let lots = Lots::of(input);
    let aging = input.policy.aging.max(1);
    let turn = |(place, proposal): (usize, &Proposal)| {
        let waited = input.round.0.saturating_sub(proposal.born.0.saturating_add(1));
        // The class rises by one for each `aging` rounds since the intent was born.
        let (class, steps) = (proposal.hint.class, waited / aging);
        // Who waited on after its class could rise no more goes before every deadline.
        let is_overdue = steps > class.index() as u64;
        let due = if is_overdue { Some(0) } else { proposal.hint.deadline };
        let urgency = class.raised(steps).index() as u64 * 2 + u64::from(due.is_none());
        let lot = lots.draw(proposal.id.as_str());
        Turn { urgency, due: due.unwrap_or_default(), lot, place }
    };
    let mut turns: Vec<_> = batch.iter().enumerate().map(turn).collect();
    turns.sort_unstable_by(|a, b| {
        let drawn = |turn: &Turn| (turn.urgency, turn.due, turn.lot);
        let named = |turn: &Turn| (&batch[turn.place].id, batch[turn.place].attempt);
        drawn(a).cmp(&drawn(b)).then_with(|| named(a).cmp(&named(b)))
    });
    turns.into_iter().map(|turn| turn.place).collect()
}

/// What decides about a proposal's turn in nearly all cases.
struct Turn {
    /// Its class, and whether it is never due.
    urgency: u64,
    due: u64,
    lot: u64,
    /// Its place in the batch.
    place: usize,
}

/// The lots of one round: SipHash-1-3 of the id, under a key that is blake3's of seed and round. No id always wins, and who does
/// not know the seed can neither choose an id that does nor learn from many rounds which one will.
struct Lots(SipHasher13);

impl Lots {
    fn of(input: &RoundInput) -> Self {
        let mut sink = Sink::new();
        let digest = sink.number(input.seed).number(input.round.0).finish();
        let key = |part: usize| {
            let bytes = digest.0.iter().skip(part * 8).take(8);
            bytes.rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
        };
        Lots(SipHasher13::new_with_keys(key(0), key(1)))
    }

    fn draw(&self, id: &str) -> u64 {
        self.0.hash(id.as_bytes())
    }
}
