//! What the hardware, the system and the clock cost themselves, measured in the same run as everything else.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Seek as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use queenright_measure::{Contender, Per, Sampler};

/// The limits, each with a sentence about it, in nanoseconds. `folder` is on the disk whose `fdatasync` is measured.
///
/// # Errors
/// If no file can be made there.
pub fn limits(folder: &Path) -> io::Result<Vec<(&'static str, Contender)>> {
    let mut file = tempfile(folder)?;
    let mut all: Vec<(&'static str, Contender)> = Vec::new();
    let mut add = |name, what, measure: fn(&mut Sampler<'_>)| {
        all.push((what, Contender::limit(name, measure)));
    };
    add(
        "clock",
        "one reading of the clock; each operation that is timed alone contains about one",
        |it| {
            it.blocks(|count| (0..count).for_each(|_| drop_copy(Instant::now())));
        },
    );
    add(
        "pointer load",
        "one Acquire load of a pointer and of the word behind it, in cache",
        pointer_load,
    );
    add("atomic add", "one fetch_add on a line that no other core has", |it| {
        let word = AtomicU64::new(0);
        it.blocks(|count| (0..count).for_each(|_| drop_copy(word.fetch_add(1, Ordering::AcqRel))));
    });
    add(
        "contended atomic add",
        "one fetch_add on a line that another core adds to as well, per thread",
        |it| {
            let word = AtomicU64::new(0);
            it.windows(Per::Operation, 2, 0, |_| {
                || {
                    (0..256).for_each(|_| drop_copy(word.fetch_add(1, Ordering::AcqRel)));
                    256
                }
            });
        },
    );
    add("allocation", "64 bytes allocated, written and freed", |it| {
        it.blocks(|count| (0..count).for_each(|_| drop(black_box(Box::new([1_u64; 8])))));
    });
    add("copy of 1 KiB", "1 KiB out of 64 KiB copied, both in cache", copy);
    add(
        "thread hand-over",
        "a blocked thread woken through a condition variable, half of there and back",
        hand_over,
    );
    add(
        "10 µs of work",
        "a fixed piece of arithmetic, timed each time: its tail is the machine's, not the code's",
        |it| {
            it.each(|| {
                black_box((0..black_box(25_000_u64)).fold(1_u64, |sum, n| sum.wrapping_mul(n | 1)))
            });
        },
    );
    all.push((
        "4 KiB written to a file and made durable",
        Contender::limit("fdatasync", move |sampler| sampler.each(|| write_durably(&mut file))),
    ));
    Ok(all)
}

/// Keeps a result from being optimised away.
fn drop_copy<T>(value: T) {
    black_box(value);
}

fn pointer_load(sampler: &mut Sampler<'_>) {
    let words = [7_u64; 8];
    let pointer = AtomicPtr::new((&raw const words).cast_mut());
    sampler.blocks(|count| {
        // SAFETY: the array lives on this stack frame, and nobody writes it or the pointer.
        let word = || unsafe { (*pointer.load(Ordering::Acquire))[0] };
        assert_eq!((0..count).fold(0, |sum, _| sum + black_box(word())), 7 * count);
    });
}

fn copy(sampler: &mut Sampler<'_>) {
    const KIB: usize = 64;
    let from = vec![1_u8; KIB * 1024];
    let mut to = vec![0_u8; KIB * 1024];
    sampler.blocks(|count| {
        for number in 0..count as usize {
            let part = number % KIB * 1024..number % KIB * 1024 + 1024;
            to[part.clone()].copy_from_slice(&from[part]);
            black_box(&mut to);
        }
    });
}

/// Two threads that pass a turn to and fro; each waits until the other has passed it.
fn hand_over(sampler: &mut Sampler<'_>) {
    let (turn, passed) = (Mutex::new(Some(false)), Condvar::new());
    let pass = |to: Option<bool>| {
        *turn.lock().unwrap_or_else(PoisonError::into_inner) = to;
        passed.notify_one();
    };
    let await_turn = |mine: bool| {
        let guard = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let others = |turn: &mut Option<bool>| turn.is_some_and(|turn| turn != mine);
        let guard = passed.wait_while(guard, others).unwrap_or_else(PoisonError::into_inner);
        guard.is_some()
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while await_turn(true) {
                pass(Some(false));
            }
        });
        sampler.each_per(
            2,
            || (),
            |()| {
                pass(Some(true));
                await_turn(false)
            },
        );
        pass(None);
    });
}

fn write_durably(file: &mut File) {
    let written =
        file.rewind().and_then(|()| file.write_all(&[1; 4096])).and_then(|()| file.sync_data());
    assert!(written.is_ok(), "the disk takes 4 KiB: {written:?}");
}

/// A file without a name, so that nothing is left behind.
fn tempfile(folder: &Path) -> io::Result<File> {
    let path = folder.join(format!("fdatasync-{}", std::process::id()));
    let file = File::create(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}
