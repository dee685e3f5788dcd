//! `std`'s own.

pub(crate) use super::cell::UnsafeCell;
use super::numbers::Numbers;
use std::cell::Cell;

pub(crate) use std::hint::spin_loop;
pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence,
};
pub(crate) use std::thread::{Thread, current, park, park_timeout, sleep, yield_now};

/// The first of the two in a model, where every step multiplies what is to be explored.
pub(crate) const fn model_or(_model: usize, normal: usize) -> usize {
    normal
}

/// A Relaxed load before an exchange, which it saves or says what to expect of.
#[inline]
pub(crate) fn guess<T>(pointer: &AtomicPtr<T>) -> *mut T {
    pointer.load(Ordering::Relaxed)
}

/// A number that this thread keeps, different from that of most others.
#[inline]
pub(crate) fn thread_number() -> usize {
    thread_local!(static NUMBER: Cell<usize> = const { Cell::new(0) });
    // A thread that is being torn down shares the first number.
    let number = NUMBER.try_with(Cell::get).unwrap_or(1);
    if number != 0 { number } else { first_number(|number| NUMBER.set(number)) }
}

#[cold]
fn first_number(keep: impl FnOnce(usize)) -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    // Relaxed: only the numbers matter. After a wrap-around, 0 just asks again.
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    keep(number);
    number
}

/// A small number that no other living thread has: one of 64, and the smallest of these when the thread first asks. `None` if
/// there was none then, or if this thread is being torn down. Whoever has a number comes after whoever had it before.
#[inline]
pub(crate) fn own_number() -> Option<usize> {
    match OWN_NUMBER.try_with(Cell::get) {
        Ok(UNKNOWN) => first_own_number(),
        Ok(NO_NUMBER) | Err(_) => None,
        Ok(number) => Some(number as usize),
    }
}

thread_local! {
    static OWN_NUMBER: Cell<u32> = const { Cell::new(UNKNOWN) };
    static LENT: Lent = const { Lent(Cell::new(NO_NUMBER)) };
}

const UNKNOWN: u32 = u32::MAX;
const NO_NUMBER: u32 = UNKNOWN - 1;

static NUMBERS: Numbers = Numbers::new();

/// Gives the thread's number back when it ends.
struct Lent(Cell<u32>);

#[cold]
fn first_own_number() -> Option<usize> {
    // Asked for first, so that what is lent is given back, too.
    let lent = LENT.try_with(|lent| {
        let number = NUMBERS.lend();
        lent.0.set(number.unwrap_or(NO_NUMBER));
        number
    });
    let number = lent.ok().flatten();
    OWN_NUMBER.set(number.unwrap_or(NO_NUMBER));
    number.map(|number| number as usize)
}

impl Drop for Lent {
    fn drop(&mut self) {
        // What else runs while the thread is torn down has no number.
        let _ = OWN_NUMBER.try_with(|number| number.set(NO_NUMBER));
        if self.0.get() != NO_NUMBER {
            NUMBERS.give_back(self.0.get());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Barrier;
    use std::thread;

    use super::own_number;

    #[test]
    fn no_two_living_threads_have_the_same_number() {
        const THREADS: usize = 70;
        let all_have_asked = Barrier::new(THREADS);
        let numbers: Vec<_> = thread::scope(|scope| {
            let ask = || {
                let number = own_number();
                all_have_asked.wait();
                assert_eq!(own_number(), number);
                number
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        assert!(!numbers.is_empty() && numbers.iter().all(|number| *number < 64));
        assert_eq!(numbers.iter().collect::<HashSet<_>>().len(), numbers.len());
    }

    #[test]
    fn numbers_are_used_again() {
        // More threads than there are numbers, one after another.
        let have_one = (0..1000).filter(|_| thread::spawn(own_number).join().unwrap().is_some());
        // All but those that start while another test has all the numbers.
        assert!(have_one.count() > 64);
    }
}
