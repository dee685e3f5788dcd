//! Hierarchical keys.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use queenright_primitives::paged::Slot;
use smol_str::SmolStr;

/// The most bytes a key may have.
pub const MAX_KEY_BYTES: usize = 1024;
/// The most segments a key may have.
pub const MAX_KEY_DEPTH: usize = 32;

/// A path of non-empty segments separated by `/`, such as `settings/server/port`.
///
/// At most 1024 bytes and 32 segments of UTF-8 without control characters. Up to 23 bytes it is copied when it is cloned, beyond that a
/// clone costs a reference count.
///
/// ```
/// use queenright::Key;
/// let key = Key::new("settings/server/port").unwrap();
/// assert!(key.is_under("settings/server"));
/// assert!(Key::new("settings//port").is_err());
/// ```
#[derive(Clone)]
pub struct Key {
    path: SmolStr,
    /// Where a state keeps it, if that was looked for: no part of what it is.
    slot: Slot,
}

impl Key {
    /// Checks and makes a key.
    ///
    /// # Errors
    /// [`KeyError`] says what is wrong with it.
    pub fn new(path: impl AsRef<str>) -> Result<Key, KeyError> {
        let path = path.as_ref();
        check(path)?;
        Ok(Key { path: path.into(), slot: Slot::NONE })
    }

    /// The key `self/rest`.
    ///
    /// # Errors
    /// [`KeyError`] if that is no key.
    pub fn join(&self, rest: impl AsRef<str>) -> Result<Key, KeyError> {
        Key::new(format!("{self}/{}", rest.as_ref()))
    }

    /// The prefix of everything. It names no key, so it only ever stands in read sets.
    pub(crate) const fn root() -> Key {
        Key { path: SmolStr::new_static(""), slot: Slot::NONE }
    }

    /// The key, or the prefix of everything.
    pub(crate) fn prefix(path: &str) -> Result<Key, KeyError> {
        match path {
            "" => Ok(Key::root()),
            _ => Key::new(path),
        }
    }

    /// The path as text.
    #[inline]
    pub fn as_str(&self) -> &str {
        &self.path
    }

    /// Where a state keeps it; of no use for others.
    #[inline]
    pub(crate) fn slot(&self) -> Slot {
        self.slot
    }

    /// Remembers where a state keeps it.
    #[inline]
    pub(crate) fn remember(&mut self, slot: Slot) {
        self.slot = slot;
    }

    /// The segments from the root down.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.path.split('/')
    }

    /// Whether this key equals `prefix` or lies below it. The empty prefix covers everything.
    pub fn is_under(&self, prefix: &str) -> bool {
        match self.path.strip_prefix(prefix) {
            Some(rest) => prefix.is_empty() || rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }
}

fn check(path: &str) -> Result<(), KeyError> {
    let problem = if path.is_empty() {
        "it is empty"
    } else if path.len() > MAX_KEY_BYTES {
        "it is longer than 1024 bytes"
    } else if path.split('/').count() > MAX_KEY_DEPTH {
        "it has more than 32 segments"
    } else if path.split('/').any(str::is_empty) {
        "it has an empty segment: write `a/b`, without a slash at either end or two in a row"
    } else if path.chars().any(char::is_control) {
        "it contains a control character"
    } else {
        return Ok(());
    };
    let shown: String = path.chars().take(60).collect();
    Err(KeyError { key: shown, problem })
}

impl PartialEq for Key {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.slot.is_same(other.slot).unwrap_or_else(|| self.path == other.path)
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.path.cmp(&other.path)
    }
}

/// As that of the path.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.path.hash(state);
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// What is accepted where a key is asked for: a [`Key`], or text that is checked.
pub trait IntoKey {
    /// The key.
    ///
    /// # Errors
    /// [`KeyError`] if the text is no key.
    fn into_key(self) -> Result<Key, KeyError>;
}

impl IntoKey for Key {
    fn into_key(self) -> Result<Key, KeyError> {
        Ok(self)
    }
}

impl IntoKey for &Key {
    fn into_key(self) -> Result<Key, KeyError> {
        Ok(self.clone())
    }
}

impl IntoKey for &str {
    fn into_key(self) -> Result<Key, KeyError> {
        Key::new(self)
    }
}

impl IntoKey for String {
    fn into_key(self) -> Result<Key, KeyError> {
        Key::new(self)
    }
}

/// A text that is no [`Key`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyError {
    /// The text, cut after 60 characters.
    pub key: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no key: {}", self.key.escape_debug(), self.problem)
    }
}

impl std::error::Error for KeyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_at_whole_segments() {
        let key = Key::new("a/bc").unwrap();
        assert!(key.is_under("a") && key.is_under("a/bc") && key.is_under(""));
        assert!(!key.is_under("a/b") && !key.is_under("a/bc/d"));
    }

    #[test]
    fn bad_keys_say_what_is_wrong() {
        for (path, says) in [
            ("", "empty"),
            ("/a", "empty segment"),
            ("a//b", "empty segment"),
            ("a\nb", "control"),
            (&"x".repeat(2000), "longer"),
            (&"x/".repeat(40), "segments"),
        ] {
            let error = Key::new(path).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
