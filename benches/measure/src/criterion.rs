//! Criterion's own results, read where it leaves them.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::row::CriterionResult;

#[derive(Deserialize)]
struct Benchmark {
    full_id: String,
}

#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
    confidence_interval: Interval,
}

#[derive(Deserialize)]
struct Interval {
    lower_bound: f64,
    upper_bound: f64,
}

/// Reads every `new/estimates.json` under `folder` (`target/criterion`), in the order of their names. A folder that is not
/// there holds no results; files of another form are passed over, because criterion may change them.
pub fn criterion_results(folder: &Path) -> Vec<CriterionResult> {
    let mut results = Vec::new();
    collect(folder, 0, &mut results);
    results.sort_by(|a, b| a.id.cmp(&b.id));
    results
}

/// Criterion nests group, function and parameter, and `new` below them.
const DEEPEST: usize = 6;

fn collect(folder: &Path, depth: usize, results: &mut Vec<CriterionResult>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if !path.is_dir() || depth > DEEPEST {
            continue;
        }
        if entry.file_name() == "new" {
            results.extend(result(&path));
        } else {
            collect(&path, depth + 1, results);
        }
    }
}

fn result(folder: &Path) -> Option<CriterionResult> {
    let benchmark: Benchmark = read(&folder.join("benchmark.json"))?;
    let estimates: Estimates = read(&folder.join("estimates.json"))?;
    let interval = estimates.median.confidence_interval;
    Some(CriterionResult {
        id: benchmark.full_id,
        median: estimates.median.point_estimate,
        interval: (interval.lower_bound, interval.upper_bound),
    })
}

fn read<T: serde::de::DeserializeOwned>(file: &Path) -> Option<T> {
    serde_json::from_str(&fs::read_to_string(file).ok()?).ok()
}
