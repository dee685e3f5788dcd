//! Who stands beside whom: one small trait a kind, implemented by ours and by each peer.

pub mod aggregate;
pub mod broadcast;
pub mod claim;
pub mod conflict;
pub mod engine;
pub mod event;
pub mod lanes;
pub mod log;
pub mod map;
pub mod pool;
pub mod queue;
pub mod snapshot;
