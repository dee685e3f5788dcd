//! The primitives alone, beside peers doing the same work.

fn main() {
    queenright_benches::criterion_suite::run("swarm_primitives");
}
