//! Values of the state.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::requirement::Requirement;

/// How deeply lists, sets and maps may be nested in a proposal.
pub const MAX_VALUE_DEPTH: usize = 64;

/// What a key holds. Cloning costs at most a reference count.
///
/// Values have one total order: by kind (boolean, number, text, list, set, map, requirement), then by content;
/// integers and floats compare by their exact numeric value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// An integer or a float.
    Number(Number),
    /// UTF-8 text.
    Text(Arc<str>),
    /// Values in order.
    List(Arc<Vec<Value>>),
    /// Distinct values.
    Set(Arc<BTreeSet<Value>>),
    /// Values by name.
    Map(Arc<BTreeMap<Arc<str>, Value>>),
    /// An intersection of version requirements.
    Requirement(Arc<Requirement>),
}

/// What [`Value::kind`] says.
pub(crate) const KINDS: [&str; 7] =
    ["boolean", "number", "text", "list", "set", "map", "version requirement"];

impl Value {
    /// A float; `None` if it is not finite, since such a value has no place in an order.
    pub fn float(number: f64) -> Option<Value> {
        Finite::new(number).map(|finite| Value::Number(Number::Float(finite)))
    }

    /// A set of the given values.
    pub fn set(values: impl IntoIterator<Item = Value>) -> Value {
        Value::Set(Arc::new(values.into_iter().collect()))
    }

    /// The integer, if it is one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Number(Number::Int(int)) => Some(*int),
            _ => None,
        }
    }

    /// The text, if it is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What kind of value it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::Text(_) => "text",
            Value::List(_) => "list",
            Value::Set(_) => "set",
            Value::Map(_) => "map",
            Value::Requirement(_) => "version requirement",
        }
    }

    /// The elements of a set or list, as a set.
    pub(crate) fn elements(&self) -> Option<BTreeSet<Value>> {
        match self {
            Value::Set(set) => Some(set.as_ref().clone()),
            Value::List(list) => Some(list.iter().cloned().collect()),
            _ => None,
        }
    }

    /// Whether it is nested at most [`MAX_VALUE_DEPTH`] levels deep.
    pub(crate) fn is_shallow(&self) -> bool {
        fn within(value: &Value, levels: usize) -> bool {
            let Some(below) = levels.checked_sub(1) else { return false };
            match value {
                Value::List(list) => list.iter().all(|value| within(value, below)),
                Value::Set(set) => set.iter().all(|value| within(value, below)),
                Value::Map(map) => map.values().all(|value| within(value, below)),
                _ => true,
            }
        }
        within(self, MAX_VALUE_DEPTH)
    }

    /// Roughly the bytes it holds, for limits; an empty value is not free.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        const EACH: usize = 16;
        match self {
            Value::Bool(_) | Value::Number(_) => EACH,
            _ => EACH + self.content(),
        }
    }

    fn content(&self) -> usize {
        match self {
            Value::Bool(_) | Value::Number(_) => 0,
            Value::Text(text) => text.len(),
            Value::List(list) => list.iter().map(Value::bytes).sum(),
            Value::Set(set) => set.iter().map(Value::bytes).sum(),
            Value::Map(map) => map.iter().map(|(name, value)| name.len() + value.bytes()).sum(),
            Value::Requirement(_) => 64,
        }
    }
}

/// An integer or a finite float, ordered by exact numeric value; at equal value the integer comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Number {
    /// A 64-bit integer.
    Int(i64),
    /// A finite double.
    Float(Finite),
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Number::Int(a), Number::Int(b)) => a.cmp(b),
            (Number::Float(a), Number::Float(b)) => a.0.total_cmp(&b.0),
            (Number::Int(a), Number::Float(b)) => compare(*a, b.0).then(Ordering::Less),
            (Number::Float(a), Number::Int(b)) => {
                compare(*b, a.0).reverse().then(Ordering::Greater)
            }
        }
    }
}

/// Compares without rounding: an `i64` beyond 2^53 has no exact float.
fn compare(int: i64, float: f64) -> Ordering {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0; // 2^63
    if float >= LIMIT {
        return Ordering::Less;
    }
    if float < -LIMIT {
        return Ordering::Greater;
    }
    let whole = float.trunc();
    // `whole` is an integer in [-2^63, 2^63), so the cast is exact.
    int.cmp(&(whole as i64)).then_with(|| 0.0_f64.total_cmp(&(float - whole + 0.0)))
}

/// A finite double; minus zero is stored as zero.
#[derive(Clone, Copy, Debug)]
pub struct Finite(f64);

impl Finite {
    /// `None` for infinities and NaN.
    pub fn new(number: f64) -> Option<Finite> {
        number.is_finite().then_some(Finite(number + 0.0))
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl PartialEq for Finite {
    fn eq(&self, other: &Self) -> bool {
        self.0.total_cmp(&other.0).is_eq()
    }
}

impl Eq for Finite {}

impl Hash for Finite {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Number(Number::Int(value))
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Value::from(i64::from(value))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Text(value.into())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::Text(value.into())
    }
}

impl From<Vec<Value>> for Value {
    fn from(value: Vec<Value>) -> Self {
        Value::List(Arc::new(value))
    }
}

impl From<Requirement> for Value {
    fn from(value: Requirement) -> Self {
        Value::Requirement(Arc::new(value))
    }
}

/// Short and readable: text in quotes, sets in braces.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list<'a>(
            f: &mut fmt::Formatter<'_>,
            values: impl Iterator<Item = &'a Value>,
        ) -> fmt::Result {
            for (place, value) in values.enumerate() {
                let comma = if place == 0 { "" } else { ", " };
                write!(f, "{comma}{value}")?;
            }
            Ok(())
        }
        match self {
            Value::Bool(value) => write!(f, "{value}"),
            Value::Number(Number::Int(value)) => write!(f, "{value}"),
            Value::Number(Number::Float(value)) => write!(f, "{:?}", value.get()),
            Value::Text(text) => write!(f, "\"{}\"", text.escape_debug()),
            Value::List(values) => {
                f.write_str("[")?;
                list(f, values.iter())?;
                f.write_str("]")
            }
            Value::Set(values) => {
                f.write_str("{")?;
                list(f, values.iter())?;
                f.write_str("}")
            }
            Value::Map(map) => {
                f.write_str("{")?;
                for (place, (name, value)) in map.iter().enumerate() {
                    let comma = if place == 0 { "" } else { ", " };
                    write!(f, "{comma}{} = {value}", name.escape_debug())?;
                }
                f.write_str("}")
            }
            Value::Requirement(requirement) => write!(f, "{requirement}"),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Integers and floats of equal value, half a step apart, and where one cannot hold the other.
    fn number() -> impl Strategy<Value = Value> {
        let edges =
            vec![i64::MIN as f64, i64::MAX as f64, 9_007_199_254_740_992.0, f64::MIN_POSITIVE];
        let float = |number| Value::float(number).unwrap();
        prop_oneof![
            (-2i64..3).prop_map(Value::from),
            prop::sample::select(vec![i64::MIN, i64::MAX, (1 << 53) + 1, 1 << 53])
                .prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-4i64..6).prop_map(move |halves| float(halves as f64 / 2.0)),
            prop::sample::select(edges).prop_map(float),
            any::<i64>().prop_map(move |number| float(number as f64)),
            any::<f64>().prop_filter_map("finite", Value::float),
        ]
    }

    pub(crate) fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            3 => number(),
            1 => any::<bool>().prop_map(Value::from),
            1 => "[ab]?".prop_map(Value::from)
        ];
        leaf.prop_recursive(2, 12, 3, |inner| {
            let map = prop::collection::btree_map("[ab]".prop_map(Arc::from), inner.clone(), 0..3);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::vec(inner, 0..3).prop_map(Value::set),
                map.prop_map(|map| Value::Map(Arc::new(map))),
            ]
        })
    }

    proptest! {
        /// Sets, `Max` and `Min` are only well defined because of this.
        #[test]
        fn values_have_one_total_order(
            values in prop_oneof![
                prop::collection::vec(number(), 3..8),
                prop::collection::vec(value(), 3..8)
            ],
        ) {
            for a in &values {
                for b in &values {
                    prop_assert_eq!(a.cmp(b), b.cmp(a).reverse());
                    prop_assert_eq!(a == b, a.cmp(b).is_eq());
                    for c in values.iter().filter(|c| a <= b && b <= *c) {
                        prop_assert!(a <= c, "{a} <= {b} <= {c}");
                    }
                }
            }
        }
    }

    #[test]
    fn numbers_compare_without_rounding() {
        let big = (1_i64 << 53) + 1;
        let float = |number| Value::float(number).unwrap();
        assert!(Value::from(big) > float(9_007_199_254_740_992.0));
        assert!(Value::from(1) < float(1.5) && Value::from(2) > float(1.5));
        assert!(Value::from(-1) > float(-1.5) && Value::from(-2) < float(-1.5));
        assert!(Value::from(i64::MAX) < float(9.3e18) && Value::from(i64::MIN) > float(-9.3e18));
        assert!(Value::from(1) < float(1.0) && float(1.0) > Value::from(1));
    }

    #[test]
    fn kinds_are_all_there_are() {
        let requirement = Value::from(Requirement::any());
        let each = [true.into(), 1.into(), "".into(), vec![].into(), Value::set([])];
        let each = each.into_iter().chain([Value::Map(Arc::default()), requirement]);
        assert!(each.map(|value| value.kind()).eq(KINDS));
    }

    #[test]
    fn only_finite_floats_are_values() {
        assert_eq!(Value::float(f64::NAN), None);
        assert_eq!(Value::float(f64::INFINITY), None);
        assert_eq!(Value::float(-0.0), Value::float(0.0));
    }
}
