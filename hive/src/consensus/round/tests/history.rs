//! Histories: many rounds with stale bases, retries, resends, removals, and a window that is soon passed.

use std::sync::Arc;

use super::*;
use crate::consensus::intents::{Intents, Known};
use crate::consensus::{Ballot, Permissions, QuorumRule, Threshold, Vote};
use crate::encoding::tests::{are_read_strictly, damage};
use crate::encoding::{decoded, encoded};
use crate::log::Record;
use crate::proposal::Claimed;
use proptest::strategy::ValueTree;
use proptest::test_runner::{TestCaseError, TestRunner};
use queenright_primitives::claim::{FencingToken, Incarnation};

/// What one proposal of a round is to be.
#[derive(Clone, Debug)]
struct Plan {
    /// Which of the intents that are under way.
    intent: usize,
    again: Again,
    /// How many versions before the current one it is computed from.
    behind: usize,
    reads: Vec<(bool, usize)>,
    precondition: Option<(usize, u8)>,
    writes: BTreeMap<usize, Op>,
    class: usize,
    terms: Terms,
}

/// What keeps a proposal out besides what it reads and writes.
#[derive(Clone, Debug)]
struct Terms {
    /// Which of three agents sends it; the third may write under `a` only.
    agent: usize,
    incarnation: u64,
    deadline: Option<u64>,
    cancelled: bool,
    /// The number of the token that it shows, and from how many versions back the claim holds.
    claim: Option<(u64, u64)>,
    /// Which of three members say yes to it, and whether they saw its content.
    votes: Option<(u8, bool)>,
}

fn terms() -> impl Strategy<Value = Terms> {
    let rarely = |of| prop::option::weighted(0.1, of);
    (
        prop_oneof![5 => 0usize..2, 1 => Just(2)],
        prop_oneof![9 => Just(1u64), 1 => Just(0)],
        prop::option::weighted(0.2, 0u64..12),
        prop::bool::weighted(0.05),
        prop::option::weighted(0.1, (0u64..3, 0u64..4)),
        rarely((0u8..8, prop::bool::weighted(0.9))),
    )
        .prop_map(|(agent, incarnation, deadline, cancelled, claim, votes)| Terms {
            agent,
            incarnation,
            deadline,
            cancelled,
            claim,
            votes,
        })
}

const MEMBERS: [&str; 3] = ["m0", "m1", "m2"];

/// What is sent when the intent has been sent before.
#[derive(Clone, Copy, Debug)]
enum Again {
    NextAttempt,
    SameAttempt,
    /// The same attempt with other content: a mistake.
    Twisted,
    /// Another intent takes its place.
    Fresh,
}

/// Operations that often meet, on numbers at the edge, floats, booleans and sets.
fn any_op() -> impl Strategy<Value = Op> {
    let by = prop_oneof![4 => -2i64..4, 1 => Just(i64::MAX), 1 => Just(i64::MIN)];
    let value = prop_oneof![
        (0i64..3).prop_map(Value::from),
        prop::sample::select(vec![1.0, 1.5]).prop_map(|float| Value::float(float).unwrap()),
        any::<bool>().prop_map(Value::from)
    ];
    let values = prop::collection::btree_set((0i64..4).prop_map(Value::from), 0..4);
    let (at_least, at_most) = (prop::option::of(-3i64..2), prop::option::of(0i64..5));
    prop_oneof![
        3 => value.clone().prop_map(Op::Set),
        2 => Just(Op::Remove),
        4 => (by, at_least, at_most)
            .prop_map(|(by, at_least, at_most)| Op::Add { by, at_least, at_most }),
        2 => value.clone().prop_map(Op::Max),
        2 => value.clone().prop_map(Op::Min),
        2 => value.prop_map(Op::Agree),
        2 => values.clone().prop_map(|values| Op::Union(Arc::new(values))),
        2 => values.prop_map(|values| Op::Intersect(Arc::new(values))),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let again = prop_oneof![
        6 => Just(Again::NextAttempt),
        3 => Just(Again::SameAttempt),
        1 => Just(Again::Twisted),
        6 => Just(Again::Fresh)
    ];
    let behind = prop_oneof![3 => Just(0), 2 => 1usize..3, 1 => 3usize..8];
    let reads = prop::collection::vec((any::<bool>(), 0..KEYS.len()), 0..3);
    let precondition = prop::option::weighted(0.2, (0..KEYS.len(), 0u8..3));
    let writes = prop::collection::btree_map(0..KEYS.len(), any_op(), 0..3);
    (0usize..6, again, behind, reads, precondition, writes, 0usize..5, terms()).prop_map(
        |(intent, again, behind, reads, precondition, writes, class, terms)| Plan {
            intent,
            again,
            behind,
            reads,
            precondition,
            writes,
            class,
            terms,
        },
    )
}

/// All versions so far, and what proposers and queen remember of them.
struct History {
    window: u64,
    /// For how many rounds who wrote blindly may wait.
    pending: u64,
    /// By version.
    states: Vec<State>,
    intents: Intents,
    /// The same rounds, each in another order of arrival, in a hive that is sometimes read back from its bytes.
    turned: Intents,
    turned_state: State,
    /// The bytes of each round's record.
    records: Vec<Vec<u8>>,
    /// The last attempt of each intent that is under way.
    under_way: HashMap<usize, Proposal>,
    fresh: usize,
    committed: HashMap<ProposalId, Outcome>,
    refused: HashMap<Digest, Outcome>,
}

impl History {
    fn with(window: u64, pending: u64) -> Self {
        // So many that the state knows them by number, those that nobody names among them.
        let others = (0..70).map(|number| (format!("z/{number}"), 0));
        let first = State::base(
            [("a/b".to_owned(), 1), ("d".to_owned(), 2)]
                .into_iter()
                .chain(others)
                .map(|(path, value)| (key(&path), value.into())),
        );
        History {
            window,
            pending,
            states: vec![first.clone()],
            intents: Intents::default(),
            turned: Intents::default(),
            turned_state: first,
            records: Vec::new(),
            under_way: HashMap::new(),
            fresh: 0,
            committed: HashMap::new(),
            refused: HashMap::new(),
        }
    }

    fn state(&self) -> &State {
        &self.states[self.states.len() - 1]
    }

    /// The proposal that a plan asks for.
    fn proposal(&mut self, plan: &Plan) -> Proposal {
        let from = &self.states[(self.states.len() - 1).saturating_sub(plan.behind)];
        let terms = &plan.terms;
        let agent = format!("agent{}", terms.agent);
        let mut proposal = Proposal::on(&Snapshot::from(from.clone()), agent, "");
        proposal.hint = Hint { class: Class::ALL[plan.class], deadline: terms.deadline };
        proposal.incarnation = terms.incarnation;
        proposal.claim = terms.claim.map(|(counter, back)| {
            let since = Version(self.state().version.0.saturating_sub(back));
            let token = FencingToken { incarnation: Incarnation(0), counter };
            Box::new(Claimed { key: key("claimed"), token, since })
        });
        let rule = || QuorumRule::new(MEMBERS, Threshold::Majority).unwrap().into();
        proposal.quorum = terms.votes.map(|_| rule());
        let read = |(under, at): &(bool, usize)| match under {
            true => Read::Under(key(KEYS[*at])),
            false => Read::Key(key(KEYS[*at])),
        };
        proposal.reads = plan.reads.iter().map(read).collect();
        let precondition = |(at, kind): (usize, u8)| match (key(KEYS[at]), kind) {
            (key, 0) => Precondition::Exists(key),
            (key, 1) => Precondition::Absent(key),
            (key, _) => Precondition::Equals(key, 1.into()),
        };
        proposal.preconditions = plan.precondition.map(precondition).into_iter().collect();
        proposal.writes = plan.writes.iter().map(|(at, op)| (key(KEYS[*at]), op.clone())).collect();
        let under_way = self.under_way.get(&plan.intent);
        if let Some(last) = under_way.filter(|_| !matches!(plan.again, Again::Fresh)) {
            (proposal.id, proposal.born) = (last.id.clone(), last.born);
            proposal.base = proposal.base.max(last.born);
            proposal.attempt = last.attempt;
            match plan.again {
                Again::SameAttempt => return last.clone(),
                Again::Twisted => return proposal,
                _ => proposal.attempt += 1,
            }
        } else {
            self.fresh += 1;
            proposal.id = format!("intent-{}", self.fresh).into();
        }
        self.under_way.insert(plan.intent, proposal.clone());
        proposal
    }

    /// Decides one round, and checks all that is promised of it.
    fn round(&mut self, plans: &[Plan], turn: usize) -> Result<Verdicts, TestCaseError> {
        let mut batch: Vec<_> = plans.iter().map(|plan| self.proposal(plan)).collect();
        let state = self.state().clone();
        // Some know where this state keeps their keys, some where another does, and some know nothing.
        for (place, proposal) in batch.iter_mut().enumerate() {
            match (turn + place) % 3 {
                0 => state.locate(std::slice::from_mut(proposal)),
                1 => self.turned_state.locate(std::slice::from_mut(proposal)),
                _ => {}
            }
        }
        let mut input = input(&state);
        input.policy.window = self.window;
        input.policy.aging = 2;
        input.policy.pending = self.pending;
        input.policy.limits = Limits { keys: 4, bytes: 200, value: 40, proposals: 5 };
        input.now = state.version.0;
        let permissions = Permissions::nobody().allow("agent0", "").unwrap();
        let permissions = permissions.allow("agent1", "").unwrap().allow("agent2", "a").unwrap();
        input.policy.permissions = permissions;
        input.decided = self.intents.of(&batch);
        let current = FencingToken { incarnation: Incarnation(0), counter: 1 };
        input.claims =
            if state.version.0 % 4 == 3 { [].into() } else { [(key("claimed"), current)].into() };
        input.incarnations = [("agent1".into(), 1)].into();
        for (proposal, plan) in batch.iter().zip(plans) {
            let name = (proposal.id.clone(), proposal.attempt);
            if plan.terms.cancelled {
                input.cancelled.insert(name.clone());
            }
            if let Some((yes, saw_it)) = plan.terms.votes {
                let content = if saw_it { digest(proposal) } else { Digest::default() };
                let vote = |(at, member): (usize, &&str)| {
                    let vote = if yes >> at & 1 == 1 { Vote::Yes } else { Vote::No };
                    ((*member).into(), vote)
                };
                let votes = MEMBERS.iter().enumerate().map(vote).collect();
                input.ballots.insert(name, Ballot { content, votes });
            }
        }
        let verdicts = decide(&state, &batch, &input);
        let next = apply(&state, &batch, &input, &verdicts);
        let said = oracle::Answers::of(&batch, &verdicts);
        prop_assert_eq!(said, oracle::decide(&state, &batch, &input), "{:#?}", batch);
        self.does_not_depend_on_arrival(&batch, turn, &input, &verdicts, &next)?;
        self.is_recorded(&batch, &input, &verdicts)?;
        self.is_serial(&batch, &verdicts, &next)?;
        self.answers_once(&batch, &verdicts)?;
        self.intents.remember(&input, &batch, &verdicts, next.horizon);
        prop_assert_eq!(encoded(&self.intents), encoded(&self.turned));
        self.states.push(next);
        Ok(verdicts)
    }

    /// G2: in another order of arrival, the same is said, done and remembered.
    fn does_not_depend_on_arrival(
        &mut self,
        batch: &[Proposal],
        turn: usize,
        input: &RoundInput,
        verdicts: &Verdicts,
        next: &State,
    ) -> Result<(), TestCaseError> {
        prop_assert_eq!(&self.turned.of(batch), &input.decided);
        let mut places: Vec<usize> = (0..batch.len()).collect();
        places.rotate_left(turn % batch.len());
        places.reverse();
        let turned: Vec<_> = places.iter().map(|&place| batch[place].clone()).collect();
        let again = decide(&self.turned_state, &turned, input);
        for (place, outcome) in places.iter().zip(&again.outcomes) {
            prop_assert_eq!(outcome, &verdicts.outcomes[*place]);
        }
        self.turned_state = apply(&self.turned_state, &turned, input, &again);
        prop_assert_eq!(digest(&self.turned_state), digest(next));
        self.turned.remember(input, &turned, &again, next.horizon);
        Ok(())
    }

    /// State and answers are read back from their bytes: nothing that comes later must tell.
    fn restart(&mut self) {
        self.turned = decoded(&encoded(&self.turned)).unwrap();
        self.turned_state = decoded(&encoded(&self.turned_state)).unwrap();
    }

    /// What is recorded is read back from its bytes.
    fn is_recorded(
        &mut self,
        batch: &[Proposal],
        input: &RoundInput,
        verdicts: &Verdicts,
    ) -> Result<(), TestCaseError> {
        let (input, verdicts, batch) = (input.clone(), verdicts.clone(), batch.to_vec());
        let (record, bytes) =
            Record::with_bytes(Digest::default(), input, Default::default(), batch, verdicts);
        prop_assert_eq!(record.computed_digest(), record.digest);
        prop_assert_eq!(decoded(&bytes), Ok(record));
        self.records.push(bytes);
        Ok(())
    }

    /// G1: one after the other in the serial order, each finds what it has read, each condition holds, each
    /// operation is defined, and the end is the next state.
    fn is_serial(
        &self,
        batch: &[Proposal],
        verdicts: &Verdicts,
        next: &State,
    ) -> Result<(), TestCaseError> {
        let values = |state: &State| -> BTreeMap<Key, Value> {
            state.iter().map(|(key, entry)| (key.clone(), entry.value.clone())).collect()
        };
        let mut now = values(self.state());
        for &place in &verdicts.serial {
            let proposal = &batch[place];
            let computed_from = &self.states[proposal.base.0 as usize];
            let found = State::base(now.clone());
            for read in &proposal.reads {
                prop_assert_eq!(seen(computed_from, read), seen(&found, read), "{:?}", proposal);
            }
            for condition in &proposal.preconditions {
                prop_assert!(condition.holds(now.get(condition.key())), "{condition}");
            }
            for (key, op) in &proposal.writes {
                match op.apply(now.get(key)) {
                    Ok(Some(value)) => drop(now.insert(key.clone(), value)),
                    Ok(None) => drop(now.remove(key)),
                    Err(refusal) => prop_assert!(false, "{op} on {key}: {refusal}"),
                }
            }
        }
        prop_assert_eq!(now, values(next));
        Ok(())
    }

    /// G5: an intent is committed once, and then all its attempts are told so; an attempt that was refused stays
    /// refused for the same reason. What was forgotten is too old.
    fn answers_once(
        &mut self,
        batch: &[Proposal],
        verdicts: &Verdicts,
    ) -> Result<(), TestCaseError> {
        let mut accepted = HashSet::new();
        for &place in &verdicts.accepted {
            let id = &batch[place].id;
            prop_assert!(accepted.insert(id), "{id} twice in a round");
            prop_assert!(!self.committed.contains_key(id), "{id} twice in a history");
        }
        let answered = |(place, _): &(usize, _)| !verdicts.is_pending(*place);
        let answers = batch.iter().zip(&verdicts.outcomes).enumerate().filter(answered);
        let answers: Vec<_> = answers.map(|(_, answer)| answer).collect();
        for &(proposal, outcome) in &answers {
            let forgotten = matches!(outcome, Outcome::TooOld { .. });
            let earlier = self.committed.get(&proposal.id);
            if let Some(earlier) = earlier {
                prop_assert!(outcome == earlier || forgotten, "{outcome}, once {earlier}");
            } else if let Some(refused) = self.refused.get(&digest(proposal)) {
                // The words differ when two contents were refused because of each other.
                let stays = outcome == refused || [outcome, refused].map(rule) == ["invalid"; 2];
                let by_another_attempt = accepted.contains(&proposal.id);
                prop_assert!(stays || by_another_attempt || forgotten, "{outcome}, once {refused}");
            }
        }
        for (proposal, outcome) in answers {
            match outcome {
                Outcome::Committed { .. } => {
                    self.committed.insert(proposal.id.clone(), outcome.clone());
                }
                _ => drop(self.refused.insert(digest(proposal), outcome.clone())),
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(at_least(1000))]

    #[test]
    fn many_rounds_keep_every_promise(
        rounds in prop::collection::vec(
            (prop::collection::vec(plan(), 1..7), 0usize..7, prop::bool::weighted(0.2)),
            1..10,
        ),
        window in 0u64..8,
        pending in 0u64..4,
    ) {
        let mut history = History::with(window, pending);
        for (plans, turn, restarts) in &rounds {
            if *restarts {
                history.restart();
            }
            history.round(plans, *turn)?;
        }
    }

    #[test]
    fn what_rounds_leave_is_read_strictly(
        rounds in prop::collection::vec(prop::collection::vec(plan(), 1..7), 1..10),
        damage in prop::collection::vec(damage(), 8),
    ) {
        let mut history = History::with(4, 2);
        for plans in &rounds {
            history.round(plans, 0)?;
        }
        let (intents, state) = (encoded(&history.intents), encoded(history.state()));
        for damage in &damage {
            for record in &history.records {
                are_read_strictly::<Record>(&damage.to(record))?;
            }
            are_read_strictly::<Intents>(&damage.to(&intents))?;
            are_read_strictly::<State>(&damage.to(&state))?;
        }
    }
}

/// So that nobody takes the histories for stricter than they are.
#[test]
fn histories_meet_every_outcome_and_every_rule() {
    let mut runner = TestRunner::deterministic();
    let rounds = prop::collection::vec(prop::collection::vec(plan(), 1..7), 1..10);
    let mut met = BTreeMap::<&str, usize>::new();
    for window in 0..200 {
        let mut history = History::with(window % 8, window % 4);
        for plans in rounds.new_tree(&mut runner).unwrap().current() {
            let verdicts = history.round(&plans, 0).unwrap();
            verdicts
                .outcomes
                .iter()
                .for_each(|outcome| *met.entry(rule(outcome)).or_default() += 1);
            *met.entry("pending").or_default() += verdicts.pending.len();
            let moved = verdicts.accepted != verdicts.serial;
            *met.entry("reordered").or_default() += usize::from(moved);
        }
    }
    let names = [
        "bound",
        "cancelled",
        "committed",
        "disagree",
        "empty",
        "expired",
        "forbidden",
        "invalid",
        "limit",
        "operator",
        "pending",
        "precondition",
        "read-write",
        "rejected",
        "reordered",
        "stale-claim",
        "stale-read",
        "too-old",
        "write-write",
    ];
    let few: Vec<_> = names.iter().filter(|name| met.get(*name).is_none_or(|n| *n < 3)).collect();
    assert!(few.is_empty(), "{few:?} of {met:?}");
}

#[test]
fn a_committed_attempt_is_never_called_invalid() {
    let state = base(&[]);
    let first = writes(on(&state, "x", 0), &[("n", Op::add(1))]);
    let (outcomes, next) = decided(&state, std::slice::from_ref(&first));
    let committed = Some(outcomes[0].clone());
    let mut input = input(&next);
    input.decided.insert("x".into(), Known { committed, attempts: BTreeMap::new() });
    // Somebody uses its id and attempt for something else, in the round in which it is sent again.
    let other =
        Proposal { writes: [(key("n"), Op::add(2))].into_iter().collect(), ..first.clone() };
    let verdicts = decide(&next, &[first, other], &input);
    assert_eq!(verdicts.outcomes, [outcomes[0].clone(), outcomes[0].clone()]);
    assert!(verdicts.accepted.is_empty());
}

/// G10: whoever waited long enough goes before every deadline.
#[test]
fn a_flood_of_deadlines_does_not_starve_who_has_none() {
    let mut state = base(&[]);
    for round in 0..100 {
        let mut patient = writes(on(&state, "patient", 0), &[set("x", -1)]);
        patient.hint.deadline = None;
        (patient.born, patient.attempt) = (Version(0), round);
        let mut rival = writes(on(&state, &format!("rival-{round}"), 0), &[set("x", round.into())]);
        rival.hint.class = Class::Critical;
        let batch = [patient, rival];
        let mut input = input(&state);
        input.policy.aging = 1;
        let verdicts = decide(&state, &batch, &input);
        if verdicts.outcomes[0].is_committed() {
            return assert_eq!(round, 3, "a class for each round, then before all");
        }
        state = apply(&state, &batch, &input, &verdicts);
    }
    panic!("starved");
}

/// `decide` and `apply` are public, and records may come from anywhere.
#[test]
fn a_version_never_goes_back_whatever_the_input_says() {
    let state = base(&[]);
    let (_, next) = decided(&state, &[writes(on(&state, "a", 0), &[set("x", 1)])]);
    let mut stale = input(&next);
    stale.round = Version(0);
    let batch = [writes(on(&next, "b", 0), &[set("x", 2)])];
    let verdicts = decide(&next, &batch, &stale);
    let last = apply(&next, &batch, &stale, &verdicts);
    assert_eq!((last.version(), last.entry("x").unwrap().version), (Version(2), Version(2)));
    let late = writes(reads(on(&next, "late", 0), &["x"]), &[set("y", 1)]);
    assert_eq!(rule(&decided(&last, &[late]).0[0]), "stale-read");
}

#[test]
fn of_several_who_wrote_a_key_together_the_first_judged_is_named() {
    let state = base(&[]);
    let add = |id, urgency| writes(on(&state, id, urgency), &[("n", Op::add(1))]);
    let (_, next) = decided(&state, &[add("last", 2), add("first", 0), add("second", 1)]);
    let entry = next.entry("n").unwrap();
    assert_eq!((entry.writer.as_str(), &entry.value), ("first", &3.into()));
}

#[test]
fn verdicts_about_nobody_change_nothing() {
    let state = base(&[("x", 1)]);
    let nobody = Verdicts { outcomes: vec![], accepted: vec![3], serial: vec![3], pending: vec![] };
    let next = apply(&state, &[], &input(&state), &nobody);
    assert_eq!(seen(&next, &Read::Under(Key::root())), seen(&state, &Read::Under(Key::root())));
}
