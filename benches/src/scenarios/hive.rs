//! The hive: rounds alone, rounds end to end beside other commit engines, agents and their memory.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use queenright::consensus::{CastVote, QuorumRule, RoundInput, Threshold, Vote, decide};
use queenright::{
    AgentError, AgentRef, AgentState, FnAgent, Hive, Key, Next, Op, Proposal, Read, Snapshot,
    Spawn, State, Supervision, Version, View, agent,
};
use queenright_measure::{Case, Contender, Figure, Goal, Per, Sampler, Scenario, Side};

use crate::allocator;
use crate::peers::engine::{
    ActorOnly, ActorPublishing, Cloned, Engine, Locked, Name, Ours, Stm, TokioActor, Transaction,
};
use crate::workload::{Random, paths, transactions};

const SUITE: &str = "hive_coordination";
/// Keys of the state that rounds and engines work on.
const KEYS: u64 = 100_000;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            suite: SUITE,
            name: "round_decide",
            what: "one proposal with two reads and two writes, decided in a round of many; nothing is applied",
            cases: deciding,
        },
        Scenario {
            suite: SUITE,
            name: "round_scaling",
            what: "one proposal of a round, the wider the round",
            cases: scaling,
        },
        Scenario {
            suite: SUITE,
            name: "round_throughput",
            what: "transactions of two reads and two writes, from submission to outcome, all outcomes counted",
            cases: throughput,
        },
        Scenario {
            suite: SUITE,
            name: "round_goodput",
            what: "the same, only accepted transactions counted",
            cases: goodput,
        },
        Scenario {
            suite: SUITE,
            name: "transact",
            what: "a closure that adds to one key, from call to commit, one at a time",
            cases: transact,
        },
        Scenario {
            suite: SUITE,
            name: "agent_spawning",
            what: "all agents of a new hive added, initialised in parallel on a warm pool, and awaited",
            cases: spawning,
        },
        Scenario {
            suite: SUITE,
            name: "parallel_agents",
            what: "one agent of many that reads two keys, computes, and writes one; until all have committed",
            cases: agents,
        },
        Scenario {
            suite: SUITE,
            name: "quorum",
            what: "one proposal that needs a majority of a roll, from submission over all votes to its outcome",
            cases: quorum,
        },
        Scenario {
            suite: SUITE,
            name: "memory_overhead",
            what: "allocated bytes an idle agent",
            cases: memory,
        },
    ]
}

/// Keys of the hive, which know where they are kept, and a state that has them all.
fn state() -> (Vec<Key>, State) {
    let key = |n: u64| Key::new(format!("k/{n}")).expect("a plain path");
    let keys: Vec<Key> = (0..KEYS).map(key).collect();
    let state = State::base(keys.iter().map(|key| (key.clone(), 0.into())));
    let keys = keys.into_iter().map(|key| state.key(key).expect("it is a key")).collect();
    (keys, state)
}

fn proposal(snapshot: &Snapshot, keys: &[Key], number: usize, one: &Transaction) -> Proposal {
    let key = |place: u32| keys[place as usize].clone();
    let mut proposal = Proposal::on(snapshot, "agent", format!("p{number}"));
    proposal.reads.extend(one.reads.map(|place| Read::Key(key(place))));
    proposal.writes.extend(one.writes.map(|place| (key(place), Op::Set(1.into()))));
    proposal
}

fn rounds(proposals: u64, share: u64) -> Contender {
    Contender::made("queenright decide", Side::Ours, move || deciding_rounds(proposals, share))
}

fn deciding_rounds(proposals: u64, share: u64) -> impl FnMut(&mut Sampler<'_>) {
    let (keys, state) = state();
    let snapshot = Snapshot::from(state.clone());
    let batch: Vec<Proposal> = transactions(proposals, KEYS, share, 11)
        .iter()
        .enumerate()
        .map(|(number, one)| proposal(&snapshot, &keys, number, one))
        .collect();
    let input = RoundInput { seed: 7, ..RoundInput::new(state.version().next()) };
    let verdicts = decide(&state, &batch, &input);
    move |sampler| {
        sampler.each_per(
            proposals,
            || (),
            |()| {
                let again = decide(&state, black_box(&batch), &input);
                assert_eq!(
                    again.accepted.len(),
                    verdicts.accepted.len(),
                    "the same verdicts again"
                );
                again
            },
        );
    }
}

fn deciding(quick: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for share in [1, 50] {
        for proposals in [16, 256, 4096] {
            if quick && proposals == 4096 {
                continue;
            }
            let case = Case::nanoseconds()
                .param("hot %", share)
                .axis("proposals", proposals)
                .limit("pointer load", 4.0)
                .contenders(move || vec![rounds(proposals, share)]);
            cases.push(if proposals == 256 { case.goal(Goal::AtMost(65.0)) } else { case });
        }
    }
    cases
}

fn scaling(quick: bool) -> Vec<Case> {
    let sizes: &[u64] =
        if quick { &[100, 1000, 10_000] } else { &[100, 1000, 10_000, 100_000, 1_000_000] };
    let case = |&proposals: &u64| {
        let case = Case::nanoseconds()
            .axis("proposals", proposals)
            .limit("pointer load", 4.0)
            .contenders(move || vec![rounds(proposals, 1)]);
        if proposals > 1000 {
            case.goal(Goal::TimesRow("proposals 1000".to_owned(), 3.0))
        } else {
            case
        }
    };
    sizes.iter().map(case).collect()
}

/// How transactions are submitted and counted.
#[derive(Clone, Copy)]
struct Submission {
    batch: u64,
    singly: bool,
    share: u64,
    proposers: usize,
    accepted_only: bool,
}

fn throughput(quick: bool) -> Vec<Case> {
    submissions(quick, false)
}

fn goodput(quick: bool) -> Vec<Case> {
    submissions(quick, true)
}

fn submissions(quick: bool, accepted_only: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for strings in [false, true] {
        for share in [1, 50] {
            for proposers in [1, 2, 8] {
                for (batch, singly) in [(16, false), (256, false), (4096, false), (256, true)] {
                    let told = batch == 256 && proposers == 2 && !strings;
                    if quick && !told || accepted_only && (strings || proposers != 2) {
                        continue;
                    }
                    let work = Submission { batch, singly, share, proposers, accepted_only };
                    let mut case = Case::rate()
                        .param("keys", if strings { "strings" } else { "integers" })
                        .param("hot %", share)
                        .param("submitted", if singly { "singly" } else { "together" })
                        .param("proposers", proposers)
                        .axis("batch", batch)
                        .limit("contended atomic add", 2.0)
                        .contenders(move || {
                            if strings {
                                engines(&paths(KEYS), work)
                            } else {
                                engines(&numbers(), work)
                            }
                        });
                    if !accepted_only && batch == 256 {
                        case = case
                            .goal(Goal::AtLeast(if singly { 1e6 } else { 3e6 }))
                            .goal(Goal::TimesPeer(engine_name::<Stm<u64>>(), 1.0))
                            .goal(Goal::TimesPeer(engine_name::<TokioActor>(), 1.0));
                    }
                    if !accepted_only && batch == 256 && !singly {
                        case = case.goal(Goal::TimesBest(3.0));
                    }
                    cases.push(case);
                }
            }
        }
    }
    cases
}

fn engine_name<E: Engine<u64>>() -> &'static str {
    E::NAME
}

fn numbers() -> Vec<u64> {
    (0..KEYS).collect()
}

fn engines<K: Name>(keys: &[K], work: Submission) -> Vec<Contender> {
    let keys: Arc<[K]> = keys.into();
    vec![
        engine::<K, Ours>(Side::Ours, &keys, work, 1),
        engine::<K, ActorPublishing<Cloned<K>>>(Side::Peer, &keys, work, 1),
        engine::<K, ActorPublishing<imbl::HashMap<K, u64>>>(Side::Peer, &keys, work, 1),
        engine::<K, ActorOnly>(Side::Beside, &keys, work, 1),
        engine::<K, Locked<K>>(Side::Beside, &keys, work, 0),
        engine::<K, TokioActor>(Side::Beside, &keys, work, 1),
        engine::<K, Stm<K>>(Side::Beside, &keys, work, 0),
    ]
}

fn engine<K: Name, E: Engine<K>>(
    side: Side,
    keys: &Arc<[K]>,
    work: Submission,
    helpers: usize,
) -> Contender {
    let keys = Arc::clone(keys);
    Contender::made(E::NAME, side, move || submitting::<K, E>(&keys, work, helpers))
}

/// Each proposer goes on for so many transactions before the clock stops.
const AT_LEAST: u64 = 1024;

fn submitting<K: Name, E: Engine<K>>(
    keys: &[K],
    work: Submission,
    helpers: usize,
) -> impl FnMut(&mut Sampler<'_>) + use<K, E> {
    let times = AT_LEAST.div_ceil(work.batch);
    let engine = E::new(keys);
    let mut seed = 0;
    move |sampler| {
        let prepare = || {
            seed += 1;
            let of = |proposer: usize| -> Vec<Vec<Transaction>> {
                let seed = |turn: u64| (seed * 64 + proposer as u64) * 4096 + turn;
                (0..times)
                    .map(|turn| transactions(work.batch, KEYS, work.share, seed(turn)))
                    .collect()
            };
            (0..work.proposers).map(of).collect::<Vec<_>>()
        };
        let run = |batches: &Vec<Vec<Vec<Transaction>>>, proposer: usize| {
            let submit = |batch: &Vec<Transaction>| {
                let accepted = if work.singly { engine.singly(batch) } else { engine.batch(batch) };
                assert!(accepted <= batch.len() as u64, "each is answered once");
                if work.accepted_only { accepted } else { batch.len() as u64 }
            };
            batches[proposer].iter().map(submit).sum::<u64>()
        };
        sampler.work(Per::Second, work.proposers, helpers, prepare, run, |_, counted| {
            assert!(counted > 0, "somebody is accepted");
        });
    }
}

fn transact(_: bool) -> Vec<Case> {
    let transacting = || {
        let hive = Hive::builder().keep_rounds(16).build().expect("a thread can be started");
        let mut done = 0_i64;
        move |sampler: &mut Sampler<'_>| {
            sampler.each(|| {
                done += 1;
                hive.transact(|view| Ok(view.write("n", Op::add(1))?)).is_ok()
            });
            assert_eq!(hive.snapshot().get("n"), Some(&done.into()), "each was committed once");
        }
    };
    let ours = move || Contender::made("queenright transact", Side::Ours, transacting);
    vec![
        Case::nanoseconds()
            .hands_over()
            .limit("thread hand-over", 2.0)
            .contenders(move || vec![ours()]),
    ]
}

fn quorum(quick: bool) -> Vec<Case> {
    let rolls: &[u64] = if quick { &[7] } else { &[3, 7, 101] };
    let case = |&members: &u64| {
        let case = Case::nanoseconds()
            .hands_over()
            .limit("thread hand-over", 2.0)
            .axis("roll", members)
            .contenders(move || {
                vec![Contender::made("queenright ballot", Side::Ours, move || voting(members))]
            });
        if members == 7 { case.goal(Goal::Below(Figure::P50, 10_000.0)) } else { case }
    };
    rolls.iter().map(case).collect()
}

fn voting(members: u64) -> impl FnMut(&mut Sampler<'_>) {
    let hive = Hive::builder().keep_rounds(16).build().expect("a thread can be started");
    let roll: Vec<String> = (0..members).map(|member| format!("member-{member}")).collect();
    let rule = QuorumRule::new(&roll, Threshold::Majority).expect("there are members");
    let rule = Arc::new(rule);
    let mut number = 0_u64;
    move |sampler| {
        let prepare = || {
            number += 1;
            let id = format!("p{number}");
            let votes = roll.iter().map(|member| CastVote::on(id.as_str(), member, Vote::Yes));
            let votes: Vec<_> = votes.collect();
            let proposal = Proposal::on(&hive.snapshot(), "agent", id);
            let proposal = proposal.write("key", Op::add(1)).expect("a plain path");
            (proposal.with_quorum(Arc::clone(&rule)), votes)
        };
        sampler.each_with(prepare, |(proposal, votes)| {
            let ticket = hive.propose(proposal).expect("the hive is open");
            let counted = hive.cast(votes);
            assert!(ticket.wait().is_committed());
            counted
        });
    }
}

/// Keeps a core busy for a time, as reading a model or a file would.
fn initialise(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

fn idle_agents(
    count: u64,
    time: Duration,
) -> Vec<FnAgent<impl FnMut(&mut View) -> Result<Next, AgentError> + Send>> {
    let one = |number: u64| {
        agent(format!("agent-{number}"), move |_: &mut View| {
            initialise(time);
            Ok(Next::Done)
        })
    };
    (0..count).map(one).collect()
}

fn spawning(quick: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    let sizes: &[u64] = if quick { &[8, 16, 1000] } else { &[4, 8, 16, 32, 1000, 10_000] };
    let kinds = [(false, 0_u64), (false, 100), (true, 0), (true, 100)];
    for (supervised, micros) in kinds {
        for &count in sizes {
            if micros > 0 && count > 32 {
                continue;
            }
            let time = Duration::from_micros(micros);
            let mut case = Case::nanoseconds()
                .hands_over()
                .limit("thread hand-over", 2.0)
                .param("run", how_run(supervised))
                .param("initialisation µs", micros)
                .axis("agents", count)
                .contenders(move || {
                    let mut all =
                        vec![if supervised { start(count, time) } else { spawn(count, time) }];
                    if micros > 0 {
                        all.push(Contender::peer("one after another", move |sampler| {
                            sampler.each(|| (0..count).for_each(|_| initialise(time)));
                        }));
                    }
                    all
                });
            if micros == 0 && count == 8 {
                case = case.goal(Goal::Below(Figure::P99, 100_000.0));
            }
            if micros > 0 && count == 16 {
                case = case.goal(Goal::TimesPeer("one after another", 1.8));
            }
            cases.push(case);
        }
    }
    cases
}

fn spawn(count: u64, time: Duration) -> Contender {
    Contender::ours("queenright spawn_all", move |sampler| {
        let prepare = || {
            let hive = Hive::builder().build().expect("a thread can be started");
            (hive, idle_agents(count, time))
        };
        sampler.each_with(prepare, |(hive, agents)| {
            hive.spawn_all(agents).expect("names are free");
            let settled = hive.run_until_settled(8).expect("nobody else runs it");
            assert!(settled.is_settled() && settled.failed.is_empty());
            hive
        });
    })
}

fn start(count: u64, time: Duration) -> Contender {
    Contender::made("queenright Supervisor::spawn_all", Side::Ours, move || starting(count, time))
}

fn starting(count: u64, time: Duration) -> impl FnMut(&mut Sampler<'_>) {
    // One hive for all samples: its threads have found their cores, as in any that lives.
    let hive = Hive::builder().build().expect("a thread can be started");
    let supervisor = hive.supervisor(Supervision::default()).expect("threads can be started");
    let mut number = 0;
    move |sampler| {
        let idle = move || {
            initialise(time);
            Ok(agent("agent", |_: &mut View| Ok(Next::Watch)))
        };
        let prepare = || {
            // Those of the last time end first.
            supervisor.agents().iter().for_each(AgentRef::kill);
            number += 1;
            let name = |place| format!("agent-{number}-{place}");
            (0..count).map(|place| (name(place), idle)).collect::<Vec<_>>()
        };
        sampler.each_with(prepare, |agents| {
            let agents = supervisor.spawn_all(Spawn::default(), agents).expect("names are free");
            assert_eq!(agents.len() as u64, count);
            agents
        });
        assert!(hive.version() == Version(0), "they only wait");
    }
}

fn agents(quick: bool) -> Vec<Case> {
    let sizes: &[u64] = if quick { &[16, 100, 1000] } else { &[2, 4, 8, 16, 100, 1000] };
    let case = |&count: &u64| {
        let case = Case::nanoseconds()
            .hands_over()
            .limit("allocation", 1.0)
            .axis("agents", count)
            .contenders(move || vec![working(count)]);
        // Linear: an agent among 1,000 costs no more than one among 100, with a quarter for caches.
        if count == 1000 { case.goal(Goal::TimesRow("agents 100".to_owned(), 1.25)) } else { case }
    };
    sizes.iter().map(case).collect()
}

fn working(count: u64) -> Contender {
    Contender::made("queenright agents", Side::Ours, move || working_agents(count))
}

fn working_agents(count: u64) -> impl FnMut(&mut Sampler<'_>) {
    let (_, base) = state();
    move |sampler| {
        let mut random = Random::new(5);
        let prepare = || {
            let entries = base.iter().map(|(key, entry)| (key.clone(), entry.value.clone()));
            let hive = Hive::builder().base(entries).build().expect("a thread can be started");
            let mut one = |number: u64| {
                let reads = [random.below(KEYS), random.below(KEYS)].map(|key| format!("k/{key}"));
                agent(format!("agent-{number}"), move |view: &mut View| {
                    let read = |view: &mut View, key: &str| {
                        let value = view.get(key)?;
                        Ok::<_, AgentError>(value.and_then(|value| value.as_int()).unwrap_or(0))
                    };
                    let sum = read(view, &reads[0])? + read(view, &reads[1])?;
                    view.set(format!("results/{number}").as_str(), sum)?;
                    Ok(Next::Done)
                })
            };
            let agents: Vec<_> = (0..count).map(&mut one).collect();
            hive.spawn_all(agents).expect("names are free");
            hive
        };
        sampler.each_per(count, prepare, |hive| {
            let settled = hive.run_until_settled(64).expect("nobody else runs it");
            assert!(settled.is_settled() && settled.failed.is_empty());
            assert_eq!(
                hive.snapshot().under("results").count() as u64,
                count,
                "each has committed"
            );
            hive
        });
    }
}

fn memory(quick: bool) -> Vec<Case> {
    let sizes: &[u64] = if quick { &[100, 10_000] } else { &[10, 50, 100, 200, 10_000] };
    let case = |(supervised, count): (bool, u64)| {
        Case::count("bytes")
            .param("run", how_run(supervised))
            .axis("agents", count)
            .goal(Goal::AtMost(1024.0))
            .contenders(move || vec![idle(count, supervised)])
    };
    let all = [false, true].into_iter();
    all.flat_map(|supervised| sizes.iter().map(move |count| case((supervised, *count)))).collect()
}

fn how_run(supervised: bool) -> &'static str {
    if supervised { "supervised" } else { "in waves" }
}

/// The report tool's own switch for a process that does nothing but [`bytes_of_idle_agents`].
pub const IDLE_AGENTS: &str = "idle-agents";
/// And of agents under a supervisor.
pub const SUPERVISED: &str = "supervised";

fn idle(count: u64, supervised: bool) -> Contender {
    Contender::ours("queenright agent", move |sampler| {
        // A process of its own: what earlier scenarios left to be freed later would be counted here.
        let program = std::env::current_exe().expect("this program has a file");
        let switch = format!("--{IDLE_AGENTS}={count}");
        let of = supervised.then(|| format!("--{SUPERVISED}"));
        let output = std::process::Command::new(program).arg(switch).args(of).output();
        let output = output.expect("this program can be started again");
        let bytes = String::from_utf8_lossy(&output.stdout).trim().parse::<f64>();
        sampler.value(bytes.expect("a number of bytes") / count as f64);
    })
}

/// How many bytes a hive's agents take that have run once and wait for a key to change. Only in a program whose
/// allocator counts.
pub fn bytes_of_idle_agents(count: u64, supervised: bool) -> i64 {
    let watching = |number: u64| {
        agent(format!("agent-{number}"), |view: &mut View| {
            view.get("wanted")?;
            Ok(Next::Watch)
        })
    };
    let hive = Hive::builder().build().expect("a thread can be started");
    let settle = |agents: std::ops::Range<u64>| {
        hive.spawn_all(agents.map(watching)).expect("names are free");
        let settled = hive.run_until_settled(8).expect("nobody else runs it");
        assert!(settled.is_settled() && settled.failed.is_empty());
    };
    let supervisor = hive.supervisor(Supervision::default()).expect("threads can be started");
    let live = |agents: std::ops::Range<u64>| {
        let agents = agents.map(|number| (format!("agent-{number}"), move || Ok(watching(number))));
        let agents = supervisor.spawn_all(Spawn::default(), agents).expect("names are free");
        for agent in &agents {
            agent.wait_for(|state| *state == AgentState::Waiting);
        }
    };
    let begin = |agents| if supervised { live(agents) } else { settle(agents) };
    // The pool's threads and the hive's own tables come with the first agent.
    begin(count..count + 1);
    let (grown, ()) = allocator::growth(|| begin(0..count));
    assert!(grown > 0, "agents take memory, and it is counted");
    grown
}
