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
pub(crate) const OWN: char = '@';

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
