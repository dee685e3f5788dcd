//! `hive.toml`: how a folder of packs is to be resolved.

use std::num::NonZeroUsize;

use super::diagnostic::closest;
use super::document::{Document, Item, in_order};
use super::manifest::state_entries;
use super::pack::Location;
use super::policy::{Compose, Policy};
use crate::key::Key;
use crate::value::Value;

const SECTIONS: [&str; 3] = ["hive", "base", "policy"];
const FIELDS: [&str; 4] = ["name", "seed", "threads", "rounds"];

/// The contents of a `hive.toml`; the default where there is none.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct HiveFile {
    /// The file, if there is one.
    pub file: Option<String>,
    /// The hive's name.
    pub name: Option<String>,
    /// What breaks ties.
    pub seed: Option<u64>,
    /// How many threads run agents.
    pub threads: Option<NonZeroUsize>,
    /// After how many rounds to give up.
    pub rounds: Option<u64>,
    /// The state before the first round.
    pub base: Vec<(Key, Value)>,
    /// How values compose.
    pub policy: Policy,
    /// Where each rule of the policy stands.
    pub(crate) rules_at: Vec<Location>,
}

/// Reads one `hive.toml`. Faults are left in the document.
pub(crate) fn read(document: &mut Document<'_>, file: &str) -> HiveFile {
    let mut hive = HiveFile { file: Some(file.to_owned()), ..HiveFile::default() };
    let Some(root) = document.parse() else {
        return hive;
    };
    document.only(&root, "section", &SECTIONS);
    if let Some(item) = root.get("hive") {
        head(document, item, &mut hive);
    }
    if let Some(table) = root.get("base").and_then(|item| document.table("base", item)) {
        hive.base = state_entries(document, table);
    }
    if let Some(item) = root.get("policy") {
        policy(document, item, &mut hive);
    }
    hive
}

fn head(document: &mut Document<'_>, item: &Item<'_>, hive: &mut HiveFile) {
    let Some(table) = document.table("hive", item) else {
        return;
    };
    document.only(table, "field", &FIELDS);
    if let Some(item) = table.get("name")
        && let Some(name) = document.text("name", item)
    {
        match name.is_empty() || name.chars().any(char::is_control) {
            true => document.error(
                item.span(),
                "`name` is empty or holds control characters",
                "use plain text",
            ),
            false => hive.name = Some(name),
        }
    }
    let mut number = |name: &str, least: i64| {
        let item = table.get(name)?;
        let number = document.integer(name, item)?;
        if number < least {
            document.error(
                item.span(),
                format!("`{name}` is {number}"),
                format!("use {least} or more"),
            );
            return None;
        }
        u64::try_from(number).ok()
    };
    hive.seed = number("seed", 0);
    hive.threads = number("threads", 1).and_then(|n| NonZeroUsize::new(usize::try_from(n).ok()?));
    hive.rounds = number("rounds", 1);
}

fn policy(document: &mut Document<'_>, item: &Item<'_>, hive: &mut HiveFile) {
    let Some(table) = document.table("policy", item) else {
        return;
    };
    let mut rules = Vec::new();
    for (pattern, item) in in_order(table) {
        // A bare dotted key would silently become nested tables.
        if item.get_ref().is_table() {
            let help = "write the whole pattern in quotes: \"settings/log/*\" = \"max\"";
            document.error(
                pattern.span(),
                format!("`{}` is a table, not a rule", pattern.get_ref()),
                help,
            );
            continue;
        }
        let Some(name) = document.text(pattern.get_ref(), item) else {
            continue;
        };
        match Compose::from_name(&name) {
            Some(compose) => {
                rules.push((pattern.get_ref().to_string(), compose));
                hive.rules_at.push(document.at(pattern.span()));
            }
            None => {
                let known = ["fail", "priority", "union", "intersection", "max", "min"];
                let near = closest(&name, known).map(|near| format!("did you mean `{near}`? "));
                let help = format!("{}Known: {}", near.unwrap_or_default(), known.join(", "));
                document.error(item.span(), format!("`{name}` is no rule of composition"), help);
            }
        }
    }
    hive.policy = Policy::new(rules);
}
