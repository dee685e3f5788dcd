//! What is worked on: keys, proposals and transactions, the same for all contenders and in every run.

use std::sync::Arc;

use crate::peers::engine::Transaction;

/// Numbers that look random and are the same in every run (xorshift64).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A sequence; 0 would stay 0.
    pub fn new(seed: u64) -> Random {
        Random(seed | 1)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// The next number below a bound, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }

    /// Whether an event of this many percent happens.
    pub fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }
}

/// How many keys are hot.
pub const HOT: u64 = 16;

/// Proposals of four keys each; `share` in a hundred proposals have one of [`HOT`] hot keys, all other keys are
/// touched once.
pub fn quadruples(proposals: u64, share: u64) -> Vec<[u64; 4]> {
    let mut random = Random::new(0x9E37_79B9_7F4A_7C15);
    let quadruple = |number: u64| {
        let mut keys = std::array::from_fn(|part| {
            (HOT + number * 4 + part as u64).wrapping_mul(0x2545_F491_4F6C_DD1D)
        });
        if random.percent(share) {
            keys[0] = random.below(HOT);
        }
        keys
    };
    (0..proposals).map(quadruple).collect()
}

/// Additions of four amounts a proposal, over 1,024 keys; no proposal names a key twice.
pub fn additions(proposals: u64) -> Vec<(u64, i64)> {
    let mut random = Random::new(0x6A09_E667_F3BC_C908);
    let mut additions: Vec<(u64, i64)> = Vec::new();
    while additions.len() < proposals as usize * 4 {
        let key = random.below(1024);
        let of_proposal = &additions[additions.len() / 4 * 4..];
        if of_proposal.iter().all(|(other, _)| *other != key) {
            additions.push((key, random.below(100) as i64 + 1));
        }
    }
    additions
}

/// Transactions over this many keys; `share` in a hundred of them go to hot keys alone. No transaction writes a key twice.
pub fn transactions(count: u64, keys: u64, share: u64, seed: u64) -> Vec<Transaction> {
    let mut random = Random::new(seed);
    let mut one = || {
        let range = if random.percent(share) { HOT } else { keys };
        let mut place = || random.below(range) as u32;
        let (reads, first) = ([place(), place()], place());
        let second = std::iter::repeat_with(place).find(|other| *other != first).unwrap_or(first);
        Transaction { reads, writes: [first, second] }
    };
    (0..count).map(|_| one()).collect()
}

/// Keys as strings of three segments.
pub fn paths(count: u64) -> Vec<Arc<str>> {
    (0..count).map(|n| format!("crates/{:03}/version-{n:07}", n % 512).into()).collect()
}
