//! A heap on which a mistake with freed memory shows, rather than crash or pass by luck.
//!
//! Loom runs all threads of a model on one thread of the system, so both habits are kept per thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// How many freed blocks are kept as they were. One run of a model frees fewer.
const KEPT: usize = 1024;

/// What a node of the cell occupies: its version, and the two pointers of loom's `Arc`.
const NODE: Layout = Layout::new::<[u64; 3]>();

const NOTHING: (*mut u8, Layout) = (std::ptr::null_mut(), Layout::new::<()>());

thread_local! {
    static FREED: [Cell<(*mut u8, Layout)>; KEPT] = const { [const { Cell::new(NOTHING) }; KEPT] };
    static OLDEST: Cell<usize> = const { Cell::new(0) };
    /// The last two freed blocks of a node's layout, older first, while reuse is on.
    static SPARE: Cell<Option<[*mut u8; 2]>> = const { Cell::new(None) };
    static REUSED: Cell<usize> = const { Cell::new(0) };
}

/// Frees late by default, so that a read after free finds what the drop left there and loom, which kept
/// the drop on record, can name the pair.
pub(crate) struct Heap;

#[global_allocator]
static HEAP: Heap = Heap;

/// Runs `body` on a heap that gives the blocks of nodes out again at once, as an ABA needs it.
///
/// Says how often it did.
pub(crate) fn with_reuse(body: impl FnOnce()) -> usize {
    SPARE.set(Some([std::ptr::null_mut(); 2]));
    body();
    SPARE.set(None);
    REUSED.get()
}

/// The older of the spare blocks, if any. A node is freed right after the count of its `Arc`, which is of
/// the same layout and allocated first next time: so each goes where it was.
fn take_spare() -> Option<*mut u8> {
    let [older, newer] = SPARE.get()?;
    let (block, rest) = match (older.is_null(), newer.is_null()) {
        (false, _) => (older, [std::ptr::null_mut(), newer]),
        (true, false) => (newer, [std::ptr::null_mut(); 2]),
        (true, true) => return None,
    };
    SPARE.set(Some(rest));
    REUSED.set(REUSED.get() + 1);
    Some(block)
}

/// Puts a freed block away, and says which block is to be freed in its place.
fn put_away(block: *mut u8, layout: Layout) -> (*mut u8, Layout) {
    if layout == NODE
        && let Some([older, newer]) = SPARE.get()
    {
        SPARE.set(Some([newer, block]));
        return (older, layout);
    }
    let place = OLDEST.get();
    OLDEST.set((place + 1) % KEPT);
    FREED.with(|freed| freed[place].replace((block, layout)))
}

// SAFETY: every block comes from the system's heap, goes to one owner at a time, and goes back there
// with its own layout, once.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let spare = if layout == NODE { take_spare() } else { None };
        // SAFETY: the caller's promise is passed on.
        spare.unwrap_or_else(|| unsafe { System.alloc(layout) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let (block, layout) = put_away(block, layout);
        if !block.is_null() {
            // SAFETY: the block was put away when it was freed, with the layout it was allocated with.
            unsafe { System.dealloc(block, layout) };
        }
    }
}
