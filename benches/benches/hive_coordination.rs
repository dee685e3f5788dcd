//! The hive: one round, a transaction, a whole resolution.
#![allow(missing_docs)] // criterion's macros generate public items

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::PathBuf;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use queenright::consensus::{RoundInput, RoundPolicy, decide};
use queenright::packs::{self, Options};
use queenright::{Hive, Key, Op, Proposal, Read, Snapshot, State, Value};

fn state(keys: u64) -> State {
    let entry = |n| Some((Key::new(format!("k/{n}")).ok()?, Value::from(0)));
    State::base((0..keys).filter_map(entry))
}

/// Proposals with two reads and two writes each; `share` in a hundred of them on one of 16 hot keys.
fn batch(state: &State, proposals: u64, keys: u64, share: u64) -> Vec<Proposal> {
    let snapshot = Snapshot::from(state.clone());
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut key = || {
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        let hot = next() % 100 < share;
        Key::new(format!("k/{}", next() % if hot { 16 } else { keys })).ok()
    };
    (0..proposals)
        .filter_map(|n| {
            let mut proposal = Proposal::on(&snapshot, "agent", format!("p{n}"));
            proposal.reads.extend([Read::Key(key()?), Read::Key(key()?)]);
            let (first, second) = (key()?, key()?);
            proposal.writes.push((first.clone(), Op::Set(1.into())));
            if second != first {
                proposal.writes.push((second, Op::Set(2.into())));
            }
            Some(proposal)
        })
        .collect()
}

/// The decision alone.
fn round_decide(c: &mut Criterion) {
    const KEYS: u64 = 100_000;
    let state = state(KEYS);
    let input = RoundInput {
        round: state.version().next(),
        now: 0,
        seed: 7,
        policy: RoundPolicy::default(),
        decided: BTreeMap::new(),
    };
    let mut group = c.benchmark_group("round_decide");
    for (proposals, share) in [(16, 1), (256, 1), (256, 50), (4096, 1)] {
        let batch = batch(&state, proposals, KEYS, share);
        let verdicts = decide(&state, &batch, &input);
        assert_eq!(verdicts.outcomes.len() as u64, proposals);
        assert!(!verdicts.accepted.is_empty());
        group.throughput(Throughput::Elements(proposals));
        group.bench_function(BenchmarkId::new(format!("{share} % hot"), proposals), |b| {
            b.iter(|| black_box(decide(&state, &batch, &input)));
        });
    }
    group.finish();
}

/// From closure to commit, one at a time, on a live hive.
fn transact(c: &mut Criterion) {
    let hive = Hive::builder().keep_rounds(16).build();
    let Ok(hive) = hive else { return };
    let mut done = 0_i64;
    c.bench_function("transact", |b| {
        b.iter(|| {
            done += 1;
            hive.transact(|view| Ok(view.write("n", Op::add(1))?)).is_ok()
        });
    });
    assert_eq!(hive.snapshot().get("n"), Some(&done.into()), "each was committed once");
}

/// Ten parsed packs: spawn agents, analyse, propose, decide, commit, report.
fn consensus_latency(c: &mut Criterion) {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../hive/examples/packs"));
    let Ok(loaded) = packs::load(&[folder], None) else { return };
    let resolve = |loaded| packs::resolve(loaded, &Options::default());
    assert!(resolve(loaded.clone()).is_ok_and(|resolution| resolution.report.packs == 10));
    c.bench_function("consensus_latency/10 packs", |b| {
        b.iter_batched(|| loaded.clone(), resolve, BatchSize::SmallInput);
    });
}

criterion_group!(suite, round_decide, transact, consensus_latency);
criterion_main!(suite);
