//! States.

use std::collections::BTreeMap;

use queenright_primitives::Version;
use queenright_primitives::paged::PagedMap;

use super::{Decode, DecodeError, Encode, Sink, Source, fields};
use crate::key::Key;
use crate::state::{Entry, Removal, State};

fields!(Entry { value, version, writer, operator });

fields!(Removal { version, writer });

/// Without what each version removed, which follows from when each key was.
impl Encode for State {
    fn encode(&self, sink: &mut Sink) {
        self.version.encode(sink);
        self.horizon.encode(sink);
        sink.number(self.removed.len() as u64);
        self.removed.iter().for_each(|removed| removed.encode(sink));
        sink.number(self.entries.len() as u64);
        self.entries.iter().for_each(|entry| entry.encode(sink));
    }
}

/// Refuses what no rounds lead to.
impl Decode for State {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        let (version, horizon) = (Version::decode(source)?, Version::decode(source)?);
        if horizon > version {
            return Err(source.error("a horizon after the version"));
        }
        let mut removals = BTreeMap::<Version, Vec<Key>>::new();
        let removal = |source: &mut Source<'_>| {
            let (key, removal) = <(Key, Removal)>::decode(source)?;
            // Those up to the horizon are forgotten.
            if removal.version <= horizon || removal.version > version {
                return Err(source.error("a removal that is forgotten, or yet to come"));
            }
            removals.entry(removal.version).or_default().push(key.clone());
            Ok((key, removal))
        };
        let removed: PagedMap<Key, Removal> =
            source.ascending(removal, |(key, _)| key)?.into_iter().collect();
        let entry = |source: &mut Source<'_>| {
            let (key, entry) = <(Key, Entry)>::decode(source)?;
            if entry.version > version {
                return Err(source.error("an entry that is yet to come"));
            }
            if !removed.is_empty() && removed.contains_key(&key) {
                return Err(source.error("an entry that is removed"));
            }
            Ok((key, entry))
        };
        let entries = source.ascending(entry, |(key, _)| key)?.into_iter().collect();
        let removals = removals.into_iter().map(|(version, keys)| (version, keys.into())).collect();
        Ok(State { version, horizon, entries, removed, removals })
    }
}
