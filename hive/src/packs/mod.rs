//! Packs: manifests that contribute to one configuration, and their resolution by a hive.
//!
//! A pack is a `pack.toml` or a real `Cargo.toml`. [`load()`](load()) finds and reads them, with every fault at its
//! file, line and column; [`resolve()`](resolve()) gives each pack an analyser agent, lets a hive settle them, and
//! reports what was agreed and what conflicts. The whole path is deterministic: same packs and seed, same result.
//!
//! ```no_run
//! use queenright::packs::{self, Options};
//!
//! let loaded = packs::load(&["hive/examples/packs".into()], None).map_err(|faults| faults[0].to_string())?;
//! let resolution = packs::resolve(loaded, &Options::default())?;
//! println!("{} conflicts", resolution.report.conflicts.len());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where things stand in the state
//! | prefix | holds | written by |
//! |---|---|---|
//! | `packs/NAME` | the requirement left for that pack | its own version, and `[requires]` of others |
//! | `namespaces/PREFIX`, `classes/NAME`, `properties/NAME` | the definition | the section of that name |
//! | `settings/KEY` | the setting | `[settings]` and `[contribute]` |
//! | `bounds/KEY/at-least`, `bounds/KEY/at-most` | the tightest bounds of `add` | `[contribute]` |
//! | `packages/NAME` | the versions found | Cargo manifests |
//! | `deps/NAME/SERIES`, `features/NAME/SERIES` | requirement and features for that semver-compatible series | Cargo manifests |
//! | `ranks/KEY`, `phase` | bookkeeping: the highest priority behind a key; which wave is on | the resolution itself |
//! | `inputs` | only with a log: digests of the packs, the rules and the seed with which it was begun | the resolution itself |

mod analyze;
mod cargo;
mod conflicts;
mod diagnostic;
mod document;
mod explain;
mod find;
mod hivefile;
mod load;
mod logged;
mod manifest;
mod output;
mod pack;
mod policy;
mod report;
mod resolve;

pub use diagnostic::{Diagnostic, Severity};
pub use explain::{Explanation, Step, explain};
pub use hivefile::HiveFile;
pub use load::{Loaded, load, parse_cargo_manifest, parse_pack_manifest};
pub use output::{to_json, to_toml};
pub use pack::{Ask, Condition, Location, Origin, Pack, Spanning, Wish};
pub use policy::{Compose, Policy};
pub use report::{Conflict, Inactive, Kind, Report, Series, Winners};
pub use resolve::{Options, Resolution, ResolveError, resolve, resolve_logged, resolve_with};
