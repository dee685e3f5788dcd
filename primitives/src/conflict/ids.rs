//! From the ids of keys that have one to their numbers in an index.

use std::hash::BuildHasher;

/// An open table of ids and numbers in one word each, of which at most half are taken. Where an id stands is told by multiply-shift
/// hashing under a random odd factor (Dietzfelbinger et al., *A reliable randomized algorithm for the closest-pair problem*, 1997): two
/// different ids meet no more often than by chance, whoever has chosen them.
#[derive(Clone, Debug)]
pub(super) struct Ids {
    /// The id above, the number and one below; 0 if it is vacant. All beyond `used` are 0.
    places: Vec<u64>,
    /// So many are searched: a power of two.
    used: usize,
    /// How many are taken.
    taken: usize,
    factor: u64,
}

impl Ids {
    pub(super) fn with_hasher(hasher: &impl BuildHasher) -> Self {
        let factor = hasher.hash_one(0_u64) | 1;
        Ids { places: vec![0; 4], used: 4, taken: 0, factor }
    }

    /// Forgets all, and keeps the memory. 16 bytes are written for each that was there, 32 at most.
    pub(super) fn clear(&mut self) {
        if self.taken > 0 {
            self.places[..self.used].fill(0);
            self.used = places_for(self.taken);
            self.taken = 0;
        }
    }

    /// Makes room for so many more.
    #[inline]
    pub(super) fn reserve(&mut self, more: usize) {
        if self.taken + more > self.used / 4 {
            self.grow(places_for(self.taken + more));
        }
    }

    #[cold]
    fn grow(&mut self, used: usize) {
        let all: Vec<u64> =
            self.places[..self.used].iter().copied().filter(|place| *place != 0).collect();
        self.places[..self.used].fill(0);
        if used > self.places.len() {
            // What is new is zero, and need not be written.
            self.places = vec![0; used];
        }
        self.used = used;
        for place in all {
            let mut at = self.home((place >> 32) as u32);
            while self.places[at] != 0 {
                at = (at + 1) & (used - 1);
            }
            self.places[at] = place;
        }
    }

    /// Gives back the memory beyond what so many need, or as many as there are.
    pub(super) fn shrink_to(&mut self, ids: usize) {
        self.places.truncate(places_for(ids).max(self.used));
        self.places.shrink_to_fit();
    }

    /// The number of an id; if it has none, it is given `new`. There must be [room](Self::reserve) for it.
    #[inline]
    pub(super) fn number_of(&mut self, id: u32, new: u32) -> u32 {
        let mut at = self.home(id);
        loop {
            let place = self.places[at];
            if place == 0 {
                self.places[at] = u64::from(id) << 32 | u64::from(new + 1);
                self.taken += 1;
                return new;
            }
            if (place >> 32) as u32 == id {
                return place as u32 - 1;
            }
            at = (at + 1) & (self.used - 1);
        }
    }

    #[inline]
    fn home(&self, id: u32) -> usize {
        (u64::from(id).wrapping_mul(self.factor) >> (64 - self.used.trailing_zeros())) as usize
    }
}

fn places_for(ids: usize) -> usize {
    (ids * 4).next_power_of_two().max(4)
}
