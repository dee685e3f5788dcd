//! Claims.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use queenright_measure::{Case, Contender, Goal, Per, Sampler, Scenario, Side};

use crate::peers::claim::{
    Claims, Ours, Papaya, ParkingLotMutex, Scc, Sharded, StdMutex, Unsynchronised,
};

const SUITE: &str = "swarm_primitives";

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        suite: SUITE,
        name: "claim_race",
        what: "one attempt to claim a task, of whose racers exactly one wins; uncontended: one claim and its release",
        cases: |quick| races().into_iter().chain(uncontended(quick)).collect(),
    }]
}

fn races() -> Vec<Case> {
    let case = |(tasks, racers): (usize, usize)| {
        let case = Case::rate()
            .param("tasks", tasks)
            .param("racers", racers)
            .goal(Goal::NotSlower)
            .contenders(move || {
                vec![
                    racing::<Ours>(Side::Ours, tasks, racers),
                    racing::<StdMutex>(Side::Peer, tasks, racers),
                    racing::<ParkingLotMutex>(Side::Peer, tasks, racers),
                    racing::<Sharded>(Side::Peer, tasks, racers),
                    racing::<Scc>(Side::Peer, tasks, racers),
                    racing::<Papaya>(Side::Peer, tasks, racers),
                ]
            });
        match racers {
            10 => case.note(
                "ten threads for two cores: who is preempted with a lock holds up the others",
            ),
            _ => case,
        }
    };
    [(1000, 10), (1_000_000, 2)].map(case).into()
}

/// A table, and which tasks each racer got.
type Race<C> = (C, Vec<Mutex<Vec<u64>>>);

/// A table all of whose memory has been used: each task was claimed once, and released.
fn warm<C: Claims>(tasks: usize) -> C {
    let table = C::with_room(tasks);
    let token = |task| table.claim(task, 0, 1).expect("nobody has claimed it");
    let tokens: Vec<_> = (0..tasks as u64).map(token).collect();
    for (task, token) in tokens.iter().enumerate() {
        assert!(table.release(task as u64, token, 1));
    }
    table
}

fn racing<C: Claims>(side: Side, tasks: usize, racers: usize) -> Contender {
    Contender::new(C::NAME, side, move |sampler| race::<C>(sampler, tasks, racers))
}

fn race<C: Claims>(sampler: &mut Sampler<'_>, tasks: usize, racers: usize) {
    let prepare = || -> Race<C> {
        let won = (0..racers).map(|_| Mutex::new(Vec::with_capacity(tasks))).collect();
        (warm(tasks), won)
    };
    let run = |(table, won): &Race<C>, racer: usize| {
        let mut won = won[racer].lock().unwrap_or_else(PoisonError::into_inner);
        for task in 0..tasks as u64 {
            if table.claim(task, racer as u64, 1).is_some() {
                won.push(task);
            }
        }
        tasks as u64
    };
    sampler.work(Per::Second, racers, 0, prepare, run, |(_, won), _| {
        let won: Vec<u64> = won
            .into_iter()
            .flat_map(|won| won.into_inner().unwrap_or_else(PoisonError::into_inner))
            .collect();
        assert_eq!(won.len(), tasks, "as many winners as tasks");
        assert_eq!(won.iter().collect::<HashSet<_>>().len(), tasks, "and each task has one");
    });
}

fn uncontended(quick: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for threads in [1, 2] {
        for tasks in [1000, 1_000_000] {
            if quick && threads == 2 && tasks != 1000 {
                continue;
            }
            let case = Case::rate()
                .param("work", "uncontended")
                .param("threads", threads)
                .axis("tasks", tasks)
                .goal(Goal::NotSlower)
                .contenders(move || {
                    let mut all = vec![
                        claiming::<Ours>(Side::Ours, tasks, threads),
                        claiming::<StdMutex>(Side::Peer, tasks, threads),
                        claiming::<ParkingLotMutex>(Side::Peer, tasks, threads),
                        claiming::<Sharded>(Side::Peer, tasks, threads),
                        claiming::<Scc>(Side::Peer, tasks, threads),
                        claiming::<Papaya>(Side::Peer, tasks, threads),
                    ];
                    if threads == 1 {
                        all.push(unsynchronised(tasks));
                    }
                    all
                });
            let alone = threads == 1 && tasks == 1000;
            cases.push(if alone { case.goal(Goal::AtLeast(20e6)) } else { case });
        }
    }
    cases
}

fn claiming<C: Claims>(side: Side, tasks: usize, threads: usize) -> Contender {
    Contender::made(C::NAME, side, move || {
        let table = warm::<C>(tasks);
        move |sampler: &mut Sampler<'_>| {
            sampler.windows(Per::Second, threads, 0, |number| {
                let mut turn = number;
                let table = &table;
                move || {
                    for _ in 0..64 {
                        // Each thread has tasks of its own, so that nobody is refused.
                        turn += threads;
                        let task = (turn % (tasks - tasks % threads)) as u64;
                        let token = table.claim(task, number as u64, 1);
                        assert!(token.is_some_and(|token| table.release(task, &token, 2)));
                    }
                    64
                }
            });
        }
    })
}

fn unsynchronised(tasks: usize) -> Contender {
    Contender::limit("unsynchronised HashMap", move |sampler| {
        sampler.windows(Per::Second, 1, 0, |number| {
            let mut table = Unsynchronised::with_room(tasks);
            (0..tasks as u64).for_each(|task| assert!(table.claim_and_release(task, 0, 1)));
            let mut turn = 0;
            move || {
                for _ in 0..64 {
                    turn = (turn + 1) % tasks as u64;
                    assert!(table.claim_and_release(turn, number as u64, 1));
                }
                64
            }
        });
    })
}
