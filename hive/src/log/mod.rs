//! The commit log: one record per round, each chained to the one before.

mod memory;
mod record;

pub(crate) use memory::MemoryLog;
pub use record::Record;
