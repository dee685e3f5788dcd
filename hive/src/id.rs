//! Names of agents and of intents.

use std::fmt;
use std::sync::Arc;

use smol_str::SmolStr;

macro_rules! name {
    (from $name:ident: $($text:ty),*) => {
        $(impl From<$text> for $name {
            fn from(name: $text) -> Self {
                $name(name.into())
            }
        })*
    };
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(SmolStr);

        impl $name {
            /// The name itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        name!(from $name: &str, &String, String, Box<str>, Arc<str>);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

name! {
    /// Who proposes.
    AgentId
}

/// How the ids begin that a hive gives itself, to transactions and to the runs of its agents.
const OWN: char = '@';

/// Who gives itself ids. The same name may be that of several, one after the other.
#[derive(Clone, Copy)]
pub(crate) enum Own {
    /// A transaction, or an agent that runs in waves.
    InWaves = '#' as isize,
    /// An agent that lives.
    Living = ':' as isize,
}

/// The id of an intent, within a term of a log: it never comes again, not after a restart either.
pub(crate) fn own_id(kind: Own, name: &str, term: u64, number: u64) -> ProposalId {
    let kind = kind as u8 as char;
    match term {
        0 => format!("{OWN}{name}{kind}{number}"),
        _ => format!("{OWN}{name}{kind}{term}.{number}"),
    }
    .into()
}

impl ProposalId {
    /// Whether a hive gave it: nobody else may.
    pub(crate) fn is_of_a_hive(&self) -> bool {
        self.as_str().starts_with(OWN)
    }
}

name! {
    /// An intent: what one agent wants to achieve once. The idempotency key of all its attempts.
    ProposalId
}
