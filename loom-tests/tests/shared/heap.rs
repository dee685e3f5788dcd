//! A heap on which a mistake with freed memory shows, rather than crash or pass by luck.
//!
//! Loom runs all threads of a model on one thread of the system, so both habits are kept per thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// How many freed blocks are kept as they were. One run of a model frees fewer.
const KEPT: usize = 1024;

const NOTHING: (*mut u8, Layout) = (std::ptr::null_mut(), Layout::new::<()>());

thread_local! {
    static FREED: [Cell<(*mut u8, Layout)>; KEPT] = const { [const { Cell::new(NOTHING) }; KEPT] };
    static OLDEST: Cell<usize> = const { Cell::new(0) };
    static REUSE: Cell<bool> = const { Cell::new(false) };
}

/// Frees late by default, so that a read after free finds what the drop left there and loom, which kept
/// the drop on record, can name the pair.
pub(crate) struct Heap;

#[global_allocator]
static HEAP: Heap = Heap;

/// Runs `body` with the system's own habit, which is to give the block that was freed last out again first: as an
/// ABA needs it.
pub(crate) fn with_reuse(body: impl FnOnce()) {
    REUSE.set(true);
    body();
    REUSE.set(false);
}

/// Puts a freed block away, and says which block is to be freed in its place.
fn put_away(block: *mut u8, layout: Layout) -> (*mut u8, Layout) {
    if REUSE.get() {
        return (block, layout);
    }
    let place = OLDEST.get();
    OLDEST.set((place + 1) % KEPT);
    FREED.with(|freed| freed[place].replace((block, layout)))
}

// SAFETY: every block comes from the system's heap, goes to one owner at a time, and goes back there
// with its own layout, once.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let (block, layout) = put_away(block, layout);
        if !block.is_null() {
            // SAFETY: the block was put away when it was freed, with the layout it was allocated with.
            unsafe { System.dealloc(block, layout) };
        }
    }
}
