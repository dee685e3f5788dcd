//! The hive's hot paths, and the readers of manifests.
//!
//! The hive hashes with keys that differ per process and map, which moves the count of one small round by half a per
//! cent. So a round is decided and applied several times per count, each time with other keys.

use queenright::consensus::{RoundInput, apply, decide, replay};
use queenright::packs::{parse_cargo_manifest, parse_pack_manifest};
use queenright::{Hive, Key, Op, Proposal, Read, Snapshot, State, Value};

use crate::{Benchmark, counted, numbers};

pub(crate) const ALL: &[Benchmark] = &[
    Benchmark { name: "key_new/x1000", run: key_new },
    Benchmark { name: "state_get/10000_keys/x1000", run: state_get },
    Benchmark { name: "decide/16_proposals/x64", run: || round_decide(16, 64) },
    Benchmark { name: "decide/256_proposals/x16", run: || round_decide(256, 16) },
    Benchmark { name: "apply/256_proposals/x16", run: round_apply },
    Benchmark { name: "replay/256_proposals/x16", run: round_replay },
    Benchmark { name: "parse/pack.toml", run: parse_pack },
    Benchmark { name: "parse/Cargo.toml", run: parse_cargo },
];

const KEYS: u64 = 10_000;

/// Where a literal begins depends on the other literals of the program, and the steps that a search takes depend on
/// where its text begins. What is allocated begins at a multiple of 16.
fn on_the_heap(text: &str) -> String {
    text.to_owned()
}

fn key(number: u64) -> Key {
    Key::new(format!("k/{number}")).expect("it is a key")
}

fn state() -> State {
    State::base((0..KEYS).map(|n| (key(n), Value::from(0))))
}

fn key_new() {
    let path = on_the_heap("settings/server/port");
    let make = || (0..1000).filter(|_| Key::new(&path).is_ok()).count();
    assert_eq!(make(), 1000);
    assert_eq!(counted(make), 1000);
}

fn state_get() {
    let state = state();
    let keys: Vec<String> = (0..1000).map(|n| format!("k/{}", n * 7)).collect();
    let found = || keys.iter().filter(|key| state.get(key).is_some()).count();
    assert_eq!(found(), 1000);
    assert_eq!(counted(found), 1000);
}

/// A state, and proposals on it with two reads and two writes each; one key in a hundred is one of 16 hot ones.
fn round(proposals: u64) -> (State, Vec<Proposal>, RoundInput) {
    let state = state();
    let snapshot = Snapshot::from(state.clone());
    let mut random = numbers();
    let mut any = || {
        let hot = random() % 100 < 1;
        let key = key(random() % if hot { 16 } else { KEYS });
        // As agents name keys.
        snapshot.key(key).expect("it is a key")
    };
    let mut proposal = |n| {
        let mut proposal = Proposal::on(&snapshot, "agent", format!("p{n}"));
        proposal.reads.extend([Read::Key(any()), Read::Key(any())]);
        let writes = [(any(), Op::Set(1.into())), (any(), Op::Set(2.into()))];
        assert_ne!(writes[0].0, writes[1].0, "one operation per key");
        proposal.writes.extend(writes);
        proposal
    };
    let batch = (0..proposals).map(&mut proposal).collect();
    let input = RoundInput { seed: 7, ..RoundInput::new(state.version().next()) };
    (state, batch, input)
}

fn round_decide(proposals: u64, times: usize) {
    let (state, batch, input) = round(proposals);
    let verdicts = decide(&state, &batch, &input);
    assert_eq!(verdicts.outcomes.len(), batch.len());
    assert!(verdicts.accepted.len() > batch.len() / 2);
    let again = || (0..times).map(|_| decide(&state, &batch, &input)).collect::<Vec<_>>();
    assert!(counted(again).iter().all(|again| *again == verdicts));
}

fn round_apply() {
    let (state, batch, input) = round(256);
    let verdicts = decide(&state, &batch, &input);
    let next = || apply(&state, &batch, &input, &verdicts);
    let states = counted(|| (0..16).map(|_| next()).collect::<Vec<_>>());
    let written = &batch[verdicts.accepted[0]].writes[0].0;
    for next in states {
        assert_eq!(next.version(), input.round);
        assert_eq!(next.get(written.as_str()), Some(&1.into()));
    }
}

/// As deciding and applying, and the hash of the record.
fn round_replay() {
    let (state, batch, _) = round(256);
    let base = || state.iter().map(|(key, entry)| (key.clone(), entry.value.clone()));
    let hive = Hive::builder().base(base()).seed(7).clock(|| 0).build().expect("it is a hive");
    let outcomes = hive.propose_many(batch).expect("it is open").wait();
    let history = hive.history();
    let base = State::base(base());
    let again = || replay(base.clone(), history.iter().map(|record| &**record));
    let states = counted(|| (0..16).map(|_| again()).collect::<Vec<_>>());
    assert!(states.iter().flatten().all(|state| state.version() == hive.version()));
    assert_eq!((history.len(), states.len(), outcomes.len()), (1, 16, 256));
}

fn parse_pack() {
    let text = on_the_heap(include_str!("manifests/pack.toml"));
    let parse = || parse_pack_manifest("pack.toml", &text);
    let first = parse().expect("it has no fault");
    assert_eq!((first.name.as_str(), first.wishes.is_empty()), ("auth", false));
    assert!(counted(parse).is_ok_and(|pack| pack.name == first.name));
}

fn parse_cargo() {
    let text = on_the_heap(include_str!("manifests/crate.toml"));
    let parse = || parse_cargo_manifest("Cargo.toml", &text);
    let first = parse().expect("it has no fault").expect("it has a package");
    assert_eq!((first.name.as_str(), first.spanning.is_empty()), ("orchard", false));
    assert!(counted(parse).is_ok_and(|pack| pack.is_some_and(|pack| pack.name == first.name)));
}
