//! Measures cases: contenders take turns, so that what disturbs the machine disturbs all of them.

use std::collections::BTreeSet;

use crate::case::{Case, Contender, Scenario, Side};
use crate::goal::{Goal, advantage, judge};
use crate::progress::Progress;
use crate::row::{Better, Limit, Row, Stats};
use crate::sampler::{Budget, Sampler};
use crate::samples::Samples;

/// What is measured, and how much of it.
pub struct Selection<'s> {
    /// Only suites and scenarios whose `suite/name` contains one of these; all if it is empty.
    pub filters: &'s [String],
    /// Only these rows, by [`Row::id`]; all if it is `None`.
    pub rows: Option<&'s BTreeSet<String>>,
    /// Fewer cases.
    pub quick: bool,
    /// How long each of them takes.
    pub budget: Budget,
}

impl Selection<'_> {
    fn wants(&self, suite: &str, name: &str) -> bool {
        let path = format!("{suite}/{name}");
        self.filters.is_empty() || self.filters.iter().any(|filter| path.contains(filter))
    }
}

/// Measures the limits: each is a contender of its own.
pub fn measure_limits(
    limits: Vec<(&'static str, Contender)>,
    budget: Budget,
    progress: &Progress,
) -> Vec<Limit> {
    let measured = limits.into_iter().filter_map(|(what, contender)| {
        let name = contender.name.to_owned();
        let (_, stats) = take_turns(vec![contender], budget).pop()?;
        let stats = stats?;
        progress.step(&format!("limit: {name}"));
        Some(Limit { name, what: what.to_owned(), unit: "ns".to_owned(), stats })
    });
    measured.collect()
}

/// Measures every case of the selection and judges the targets.
pub fn measure(
    scenarios: &[Scenario],
    limits: &[Limit],
    selection: &Selection<'_>,
    progress: &Progress,
) -> Vec<Row> {
    let mut planned: Vec<(&Scenario, Case, Row)> = Vec::new();
    for scenario in scenarios.iter().filter(|it| selection.wants(it.suite, it.name)) {
        for case in (scenario.cases)(selection.quick) {
            let row = empty_row(scenario, &case);
            if selection.rows.is_none_or(|rows| rows.contains(&row.id())) {
                planned.push((scenario, case, row));
            }
        }
    }
    progress.expect(planned.len());
    let mut rows = Vec::new();
    let mut goals: Vec<Vec<Goal>> = Vec::new();
    for (_, case, mut row) in planned {
        if let Some((name, times)) = case.limit {
            set_limit(&mut row, limits, name, times);
        }
        let measured = take_turns((case.contenders)(), selection.budget);
        fill(&mut row, measured.into_iter().filter_map(|(side, stats)| Some((side, stats?))));
        progress.step(&row.id());
        rows.push(row);
        goals.push(case.goals);
    }
    judge(&mut rows, &goals);
    rows
}

fn set_limit(row: &mut Row, limits: &[Limit], name: &str, times: f64) {
    let Some(limit) = limits.iter().find(|limit| limit.name == name) else { return };
    let nanoseconds = limit.stats.p50 * times;
    row.limit = Some(match row.better {
        Better::Lower => nanoseconds,
        Better::Higher => 1e9 / nanoseconds,
    });
    row.limit_name = Some(match times {
        1.0 => limit.name.clone(),
        _ => format!("{times} × {}", limit.name),
    });
}

fn empty_row(scenario: &Scenario, case: &Case) -> Row {
    Row {
        suite: scenario.suite.to_owned(),
        name: scenario.name.to_owned(),
        params: case.params.clone(),
        axis: case.axis.map(str::to_owned),
        what: scenario.what.to_owned(),
        unit: case.unit.to_owned(),
        better: case.better,
        hands_over: case.hands_over,
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
        note: case.note.map(str::to_owned),
    }
}

/// Each round starts with another contender, so that none always runs on what the one before left in the caches.
fn take_turns(contenders: Vec<Contender>, budget: Budget) -> Vec<(Side, Option<Stats>)> {
    let mut all: Vec<_> =
        contenders.into_iter().map(|it| (it.side, Samples::of(it.name), it.make())).collect();
    for round in 0..budget.rounds {
        for turn in 0..all.len() {
            let who = (round + turn) % all.len();
            let (_, samples, measure) = &mut all[who];
            measure(&mut Sampler::new(budget, samples));
        }
    }
    all.into_iter().map(|(side, samples, _)| (side, samples.finish())).collect()
}

fn fill(row: &mut Row, measured: impl Iterator<Item = (Side, Stats)>) {
    for (side, mut stats) in measured {
        stats.beside = side == Side::Beside;
        match side {
            Side::Ours => row.ours = Some(stats),
            Side::Peer | Side::Beside => row.peers.push(stats),
            Side::Limit => {
                row.limit = Some(stats.p50);
                row.limit_name = Some(stats.name);
            }
        }
    }
    row.peers.sort_by(|a, b| match row.better {
        Better::Lower => a.p50.total_cmp(&b.p50),
        Better::Higher => b.p50.total_cmp(&a.p50),
    });
    let best = row.peers.iter().find(|stats| !stats.beside);
    row.best_peer = best.map(|stats| stats.name.clone());
    let Some(ours) = &row.ours else { return };
    let against = |other: f64| {
        let times = advantage(row.better, ours.p50, other);
        times.is_finite().then_some(times)
    };
    row.ratio_best_peer = best.and_then(|best| against(best.p50));
    row.ratio_limit =
        row.limit.and_then(against).map(|times| 1.0 / times).filter(|it| it.is_finite());
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Figure;

    /// What each contender shows, whatever the machine does.
    fn shows(name: &'static str, side: Side, value: f64) -> Contender {
        Contender::new(name, side, move |sampler| sampler.value(value))
    }

    fn contenders() -> Vec<Contender> {
        vec![
            shows("ours", Side::Ours, 20.0),
            shows("slow", Side::Peer, 80.0),
            shows("fast", Side::Peer, 10.0),
            shows("careless", Side::Beside, 1.0),
            shows("hardware", Side::Limit, 5.0),
        ]
    }

    fn measured(case: fn(bool) -> Vec<Case>) -> Vec<Row> {
        let scenario = Scenario { suite: "suite", name: "scenario", what: "", cases: case };
        let budget = Budget { rounds: 3, turn: Duration::ZERO, window: Duration::ZERO };
        let selection = Selection { filters: &[], rows: None, quick: false, budget };
        measure(&[scenario], &[], &selection, &Progress::new())
    }

    /// Whether a goal is met by 20 of ours, beside 10 and 80 of peers, and a limit of 5.
    fn met(case: fn(bool) -> Vec<Case>) -> Option<bool> {
        measured(case).remove(0).met
    }

    #[test]
    fn the_best_peer_is_one_who_promises_as_much() {
        let row = measured(|_| vec![Case::nanoseconds().contenders(contenders)]).remove(0);
        assert_eq!((row.best_peer.as_deref(), row.ratio_best_peer), (Some("fast"), Some(0.5)));
        assert_eq!((row.limit_name.as_deref(), row.ratio_limit), (Some("hardware"), Some(4.0)));
        let beside: Vec<bool> = row.peers.iter().map(|peer| peer.beside).collect();
        assert_eq!(beside, [true, false, false], "best first");
        assert_eq!((row.target, row.met), (None, None));
    }

    #[test]
    fn of_rates_more_is_better() {
        let row = measured(|_| vec![Case::rate().contenders(contenders)]).remove(0);
        assert_eq!((row.best_peer.as_deref(), row.ratio_best_peer), (Some("slow"), Some(0.25)));
        assert_eq!(row.ratio_limit, Some(0.25));
    }

    macro_rules! goals {
        ($($goal:expr => $met:expr),* $(,)?) => {
            $(assert_eq!(
                met(|_| vec![Case::nanoseconds().goal($goal).contenders(contenders)]),
                $met,
                stringify!($goal)
            );)*
        };
    }

    #[test]
    fn each_goal_is_met_up_to_its_value_and_not_beyond() {
        goals! {
            Goal::AtMost(20.0) => Some(true),
            Goal::AtMost(19.9) => Some(false),
            Goal::AtLeast(20.0) => Some(true),
            Goal::AtLeast(20.1) => Some(false),
            Goal::Below(Figure::P50, 20.1) => Some(true),
            Goal::Below(Figure::P50, 20.0) => Some(false),
            Goal::TimesPeer("slow", 4.0) => Some(true),
            Goal::TimesPeer("slow", 4.1) => Some(false),
            Goal::TimesPeer("careless", 0.05) => Some(true),
            Goal::TimesBest(0.5) => Some(true),
            Goal::TimesBest(0.6) => Some(false),
            Goal::NotSlower => Some(false),
            Goal::TimesLimit(4.0) => Some(true),
            Goal::TimesLimit(3.9) => Some(false),
        }
    }

    #[test]
    fn within_a_twentieth_is_not_slower() {
        let met = |row: Vec<Row>| row[0].met;
        assert_eq!(met(measured(|_| vec![against(95.0)])), Some(true));
        assert_eq!(met(measured(|_| vec![against(94.9)])), Some(false));
    }

    fn against(peer: f64) -> Case {
        let all = move || vec![shows("ours", Side::Ours, 100.0), shows("peer", Side::Peer, peer)];
        Case::nanoseconds().goal(Goal::NotSlower).contenders(all)
    }

    #[test]
    fn what_cannot_be_judged_is_a_miss_and_not_silence() {
        goals! {
            Goal::TimesPeer("renamed", 1.0) => Some(false),
            // A reading has no p99.
            Goal::Below(Figure::P99, 100.0) => Some(false),
        }
    }

    #[test]
    fn rows_are_held_against_each_other_if_both_were_measured() {
        assert_eq!(measured(|_| sizes(2.0, true))[1].met, Some(true));
        assert_eq!(measured(|_| sizes(1.9, true))[1].met, Some(false));
        assert_eq!(measured(|_| sizes(1.9, false))[0].met, None);
    }

    /// Twice the size costs twice as much; the other row is left out unless `both`.
    fn sizes(times: f64, both: bool) -> Vec<Case> {
        let case = |size: u64| {
            let all = move || vec![shows("ours", Side::Ours, size as f64 * 10.0)];
            Case::nanoseconds().axis("size", size).contenders(all)
        };
        let last = case(2).goal(Goal::TimesRow("size 1".to_owned(), times));
        if both { vec![case(1), last] } else { vec![last] }
    }
}
