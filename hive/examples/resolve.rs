//! What `queenright run` does, as a library call.
//!
//! `cargo run -p queenright --features packs --example resolve [FOLDER]`
#![allow(clippy::print_stdout, clippy::print_stderr)]

use queenright::packs::{self, Options};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "hive/examples/packs".to_owned());
    let loaded = match packs::load(&[folder.into()], None) {
        Ok(loaded) => loaded,
        Err(faults) => {
            faults.iter().for_each(|fault| eprintln!("{fault}"));
            return Err("nothing was resolved".into());
        }
    };
    let resolution = packs::resolve(loaded, &Options::default())?;
    let report = &resolution.report;
    println!("{} packs, {} rounds", report.packs, report.rounds);
    for conflict in report.unresolved() {
        let (key, winners, loser) = (&conflict.key, &conflict.winners, &conflict.loser);
        println!("{key}: {loser} wants {}, but {winners} holds {}", conflict.wanted, conflict.held);
    }
    for (key, entry) in resolution.state.under("settings") {
        println!("{key} = {}", entry.value);
    }
    Ok(())
}
