//! `queenright log show --key` and `--proposal`: one thing through all rounds.

use queenright::{Entry, Key, Op, Record, State, Value};
use serde_json::{Value as Json, json};

use super::read::{Log, Start, applied};
use super::words::{SHOWN, entry_json, op_json, value, value_json, vote_json};
use super::{FINE, Fault, document, print};
use crate::args::{Format, Show};
use crate::human::{self, count, cut};

/// What one proposal has done to a key.
struct Change {
    version: u64,
    agent: String,
    op: Op,
    before: Option<Value>,
    after: Option<Value>,
}

pub(super) fn of_key(args: &Show, key: &str) -> Result<u8, Fault> {
    let key = Key::new(key).map_err(|error| Fault::new(format!("`{key}` is no key: {error}")))?;
    let log = Log::open(&args.path)?;
    let Start { mut state, head } = log.start()?;
    let from = state.version().0;
    let first = state.entry(key.as_str()).cloned();
    let mut changes = Vec::new();
    for record in log.after(state.version(), Some(head))? {
        let record = record?;
        let next = applied(&state, &record);
        changes.extend(changes_of(&record, &key, &state, &next));
        state = next;
    }
    if first.is_none() && changes.is_empty() {
        return Err(unknown(&log, &key, &state));
    }
    let text = match args.format {
        Format::Human => key_for_people(&key, (from, first), &changes, args.verbose),
        Format::Json => {
            let changes = changes.iter().map(|change| {
                json!({
                    "version": change.version,
                    "agent": change.agent,
                    "operation": op_json(&change.op),
                    "before": value_json(change.before.as_ref()),
                    "after": value_json(change.after.as_ref()),
                })
            });
            document(json!({
                "key": key.as_str(),
                "from": from,
                "first": entry_json(first.as_ref()),
                "changes": changes.collect::<Vec<_>>(),
                "value": value_json(state.get(key.as_str())),
            }))
        }
    };
    print(&text, FINE)
}

/// What a round does to a key: one step for each of those that write it, in the order that explains the round. The last leads to what
/// the key holds then.
fn changes_of(record: &Record, key: &Key, before: &State, after: &State) -> Vec<Change> {
    let accepted = record.verdicts.serial.iter().filter_map(|&place| record.batch.get(place));
    let mut held = before.get(key.as_str()).cloned();
    let mut changes = Vec::new();
    for proposal in accepted {
        let Some((_, op)) = proposal.writes.iter().find(|(written, _)| written == key) else {
            continue;
        };
        let after = op.apply(held.as_ref()).unwrap_or_else(|_| held.clone());
        let agent = proposal.agent.to_string();
        let (version, op) = (record.input.round.0, op.clone());
        changes.push(Change { version, agent, op, before: held, after: after.clone() });
        held = after;
    }
    if let Some(last) = changes.last_mut() {
        last.after = after.get(key.as_str()).cloned();
    }
    changes
}

fn unknown(log: &Log, key: &Key, state: &State) -> Fault {
    let below = state.under(key.as_str()).take(3).map(|(key, _)| key.to_string());
    let below: Vec<String> = below.collect();
    let help = match &below[..] {
        [] => format!("`queenright log replay {}` lists the keys", log.path.display()),
        below => format!("there are keys below it, such as {}", below.join(", ")),
    };
    Fault::new(format!("{}: nothing that is kept has to do with `{key}`", log.path.display()))
        .help(help)
}

fn key_for_people(
    key: &Key,
    (from, first): (u64, Option<Entry>),
    changes: &[Change],
    verbose: bool,
) -> String {
    let mut text = match &first {
        None => format!("{key}: nothing in version {from}, after which rounds are kept\n"),
        Some(Entry { value, version, writer, operator, .. }) => {
            let value = cut(&value.to_string(), verbose);
            format!(
                "{key}: {value} in version {from}, after which rounds are kept ({operator} by {writer} in version {version})\n"
            )
        }
    };
    if changes.is_empty() {
        return text + "never changed since\n";
    }
    let mut table = human::list(["version", "agent", "operation", "before", "after"]);
    let hidden = if verbose { 0 } else { changes.len().saturating_sub(SHOWN) };
    for change in &changes[hidden..] {
        table.add_row([
            change.version.to_string(),
            change.agent.clone(),
            cut(&change.op.to_string(), verbose),
            cut(&value(change.before.as_ref()), verbose),
            cut(&value(change.after.as_ref()), verbose),
        ]);
    }
    if hidden > 0 {
        text += &format!("… {} before these; -v shows all\n", count(hidden, "change"));
    }
    text + &human::trimmed(&table) + "\n"
}

/// What happened to a proposal in one round.
struct Event {
    round: u64,
    attempt: u32,
    who: String,
    /// The name of an outcome, or what else it is.
    what: &'static str,
    told: String,
    json: Json,
}

pub(super) fn of_proposal(args: &Show, id: &str) -> Result<u8, Fault> {
    let log = Log::open(&args.path)?;
    let mut events = Vec::new();
    for record in log.after(log.before(), None)? {
        events.extend(events_of(&record?, id));
    }
    if events.is_empty() {
        let what = format!("{}: no round that is kept has a proposal `{id}`", log.path.display());
        let help = "`--round N` prints the ids of a round's proposals";
        return Err(Fault::new(what).help(help));
    }
    let text = match args.format {
        Format::Json => {
            let events: Vec<_> = events.into_iter().map(|event| event.json).collect();
            document(json!({ "proposal": id, "events": events }))
        }
        Format::Human => {
            let mut table = human::list(["round", "attempt", "who", "", "told"]);
            let hidden = if args.verbose { 0 } else { events.len().saturating_sub(SHOWN) };
            for event in &events[hidden..] {
                table.add_row([
                    event.round.to_string(),
                    event.attempt.to_string(),
                    event.who.clone(),
                    event.what.to_owned(),
                    cut(&event.told, args.verbose),
                ]);
            }
            let more = match hidden {
                0 => String::new(),
                hidden => format!("… {} before these; -v shows all\n", count(hidden, "line")),
            };
            format!("{id}\n{more}{}\n", human::trimmed(&table))
        }
    };
    print(&text, FINE)
}

fn events_of(record: &Record, id: &str) -> Vec<Event> {
    let round = record.input.round.0;
    let mut events = Vec::new();
    for proposal in record.opened.iter().filter(|proposal| proposal.id.as_str() == id) {
        let (attempt, who) = (proposal.attempt, proposal.agent.to_string());
        let json = json!({ "round": round, "event": "ballot", "attempt": attempt, "agent": who });
        let told = "put to the vote".to_owned();
        events.push(Event { round, attempt, who, what: "ballot", told, json });
    }
    for vote in record.votes.iter().filter(|vote| vote.proposal.as_str() == id) {
        let mut json = json!({ "round": round, "event": "vote" });
        if let (Json::Object(fields), Json::Object(more)) = (&mut json, vote_json(vote)) {
            fields.extend(more);
        }
        let (attempt, who) = (vote.attempt, vote.member.to_string());
        events.push(Event { round, attempt, who, what: "vote", told: vote.vote.to_string(), json });
    }
    let answers = record.batch.iter().zip(&record.verdicts.outcomes).enumerate();
    for (place, (proposal, outcome)) in answers.filter(|(_, (it, _))| it.id.as_str() == id) {
        let is_pending = record.verdicts.is_pending(place);
        let (attempt, who) = (proposal.attempt, proposal.agent.to_string());
        let json = json!({
            "round": round,
            "event": "judged",
            "attempt": attempt,
            "agent": who,
            "outcome": outcome.name(),
            "told": outcome.to_string(),
            "pending": is_pending,
        });
        let (what, told) = match is_pending {
            true => ("pending", format!("judged again in the next round; now {outcome}")),
            false => (outcome.name(), outcome.to_string()),
        };
        events.push(Event { round, attempt, who, what, told, json });
    }
    events
}
