//! `pack.toml`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use semver::Version;
use toml::Spanned;
use toml::de::DeValue;

use super::diagnostic::closest;
use super::document::{Document, Item, Table, in_order};
use super::pack::{Ask, Condition, Origin, Pack, Wish};
use crate::key::Key;
use crate::op::Op;
use crate::requirement::Requirement;
use crate::value::Value;
use queenright_primitives::schedule::Class;

const SECTIONS: [&str; 8] =
    ["pack", "requires", "namespaces", "classes", "properties", "settings", "contribute", "when"];
const PACK_FIELDS: [&str; 4] = ["name", "version", "priority", "description"];
const OPERATORS: [&str; 6] = ["add", "max", "min", "union", "agree", "constrain"];
const OPERATION_FIELDS: [&str; 8] =
    ["add", "at-least", "at-most", "max", "min", "union", "agree", "constrain"];
/// The prefixes that conditions and base values may name.
pub(crate) const STATE_SECTIONS: [&str; 8] =
    ["packs", "namespaces", "classes", "properties", "settings", "packages", "deps", "features"];

/// Reads one `pack.toml`. Faults are left in the document; `None` when the head is missing or unusable.
pub(crate) fn read(document: &mut Document<'_>, file: &str) -> Option<Pack> {
    let root = document.parse()?;
    document.only(&root, "section", &SECTIONS);
    let mut pack = head(document, &root, file);
    let mut wishes = Vec::new();
    for (name, item) in in_order(&root) {
        let section = name.get_ref().as_ref();
        match section {
            "requires" => requires(document, item, &mut wishes),
            "namespaces" => named(document, item, section, &mut wishes, iri),
            "classes" | "properties" => named(document, item, section, &mut wishes, definition),
            "settings" => settings(document, item, &mut wishes),
            "contribute" => contribute(document, item, &mut wishes),
            "when" => {
                let conditions = conditions(document, item);
                if let Some(pack) = &mut pack {
                    pack.conditions = conditions;
                }
            }
            _ => {}
        }
    }
    asked_once(document, &wishes);
    let mut pack = pack?;
    pack.wishes.extend(wishes);
    Some(pack)
}

/// One pack asks for a key once: two of its own wishes could only agree by chance.
fn asked_once(document: &mut Document<'_>, wishes: &[Wish]) {
    let mut first: BTreeMap<&Key, &Wish> = BTreeMap::new();
    for wish in wishes {
        if let Some(earlier) = first.insert(wish.key(), wish) {
            let message = format!("`{}` is asked for twice, first at {}", wish.key(), earlier.at);
            document.error_at(wish.at, message, "keep one of the two");
        }
    }
}

fn head(document: &mut Document<'_>, root: &Table<'_>, file: &str) -> Option<Pack> {
    let Some(item) = root.get("pack") else {
        let help = "add `[pack]` with `name = \"…\"` and `version = \"1.0.0\"`";
        document.error(0..0, "there is no `[pack]` section", help);
        return None;
    };
    let table = document.table("pack", item)?;
    document.only(table, "field", &PACK_FIELDS);
    let mut field =
        |name: &str| Some((document.text(name, table.get(name)?)?, table.get(name)?.span()));
    let (name, version, priority, description) =
        (field("name"), field("version"), field("priority"), field("description"));
    for (required, found) in [("name", table.get("name")), ("version", table.get("version"))] {
        if found.is_none() {
            let help = format!("add `{required} = \"…\"` below `[pack]`");
            document.error(item.span(), format!("`[pack]` has no `{required}`"), help);
        }
    }
    let class = match &priority {
        None => Some(Class::Normal),
        Some((text, span)) => match text.parse() {
            Ok(class) => Some(class),
            Err(_) => {
                let message = format!("`{text}` is no priority");
                document.error(
                    span.clone(),
                    message,
                    "use critical, high, normal, low or background",
                );
                None
            }
        },
    };
    let name = name.filter(|(name, span)| is_name(document, name, span));
    document.name = name.as_ref().map(|(name, _)| name.clone());
    let version = version.and_then(|(text, span)| self::version(document, &text, span));
    let (name, name_span) = name?;
    Some(Pack {
        at: document.at(name_span),
        id: name.as_str().into(),
        name,
        version: version?,
        class: class?,
        description: description.map(|(text, _)| text).unwrap_or_default(),
        origin: Origin::Pack,
        file: file.to_owned(),
        wishes: Vec::new(),
        spanning: Vec::new(),
        conditions: Vec::new(),
    })
}

fn is_name(document: &mut Document<'_>, name: &str, span: &Range<usize>) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    let good = !name.is_empty()
        && name.len() <= 100
        && name.chars().all(allowed)
        && ![crate::state::BASE_AGENT, crate::hive::TRANSACT_AGENT].contains(&name);
    if !good {
        let message = format!(
            "`{}` cannot name a pack",
            name.chars().take(40).collect::<String>().escape_debug()
        );
        let help =
            "use 1 to 100 letters, digits, `-`, `_` and `.`; `base` and `transact` are reserved";
        document.error(span.clone(), message, help);
    }
    good
}

pub(crate) fn version(
    document: &mut Document<'_>,
    text: &str,
    span: Range<usize>,
) -> Option<Version> {
    match Version::parse(text) {
        Ok(version) => Some(version),
        Err(error) => {
            let message = format!("`{}` is no version: {error}", text.escape_debug());
            document.error(span, message, "write three numbers as semver asks, such as \"1.4.0\"");
            None
        }
    }
}

pub(crate) fn requirement(
    document: &mut Document<'_>,
    text: &str,
    span: Range<usize>,
) -> Option<Requirement> {
    match Requirement::parse(text) {
        Ok(requirement) if requirement.is_empty() => {
            let message = format!("no version satisfies `{}`", text.escape_debug());
            document.error(
                span,
                message,
                "widen the requirement: its own parts exclude each other",
            );
            None
        }
        Ok(requirement) => Some(requirement),
        Err(error) => {
            let message = format!("`{}` is no version requirement: {error}", text.escape_debug());
            document.error(
                span,
                message,
                "write one as in Cargo, such as \"^1.4\" or \">=1.2, <2\"",
            );
            None
        }
    }
}

fn requires(document: &mut Document<'_>, item: &Item<'_>, wishes: &mut Vec<Wish>) {
    let Some(table) = document.table("requires", item) else {
        return;
    };
    for (name, item) in in_order(table) {
        let Some(text) = document.text(name.get_ref(), item) else {
            continue;
        };
        let requirement = requirement(document, &text, item.span());
        let key = document.key(name.span(), &format!("packs/{}", name.get_ref()));
        if let (Some(requirement), Some(key)) = (requirement, key) {
            let at = document.at(name.span());
            wishes.push(Wish { at, asks: vec![(key, Ask::Op(Op::constrain(requirement)))] });
        }
    }
}

/// A section of names and definitions, without nesting.
fn named(
    document: &mut Document<'_>,
    item: &Item<'_>,
    section: &str,
    wishes: &mut Vec<Wish>,
    read: impl Fn(&mut Document<'_>, &str, &Item<'_>) -> Option<Value>,
) {
    let Some(table) = document.table(section, item) else {
        return;
    };
    for (name, item) in in_order(table) {
        let key = document.key(name.span(), &format!("{section}/{}", name.get_ref()));
        let value = read(document, name.get_ref(), item);
        if let (Some(key), Some(value)) = (key, value) {
            let at = document.at(name.span());
            wishes.push(Wish { at, asks: vec![(key, Ask::Value(value))] });
        }
    }
}

/// An absolute IRI, checked as far as a typing error would show (RFC 3987: a scheme, and no forbidden character).
fn iri(document: &mut Document<'_>, name: &str, item: &Item<'_>) -> Option<Value> {
    let text = document.text(name, item)?;
    let scheme = text.split_once(':').map(|(scheme, _)| scheme).unwrap_or_default();
    let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let forbidden = |c: char| c.is_control() || c.is_whitespace() || "<>\"{}|\\^`".contains(c);
    if scheme_ok && !text.contains(forbidden) {
        return Some(text.into());
    }
    let message = format!("`{}` is no absolute IRI", text.escape_debug());
    document.error(item.span(), message, "write one such as \"https://example.org/shop#\"");
    None
}

fn definition(document: &mut Document<'_>, name: &str, item: &Item<'_>) -> Option<Value> {
    match item.get_ref() {
        DeValue::String(_) | DeValue::Table(_) => document.value(name, item),
        _ => {
            document.wrong_type(item, name, "text in quotes, or a table of fields");
            None
        }
    }
}

/// Visits the leaves of nested tables with their path. A table is a leaf if `leaf` says so.
fn leaves<'t, 'd>(
    table: &'t Table<'d>,
    path: &str,
    leaf: &impl Fn(&Table<'d>) -> bool,
    visit: &mut impl FnMut(Range<usize>, String, &'t Item<'d>),
) {
    for (name, item) in in_order(table) {
        let path = match path {
            "" => name.get_ref().to_string(),
            _ => format!("{path}/{}", name.get_ref()),
        };
        match item.get_ref() {
            DeValue::Table(inner) if !leaf(inner) => leaves(inner, &path, leaf, visit),
            _ => visit(name.span(), path, item),
        }
    }
}

fn settings(document: &mut Document<'_>, item: &Item<'_>, wishes: &mut Vec<Wish>) {
    let Some(table) = document.table("settings", item) else {
        return;
    };
    leaves(table, "settings", &|_| false, &mut |span, path, item| {
        let key = document.key(span.clone(), &path);
        let value = document.value(&path, item);
        if let (Some(key), Some(value)) = (key, value) {
            let at = document.at(span);
            wishes.push(Wish { at, asks: vec![(key, Ask::Value(value))] });
        }
    });
}

fn contribute(document: &mut Document<'_>, item: &Item<'_>, wishes: &mut Vec<Wish>) {
    let Some(table) = document.table("contribute", item) else {
        return;
    };
    let is_field =
        |name: &Spanned<Cow<'_, str>>| OPERATION_FIELDS.contains(&name.get_ref().as_ref());
    let is_operation = |table: &Table<'_>| {
        table.is_empty()
            || table.iter().any(|(name, item)| {
                // `pool.max = { add = 1 }` is the key `pool/max`, not a `max`.
                let below = item.get_ref().as_table();
                OPERATION_FIELDS.contains(&name.get_ref().as_ref())
                    && !below.is_some_and(|table| table.keys().any(is_field))
            })
    };
    leaves(table, "settings", &is_operation, &mut |span, path, item| {
        let key = document.key(span.clone(), &path);
        let op = operation(document, &path, item);
        if let (Some(key), Some(op)) = (key, op) {
            let at = document.at(span);
            wishes.push(Wish { at, asks: with_bounds(key, op) });
        }
    });
}

/// A bound holds for later rounds too: it is kept beside the sum, where other packs' agents look it up.
fn with_bounds(key: Key, op: Op) -> Vec<(Key, Ask)> {
    let mut asks = vec![(key.clone(), Ask::Op(op.clone()))];
    if let Op::Add { at_least, at_most, .. } = op {
        let bounds = [
            at_least.map(|bound| ("at-least", Op::Max(bound.into()))),
            at_most.map(|bound| ("at-most", Op::Min(bound.into()))),
        ];
        for (name, op) in bounds.into_iter().flatten() {
            // A key just below the longest possible one has no room for its bounds; it keeps them for its round.
            asks.extend(bound_key(&key, name).map(|key| (key, Ask::Op(op))));
        }
    }
    asks
}

/// Where the bound of a setting is kept.
pub(crate) fn bound_key(key: &Key, name: &str) -> Option<Key> {
    let setting = key.as_str().strip_prefix("settings/")?;
    Key::new(format!("bounds/{setting}/{name}")).ok()
}

fn operation(document: &mut Document<'_>, path: &str, item: &Item<'_>) -> Option<Op> {
    let DeValue::Table(table) = item.get_ref() else {
        let misspelt = path.rsplit_once('/').filter(|(above, _)| above.contains('/'));
        match misspelt.and_then(|(_, word)| Some((word, closest(word, OPERATION_FIELDS)?))) {
            Some((word, near)) => document.error(
                item.span(),
                format!("`{word}` is no operator"),
                format!("did you mean `{near}`?"),
            ),
            None => {
                document.wrong_type(item, path, "an operation such as { add = 1 } or { max = 30 }")
            }
        }
        return None;
    };
    document.only(table, "field of an operation", &OPERATION_FIELDS);
    let named: Vec<_> = in_order(table)
        .into_iter()
        .filter(|(name, _)| OPERATORS.contains(&name.get_ref().as_ref()))
        .collect();
    let [(operator, item)] = named[..] else {
        let message = format!("`{path}` needs exactly one operator, and has {}", named.len());
        document.error(item.span(), message, "use one of add, max, min, union, agree, constrain");
        return None;
    };
    let mut bound = |name: &str| match table.get(name) {
        None => Some(None),
        Some(item) => document.integer(name, item).map(Some),
    };
    let (at_least, at_most) = (bound("at-least"), bound("at-most"));
    let (at_least, at_most) = (at_least?, at_most?);
    let operator = operator.get_ref().as_ref();
    if operator != "add" && (at_least.is_some() || at_most.is_some()) {
        let message = format!("`at-least` and `at-most` go with `add`, not with `{operator}`");
        document.error(item.span(), message, "remove the bounds, or use `add`");
        return None;
    }
    Some(match operator {
        "add" => {
            let by = document.integer("add", item)?;
            if at_least.zip(at_most).is_some_and(|(least, most)| least > most) {
                document.error(
                    item.span(),
                    "`at-least` is above `at-most`",
                    "swap them, or widen one",
                );
                return None;
            }
            Op::Add { by, at_least, at_most }
        }
        "max" => Op::Max(document.value("max", item)?),
        "min" => Op::Min(document.value("min", item)?),
        "agree" => Op::Agree(document.value("agree", item)?),
        "union" => match document.value("union", item)?.elements() {
            Some(elements) => Op::Union(elements.into()),
            None => {
                document.wrong_type(item, "union", "a list, such as [\"a\", \"b\"]");
                return None;
            }
        },
        _ => {
            let text = document.text("constrain", item)?;
            Op::constrain(requirement(document, &text, item.span())?)
        }
    })
}

fn conditions(document: &mut Document<'_>, item: &Item<'_>) -> Vec<Condition> {
    let mut conditions = Vec::new();
    let Some(table) = document.table("when", item) else {
        return conditions;
    };
    leaves(table, "", &|_| false, &mut |span, path, item| {
        if let Some((key, value)) = state_entry(document, span.clone(), &path, item) {
            let at = document.at(span);
            conditions.push(Condition { at, key, value });
        }
    });
    conditions
}

/// The leaves of a table of full keys and values, such as `[base]`.
pub(crate) fn state_entries(document: &mut Document<'_>, table: &Table<'_>) -> Vec<(Key, Value)> {
    let mut entries = Vec::new();
    leaves(table, "", &|_| false, &mut |span, path, item| {
        entries.extend(state_entry(document, span, &path, item));
    });
    entries
}

/// A full key with a value, as the state holds them: requirements where the state has requirements.
fn state_entry(
    document: &mut Document<'_>,
    span: Range<usize>,
    path: &str,
    item: &Item<'_>,
) -> Option<(Key, Value)> {
    let section = path.split('/').next().unwrap_or_default();
    if !STATE_SECTIONS.contains(&section) || section == path {
        let help = match closest(section, STATE_SECTIONS).filter(|_| section != path) {
            Some(near) => format!("did you mean `{near}{}`?", &path[section.len()..]),
            None => format!(
                "write a full key, such as `settings/{path}`; the sections are {}",
                STATE_SECTIONS.join(", ")
            ),
        };
        document.error(span, format!("`{path}` names no key of the state"), help);
        return None;
    }
    let key = document.key(span, path)?;
    let value = match section {
        "packs" | "deps" => {
            let text = document.text(path, item)?;
            // A bare version, as `[pack]` writes it, means exactly that version.
            match Version::parse(&text) {
                Ok(version) => Value::from(Requirement::exact(&version)),
                Err(_) => Value::from(requirement(document, &text, item.span())?),
            }
        }
        "packages" | "features" => {
            let value = document.value(path, item)?;
            let elements = value.elements().unwrap_or_else(|| [value].into());
            Value::Set(elements.into())
        }
        _ => document.value(path, item)?,
    };
    Some((key, value))
}
