//! The same scenarios under criterion, for its statistics and its HTML reports.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use queenright_measure::{Case, Sampler};

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
        for case in (scenario.cases)(false).into_iter().filter(Case::is_timed) {
            measure(&mut criterion, scenario.name, case);
        }
    }
    criterion.final_summary();
}

fn measure(criterion: &mut Criterion, scenario: &str, case: Case) {
    let (axis, others) = case.axis_and_others();
    let parameter = axis.map_or("".to_owned(), ToString::to_string);
    let name =
        if others.is_empty() { scenario.to_owned() } else { format!("{scenario}: {others}") };
    let mut group = criterion.benchmark_group(name);
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
    group.finish();
}
