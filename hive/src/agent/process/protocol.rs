//! What the lines say. `docs/PROTOCOL.md` is for those who write programs; this is what it describes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::agent::{Next, View};
use crate::consensus::Vote;
use crate::error::TOO_DEEP;
use crate::json::{decode, encode};
use crate::key::Key;
use crate::op::Op;
use crate::proposal::Precondition;
use crate::requirement::Requirement;
use crate::value::{MAX_VALUE_DEPTH, Value};

/// The version of the protocol of agents that are programs.
pub const VERSION: u32 = 1;

/// The most operations on one key in one line: each is merged with those before it.
const ON_ONE_KEY: usize = 64;
/// How deeply a line may be nested: a value as deeply as it may be, each level of it said to be a set, and what is around it.
const DEPTH: usize = 2 * MAX_VALUE_DEPTH + 16;

/// What a program says.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum FromProgram {
    Hello(Hello),
    Read(Wanted),
    Propose(Box<Propose>),
    Pass(Pass),
    Fail(Fail),
    Reply(Reply),
    Vote(Voted),
    Heartbeat(Nothing),
    Bye(Nothing),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hello {
    pub(super) protocol: u32,
    pub(super) class: Option<String>,
    /// What each run brings with it.
    #[serde(default)]
    pub(super) keys: Vec<String>,
    #[serde(default)]
    pub(super) under: Vec<String>,
    /// What else it wants to be told.
    #[serde(default)]
    pub(super) wants: Vec<Wants>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Wants {
    Outcome,
    Message,
    Ballot,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    #[serde(default)]
    pub(super) keys: Vec<String>,
    #[serde(default)]
    pub(super) under: Vec<String>,
    /// Without the promise that it has not changed when the proposal is judged.
    #[serde(default)]
    pub(super) peek: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Propose {
    #[serde(default)]
    set: Map<String, Json>,
    #[serde(default)]
    writes: Vec<Write>,
    #[serde(default)]
    require: Vec<Require>,
    #[serde(default)]
    next: NextRun,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pass {
    #[serde(default)]
    next: NextRun,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fail {
    pub(super) reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reply {
    value: Option<Json>,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Voted {
    vote: Option<VoteWord>,
}

/// A line without content.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum NextRun {
    #[default]
    Watch,
    Done,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum VoteWord {
    Yes,
    No,
    Abstain,
    Veto,
}

/// One operation.
#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Write {
    Set {
        key: String,
        value: Json,
    },
    Remove {
        key: String,
    },
    Add {
        key: String,
        by: i64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_least: Option<i64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_most: Option<i64>,
    },
    Max {
        key: String,
        value: Json,
    },
    Min {
        key: String,
        value: Json,
    },
    Agree {
        key: String,
        value: Json,
    },
    Union {
        key: String,
        values: Vec<Json>,
    },
    Intersect {
        key: String,
        values: Vec<Json>,
    },
    Constrain {
        key: String,
        requirement: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Require {
    key: String,
    equals: Option<Json>,
    exists: Option<bool>,
}

impl From<NextRun> for Next {
    fn from(next: NextRun) -> Self {
        match next {
            NextRun::Watch => Next::Watch,
            NextRun::Done => Next::Done,
        }
    }
}

impl Propose {
    /// Writes it into the view of the run, and says what comes next; an error says why the run cannot propose this.
    pub(super) fn write_to(self, view: &mut View) -> Result<Next, String> {
        for (key, value) in self.set {
            write(view, key, |value| Ok(Op::Set(value)), value)?;
        }
        let mut counts = BTreeMap::<String, usize>::new();
        for one in self.writes {
            let count = counts.entry(one.key().to_owned()).or_default();
            *count += 1;
            if *count > ON_ONE_KEY {
                let key = one.key();
                return Err(format!("{key}: more than {ON_ONE_KEY} operations in one proposal"));
            }
            one.write_to(view)?;
        }
        for condition in self.require {
            let condition = condition.read()?;
            view.require(condition).map_err(|error| error.to_string())?;
        }
        Ok(self.next.into())
    }
}

fn write(
    view: &mut View,
    key: String,
    op: impl FnOnce(Value) -> Result<Op, String>,
    json: Json,
) -> Result<(), String> {
    let value = decode(json).map_err(|error| format!("{key}: {error}"))?;
    view.write(key, op(value)?).map_err(|error| error.to_string())
}

impl Write {
    fn key(&self) -> &str {
        match self {
            Write::Set { key, .. }
            | Write::Remove { key }
            | Write::Add { key, .. }
            | Write::Max { key, .. }
            | Write::Min { key, .. }
            | Write::Agree { key, .. }
            | Write::Union { key, .. }
            | Write::Intersect { key, .. }
            | Write::Constrain { key, .. } => key,
        }
    }

    fn write_to(self, view: &mut View) -> Result<(), String> {
        let set = |key: &str, values: Vec<Json>| -> Result<Vec<Value>, String> {
            let values = values.into_iter().map(decode).collect::<Result<_, _>>();
            values.map_err(|error| format!("{key}: {error}"))
        };
        let (key, op) = match self {
            Write::Set { key, value } => return write(view, key, |it| Ok(Op::Set(it)), value),
            Write::Max { key, value } => return write(view, key, |it| Ok(Op::Max(it)), value),
            Write::Min { key, value } => return write(view, key, |it| Ok(Op::Min(it)), value),
            Write::Agree { key, value } => return write(view, key, |it| Ok(Op::Agree(it)), value),
            Write::Remove { key } => (key, Op::Remove),
            Write::Add { key, by, at_least, at_most } => (key, Op::Add { by, at_least, at_most }),
            Write::Union { key, values } => {
                let op = Op::union(set(&key, values)?);
                (key, op)
            }
            Write::Intersect { key, values } => {
                let op =
                    Op::Intersect(std::sync::Arc::new(set(&key, values)?.into_iter().collect()));
                (key, op)
            }
            Write::Constrain { key, requirement } => {
                let requirement = Requirement::parse_all(&requirement)
                    .map_err(|error| format!("{key}: `{requirement}`: {error}"))?;
                (key, Op::constrain(requirement))
            }
        };
        view.write(key, op).map_err(|error| error.to_string())
    }

    /// An operation as a program would say it.
    pub(super) fn of(key: &Key, op: &Op) -> Write {
        let key = key.to_string();
        match op {
            Op::Set(value) => Write::Set { key, value: encode(value) },
            Op::Remove => Write::Remove { key },
            Op::Add { by, at_least, at_most } => {
                Write::Add { key, by: *by, at_least: *at_least, at_most: *at_most }
            }
            Op::Max(value) => Write::Max { key, value: encode(value) },
            Op::Min(value) => Write::Min { key, value: encode(value) },
            Op::Agree(value) => Write::Agree { key, value: encode(value) },
            Op::Union(values) => Write::Union { key, values: values.iter().map(encode).collect() },
            Op::Intersect(values) => {
                Write::Intersect { key, values: values.iter().map(encode).collect() }
            }
            Op::Constrain(requirement) => {
                Write::Constrain { key, requirement: requirement.to_string() }
            }
        }
    }
}

impl Require {
    fn read(self) -> Result<Precondition, String> {
        let key = Key::new(&self.key).map_err(|error| error.to_string())?;
        match (self.equals, self.exists) {
            (Some(value), None) => {
                let value = decode(value).map_err(|error| format!("{key}: {error}"))?;
                Ok(Precondition::Equals(key, value))
            }
            (None, Some(true)) => Ok(Precondition::Exists(key)),
            (None, Some(false)) => Ok(Precondition::Absent(key)),
            _ => Err(format!("{key}: a condition says either `equals` or `exists`")),
        }
    }
}

impl Wanted {
    /// Whether all of it can be read.
    pub(super) fn check(&self) -> Result<(), String> {
        let keys = self.keys.iter().try_for_each(|key| Key::new(key).map(drop));
        let all =
            keys.and_then(|()| self.under.iter().try_for_each(|it| Key::prefix(it).map(drop)));
        all.map_err(|error| error.to_string())
    }
}

impl Pass {
    pub(super) fn next(&self) -> Next {
        self.next.into()
    }
}

impl Reply {
    /// The answer; the outer error says that it is none.
    pub(super) fn read(self) -> Result<Result<Value, String>, String> {
        match (self.value, self.error) {
            (Some(value), None) => {
                let value = decode(value).map_err(|error| error.to_string())?;
                if !value.is_shallow() {
                    return Err(TOO_DEEP.to_owned());
                }
                Ok(Ok(value))
            }
            (None, Some(error)) => Ok(Err(error)),
            _ => Err("a reply says either `value` or `error`".to_owned()),
        }
    }
}

impl Voted {
    pub(super) fn read(&self) -> Option<Vote> {
        self.vote.map(|vote| match vote {
            VoteWord::Yes => Vote::Yes,
            VoteWord::No => Vote::No,
            VoteWord::Abstain => Vote::Abstain,
            VoteWord::Veto => Vote::Veto,
        })
    }
}

/// How deeply JSON is nested, at most.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut most) = (0_usize, 0);
    let (mut in_text, mut is_escaped) = (false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_text => is_escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                most = most.max(depth);
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    most
}

impl FromProgram {
    /// What a line says; an error says why it is none of the protocol.
    pub(super) fn read(line: &[u8]) -> Result<FromProgram, String> {
        if line.trim_ascii_start().first() != Some(&b'{') {
            return Err("it is no object".to_owned());
        }
        if depth(line) > DEPTH {
            return Err(format!("it is nested more than {DEPTH} levels deep"));
        }
        let mut reader = serde_json::Deserializer::from_slice(line);
        // It was looked at above.
        reader.disable_recursion_limit();
        let read =
            FromProgram::deserialize(&mut reader).and_then(|read| reader.end().map(|()| read));
        read.map_err(|error| error.to_string())
    }

    /// Its type.
    pub(super) fn name(&self) -> &'static str {
        match self {
            FromProgram::Hello(_) => "hello",
            FromProgram::Read(_) => "read",
            FromProgram::Propose(_) => "propose",
            FromProgram::Pass(_) => "pass",
            FromProgram::Fail(_) => "fail",
            FromProgram::Reply(_) => "reply",
            FromProgram::Vote(_) => "vote",
            FromProgram::Heartbeat(_) => "heartbeat",
            FromProgram::Bye(_) => "bye",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::told::Values;
    use super::*;
    use crate::agent::{Context, Intent};
    use crate::state::State;

    const LINES: [&str; 9] = [
        r#"{"type":"hello","protocol":1,"class":"high","keys":["a"],"under":["b"],"wants":["outcome","message","ballot"]}"#,
        r#"{"type":"read","keys":["a/b"],"under":[""],"peek":true}"#,
        r#"{"type":"propose","set":{"a":{"$set":[1,2.5]}},"writes":[{"op":"add","key":"n","by":-1,"at_least":0}],"require":[{"key":"a","exists":false}],"next":"done"}"#,
        r#"{"type":"propose","writes":[{"op":"remove","key":"n"},{"op":"constrain","key":"d","requirement":"^1"},{"op":"union","key":"u","values":[1]}]}"#,
        r#"{"type":"pass","next":"watch"}"#,
        r#"{"type":"fail","reason":"x"}"#,
        r#"{"type":"reply","value":{"$map":{"$x":true}}}"#,
        r#"{"type":"vote","vote":"veto"}"#,
        r#"{"type":"heartbeat"}"#,
    ];

    fn view() -> View {
        let base = [("n", Value::from(3)), ("t", "x".into())];
        let base = base.map(|(key, value)| (Key::new(key).unwrap(), value));
        let intent = Intent { id: "i".into(), attempt: 0, born: Default::default() };
        View::new(State::base(base).into(), Context::of_wave(&intent, 1))
    }

    /// What the hive does with a line, all but sending the answer.
    fn take(line: &[u8]) {
        let mut view = view();
        match FromProgram::read(line) {
            Ok(FromProgram::Read(wanted)) => drop(Values::read(&mut view, &wanted)),
            Ok(FromProgram::Propose(propose)) => drop(propose.write_to(&mut view)),
            Ok(FromProgram::Reply(reply)) => drop(reply.read()),
            Ok(other) => assert!(!other.name().is_empty()),
            Err(error) => assert!(!error.is_empty()),
        }
    }

    #[test]
    fn each_kind_of_line_is_read() {
        for line in LINES {
            let read =
                FromProgram::read(line.as_bytes()).unwrap_or_else(|it| panic!("{line}: {it}"));
            assert!(line.contains(&format!("\"type\":\"{}\"", read.name())), "{line}");
        }
    }

    #[test]
    fn an_operation_says_what_it_said() {
        let writes = r#"[{"op":"set","key":"a","value":1},{"op":"remove","key":"b"},{"op":"add","key":"c","by":1,"at_most":9},
            {"op":"max","key":"d","value":1},{"op":"min","key":"e","value":1},{"op":"agree","key":"f","value":1},
            {"op":"union","key":"g","values":[1]},{"op":"intersect","key":"h","values":[1]},
            {"op":"constrain","key":"i","requirement":"^1.0.0"}]"#;
        let writes: Json = serde_json::from_str(writes).unwrap();
        let line = serde_json::json!({ "type": "propose", "writes": writes }).to_string();
        let Ok(FromProgram::Propose(propose)) = FromProgram::read(line.as_bytes()) else {
            panic!()
        };
        let mut view = view();
        propose.write_to(&mut view).unwrap();
        let intent = Intent { id: "i".into(), attempt: 0, born: Default::default() };
        let (proposal, _) = view.finish("me".into(), &intent, Default::default());
        let said =
            proposal.unwrap().writes.iter().map(|(key, op)| Write::of(key, op)).collect::<Vec<_>>();
        assert_eq!(serde_json::to_value(said).unwrap(), writes);
    }

    proptest! {
        /// Whatever a program writes, nothing panics.
        #[test]
        fn any_line_is_read_or_refused(
            place in 0..LINES.len(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3), 0..6),
        ) {
            let mut line = LINES[place].as_bytes().to_vec();
            for (at, byte, what) in changes {
                if line.is_empty() {
                    break;
                }
                let at = at.index(line.len());
                match what {
                    0 => line[at] = byte,
                    1 => line.insert(at, byte),
                    _ => drop(line.remove(at)),
                }
            }
            take(&line);
        }

        #[test]
        fn any_bytes_are_read_or_refused(line in prop::collection::vec(any::<u8>(), 0..200)) {
            take(&line);
        }
    }
}
