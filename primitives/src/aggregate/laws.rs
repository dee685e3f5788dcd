//! Do your operators keep the laws that [`Commutative`] asks for?
//!
//! ```
//! use queenright_primitives::aggregate::{Commutative, laws};
//!
//! #[derive(Clone, Debug, PartialEq)]
//! struct Last(u32); // "the later one wins" depends on the order
//! impl Commutative for Last {
//!     type Refusal = std::convert::Infallible;
//!     fn merge(&mut self, other: &Self) -> Result<(), Self::Refusal> {
//!         self.0 = other.0;
//!         Ok(())
//!     }
//! }
//! let broken = laws::check(&[Last(1), Last(2)], laws::Claims::default()).unwrap_err();
//! assert_eq!(broken.law, laws::Law::Commutative);
//! ```

use std::fmt;

use super::Commutative;

/// What an operator promises beyond commuting and associating.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claims {
    /// Merging a change with itself changes nothing.
    pub idempotent: bool,
}

/// A law of [`Commutative`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// `a ⊕ b = b ⊕ a`, or both are refused.
    Commutative,
    /// `(a ⊕ b) ⊕ c = a ⊕ (b ⊕ c)`, or both are refused.
    Associative,
    /// `a ⊕ a = a`.
    Idempotent,
    /// A refused merge leaves its target unchanged.
    RefusalLeavesNoTrace,
}

/// A law that an operator breaks, with the samples that show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which one.
    pub law: Law,
    /// The samples, by `Debug`.
    pub samples: Vec<String>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the operator is not {:?} for {}", self.law, self.samples.join(", "))
    }
}

impl std::error::Error for Broken {}

/// Tests every pair and triple of `samples`. O(n³) merges: a dozen well-chosen samples are enough.
///
/// # Errors
/// The first law found [`Broken`].
pub fn check<C>(samples: &[C], claims: Claims) -> Result<(), Broken>
where
    C: Commutative + Clone + PartialEq + fmt::Debug,
{
    for a in samples {
        if claims.idempotent && merged(a, a).as_ref() != Some(a) {
            return Err(broken(Law::Idempotent, &[a]));
        }
        for b in samples {
            let ab = merged(a, b);
            if ab != merged(b, a) {
                return Err(broken(Law::Commutative, &[a, b]));
            }
            if ab.is_none() && leaves_a_trace(a, b) {
                return Err(broken(Law::RefusalLeavesNoTrace, &[a, b]));
            }
            for c in samples {
                let left = ab.as_ref().and_then(|ab| merged(ab, c));
                let right = merged(b, c).and_then(|bc| merged(a, &bc));
                if left != right {
                    return Err(broken(Law::Associative, &[a, b, c]));
                }
            }
        }
    }
    Ok(())
}

fn merged<C: Commutative + Clone>(a: &C, b: &C) -> Option<C> {
    let mut a = a.clone();
    a.merge(b).ok()?;
    Some(a)
}

fn leaves_a_trace<C: Commutative + Clone + PartialEq>(a: &C, b: &C) -> bool {
    let mut target = a.clone();
    target.merge(b).is_err() && target != *a
}

fn broken<C: fmt::Debug>(law: Law, samples: &[&C]) -> Broken {
    Broken { law, samples: samples.iter().map(|sample| format!("{sample:?}")).collect() }
}
