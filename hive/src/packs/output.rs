//! The resolved configuration as TOML or JSON.

use serde_json::{Map, Value as Json};

use super::report::Report;
use crate::value::{Number, Value};

/// One JSON value. Sets become lists, requirements text.
pub(crate) fn json(value: &Value) -> Json {
    match value {
        Value::Bool(value) => Json::from(*value),
        Value::Number(Number::Int(value)) => Json::from(*value),
        Value::Number(Number::Float(value)) => Json::from(value.get()),
        Value::Text(text) => Json::from(text.as_ref()),
        Value::List(values) => values.iter().map(json).collect(),
        Value::Set(values) => values.iter().map(json).collect(),
        Value::Map(map) => map
            .iter()
            .map(|(name, value)| (name.to_string(), json(value)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Requirement(requirement) => Json::from(requirement.to_string()),
    }
}

/// The resolved configuration as one JSON object of sections.
pub fn to_json(report: &Report) -> Json {
    let section = |entries: &std::collections::BTreeMap<String, Value>| -> Json {
        entries.iter().map(|(key, value)| (key.clone(), json(value))).collect::<Map<_, _>>().into()
    };
    report
        .resolved
        .iter()
        .map(|(name, entries)| (name.clone(), section(entries)))
        .collect::<Map<_, _>>()
        .into()
}

/// The resolved configuration as TOML: a table per section, keys quoted where TOML wants it.
pub fn to_toml(report: &Report) -> String {
    let mut out = String::new();
    for (section, entries) in &report.resolved {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&format!("[{section}]\n"));
        for (key, value) in entries {
            out.push_str(&format!("{} = {}\n", toml_key(key), toml_value(value)));
        }
    }
    out
}

fn toml_key(key: &str) -> String {
    let bare =
        !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare { key.to_owned() } else { toml_text(key) }
}

/// A basic string with everything escaped that TOML does not allow bare.
fn toml_text(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => out.push_str(&format!("\\U{:08X}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn toml_value(value: &Value) -> String {
    let list = |values: &mut dyn Iterator<Item = &Value>| {
        format!("[{}]", values.map(toml_value).collect::<Vec<_>>().join(", "))
    };
    match value {
        Value::Text(text) => toml_text(text),
        Value::Requirement(requirement) => toml_text(&requirement.to_string()),
        Value::List(values) => list(&mut values.iter()),
        Value::Set(values) => list(&mut values.iter()),
        Value::Map(map) => {
            let fields = map
                .iter()
                .map(|(name, value)| format!("{} = {}", toml_key(name), toml_value(value)));
            format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn awkward_text_survives_toml() {
        let text = "a\"b\\c\n\td\u{1}é\u{7f}";
        let line = format!("{} = {}", toml_key(text), toml_value(&Value::from(text)));
        let parsed = toml::de::DeTable::parse(&line).unwrap().into_inner();
        let (key, value) = parsed.iter().next().unwrap();
        assert_eq!(key.get_ref(), text);
        assert_eq!(value.get_ref().as_str(), Some(text));
    }

    #[test]
    fn numbers_stay_what_they_are() {
        let floats = [0.1, 1e300, -2.0, 5e-324];
        for float in floats {
            let text = toml_value(&Value::float(float).unwrap());
            let line = format!("x = {text}");
            let parsed = toml::de::DeTable::parse(&line).unwrap().into_inner();
            let value = &parsed["x"];
            assert_eq!(value.get_ref().as_float().unwrap().as_str().parse::<f64>().unwrap(), float);
        }
    }
}
