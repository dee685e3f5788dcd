//! The hive: rounds, agents, whole resolutions.

fn main() {
    queenright_benches::criterion_suite::run("hive_coordination");
}
