//! The oneshot pair: no wake-up lost, on a thread or in a task, and no value dropped twice or never.
//!
//! Loom reports a waiter that nobody wakes as a deadlock. It has no clock: `wait_timeout` never times out
//! here, so that only its being woken is modelled.

#![cfg(queenright_loom)]

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use loom::cell::UnsafeCell;
use loom::future::block_on;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use queenright_primitives::notify::{Closed, Receiver, Sender, WaitError, oneshot};

/// A word that the sender leaves beside the pair. Loom panics unless the read comes after the write.
#[derive(Clone)]
struct Note(Arc<UnsafeCell<u32>>);

// SAFETY: loom lets one thread run at a time, and panics where two accesses would race.
unsafe impl Send for Note {}

impl Note {
    fn new() -> Self {
        Note(Arc::new(UnsafeCell::new(0)))
    }

    fn write(&self) {
        // SAFETY: loom panics before the closure runs if any access races with this write.
        self.0.with_mut(|word| unsafe { *word = 1 });
    }

    fn is_written(&self) -> bool {
        // SAFETY: loom panics before the closure runs if a write races with this read.
        self.0.with(|word| unsafe { *word == 1 })
    }
}

/// A waker that counts. `std`'s reference count is invisible to loom, the wakes are not.
struct CountsWakes(AtomicUsize);

impl CountsWakes {
    fn new() -> std::sync::Arc<Self> {
        std::sync::Arc::new(CountsWakes(AtomicUsize::new(0)))
    }

    fn wakes(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for CountsWakes {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A value that counts its drops.
struct CountsDrops(Arc<AtomicUsize>);

impl Drop for CountsDrops {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll<T>(receiver: &mut Receiver<T>, waker: &Waker) -> Poll<Result<T, Closed>> {
    Pin::new(receiver).poll(&mut Context::from_waker(waker))
}

/// The answer that `wait` gets while another thread does `answer` with the sender.
fn answered(
    answer: fn(Sender<u32>),
    wait: fn(Receiver<u32>) -> Result<u32, Closed>,
    expected: Result<u32, Closed>,
) {
    loom::model(move || {
        let (sender, receiver) = oneshot();
        let note = Note::new();
        let giver = {
            let note = note.clone();
            thread::spawn(move || {
                note.write();
                answer(sender);
            })
        };
        assert_eq!(wait(receiver), expected);
        assert!(note.is_written());
        giver.join().unwrap();
    });
}

#[test]
fn a_waiting_thread_is_woken_by_send() {
    answered(|sender| sender.send(7), Receiver::wait, Ok(7));
}

#[test]
fn a_waiting_thread_is_woken_by_the_drop_of_the_sender() {
    answered(drop, Receiver::wait, Err(Closed));
}

#[test]
fn a_thread_that_waits_with_a_timeout_is_woken_by_send() {
    let wait = |mut receiver: Receiver<u32>| {
        receiver.wait_timeout(Duration::MAX).map_err(|error| match error {
            WaitError::Closed => Closed,
            other => panic!("{other}"),
        })
    };
    answered(|sender| sender.send(7), wait, Ok(7));
}

#[test]
fn a_waiting_task_is_woken_by_send() {
    answered(|sender| sender.send(7), block_on, Ok(7));
}

#[test]
fn a_waiting_task_is_woken_by_the_drop_of_the_sender() {
    answered(drop, block_on, Err(Closed));
}

#[test]
fn a_poll_against_send_is_answered_or_woken_once() {
    loom::model(|| {
        let (sender, mut receiver) = oneshot();
        let giver = thread::spawn(move || sender.send(7));
        let count = CountsWakes::new();
        let first = poll(&mut receiver, &Waker::from(count.clone()));
        giver.join().unwrap();
        match first {
            Poll::Ready(answer) => {
                assert_eq!(answer, Ok(7));
                assert_eq!(count.wakes(), 0);
                assert_eq!(receiver.try_take(), Some(Err(Closed)));
            }
            Poll::Pending => {
                assert_eq!(count.wakes(), 1);
                assert_eq!(receiver.try_take(), Some(Ok(7)));
            }
        }
    });
}

#[test]
fn a_task_that_polls_again_with_another_waker_is_woken_through_the_newest() {
    loom::model(|| {
        let (sender, mut receiver) = oneshot();
        let giver = thread::spawn(move || sender.send(7));
        let counts = [CountsWakes::new(), CountsWakes::new()];
        let pending = counts
            .each_ref()
            .map(|count| poll(&mut receiver, &Waker::from(count.clone())).is_pending());
        giver.join().unwrap();
        let wakes = counts.each_ref().map(|count| count.wakes());
        match pending {
            // Answered at once, or while the first waker was the newest.
            [false, _] => assert_eq!(wakes, [0, 0]),
            [true, false] => assert_eq!(wakes, [1, 0]),
            [true, true] => assert_eq!(wakes, [0, 1]),
        }
        // Wakers that are not needed any more are not kept.
        for count in counts {
            assert_eq!(std::sync::Arc::strong_count(&count), 1);
        }
    });
}

#[test]
fn a_task_that_moves_to_another_executor_is_woken_there() {
    loom::model(|| {
        let (sender, mut receiver) = oneshot();
        let giver = thread::spawn(move || sender.send(7));
        let answer = match poll(&mut receiver, Waker::noop()) {
            Poll::Ready(answer) => answer,
            Poll::Pending => block_on(receiver),
        };
        assert_eq!(answer, Ok(7));
        giver.join().unwrap();
    });
}

#[test]
fn a_poll_and_then_a_wait_are_both_heard() {
    loom::model(|| {
        let (sender, mut receiver) = oneshot();
        let giver = thread::spawn(move || sender.send(7));
        let answer = match poll(&mut receiver, Waker::noop()) {
            Poll::Ready(answer) => answer,
            Poll::Pending => receiver.wait(),
        };
        assert_eq!(answer, Ok(7));
        giver.join().unwrap();
    });
}

#[test]
fn a_try_take_against_send_takes_it_or_leaves_it_for_wait() {
    loom::model(|| {
        let (sender, mut receiver) = oneshot();
        let giver = thread::spawn(move || sender.send(7));
        match receiver.try_take() {
            Some(answer) => {
                assert_eq!(answer, Ok(7));
                assert_eq!(receiver.wait(), Err(Closed));
            }
            None => assert_eq!(receiver.wait(), Ok(7)),
        }
        giver.join().unwrap();
    });
}

#[test]
fn a_value_sent_against_the_drop_of_the_receiver_is_dropped_once() {
    loom::model(|| {
        let (sender, mut receiver) = oneshot();
        let drops = Arc::new(AtomicUsize::new(0));
        let value = CountsDrops(Arc::clone(&drops));
        let giver = thread::spawn(move || sender.send(value));
        let count = CountsWakes::new();
        drop(poll(&mut receiver, &Waker::from(count.clone())));
        drop(receiver);
        giver.join().unwrap();
        assert_eq!(drops.load(Ordering::SeqCst), 1);
        assert_eq!(std::sync::Arc::strong_count(&count), 1);
    });
}

/// A waker that asks the receiver for the answer while it is woken, as an eager executor may.
struct TakesWhenWoken {
    receiver: loom::sync::Mutex<Option<Receiver<u32>>>,
    taken: AtomicUsize,
}

impl Wake for TakesWhenWoken {
    fn wake(self: std::sync::Arc<Self>) {
        let receiver = self.receiver.lock().unwrap().take();
        if let Some(Ok(value)) = receiver.and_then(|mut receiver| receiver.try_take()) {
            self.taken.store(value as usize, Ordering::SeqCst);
        }
    }
}

#[test]
fn a_waker_may_use_the_pair_because_no_lock_is_held_while_it_runs() {
    loom::model(|| {
        let (sender, mut receiver) = oneshot();
        let eager = std::sync::Arc::new(TakesWhenWoken {
            receiver: loom::sync::Mutex::new(None),
            taken: AtomicUsize::new(0),
        });
        assert!(poll(&mut receiver, &Waker::from(eager.clone())).is_pending());
        *eager.receiver.lock().unwrap() = Some(receiver);
        thread::spawn(move || sender.send(7)).join().unwrap();
        assert_eq!(eager.taken.load(Ordering::SeqCst), 7);
    });
}

/// A waker that owns the sender, so that dropping it closes the pair.
struct OwnsSender {
    _sender: Sender<u32>,
}

impl Wake for OwnsSender {
    fn wake(self: std::sync::Arc<Self>) {}
}

#[test]
fn a_replaced_waker_may_use_the_pair_because_no_lock_is_held_while_it_drops() {
    loom::model(|| {
        let (sender, mut receiver) = oneshot();
        let owner = Waker::from(std::sync::Arc::new(OwnsSender { _sender: sender }));
        assert!(poll(&mut receiver, &owner).is_pending());
        drop(owner);
        let count = CountsWakes::new();
        assert!(poll(&mut receiver, &Waker::from(count.clone())).is_pending());
        assert_eq!(count.wakes(), 1);
        assert_eq!(receiver.try_take(), Some(Err(Closed)));
    });
}
