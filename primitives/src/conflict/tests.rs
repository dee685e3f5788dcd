use std::hash::{BuildHasherDefault, Hasher};

use proptest::prelude::*;

use super::*;
use crate::proposal::{Hierarchy, Mode, Write};

#[derive(Clone, Debug)]
struct Owned {
    reads: Vec<Read<&'static str>>,
    writes: Vec<Write<&'static str, u8>>,
}

impl Owned {
    fn footprint(&self) -> Footprint<'_, &'static str, u8> {
        Footprint { reads: &self.reads, writes: &self.writes }
    }
}

fn set(key: &'static str) -> Write<&'static str, u8> {
    Write { key, mode: Mode::Exclusive }
}

const KEYS: [&str; 7] = ["a", "a/b", "a/b/c", "a/bc", "d", "d/e", "f"];

fn proposal() -> impl Strategy<Value = Owned> {
    let read = (0..KEYS.len(), any::<bool>()).prop_map(|(key, under)| match under {
        true => Read::Under(KEYS[key]),
        false => Read::Key(KEYS[key]),
    });
    let mode = prop_oneof![Just(Mode::Exclusive), (0u8..2).prop_map(Mode::Commutative)];
    let write = (0..KEYS.len(), mode);
    (prop::collection::vec(read, 0..3), prop::collection::vec(write, 0..3)).prop_map(
        |(reads, mut writes)| {
            writes.sort_by_key(|write| write.0);
            writes.dedup_by_key(|write| write.0);
            let writes =
                writes.into_iter().map(|(key, mode)| Write { key: KEYS[key], mode }).collect();
            Owned { reads, writes }
        },
    )
}

/// The rules again, pair by pair and without an index.
mod oracle {
    use super::*;

    pub(super) fn covers(read: &Read<&str>, key: &str) -> bool {
        match *read {
            Read::Key(k) => k == key,
            Read::Under("") => true,
            Read::Under(p) => key == p || key.strip_prefix(p).is_some_and(|r| r.starts_with('/')),
        }
    }

    fn reads_writes_of(reader: &Owned, writer: &Owned) -> bool {
        reader.reads.iter().any(|read| writer.writes.iter().any(|w| covers(read, w.key)))
    }

    pub(super) fn verdict(accepted: &[&Owned], candidate: &Owned) -> Result<Position, Rule> {
        let ww = accepted.iter().any(|other| {
            other.writes.iter().any(|theirs| {
                candidate
                    .writes
                    .iter()
                    .any(|ours| ours.key == theirs.key && !ours.mode.goes_with(&theirs.mode))
            })
        });
        let raw = accepted.iter().any(|other| reads_writes_of(candidate, other));
        let war = accepted.iter().any(|other| reads_writes_of(other, candidate));
        match (ww, raw, war) {
            (true, _, _) => Err(Rule::WriteWrite),
            (_, true, true) => Err(Rule::ReadWrite),
            (_, true, false) => Ok(Position::Front),
            _ => Ok(Position::Back),
        }
    }
}

/// A key of which some have an id. Whoever asks for the hash of one that has is wrong.
#[derive(Clone, Copy, Debug)]
struct Known {
    path: &'static str,
    id: Option<u32>,
}

impl Known {
    /// Of every other key.
    fn of(path: &'static str) -> Self {
        let place = KEYS.iter().position(|key| *key == path);
        let id = place.filter(|place| place % 2 == 0).map(|place| place as u32 * 1_000_003);
        Known { path, id }
    }
}

impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for Known {}

impl std::hash::Hash for Known {
    fn hash<H: Hasher>(&self, state: &mut H) {
        assert_eq!(self.id, None, "it is found by its id");
        self.path.hash(state);
    }
}

impl Hierarchy for Known {
    fn parent(self) -> Option<Self> {
        self.path.parent().map(|path| Known { path, id: None })
    }
    fn id(self) -> Option<u32> {
        self.id
    }
    fn as_prefix(self) -> Self {
        Known { id: None, ..self }
    }
}

/// What a proposal reads and writes, by keys of which some have ids.
fn known(owned: &Owned) -> (Vec<Read<Known>>, Vec<Write<Known, u8>>) {
    let read = |read: &Read<&'static str>| match read {
        Read::Key(key) => Read::Key(Known::of(key)),
        Read::Under(key) => Read::Under(Known::of(key)),
    };
    let write =
        |write: &Write<&'static str, u8>| Write { key: Known::of(write.key), mode: write.mode };
    (owned.reads.iter().map(read).collect(), owned.writes.iter().map(write).collect())
}

fn named(Clash { with, key, rule }: Clash<Known>) -> Clash<&'static str> {
    Clash { with, key: key.path, rule }
}

/// Sends every key to the same bucket.
#[derive(Default)]
struct Collide;
impl Hasher for Collide {
    fn finish(&self) -> u64 {
        42
    }
    fn write(&mut self, _: &[u8]) {}
}

/// As many cases, or more if the environment asks for more.
fn at_least(cases: u32) -> ProptestConfig {
    let asked = ProptestConfig::default();
    ProptestConfig { cases: asked.cases.max(cases), ..asked }
}

proptest! {
    #![proptest_config(at_least(2000))]

    #[test]
    fn no_conflict_is_missed_and_none_invented(
        batch in prop::collection::vec(proposal(), 0..10)
    ) {
        let mut index = ConflictIndex::new();
        let mut accepted: Vec<&Owned> = Vec::new();
        for (who, candidate) in batch.iter().enumerate() {
            let expected = oracle::verdict(&accepted, candidate);
            let found = index.try_admit(who, candidate.footprint());
            prop_assert_eq!(found.map_err(|clash| clash.rule), expected);
            if found.is_ok() {
                accepted.push(candidate);
            }
        }
    }

    #[test]
    fn hash_collisions_change_nothing(batch in prop::collection::vec(proposal(), 0..10)) {
        let mut plain = ConflictIndex::new();
        let mut collided = ConflictIndex::with_hasher(BuildHasherDefault::<Collide>::default());
        for (who, candidate) in batch.iter().enumerate() {
            prop_assert_eq!(
                plain.try_admit(who, candidate.footprint()),
                collided.try_admit(who, candidate.footprint())
            );
        }
    }

    /// Of one index for several batches, as it keeps its memory.
    #[test]
    fn ids_change_nothing(
        batches in prop::collection::vec(prop::collection::vec(proposal(), 0..10), 1..4)
    ) {
        let (mut plain, mut with_ids) = (ConflictIndex::new(), ConflictIndex::new());
        for batch in &batches {
            plain.clear();
            with_ids.clear();
            for (who, candidate) in batch.iter().enumerate() {
                let (reads, writes) = known(candidate);
                let found = with_ids.try_admit(who, Footprint { reads: &reads, writes: &writes });
                prop_assert_eq!(plain.try_admit(who, candidate.footprint()), found.map_err(named));
            }
        }
    }

    /// Some by number, some by key, in one index.
    #[test]
    fn numbered_keys_change_nothing(
        batch in prop::collection::vec((proposal(), any::<bool>()), 0..10)
    ) {
        let (mut plain, mut mixed) = (ConflictIndex::new(), ConflictIndex::new());
        let sorted = |owned: &Owned| {
            let (keys, under) = owned.reads.iter().partition(|read| read.as_key().is_some());
            let (keys, under): (Vec<_>, Vec<_>) = (keys, under);
            Owned { reads: [keys, under].concat(), writes: owned.writes.clone() }
        };
        let number = |(owned, _): &(Owned, bool)| {
            let mut number = |keys: Vec<_>| {
                let mut numbers = Vec::new();
                mixed.number(&keys, &mut numbers);
                numbers
            };
            let reads = number(owned.reads.iter().filter_map(Read::as_key).copied().map(Known::of).collect());
            let writes = number(owned.writes.iter().map(|write| Known::of(write.key)).collect());
            let modes = owned.writes.iter().map(|write| write.mode);
            (reads, writes.into_iter().zip(modes).collect())
        };
        let numbers: Vec<(Vec<_>, Vec<_>)> = batch.iter().map(number).collect();
        for (who, ((owned, is_numbered), (reads, writes))) in batch.iter().zip(&numbers).enumerate() {
            let owned = sorted(owned);
            let prefixes = owned.reads.iter().filter(|read| read.as_key().is_none());
            let under: Vec<_> = prefixes.map(|read| Known::of(read.key())).collect();
            let candidate = Numbered { reads, under: &under, writes };
            let (known_reads, known_writes) = known(&owned);
            let known = Footprint { reads: &known_reads, writes: &known_writes };
            let found = match is_numbered {
                true => mixed.check_numbered(candidate),
                false => mixed.try_admit(who, known),
            };
            if *is_numbered && found.is_ok() {
                mixed.admit_numbered(who, candidate);
            }
            prop_assert_eq!(plain.try_admit(who, owned.footprint()), found.map_err(named));
        }
    }

    /// Runs the accepted one after the other and checks that nobody reads what another wrote before.
    #[test]
    fn the_serial_order_explains_every_read(batch in prop::collection::vec(proposal(), 0..10)) {
        let subset = greedy(batch.iter().map(Owned::footprint));
        for (place, &reader) in subset.serial.iter().enumerate() {
            for &earlier in subset.serial.iter().take(place) {
                let alone = Owned { reads: batch[reader].reads.clone(), writes: vec![] };
                let verdict = oracle::verdict(&[&batch[earlier]], &alone);
                prop_assert_eq!(verdict, Ok(Position::Back), "{} reads after {}", reader, earlier);
            }
        }
    }

    #[test]
    fn the_subset_is_maximal(batch in prop::collection::vec(proposal(), 0..10)) {
        let subset = greedy(batch.iter().map(Owned::footprint));
        let mut index = ConflictIndex::new();
        let mut places: Vec<usize> = subset.serial.iter().copied().collect();
        places.sort_unstable();
        for &who in &places {
            index.admit(who, batch[who].footprint());
        }
        for (who, _) in &subset.rejected {
            prop_assert!(index.try_admit(*who, batch[*who].footprint()).is_err());
        }
    }
}

/// Which two meet where, by looking at each two.
fn meetings(batch: &[Owned]) -> Vec<Pair<&'static str>> {
    let mut all = Vec::new();
    for (first, one) in batch.iter().enumerate() {
        for (second, other) in batch.iter().enumerate() {
            for ours in &one.writes {
                let writes = other.writes.iter();
                let clashes = |theirs: &&Write<&str, u8>| {
                    ours.key == theirs.key && !ours.mode.goes_with(&theirs.mode)
                };
                if first < second {
                    let pair = |theirs: &Write<&'static str, u8>| Pair {
                        first,
                        second,
                        key: theirs.key,
                        meeting: Meeting::Writes,
                    };
                    all.extend(writes.filter(clashes).map(pair));
                }
                for read in other.reads.iter().filter(|_| first != second) {
                    let meeting = match read {
                        Read::Key(_) => Meeting::WriteAndRead,
                        Read::Under(_) => Meeting::WriteUnderRead,
                    };
                    if oracle::covers(read, ours.key) {
                        all.push(Pair { first, second, key: *read.key(), meeting });
                    }
                }
            }
        }
    }
    all
}

fn sorted(mut pairs: Vec<Pair<&'static str>>) -> Vec<Pair<&'static str>> {
    pairs.sort_by_key(|pair| (pair.first, pair.second, pair.key, pair.meeting as u8));
    pairs
}

proptest! {
    #![proptest_config(at_least(1000))]

    #[test]
    fn every_two_that_meet_are_found_once_at_each_key(
        batches in prop::collection::vec(prop::collection::vec(proposal(), 0..8), 1..4)
    ) {
        // One finder for all, as it keeps its memory.
        let mut finder = ConflictGroups::new();
        for batch in &batches {
            let footprints: Vec<_> = batch.iter().map(Owned::footprint).collect();
            let expected = sorted(meetings(batch));
            let found = finder.find(&footprints);
            prop_assert_eq!(sorted(found.pairs().collect()), expected.clone());
            // Groups are where pairs are, with all who read or write there.
            let mut places: Vec<_> = found.groups().map(|it| (*it.key(), it.is_prefix())).collect();
            let mut of_pairs: Vec<_> = expected
                .iter()
                .map(|pair| (pair.key, pair.meeting == Meeting::WriteUnderRead))
                .collect();
            places.sort_unstable();
            of_pairs.sort_unstable();
            of_pairs.dedup();
            prop_assert_eq!(places, of_pairs);
            for group in found.groups() {
                let read = match group.is_prefix() {
                    true => Read::Under(*group.key()),
                    false => Read::Key(*group.key()),
                };
                for (who, proposal) in batch.iter().enumerate() {
                    let mine = |it: &Member<u8>| it.proposal == who;
                    let reads = group.members().filter(|it| mine(it) && it.write.is_none()).count();
                    let writes = group.members().filter(|it| mine(it) && it.write.is_some()).count();
                    let reads_there = proposal.reads.iter().filter(|it| **it == read).count();
                    let covered = proposal.writes.iter().filter(|it| oracle::covers(&read, it.key));
                    prop_assert_eq!((reads, writes), (reads_there, covered.count()));
                }
            }
        }
    }
}

#[test]
fn all_pairs_of_a_large_group_need_not_be_looked_at() {
    // All add up, but one.
    let add = [Write { key: 7_u64, mode: Mode::Commutative(()) }];
    let set = [Write { key: 7_u64, mode: Mode::Exclusive }];
    let mut batch = vec![Footprint { reads: &[], writes: &add }; 100_000];
    batch[500].writes = &set;
    let mut finder = ConflictGroups::new();
    let found = finder.find(&batch);
    let pairs = found.pairs().count();
    assert_eq!(pairs, 99_999);
    batch.iter_mut().for_each(|it| it.writes = &set);
    let found = finder.find(&batch);
    assert_eq!(found.pairs().take(10).count(), 10);
    assert_eq!(found.groups().next().unwrap().members().count(), 100_000);
}

#[test]
fn a_loser_blocks_nobody() {
    let batch = [
        Owned { reads: vec![], writes: vec![set("a")] },
        Owned { reads: vec![], writes: vec![set("a"), set("d")] },
        Owned { reads: vec![], writes: vec![set("d")] },
    ];
    let subset = greedy(batch.iter().map(Owned::footprint));
    assert_eq!(subset.serial, [0, 2]);
    assert_eq!(subset.rejected[0].1, Clash { with: 0, key: "a", rule: Rule::WriteWrite });
}

/// R{a}W{b}, R{b}W{c}, R{c}W{a}: each pair is fine alone, all three together are a cycle.
#[test]
fn a_three_way_read_cycle_loses_one() {
    let step = |read, write| Owned { reads: vec![Read::Key(read)], writes: vec![set(write)] };
    let batch = [step("a", "d"), step("d", "f"), step("f", "a")];
    let subset = greedy(batch.iter().map(Owned::footprint));
    assert_eq!(subset.rejected.len(), 1);
    assert_eq!(subset.rejected[0].1.rule, Rule::ReadWrite);
}

#[test]
fn a_prefix_read_sees_creation_below_but_not_beside() {
    let mut index = ConflictIndex::<&str, u8>::new();
    let scan = [Read::Under("a/b")];
    index.admit(0, Footprint { reads: &scan, writes: &[set("d")] });
    let reads = [Read::Key("d")];
    let below = index.try_admit(1, Footprint { reads: &reads, writes: &[set("a/b/new")] });
    assert_eq!(below.unwrap_err().rule, Rule::ReadWrite);
    let beside = index.try_admit(1, Footprint { reads: &reads, writes: &[set("a/bc")] });
    assert_eq!(beside, Ok(Position::Front));
}
