//! Nothing to see here: this package holds the loom models of `queenright-primitives`, in `tests/`.
//!
//! Its README says how to run them, what they cover and what they cannot see. Without
//! `--cfg queenright_loom` the package is empty and depends on nothing.
