//! What the proposals of a round touch, in a few numbers each: judged in an order that no cache foresees, they are not looked at
//! themselves.

use std::hash::{Hash, Hasher};
use std::hint::black_box;

use queenright_primitives::conflict::{Clash, ConflictIndex, KeyNumber, Numbered, Position};
use queenright_primitives::paged::Slot;
use queenright_primitives::proposal::{Hierarchy, Mode, Read};

use crate::key::Key;
use crate::op::Operator;
use crate::proposal::Proposal;
use crate::state::State;

/// A key of a round, or a prefix of one, in a few words.
#[derive(Clone, Copy)]
pub(super) struct Name<'a> {
    key: &'a Key,
    /// So many bytes of it, or all.
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
        // A state has fewer keys than 32 bits count. How long the key is is not looked at, as that is in its text.
        Name { key, bytes: u16::MAX, number: slot.number().unwrap_or(Self::NONE) }
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
        // A key has 1024 bytes at most.
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
    state: &'a State,
    writes: Vec<Name<'a>>,
    modes: Vec<Mode<Operator>>,
    reads: Vec<Name<'a>>,
    /// Whether some of these keys do not know where they are kept.
    is_any_unknown: bool,
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
    pub(super) fn with_room_for(state: &'a State, batch: &[Proposal]) -> Self {
        // Most touch no more.
        let few = 2 * batch.len();
        Gathered {
            state,
            is_any_unknown: false,
            writes: Vec::with_capacity(few),
            modes: Vec::with_capacity(few),
            reads: Vec::with_capacity(few),
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
                    Read::Key(key) => {
                        let name = self.name(key);
                        self.reads.push(name);
                    }
                    Read::Under(prefix) => self.under.push(Name::of(prefix, Slot::NONE)),
                }
            }
            for precondition in &proposal.preconditions {
                let name = self.name(precondition.key());
                self.reads.push(name);
            }
            for (key, op) in &proposal.writes {
                let mode = op.operator().mode();
                begin.commutes |= mode != Mode::Exclusive;
                let name = self.name(key);
                self.writes.push(name);
                self.modes.push(mode);
            }
        }
        self.begins.push(begin);
    }

    #[inline]
    fn name(&mut self, key: &'a Key) -> Name<'a> {
        self.is_any_unknown |= !self.state.entries.knows(key.slot());
        Name::of(key, key.slot())
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

    /// With numbers for all keys that are written, and for those of them that are read.
    pub(super) fn numbered(mut self) -> Footprints<'a> {
        self.begins.push(self.end());
        if self.is_any_unknown {
            self.look_for_unknown();
        }
        let Gathered { writes, modes, reads: names, under, mut begins, .. } = self;
        let mut index = ConflictIndex::new();
        let mut numbers = Vec::new();
        index.number(&writes, &mut numbers);
        let writes = numbers.into_iter().zip(modes).collect();
        // What nobody writes is read by whoever likes.
        let mut reads = Vec::with_capacity(names.len());
        let mut begin = 0;
        for begins in &mut begins {
            let end = begins.reads as usize;
            reads.extend(names[begin..end].iter().filter_map(|name| index.numbered(name)));
            begin = end;
            // No more than there were.
            begins.reads = reads.len() as u32;
        }
        Footprints { index, reads, under, writes, begins }
    }

    /// Looks for all keys that do not know where they are kept, together.
    #[cold]
    fn look_for_unknown(&mut self) {
        for names in [&mut self.writes, &mut self.reads] {
            let keys: Vec<&Key> = names.iter().map(|name| name.key).collect();
            let slots = self.state.entries.slots(&keys, Key::slot);
            *names = keys.into_iter().zip(slots).map(|(key, slot)| Name::of(key, slot)).collect();
        }
    }
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
