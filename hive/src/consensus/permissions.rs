//! Who may write where.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::encoding::{Decode, DecodeError, Encode, Sink, Source};
use crate::id::AgentId;
use crate::key::{Key, KeyError};

/// Which agents may write under which prefixes. Reading is free.
///
/// ```
/// use queenright::consensus::Permissions;
/// use queenright::{AgentId, Key};
///
/// let permissions = Permissions::nobody().allow("builder", "artifacts")?.allow("admin", "")?;
/// let built = Key::new("artifacts/main.o")?;
/// assert!(permissions.may_write(&AgentId::from("builder"), &built));
/// assert!(permissions.may_write(&AgentId::from("admin"), &built));
/// assert!(!permissions.may_write(&AgentId::from("stranger"), &built));
/// # Ok::<(), queenright::KeyError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// The prefixes of each agent that may write anything; `None`: everybody may write everything. Shared by all
    /// rounds that were decided under it.
    granted: Option<Arc<BTreeMap<AgentId, BTreeSet<Key>>>>,
}

impl Permissions {
    /// Everybody may write everything.
    pub fn everybody() -> Self {
        Permissions::default()
    }

    /// Nobody may write anything, until it is [allowed](Self::allow).
    pub fn nobody() -> Self {
        Permissions { granted: Some(Arc::default()) }
    }

    /// Lets an agent write the key `prefix` and all keys below it; the empty prefix stands for everything. Of
    /// [`everybody`](Self::everybody) it changes nothing.
    ///
    /// # Errors
    /// [`KeyError`] if the text is neither a key nor empty.
    pub fn allow(mut self, agent: impl Into<AgentId>, prefix: &str) -> Result<Self, KeyError> {
        let prefix = if prefix.is_empty() { Key::root() } else { Key::new(prefix)? };
        if let Some(granted) = &mut self.granted {
            Arc::make_mut(granted).entry(agent.into()).or_default().insert(prefix);
        }
        Ok(self)
    }

    /// Whether nobody is kept from anything.
    #[inline]
    pub(crate) fn is_anybody_allowed(&self) -> bool {
        self.granted.is_none()
    }

    /// Whether an agent may write a key. O(log agents + depth of the key × log its prefixes).
    pub fn may_write(&self, agent: &AgentId, key: &Key) -> bool {
        let Some(granted) = &self.granted else { return true };
        granted.get(agent).is_some_and(|prefixes| {
            let above = key.as_str().rmatch_indices('/').map(|(at, _)| &key.as_str()[..at]);
            let mut names = std::iter::once(key.as_str()).chain(above).chain(std::iter::once(""));
            names.any(|name| prefixes.contains(name))
        })
    }
}

impl Encode for Permissions {
    fn encode(&self, sink: &mut Sink) {
        self.granted.encode(sink);
    }
}

impl Decode for Permissions {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        let grant = |source: &mut Source<'_>| {
            let agent = AgentId::decode(source)?;
            let prefixes = source.ascending(Key::decode, |prefix| prefix)?;
            Ok((agent, BTreeSet::from_iter(prefixes)))
        };
        let granted = source.tagged("neither everybody nor some", |tag, source| {
            Ok(match tag {
                0 => Some(None),
                1 => Some(Some(source.ascending(grant, |(agent, _)| agent)?)),
                _ => None,
            })
        })?;
        Ok(Permissions { granted: granted.map(|grants| Arc::new(BTreeMap::from_iter(grants))) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_ends_at_whole_segments() {
        let permissions = Permissions::nobody().allow("a", "x/y").unwrap();
        let may = |agent: &str, key: &str| {
            permissions.may_write(&AgentId::from(agent), &Key::new(key).unwrap())
        };
        assert!(may("a", "x/y") && may("a", "x/y/z/w"));
        assert!(!may("a", "x") && !may("a", "x/yy") && !may("a", "x/yy/z") && !may("b", "x/y"));
    }

    #[test]
    fn everybody_stays_everybody() {
        let permissions = Permissions::everybody().allow("a", "x").unwrap();
        assert!(permissions.may_write(&AgentId::from("b"), &Key::new("y").unwrap()));
        assert!(Permissions::nobody().allow("a", "x//y").is_err());
    }
}
