//! Whose turn it is: an order that no agent controls, and that starves none.

use queenright_primitives::schedule::Class;

use super::RoundInput;
use crate::digest::{Digest, Feed, Sink};
use crate::proposal::Proposal;

/// The order in which a batch is judged.
pub(super) fn order(batch: &[Proposal], input: &RoundInput) -> Vec<usize> {
    let mut sink = Sink::new();
    let lot = |proposal: &Proposal| {
        sink.clear();
        proposal.id.feed(sink.number(input.seed).number(input.round.0));
        sink.finish()
    };
    let lots: Vec<Digest> = batch.iter().map(lot).collect();
    let rank = |(place, proposal): (usize, &Proposal)| {
        let due = if overdue(proposal, input) { Some(0) } else { proposal.hint.deadline };
        let [b0, b1, b2, b3, b4, b5, b6, b7, ..] = lots[place].0;
        Rank {
            class: aged(proposal, input),
            is_never_due: due.is_none(),
            due: due.unwrap_or_default(),
            lot: u64::from_be_bytes([b0, b1, b2, b3, b4, b5, b6, b7]),
            place,
        }
    };
    let mut ranks: Vec<_> = batch.iter().enumerate().map(rank).collect();
    ranks.sort_unstable_by(|a, b| {
        let first = |rank: &Rank| (rank.class, rank.is_never_due, rank.due, rank.lot);
        let last = |rank: &Rank| {
            let proposal = &batch[rank.place];
            (&lots[rank.place], &proposal.id, proposal.attempt)
        };
        // Of those that are equal, either may come first.
        first(a).cmp(&first(b)).then_with(|| last(a).cmp(&last(b)))
    });
    ranks.into_iter().map(|rank| rank.place).collect()
}

/// What decides about a proposal's turn in nearly all cases.
struct Rank {
    class: Class,
    is_never_due: bool,
    due: u64,
    /// How its lot begins.
    lot: u64,
    /// Its place in the batch.
    place: usize,
}

/// Whether it waited on after its class could rise no more: then it goes before every deadline.
fn overdue(proposal: &Proposal, input: &RoundInput) -> bool {
    let waited = input.round.0.saturating_sub(proposal.born.0.saturating_add(1));
    waited / input.policy.aging.max(1) > proposal.hint.class.index() as u64
}

/// The class after waiting: one step up for each `aging` rounds since the intent was born.
fn aged(proposal: &Proposal, input: &RoundInput) -> Class {
    let waited = input.round.0.saturating_sub(proposal.born.0.saturating_add(1));
    proposal.hint.class.raised(waited / input.policy.aging.max(1))
}
