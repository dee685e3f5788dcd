//! Faults in what the user gave, each at its place.

use std::fmt;

/// Whether something must be mended before anything can be resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is resolved until it is mended.
    Error,
    /// Worth a look.
    Warning,
}

/// What is wrong, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Diagnostic {
    /// The file, as it was reached from the path given.
    pub file: String,
    /// Line and column, both from 1, in characters; `None` when it is about the whole file.
    pub at: Option<(usize, usize)>,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong, and what was expected.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl Diagnostic {
    /// An error about a whole file.
    pub fn file(
        file: impl Into<String>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Diagnostic {
            file: file.into(),
            at: None,
            severity: Severity::Error,
            message: message.into(),
            help: help.into(),
        }
    }

    /// The same as a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }
}

/// `file:line:column: error: message` and an indented line of help.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some((line, column)) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, ": {severity}: {}", self.message)?;
        match self.help.is_empty() {
            true => Ok(()),
            false => write!(f, "\n  help: {}", self.help),
        }
    }
}

impl std::error::Error for Diagnostic {}

/// The candidate that a misspelt word most likely meant.
pub(crate) fn closest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let near = |candidate: &&str| distance(word, candidate) <= (candidate.chars().count() + 1) / 3;
    candidates.into_iter().filter(near).min_by_key(|candidate| distance(word, candidate))
}

/// Levenshtein distance in characters. O(|a| × |b|), so long words are cut.
fn distance(a: &str, b: &str) -> usize {
    const MOST: usize = 64;
    let b: Vec<char> = b.chars().take(MOST).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(MOST).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_word_is_suggested_and_a_far_one_is_not() {
        let known = ["requires", "settings", "when"];
        assert_eq!(closest("setings", known), Some("settings"));
        assert_eq!(closest("require", known), Some("requires"));
        assert_eq!(closest("zebra", known), None);
    }
}
