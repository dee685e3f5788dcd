//! A report like a real one, for the renderers' tests: every kind of row, missed targets, and gaps.

use serde_json::{Map, Value, json};

use crate::*;

/// Six scenarios in two suites; three missed targets, two regressions.
pub(super) fn report() -> Report {
    let mut rows = snapshot_reads();
    rows.extend(snapshot_writes());
    rows.extend(snapshot_garbage());
    rows.extend(broadcast_ring());
    rows.extend(round_throughput());
    rows.extend(consensus_latency());
    Report {
        format: FORMAT,
        made: Made {
            at: 1_795_217_600,
            source: Some("4c1f0e2".to_owned()),
            arguments: "--quick --baseline main".to_owned(),
            quick: true,
            rounds: 5,
            turn_ms: 40,
            seconds: 112.0,
        },
        machine: Machine {
            cpu: "Intel(R) Xeon(R) Processor @ 2.90GHz".to_owned(),
            cores: 2,
            memory: 8_331_190_272,
            os: "Linux 6.12.8".to_owned(),
            hypervisor: Some("kvm".to_owned()),
            rustc: "rustc 1.95.0 (59807616e 2026-04-14)".to_owned(),
        },
        limits: vec![
            limit("clock", "Reading the clock twice, with nothing in between.", 41.0),
            limit("pointer load", "One load of a pointer and one of what it points to.", 0.62),
            limit("cache line transfer", "One cache line from one core to the other.", 68.0),
        ],
        rows,
        criterion: [("claim_race/uncontended/1000", 31_400.0), ("quorum/<&\">/7", 812.0)]
            .map(|(id, median)| CriterionResult {
                id: id.to_owned(),
                median,
                interval: (median * 0.98, median * 1.03),
            })
            .to_vec(),
        comparison: Some(comparison()),
    }
}

fn limit(name: &str, what: &str, p50: f64) -> Limit {
    Limit {
        name: name.to_owned(),
        what: what.to_owned(),
        unit: "ns".to_owned(),
        stats: stats(name, p50, Sample::Block),
    }
}

fn comparison() -> Comparison {
    let change = |row: &str, figure: &str, before, after, worse| Change {
        row: row.to_owned(),
        figure: figure.to_owned(),
        before,
        after,
        unit: "ns".to_owned(),
        worse,
        noise: 0.041,
    };
    Comparison {
        baseline_at: 1_795_000_000,
        compared: 61,
        unmatched: 2,
        noise: 0.041,
        drift: 0.012,
        regressions: vec![
            change("hive_coordination/consensus_latency (packs 50)", "p99", 4.1e5, 5.6e5, 0.35),
            change(
                "swarm_primitives/snapshot_writes (commits 10, writers 2)",
                "p50",
                812.,
                935.,
                0.14,
            ),
        ],
        improvements: vec![change(
            "swarm_primitives/snapshot_reads (reads 1000, readers 8, writer hot)",
            "p50",
            1690.0,
            1320.0,
            -0.23,
        )],
    }
}

const READ_PEERS: [(&str, f64); 8] = [
    ("arc-swap Cache", 1.05),
    ("left-right read guard", 6.1),
    ("arc-swap load", 9.8),
    ("crossbeam-epoch pin + load", 12.4),
    ("seize guard + load", 7.3),
    ("parking_lot RwLock<Arc<T>>", 17.9),
    ("std RwLock<Arc<T>>", 21.3),
    ("Mutex<Arc<T>> with a <&\"> in it", 24.6),
];

fn snapshot_reads() -> Vec<Row> {
    let mut rows = Vec::new();
    for (readers, writer, slower) in [(1, "idle", 1.0), (2, "paced", 1.4), (8, "hot", 1.9)] {
        for reads in [10, 50, 100, 500, 1000] {
            let of = |cost: f64| f64::from(reads) * cost * (1.0 + 0.5 / f64::from(reads));
            let ours = of(0.69 * slower);
            let peers = READ_PEERS.map(|(name, cost)| {
                // A peer that suffers less beside a hot writer, so that one row is lost.
                let grows = if name == "arc-swap Cache" { 1.0 } else { slower * slower };
                stats(name, of(cost * grows), Sample::Block)
            });
            let params =
                [("reads", json!(reads)), ("readers", json!(readers)), ("writer", json!(writer))];
            let mut row = row("swarm_primitives", "snapshot_reads", &params, "ns");
            row.axis = Some("reads".to_owned());
            row.what =
                "So many reads of the current snapshot by each reader, dereferenced.".to_owned();
            row.note = (writer == "hot").then(|| "More threads than cores.".to_owned());
            row.ours = Some(stats("Snapshot cached read", ours, Sample::Block));
            row.peers = peers.to_vec();
            row.limit = Some(of(0.62));
            row.limit_name = Some("pointer load".to_owned());
            let best = peers.iter().map(|peer| peer.p50).fold(f64::INFINITY, f64::min);
            if reads == 1000 {
                row.checks = vec![Check {
                    target: "never slower than any peer".to_owned(),
                    measured: format!("{:.2} × the best peer", ours / best),
                    met: ours <= 1.05 * best,
                }];
            }
            rows.push(finished(row));
        }
    }
    rows
}

fn snapshot_writes() -> Vec<Row> {
    let mut rows = Vec::new();
    for writers in [1, 2] {
        for commits in [10, 50, 100, 200] {
            let of = |cost: f64| f64::from(commits) * cost * f64::from(writers);
            let params = [("commits", json!(commits)), ("writers", json!(writers))];
            let mut row = row("swarm_primitives", "snapshot_writes", &params, "ns");
            row.axis = Some("commits".to_owned());
            row.what = "So many versioned commits, staged and published.".to_owned();
            row.note = Some("Each commit is of 64 bytes.".to_owned());
            row.ours = Some(stats("Snapshot commit", of(81.0), Sample::Operation));
            row.peers = vec![
                stats("arc-swap rcu", of(290.0), Sample::Operation),
                stats("left-right publish", of(410.0), Sample::Operation),
                stats("RwLock<Arc<T>>", of(160.0), Sample::Operation),
            ];
            row.checks = vec![Check {
                target: "≥ 3 × arc-swap rcu".to_owned(),
                measured: "3.58 ×".to_owned(),
                met: true,
            }];
            rows.push(finished(row));
        }
    }
    rows
}

fn snapshot_garbage() -> Vec<Row> {
    let of = |what: &str, unit: &str, ours, peer| {
        let params = [("measure", json!(what)), ("publishes", json!(100_000))];
        let mut row = row("swarm_primitives", "snapshot_garbage", &params, unit);
        row.what = format!("{what} after so many publishes of 1 KiB beside a stalled reader.");
        row.ours = Some(stats("Snapshot", ours, Sample::Value));
        row.peers = vec![
            stats("crossbeam-epoch", peer, Sample::Value),
            stats("arc-swap", ours / 2.0, Sample::Value),
        ];
        finished(row)
    };
    vec![
        of("live versions", "versions", 66.0, 100_000.0),
        of("bytes", "bytes", 69_632.0, 110_100_480.0),
    ]
}

fn broadcast_ring() -> Vec<Row> {
    let shapes = [("1→1", 4.1e7), ("1→8", 2.9e7), ("1→100", 1.2e7), ("8→8", 8.4e6)];
    let of = |(shape, rate)| {
        let mut row =
            row("swarm_primitives", "broadcast_ring", &[("shape", json!(shape))], "ops/s");
        row.what = "One message delivered to one subscriber.".to_owned();
        row.better = Better::Higher;
        row.peers = vec![
            stats("tokio broadcast", rate, Sample::Window),
            stats("async-broadcast", rate * 0.31, Sample::Window),
        ];
        row.target = Some("≥ 2 × tokio broadcast".to_owned());
        finished(row)
    };
    shapes.map(of).to_vec()
}

fn round_throughput() -> Vec<Row> {
    let mut rows = Vec::new();
    for keys in ["integer", "string"] {
        for batch in [16, 256, 4096] {
            let rate =
                4.6e6 * f64::from(batch).powf(0.08) / if keys == "string" { 2.5 } else { 1.0 };
            let params = [("batch", json!(batch)), ("keys", json!(keys)), ("proposers", json!(2))];
            let mut row = row("hive_coordination", "round_throughput", &params, "ops/s");
            row.axis = Some("batch".to_owned());
            row.what = "One proposal from submission to its outcome, with a snapshot published each round.".to_owned();
            row.better = Better::Higher;
            row.ours = Some(stats("Hive::propose_many", rate, Sample::Window));
            row.peers = vec![
                stats(
                    "actor that publishes an imbl map",
                    rate * if keys == "string" { 0.3 } else { 0.41 },
                    Sample::Window,
                ),
                stats(
                    "actor that clones a HashMap",
                    rate / f64::from(batch).sqrt(),
                    Sample::Window,
                ),
                stats("tokio mpsc + oneshot (publishes nothing)", rate * 0.28, Sample::Window),
                stats("stm", rate * 0.11, Sample::Window),
            ];
            row.limit = Some(1.9e8);
            row.limit_name = Some("cache line transfer".to_owned());
            let met = keys == "integer";
            if batch == 256 {
                row.checks = vec![
                    Check {
                        target: "≥ 3M proposals/s".to_owned(),
                        measured: if met { "7.17 M/s" } else { "2.87 M/s" }.to_owned(),
                        met,
                    },
                    Check {
                        target: "≥ 3 × the best peer doing the same job".to_owned(),
                        measured: if met { "2.44 ×" } else { "3.33 ×" }.to_owned(),
                        met: !met,
                    },
                ];
            }
            rows.push(finished(row));
        }
    }
    rows
}

fn consensus_latency() -> Vec<Row> {
    let packs = [1, 3, 5, 10, 20, 50, 100, 1000];
    let of = |packs: u32| {
        let mut row =
            row("hive_coordination", "consensus_latency", &[("packs", json!(packs))], "ns");
        row.axis = Some("packs".to_owned());
        row.what = "From parsed packs to a resolved consensus, on a warm pool.".to_owned();
        let p50 = 9_000.0 + 5_600.0 * f64::from(packs);
        row.ours = Some(stats("Hive", p50, Sample::Operation));
        if packs == 10 {
            row.checks = ["p50 < 100 µs", "p99 < 500 µs"]
                .map(|target| Check {
                    target: target.to_owned(),
                    measured: format!(
                        "{} is {} µs",
                        &target[..3],
                        if target.starts_with("p50") { 65 } else { 115 }
                    ),
                    met: true,
                })
                .to_vec();
        }
        finished(row)
    };
    packs.map(of).to_vec()
}

fn row(suite: &str, name: &str, params: &[(&str, Value)], unit: &str) -> Row {
    Row {
        suite: suite.to_owned(),
        name: name.to_owned(),
        params: params
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect::<Map<_, _>>(),
        axis: None,
        what: String::new(),
        unit: unit.to_owned(),
        better: Better::Lower,
        hands_over: false,
        ours: None,
        peers: Vec::new(),
        limit: None,
        limit_name: None,
        best_peer: None,
        ratio_best_peer: None,
        ratio_limit: None,
        target: None,
        met: None,
        checks: Vec::new(),
        note: None,
    }
}

/// The row with all that follows from its figures.
fn finished(mut row: Row) -> Row {
    let how_much_better = |ours: f64, other: f64| match row.better {
        Better::Lower => other / ours,
        Better::Higher => ours / other,
    };
    row.peers.sort_by(|a, b| how_much_better(b.p50, a.p50).total_cmp(&1.0));
    row.best_peer = row.peers.first().map(|peer| peer.name.clone());
    if let Some(ours) = &row.ours {
        row.ratio_best_peer = row.peers.first().map(|peer| how_much_better(ours.p50, peer.p50));
        row.ratio_limit = row.limit.map(|limit| how_much_better(limit, ours.p50));
    }
    if !row.checks.is_empty() {
        let targets: Vec<_> = row.checks.iter().map(|check| check.target.as_str()).collect();
        row.target = Some(targets.join("; "));
        row.met = Some(row.checks.iter().all(|check| check.met));
    }
    row
}

/// Figures around a median, with a spread and a tail that follow from the name: the same in every run.
fn stats(name: &str, p50: f64, sample: Sample) -> Stats {
    let seed = name.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let spread = if sample == Sample::Value { 0.0 } else { 0.004 + f64::from(seed % 90) / 1000.0 };
    let timed = sample == Sample::Operation;
    let tail = 0.12 + f64::from(seed % 7) / 40.0;
    // The more nines, the steeper: as latencies are, once the scheduler is in them.
    let at = |share: f64| {
        let nines = -(1.0 - share).log10();
        p50 * (0.9 + 0.1 * nines / 0.301).min(1.0)
            * (tail * (nines - 0.301).max(0.0).powf(1.6)).exp()
    };
    let percentile = |share: f64| timed.then(|| at(share));
    let rounds = [-1.0, 0.4, 0.0, 1.0, -0.3].map(|offset| Round {
        p50: p50 * (1.0 + offset * spread),
        p95: percentile(0.95),
        p99: percentile(0.99),
    });
    let shares = (0..90).map(|step| 1.0 - 10_f64.powf(-f64::from(step) / 20.0));
    let n = if timed { 36_200 } else { 120 };
    let curve: Vec<_> =
        shares.chain([1.0 - 1.0 / f64::from(n)]).map(|share| (share, at(share))).collect();
    Stats {
        beside: false,
        name: name.to_owned(),
        min: if sample == Sample::Value { p50 } else { at(0.0) },
        p50,
        p95: percentile(0.95),
        p99: percentile(0.99),
        p999: percentile(0.999),
        max: if timed { at(0.999_97) } else { p50 * (1.0 + 2.0 * spread) },
        n: u64::from(if sample == Sample::Value { 5 } else { n as u32 }),
        sample,
        rounds: rounds.to_vec(),
        spread,
        windows: (sample == Sample::Window).then_some(Windows {
            kept: 17,
            preempted: 3,
            ..Windows::default()
        }),
        curve: if timed { curve } else { Vec::new() },
    }
}
