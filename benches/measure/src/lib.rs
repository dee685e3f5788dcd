//! Measures contenders side by side, compares a run with a baseline, and writes reports. It knows no contender: those are in
//! `queenright-benches`, and this crate's tests build none of them.
//!
//! | module | what |
//! |---|---|
//! | `row` | what a report holds, and what `report.json` looks like |
//! | `case`, `goal` | what is to be measured, and the targets |
//! | `sampler`, `crew`, `samples` | one contender's turn; threads in windows; its figures |
//! | `run`, `progress` | contenders take turns, case after case |
//! | `baseline` | whether a run is worse than one before it |
//! | `criterion` | criterion's own results |
//! | `render` | terminal, Markdown and HTML |

mod baseline;
mod case;
mod crew;
mod criterion;
mod goal;
mod machine;
mod progress;
pub mod render;
mod row;
mod run;
mod sampler;
mod samples;

pub use baseline::{BaselineError, comparable, compare, confirmed, load_baseline};
pub use case::{Case, Contender, Measure, Scenario, Side};
pub use criterion::criterion_results;
pub use goal::{Figure, Goal};
pub use machine::{cores, source};
pub use progress::Progress;
pub use row::*;
pub use run::{Selection, measure, measure_limits};
pub use sampler::{Budget, Driver, Per, Sampler};
