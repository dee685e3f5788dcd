//! The decision whether a run is worse than its baseline, on runs of the report tool that were recorded: twice the same code, and once
//! with a loop of 55 steps added to `ConflictIndex::try_admit`, which made it 29 to 42 % slower.

use std::path::Path;

use queenright_measure::{
    BaselineError, Comparison, Report, Sample, Stats, comparable, compare, confirmed, load_baseline,
};

fn recorded(name: &str) -> Report {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    load_baseline(&folder.join(name)).unwrap()
}

fn regressed(comparison: &Comparison) -> Vec<(&str, &str)> {
    let name = |row: &str| row.starts_with("swarm_primitives/conflict_detection");
    let changes = comparison.regressions.iter();
    changes
        .map(|change| {
            (if name(&change.row) { "conflict_detection" } else { &change.row }, &*change.figure)
        })
        .collect()
}

/// All figures of everyone, as on a machine that is that much slower.
fn slowed(mut report: Report, times: f64, whom: impl Fn(&str) -> bool) -> Report {
    let slow = |stats: &mut Stats| {
        if whom(&stats.name) && stats.sample != Sample::Value {
            stats.p50 *= times;
            let tails = [&mut stats.p95, &mut stats.p99].into_iter().flatten();
            tails.for_each(|figure| *figure *= times);
            for round in &mut stats.rounds {
                round.p50 *= times;
                let tails = [&mut round.p95, &mut round.p99].into_iter().flatten();
                tails.for_each(|figure| *figure *= times);
            }
        }
    };
    for row in &mut report.rows {
        row.ours.iter_mut().chain(&mut row.peers).for_each(slow);
    }
    report.limits.iter_mut().for_each(|limit| slow(&mut limit.stats));
    report
}

#[test]
fn the_same_code_measured_twice_is_no_regression() {
    let comparison = compare(&recorded("before.json"), &recorded("same-code.json"));
    assert_eq!(regressed(&comparison), []);
    assert!(comparison.compared > 30, "{} figures", comparison.compared);
    assert_eq!(comparison.unmatched, 0);
}

#[test]
fn a_third_more_time_in_one_place_is_flagged_there_and_nowhere_else() {
    let comparison = compare(&recorded("before.json"), &recorded("slower-conflicts.json"));
    assert_eq!(regressed(&comparison), [("conflict_detection", "p50"); 4]);
    for change in &comparison.regressions {
        assert!(change.worse > 0.25 && change.worse < 0.45, "{change:?}");
        assert!(change.noise < 0.25, "{change:?}");
    }
}

#[test]
fn the_other_way_round_it_is_an_improvement() {
    let comparison = compare(&recorded("slower-conflicts.json"), &recorded("before.json"));
    assert!(!regressed(&comparison).contains(&("conflict_detection", "p50")));
    let better = comparison.improvements.iter();
    assert_eq!(better.filter(|change| change.row.contains("conflict_detection")).count(), 4);
}

#[test]
fn a_machine_that_became_slower_for_all_is_drift_and_no_regression() {
    let slow = slowed(recorded("same-code.json"), 1.4, |_| true);
    let comparison = compare(&recorded("before.json"), &slow);
    assert_eq!(regressed(&comparison), []);
    assert!((comparison.drift - 0.4).abs() < 0.05, "{}", comparison.drift);
}

#[test]
fn drift_does_not_hide_what_only_ours_lost() {
    let slow = slowed(recorded("slower-conflicts.json"), 1.4, |_| true);
    let comparison = compare(&recorded("before.json"), &slow);
    assert_eq!(regressed(&comparison), [("conflict_detection", "p50"); 4]);
}

#[test]
fn a_slowdown_within_a_tenth_is_not_flagged() {
    let slower =
        |times| slowed(recorded("before.json"), times, |name| name.contains("ConflictIndex"));
    assert_eq!(regressed(&compare(&recorded("before.json"), &slower(1.09))), []);
    assert_eq!(regressed(&compare(&recorded("before.json"), &slower(1.12))).len(), 4);
}

#[test]
fn noise_of_the_peers_hides_a_change_of_its_size() {
    let before = recorded("before.json");
    let slower = slowed(before.clone(), 1.3, |name| name.contains("ConflictIndex"));
    assert_eq!(regressed(&compare(&before, &slower)).len(), 4);
    // Half of the peers became faster by a third and half slower by as much, as nobody's code did.
    let noisy = slowed(slower, 1.33, |name| name == "sort" || name == "std HashMap");
    let noisy = slowed(noisy, 0.75, |name| name == "hashbrown + ahash" || name == "naive pairs");
    assert_eq!(regressed(&compare(&before, &noisy)), []);
}

#[test]
fn rounds_that_overlap_are_no_regression() {
    let before = recorded("before.json");
    let mut after = slowed(before.clone(), 1.3, |name| name.contains("ConflictIndex"));
    for row in after.rows.iter_mut().filter(|row| row.name == "conflict_detection") {
        let old = before.rows.iter().find(|old| old.id() == row.id()).unwrap();
        let half = old.ours.as_ref().unwrap().rounds.iter().take(5);
        row.ours.as_mut().unwrap().rounds.iter_mut().zip(half).for_each(|(new, old)| *new = *old);
    }
    assert_eq!(regressed(&compare(&before, &after)), []);
}

#[test]
fn a_percentile_of_too_few_samples_is_not_compared() {
    let mut before = recorded("before.json");
    before.rows.retain(|row| {
        row.name == "state_staging" && row.params.get("changes").is_some_and(|changes| changes == 1)
    });
    let compared = |n| {
        let mut after = slowed(before.clone(), 3.0, |name| name == "imbl OrdMap");
        after.rows.iter_mut().for_each(|row| row.ours.as_mut().unwrap().n = n);
        let comparison = compare(&before, &after);
        let mut figures: Vec<String> =
            comparison.regressions.into_iter().map(|change| change.figure).collect();
        figures.sort();
        figures.dedup();
        figures
    };
    assert_eq!(compared(999), ["p50", "p95"]);
    assert_eq!(compared(199), ["p50"]);
}

#[test]
fn what_a_second_measurement_does_not_find_again_is_dropped() {
    let before = recorded("before.json");
    let slower = compare(&before, &recorded("slower-conflicts.json"));
    let same = compare(&before, &recorded("same-code.json"));
    assert_eq!(regressed(&confirmed(slower.clone(), &slower)).len(), 4);
    assert_eq!(regressed(&confirmed(slower, &same)), []);
}

#[test]
fn more_versions_kept_alive_are_a_regression_without_any_noise() {
    let before = recorded("before.json");
    let mut after = before.clone();
    let row = after.rows.iter_mut().find(|row| row.name == "snapshot_garbage").unwrap();
    let ours = row.ours.as_mut().unwrap();
    ours.p50 *= 1.2;
    ours.rounds.iter_mut().for_each(|round| round.p50 *= 1.2);
    assert_eq!(compare(&before, &after).regressions.len(), 1);
}

#[test]
fn other_machines_and_other_budgets_are_refused() {
    let before = recorded("before.json");
    assert!(comparable(&before, &recorded("same-code.json")).is_ok());
    let mut other = before.clone();
    other.machine.rustc = "rustc 1.99.0".to_owned();
    let refused = comparable(&before, &other).unwrap_err();
    assert!(matches!(refused, BaselineError::Machine { .. }));
    assert!(
        refused.to_string().contains("1.99.0") && refused.to_string().contains("--baseline save")
    );
    let mut other = before.clone();
    other.made.quick = false;
    assert!(matches!(comparable(&before, &other), Err(BaselineError::Budget)));
}

#[test]
fn a_file_that_is_no_baseline_is_told_from_one_that_is_missing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let missing = load_baseline(&folder.join("tests/recorded/none.json"));
    assert!(matches!(missing, Err(BaselineError::File(_))));
    let wrong = load_baseline(&folder.join("Cargo.toml"));
    assert!(matches!(wrong, Err(BaselineError::Form(_))));
}
