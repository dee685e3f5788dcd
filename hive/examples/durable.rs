//! A hive that outlives its process: each run counts one more, and `kill -9` loses nothing that was answered.
//!
//! `cargo run -p queenright --features disk --example durable FOLDER`, several times.

#![allow(clippy::print_stdout)]

use queenright::log::DiskLog;
use queenright::{Hive, Op, Proposal};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "hive.log".to_owned());
    let log = DiskLog::open(&folder)?;
    println!("{folder} ends with round {}", log.opening().last);
    if let Some(torn) = &log.opening().torn {
        println!("left out: {} bytes of a round that nobody was told of", torn.bytes);
    }
    let hive = Hive::builder().log(log).build()?;

    // Answered once it is on disk. Were the id that of an earlier run, the answer would be that one's.
    let id = format!("run-{}", hive.version().next());
    let proposal = Proposal::on(&hive.snapshot(), "counter", id.as_str());
    let outcome = hive.propose(proposal.write("runs", Op::add(1))?)?.wait();
    println!("{id}: {outcome}");

    let state = hive.snapshot();
    for (key, entry) in state.iter() {
        println!("{key} = {}, written in round {}", entry.value, entry.version);
    }
    Ok(())
}
