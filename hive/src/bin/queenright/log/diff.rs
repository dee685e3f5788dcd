//! `queenright log diff`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use queenright::{Digest, Entry, Outcome, Proposal, Record, State};
use serde_json::{Value as Json, json};

use super::read::Log;
use super::words::{SHOWN, entry_json, short, value};
use super::{DIFFERENT, FINE, Fault, document, print};
use crate::args::{Diff, Format};
use crate::human::{self, count, cut};

/// How two logs differ.
struct Differences {
    /// The last round that is the same in both; `None` if none is that both keep.
    common: Option<(u64, Digest)>,
    first: Option<First>,
    /// The versions of the last states.
    last: [u64; 2],
    /// The keys that hold different values in them.
    keys: Vec<Key>,
    /// How many keys hold the same value, but from somebody else or since another version.
    other_origin: usize,
}

/// The first round that is not the same.
struct First {
    round: u64,
    /// Its digest in each; `None` where the log has ended.
    digests: [Option<Digest>; 2],
    parts: Vec<&'static str>,
    proposals: Vec<Differing>,
}

/// A proposal that is not the same.
struct Differing {
    id: String,
    attempt: u32,
    what: &'static str,
    /// What was said to it in each.
    told: [Option<String>; 2],
}

/// A key that does not hold the same.
struct Key {
    key: String,
    held: [Option<Entry>; 2],
}

pub(super) fn run(args: &Diff) -> Result<u8, Fault> {
    let logs = [Log::open(&args.one)?, Log::open(&args.other)?];
    let found = compare(&logs)?;
    let text = match args.format {
        Format::Human => for_people(&found, [&logs[0], &logs[1]], args.verbose),
        Format::Json => as_json(&found),
    };
    print(&text, if found.is_none() { FINE } else { DIFFERENT })
}

impl Differences {
    fn is_none(&self) -> bool {
        self.first.is_none() && self.keys.is_empty() && self.other_origin == 0
    }
}

fn compare(logs: &[Log; 2]) -> Result<Differences, Fault> {
    let [one, other] = logs;
    let before = one.before().max(other.before());
    let mut records = [one.after(before, None)?, other.after(before, None)?];
    let (mut common, mut first) = (None, None);
    let mut round = before.next().0;
    while first.is_none() {
        let [one, other] = &mut records;
        match [one.next().transpose()?, other.next().transpose()?] {
            [None, None] => break,
            [Some(one), Some(other)] if one.digest == other.digest => {
                common = Some((round, one.digest))
            }
            [one, other] => first = Some(difference(round, one.as_ref(), other.as_ref())),
        }
        round += 1;
    }
    let states = [one.last_state()?, other.last_state()?];
    let (keys, other_origin) = differing_keys(&states);
    let last = states.map(|state| state.version().0);
    Ok(Differences { common, first, last, keys, other_origin })
}

fn difference(round: u64, one: Option<&Record>, other: Option<&Record>) -> First {
    let digests = [one, other].map(|record| record.map(|record| record.digest));
    let (Some(one), Some(other)) = (one, other) else {
        return First { round, digests, parts: vec!["length"], proposals: Vec::new() };
    };
    let (a, b) = (&one.input, &other.input);
    let proposals = differing_proposals(one, other);
    let is_of = |what: &str| proposals.iter().any(|proposal| proposal.what == what);
    let parts = [
        ("previous record", one.previous != other.previous),
        ("input: clock", a.now != b.now),
        ("input: seed", a.seed != b.seed),
        ("input: policy", a.policy != b.policy),
        ("input: earlier answers", a.decided != b.decided),
        ("input: what was taken back", a.cancelled != b.cancelled),
        ("input: claims", a.claims != b.claims),
        ("input: lives of agents", a.incarnations != b.incarnations),
        ("input: ballots", a.ballots != b.ballots),
        ("votes", one.votes != other.votes || one.opened != other.opened),
        ("batch", one.batch != other.batch),
        ("verdicts", one.verdicts != other.verdicts || is_of(VERDICT)),
    ];
    let parts = parts.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect();
    First { round, digests, parts, proposals }
}

const ONLY_ONE: &str = "only in the first";
const ONLY_OTHER: &str = "only in the second";
const CONTENT: &str = "content";
const VERDICT: &str = "verdict";

fn differing_proposals(one: &Record, other: &Record) -> Vec<Differing> {
    fn by_name(record: &Record) -> BTreeMap<(&str, u32), (&Proposal, &Outcome, bool)> {
        let answers = record.batch.iter().zip(&record.verdicts.outcomes).enumerate();
        let named = answers.map(|(place, (proposal, outcome))| {
            let name = (proposal.id.as_str(), proposal.attempt);
            (name, (proposal, outcome, record.verdicts.is_pending(place)))
        });
        named.collect()
    }
    let [one, other] = [by_name(one), by_name(other)];
    let names: BTreeSet<(&str, u32)> = one.keys().chain(other.keys()).copied().collect();
    let differing = |(id, attempt): (&str, u32)| {
        let found = [one.get(&(id, attempt)), other.get(&(id, attempt))];
        let what = match found {
            [Some(_), None] => ONLY_ONE,
            [None, Some(_)] => ONLY_OTHER,
            [Some((a, ..)), Some((b, ..))] if a != b => CONTENT,
            [Some((_, a, c)), Some((_, b, d))] if (a, c) != (b, d) => VERDICT,
            _ => return None,
        };
        let told = found.map(|it| it.map(|(_, outcome, _)| outcome.to_string()));
        Some(Differing { id: id.to_owned(), attempt, what, told })
    };
    names.into_iter().filter_map(differing).collect()
}

/// The keys whose values differ, and how many have the same value from elsewhere.
fn differing_keys(states: &[State; 2]) -> (Vec<Key>, usize) {
    let [one, other] = states;
    let names: BTreeSet<&str> =
        one.iter().chain(other.iter()).map(|(key, _)| key.as_str()).collect();
    let (mut keys, mut other_origin) = (Vec::new(), 0);
    for name in names {
        let held = [one.entry(name), other.entry(name)];
        let values = held.map(|entry| entry.map(|entry| &entry.value));
        if values[0] != values[1] {
            keys.push(Key { key: name.to_owned(), held: held.map(Option::<&Entry>::cloned) });
        } else if held[0] != held[1] {
            other_origin += 1;
        }
    }
    (keys, other_origin)
}

fn for_people(found: &Differences, logs: [&Log; 2], verbose: bool) -> String {
    let [one, other] = logs.map(|log| log.path.display());
    let mut text = match found.common {
        Some((round, digest)) => format!("last common round: {round}, record {}\n", short(&digest)),
        None => "no common round\n".to_owned(),
    };
    match &found.first {
        None => text += "no round differs\n",
        Some(first) => {
            text += &first_for_people(first, [&one.to_string(), &other.to_string()], verbose)
        }
    }
    if found.keys.is_empty() {
        text += "the last states hold the same values\n";
    } else {
        let [a, b] = found.last;
        let _ = writeln!(
            text,
            "\n{} with other values in the last states, versions {a} and {b}",
            count(found.keys.len(), "key")
        );
        let mut table = human::list(["key", "in the first", "in the second"]);
        let most = if verbose { usize::MAX } else { SHOWN };
        for key in found.keys.iter().take(most) {
            let [a, b] = held(&key.held, verbose);
            table.add_row([key.key.clone(), a, b]);
        }
        text += &human::trimmed(&table);
        text.push('\n');
        let more = found.keys.len().saturating_sub(most);
        if more > 0 {
            let _ = writeln!(text, "… and {}; -v shows all", count(more, "more key"));
        }
    }
    if found.other_origin > 0 {
        let keys = count(found.other_origin, "key");
        let _ =
            writeln!(text, "{keys} with the same value by somebody else, or since another version");
    }
    text
}

fn held(entries: &[Option<Entry>; 2], verbose: bool) -> [String; 2] {
    let all = [0, 1].map(|side| value(entries[side].as_ref().map(|entry| &entry.value)));
    let mut shown = [0, 1].map(|side| cut(&all[side], verbose));
    if shown[0] == shown[1] {
        // They differ in what is cut, so that the cut begins there.
        const BEFORE: usize = 20;
        let same = all[0].chars().zip(all[1].chars()).take_while(|(a, b)| a == b).count();
        let skipped = same.saturating_sub(BEFORE);
        let from =
            |text: &String| "… ".chars().chain(text.chars().skip(skipped)).collect::<String>();
        shown = [0, 1].map(|side| cut(&from(&all[side]), verbose));
    }
    for (shown, entry) in shown.iter_mut().zip(entries) {
        if let Some(Entry { version, writer, .. }) = entry {
            let _ = write!(shown, "\nby {writer} in version {version}");
        }
    }
    shown
}

fn first_for_people(first: &First, [one, other]: [&str; 2], verbose: bool) -> String {
    let round = first.round;
    let [a, b] = match &first.digests {
        [Some(a), Some(b)] => [a, b].map(short),
        [Some(_), None] => {
            return format!("{other} ends there, {one} goes on with round {round}\n");
        }
        _ => return format!("{one} ends there, {other} goes on with round {round}\n"),
    };
    let mut text =
        format!("first round that differs: {round}, record {a} in {one}, {b} in {other}\n");
    let _ = writeln!(text, "it differs in: {}", first.parts.join(", "));
    if first.proposals.is_empty() {
        return text;
    }
    let mut table =
        human::list(["proposal", "attempt", "differs", "told in the first", "told in the second"]);
    let most = if verbose { usize::MAX } else { SHOWN };
    for proposal in first.proposals.iter().take(most) {
        let told = |side: usize| {
            proposal.told[side].as_deref().map_or_else(String::new, |it| cut(it, verbose))
        };
        let (id, attempt) = (proposal.id.clone(), proposal.attempt.to_string());
        table.add_row([id, attempt, proposal.what.to_owned(), told(0), told(1)]);
    }
    text += &human::trimmed(&table);
    text.push('\n');
    let more = first.proposals.len().saturating_sub(most);
    if more > 0 {
        let _ = writeln!(text, "… and {}; -v shows all", count(more, "more proposal"));
    }
    text
}

fn as_json(found: &Differences) -> String {
    let digest = |digest: &Option<Digest>| digest.map_or(Json::Null, |it| it.to_string().into());
    let first = found.first.as_ref().map(|first| {
        let proposals = first.proposals.iter().map(|it| {
            json!({
                "id": it.id,
                "attempt": it.attempt,
                "differs": it.what,
                "one": it.told[0],
                "other": it.told[1],
            })
        });
        json!({
            "round": first.round,
            "one": digest(&first.digests[0]),
            "other": digest(&first.digests[1]),
            "in": first.parts,
            "proposals": proposals.collect::<Vec<_>>(),
        })
    });
    let keys = found.keys.iter().map(|it| {
        let [one, other] = [0, 1].map(|side| entry_json(it.held[side].as_ref()));
        json!({ "key": it.key, "one": one, "other": other })
    });
    document(json!({
        "same": found.is_none(),
        "common": found.common.map(|(round, digest)| json!({ "round": round, "digest": digest.to_string() })),
        "first_different": first,
        "last": { "one": found.last[0], "other": found.last[1] },
        "keys": keys.collect::<Vec<_>>(),
        "same_value_other_origin": found.other_origin,
    }))
}
