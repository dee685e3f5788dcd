//! Values as JSON that says all of them: what is read back is what was written.
//!
//! | value | JSON |
//! |---|---|
//! | boolean, text, list | the same |
//! | integer, float | a number; a float has a point or an exponent |
//! | map | an object |
//! | set | `{"$set": [...]}` |
//! | version requirement | `{"$requirement": "^1.2, <1.9"}` |
//! | a map one of whose names begins with `$` | `{"$map": {...}}` |

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Number as JsonNumber, Value as Json};

use crate::requirement::Requirement;
use crate::value::{Number, Value};

const SET: &str = "$set";
const MAP: &str = "$map";
const REQUIREMENT: &str = "$requirement";

/// A value as JSON.
pub fn encode(value: &Value) -> Json {
    let only = |name: &str, content: Json| Json::Object(Map::from_iter([(name.into(), content)]));
    match value {
        Value::Bool(value) => Json::from(*value),
        Value::Number(Number::Int(value)) => Json::from(*value),
        Value::Number(Number::Float(value)) => Json::from(value.get()),
        Value::Text(text) => Json::from(text.as_ref()),
        Value::List(values) => values.iter().map(encode).collect(),
        Value::Set(values) => only(SET, values.iter().map(encode).collect()),
        Value::Requirement(requirement) => only(REQUIREMENT, requirement.to_string().into()),
        Value::Map(map) => {
            let names = map.keys().any(|name| name.starts_with('$'));
            let fields = map.iter().map(|(name, value)| (name.to_string(), encode(value)));
            let object = Json::Object(fields.collect());
            if names { only(MAP, object) } else { object }
        }
    }
}

/// Why JSON is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoValue {
    /// `null` stands for none.
    Null,
    /// It is no integer of 64 bits, and no finite float.
    Number(JsonNumber),
    /// No object that stands for a value of its own begins with this.
    Name(String),
    /// A set is written as a list.
    Set,
    /// A requirement is written as text that says one.
    Requirement(String),
}

impl std::error::Error for NoValue {}

impl fmt::Display for NoValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoValue::Null => f.write_str("null is no value: remove the key instead"),
            NoValue::Number(number) => {
                write!(f, "{number} is beyond the integers of 64 bits: write it as a float or text")
            }
            NoValue::Name(name) => write!(
                f,
                "`{name}`: names with `$` stand for kinds of values, alone in their object; \
                 write such a map as {{\"$map\": {{...}}}}"
            ),
            NoValue::Set => f.write_str("`$set` takes a list"),
            NoValue::Requirement(why) => {
                write!(f, "`$requirement` takes a version requirement as text: {why}")
            }
        }
    }
}

/// The value that JSON stands for.
///
/// # Errors
/// [`NoValue`] if it stands for none.
pub fn decode(json: Json) -> Result<Value, NoValue> {
    match json {
        Json::Null => Err(NoValue::Null),
        Json::Bool(value) => Ok(Value::Bool(value)),
        Json::Number(number) => {
            let float = || number.as_f64().filter(|_| number.is_f64()).and_then(Value::float);
            let value = number.as_i64().map(Value::from).or_else(float);
            value.ok_or(NoValue::Number(number))
        }
        Json::String(text) => Ok(Value::from(text)),
        Json::Array(values) => list(values).map(Value::from),
        Json::Object(mut object) => {
            let alone = match object.len() {
                1 => object.keys().next().cloned(),
                _ => None,
            };
            let mut content = |name: &str| object.remove(name).unwrap_or_default();
            match alone.as_deref() {
                Some(SET) => match content(SET) {
                    Json::Array(values) => Ok(Value::set(list(values)?)),
                    _ => Err(NoValue::Set),
                },
                Some(MAP) => match content(MAP) {
                    Json::Object(object) => map(object, |_| true),
                    _ => Err(NoValue::Name(MAP.to_owned())),
                },
                Some(REQUIREMENT) => match content(REQUIREMENT) {
                    Json::String(text) => match Requirement::parse_all(&text) {
                        Ok(requirement) => Ok(Value::from(requirement)),
                        Err(error) => Err(NoValue::Requirement(error.to_string())),
                    },
                    _ => Err(NoValue::Requirement("it is none".to_owned())),
                },
                _ => map(object, |name| !name.starts_with('$')),
            }
        }
    }
}

fn list(values: Vec<Json>) -> Result<Vec<Value>, NoValue> {
    values.into_iter().map(decode).collect()
}

fn map(object: Map<String, Json>, is_name: impl Fn(&str) -> bool) -> Result<Value, NoValue> {
    let field = |(name, json): (String, Json)| match is_name(&name) {
        true => Ok((Arc::from(name), decode(json)?)),
        false => Err(NoValue::Name(name)),
    };
    let fields: Result<BTreeMap<_, _>, _> = object.into_iter().map(field).collect();
    Ok(Value::Map(Arc::new(fields?)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        let requirement = prop_oneof![Just("^1.2"), Just(">=1, <3"), Just("=0.1.2"), Just("*")];
        let leaf = prop_oneof![
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_filter_map("finite", Value::float),
            any::<bool>().prop_map(Value::from),
            "\\PC{0,4}".prop_map(Value::from),
            requirement.prop_map(|text| Requirement::parse(text).unwrap().into()),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let name = prop_oneof!["[$]?[a-z]{0,2}", Just(SET.to_owned()), Just(MAP.to_owned())];
            let name = name.prop_map(Arc::from);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::set),
                prop::collection::btree_map(name, inner, 0..3)
                    .prop_map(|map| Value::Map(Arc::new(map))),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in value()) {
            let text = serde_json::to_string(&encode(&value)).unwrap();
            prop_assert_eq!(decode(serde_json::from_str(&text).unwrap()), Ok(value), "{}", text);
        }
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for (text, says) in [
            ("null", "null is no value"),
            ("[1, null]", "null is no value"),
            ("9223372036854775808", "beyond the integers"),
            ("{\"$sets\": []}", "`$sets`"),
            ("{\"$set\": 1}", "takes a list"),
            ("{\"$set\": [], \"x\": 1}", "`$set`"),
            ("{\"$map\": 1}", "`$map`"),
            ("{\"$requirement\": \"one\"}", "takes a version requirement"),
            ("{\"$requirement\": 1}", "takes a version requirement"),
        ] {
            let refused = decode(serde_json::from_str(text).unwrap()).unwrap_err().to_string();
            assert!(refused.contains(says), "{text}: {refused} should say {says}");
        }
    }
}
