//! What the proposals of a round touch, in a few numbers each: judged in an order that no cache foresees, they are not looked at
//! themselves.

use std::hash::{Hash, Hasher};
use std::hint::black_box;

use queenright_primitives::conflict::{Clash, ConflictIndex, KeyNumber, Numbered, Position};
use queenright_primitives::paged::Slot;
use queenright_primitives::proposal::{Hierarchy, Mode, Read};

use crate::key::Key;
use crate::op::Operator;
use crate::proposal::{Precondition, Proposal};
use crate::state::State;

/// A key of a round, or a prefix of one, in a few words.
#[derive(Clone, Copy)]
pub(super) struct Name<'a> {
    key: &'a Key,
    /// How many bytes of it.
    bytes: u16,
    /// What no other key of the state has, or [`NONE`](Self::NONE) for prefixes and for keys that the state does not know by number: these are
    /// told apart by what they are.
    number: u32,
}

impl<'a> Name<'a> {
    const NONE: u32 = u32::MAX;

    /// Of a key that the state keeps there.
    #[inline]
    fn of(key: &'a Key, slot: Slot) -> Self {
        // A key has 1024 bytes at most, and a state fewer keys than 32 bits count.
        let number = slot.number().unwrap_or(Self::NONE);
        Name { key, bytes: key.as_str().len() as u16, number }
    }

    /// The key, or the prefix.
    pub(super) fn as_str(&self) -> &'a str {
        let path = self.key.as_str();
        path.get(..usize::from(self.bytes)).unwrap_or(path)
    }
}

impl PartialEq for Name<'_> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
            && (self.number != Self::NONE || self.as_str() == other.as_str())
    }
}

impl Eq for Name<'_> {}

impl Hash for Name<'_> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.number {
            Self::NONE => self.as_str().hash(state),
            number => number.hash(state),
        }
    }
}

impl Hierarchy for Name<'_> {
    fn parent(self) -> Option<Self> {
        let above = self.as_str().parent()?;
        Some(Name { bytes: above.len() as u16, number: Self::NONE, ..self })
    }

    #[inline]
    fn id(self) -> Option<u32> {
        (self.number != Self::NONE).then_some(self.number)
    }

    fn as_prefix(self) -> Self {
        Name { number: Self::NONE, ..self }
    }
}

/// What proposals touch, as it is gathered.
pub(super) struct Gathered<'a> {
    writes: Vec<&'a Key>,
    modes: Vec<Mode<Operator>>,
    reads: Vec<&'a Key>,
    under: Vec<Name<'a>>,
    begins: Vec<Begin>,
}

/// Where those of a place begin.
#[derive(Clone, Copy)]
struct Begin {
    reads: u32,
    under: u32,
    writes: u32,
    /// Whether some of the writes may go with others.
    commutes: bool,
}

impl<'a> Gathered<'a> {
    pub(super) fn with_room_for(batch: &[Proposal]) -> Self {
        let reads = batch.iter().map(|it| it.reads.len() + it.preconditions.len()).sum();
        let writes = batch.iter().map(|it| it.writes.len()).sum();
        Gathered {
            writes: Vec::with_capacity(writes),
            modes: Vec::with_capacity(writes),
            reads: Vec::with_capacity(reads),
            under: Vec::new(),
            begins: Vec::with_capacity(batch.len() + 1),
        }
    }

    /// Adds that of the next place; `None`: it touches nothing.
    #[inline]
    pub(super) fn push(&mut self, proposal: Option<&'a Proposal>) {
        let mut begin = self.end();
        if let Some(proposal) = proposal {
            for read in &proposal.reads {
                match read {
                    Read::Key(key) => self.reads.push(key),
                    Read::Under(prefix) => self.under.push(Name::of(prefix, Slot::NONE)),
                }
            }
            self.reads.extend(proposal.preconditions.iter().map(Precondition::key));
            for (key, op) in &proposal.writes {
                let mode = op.operator().mode();
                begin.commutes |= mode != Mode::Exclusive;
                self.writes.push(key);
                self.modes.push(mode);
            }
        }
        self.begins.push(begin);
    }

    /// Where those of the next place would begin.
    ///
    /// # Panics
    /// If a round touches more than 2³² keys: it does not fit into memory.
    #[inline]
    fn end(&self) -> Begin {
        let count = |count: usize| u32::try_from(count).expect("a round touches fewer keys");
        Begin {
            reads: count(self.reads.len()),
            under: count(self.under.len()),
            writes: count(self.writes.len()),
            commutes: false,
        }
    }

    /// With numbers for all keys.
    pub(super) fn numbered(mut self, state: &'a State) -> Footprints<'a> {
        self.begins.push(self.end());
        let Gathered { reads, under, writes, modes, begins } = self;
        let names = names(state, writes.iter().chain(&reads).copied());
        let mut index = ConflictIndex::new();
        let mut numbers = Vec::new();
        index.number(&names, &mut numbers);
        let reads = numbers.split_off(writes.len());
        let writes = numbers.into_iter().zip(modes).collect();
        Footprints { index, reads, under, writes, begins }
    }
}

/// Names of keys: of those that do not know where they are kept, the places are looked for.
fn names<'a>(state: &State, keys: impl Iterator<Item = &'a Key> + Clone) -> Vec<Name<'a>> {
    let mut is_any_unknown = false;
    let name = |key: &'a Key| {
        is_any_unknown |= !state.entries.knows(key.slot());
        Name::of(key, key.slot())
    };
    let names: Vec<_> = keys.clone().map(name).collect();
    if !is_any_unknown {
        return names;
    }
    let keys: Vec<&Key> = keys.collect();
    let slots = state.entries.slots(&keys, Key::slot);
    keys.into_iter().zip(slots).map(|(key, slot)| Name::of(key, slot)).collect()
}

/// From how many proposals on what they touch does not stay in cache.
const WIDE: usize = 4096;

/// By place in the batch.
pub(super) struct Footprints<'a> {
    index: ConflictIndex<Name<'a>, Operator>,
    reads: Vec<KeyNumber>,
    under: Vec<Name<'a>>,
    writes: Vec<(KeyNumber, Mode<Operator>)>,
    /// In the end, where the last end.
    begins: Vec<Begin>,
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
            black_box(self.writes.get(self.begins[place].writes as usize).copied());
            black_box(self.reads.get(self.begins[place].reads as usize).copied());
        }
        for &place in places {
            let (begin, end) = (self.begins[place], self.begins[place + 1]);
            let reads = self.reads[begin.reads as usize..end.reads as usize].iter().copied();
            let writes = self.writes[begin.writes as usize..end.writes as usize].iter();
            self.index.look_ahead(reads.chain(writes.map(|(number, _)| *number)));
        }
    }

    /// Where a place can go among those admitted, by rule 6. It is admitted under the number `who`, if `may_stand` says so; that is asked only if
    /// what it does to some key may be done beside others.
    #[inline]
    pub(super) fn try_admit<E>(
        &mut self,
        place: usize,
        who: usize,
        clashes: impl FnOnce(Clash<Name<'a>>) -> E,
        may_stand: impl FnOnce() -> Result<(), E>,
    ) -> Result<Position, E> {
        let (begin, end) = (self.begins[place], self.begins[place + 1]);
        let footprint = Numbered {
            reads: &self.reads[begin.reads as usize..end.reads as usize],
            under: &self.under[begin.under as usize..end.under as usize],
            writes: &self.writes[begin.writes as usize..end.writes as usize],
        };
        let position = self.index.check_numbered(footprint).map_err(clashes)?;
        if begin.commutes {
            may_stand()?;
        }
        self.index.admit_numbered(who, footprint);
        Ok(position)
    }

    /// Whether what it does to some key may be done beside others.
    #[inline]
    pub(super) fn commutes(&self, place: usize) -> bool {
        self.begins[place].commutes
    }
}
