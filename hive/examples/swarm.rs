//! A hive without manifests or the command: agents share a budget, one changes the rules, all settle.
//!
//! `cargo run -p queenright --example swarm`
#![allow(clippy::print_stdout, clippy::print_stderr)]

use queenright::{Hive, Next, Op, Proposal, agent};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hive = Hive::builder().name("swarm").seed(7).build()?;

    // One change from outside, answered by a ticket: the budget that all share.
    let budget =
        Proposal::on(&hive.snapshot(), "owner", "budget").write("budget", Op::Set(100.into()))?;
    println!("owner: {}", hive.propose(budget)?.wait());

    // Five workers in parallel. Each takes 30 if it can, and never more than is left: the bound is the queen's to keep.
    hive.spawn_all((0..5).map(|n| {
        agent(format!("worker-{n}"), move |view| {
            let left = view.peek("budget")?.and_then(|entry| entry.value.as_int()).unwrap_or(0);
            if left < 30 {
                return Ok(Next::Watch); // Run again when the budget changes.
            }
            view.write("budget", Op::Add { by: -30, at_least: Some(0), at_most: None })?;
            view.set(format!("plan/worker-{n}"), "bought")?;
            Ok(Next::Done)
        })
    }))?;
    let settled = hive.run_until_settled(100)?;
    println!("{} rounds, {} keys", settled.rounds, hive.snapshot().len());

    // A transaction reads and writes one consistent state, and is retried when it loses.
    let spent = hive.transact(|view| {
        let bought = view.under("plan")?.len() as i64;
        view.write("budget", Op::add(60))?;
        Ok(bought * 30)
    })?;
    println!("spent {spent}, then 60 more came in");

    hive.run_until_settled(100)?;
    for (key, entry) in hive.snapshot().iter() {
        println!("{key} = {} (version {}, {})", entry.value, entry.version, entry.writer);
    }
    Ok(())
}
