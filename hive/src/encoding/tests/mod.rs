use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use queenright_primitives::Version;
use queenright_primitives::aggregate::OutOfBounds;
use queenright_primitives::claim::{FencingToken, Incarnation};
use queenright_primitives::schedule::Class;

use super::source::MAX_DEPTH;
use super::*;
use crate::consensus::{
    Ballots, Intents, Permissions, QuorumRule, RoundInput, Tally, Threshold, Tie, Verdicts, Vote,
};
use crate::id::AgentId;
use crate::key::Key;
use crate::log::Record;
use crate::op::{Op, Operator, Refusal};
use crate::outcome::{Fence, Outcome, Rule, Winner};
use crate::proposal::{Precondition, Proposal, Read};
use crate::requirement::Requirement;
use crate::sets::ReadSet;
use crate::state::{Snapshot, State};
use crate::value::{MAX_VALUE_DEPTH, Value};

mod strategies;

pub(crate) use strategies::proposal as any_proposal;
use strategies::*;

/// What happens to bytes on their way.
#[derive(Clone, Debug)]
pub(crate) enum Damage {
    Flip(prop::sample::Index, u8),
    Put(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Cut(prop::sample::Index),
    Move(prop::sample::Index, prop::sample::Index, usize),
}

pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>;
    let byte = || prop_oneof![3 => 0u8..12, 1 => 126u8..130, 1 => any::<u8>()];
    prop_oneof![
        4 => (at(), 0u8..8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        4 => (at(), byte()).prop_map(|(at, byte)| Damage::Put(at, byte)),
        2 => (at(), byte()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        2 => at().prop_map(Damage::Remove),
        1 => at().prop_map(Damage::Cut),
        1 => (at(), at(), 1usize..9).prop_map(|(from, to, len)| Damage::Move(from, to, len)),
    ]
}

impl Damage {
    pub(crate) fn to(&self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        let len = bytes.len();
        match *self {
            _ if len == 0 => {}
            Damage::Flip(at, bit) => bytes[at.index(len)] ^= 1 << bit,
            Damage::Put(at, byte) => bytes[at.index(len)] = byte,
            Damage::Insert(at, byte) => bytes.insert(at.index(len + 1), byte),
            Damage::Remove(at) => drop(bytes.remove(at.index(len))),
            Damage::Cut(at) => bytes.truncate(at.index(len)),
            Damage::Move(from, to, most) => {
                let from = from.index(len);
                let moved: Vec<u8> = bytes.drain(from..len.min(from + most)).collect();
                let to = to.index(bytes.len() + 1);
                bytes.splice(to..to, moved);
            }
        }
        bytes
    }
}

/// Whatever the bytes are: they are refused, or they are the encoding of what they are read as.
pub(crate) fn are_read_strictly<T: Encode + Decode>(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(value) = decoded::<T>(bytes) {
        prop_assert_eq!(hex(&encoded(&value)), hex(bytes));
    }
    Ok(())
}

/// A value is read back from its bytes, and from no part of them.
fn is_kept<T: Encode + Decode>(value: &T, damage: &[Damage]) -> Result<T, TestCaseError> {
    let bytes = encoded(value);
    let again = decoded::<T>(&bytes);
    prop_assert!(again.is_ok(), "{:?}: {}", again.err(), hex(&bytes));
    prop_assert_eq!(digest(value), Digest::of(&bytes));
    let longer = [bytes.as_slice(), &[0]].concat();
    prop_assert_eq!(decoded::<T>(&longer).err().map(|error| error.offset), Some(bytes.len()));
    for len in (0..bytes.len()).step_by(1 + bytes.len() / 64) {
        prop_assert!(decoded::<T>(&bytes[..len]).is_err(), "{len} bytes of {}", hex(&bytes));
    }
    let mut damaged = bytes.clone();
    for damage in damage {
        damaged = damage.to(&damaged);
        are_read_strictly::<T>(&damage.to(&bytes))?;
        are_read_strictly::<T>(&damaged)?;
    }
    let again = again.unwrap();
    prop_assert_eq!(hex(&encoded(&again)), hex(&bytes));
    Ok(again)
}

fn is_the_same<T>(value: &T, damage: &[Damage]) -> Result<(), TestCaseError>
where
    T: Encode + Decode + PartialEq + Debug,
{
    prop_assert_eq!(&is_kept(value, damage)?, value);
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

proptest! {
    #[test]
    fn numbers_and_names_are_kept(
        number in number(),
        integer in integer(),
        long in any::<i128>(),
        key in key(),
        damage in prop::collection::vec(damage(), 8),
    ) {
        is_the_same(&number, &damage)?;
        is_the_same(&(number as u32), &damage)?;
        is_the_same(&(number as u32 as usize), &damage)?;
        is_the_same(&integer, &damage)?;
        is_the_same(&long, &damage)?;
        is_the_same(&Some(integer), &damage)?;
        is_the_same(&BTreeSet::from([key.clone()]), &damage)?;
        is_the_same(&BTreeMap::from([(key, number % 2 == 0)]), &damage)?;
    }

    #[test]
    fn values_are_kept(value in value(), damage in prop::collection::vec(damage(), 16)) {
        is_the_same(&value, &damage)?;
    }

    #[test]
    fn proposals_are_kept(
        proposal in any_proposal(),
        rule in rule(),
        damage in prop::collection::vec(damage(), 32),
    ) {
        is_the_same(&proposal, &damage)?;
        is_the_same(&rule, &damage)?;
    }

    #[test]
    fn outcomes_are_kept(outcome in outcome(), damage in prop::collection::vec(damage(), 16)) {
        is_the_same(&outcome, &damage)?;
    }

    #[test]
    fn inputs_are_kept(input in input(), damage in prop::collection::vec(damage(), 32)) {
        is_the_same(&input, &damage)?;
    }

    #[test]
    fn records_are_kept(record in record(), damage in prop::collection::vec(damage(), 32)) {
        is_the_same(&record, &damage)?;
        let Record { previous, input, opened, votes, batch, verdicts, digest } = record.clone();
        let (same, bytes) = Record::with_bytes(previous, input, (opened, votes), batch, verdicts);
        prop_assert_eq!(&bytes, &record.to_bytes());
        prop_assert_eq!(digest, Digest::of(&bytes));
        prop_assert_eq!(same, record);
    }

    #[test]
    fn states_are_kept(state in state(), damage in prop::collection::vec(damage(), 32)) {
        let again = is_kept(&state, &damage)?;
        prop_assert_eq!(&again.entries, &state.entries);
        prop_assert_eq!(&again.removed, &state.removed);
        prop_assert_eq!(&again.removals, &state.removals);
    }

    #[test]
    fn any_bytes_are_read_strictly(
        bytes in prop::collection::vec(prop_oneof![4 => 0u8..10, 1 => any::<u8>()], 0..200),
    ) {
        are_read_strictly::<Value>(&bytes)?;
        are_read_strictly::<Proposal>(&bytes)?;
        are_read_strictly::<Outcome>(&bytes)?;
        are_read_strictly::<QuorumRule>(&bytes)?;
        are_read_strictly::<State>(&bytes)?;
        are_read_strictly::<Intents>(&bytes)?;
        are_read_strictly::<Ballots>(&bytes)?;
        // Behind the digest.
        are_read_strictly::<Record>(&[&[0; 32], bytes.as_slice()].concat())?;
    }
}

/// The bytes as hexadecimal digits, a space between bytes being optional.
fn bytes(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        digits.chars().filter_map(|digit| digit.to_digit(16)).map(|it| it as u8).collect();
    digits.chunks(2).map(|two| two[0] << 4 | two[1]).collect()
}

#[test]
fn bytes_that_are_no_encoding_are_refused() {
    fn refused<T: Decode + Debug>(digits: &str, offset: usize, says: &str) {
        let error = decoded::<T>(&bytes(digits)).unwrap_err();
        assert_eq!(error.offset, offset, "{digits}: {error}");
        let text = error.to_string();
        assert!(text.starts_with(&format!("at byte {offset}: ")), "{text}");
        assert!(text.contains(says), "{digits}: {text} should say {says}");
    }
    refused::<u64>("", 0, "too early");
    refused::<u64>("80", 1, "too early");
    refused::<u64>("80 00", 0, "byte too many");
    refused::<u64>("ff ff ff ff ff ff ff ff ff 02", 0, "64 bits");
    refused::<u64>("ff ff ff ff ff ff ff ff ff 81 00", 0, "64 bits");
    refused::<u64>("00 00", 1, "more than one value");
    refused::<u32>("80 80 80 80 10", 0, "32 bits");
    refused::<bool>("02", 0, "neither");
    refused::<Option<u64>>("02 00", 0, "neither");
    refused::<String>("05 61", 0, "beyond the end");
    refused::<String>("02 61 ff", 2, "UTF-8");
    refused::<Key>("03 61 2f 2f", 0, "neither a key");
    refused::<Read<Key>>("02 01 2f", 1, "prefix");
    refused::<Read<Key>>("03 00", 0, "read");
    refused::<ReadSet>("02 01 01 62 01 01 61", 4, "out of order");
    refused::<ReadSet>("02 01 01 61 01 01 61", 4, "out of order");
    refused::<Value>("00", 0, "kind of value");
    refused::<Value>("06 02 02 02 02 02", 4, "out of order");
    refused::<Value>("03 00 00 00 00 00 00 00 80", 1, "minus zero");
    refused::<Value>("03 00 00 00 00 00 00 f0 7f", 1, "not finite");
    refused::<Requirement>("02 5e 31", 0, "displayed");
    refused::<Requirement>("01 78", 0, "requirement");
    refused::<Precondition>("00 01 61", 0, "precondition");
    // No member, a weight of 0, a chair who is no member.
    refused::<QuorumRule>("00 01 00 01 00 00", 0, "no rule");
    refused::<QuorumRule>("01 01 61 00 01 00 01 00 00", 0, "no rule");
    refused::<QuorumRule>("01 01 61 01 01 00 03 01 62 00 00", 0, "no rule");
    refused::<Threshold>("05", 0, "threshold");
    refused::<Tie>("00", 0, "tie");
    refused::<Permissions>("01 01 01 61 02 01 62 01 61", 7, "out of order");
    // A horizon after the version, a forgotten removal, one to come, an entry to come, and one that is removed.
    refused::<State>("01 02 00 00", 2, "horizon");
    refused::<State>("05 02 01 01 61 02 01 78 00", 8, "forgotten");
    refused::<State>("05 02 01 01 61 06 01 78 00", 8, "to come");
    refused::<State>("05 02 00 01 01 61 01 01 06 01 78 01", 12, "to come");
    refused::<State>("05 02 01 01 61 03 01 78 01 01 61 01 01 03 01 78 01", 17, "removed");
    // Of round 1, where those before 2 are forgotten; in both tables.
    refused::<Intents>("00 02 01 01 61 01 00 00 00", 8, "forgotten");
    refused::<Intents>("00 01 01 01 61 01 00 00 01 01 61 01 00 00", 14, "later");
}

#[test]
fn values_are_nested_so_deep_and_no_deeper() {
    const _: () = assert!(MAX_DEPTH == 2 * MAX_VALUE_DEPTH);
    let nested = |levels: usize| (1..levels).fold(Value::Bool(true), |value, _| vec![value].into());
    let deepest = nested(MAX_DEPTH);
    assert_eq!(decoded(&encoded(&deepest)), Ok(deepest));
    let error = decoded::<Value>(&encoded(&nested(MAX_DEPTH + 1))).unwrap_err();
    assert_eq!((error.offset, error.what), (2 * MAX_DEPTH, "a value that is nested too deep"));
    assert!(decoded::<Value>(&[5, 1].repeat(1 << 20)).is_err());
    // What stands beside each other is not nested.
    let wide = Value::from(vec![nested(3); 300]);
    assert_eq!(decoded(&encoded(&wide)), Ok(wide));
}

#[test]
fn lengths_are_not_trusted() {
    let mut sink = Sink::new();
    assert!(decoded::<String>(&encoded(&u64::MAX)).is_err());
    assert!(decoded::<Vec<Proposal>>(&encoded(&u64::MAX)).is_err());
    assert!(decoded::<Value>(&bytes("06 ffffffffffffffffff01")).is_err());
    // So many proposals as there are bytes would be some hundred times the memory.
    let claimed = [encoded(&1000_u64), vec![0; 1000]].concat();
    let mut source = Source::new(&claimed);
    assert_eq!(source.number(), Ok(1000));
    assert!(source.room::<Proposal>(1000).capacity() * size_of::<Proposal>() <= claimed.len());
    assert!(decoded::<Vec<Proposal>>(&claimed).is_err());
    assert_eq!(sink.number(127).finish(), Digest::of(&[127]));
}

/// The format does not change: bytes of today are read for ever.
#[test]
fn the_format_is_what_it_was() {
    fn is<T: Encode + Decode + PartialEq + Debug>(value: &T, digits: &str) {
        assert_eq!(hex(&encoded(value)), digits.replace(' ', ""), "{value:?}");
        assert_eq!(decoded::<T>(&bytes(digits)).as_ref(), Ok(value));
    }
    let key = |path: &str| Key::new(path).unwrap();
    is(&0_u64, "00");
    is(&300_u64, "ac02");
    is(&u64::MAX, "ffffffffffffffffff01");
    is(&-1_i64, "01");
    is(&i64::MAX, "feffffffffffffffff01");
    is(&Value::from(true), "01 01");
    is(&Value::from(2), "02 04");
    is(&Value::float(1.5).unwrap(), "03 000000000000f83f");
    is(&Value::from("hé"), "04 03 68c3a9");
    is(&Value::from(vec![1.into(), "x".into()]), "05 02 0202 040178");
    is(&Value::set([2.into(), 1.into()]), "06 02 0202 0204");
    let map = BTreeMap::from([(Arc::from("b"), 1.into()), (Arc::from("a"), false.into())]);
    is(&Value::Map(Arc::new(map)), "07 02 0161 0100 0162 0202");
    is(&Value::from(Requirement::parse("^1").unwrap()), "08 06 5e312e302e30");
    is(&Op::Add { by: 3, at_least: None, at_most: Some(9) }, "03 06 00 0112");
    let empty = Snapshot::from(State::base([]));
    let proposal = Proposal::on(&empty, "ada", "p1")
        .read(Read::Under(Key::root()))
        .read(Read::Key(key("a/b")))
        .require(Precondition::Exists(key("c")))
        .write("n", Op::Remove)
        .unwrap()
        .deadline(200);
    let written =
        "027031 00 03616461 00 00 00 02 0103612f62 0200 01 020163 01 016e02 02 01c801 00 00";
    is(&proposal, written);
    let outcomes = vec![Outcome::Committed { version: Version(1), order: 0 }];
    let (accepted, serial, pending) = (vec![0], vec![0], Vec::new());
    let verdicts = Verdicts { outcomes, accepted, serial, pending };
    let input = RoundInput { now: 5, seed: 7, ..RoundInput::new(Version(1)) };
    let record = Record::new(Digest([1; 32]), input, Default::default(), vec![proposal], verdicts);
    let limits = "808004 80808008 80808002 808040";
    let input = format!("01 01 05 07 {limits} 08 8008 00 00 00 00 00 00 00");
    let verdicts = "01 010100 0100 0100 00";
    is(&record, &format!("{} {input} 00 00 01 {written} {verdicts}", "01".repeat(32)));
    let digest = "97bdc5619a2a8351fcc63c8639659980148e4c4646e4dee62118ee4ab485b9a6";
    assert_eq!(record.digest.to_string(), digest);
}

/// Every tag there is, each in the shortest value that has it.
#[test]
fn tags_are_what_they_were() {
    /// Each begins with its tag; those of a type without fields are nothing else.
    fn are<T: Encode + Decode + PartialEq + Debug>(values: &[T], digits: &str) {
        let written: Vec<String> = values.iter().map(|value| hex(&encoded(value))).collect();
        assert_eq!(written.join(" "), digits, "{values:?}");
        let again = digits.split(' ').map(|digits| decoded(&bytes(digits)));
        assert!(again.zip(values).all(|(again, value)| again.as_ref() == Ok(value)));
    }
    let key = || Key::new("a").unwrap();
    let one = || Value::from(1);
    let set = || Arc::new(BTreeSet::new());
    are(
        &[
            Op::Set(one()),
            Op::Remove,
            Op::add(1),
            Op::Max(one()),
            Op::Min(one()),
            Op::Union(set()),
            Op::Intersect(set()),
            Op::Agree(one()),
            Op::constrain(Requirement::any()),
        ],
        "010202 02 03020000 040202 050202 0600 0700 080202 09012a",
    );
    are(&[Read::Key(key()), Read::Under(key())], "010161 020161");
    are(
        &[
            Precondition::Equals(key(), one()),
            Precondition::Exists(key()),
            Precondition::Absent(key()),
        ],
        "0101610202 020161 030161",
    );
    are(&Class::ALL, "00 01 02 03 04");
    let fraction = Threshold::Fraction { of: 2, among: 3 };
    are(
        &[Threshold::Majority, Threshold::Unanimous, fraction, Threshold::Weight(7)],
        "01 02 030203 0407",
    );
    are(&[Tie::Fails, Tie::Passes, Tie::Chair("a".into())], "01 02 030161");
    are(&[Vote::Yes, Vote::No, Vote::Abstain, Vote::Veto], "01 02 03 04");
    let bound = Refusal::Bound(OutOfBounds { reached: -2, bound: -1 });
    let kind = Refusal::Kind { operator: Operator::Add, found: "text" };
    are(
        &[
            Rule::StaleRead,
            Rule::WriteWrite,
            Rule::ReadWrite,
            Rule::Refused(Refusal::Disagree),
            Rule::Refused(Refusal::Empty),
            Rule::Refused(bound),
            Rule::Refused(kind),
            Rule::Refused(Refusal::Operators(Operator::Max, Operator::Min)),
        ],
        "01 02 03 0401 0402 0403feffffffffffffffffffffffffffffff01 0404030474657874 04050405",
    );
    let (agent, version) = (|| AgentId::from("a"), Version(9));
    let stored = || Winner::Stored { agent: agent(), version };
    are(&[Winner::Accepted { agent: agent(), id: "p".into() }, stored()], "0101610170 02016109");
    let current = FencingToken { incarnation: Incarnation(3), counter: 4 };
    are(
        &[
            Fence::Token { key: key(), current: None },
            Fence::Token { key: key(), current: Some(current) },
            Fence::Since { key: key(), since: version },
            Fence::Incarnation { current: 5 },
        ],
        "01016100 010161010304 02016109 0305",
    );
    let tally = Tally { yes: 1, no: 2, abstained: 3, vetoed: true, needed: 4, of: 6 };
    are(
        &[
            Outcome::Committed { version, order: 1 },
            Outcome::Conflict { with: stored(), key: "a".into(), rule: Rule::StaleRead },
            Outcome::PreconditionFailed { expected: Precondition::Exists(key()), found: None },
            Outcome::TooOld { horizon: version },
            Outcome::Expired,
            Outcome::Cancelled,
            Outcome::Forbidden { key: key() },
            Outcome::StaleClaim { fence: Fence::Incarnation { current: 5 } },
            Outcome::Rejected { tally },
            Outcome::LimitReached { what: "a".into() },
            Outcome::Invalid { reason: "a".into() },
            Outcome::CommitUnknown,
        ],
        "010901 0202016109016101 0302016100 0409 05 06 070161 080305 09010203010406 0a0161 0b0161 0c",
    );
}

/// What is kept of a hive besides its records.
#[test]
fn the_format_of_what_is_remembered_is_what_it_was() {
    fn is<T: Encode + Decode>(digits: &str) {
        let bytes = bytes(digits);
        assert_eq!(decoded::<T>(&bytes).map(|value| encoded(&value)), Ok(bytes));
    }
    // Version 5, horizon 2; `a` removed in 3 by `x`; `b` is 1, added by `y` in 4.
    is::<State>("05 02  01 0161 03 0178  01 0162 0202 04 0179 03");
    // Until 4, horizon 2; `p` committed in 5 as number 0; `q` refused in 3 and 4, on its attempts 0 and 1.
    let content = "01".repeat(32);
    let refused = format!("02 00 03 {content} 05 01 04 {content} 06");
    is::<Intents>(&format!("04 02  01 0170 05 05 00 00  01 0171 04 00 {refused}"));
}
