//! What a manifest says, whatever its kind.

use std::fmt;
use std::sync::Arc;

use semver::Version;

use crate::key::Key;
use crate::op::Op;
use crate::requirement::Requirement;
use crate::value::Value;
use queenright_primitives::schedule::Class;

/// A place in the pack's file, both from 1, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Location {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Where a pack comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A `pack.toml`: one pack a name.
    Pack,
    /// A `Cargo.toml`: one pack a name and version.
    Cargo,
}

/// One manifest.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Pack {
    /// Names it everywhere: `web` for a pack, `serde 1.0.229` for a Cargo package.
    pub id: Arc<str>,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// Its priority.
    pub class: Class,
    /// What it is, in its own words.
    pub description: String,
    /// The kind of manifest.
    pub origin: Origin,
    /// The file, as it was reached from the path given.
    pub file: String,
    /// Where in it the name stands.
    pub at: Location,
    /// What it asks for.
    pub wishes: Vec<Wish>,
    /// Requirements that several semver-compatible series could meet.
    pub spanning: Vec<Spanning>,
    /// What must hold before it asks for anything.
    pub conditions: Vec<Condition>,
}

/// Things that are granted together or not at all. The first key is what the wish is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// Where the manifest says so.
    pub at: Location,
    /// What is asked, by key.
    pub asks: Vec<(Key, Ask)>,
}

impl Wish {
    /// The key the wish is about.
    pub fn key(&self) -> &Key {
        &self.asks[0].0
    }
}

/// What is asked of one key.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// A value; the composition policy of the key says how it combines with others.
    Value(Value),
    /// One operation, named by the manifest.
    Op(Op),
}

/// A dependency that several semver-compatible series could meet, such as `>=0.52, <0.62`.
#[derive(Clone, Debug, PartialEq)]
pub struct Spanning {
    /// Where the manifest says so.
    pub at: Location,
    /// The package depended on.
    pub name: String,
    /// The whole requirement.
    pub requirement: Requirement,
    /// The features asked for.
    pub features: Vec<Value>,
}

/// A key and the value that it must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// Where the manifest says so.
    pub at: Location,
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Value,
}
