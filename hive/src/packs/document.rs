//! One TOML file with positions, and the faults found in it.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Severity, closest};
use super::pack::Location;
use crate::key::Key;
use crate::value::Value;

/// The largest manifest that is read.
pub(crate) const MAX_FILE_BYTES: u64 = 4 << 20;

/// A key or value with its place.
pub(crate) type Table<'d> = DeTable<'d>;
pub(crate) type Item<'d> = Spanned<DeValue<'d>>;

/// Reads a whole file as UTF-8, within the limit.
pub(crate) fn read(path: &Path, shown: &str) -> Result<String, Diagnostic> {
    let io = |error: std::io::Error| {
        let help = match error.kind() {
            std::io::ErrorKind::NotFound => "check the spelling of the path",
            _ => "make it readable, or leave its folder out",
        };
        Diagnostic::file(shown, format!("cannot be read: {error}"), help)
    };
    let meta = path.metadata().map_err(io)?;
    if !meta.is_file() {
        let help = "name a file here, or remove this";
        return Err(Diagnostic::file(shown, "is not a regular file", help));
    }
    let too_large = || {
        let help = "split it; a manifest of this size is most likely not one";
        Diagnostic::file(shown, format!("is larger than {} MiB", MAX_FILE_BYTES >> 20), help)
    };
    if meta.len() > MAX_FILE_BYTES {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    // The file may grow between the two calls, so the limit holds for what is read as well.
    File::open(path).map_err(io)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(too_large());
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()])
            .into_owned();
        let mut diagnostic = Diagnostic::file(
            shown,
            "is not UTF-8 from here on",
            "save it as UTF-8; TOML allows nothing else",
        );
        diagnostic.at = Some(place(&good, good.len()));
        diagnostic
    })
}

/// Line and column of a byte offset, both from 1, in characters.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (line, before[start..].chars().count() + 1)
}

/// A text being read, and what was found wrong with it so far.
pub(crate) struct Document<'d> {
    file: &'d str,
    text: &'d str,
    pub(crate) faults: Vec<Diagnostic>,
    /// The name the pack gives itself, known even if the rest of the file is unusable.
    pub(crate) name: Option<String>,
}

impl<'d> Document<'d> {
    pub(crate) fn new(file: &'d str, text: &'d str) -> Self {
        Document { file, text, faults: Vec::new(), name: None }
    }

    /// The root table; `None` after syntax errors, which are all recorded.
    pub(crate) fn parse(&mut self) -> Option<Table<'d>> {
        let (root, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let span = error.span().unwrap_or(0..0);
            let message = format!("not valid TOML: {}", error.message().replace('\n', "; "));
            self.error(span, message, "correct the syntax at this place");
        }
        errors.is_empty().then(|| root.into_inner())
    }

    pub(crate) fn at(&self, span: Range<usize>) -> Location {
        let (line, column) = place(self.text, span.start);
        Location { line, column }
    }

    pub(crate) fn error(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.error_at(self.at(span), message, help);
    }

    pub(crate) fn error_at(
        &mut self,
        at: Location,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let at = Some((at.line, at.column));
        let file = self.file.to_owned();
        let (message, help) = (message.into(), help.into());
        self.faults.push(Diagnostic { file, at, severity: Severity::Error, message, help });
    }

    /// A value of another type than expected.
    pub(crate) fn wrong_type(&mut self, item: &Item<'_>, name: &str, expected: &str) {
        let found = item.get_ref().type_str();
        self.error(
            item.span(),
            format!("`{name}` is of type {found}, expected {expected}"),
            format!("write {expected}"),
        );
    }

    pub(crate) fn text(&mut self, name: &str, item: &Item<'_>) -> Option<String> {
        let text = item.get_ref().as_str();
        if text.is_none() {
            self.wrong_type(item, name, "text in quotes");
        }
        text.map(str::to_owned)
    }

    pub(crate) fn table<'t, 'i>(
        &mut self,
        name: &str,
        item: &'t Item<'i>,
    ) -> Option<&'t Table<'i>> {
        let table = item.get_ref().as_table();
        if table.is_none() {
            self.wrong_type(item, name, "a table");
        }
        table
    }

    pub(crate) fn integer(&mut self, name: &str, item: &Item<'_>) -> Option<i64> {
        let DeValue::Integer(digits) = item.get_ref() else {
            self.wrong_type(item, name, "a whole number");
            return None;
        };
        let number = i64::from_str_radix(digits.as_str(), digits.radix());
        if number.is_err() {
            let message = format!("`{name}` does not fit 64 bits");
            self.error(item.span(), message, "use a number between -2^63 and 2^63-1");
        }
        number.ok()
    }

    /// A field that the table may not have, with the one that was probably meant.
    pub(crate) fn unknown(
        &mut self,
        span: Range<usize>,
        field: &str,
        within: &str,
        known: &[&str],
    ) {
        let help = match closest(field, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", known.join(", ")),
        };
        self.error(span, format!("unknown {within} `{field}`"), help);
    }

    /// Reports the fields that the table should not have.
    pub(crate) fn only(&mut self, table: &Table<'_>, within: &str, known: &[&str]) {
        for (name, _) in in_order(table) {
            if !known.contains(&name.get_ref().as_ref()) {
                self.unknown(name.span(), name.get_ref(), within, known);
            }
        }
    }

    /// A key of the state, `prefix/rest`.
    pub(crate) fn key(&mut self, span: Range<usize>, path: &str) -> Option<Key> {
        match Key::new(path) {
            Ok(key) => Some(key),
            Err(error) => {
                let help = "use at most 1024 bytes of text in segments, as in `a/b`";
                self.error(span, error.to_string(), help);
                None
            }
        }
    }

    /// Any value; tables become maps.
    pub(crate) fn value(&mut self, name: &str, item: &Item<'_>) -> Option<Value> {
        match item.get_ref() {
            DeValue::String(text) => Some(Value::from(text.as_ref())),
            DeValue::Boolean(value) => Some(Value::from(*value)),
            DeValue::Integer(_) => self.integer(name, item).map(Value::from),
            DeValue::Float(digits) => {
                let value = digits.as_str().parse().ok().and_then(Value::float);
                if value.is_none() {
                    let message = format!("`{name}` is not a finite number");
                    self.error(
                        item.span(),
                        message,
                        "infinities and NaN have no order; use a number or text",
                    );
                }
                value
            }
            DeValue::Array(items) => {
                let values: Vec<_> = items.iter().map(|item| self.value(name, item)).collect();
                values.into_iter().collect::<Option<Vec<_>>>().map(Value::from)
            }
            DeValue::Table(table) => {
                let fields: Vec<_> = in_order(table)
                    .into_iter()
                    .map(|(name, item)| {
                        Some((name.get_ref().as_ref().into(), self.value(name.get_ref(), item)?))
                    })
                    .collect();
                let map = fields.into_iter().collect::<Option<_>>()?;
                Some(Value::Map(std::sync::Arc::new(map)))
            }
            DeValue::Datetime(_) => {
                self.wrong_type(
                    item,
                    name,
                    "text in quotes, a number, a boolean, a list or a table",
                );
                None
            }
        }
    }
}

/// The fields of a table in the order of the file.
pub(crate) fn in_order<'t, 'd>(
    table: &'t Table<'d>,
) -> Vec<(&'t Spanned<std::borrow::Cow<'d, str>>, &'t Item<'d>)> {
    let mut fields: Vec<_> = table.iter().collect();
    fields.sort_by_key(|(name, _)| name.span().start);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters() {
        assert_eq!(place("a\nöb=1", "a\nö".len()), (2, 2));
        assert_eq!(place("", 0), (1, 1));
        assert_eq!(place("ö", 1), (1, 2), "an offset inside a character is still a place");
    }

    #[test]
    fn all_syntax_errors_of_a_file_are_listed() {
        let mut document = Document::new("x.toml", "a = \nb = 1\nc = = 2\n");
        assert!(document.parse().is_none());
        let lines: std::collections::BTreeSet<_> =
            document.faults.iter().map(|fault| fault.at.unwrap().0).collect();
        assert_eq!(lines, [1, 3].into());
    }
}
