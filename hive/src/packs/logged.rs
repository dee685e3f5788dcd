//! A resolution whose rounds are in a log: with what it was begun, and how far it came.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use queenright_primitives::Version;

use super::pack::{Ask, Condition, Pack, Spanning, Wish};
use super::policy::Policy;
use crate::encoding::{Encode, Sink, digest};
use crate::key::Key;
use crate::log::{CommitLog, LogError, Record};
use crate::state::State;
use crate::value::Value;

/// The key of the base state that says with what a log was begun. `hive.toml` can state no key of one segment.
pub(crate) const INPUTS: &str = "inputs";
const PACKS: &str = "packs";
const POLICY: &str = "policy";
const SEED: &str = "seed";

/// What a log of an earlier run holds.
pub(crate) struct Earlier {
    /// The state before the first round.
    pub(crate) base: State,
    pub(crate) records: Vec<Arc<Record>>,
}

impl Earlier {
    /// Reads all of a log; `None` if it was never used.
    pub(crate) fn read(log: &dyn CommitLog) -> Result<Option<Earlier>, LogError> {
        let archive = log.archive();
        let Some(image) = archive.image(Version(0))? else {
            return match log.last() {
                Version(0) => Ok(None),
                last => Err(LogError::Other(format!(
                    "the log ends with round {last}, but does not hold its beginning any more: a run needs all of it"
                ))),
            };
        };
        let records = archive.after(Version(0))?.map(|entry| Ok(Arc::new(entry?.record()?)));
        Ok(Some(Earlier { base: image.state()?, records: records.collect::<Result<_, _>>()? }))
    }
}

/// On what the result of a resolution depends besides the base state, as an entry of that.
pub(crate) fn inputs(packs: &[Pack], policy: &Policy, seed: u64) -> Option<(Key, Value)> {
    let digests = packs.iter().map(|pack| {
        let content = digest(&Content(pack)).to_string();
        (Arc::clone(&pack.id), Value::from(&content[..32]))
    });
    let rules = policy.rules().map(|(pattern, rule)| Value::from(format!("{pattern} = {rule}")));
    let fields = [
        (PACKS, Value::Map(Arc::new(digests.collect()))),
        (POLICY, Value::from(rules.collect::<Vec<_>>())),
        // As text, because values have no numbers beyond 63 bits.
        (SEED, Value::from(seed.to_string())),
    ];
    let fields = fields.into_iter().map(|(name, value)| (Arc::from(name), value)).collect();
    Some((Key::new(INPUTS).ok()?, Value::Map(Arc::new(fields))))
}

/// How the beginning of a log differs from what was found now, for people.
pub(crate) fn differences(log: &State, now: &State) -> Vec<String> {
    let field = |state: &State, name: &str| match state.get(INPUTS) {
        Some(Value::Map(fields)) => fields.get(name).cloned(),
        _ => None,
    };
    if log.get(INPUTS).is_none() {
        return vec!["it was not begun by such a run".to_owned()];
    }
    let mut found = Vec::new();
    let packs = |state| match field(state, PACKS) {
        Some(Value::Map(packs)) => packs,
        _ => Arc::default(),
    };
    for (name, [before, after]) in pairs(&*packs(log), &*packs(now)) {
        found.extend(match (before, after) {
            (Some(before), Some(after)) if before == after => None,
            (Some(_), Some(_)) => Some(format!("the pack `{name}` says something else")),
            (None, _) => Some(format!("the pack `{name}` was not there")),
            (Some(_), None) => Some(format!("the pack `{name}` is not there any more")),
        });
    }
    let shown = |rules: Option<Value>| rules.map_or_else(String::new, |rules| rules.to_string());
    let [before, after] = [log, now].map(|state| shown(field(state, POLICY)));
    if before != after {
        found.push(format!("the rules of `[policy]` were {before}, and are {after}"));
    }
    let [before, after] = [log, now]
        .map(|state| field(state, SEED).and_then(|seed| Some(seed.as_text()?.to_owned())));
    if before != after {
        let [before, after] = [before, after].map(Option::unwrap_or_default);
        found.push(format!("the seed was {before}, and is {after}"));
    }
    // The versions of packs differ only if the packs do.
    let is_stated = |key: &Key| key.as_str() != INPUTS && !key.is_under("packs");
    let entries = |state: &State| -> BTreeMap<Key, Value> {
        let stated = state.iter().filter(|(key, _)| is_stated(key));
        stated.map(|(key, entry)| (key.clone(), entry.value.clone())).collect()
    };
    let [before, after] = [log, now].map(entries);
    for (key, [before, after]) in pairs(&before, &after) {
        if before != after {
            let [before, after] = [before, after]
                .map(|value| value.map_or_else(|| "nothing".to_owned(), Value::to_string));
            found.push(format!("`{key}` was {before} in `[base]`, and is {after}"));
        }
    }
    found
}

/// All names of two maps, in order, with what each holds.
fn pairs<'m, K: Ord, V>(
    one: &'m BTreeMap<K, V>,
    other: &'m BTreeMap<K, V>,
) -> impl Iterator<Item = (&'m K, [Option<&'m V>; 2])> {
    let names: BTreeSet<&K> = one.keys().chain(other.keys()).collect();
    names.into_iter().map(move |name| (name, [one.get(name), other.get(name)]))
}

/// What of a pack decides about the result: not where it stands, nor how it is described.
struct Content<'p>(&'p Pack);

impl Encode for Content<'_> {
    fn encode(&self, sink: &mut Sink) {
        let Pack { id, name, version, class, origin, wishes, spanning, conditions, .. } = self.0;
        sink.text(id).text(name).text(&version.to_string()).tag(*origin as u8);
        class.encode(sink);
        sink.all(wishes).all(spanning).all(conditions);
    }
}

impl Encode for Wish {
    fn encode(&self, sink: &mut Sink) {
        let Wish { at: _, asks } = self;
        asks.encode(sink);
    }
}

impl Encode for Ask {
    fn encode(&self, sink: &mut Sink) {
        match self {
            Ask::Value(value) => value.encode(sink.tag(0)),
            Ask::Op(op) => op.encode(sink.tag(1)),
        }
    }
}

impl Encode for Spanning {
    fn encode(&self, sink: &mut Sink) {
        let Spanning { at: _, name, requirement, features } = self;
        sink.text(name);
        requirement.encode(sink);
        features.encode(sink);
    }
}

impl Encode for Condition {
    fn encode(&self, sink: &mut Sink) {
        let Condition { at: _, key, value } = self;
        key.encode(sink);
        value.encode(sink);
    }
}
