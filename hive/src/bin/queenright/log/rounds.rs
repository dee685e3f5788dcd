//! `queenright log show`: one line a round.

use std::collections::VecDeque;
use std::io::{self, BufWriter, StdoutLock, Write};

use queenright::{Record, Version};
use serde_json::json;

use super::read::Log;
use super::words::{SHOWN, refused, short};
use super::{FINE, Fault, cannot_be_written};
use crate::args::{Format, Show};
use crate::{FAULTY, human, json, note};

pub(super) fn run(args: &Show) -> Result<u8, Fault> {
    let log = Log::open(&args.path)?;
    let from = args.from.unwrap_or(0).max(log.reader.first().0);
    let to = args.to.unwrap_or(u64::MAX);
    if let Some(asked) = args.from.filter(|asked| *asked > 0 && *asked < from) {
        let what = format!("{}: round {asked} is not kept any more", log.path.display());
        return Err(Fault::new(what).help(format!("the log begins with round {from}")));
    }
    let before = Version(from.saturating_sub(1));
    let records = log
        .after(before, None)?
        .take_while(|it| it.as_ref().map_or(true, |it| it.input.round.0 <= to));
    let printed = match args.format {
        Format::Json => as_json(records),
        Format::Human => {
            let is_cut = args.from.is_none() && args.to.is_none() && !args.verbose;
            for_people(records, if is_cut { SHOWN } else { usize::MAX })
        }
    };
    match printed {
        Ok(Some(fault)) if args.format == Format::Human => Err(fault),
        Ok(Some(_)) => Ok(FAULTY),
        // Whoever closed it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(FINE),
        Err(error) => Err(cannot_be_written(&error)),
        Ok(None) => Ok(FINE),
    }
}

/// Prints the last of the lines, and returns what ended them.
fn for_people(
    records: impl Iterator<Item = Result<Record, Fault>>,
    most: usize,
) -> io::Result<Option<Fault>> {
    let mut out = BufWriter::new(io::stdout().lock());
    let (mut kept, mut all, mut fault) = (VecDeque::new(), 0_usize, None);
    for record in records {
        match record {
            Ok(record) => {
                if all == 0 {
                    writeln!(
                        out,
                        "{:>8}  {:>10}  {:>9}  {:>9}  {:12}  refused",
                        "round", "clock", "proposals", "committed", "record"
                    )?;
                }
                all += 1;
                match most {
                    usize::MAX => writeln!(out, "{}", line(&record))?,
                    _ => kept.push_back(line(&record)),
                }
                if kept.len() > most {
                    kept.pop_front();
                }
            }
            Err(error) => {
                fault = Some(error);
                break;
            }
        }
    }
    if all > most {
        writeln!(
            out,
            "… {} before these; -v shows all, --from N --to M some",
            human::count(all - kept.len(), "round")
        )?;
    }
    kept.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    out.flush()?;
    if all == 0 && fault.is_none() {
        note("no such rounds");
    }
    Ok(fault)
}

fn line(record: &Record) -> String {
    let mut refused: Vec<String> =
        refused(record).iter().map(|(name, number)| format!("{name} {number}")).collect();
    if !record.verdicts.pending.is_empty() {
        refused.push(format!("pending {}", record.verdicts.pending.len()));
    }
    let line = format!(
        "{:>8}  {:>10}  {:>9}  {:>9}  {:12}  {}",
        record.input.round.0,
        record.input.now,
        record.batch.len(),
        record.verdicts.accepted.len(),
        short(&record.digest),
        refused.join(", ")
    );
    line.trim_end().to_owned()
}

/// Prints one document as its rounds are read, and returns what ended them.
fn as_json(records: impl Iterator<Item = Result<Record, Fault>>) -> io::Result<Option<Fault>> {
    let mut out = BufWriter::new(io::stdout().lock());
    write!(out, "{{\n  \"format\": {},\n  \"rounds\": [", json::FORMAT)?;
    let (mut separator, mut fault) = ("", None);
    for record in records {
        match record {
            Ok(record) => {
                let round = json!({
                    "round": record.input.round.0,
                    "clock": record.input.now,
                    "proposals": record.batch.len(),
                    "committed": record.verdicts.accepted.len(),
                    "refused": refused(&record),
                    "pending": record.verdicts.pending.len(),
                    "digest": record.digest.to_string(),
                });
                write!(out, "{separator}")?;
                nested(&mut out, &round)?;
                separator = ",";
            }
            Err(error) => {
                fault = Some(error);
                break;
            }
        }
    }
    write!(out, "{}]", if separator.is_empty() { "" } else { "\n  " })?;
    if let Some(fault) = &fault {
        write!(out, ",\n  \"errors\": [")?;
        nested(&mut out, &fault.to_json())?;
        write!(out, "\n  ]")?;
    }
    writeln!(out, "\n}}")?;
    out.flush()?;
    Ok(fault)
}

/// An element of a list that is a field of the document.
fn nested(out: &mut BufWriter<StdoutLock<'_>>, element: &serde_json::Value) -> io::Result<()> {
    json::pretty(element).lines().try_for_each(|line| write!(out, "\n    {line}"))
}
