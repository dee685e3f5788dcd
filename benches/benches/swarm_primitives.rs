//! The primitives alone, beside peers doing the same work.
#![allow(missing_docs)] // criterion's macros generate public items

use std::hint::black_box;
use std::sync::{Arc, RwLock};

use arc_swap::ArcSwap;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use queenright_primitives::aggregate::{Aggregator, Sum};
use queenright_primitives::conflict::{ConflictIndex, Footprint};
use queenright_primitives::proposal::{Mode, Write};
use queenright_primitives::schedule::{Class, PriorityQueue};
use queenright_primitives::snapshot::SnapshotCell;

/// One reader, no writer: an owned handle and a scoped read of a 64-byte state.
fn snapshot_reads(c: &mut Criterion) {
    let mut group = c.benchmark_group("snapshot_reads");
    let state = [7_u64; 8];
    let sum = |state: &[u64; 8]| state.iter().sum::<u64>();
    let cell = SnapshotCell::new(state);
    assert_eq!(sum(&cell.load()), 56);
    group.bench_function("queenright load", |b| b.iter(|| sum(black_box(&cell.load()))));
    group.bench_function("queenright read", |b| {
        b.iter(|| cell.read(|state, _| sum(black_box(state))))
    });
    let peer = ArcSwap::from_pointee(state);
    group.bench_function("arc-swap load", |b| b.iter(|| sum(black_box(&peer.load()))));
    group.bench_function("arc-swap load_full", |b| b.iter(|| sum(black_box(&peer.load_full()))));
    let peer = RwLock::new(Arc::new(state));
    group.bench_function("std RwLock", |b| {
        b.iter(|| peer.read().map(|state| sum(black_box(&state))).unwrap_or_default());
    });
    let peer = parking_lot::RwLock::new(Arc::new(state));
    group.bench_function("parking_lot RwLock", |b| b.iter(|| sum(black_box(&peer.read()))));
    group.finish();
}

/// One writer: stage the next version and commit it.
fn snapshot_writes(c: &mut Criterion) {
    let mut group = c.benchmark_group("snapshot_writes");
    let cell = SnapshotCell::new([0_u64; 8]);
    group.bench_function("queenright stage + commit", |b| {
        b.iter(|| {
            let mut staged = cell.stage();
            staged[0] += 1;
            cell.commit(staged).map_err(|_| "one writer never loses")
        });
    });
    cell.read(|state, version| assert_eq!(state[0], version.0, "every commit counted"));
    let peer = ArcSwap::from_pointee([0_u64; 8]);
    group.bench_function("arc-swap rcu", |b| {
        b.iter(|| {
            peer.rcu(|state| {
                let mut next = **state;
                next[0] += 1;
                next
            })
        });
    });
    group.finish();
}

/// Four exclusive writes a proposal; `share` in a hundred of them on one of 16 hot keys.
fn writes(proposals: u64, share: u64) -> Vec<[Write<u64, u8>; 4]> {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut write = |number: u64| {
        let hot = next() % 100 < share;
        let key = if hot { next() % 16 } else { 1000 + number };
        Write { key, mode: Mode::Exclusive }
    };
    (0..proposals).map(|n| std::array::from_fn(|part| write(n * 4 + part as u64))).collect()
}

fn conflict_detection(c: &mut Criterion) {
    let mut group = c.benchmark_group("conflict_detection");
    for (proposals, share) in [(10, 1), (500, 1), (500, 50), (5000, 1)] {
        let batch = writes(proposals, share);
        group.throughput(Throughput::Elements(proposals));
        let mut index = ConflictIndex::new();
        let mut accepted = || {
            index.clear();
            let admit = |(who, writes): (usize, &[Write<u64, u8>; 4])| {
                index.try_admit(who, Footprint { reads: &[], writes }).is_ok()
            };
            batch.iter().enumerate().map(admit).filter(|accepted| *accepted).count()
        };
        assert!(accepted() > 0);
        group.bench_function(BenchmarkId::new(format!("{share} % hot"), proposals), |b| {
            b.iter(|| black_box(accepted()));
        });
    }
    group.finish();
}

fn commutative_aggregation(c: &mut Criterion) {
    let mut group = c.benchmark_group("commutative_aggregation");
    for proposals in [10_u64, 100, 1000] {
        group.throughput(Throughput::Elements(proposals));
        let mut totals = Aggregator::new();
        let mut merged = || {
            for n in 0..proposals * 4 {
                let added = totals.submit(n % 1024, &Sum::of(1));
                assert!(added.is_ok());
            }
            totals.drain().count()
        };
        assert_eq!(merged() as u64, (proposals * 4).min(1024));
        group.bench_function(BenchmarkId::from_parameter(proposals), |b| {
            b.iter(|| black_box(merged()))
        });
    }
    group.finish();
}

fn priority_scheduling(c: &mut Criterion) {
    let mut group = c.benchmark_group("priority_scheduling");
    for depth in [10_usize, 1000, 100_000] {
        let queue = PriorityQueue::bounded(depth + 1, 1 << 20);
        for n in 0..depth {
            assert!(queue.try_push(n, Class::ALL[n % 5]).is_ok());
        }
        group.bench_function(BenchmarkId::new("push + pop", depth), |b| {
            b.iter(|| {
                let task = queue.try_pop().unwrap_or_default();
                assert!(queue.try_push(task, Class::ALL[task % 5]).is_ok());
            });
        });
        assert_eq!(queue.len(), depth);
    }
    group.finish();
}

criterion_group!(
    suite,
    snapshot_reads,
    snapshot_writes,
    conflict_detection,
    commutative_aggregation,
    priority_scheduling
);
criterion_main!(suite);
