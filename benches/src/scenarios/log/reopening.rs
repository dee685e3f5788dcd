//! Logs that are opened again.

use std::cell::RefCell;
use std::time::Duration;

use queenright::log::{DiskLog, DiskReader, Durability};
use queenright::{Digest, Hive, Outcome, Proposal, Snapshot, Version};
use queenright_measure::{Case, Contender, Figure, Goal, Sampler, Side};

use super::hives::KEYS;
use super::{is_tried, on_disk};
use crate::peers::log::keys::{Proposing, keys};
use crate::scratch::Scratch;
use crate::workload::transactions;

pub(super) fn cases(quick: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for width in [256, 1] {
        // Rounds of one take longer to write than all other cases together.
        let proposals = match width {
            _ if is_tried() => 10_000,
            1 if quick => continue,
            1 => 100_000,
            _ => 1_000_000,
        };
        let case = Case::nanoseconds()
            .hands_over()
            .goal(Goal::Below(Figure::P50, 1e9))
            .param("proposals", proposals)
            .axis("proposals a round", width)
            .contenders(move || {
                vec![Contender::made("queenright DiskLog", Side::Ours, move || {
                    reopening(proposals, width)
                })]
            });
        cases.push(on_disk(case));
    }
    cases
}

/// What a log holds, and what must be found in it.
struct Written {
    folder: Scratch,
    version: Version,
    state: Digest,
    /// The last proposal, and what became of it.
    last: (Proposal, Outcome),
}

fn written(proposals: u64, width: u64) -> Written {
    let folder = Scratch::new();
    let log = DiskLog::options().durability(Durability::Memory).open(folder.path());
    let log = log.expect("the folder is empty");
    let hive = Hive::builder().keep_rounds(16).max_batch(width as usize).log(log);
    let hive = hive.base(keys(KEYS).into_iter().map(|key| (key, 0.into())));
    let hive = Proposing::of(hive.build().expect("a thread can be started"), KEYS);
    // So many wait at once.
    let together = 8192;
    let mut last = None;
    for turn in 0..proposals.div_ceil(together) {
        let count = together.min(proposals - turn * together);
        let all = hive.proposals(&transactions(count, KEYS, 0, turn));
        let last_of_all = all.last().cloned();
        let tickets: Vec<_> = all
            .chunks(width as usize)
            .map(|round| hive.hive().propose_many(round.to_vec()).expect("the queen is there"))
            .collect();
        let outcomes: Vec<Outcome> = tickets.into_iter().flat_map(|it| it.wait()).collect();
        assert_eq!(outcomes.len() as u64, count);
        last = last_of_all.zip(outcomes.last().cloned());
    }
    let (version, state) = (hive.hive().version(), digest(&hive.hive().snapshot()));
    assert!(version.0 >= proposals / width, "a round has so many at most");
    Written { folder, version, state, last: last.expect("there are proposals") }
}

/// Of everything in a state.
fn digest(state: &Snapshot) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for (key, entry) in state.iter() {
        hasher.update(format!("{key} {entry:?}\n").as_bytes());
    }
    Digest(*hasher.finalize().as_bytes())
}

fn reopening(proposals: u64, width: u64) -> impl FnMut(&mut Sampler<'_>) {
    let Written { folder, version, state, last } = written(proposals, width);
    let reader = DiskReader::open(folder.path()).expect("the log is there");
    let found = reader.verify().expect("it is whole");
    assert_eq!(found.last, version);
    let opened = RefCell::new(None::<Hive>);
    let mut version = version;
    move |sampler| {
        let check_the_one_before = || {
            let Some(hive) = opened.take() else { return };
            assert_eq!(hive.version(), version);
            assert_eq!(digest(&hive.snapshot()), state, "the same state");
            // It is answered as it was, and changes nothing.
            let (proposal, outcome) = last.clone();
            let mut ticket = hive.propose(proposal).expect("the queen is there");
            let again = ticket.wait_timeout(Duration::from_secs(10));
            assert_eq!(again, Some(outcome), "what was answered is answered again");
            version = version.next();
        };
        sampler.each_with(check_the_one_before, |()| {
            let log = DiskLog::open(folder.path()).expect("it is whole");
            let hive = Hive::builder().log(log).build().expect("it can be restored");
            opened.replace(Some(hive));
        });
        drop(opened.take());
    }
}
