//! From the ids of keys that have one to their numbers in an index.

use std::hash::BuildHasher;

/// An open table, of which few places are taken: a search that has to look twice is one that the processor has guessed wrong. Where an id
/// stands is told by multiply-shift hashing under a random odd factor (Dietzfelbinger et al., *A reliable randomized algorithm for the
/// closest-pair problem*, 1997): two different ids meet no more often than by chance, whoever has chosen them.
#[derive(Clone, Debug)]
pub(super) struct Ids {
    /// The place of an id in `held` and one; 0 if it is vacant. All beyond `used` are 0.
    places: Vec<u32>,
    /// So many are searched: a power of two.
    used: usize,
    /// How many bits of a product are not looked at.
    shift: u32,
    factor: u64,
    /// The ids, and their numbers.
    held: Vec<(u32, u32)>,
}

impl Ids {
    pub(super) fn with_hasher(hasher: &impl BuildHasher) -> Self {
        let factor = hasher.hash_one(0_u64) | 1;
        let used = places_for(0);
        Ids { places: vec![0; used], used, shift: shift_for(used), factor, held: Vec::new() }
    }

    /// Forgets all, and keeps the memory. As many places are written as were searched.
    pub(super) fn clear(&mut self) {
        if !self.held.is_empty() {
            self.places[..self.used].fill(0);
            self.used = places_for(self.held.len()).min(self.places.len());
            self.shift = shift_for(self.used);
            self.held.clear();
        }
    }

    /// Makes room for so many more.
    #[inline]
    pub(super) fn reserve(&mut self, more: usize) {
        let all = self.held.len() + more;
        if all * each(all) > self.used {
            self.grow(places_for(all));
        }
        self.held.reserve(more);
    }

    #[cold]
    fn grow(&mut self, used: usize) {
        self.places[..self.used].fill(0);
        if used > self.places.len() {
            // What is new is zero, and need not be written.
            self.places = vec![0; used];
        }
        self.used = used;
        self.shift = shift_for(used);
        for (place, (id, _)) in (1..).zip(&self.held) {
            let mut at = self.home(*id);
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
        self.held.shrink_to(ids);
    }

    /// The number of an id; if it has none, it is given `new`. There must be [room](Self::reserve) for it.
    #[inline]
    pub(super) fn number_of(&mut self, id: u32, new: u32) -> u32 {
        match self.find(id) {
            Ok(number) => number,
            Err(vacant) => {
                self.held.push((id, new));
                self.places[vacant] = self.held.len() as u32;
                new
            }
        }
    }

    /// The number of an id, if it has one.
    #[inline]
    pub(super) fn get(&self, id: u32) -> Option<u32> {
        self.find(id).ok()
    }

    /// The number of an id, or the place where it would stand.
    #[inline]
    fn find(&self, id: u32) -> Result<u32, usize> {
        let places = &self.places[..self.used];
        let mut at = self.home(id);
        loop {
            match places[at] as usize {
                0 => return Err(at),
                place => match self.held[place - 1] {
                    (held, number) if held == id => return Ok(number),
                    _ => at = (at + 1) & (places.len() - 1),
                },
            }
        }
    }

    #[inline]
    fn home(&self, id: u32) -> usize {
        (u64::from(id).wrapping_mul(self.factor) >> self.shift) as usize
    }
}

fn places_for(ids: usize) -> usize {
    (ids * each(ids)).next_power_of_two().max(8)
}

/// How many places there are for each of so many ids, at least: fewer where more would leave the cache.
#[inline]
fn each(ids: usize) -> usize {
    match ids {
        0..=4096 => 8,
        4097..=65_536 => 4,
        _ => 2,
    }
}

fn shift_for(places: usize) -> u32 {
    u64::BITS - places.trailing_zeros()
}

#[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        /// So many that come after one another, or far apart.
        Number(u32, u32, bool),
        Clear,
        Shrink(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0u32..2_000, 0u32..6_000, any::<bool>())
                .prop_map(|(from, count, apart)| Step::Number(from, count, apart)),
            2 => Just(Step::Clear),
            1 => (0usize..100).prop_map(Step::Shrink),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn each_id_has_one_number_until_all_are_forgotten(
            steps in prop::collection::vec(step(), 0..12)
        ) {
            let mut ids = Ids::with_hasher(&foldhash::fast::RandomState::default());
            let mut model = HashMap::new();
            for step in steps {
                match step {
                    Step::Number(from, count, apart) => {
                        ids.reserve(count as usize);
                        for id in from..from + count {
                            let id = if apart { id << 20 | id } else { id };
                            let new = model.len() as u32;
                            let number = *model.entry(id).or_insert(new);
                            prop_assert_eq!(ids.number_of(id, new), number);
                        }
                    }
                    Step::Clear => {
                        ids.clear();
                        model.clear();
                    }
                    Step::Shrink(most) => ids.shrink_to(most),
                }
                for id in (0..8_000).chain((0..2_000).map(|id| id << 20 | id)) {
                    prop_assert_eq!(ids.get(id), model.get(&id).copied());
                }
            }
        }
    }
}
