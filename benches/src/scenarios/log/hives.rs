//! Hives on logs, from submission to answer.

use queenright::log::{DiskLog, Durability};
use queenright_measure::{Case, Contender, Goal, Per, Sampler, Side};

use super::on_disk;
use crate::peers::engine::Transaction;
use crate::peers::log::keys::{Ours, Proposing, Sqlite, Store};
use crate::scratch::Scratch;
use crate::workload::transactions;

/// Keys of the state that is written.
pub(super) const KEYS: u64 = 100_000;

#[derive(Clone, Copy)]
struct Submission {
    batch: u64,
    singly: bool,
    proposers: usize,
    accepted_only: bool,
}

pub(super) fn durable(quick: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for accepted_only in [false, true] {
        for (batch, singly, proposers) in
            [(1, false, 1), (16, false, 1), (256, false, 1), (256, true, 2)]
        {
            if quick && (accepted_only || batch == 16) {
                continue;
            }
            let work = Submission { batch, singly, proposers, accepted_only };
            let case = Case::rate()
                .param("counted", if accepted_only { "accepted" } else { "all" })
                .param("submitted", if singly { "singly" } else { "together" })
                .param("proposers", proposers)
                .axis("batch", batch)
                .contenders(move || {
                    vec![storing::<Ours>(Side::Ours, work), storing::<Sqlite>(Side::Peer, work)]
                });
            cases.push(on_disk(case));
        }
    }
    cases
}

/// A store that is opened once more in the end.
struct Checked<S: Store> {
    store: Option<S>,
    folder: Scratch,
}

impl<S: Store> Drop for Checked<S> {
    fn drop(&mut self) {
        if let (Some(store), false) = (self.store.take(), std::thread::panicking()) {
            let commits = store.end();
            let found = S::count(self.folder.path());
            assert_eq!(found, (KEYS, commits), "{}: all is there", S::NAME);
        }
    }
}

/// Each proposer goes on for so many transactions, or for so many submissions, before the clock stops.
const AT_LEAST: u64 = 1024;
const AT_MOST: u64 = 32;

fn storing<S: Store>(side: Side, work: Submission) -> Contender {
    Contender::made(S::NAME, side, move || {
        let folder = Scratch::new();
        let store = Some(S::new(folder.path(), KEYS));
        let checked = Checked { store, folder };
        let mut seed = 0;
        move |sampler: &mut Sampler<'_>| {
            let Some(store) = &checked.store else { return };
            let submit = |one: &[Transaction]| match work.singly {
                true => store.singly(one),
                false => store.batch(one),
            };
            submitted(sampler, work, 2, &mut seed, submit);
        }
    })
}

fn submitted(
    sampler: &mut Sampler<'_>,
    work: Submission,
    helpers: usize,
    seed: &mut u64,
    submit: impl Fn(&[Transaction]) -> u64 + Sync,
) {
    let times = AT_LEAST.div_ceil(work.batch).min(AT_MOST);
    let prepare = || {
        *seed += 1;
        let of = |proposer: usize| -> Vec<Vec<Transaction>> {
            let seed = |turn: u64| (*seed * 64 + proposer as u64) * 4096 + turn;
            (0..times).map(|turn| transactions(work.batch, KEYS, 0, seed(turn))).collect()
        };
        (0..work.proposers).map(of).collect::<Vec<_>>()
    };
    let run = |batches: &Vec<Vec<Vec<Transaction>>>, proposer: usize| {
        let submit = |batch: &Vec<Transaction>| {
            let accepted = submit(batch);
            assert!(accepted > 0 && accepted <= batch.len() as u64, "each is answered once");
            if work.accepted_only { accepted } else { batch.len() as u64 }
        };
        batches[proposer].iter().map(submit).sum::<u64>()
    };
    sampler.work(Per::Second, work.proposers, helpers, prepare, run, |_, counted| {
        assert!(counted > 0, "somebody is accepted");
    });
}

const NO_LOG: &str = "no log";

pub(super) fn in_memory(_: bool) -> Vec<Case> {
    let case = |proposers: usize| {
        let case = Case::rate()
            .axis("proposers", proposers)
            .goal(Goal::TimesPeer(NO_LOG, 0.9))
            .contenders(move || {
                vec![
                    logged("DiskLog, Memory", Side::Ours, Some(Durability::Memory), proposers),
                    logged(NO_LOG, Side::Peer, None, proposers),
                    logged("DiskLog, Flush", Side::Beside, Some(Durability::Flush), proposers),
                    logged("DiskLog, Durable", Side::Beside, Some(Durability::Durable), proposers),
                ]
            });
        on_disk(case)
    };
    [1, 2].map(case).into()
}

fn logged(
    name: &'static str,
    side: Side,
    durability: Option<Durability>,
    proposers: usize,
) -> Contender {
    Contender::made(name, side, move || {
        let folder = Scratch::new();
        let log = durability.map(|durability| {
            let log = DiskLog::options().durability(durability).open(folder.path());
            log.expect("the folder is empty")
        });
        let hive = Proposing::on(log, KEYS);
        let work = Submission { batch: 256, singly: false, proposers, accepted_only: false };
        let helpers = if durability.is_some() { 2 } else { 1 };
        let mut seed = 0;
        move |sampler: &mut Sampler<'_>| {
            let _kept = &folder;
            submitted(sampler, work, helpers, &mut seed, |batch| hive.batch(batch));
            assert_eq!(hive.hive().log_failure(), None);
        }
    })
}
