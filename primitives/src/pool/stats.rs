/// What a pool has done so far: [`Pool::stats`](super::Pool::stats).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Takes that were given an idle object.
    pub hits: u64,
    /// Takes for which an object was made.
    pub misses: u64,
    /// Objects that were put back, by a handle or by hand, and kept.
    pub returned: u64,
    /// Objects that were put back and dropped: there was no room, they were not worth keeping, or a hook panicked.
    pub discarded: u64,
}

impl Stats {
    /// The share of takes that were given an idle object; `None` before the first.
    pub fn hit_ratio(&self) -> Option<f64> {
        let takes = self.hits as f64 + self.misses as f64;
        (takes > 0.0).then(|| self.hits as f64 / takes)
    }
}
