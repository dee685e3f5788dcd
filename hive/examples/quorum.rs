//! A change that three members vote on, one of whom is you: `y` or `n` on standard input.
//!
//! `cargo run --example quorum`

#![allow(clippy::print_stdout)]

use std::io::stdin;

use queenright::consensus::{CastVote, QuorumRule, Threshold, Vote};
use queenright::{Hive, Op, Proposal};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hive = Hive::builder().name("release").build()?;
    let rule = QuorumRule::new(["linter", "tests", "you"], Threshold::Unanimous)?.within(60_000);
    let proposal = Proposal::on(&hive.snapshot(), "bot", "release-2")
        .write("live/version", Op::Set(2.into()))?
        .with_quorum(rule);
    let ticket = hive.propose(proposal)?;

    for member in ["linter", "tests"] {
        let tally = hive.vote(CastVote::on("release-2", member, Vote::Yes))?;
        println!("{member} says yes: {tally}");
    }
    for open in hive.ballots() {
        for (key, op) in &open.proposal.writes {
            println!("{} wants to {op} at {key}. Agreed? [y/n]", open.proposal.id);
        }
    }
    let mut answer = String::new();
    stdin().read_line(&mut answer)?;
    let says = if answer.trim() == "y" { Vote::Yes } else { Vote::No };
    hive.vote(CastVote::on("release-2", "you", says))?;
    println!("{}", ticket.wait());

    for record in hive.history() {
        for ((proposal, _), ballot) in &record.input.ballots {
            println!("recorded in round {}, about {proposal}:", record.input.round);
            ballot.votes.iter().for_each(|(member, vote)| println!("  {member}: {vote}"));
        }
    }
    Ok(())
}
