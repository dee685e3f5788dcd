//! What the proposals of a round touch, in a few numbers each: judged in an order that no cache foresees, they are not looked at
//! themselves.

use std::hint::black_box;

use queenright_primitives::conflict::{Clash, ConflictIndex, KeyNumber, Numbered, Position};
use queenright_primitives::proposal::{Mode, Read};

use crate::key::Key;
use crate::op::{Op, Operator};
use crate::proposal::Proposal;

/// What proposals touch, as it is gathered.
pub(super) struct Gathered<'a> {
    reads: Vec<&'a str>,
    under: Vec<&'a str>,
    writes: Vec<(&'a str, Mode<Operator>)>,
    begins: Vec<Begin>,
}

/// Where those of a place begin.
#[derive(Clone, Copy)]
struct Begin {
    reads: usize,
    under: usize,
    writes: usize,
}

impl<'a> Gathered<'a> {
    pub(super) fn with_room_for(batch: &[Proposal]) -> Self {
        let mut begins = Vec::with_capacity(batch.len() + 1);
        begins.push(Begin { reads: 0, under: 0, writes: 0 });
        let reads = batch.iter().map(|it| it.reads.len() + it.preconditions.len()).sum();
        let writes = batch.iter().map(|it| it.writes.len()).sum();
        let (reads, writes) = (Vec::with_capacity(reads), Vec::with_capacity(writes));
        Gathered { reads, under: Vec::new(), writes, begins }
    }

    /// Adds that of the next place; `None`: it touches nothing.
    #[inline]
    pub(super) fn push(&mut self, proposal: Option<&'a Proposal>) {
        let Gathered { reads, under, writes, begins } = self;
        if let Some(proposal) = proposal {
            for read in &proposal.reads {
                match read {
                    Read::Key(key) => reads.push(key.as_str()),
                    Read::Under(prefix) => under.push(prefix.as_str()),
                }
            }
            reads.extend(proposal.preconditions.iter().map(|it| it.key().as_str()));
            let write = |(key, op): &'a (Key, Op)| (key.as_str(), op.operator().mode());
            writes.extend(proposal.writes.iter().map(write));
        }
        begins.push(Begin { reads: reads.len(), under: under.len(), writes: writes.len() });
    }
}

/// From how many proposals on what they touch does not stay in cache.
const WIDE: usize = 4096;

/// By place in the batch.
pub(super) struct Footprints<'a> {
    index: ConflictIndex<&'a str, Operator>,
    reads: Vec<KeyNumber>,
    under: Vec<&'a str>,
    writes: Vec<(KeyNumber, Mode<Operator>)>,
    /// In the end, where the last end.
    begins: Vec<Begin>,
}

impl<'a> From<Gathered<'a>> for Footprints<'a> {
    fn from(gathered: Gathered<'a>) -> Self {
        let Gathered { reads, under, writes, begins } = gathered;
        let mut index = ConflictIndex::new();
        // As far as that many are sensible: who sends more pays for it as they are looked at.
        index.reserve(usize::min(reads.len() + writes.len(), 1 << 16));
        let mut number = |keys: &[&'a str]| {
            let mut numbers = Vec::with_capacity(keys.len());
            index.number(keys, &mut numbers);
            numbers
        };
        let written = number(&writes.iter().map(|(key, _)| *key).collect::<Vec<_>>());
        let reads = number(&reads);
        let writes = written.into_iter().zip(writes).map(|(number, (_, mode))| (number, mode));
        Footprints { writes: writes.collect(), index, reads, under, begins }
    }
}

impl<'a> Footprints<'a> {
    /// Looks at those whose turn comes next, each step for all of them, so that their memory is asked for at once.
    pub(super) fn look_ahead(&self, places: &[usize]) {
        if self.begins.len() < WIDE {
            return;
        }
        let begins = |all, place: &usize| all ^ self.begins[*place].reads;
        black_box(places.iter().fold(0, begins));
        for &place in places {
            black_box(self.writes.get(self.begins[place].writes).copied());
            black_box(self.reads.get(self.begins[place].reads).copied());
        }
        for &place in places {
            let (begin, end) = (self.begins[place], self.begins[place + 1]);
            let reads = self.reads[begin.reads..end.reads].iter().copied();
            let writes = self.writes[begin.writes..end.writes].iter().map(|(number, _)| *number);
            self.index.look_ahead(reads.chain(writes));
        }
    }

    /// Whether what it does to any key may be done beside others.
    pub(super) fn commutes(&self, place: usize) -> bool {
        self.writes[self.begins[place].writes..self.begins[place + 1].writes]
            .iter()
            .any(|(_, mode)| *mode != Mode::Exclusive)
    }

    /// Where it can go among those admitted, by rule 6.
    #[inline]
    pub(super) fn check(&mut self, place: usize) -> Result<Position, Clash<&'a str>> {
        let (index, footprint) = self.of(place);
        index.check_numbered(footprint)
    }

    /// Records it under the number `who`.
    #[inline]
    pub(super) fn admit(&mut self, place: usize, who: usize) {
        let (index, footprint) = self.of(place);
        index.admit_numbered(who, footprint);
    }

    #[inline]
    fn of(
        &mut self,
        place: usize,
    ) -> (&mut ConflictIndex<&'a str, Operator>, Numbered<'_, &'a str, Operator>) {
        let (begin, end) = (self.begins[place], self.begins[place + 1]);
        let footprint = Numbered {
            reads: &self.reads[begin.reads..end.reads],
            under: &self.under[begin.under..end.under],
            writes: &self.writes[begin.writes..end.writes],
        };
        (&mut self.index, footprint)
    }
}
