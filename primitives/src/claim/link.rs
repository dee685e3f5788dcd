//! Links of chains and of free lists: an index, and a tag that each change of the link moves on.

/// How many bits name a slot.
const INDEX: u32 = 24;
const END: u64 = (1 << INDEX) - 1;
const FROZEN: u64 = 1 << INDEX;
const TAG_ONE: u64 = FROZEN << 1;

/// The most slots that links can tell apart.
pub(super) const MOST: usize = END as usize;

/// The slot that comes next, if any, and the tag: what a `u64` of a chain or of a free list says.
///
/// A compare-and-swap of a link succeeds only if the link never changed since it was read, because each change moves
/// the tag on. The tag has 39 bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Link(pub(super) u64);

impl Link {
    /// The end of a chain that was never changed.
    pub(super) const NEW: Link = Link(END);

    #[inline]
    pub(super) fn index(self) -> Option<usize> {
        let index = self.0 & END;
        (index != END).then_some(index as usize)
    }

    /// What takes this link's place to name another slot.
    #[inline]
    pub(super) fn renamed(self, index: Option<usize>) -> Link {
        let index = index.map_or(END, |index| index as u64);
        Link((self.0 & !(TAG_ONE - 1)).wrapping_add(TAG_ONE) | index)
    }

    /// Whether the slot that has this link as its own is dead, so that the link never changes again while the slot stands
    /// in a chain.
    #[inline]
    pub(super) fn is_frozen(self) -> bool {
        self.0 & FROZEN != 0
    }

    /// The bit that freezes it.
    pub(super) const FREEZE: u64 = FROZEN;
}

#[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_change_moves_the_tag_on_and_thaws() {
        let first = Link::NEW.renamed(Some(7));
        assert_eq!((Link::NEW.index(), first.index()), (None, Some(7)));
        let frozen = Link(first.0 | Link::FREEZE);
        assert!(frozen.is_frozen() && frozen.index() == Some(7));
        assert!(!frozen.renamed(None).is_frozen());
        assert!(first.renamed(Some(7)) != first);
        // After the last tag comes the first one.
        let last = Link(u64::MAX);
        assert_eq!(last.renamed(Some(MOST - 1)).index(), Some(MOST - 1));
        assert!(last.renamed(None) == Link::NEW);
    }
}
