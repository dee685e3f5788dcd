//! How values of several packs compose, by key.

use std::fmt;

use crate::key::Key;
use crate::op::Op;
use crate::value::Value;

/// How the values that packs state for one key become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Compose {
    /// Equal values agree; unequal ones are a conflict that somebody must resolve.
    #[default]
    Fail,
    /// The value of the highest priority counts; between equals, unequal values are a conflict.
    Priority,
    /// All values and elements together, as a set.
    Union,
    /// The elements that all have in common; none is a conflict.
    Intersection,
    /// The largest.
    Max,
    /// The smallest.
    Min,
}

impl Compose {
    const ALL: [Compose; 6] = [
        Compose::Fail,
        Compose::Priority,
        Compose::Union,
        Compose::Intersection,
        Compose::Max,
        Compose::Min,
    ];

    /// Its name in `hive.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Compose::Fail => "fail",
            Compose::Priority => "priority",
            Compose::Union => "union",
            Compose::Intersection => "intersection",
            Compose::Max => "max",
            Compose::Min => "min",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Compose> {
        Compose::ALL.into_iter().find(|compose| compose.name() == name)
    }

    /// The operation that states `value` under this rule.
    pub(crate) fn op(self, value: &Value) -> Op {
        let elements = || value.elements().unwrap_or_else(|| [value.clone()].into());
        match self {
            Compose::Fail | Compose::Priority => Op::Agree(value.clone()),
            Compose::Union => Op::Union(elements().into()),
            Compose::Intersection => Op::Intersect(elements().into()),
            Compose::Max => Op::Max(value.clone()),
            Compose::Min => Op::Min(value.clone()),
        }
    }
}

impl fmt::Display for Compose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Rules by key pattern; the first that matches counts.
///
/// In a pattern `*` stands for any characters within a segment, and a segment `**` for any number of segments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    rules: Vec<(String, Compose)>,
}

impl Policy {
    /// The given rules, in order.
    pub fn new(rules: impl IntoIterator<Item = (String, Compose)>) -> Policy {
        Policy { rules: rules.into_iter().collect() }
    }

    /// How values of this key compose.
    pub fn of(&self, key: &Key) -> Compose {
        self.rule_of(key).map_or(Compose::Fail, |rule| self.rules[rule].1)
    }

    /// The number of the rule that counts for this key.
    pub(crate) fn rule_of(&self, key: &Key) -> Option<usize> {
        self.rules.iter().position(|(pattern, _)| matches(pattern, key.as_str()))
    }

    /// Patterns and rules, in order.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = (&str, Compose)> {
        self.rules.iter().map(|(pattern, compose)| (pattern.as_str(), *compose))
    }
}

/// O(segments of the pattern × segments of the key), each compared in time linear in their product.
fn matches(pattern: &str, key: &str) -> bool {
    let key: Vec<&str> = key.split('/').collect();
    wild(
        &pattern.split('/').collect::<Vec<_>>(),
        &key,
        |p| *p == "**",
        |p, k| {
            let (p, k): (Vec<char>, Vec<char>) = (p.chars().collect(), k.chars().collect());
            wild(&p, &k, |c| *c == '*', |a, b| a == b)
        },
    )
}

/// Whether a sequence matches a pattern in which some elements stand for any number of elements.
fn wild<P, T>(
    pattern: &[P],
    text: &[T],
    many: impl Fn(&P) -> bool,
    one: impl Fn(&P, &T) -> bool,
) -> bool {
    // Greedy with one point to go back to: the last element that stands for many.
    let (mut p, mut t, mut back) = (0, 0, None);
    while t < text.len() {
        if p < pattern.len() && many(&pattern[p]) {
            back = Some((p, t));
            p += 1;
        } else if p < pattern.len() && one(&pattern[p], &text[t]) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((star, from)) = back {
            back = Some((star, from + 1));
            (p, t) = (star + 1, from + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(many)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_keys() {
        for (pattern, key, expected) in [
            ("settings/port", "settings/port", true),
            ("settings/port", "settings/port/x", false),
            ("settings/*", "settings/port", true),
            ("settings/*", "settings/a/b", false),
            ("settings/**", "settings/a/b", true),
            ("settings/**", "settings", true),
            ("**/level", "settings/log/level", true),
            ("**/level", "level", true),
            ("settings/log*/level", "settings/logging/level", true),
            ("settings/*x*", "settings/axb", true),
            ("**", "anything/at/all", true),
            ("a/**/b/**/c", "a/b/b/x/c", true),
            ("a/**/b/**/c", "a/x/c", false),
        ] {
            assert_eq!(matches(pattern, key), expected, "{pattern} on {key}");
        }
    }

    #[test]
    fn the_first_rule_that_matches_counts() {
        let rules = [("settings/a", Compose::Max), ("settings/*", Compose::Min)];
        let policy = Policy::new(rules.map(|(p, c)| (p.to_owned(), c)));
        let of = |key| policy.of(&Key::new(key).unwrap());
        assert_eq!(
            [of("settings/a"), of("settings/b"), of("x")],
            [Compose::Max, Compose::Min, Compose::Fail]
        );
    }
}
