//! The commit log: appends, whole hives on it, and how a log is opened again.

fn main() {
    queenright_benches::criterion_suite::run("log");
}
