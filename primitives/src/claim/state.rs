//! The word that decides about a slot: what it is used for, for the how manyeth time, and who looks at it.

const PINS: u32 = 20;
const MOST_PINS: u64 = (1 << PINS) - 1;
const KIND_ONE: u64 = 1 << PINS;
const KINDS: u64 = 0b111 << PINS;
const GENERATION_ONE: u64 = KIND_ONE << 3;

/// What a slot is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Kind {
    /// For nothing: it stands in a free list, or one thread has it to itself.
    Free = 0,
    /// A claim that somebody holds, or held until its lease was over.
    Held = 1,
    /// A claim whose token is used up and whose next token is not issued yet.
    Moving = 2,
    /// An id that was completed.
    Done = 3,
    /// For nothing any more, but it may stand in its chain, and its key may be looked at.
    Dead = 4,
    /// As `Dead`, without a key.
    Blank = 5,
}

/// Generation, kind and number of pins of a slot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct State(pub(super) u64);

impl State {
    /// Never used.
    pub(super) const NEW: State = State(0);

    #[inline]
    pub(super) fn kind(self) -> Kind {
        match (self.0 & KINDS) >> PINS {
            0 => Kind::Free,
            1 => Kind::Held,
            2 => Kind::Moving,
            3 => Kind::Done,
            4 => Kind::Dead,
            _ => Kind::Blank,
        }
    }

    #[inline]
    pub(super) fn is(self, kind: Kind) -> bool {
        self.kind() == kind
    }

    /// Whether an id stands behind it that can be found.
    #[inline]
    pub(super) fn is_live(self) -> bool {
        matches!(self.kind(), Kind::Held | Kind::Moving | Kind::Done)
    }

    /// Whether it has a key.
    #[inline]
    pub(super) fn has_key(self) -> bool {
        self.is_live() || self.is(Kind::Dead)
    }

    /// How often the slot was given to another claim or its claim to another owner.
    #[inline]
    pub(super) fn generation(self) -> u64 {
        self.0 / GENERATION_ONE
    }

    /// The same with another kind.
    #[inline]
    pub(super) fn turned(self, kind: Kind) -> State {
        State(self.0 & !KINDS | (kind as u64) << PINS)
    }

    /// The next generation.
    #[inline]
    pub(super) fn next(self) -> State {
        State(self.0.wrapping_add(GENERATION_ONE))
    }

    #[inline]
    pub(super) fn pins(self) -> u64 {
        self.0 & MOST_PINS
    }

    /// With one pin more; `None` beyond a million, which so many threads would have to set at once.
    #[inline]
    pub(super) fn pinned(self) -> Option<State> {
        (self.pins() < MOST_PINS).then_some(State(self.0 + 1))
    }

    /// Whether this and `other` are the same life of the slot, with the same token.
    #[inline]
    pub(super) fn same_token(self, other: State) -> bool {
        (self.0 ^ other.0) & !MOST_PINS == 0
    }
}

#[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn the_parts_do_not_touch_each_other() {
        let kinds = [Kind::Free, Kind::Held, Kind::Moving, Kind::Done, Kind::Dead, Kind::Blank];
        for kind in kinds {
            let state = State::NEW.next().next().turned(kind).pinned().unwrap();
            assert_eq!((state.kind(), state.generation(), state.pins()), (kind, 2, 1));
            assert!(!state.same_token(state.next()));
        }
        let mut state = State(MOST_PINS - 1).turned(Kind::Held);
        state = state.pinned().unwrap();
        assert_eq!((state.kind(), state.generation()), (Kind::Held, 0));
        assert!(state.pinned().is_none());
        assert_eq!(State(u64::MAX).next().generation(), 0);
    }
}
