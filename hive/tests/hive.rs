//! One caller and one hive: what is proposed, what is answered, what is kept.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use queenright::consensus::{Limits, RoundPolicy, replay};
use queenright::{
    Hive, HiveError, Key, MAX_VALUE_DEPTH, Op, Operator, Outcome, Precondition, Proposal,
    ProposalId, ProposeError, Read, Record, Refusal, Rule, State, TransactError, Value, Version,
    ViewError,
};

fn key(path: &str) -> Key {
    Key::new(path).unwrap()
}

fn hive() -> Hive {
    Hive::builder().build().unwrap()
}

/// A hive that remembers two rounds only.
fn forgetful() -> Hive {
    Hive::builder().policy(RoundPolicy { window: 2, ..Default::default() }).build().unwrap()
}

/// A first attempt that adds to `n`.
fn adding(hive: &Hive, id: &str, by: i64) -> Proposal {
    Proposal::on(&hive.snapshot(), "me", id).write("n", Op::add(by)).unwrap()
}

fn answer(hive: &Hive, proposal: Proposal) -> Outcome {
    hive.propose(proposal).unwrap().wait()
}

fn set(hive: &Hive, path: &str, value: i64) {
    hive.transact(|view| Ok(view.set(path, value)?)).unwrap();
}

/// Lets rounds pass that touch nothing but `tick`.
fn pass_rounds(hive: &Hive, count: usize) {
    for _ in 0..count {
        hive.transact(|view| Ok(view.write("tick", Op::add(1))?)).unwrap();
    }
}

fn int(hive: &Hive, path: &str) -> Option<i64> {
    hive.snapshot().get(path).and_then(Value::as_int)
}

/// A number within so many lists that it is `levels` deep.
fn nested(levels: usize) -> Value {
    (1..levels).fold(Value::from(1), |inner, _| Value::from(vec![inner]))
}

// Proposals.

#[test]
fn an_answered_proposal_can_be_read() {
    let hive = hive();
    let before = hive.snapshot();
    let outcome = answer(&hive, adding(&hive, "first", 1));
    assert_eq!(outcome, Outcome::Committed { version: Version(1), order: 0 });
    let after = hive.snapshot();
    let entry = after.entry("n").unwrap();
    assert_eq!((&entry.value, entry.version, entry.writer.as_str()), (&1.into(), Version(1), "me"));
    assert_eq!(before.get("n"), None, "a snapshot never changes");
}

#[test]
fn the_base_is_version_zero_and_its_later_entries_count() {
    let base = [(key("k"), Value::from(1)), (key("k"), Value::from(2))];
    let hive = Hive::builder().base(base).build().unwrap();
    assert_eq!((hive.version(), int(&hive, "k")), (Version(0), Some(2)));
    assert!(hive.history().is_empty());
}

#[test]
fn setting_what_is_there_is_no_change() {
    let hive = hive();
    set(&hive, "k", 1);
    let reader = adding(&hive, "reader", 1).read(Read::Key(key("k")));
    set(&hive, "k", 1);
    assert_eq!(hive.version(), Version(2));
    assert_eq!(hive.snapshot().entry("k").unwrap().version, Version(1));
    assert!(answer(&hive, reader).is_committed(), "what it read still holds");
}

#[test]
fn a_ticket_tells_the_same_however_often_it_is_asked() {
    let hive = hive();
    let mut ticket = hive.propose(adding(&hive, "x", 1)).unwrap();
    let told = ticket.wait_timeout(Duration::MAX).unwrap();
    assert!(told.is_committed());
    assert_eq!(ticket.wait_timeout(Duration::ZERO), Some(told.clone()));
    assert_eq!(ticket.wait(), told);
}

#[test]
fn dropping_a_ticket_takes_nothing_back() {
    let hive = hive();
    drop(hive.propose(adding(&hive, "unasked", 1)).unwrap());
    // Same class, handed in later: when it is answered, so is the one before.
    assert!(answer(&hive, adding(&hive, "asked", 1)).is_committed());
    assert_eq!(int(&hive, "n"), Some(2));
}

#[test]
fn a_deadline_is_held_against_the_hives_clock() {
    let hive = Hive::builder().clock(|| 10).build().unwrap();
    let due = |id: &str, deadline| {
        let mut proposal = adding(&hive, id, 1);
        proposal.hint.deadline = Some(deadline);
        answer(&hive, proposal)
    };
    assert_eq!(due("late", 9), Outcome::Expired);
    assert!(due("just in time", 10).is_committed());
}

// The same intent again.

#[test]
fn an_intent_sent_again_gets_its_first_answer_and_no_second_effect() {
    let hive = hive();
    let first = adding(&hive, "pay", 1);
    let paid = answer(&hive, first.clone());
    assert!(paid.is_committed());
    assert_eq!(answer(&hive, first.clone()), paid);
    // Not even another attempt with another amount.
    let mut second = adding(&hive, "pay", 5);
    second.attempt = 1;
    second.born = first.born;
    assert_eq!(answer(&hive, second), paid);
    assert_eq!(int(&hive, "n"), Some(1));
}

#[test]
fn a_refused_attempt_stays_refused_and_the_next_one_is_judged() {
    let hive = hive();
    let stale = adding(&hive, "x", 1).read(Read::Key(key("k")));
    set(&hive, "k", 1);
    let refused = answer(&hive, stale.clone());
    assert_eq!(refused.name(), "stale-read");
    set(&hive, "k", 2);
    assert_eq!(answer(&hive, stale.clone()), refused);

    let other_content = Proposal { reads: Default::default(), ..stale.clone() };
    assert_eq!(answer(&hive, other_content).name(), "invalid");
    let again = Proposal { attempt: 1, base: hive.version(), ..stale };
    assert!(answer(&hive, again).is_committed());
}

#[test]
fn a_forgotten_intent_is_too_old_whatever_attempt_is_sent() {
    let hive = forgetful();
    let pay = adding(&hive, "pay", 1);
    assert!(answer(&hive, pay.clone()).is_committed());
    pass_rounds(&hive, 4);
    // The first refusal must not be taken for proof that it was never committed.
    for attempt in 0..3 {
        let again = Proposal { attempt, base: hive.version(), ..pay.clone() };
        assert_eq!(answer(&hive, again).name(), "too-old");
    }
    assert_eq!(int(&hive, "n"), Some(1));
}

// What is refused.

#[test]
fn values_nested_too_deeply_are_refused_at_every_door() {
    let hive = hive();
    let deep = || nested(MAX_VALUE_DEPTH + 1);
    let named = BTreeMap::from([("name".into(), nested(MAX_VALUE_DEPTH))]);
    let ops = [
        Op::Set(deep()),
        Op::Set(Value::set([nested(MAX_VALUE_DEPTH)])),
        Op::Set(Value::Map(Arc::new(named))),
        Op::Max(deep()),
        Op::Min(deep()),
        Op::Agree(deep()),
        // The elements end up one level down, in the set that is stored.
        Op::union([nested(MAX_VALUE_DEPTH)]),
        Op::Intersect(Arc::new([nested(MAX_VALUE_DEPTH)].into())),
    ];
    for op in ops {
        let written = Proposal::on(&hive.snapshot(), "me", "x").write("k", op.clone()).unwrap();
        let given_back = ProposeError::TooDeep(Box::new(written.clone()));
        assert_eq!(hive.propose(written.clone()).unwrap_err(), given_back);
        assert_eq!(hive.try_propose(written).unwrap_err(), given_back);
        let by_view = |view: &mut queenright::View| {
            assert_eq!(view.check("k", &op), Err(ViewError::TooDeep(key("k"))));
            assert_eq!(view.write("k", op.clone()), Err(ViewError::TooDeep(key("k"))));
            let asked = Precondition::Equals(key("k"), deep());
            assert_eq!(view.require(asked), Err(ViewError::TooDeep(key("k"))));
            Ok(())
        };
        hive.transact(by_view).unwrap();
    }
    let asked = adding(&hive, "x", 1).require(Precondition::Equals(key("k"), deep()));
    assert!(matches!(hive.propose(asked), Err(ProposeError::TooDeep(_))));
    let base = Hive::builder().base([(key("k"), deep())]).build();
    assert_eq!(base.unwrap_err(), HiveError::TooDeep(key("k")));
    assert_eq!(hive.version(), Version(0), "the queen saw none of it");
}

#[test]
fn values_nested_just_deeply_enough_are_taken() {
    let deep = || nested(MAX_VALUE_DEPTH);
    let hive = Hive::builder().base([(key("base"), deep())]).build().unwrap();
    let set = adding(&hive, "x", 1).write("k", Op::Set(deep())).unwrap();
    assert!(answer(&hive, set).is_committed());
    hive.transact(|view| Ok(view.set("view", deep())?)).unwrap();
    assert_eq!(hive.snapshot().get("view"), Some(&deep()));
}

#[test]
fn what_is_larger_than_the_limits_is_refused() {
    let limits = Limits { keys: 3, bytes: 200, ..Limits::default() };
    let policy = RoundPolicy { limits, ..Default::default() };
    let long = || Value::from("x".repeat(200));
    let hive = Hive::builder().base([(key("k"), long())]).policy(policy).build().unwrap();
    let fits = |id: &str| adding(&hive, id, 1);
    let set = |id: &str, value| fits(id).write("k", Op::Set(value)).unwrap();
    let too_large = [
        ["a", "b", "c"].iter().fold(fits("reads"), |p, k| p.read(Read::Key(key(k)))),
        ["a", "b", "c"].iter().fold(fits("writes"), |p, k| p.write(*k, Op::add(1)).unwrap()),
        ["a", "b", "c"].iter().fold(fits("asks"), |p, k| p.require(Precondition::Absent(key(k)))),
        set("long", long()),
        // Empty values are not free, and neither is what is only compared.
        set("many", Value::from(vec![Value::from(""); 20])),
        fits("asked").require(Precondition::Equals(key("k"), long())),
        fits(&"id".repeat(100)),
    ];
    for proposal in too_large {
        let id = proposal.id.clone();
        assert_eq!(answer(&hive, proposal).name(), "limit", "{id}");
    }
    let within = fits("within").read(Read::Key(key("a"))).require(Precondition::Absent(key("b")));
    assert!(answer(&hive, within).is_committed());
}

// Transactions.

#[test]
fn a_transaction_that_loses_runs_again_on_what_won() {
    let hive = hive();
    let runs = Cell::new(0);
    let seen = hive.transact(|view| {
        runs.set(runs.get() + 1);
        let found = view.get("n")?;
        if runs.get() == 1 {
            set(&hive, "n", 10);
        }
        view.set("n", 11)?;
        Ok(found)
    });
    assert_eq!((runs.get(), seen.unwrap(), int(&hive, "n")), (2, Some(10.into()), Some(11)));
}

#[test]
fn a_transaction_gives_up_after_so_many_attempts() {
    let hive = Hive::builder().max_attempts(3).build().unwrap();
    let lost = hive.transact(|view| {
        let n = view.get("n")?.and_then(|n| n.as_int()).unwrap_or(0);
        set(&hive, "n", n + 1);
        Ok(view.set("n", -1)?)
    });
    match lost {
        Err(TransactError::Exhausted { attempts: 3, last }) => {
            assert_eq!(last.name(), "stale-read");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(int(&hive, "n"), Some(3));
}

#[test]
fn an_aborted_transaction_changes_nothing() {
    let hive = hive();
    let aborted = hive.transact(|view| {
        view.set("k", 1)?;
        Err::<(), _>(queenright::AgentError::new("changed my mind"))
    });
    assert!(matches!(&aborted, Err(TransactError::Aborted(_))), "{aborted:?}");
    assert_eq!(aborted.unwrap_err().to_string(), "changed my mind");
    assert_eq!(hive.version(), Version(0));
}

#[test]
fn a_transaction_that_only_reads_proposes_nothing() {
    let hive = hive();
    set(&hive, "k", 1);
    let read = hive.transact(|view| Ok((view.get("k")?, view.under("")?.len())));
    assert_eq!(read.unwrap(), (Some(1.into()), 1));
    assert_eq!(hive.version(), Version(1));
}

#[test]
fn a_condition_is_judged_though_nothing_is_written() {
    let hive = Hive::builder().base([(key("k"), 1.into())]).max_attempts(2).build().unwrap();
    let require = |condition: Precondition| {
        hive.transact(|view| {
            view.require(condition.clone())?;
            Ok(())
        })
    };
    require(Precondition::Exists(key("k"))).unwrap();
    match require(Precondition::Absent(key("k"))) {
        Err(TransactError::Exhausted { attempts: 2, last }) => {
            assert_eq!(last.name(), "precondition");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_transaction_may_take_longer_than_the_window() {
    let hive = forgetful();
    let runs = Cell::new(0);
    let slow = hive.transact(|view| {
        runs.set(runs.get() + 1);
        view.write("n", Op::add(1))?;
        if runs.get() == 1 {
            pass_rounds(&hive, 5);
        }
        Ok(())
    });
    slow.unwrap();
    assert_eq!(int(&hive, "n"), Some(1));
}

#[test]
fn reading_what_one_wrote_oneself_claims_nothing() {
    let hive = hive();
    let runs = Cell::new(0);
    let transaction = hive.transact(|view| {
        runs.set(runs.get() + 1);
        view.set("k", 2)?;
        assert_eq!(view.get("k")?, Some(2.into()));
        if runs.get() == 1 {
            set(&hive, "k", 3);
        }
        Ok(())
    });
    transaction.unwrap();
    assert_eq!((runs.get(), int(&hive, "k")), (1, Some(2)));
}

#[test]
fn what_one_claimed_of_a_key_cannot_be_overwritten_in_the_same_run() {
    let hive = hive();
    let bounded = Op::Add { by: 1, at_least: Some(0), at_most: None };
    let common = Op::Intersect(Arc::new([1.into()].into()));
    for claim in [Op::Agree(1.into()), bounded, common] {
        for over in [Op::Set(2.into()), Op::Remove] {
            let both = hive.transact(|view| {
                view.write("k", claim.clone())?;
                Ok(view.write("k", over.clone())?)
            });
            assert!(matches!(both, Err(TransactError::Aborted(_))), "{claim}, then {over}");
        }
    }
    assert_eq!(hive.version(), Version(0));
}

// History.

/// Two rounds: an addition to a text is refused, and refused again by what is remembered.
fn refused_twice() -> (State, Vec<Record>) {
    let base = [(key("k"), Value::from("text"))];
    let hive = Hive::builder().base(base.clone()).build().unwrap();
    let add = Proposal::on(&hive.snapshot(), "me", "x").write("k", Op::add(1)).unwrap();
    for _ in 0..2 {
        assert_eq!(answer(&hive, add.clone()).name(), "operator");
    }
    (State::base(base), hive.history().iter().map(|record| Record::clone(record)).collect())
}

fn change_refusal(outcome: &mut Outcome) {
    let Outcome::Conflict { rule, .. } = outcome else { panic!("{outcome}") };
    *rule = Rule::Refused(Refusal::Kind { operator: Operator::Max, found: "text" });
}

#[test]
fn history_keeps_the_last_rounds_in_a_chain() {
    let hive = Hive::builder().keep_rounds(3).build().unwrap();
    pass_rounds(&hive, 5);
    let history = hive.history();
    let rounds: Vec<_> = history.iter().map(|record| record.input.round.0).collect();
    assert_eq!(rounds, [3, 4, 5]);
    assert!(history.windows(2).all(|pair| pair[1].previous == pair[0].digest));
}

#[test]
fn a_record_changed_later_is_noticed() {
    let (base, records) = refused_twice();
    assert!(replay(base.clone(), &records).is_ok());
    let changes: [fn(&mut Record); 7] = [
        |record| record.input.now += 1,
        |record| record.input.seed += 1,
        |record| record.input.round = Version(3),
        |record| record.batch[0].writes[0].1 = Op::add(2),
        |record| record.batch[0].hint.deadline = Some(u64::MAX),
        |record| record.previous = record.digest,
        // What was said, and what is remembered of it, in accordance with each other.
        |record| {
            change_refusal(&mut record.verdicts.outcomes[0]);
            let known = record.input.decided.get_mut(&ProposalId::from("x")).unwrap();
            change_refusal(&mut known.attempts.get_mut(&0).unwrap().1);
        },
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut changed = records.clone();
        change(&mut changed[1]);
        assert!(replay(base.clone(), &changed).is_err(), "change {number}");
    }
    // Nor may one be left out, come twice, or come from another history.
    let other = Hive::builder().base(base.iter().map(|(key, e)| (key.clone(), e.value.clone())));
    let other = other.build().unwrap();
    pass_rounds(&other, 2);
    assert!(replay(base.clone(), [&records[0], &other.history()[1]]).is_err());
    assert!(replay(base.clone(), &records[1..]).is_err());
    assert!(replay(base, [&records[0], &records[0]]).is_err());
}
