//! What a program is told.

use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::protocol::{Wanted, Write};
use crate::agent::View;
use crate::consensus::{OpenBallot, Tally};
use crate::json::encode;
use crate::outcome::{Outcome, Winner};

/// What a program is told.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum ToProgram<'a> {
    Welcome {
        protocol: u32,
        agent: &'a str,
    },
    Run {
        version: u64,
        attempt: u32,
        random: u64,
        #[serde(flatten)]
        values: Values,
    },
    Values {
        version: u64,
        #[serde(flatten)]
        values: Values,
    },
    Refused {
        reason: String,
    },
    Outcome(Told),
    Message {
        message: Json,
    },
    Ballot(Box<Asked>),
    Stop,
}

/// What was asked for: each key, with null for what is absent, and what is under each prefix.
#[derive(Debug, Default, Serialize)]
pub(super) struct Values {
    keys: Map<String, Json>,
    under: Map<String, Json>,
}

impl Values {
    /// Reads what is wanted; an error says why that cannot be read.
    pub(super) fn read(view: &mut View, wanted: &Wanted) -> Result<Values, String> {
        let mut values = Values::default();
        for key in &wanted.keys {
            if values.keys.contains_key(key) {
                continue;
            }
            let value = match wanted.peek {
                true => {
                    view.peek(key.as_str()).map(|entry| entry.map(|entry| encode(&entry.value)))
                }
                false => view.get(key.as_str()).map(|value| value.as_ref().map(encode)),
            };
            let value = value.map_err(|error| error.to_string())?;
            values.keys.insert(key.clone(), value.unwrap_or_default());
        }
        for prefix in &wanted.under {
            if values.under.contains_key(prefix) {
                continue;
            }
            let found: Map<_, _> = match wanted.peek {
                true => {
                    let found = view.peek_under(prefix).map_err(|error| error.to_string())?;
                    found.iter().map(|(key, it)| (key.to_string(), encode(&it.value))).collect()
                }
                false => {
                    let found = view.under(prefix).map_err(|error| error.to_string())?;
                    found.iter().map(|(key, value)| (key.to_string(), encode(value))).collect()
                }
            };
            values.under.insert(prefix.clone(), found.into());
        }
        Ok(values)
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Told {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    with: Option<String>,
    /// Whether it is run again for the same thing.
    again: bool,
    text: String,
}

impl Told {
    pub(super) fn of(outcome: &Outcome) -> Told {
        let (mut version, mut key, mut with) = (None, None, None);
        match outcome {
            Outcome::Committed { version: committed, .. } => version = Some(committed.0),
            Outcome::Conflict { with: winner, key: lost, .. } => {
                (key, with) = (Some(lost.clone()), Some(winner.agent().to_string()));
                if let Winner::Stored { version: stored, .. } = winner {
                    version = Some(stored.0);
                }
            }
            Outcome::PreconditionFailed { expected, .. } => key = Some(expected.key().to_string()),
            Outcome::Forbidden { key: forbidden } => key = Some(forbidden.to_string()),
            _ => {}
        }
        let (again, text) = (outcome.may_retry(), outcome.to_string());
        Told { outcome: outcome.name(), version, key, with, again, text }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Asked {
    proposal: String,
    attempt: u32,
    agent: String,
    closes: u64,
    writes: Vec<Write>,
    yes: u64,
    no: u64,
    needed: u64,
}

impl Asked {
    pub(super) fn of(open: &OpenBallot) -> Asked {
        let proposal = &open.proposal;
        let Tally { yes, no, needed, .. } = open.tally;
        Asked {
            proposal: proposal.id.as_str().to_owned(),
            attempt: proposal.attempt,
            agent: proposal.agent.to_string(),
            closes: open.closes,
            writes: proposal.writes.iter().map(|(key, op)| Write::of(key, op)).collect(),
            yes,
            no,
            needed,
        }
    }
}

impl ToProgram<'_> {
    /// One line, with its end.
    pub(super) fn line(&self) -> Vec<u8> {
        // Its maps have texts for names, so that nothing can fail.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}
