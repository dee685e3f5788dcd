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
    let mut turns = Vec::with_capacity(batch.len());
    let first = batch.first().map(|proposal| urgency(proposal, input));
    let mut are_alike = true;
    for (place, proposal) in batch.iter().enumerate() {
        are_alike &= Some(urgency(proposal, input)) == first;
        turns.push((lots.draw(proposal.id.as_str()), place));
    }
    sort(&mut turns);
    let repeated = among_equals(&mut turns, batch);
    let mut places: Vec<usize> = turns.into_iter().map(|(_, place)| place).collect();
    if !are_alike {
        // Stable.
        places.sort_by_cached_key(|place| urgency(&batch[*place], input));
    }
    Order { places, repeated }
}

/// What comes before the lot: the class, raised by one for each `aging` rounds since the intent was born, and the deadline.
#[inline]
fn urgency(proposal: &Proposal, input: &RoundInput) -> (u8, Due) {
    let waited = input.round.0.saturating_sub(proposal.born.0.saturating_add(1));
    let aging = input.policy.aging.max(1);
    // One division less, mostly.
    let steps = if waited < aging { 0 } else { waited / aging };
    let class = proposal.hint.class;
    // Who waited on after its class could rise no more goes before every deadline.
    let is_overdue = steps > class.index() as u64;
    let due = if is_overdue { Some(0) } else { proposal.hint.deadline };
    (class.raised(steps).index() as u8, due.into())
}

/// By lot. They are as good as random, so that nearly all are where they belong once each is put where it would be if they were spread evenly.
fn sort(turns: &mut Vec<(u64, usize)>) {
    const FEW: usize = 16;
    const MANY: usize = 1 << 16;
    if turns.len() <= FEW || turns.len() > MANY {
        return turns.sort_unstable();
    }
    let bits = turns.len().next_power_of_two().trailing_zeros();
    let part = |lot: u64| (lot >> (64 - bits)) as usize;
    let mut ends = vec![0_u32; 1 << bits];
    turns.iter().for_each(|(lot, _)| ends[part(*lot)] += 1);
    let mut end = 0;
    for part in &mut ends {
        end += *part;
        *part = end;
    }
    let mut sorted = vec![(0, 0); turns.len()];
    for &turn in turns.iter() {
        let end = &mut ends[part(turn.0)];
        *end -= 1;
        sorted[*end as usize] = turn;
    }
    // So many steps are far more than are needed, but for whoever has chosen ids that have all the same lot.
    let mut left = 8 * sorted.len();
    for next in 1..sorted.len() {
        let mut at = next;
        while at > 0 && sorted[at] < sorted[at - 1] {
            sorted.swap(at, at - 1);
            at -= 1;
            left -= 1;
            if left == 0 {
                sorted.sort_unstable();
                *turns = sorted;
                return;
            }
        }
    }
    *turns = sorted;
}

/// Those of one lot by id and attempt. One id has one lot, so that its proposals are neighbours: the ids of which there are several.
fn among_equals<'a>(turns: &mut [(u64, usize)], batch: &'a [Proposal]) -> Set<&'a ProposalId> {
    let mut repeated = Set::default();
    let mut begin = 0;
    while begin + 1 < turns.len() {
        let lot = turns[begin].0;
        if turns[begin + 1].0 != lot {
            begin += 1;
            continue;
        }
        let count = turns[begin..].iter().take_while(|turn| turn.0 == lot).count();
        let equals = &mut turns[begin..begin + count];
        let named = |turn: &(u64, usize)| (&batch[turn.1].id, batch[turn.1].attempt);
        equals.sort_unstable_by(|a, b| named(a).cmp(&named(b)));
        let ids = equals.windows(2).map(|two| [two[0], two[1]].map(|turn| &batch[turn.1].id));
        repeated.extend(ids.filter(|[a, b]| a == b).map(|[id, _]| id));
        begin += count;
    }
    repeated
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
