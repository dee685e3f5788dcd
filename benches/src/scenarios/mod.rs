//! What is asked of the contenders, scenario by scenario. Names, sizes and targets are fixed, so that results can be compared over
//! time; a target is never lowered after something was measured.

use queenright_measure::Scenario;

mod aggregation;
mod broadcast;
mod claim;
mod conflict;
mod event;
mod hive;
mod lanes;
mod log;
mod packs;
mod pool;
mod scheduling;
mod snapshot;
mod staging;

pub use hive::{IDLE_AGENTS, SUPERVISED, bytes_of_idle_agents};

/// Every scenario, in the order of the suites.
pub fn all() -> Vec<Scenario> {
    let mut all = Vec::new();
    all.extend(snapshot::scenarios());
    all.extend(staging::scenarios());
    all.extend(aggregation::scenarios());
    all.extend(scheduling::scenarios());
    all.extend(lanes::scenarios());
    all.extend(event::scenarios());
    all.extend(conflict::scenarios());
    all.extend(claim::scenarios());
    all.extend(broadcast::scenarios());
    all.extend(pool::scenarios());
    all.extend(hive::scenarios());
    all.extend(packs::scenarios());
    all.extend(log::scenarios());
    all
}
