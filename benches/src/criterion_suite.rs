//! The same scenarios under criterion, for its statistics and its HTML reports.

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion};
use queenright_measure::{Case, Sampler, Scenario};

use crate::scenarios;

/// Runs every timed case of a suite, as criterion's command line asks. A group is a scenario with all parameters but the one that
/// grows, so that criterion draws a line for each contender over that one.
pub fn run(suite: &str) {
    // More than a thousand measurements: each is short, and the report tool has the percentiles.
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500))
        .sample_size(20)
        .nresamples(5000)
        .configure_from_args();
    for scenario in scenarios::all().iter().filter(|scenario| scenario.suite == suite) {
        for (name, cases) in groups(scenario) {
            let mut group = criterion.benchmark_group(name);
            cases.into_iter().for_each(|case| measure(&mut group, case));
            group.finish();
        }
    }
    criterion.final_summary();
}

/// The timed cases of a scenario by the name of their group, in their order. Criterion plots a group as a whole, so the cases of one
/// may not come in several of the same name.
fn groups(scenario: &Scenario) -> Vec<(String, Vec<Case>)> {
    let mut groups: Vec<(String, Vec<Case>)> = Vec::new();
    for case in (scenario.cases)(false).into_iter().filter(Case::is_timed) {
        let (_, others) = case.axis_and_others();
        let name = match others.as_str() {
            "" => scenario.name.to_owned(),
            others => format!("{}: {others}", scenario.name),
        };
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, cases)) => cases.push(case),
            None => groups.push((name, vec![case])),
        }
    }
    groups
}

fn measure(group: &mut BenchmarkGroup<'_, WallTime>, case: Case) {
    let (axis, _) = case.axis_and_others();
    let parameter = axis.map_or(String::new(), ToString::to_string);
    for contender in case.into_contenders() {
        let id = BenchmarkId::new(contender.name(), &parameter);
        let mut contender = Some(contender);
        let mut measure = None;
        group.bench_function(id, |bencher| {
            // Prepared at the first call only: a filter may leave it out.
            if let Some(contender) = contender.take() {
                measure = Some(contender.make());
            }
            let mut driver = |routine: &mut dyn FnMut(u64) -> Duration| {
                bencher.iter_custom(routine);
            };
            if let Some(measure) = &mut measure {
                measure(&mut Sampler::driven(&mut driver));
            }
        });
    }
}
