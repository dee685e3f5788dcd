//! The history of one key: who contributed, who lost, and why.

use super::diagnostic::closest;
use super::policy::Compose;
use super::report::Conflict;
use super::resolve::Resolution;
use crate::hive::TRANSACT_AGENT;
use crate::key::Key;
use crate::outcome::Outcome;
use crate::state::BASE_AGENT;
use crate::value::Value;

/// What became of one key.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The key.
    pub key: Key,
    /// What it holds in the end.
    pub value: Option<Value>,
    /// How values of this key compose.
    pub policy: Compose,
    /// What happened to it, in order.
    pub steps: Vec<Step>,
    /// Who did not get what it wanted.
    pub conflicts: Vec<Conflict>,
}

/// One event in the life of a key.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Step {
    /// The round; 0 for the base state.
    pub round: u64,
    /// The pack, or `base`.
    pub pack: String,
    /// What it did, or tried to.
    pub op: String,
    /// `None` when it was committed; otherwise what was said.
    pub refused: Option<String>,
}

/// Tells the history of a key.
///
/// # Errors
/// When nothing in this resolution has to do with the key: what to ask for instead.
pub fn explain(resolution: &Resolution, key: &str) -> Result<Explanation, String> {
    let report = &resolution.report;
    let key = Key::new(key).map_err(|error| error.to_string())?;
    let conflicts: Vec<_> =
        report.conflicts.iter().filter(|conflict| conflict.key == key).cloned().collect();
    let mut steps = base_step(resolution, &key);
    steps.extend(rounds(resolution, &key));
    if steps.is_empty() && conflicts.is_empty() {
        let known = || resolution.state.iter().map(|(key, _)| key.as_str());
        let below = known()
            .filter(|known| known.starts_with(&format!("{key}/")))
            .take(3)
            .collect::<Vec<_>>();
        let help = match (below.as_slice(), closest(key.as_str(), known())) {
            ([], None) => {
                "a full key is meant, such as `settings/server/port`; `--out FILE` lists them all"
                    .to_owned()
            }
            ([], Some(near)) => format!("did you mean `{near}`?"),
            (below, _) => format!("there are keys below it, such as {}", below.join(", ")),
        };
        return Err(format!("no pack says anything about `{key}`: {help}"));
    }
    let policy = resolution.policy.of(&key);
    Ok(Explanation {
        value: resolution.state.get(key.as_str()).cloned(),
        policy,
        steps,
        conflicts,
        key,
    })
}

fn base_step(resolution: &Resolution, key: &Key) -> Vec<Step> {
    let value = resolution.base.iter().rev().find(|(base, _)| base == key).map(|(_, value)| value);
    let step = |value: &Value| Step {
        round: 0,
        pack: key.as_str().strip_prefix("packs/").unwrap_or(BASE_AGENT).to_owned(),
        op: format!("holds {value}"),
        refused: None,
    };
    value.map(step).into_iter().collect()
}

fn rounds(resolution: &Resolution, key: &Key) -> Vec<Step> {
    let mut steps = Vec::new();
    for record in &resolution.history {
        let said = record.batch.iter().zip(&record.verdicts.outcomes);
        let mut here: Vec<_> = said
            .filter(|(proposal, _)| proposal.agent.as_str() != TRANSACT_AGENT)
            .filter_map(|(proposal, outcome)| {
                let (_, op) = proposal.writes.iter().find(|(written, _)| written == key)?;
                let refused = match outcome {
                    Outcome::Committed { .. } => None,
                    Outcome::Conflict { key: where_, with, rule } if where_ == key.as_str() => {
                        Some(format!("lost to {}: {rule}", with.agent()))
                    }
                    // The pack's proposal fell as a whole; it was run again, so this is not the last word.
                    Outcome::Conflict { key, with, rule } => {
                        let why = format!("{rule}, on {key} with {}", with.agent());
                        Some(format!("fell with the rest of its proposal ({why})"))
                    }
                    other => Some(format!("fell with the rest of its proposal ({other})")),
                };
                let order = match outcome {
                    Outcome::Committed { order, .. } => *order,
                    _ => u32::MAX,
                };
                let pack = proposal.agent.to_string();
                Some((
                    order,
                    Step { round: record.input.round.0, pack, op: op.to_string(), refused },
                ))
            })
            .collect();
        here.sort_by(|a, b| (a.0, &a.1.pack).cmp(&(b.0, &b.1.pack)));
        steps.extend(here.into_iter().map(|(_, step)| step));
    }
    steps
}
