//! `queenright log replay`.

use queenright::State;
use queenright::consensus;
use serde_json::json;

use super::read::{Log, Start};
use super::words::{SHOWN, entry_json};
use super::{FINE, Fault, document, print};
use crate::args::{Format, Replay};
use crate::human::{self, count, cut};

pub(super) fn run(args: &Replay) -> Result<u8, Fault> {
    let log = Log::open(&args.path)?;
    let Start { state, head } = log.start()?;
    let from = state.version();
    let at = args.at.unwrap_or(u64::MAX);
    if at < from.0 {
        let what = format!("{}: version {at} is not kept any more", log.path.display());
        return Err(
            Fault::new(what).help(format!("what can be replayed begins with version {from}"))
        );
    }
    let mut replay = consensus::Replay::from(state);
    let mut head = head;
    let mut records = log.after(from, Some(head))?;
    while replay.state().version().0 < at
        && let Some(record) = records.next().transpose()?
    {
        replay.follow(&record).map_err(|divergence| log.diverges(&divergence))?;
        head = record.digest;
    }
    let state = replay.state();
    if args.at.is_some_and(|at| state.version().0 < at) {
        let what = format!("{}: there is no version {at}", log.path.display());
        return Err(Fault::new(what).help(format!("the log ends with round {}", state.version())));
    }
    let text = match args.format {
        Format::Human => for_people(state, from.0, args),
        Format::Json => {
            let entries = state.under(&args.under).map(|(key, entry)| {
                let mut fields = entry_json(Some(entry));
                fields["key"] = key.as_str().into();
                fields
            });
            document(json!({
                "version": state.version().0,
                "from": from.0,
                "head": head.to_string(),
                "under": args.under,
                "keys": state.len(),
                "entries": entries.collect::<Vec<_>>(),
            }))
        }
    };
    print(&text, FINE)
}

fn for_people(state: &State, from: u64, args: &Replay) -> String {
    let rounds = match state.version().0 - from {
        0 => "as an image has it".to_owned(),
        rounds => {
            format!(
                "{} decided again from version {from} on, with the same verdicts",
                count(rounds, "round")
            )
        }
    };
    let mut text =
        format!("version {}: {}, {rounds}\n", state.version(), count(state.len(), "key"));
    let entries: Vec<_> = state.under(&args.under).collect();
    if entries.is_empty() {
        return match &args.under[..] {
            "" => text,
            prefix => text + &format!("nothing under {prefix}\n"),
        };
    }
    let mut table = human::list(["key", "value", "version", "writer"]);
    let most = if args.verbose { usize::MAX } else { SHOWN };
    for (key, entry) in entries.iter().take(most) {
        table.add_row([
            key.to_string(),
            cut(&entry.value.to_string(), args.verbose),
            entry.version.to_string(),
            entry.writer.to_string(),
        ]);
    }
    text += &human::trimmed(&table);
    text.push('\n');
    match entries.len().saturating_sub(most) {
        0 => text,
        more => {
            text + &format!(
                "… and {}; --under PREFIX shows some, -v all\n",
                count(more, "more key")
            )
        }
    }
}
