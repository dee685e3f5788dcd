//! A heap of numbers, each of which has four children.

/// The smallest number first. Half as deep as a binary heap, and four children of 16 bytes fill a cache line.
#[derive(Debug, Default)]
pub(super) struct Heap(Vec<u128>);

const CHILDREN: usize = 4;

impl Heap {
    pub(super) fn first(&self) -> Option<u128> {
        self.0.first().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// O(log n), and O(1) for one that goes behind most others.
    #[inline]
    pub(super) fn push(&mut self, number: u128) {
        let at = self.0.len();
        self.0.push(number);
        self.rise(at, number);
    }

    /// O(log n).
    #[inline]
    pub(super) fn pop(&mut self) -> Option<u128> {
        let last = self.0.pop()?;
        let Some(first) = self.0.first().copied() else { return Some(last) };
        self.sink(last);
        Some(first)
    }

    /// The same numbers with all bits turned. O(n log n).
    pub(super) fn turned(&self) -> Heap {
        let mut turned: Vec<u128> = self.0.iter().map(|number| !number).collect();
        // In order, they are a heap.
        turned.sort_unstable();
        Heap(turned)
    }

    /// Keeps what `keep` turns into another number; the order of those must be the same. O(n log n).
    pub(super) fn renumber(&mut self, mut keep: impl FnMut(u128) -> Option<u128>) {
        let mut kept: Vec<u128> = self.0.iter().filter_map(|&number| keep(number)).collect();
        // In order, they are a heap.
        kept.sort_unstable();
        self.0 = kept;
    }

    /// Puts `number` where it belongs between `at` and the root.
    fn rise(&mut self, mut at: usize, number: u128) {
        while at > 0 {
            let parent = (at - 1) / CHILDREN;
            if self.0[parent] <= number {
                break;
            }
            self.0[at] = self.0[parent];
            at = parent;
        }
        self.0[at] = number;
    }

    /// Puts `number` in place of the root: leads the gap down to a leaf along the smallest children, and lets the
    /// number rise from there, as it came from a leaf and seldom rises far.
    fn sink(&mut self, number: u128) {
        let mut gap = 0;
        loop {
            let children = CHILDREN * gap + 1;
            let smallest = match self.0.get(children..children + CHILDREN) {
                Some(four) => {
                    let left = usize::from(four[1] < four[0]);
                    let right = 2 + usize::from(four[3] < four[2]);
                    children + if four[right] < four[left] { right } else { left }
                }
                None => match (children..self.0.len()).min_by_key(|&child| self.0[child]) {
                    Some(child) => child,
                    None => break,
                },
            };
            self.0[gap] = self.0[smallest];
            gap = smallest;
        }
        self.rise(gap, number);
    }
}
