//! Whose turn it is: an order that no agent controls, and that starves none.

use siphasher::sip::SipHasher13;

use super::{RoundInput, Set};
use crate::encoding::Sink;
use crate::id::ProposalId;
use crate::proposal::Proposal;

/// The order in which a batch is judged: by class, deadline and lot, and then by id and attempt. Of those that are equal in all
/// of it, either may come first.
pub(super) struct Order<'a> {
    /// The places in the batch.
    pub(super) places: Vec<usize>,
    /// The intents of which the batch holds several proposals: only these need to be remembered within the round.
    pub(super) repeated: Set<&'a ProposalId>,
}

pub(super) fn order<'a>(batch: &'a [Proposal], input: &RoundInput) -> Order<'a> {
    let lots = Lots::of(input);
    let aging = input.policy.aging.max(1);
    let turn = |(place, proposal): (usize, &Proposal)| {
        let waited = input.round.0.saturating_sub(proposal.born.0.saturating_add(1));
        // The class rises by one for each `aging` rounds since the intent was born.
        let (class, steps) = (proposal.hint.class, waited / aging);
        // Who waited on after its class could rise no more goes before every deadline.
        let is_overdue = steps > class.index() as u64;
        let due = if is_overdue { Some(0) } else { proposal.hint.deadline };
        let class = class.raised(steps).index() as u8;
        Turn { lot: lots.draw(proposal.id.as_str()), class, due: due.into(), place }
    };
    let mut turns: Vec<_> = batch.iter().enumerate().map(turn).collect();
    turns.sort_unstable_by(|a, b| {
        let named = |turn: &Turn| (&batch[turn.place].id, batch[turn.place].attempt);
        a.lot.cmp(&b.lot).then_with(|| named(a).cmp(&named(b)))
    });
    // One id has one lot, so that its proposals are neighbours now.
    let id = |turn: &Turn| &batch[turn.place].id;
    let repeated = |two: &[Turn]| two[0].lot == two[1].lot && id(&two[0]) == id(&two[1]);
    let repeated = turns.windows(2).filter(|two| repeated(two)).map(|two| id(&two[0])).collect();
    // Stable, and one look if all are as urgent, which is usual.
    turns.sort_by_key(|turn| (turn.class, turn.due));
    Order { places: turns.into_iter().map(|turn| turn.place).collect(), repeated }
}

/// What decides about a proposal's turn in nearly all cases.
struct Turn {
    lot: u64,
    class: u8,
    due: Due,
    /// Its place in the batch.
    place: usize,
}

/// When a proposal must be served: at a time before never.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
enum Due {
    At(u64),
    Never,
}

impl From<Option<u64>> for Due {
    fn from(due: Option<u64>) -> Self {
        due.map_or(Due::Never, Due::At)
    }
}

/// The lots of one round: SipHash-1-3 of the id, under a key that is blake3's of seed and round. No id always wins, and who does
/// not know the seed can neither choose an id that does nor learn from many rounds which one will.
struct Lots(SipHasher13);

impl Lots {
    fn of(input: &RoundInput) -> Self {
        let mut sink = Sink::new();
        let [seed, round] = [input.seed, input.round.0].map(u64::to_le_bytes);
        let digest = sink.bytes(&seed).bytes(&round).finish();
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
