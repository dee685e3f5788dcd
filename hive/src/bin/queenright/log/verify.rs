//! `queenright log verify`.

use std::fmt::Write;

use queenright::consensus::Replay;
use queenright::log::Verified;
use queenright::{State, Version};
use serde_json::json;

use super::read::Log;
use super::{FINE, Fault, document, print};
use crate::args::{Format, Verify};
use crate::human::count;

/// What was decided again.
struct Replayed {
    /// From which version on.
    from: Version,
    rounds: u64,
}

pub(super) fn run(args: &Verify) -> Result<u8, Fault> {
    let log = Log::open(&args.path)?;
    let found = log.reader.verify()?;
    let replayed = match args.chain_only {
        true => {
            log.after(log.before(), None)?.try_for_each(|record| record.map(drop))?;
            None
        }
        false => Some(replayed(&log, &found)?),
    };
    let text = match args.format {
        Format::Human => human(&log, &found, replayed.as_ref()),
        Format::Json => document(json!({
            "whole": true,
            "first": found.first.0,
            "last": found.last.0,
            "head": found.head.to_string(),
            "segments": found.segments,
            "images": found.images.iter().map(|version| version.0).collect::<Vec<_>>(),
            "term": found.term,
            "replayed": replayed.map(|it| json!({ "from": it.from.0, "rounds": it.rounds })),
            "torn": found.torn.as_ref().map(|torn| json!({
                "file": torn.path.display().to_string(),
                "byte": torn.offset,
                "bytes": torn.bytes,
            })),
            "in_use": found.in_use,
        })),
    };
    print(&text, FINE)
}

/// Reads all records, decides those again that follow the oldest image, and holds the other images against the states that come of it.
fn replayed(log: &Log, found: &Verified) -> Result<Replayed, Fault> {
    let start = log.start()?;
    let from = start.state.version();
    let mut replay = Replay::from(start.state);
    let mut rounds = 0;
    for record in log.after(log.before(), None)? {
        let record = record?;
        let version = record.input.round;
        if version <= from {
            continue;
        }
        replay.follow(&record).map_err(|divergence| log.diverges(&divergence))?;
        rounds += 1;
        if found.images.contains(&version) {
            let image = log.image(version)?.state()?;
            if let Some(key) = differing(&image, replay.state()) {
                let what = format!(
                    "{}: the image of version {version} is not the state that the rounds lead to, first at {key}",
                    log.path.display()
                );
                let help = "restore the log's folder from a backup";
                return Err(Fault::new(what).in_round(version.0).help(help));
            }
        }
    }
    Ok(Replayed { from, rounds })
}

/// The first key that two states have otherwise.
fn differing(one: &State, other: &State) -> Option<String> {
    let keys = one.iter().chain(other.iter()).map(|(key, _)| key.as_str());
    keys.filter(|key| one.entry(key) != other.entry(key)).min().map(str::to_owned)
}

fn human(log: &Log, found: &Verified, replayed: Option<&Replayed>) -> String {
    let rounds = match (found.first, found.last) {
        (first, last) if last < first => "no round yet".to_owned(),
        (first, last) if first == last => format!("round {first}"),
        (first, last) => format!("rounds {first} to {last}"),
    };
    let images: Vec<String> = found.images.iter().map(Version::to_string).collect();
    let images = match &images[..] {
        [] => "none".to_owned(),
        [one] => format!("1, of version {one}"),
        [first, .., last] => format!("{}, of versions {first} to {last}", images.len()),
    };
    let replay = match replayed {
        None => "skipped".to_owned(),
        Some(Replayed { from, rounds: 0 }) => format!("no round after version {from}"),
        Some(Replayed { from, rounds }) => {
            format!("{} from version {from} on, with the same verdicts", count(*rounds, "round"))
        }
    };
    let mut text = format!(
        "{}: whole, {rounds}\n  head      {}\n  segments  {}\n  images    {images}\n  term      {}, as often as it was opened to be written\n  replay    {replay}\n",
        log.path.display(),
        found.head,
        found.segments,
        found.term,
    );
    if let Some(torn) = &found.torn {
        let (path, bytes) = (torn.path.display(), count(torn.bytes, "byte"));
        let _ = writeln!(
            text,
            "note: {bytes} at the end of {path}, from byte {} on, are no whole record: {}",
            torn.offset,
            match found.in_use {
                true => "the hive that has it open may be writing them",
                false => "whoever opens the log to write leaves them out",
            }
        );
    }
    if found.in_use {
        text += "note: a hive has it open, and may have added rounds since\n";
    }
    text
}
