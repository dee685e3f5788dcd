//! Operations on one key, and what several of them merge to.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use queenright_primitives::aggregate::{
    Agree, Commutative, Max, Meet, Min, Narrow, OutOfBounds, Sum, Union,
};
use queenright_primitives::proposal::Mode;

use crate::requirement::Requirement;
use crate::value::{Number, Value};

/// One operation on one key.
///
/// `Set` and `Remove` are exclusive: they go with no other operation on the key in a round. The others commute with
/// their own kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Op {
    /// Writes a value.
    Set(Value),
    /// Removes the key.
    Remove,
    /// Adds to an integer; an absent key counts as 0.
    Add {
        /// How much; may be negative.
        by: i64,
        /// Once this is added, no order of the round's additions may let the sum fall below this.
        at_least: Option<i64>,
        /// Once this is added, no order of the round's additions may let the sum rise above this.
        at_most: Option<i64>,
    },
    /// Keeps the larger value.
    Max(Value),
    /// Keeps the smaller value.
    Min(Value),
    /// Adds elements to a set.
    Union(Arc<BTreeSet<Value>>),
    /// Keeps the elements in common; refused when none is left.
    Intersect(Arc<BTreeSet<Value>>),
    /// States a value: equal ones agree, unequal ones conflict.
    Agree(Value),
    /// Narrows a version requirement; refused when no version is left.
    Constrain(Arc<Requirement>),
}

impl Op {
    /// Adds `by` without bounds.
    pub fn add(by: i64) -> Op {
        Op::Add { by, at_least: None, at_most: None }
    }

    /// Adds the elements to a set.
    pub fn union(values: impl IntoIterator<Item = Value>) -> Op {
        Op::Union(Arc::new(values.into_iter().collect()))
    }

    /// Narrows to `requirement`.
    pub fn constrain(requirement: Requirement) -> Op {
        Op::Constrain(Arc::new(requirement))
    }

    /// Which operator this is.
    pub fn operator(&self) -> Operator {
        match self {
            Op::Set(_) => Operator::Set,
            Op::Remove => Operator::Remove,
            Op::Add { .. } => Operator::Add,
            Op::Max(_) => Operator::Max,
            Op::Min(_) => Operator::Min,
            Op::Union(_) => Operator::Union,
            Op::Intersect(_) => Operator::Intersect,
            Op::Agree(_) => Operator::Agree,
            Op::Constrain(_) => Operator::Constrain,
        }
    }

    /// The change it makes, if it commutes.
    #[inline]
    pub(crate) fn delta(&self) -> Option<Delta> {
        match self {
            Op::Set(_) | Op::Remove => None,
            _ => self.merging(),
        }
    }

    fn merging(&self) -> Option<Delta> {
        Some(match self {
            Op::Set(_) | Op::Remove => return None,
            Op::Add { by, at_least, at_most } => {
                let sum = Sum::of(*by);
                let sum = at_least.map_or(sum, |bound| sum.at_least(bound));
                Delta::Sum(at_most.map_or(sum, |bound| sum.at_most(bound)))
            }
            Op::Max(value) => Delta::Max(Max(value.clone())),
            Op::Min(value) => Delta::Min(Min(value.clone())),
            Op::Union(values) => Delta::Union(Union(values.as_ref().clone())),
            Op::Intersect(values) => Delta::Intersect(Narrow(Elements(values.as_ref().clone()))),
            Op::Agree(value) => Delta::Agree(Agree(value.clone())),
            Op::Constrain(requirement) => {
                Delta::Constrain(Narrow(Admitted(requirement.as_ref().clone())))
            }
        })
    }

    /// What the key holds after this operation alone: `None` when it is removed.
    ///
    /// # Errors
    /// [`Refusal`] when the operator is undefined on the stored value.
    pub fn apply(&self, stored: Option<&Value>) -> Result<Option<Value>, Refusal> {
        match self {
            Op::Set(value) => Ok(Some(value.clone())),
            Op::Remove => Ok(None),
            _ => self.delta().map(|delta| delta.apply(stored)).transpose(),
        }
    }

    /// Whether its values are nested at most [`MAX_VALUE_DEPTH`](crate::MAX_VALUE_DEPTH) levels deep.
    pub(crate) fn is_shallow(&self) -> bool {
        match self {
            Op::Set(value) | Op::Max(value) | Op::Min(value) | Op::Agree(value) => {
                value.is_shallow()
            }
            // The elements end up one level down, in the set that is stored.
            Op::Union(values) | Op::Intersect(values) => {
                Value::Set(Arc::clone(values)).is_shallow()
            }
            Op::Remove | Op::Add { .. } | Op::Constrain(_) => true,
        }
    }

    /// Roughly the bytes it carries, for limits.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Op::Remove => 0,
            Op::Add { .. } => 24,
            Op::Set(value) | Op::Max(value) | Op::Min(value) | Op::Agree(value) => value.bytes(),
            Op::Union(values) | Op::Intersect(values) => values.iter().map(Value::bytes).sum(),
            Op::Constrain(_) => 64,
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.operator();
        match self {
            Op::Remove => write!(f, "{name}"),
            Op::Add { by, at_least, at_most } => {
                write!(f, "{name} {by}")?;
                at_least.map_or(Ok(()), |bound| write!(f, ", at least {bound}"))?;
                at_most.map_or(Ok(()), |bound| write!(f, ", at most {bound}"))
            }
            Op::Set(value) | Op::Max(value) | Op::Min(value) | Op::Agree(value) => {
                write!(f, "{name} {value}")
            }
            Op::Union(values) | Op::Intersect(values) => {
                write!(f, "{name} {}", Value::Set(Arc::clone(values)))
            }
            Op::Constrain(requirement) => write!(f, "{name} {requirement}"),
        }
    }
}

/// The kind of an [`Op`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Operator {
    /// [`Op::Set`]
    Set,
    /// [`Op::Remove`]
    Remove,
    /// [`Op::Add`]
    Add,
    /// [`Op::Max`]
    Max,
    /// [`Op::Min`]
    Min,
    /// [`Op::Union`]
    Union,
    /// [`Op::Intersect`]
    Intersect,
    /// [`Op::Agree`]
    Agree,
    /// [`Op::Constrain`]
    Constrain,
}

impl Operator {
    /// How it combines with other writes of the same key in a round.
    pub fn mode(self) -> Mode<Operator> {
        match self {
            Operator::Set | Operator::Remove => Mode::Exclusive,
            commutative => Mode::Commutative(commutative),
        }
    }

    /// Its name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Operator::Set => "set",
            Operator::Remove => "remove",
            Operator::Add => "add",
            Operator::Max => "max",
            Operator::Min => "min",
            Operator::Union => "union",
            Operator::Intersect => "intersect",
            Operator::Agree => "agree",
            Operator::Constrain => "constrain",
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What commutative operations of one operator on one key merge to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Delta {
    Sum(Sum),
    Max(Max<Value>),
    Min(Min<Value>),
    Union(Union<Value>),
    Intersect(Narrow<Elements>),
    Agree(Agree<Value>),
    Constrain(Narrow<Admitted>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Elements(BTreeSet<Value>);

impl Meet for Elements {
    fn meet(&self, other: &Self) -> Option<Self> {
        let both = &self.0 & &other.0;
        (!both.is_empty()).then_some(Elements(both))
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Admitted(Requirement);

impl Meet for Admitted {
    fn meet(&self, other: &Self) -> Option<Self> {
        let both = self.0.intersect(&other.0);
        (!both.is_empty()).then_some(Admitted(both))
    }
}

/// Why operations cannot stand together, or not on the stored value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// Values that should agree do not.
    Disagree,
    /// Nothing satisfies all that was asked.
    Empty,
    /// A sum could leave its bounds.
    Bound(OutOfBounds),
    /// The operator is not defined on this kind of value.
    Kind {
        /// The operator.
        operator: Operator,
        /// The kind of value found.
        found: &'static str,
    },
    /// Different operators on one key.
    Operators(Operator, Operator),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Disagree => f.write_str("the values differ"),
            Refusal::Empty => f.write_str("nothing satisfies all that was asked"),
            Refusal::Bound(bound) => bound.fmt(f),
            Refusal::Kind { operator, found } => {
                write!(f, "`{operator}` is not defined on a {found}")
            }
            Refusal::Operators(a, b) => write!(f, "`{a}` and `{b}` do not go together"),
        }
    }
}

impl std::error::Error for Refusal {}

impl Delta {
    fn operator(&self) -> Operator {
        match self {
            Delta::Sum(_) => Operator::Add,
            Delta::Max(_) => Operator::Max,
            Delta::Min(_) => Operator::Min,
            Delta::Union(_) => Operator::Union,
            Delta::Intersect(_) => Operator::Intersect,
            Delta::Agree(_) => Operator::Agree,
            Delta::Constrain(_) => Operator::Constrain,
        }
    }

    fn undefined_on(&self, found: &Value) -> Refusal {
        Refusal::Kind { operator: self.operator(), found: found.kind() }
    }

    /// The key's value after this change.
    ///
    /// # Errors
    /// When the change is undefined on what is stored.
    pub(crate) fn apply(&self, stored: Option<&Value>) -> Result<Value, Refusal> {
        let Some(stored) = stored else {
            return self.start();
        };
        match (self, stored) {
            (Delta::Sum(sum), Value::Number(Number::Int(start))) => {
                sum.apply(*start).map(Value::from).map_err(Refusal::Bound)
            }
            (Delta::Max(Max(value)), _) => {
                same_kind(self, value, stored).map(|()| value.max(stored).clone())
            }
            (Delta::Min(Min(value)), _) => {
                same_kind(self, value, stored).map(|()| value.min(stored).clone())
            }
            (Delta::Union(Union(values)), _) => {
                let mut all = stored.elements().ok_or_else(|| self.undefined_on(stored))?;
                all.extend(values.iter().cloned());
                Ok(Value::Set(Arc::new(all)))
            }
            (Delta::Intersect(Narrow(values)), _) => {
                let all = stored.elements().ok_or_else(|| self.undefined_on(stored))?;
                let both = values.meet(&Elements(all)).ok_or(Refusal::Empty)?;
                Ok(Value::Set(Arc::new(both.0)))
            }
            (Delta::Agree(Agree(value)), _) => {
                if value == stored {
                    Ok(stored.clone())
                } else {
                    Err(Refusal::Disagree)
                }
            }
            (Delta::Constrain(Narrow(asked)), Value::Requirement(held)) => {
                let both = asked.meet(&Admitted(held.as_ref().clone())).ok_or(Refusal::Empty)?;
                Ok(Value::from(both.0))
            }
            _ => Err(self.undefined_on(stored)),
        }
    }

    /// The value on a key that holds nothing.
    fn start(&self) -> Result<Value, Refusal> {
        Ok(match self {
            Delta::Sum(sum) => sum.apply(0).map(Value::from).map_err(Refusal::Bound)?,
            Delta::Max(Max(value)) | Delta::Min(Min(value)) | Delta::Agree(Agree(value)) => {
                value.clone()
            }
            Delta::Union(Union(values)) => Value::Set(Arc::new(values.clone())),
            Delta::Intersect(Narrow(Elements(values))) => match values.is_empty() {
                true => return Err(Refusal::Empty),
                false => Value::Set(Arc::new(values.clone())),
            },
            Delta::Constrain(Narrow(Admitted(requirement))) => match requirement.is_empty() {
                true => return Err(Refusal::Empty),
                false => Value::from(requirement.clone()),
            },
        })
    }
}

fn same_kind(delta: &Delta, ours: &Value, stored: &Value) -> Result<(), Refusal> {
    match ours.kind() == stored.kind() {
        true => Ok(()),
        false => Err(delta.undefined_on(stored)),
    }
}

impl Commutative for Delta {
    type Refusal = Refusal;

    fn merge(&mut self, other: &Self) -> Result<(), Refusal> {
        match (&mut *self, other) {
            (Delta::Sum(a), Delta::Sum(b)) => a.merge(b).map_err(Refusal::Bound),
            (Delta::Max(a), Delta::Max(b)) if a.0.kind() == b.0.kind() => {
                a.merge(b).map_err(|e| match e {})
            }
            (Delta::Min(a), Delta::Min(b)) if a.0.kind() == b.0.kind() => {
                a.merge(b).map_err(|e| match e {})
            }
            (Delta::Max(_), Delta::Max(Max(b))) | (Delta::Min(_), Delta::Min(Min(b))) => {
                Err(self.undefined_on(b))
            }
            (Delta::Union(a), Delta::Union(b)) => a.merge(b).map_err(|e| match e {}),
            (Delta::Intersect(a), Delta::Intersect(b)) => a.merge(b).map_err(|_| Refusal::Empty),
            (Delta::Agree(a), Delta::Agree(b)) => a.merge(b).map_err(|_| Refusal::Disagree),
            (Delta::Constrain(a), Delta::Constrain(b)) => a.merge(b).map_err(|_| Refusal::Empty),
            (a, b) => Err(Refusal::Operators(a.operator(), b.operator())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use queenright_primitives::aggregate::laws::{self, Claims};

    fn requirement(text: &str) -> Op {
        Op::constrain(Requirement::parse(text).unwrap())
    }

    fn op() -> impl Strategy<Value = Op> {
        let value = prop_oneof![
            2 => (0i64..3).prop_map(Value::from),
            1 => prop::sample::select(vec![1.0, 1.5]).prop_map(|v| Value::float(v).unwrap()),
            1 => any::<bool>().prop_map(Value::from),
            1 => "[ab]".prop_map(Value::from)
        ];
        let by = prop_oneof![8 => -3i64..4, 1 => Just(i64::MIN), 1 => Just(i64::MAX)];
        let values = prop::collection::btree_set((0i64..3).prop_map(Value::from), 0..3);
        let versions =
            prop::sample::select(vec!["^1", ">=1.2, <2", "=1.3.0", ">1.0.0-a", "<1.1", "*"]);
        prop_oneof![
            (by, prop::option::of(-2i64..1), prop::option::of(0i64..4))
                .prop_map(|(by, at_least, at_most)| Op::Add { by, at_least, at_most }),
            value.clone().prop_map(Op::Max),
            value.clone().prop_map(Op::Min),
            value.prop_map(Op::Agree),
            values.clone().prop_map(|v| Op::Union(Arc::new(v))),
            values.prop_map(|v| Op::Intersect(Arc::new(v))),
            versions.prop_map(requirement),
        ]
    }

    fn start() -> impl Strategy<Value = i64> {
        prop_oneof![4 => 0i64..3, 1 => Just(i64::MIN), 1 => Just(i64::MAX)]
    }

    proptest! {
        /// G7: what is declared commutative commutes and associates, refusals included.
        #[test]
        fn every_operator_keeps_the_laws(ops in prop::collection::vec(op(), 0..6)) {
            let deltas: Vec<Delta> = ops.iter().filter_map(Op::delta).collect();
            laws::check(&deltas, Claims::default()).unwrap();
        }

        /// What is defined when merged and applied at once is defined one after the other too, in every order,
        /// and comes to the same.
        #[test]
        fn a_merge_is_one_after_the_other(
            mut ops in prop::collection::vec(op(), 2..24),
            start in prop::option::of(start()),
            turn in 0usize..4,
        ) {
            // One operator, since others are refused anyway.
            let operator = ops[0].operator();
            ops.retain(|op| op.operator() == operator);
            ops.truncate(4);
            let start = start.map(Value::from);
            let mut deltas: Vec<Delta> = ops.iter().filter_map(Op::delta).collect();
            let mut merged = deltas[0].clone();
            let refused = deltas[1..].iter().try_for_each(|delta| merged.merge(delta));
            let Ok(end) = refused.and_then(|()| merged.apply(start.as_ref())) else {
                return Ok(());
            };
            let turn = turn % deltas.len();
            for _ in 0..2 {
                deltas.rotate_left(turn);
                deltas.reverse();
                let mut stepwise = start.clone();
                for delta in &deltas {
                    stepwise = Some(delta.apply(stepwise.as_ref()).unwrap());
                }
                prop_assert_eq!(stepwise.as_ref(), Some(&end));
                deltas.swap(0, turn);
            }
        }
    }

    #[test]
    fn an_operator_is_refused_where_it_is_undefined() {
        let text = Value::from("x");
        assert!(matches!(Op::add(1).apply(Some(&text)), Err(Refusal::Kind { .. })));
        assert_eq!(Op::Agree(1.into()).apply(Some(&2.into())), Err(Refusal::Disagree));
        assert_eq!(requirement(">2, <1").apply(None), Err(Refusal::Empty));
        let (low, high) = (requirement("^1"), requirement("^2"));
        let held = low.apply(None).unwrap();
        assert_eq!(high.apply(held.as_ref()), Err(Refusal::Empty));
    }
}
