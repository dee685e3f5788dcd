//! Agents that are programs of their own: a clerk in Python and a gauge in shell, on one stock.
//!
//! `cargo run --features process --example processes`

#![allow(clippy::print_stdout)]

use std::path::Path;
use std::time::Duration;

use queenright::consensus::{QuorumRule, Threshold};
use queenright::{AgentState, Hive, Op, Program, Proposal, Spawn, Supervision};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/processes");
    let hive = Hive::builder().name("shop").build()?;
    hive.transact(|view| Ok(view.set("stock", 10)?))?;

    let supervisor = hive.supervisor(Supervision::default())?;
    let clerk = Program::new("python3").arg(scripts.join("clerk.py"));
    let clerk = supervisor.spawn_process("clerk", Spawn::default(), clerk)?;
    let gauge = Program::new("sh").arg(scripts.join("gauge.sh"));
    let gauge = supervisor.spawn_process("gauge", Spawn::default(), gauge)?;

    hive.transact(|view| {
        view.set("orders/ada", 4)?;
        view.set("orders/bob", 5)?;
        Ok(view.set("orders/cyd", 6)?) // more than is left by then
    })?;
    clerk.wait_for(|state| *state == AgentState::Waiting);
    let patience = Duration::from_secs(10);
    while hive.snapshot().get("low") != Some(&true.into()) {
        gauge.join_timeout(Duration::from_millis(1));
    }
    println!("filled {} orders", clerk.ask("how many?", patience)?);
    for (key, entry) in hive.snapshot().under("") {
        println!("{key} = {}, by {} in version {}", entry.value, entry.writer, entry.version);
    }

    let rule = QuorumRule::new(["clerk"], Threshold::Unanimous)?;
    for discount in [15, 90] {
        let id = format!("discount of {discount}");
        let proposal = Proposal::on(&hive.snapshot(), "owner", id.as_str());
        let proposal = proposal.write("discount", Op::Set(discount.into()))?;
        println!("{id}: {}", hive.propose(proposal.with_quorum(rule.clone()))?.wait());
    }
    supervisor.stop_all();
    println!("clerk: {}, gauge: {}", clerk.state(), gauge.state());
    Ok(())
}
