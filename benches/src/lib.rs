//! What is measured: the contenders, the scenarios and the limits. Run them with `cargo bench`, or as a report with
//! `cargo run --release -p queenright-benches --bin report`.

pub mod allocator;
pub mod criterion_suite;
pub mod limits;
pub mod peers;
pub mod scenarios;
pub mod scratch;
pub mod workload;
