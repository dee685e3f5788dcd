//! Priority classes.

use std::fmt;

/// How urgent a task is. The order of the variants is the order of service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Goes before everything else.
    Critical,
    /// Before normal work.
    High,
    /// What most work is.
    #[default]
    Normal,
    /// After normal work.
    Low,
    /// When there is nothing else to do.
    Background,
}

impl Class {
    /// All classes, most urgent first.
    pub const ALL: [Class; 5] =
        [Class::Critical, Class::High, Class::Normal, Class::Low, Class::Background];

    /// 0 for the most urgent class, 4 for the least.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The class `steps` above this one, at most [`Class::Critical`].
    #[must_use]
    pub fn raised(self, steps: u64) -> Class {
        let up = usize::try_from(steps).unwrap_or(usize::MAX);
        Class::ALL[self.index().saturating_sub(up)]
    }

    /// Its name in lower case, as manifests write it.
    pub const fn name(self) -> &'static str {
        match self {
            Class::Critical => "critical",
            Class::High => "high",
            Class::Normal => "normal",
            Class::Low => "low",
            Class::Background => "background",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no [`Class`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownClass(pub String);

impl fmt::Display for UnknownClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no priority: use critical, high, normal, low or background", self.0)
    }
}

impl std::error::Error for UnknownClass {}

impl std::str::FromStr for Class {
    type Err = UnknownClass;
    fn from_str(name: &str) -> Result<Self, UnknownClass> {
        Class::ALL
            .into_iter()
            .find(|class| class.name() == name)
            .ok_or_else(|| UnknownClass(name.to_owned()))
    }
}
