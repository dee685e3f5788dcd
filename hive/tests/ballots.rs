//! Ballots in a running hive: opened, voted on, ended, recorded, recomputed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use queenright::consensus::{
    CastVote, Permissions, QuorumRule, RoundPolicy, Threshold, Vote, VoteError, replay,
};
use queenright::{Hive, HiveBuilder, Op, Outcome, Proposal, Record, State, Ticket, Version};

fn three(threshold: Threshold) -> QuorumRule {
    QuorumRule::new(["ada", "bob", "cyd"], threshold).unwrap()
}

fn set(hive: &Hive, id: &str, key: &str) -> Proposal {
    Proposal::on(&hive.snapshot(), "ada", id).write(key, Op::Set(1.into())).unwrap()
}

fn propose(hive: &Hive, id: &str, rule: QuorumRule) -> Ticket {
    hive.propose(set(hive, id, id).with_quorum(rule)).unwrap()
}

fn vote(hive: &Hive, id: &str, member: &str, vote: Vote) -> Result<u64, VoteError> {
    hive.vote(CastVote::on(id, member, vote)).map(|tally| tally.yes)
}

/// A hive whose clock stands still until it is set.
fn with_clock(builder: HiveBuilder) -> (Hive, Arc<AtomicU64>) {
    let time = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&time);
    (builder.clock(move || clock.load(Ordering::SeqCst)).build().unwrap(), time)
}

/// What was recorded from the first version on leads to what there is.
fn assert_replays(hive: &Hive) -> Vec<Arc<Record>> {
    let history = hive.history();
    let state = replay(State::base([]), history.iter().map(|record| &**record)).unwrap();
    assert!(state.iter().eq(hive.snapshot().iter()));
    history
}

#[test]
fn it_is_decided_as_soon_as_no_vote_can_change_it_and_dissent_is_kept() {
    let hive = Hive::builder().build().unwrap();
    let mut passed = propose(&hive, "passed", three(Threshold::Majority));
    let failed = propose(&hive, "failed", three(Threshold::Unanimous));
    assert_eq!(vote(&hive, "passed", "bob", Vote::No), Ok(0));
    assert_eq!(vote(&hive, "passed", "ada", Vote::Yes), Ok(1));
    assert_eq!(passed.wait_timeout(Duration::ZERO), None);
    assert_eq!(vote(&hive, "passed", "cyd", Vote::Yes), Ok(2));
    assert!(passed.wait().is_committed());
    assert_eq!(vote(&hive, "failed", "cyd", Vote::No), Ok(0));
    let Outcome::Rejected { tally } = failed.wait() else { panic!("one no of three") };
    assert_eq!(tally.to_string(), "0 of 3 said yes and 1 no, 3 were needed");
    assert_eq!(hive.snapshot().get("failed"), None);

    let history = assert_replays(&hive);
    let receipt = history.iter().find_map(|record| {
        record.input.ballots.get(&("passed".into(), 0)).map(|ballot| ballot.votes.clone())
    });
    let votes = [("ada", Vote::Yes), ("bob", Vote::No), ("cyd", Vote::Yes)];
    assert_eq!(receipt, Some(votes.map(|(name, vote)| (name.into(), vote)).into()));
    assert_eq!(hive.metrics().outcomes.get("rejected"), Some(&1));
}

#[test]
fn a_ballot_that_nobody_votes_on_ends_by_itself() {
    let hive = Hive::builder().build().unwrap();
    let ticket = propose(&hive, "p", three(Threshold::Majority).within(20));
    let Outcome::Rejected { tally } = ticket.wait() else { panic!("nobody has voted") };
    assert_eq!((tally.yes, tally.no, tally.of), (0, 0, 3));
    assert_eq!(vote(&hive, "p", "ada", Vote::Yes), Err(VoteError::NotOpen));
    assert_replays(&hive);
}

#[test]
fn votes_after_its_time_come_too_late() {
    let (hive, time) = with_clock(Hive::builder());
    let ticket = propose(&hive, "p", three(Threshold::Majority).within(100));
    assert_eq!(vote(&hive, "p", "ada", Vote::Yes), Ok(1));
    time.store(99, Ordering::SeqCst);
    assert_eq!(hive.ballots()[0].closes, 100);
    time.store(100, Ordering::SeqCst);
    assert_eq!(vote(&hive, "p", "bob", Vote::Yes), Err(VoteError::NotOpen));
    assert!(matches!(ticket.wait(), Outcome::Rejected { .. }));
    assert!(hive.ballots().is_empty());
    assert_replays(&hive);
}

#[test]
fn where_votes_may_change_only_the_last_ones_count_and_only_at_the_end() {
    let (hive, time) = with_clock(Hive::builder());
    let rule = three(Threshold::Majority).within(10).votes_may_change();
    let mut ticket = propose(&hive, "p", rule);
    for member in ["ada", "bob", "cyd"] {
        vote(&hive, "p", member, Vote::Yes).unwrap();
    }
    hive.drain().unwrap();
    assert_eq!(ticket.wait_timeout(Duration::ZERO), None, "they may think again");
    assert_eq!(vote(&hive, "p", "bob", Vote::No), Ok(2));
    assert_eq!(vote(&hive, "p", "cyd", Vote::Abstain), Ok(1));
    time.store(10, Ordering::SeqCst);
    hive.drain().unwrap();
    let Outcome::Rejected { tally } = ticket.wait() else { panic!("one yes is left") };
    assert_eq!((tally.yes, tally.no, tally.abstained), (1, 1, 1));
    assert_replays(&hive);
}

#[test]
fn a_veto_ends_it_and_nothing_passes_before_its_holder_has_spoken() {
    let hive = Hive::builder().build().unwrap();
    let rule = || three(Threshold::Majority).veto(["cyd"]).unwrap();
    let mut passed = propose(&hive, "passed", rule());
    let vetoed = propose(&hive, "vetoed", rule());
    for id in ["passed", "vetoed"] {
        vote(&hive, id, "ada", Vote::Yes).unwrap();
        vote(&hive, id, "bob", Vote::Yes).unwrap();
    }
    assert_eq!(passed.wait_timeout(Duration::ZERO), None);
    assert_eq!(vote(&hive, "passed", "bob", Vote::Veto), Err(VoteError::NoVeto));
    vote(&hive, "passed", "cyd", Vote::Abstain).unwrap();
    vote(&hive, "vetoed", "cyd", Vote::Veto).unwrap();
    assert!(passed.wait().is_committed());
    assert!(matches!(vetoed.wait(), Outcome::Rejected { tally } if tally.vetoed));
}

#[test]
fn strangers_and_second_votes_are_refused() {
    let hive = Hive::builder().build().unwrap();
    let _ticket = propose(&hive, "p", three(Threshold::Majority));
    assert_eq!(vote(&hive, "p", "eve", Vote::Yes), Err(VoteError::NotOfTheRoll));
    assert_eq!(vote(&hive, "q", "ada", Vote::Yes), Err(VoteError::NotOpen));
    assert_eq!(vote(&hive, "p", "ada", Vote::Yes), Ok(1));
    let again = vote(&hive, "p", "ada", Vote::Yes);
    assert_eq!(again, Err(VoteError::HasVoted { cast: Vote::Yes }));
    let other = hive.vote(CastVote { attempt: 1, ..CastVote::on("p", "bob", Vote::Yes) });
    assert_eq!(other, Err(VoteError::NotOpen), "that is another attempt");
    assert_eq!(hive.ballots()[0].tally.yes, 1);
    let counted: Vec<_> = hive.history().iter().flat_map(|record| record.votes.clone()).collect();
    assert_eq!(counted, [CastVote::on("p", "ada", Vote::Yes)], "what counts is recorded");
}

#[test]
fn who_sends_the_same_again_gets_the_same_answer_and_who_sends_another_none_at_all() {
    let hive = Hive::builder().build().unwrap();
    let proposal = set(&hive, "p", "p").with_quorum(three(Threshold::Majority));
    let tickets = [(); 3].map(|()| hive.propose(proposal.clone()).unwrap());
    let twisted = set(&hive, "q", "q").with_quorum(three(Threshold::Majority));
    let other = set(&hive, "q", "other").with_quorum(three(Threshold::Majority));
    let liars = hive.propose_many(vec![twisted, other]).unwrap();
    for id in ["p", "q"] {
        vote(&hive, id, "ada", Vote::Yes).unwrap();
        vote(&hive, id, "bob", Vote::Yes).unwrap();
    }
    let outcomes = tickets.map(Ticket::wait);
    assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0] && outcome.is_committed()));
    let liars = liars.wait();
    assert!(liars.iter().all(|outcome| matches!(outcome, Outcome::Invalid { .. })), "{liars:?}");
    assert_eq!(hive.propose(proposal).unwrap().wait(), outcomes[0], "without another ballot");
    assert!(hive.ballots().is_empty());
    assert_replays(&hive);
}

#[test]
fn what_would_be_refused_anyway_is_not_voted_on() {
    let permissions = Permissions::nobody().allow("ada", "mine").unwrap();
    let policy = RoundPolicy { permissions, ..RoundPolicy::default() };
    let hive = Hive::builder().policy(policy).build().unwrap();
    let proposal = set(&hive, "p", "yours").with_quorum(three(Threshold::Majority));
    let outcome = hive.propose(proposal).unwrap().wait();
    assert!(matches!(outcome, Outcome::Forbidden { .. }), "{outcome}");
    assert!(hive.ballots().is_empty());
}

#[test]
fn of_several_that_were_submitted_together_only_some_need_votes() {
    let hive = Hive::builder().build().unwrap();
    let voted = set(&hive, "voted", "v").with_quorum(three(Threshold::Majority));
    let mut tickets = hive.propose_many(vec![set(&hive, "free", "f"), voted]).unwrap();
    hive.drain().unwrap();
    assert_eq!(hive.snapshot().get("f"), Some(&1.into()), "it waits for nobody");
    assert_eq!(tickets.wait_timeout(Duration::ZERO), None, "all are answered at once");
    vote(&hive, "voted", "ada", Vote::Yes).unwrap();
    vote(&hive, "voted", "cyd", Vote::Yes).unwrap();
    assert!(tickets.wait().iter().all(Outcome::is_committed));
    assert_replays(&hive);
}

#[test]
fn who_takes_it_back_ends_the_ballot() {
    let hive = Hive::builder().build().unwrap();
    let ticket = propose(&hive, "p", three(Threshold::Majority));
    vote(&hive, "p", "ada", Vote::Yes).unwrap();
    ticket.cancel();
    hive.drain().unwrap();
    assert_eq!(ticket.wait(), Outcome::Cancelled);
    assert_eq!(vote(&hive, "p", "bob", Vote::Yes), Err(VoteError::NotOpen));
    assert_replays(&hive);
}

#[test]
fn more_ballots_than_are_allowed_are_refused() {
    let hive = Hive::builder().ballots(2).build().unwrap();
    let open = ["a", "b"].map(|id| propose(&hive, id, three(Threshold::Majority)));
    let outcome = propose(&hive, "c", three(Threshold::Majority)).wait();
    assert!(matches!(outcome, Outcome::LimitReached { .. }), "{outcome}");
    assert_eq!(hive.metrics().voted_on, 2);
    vote(&hive, "a", "ada", Vote::No).unwrap();
    vote(&hive, "a", "bob", Vote::No).unwrap();
    let again = propose(&hive, "c", three(Threshold::Majority));
    hive.shutdown(Duration::ZERO);
    assert!(matches!(open.map(Ticket::wait), [Outcome::Rejected { .. }, Outcome::Cancelled]));
    assert_eq!(again.wait(), Outcome::Cancelled, "nobody can vote on it any more");
    assert!(hive.ballots().is_empty());
    assert_eq!(hive.vote(CastVote::on("b", "ada", Vote::Yes)), Err(VoteError::Closed));
    let metrics = hive.metrics();
    assert_eq!((metrics.taken, metrics.answered(), metrics.voted_on), (4, 4, 0));
}

/// It lost although it was agreed to, and is agreed to still when it is judged once more.
#[test]
fn who_loses_with_votes_keeps_them_for_the_next_round() {
    let policy = RoundPolicy { pending: 3, ..RoundPolicy::default() };
    let hive = Hive::builder().policy(policy).build().unwrap();
    let rule = || QuorumRule::new(["ada"], Threshold::Unanimous).unwrap();
    let tickets =
        ["a", "b"].map(|id| hive.propose(set(&hive, id, "same").with_quorum(rule())).unwrap());
    let votes = ["a", "b"].map(|id| CastVote::on(id, "ada", Vote::Yes));
    assert!(hive.cast(votes.into()).wait().iter().all(Result::is_ok));
    assert!(tickets.map(Ticket::wait).iter().all(Outcome::is_committed));
    let history = assert_replays(&hive);
    let judged = history.iter().filter(|record| !record.input.ballots.is_empty());
    assert_eq!(judged.count(), 2, "one of them lost the first time");
}

#[test]
fn what_was_rejected_is_answered_the_same_again_without_a_vote() {
    let hive = Hive::builder().build().unwrap();
    let proposal = set(&hive, "p", "p").with_quorum(three(Threshold::Majority));
    let first = hive.propose(proposal.clone()).unwrap();
    vote(&hive, "p", "ada", Vote::No).unwrap();
    vote(&hive, "p", "bob", Vote::No).unwrap();
    let first = first.wait();
    assert!(matches!(first, Outcome::Rejected { .. }));
    assert_eq!(hive.propose(proposal).unwrap().wait(), first);
    assert!(hive.ballots().is_empty());
    assert_replays(&hive);
}

#[test]
fn what_comes_under_the_name_of_a_ballot_waits_for_it_though_it_needs_no_votes() {
    let hive = Hive::builder().build().unwrap();
    let voted = propose(&hive, "p", three(Threshold::Majority));
    let plain = hive.propose(set(&hive, "p", "p")).unwrap();
    hive.drain().unwrap();
    assert_eq!(hive.metrics().voted_on, 2);
    plain.cancel();
    hive.drain().unwrap();
    // The name was taken back, whoever sent it.
    let told = [voted.wait(), plain.wait()];
    let is_told =
        |outcome: &Outcome| matches!(outcome, Outcome::Cancelled | Outcome::Invalid { .. });
    assert!(told.iter().all(is_told), "{told:?}");
    assert_replays(&hive);
}

/// G3 and G11: whoever votes when and how often, each proposal gets one answer, and that is what the recorded votes say.
#[test]
fn each_ballot_is_answered_once_however_many_vote_at_once() {
    const BALLOTS: usize = 60;
    const MEMBERS: usize = 7;
    let hive = Hive::builder().seed(3).build().unwrap();
    let roll = || (0..MEMBERS).map(|member| format!("m{member}"));
    let rule = || QuorumRule::new(roll(), Threshold::Majority).unwrap();
    let tickets: Vec<_> = (0..BALLOTS).map(|n| propose(&hive, &format!("p{n}"), rule())).collect();
    std::thread::scope(|scope| {
        for (number, member) in roll().enumerate() {
            let hive = &hive;
            scope.spawn(move || {
                for turn in 0..BALLOTS {
                    let ballot = (turn * 7 + number * 13) % BALLOTS;
                    // As many say yes as the ballot's number modulo 7.
                    let says = match (ballot + number * 3) % MEMBERS {
                        place if place < ballot % MEMBERS => Vote::Yes,
                        6 => Vote::Abstain,
                        _ => Vote::No,
                    };
                    // Twice: the second never counts.
                    let vote = CastVote::on(format!("p{ballot}"), member.as_str(), says);
                    let told = hive.cast(vec![vote.clone(), vote]).wait();
                    assert!(told[1].is_err(), "{told:?}");
                }
            });
        }
    });
    let outcomes: Vec<Outcome> = tickets.into_iter().map(Ticket::wait).collect();
    let history = assert_replays(&hive);
    let mut yes = BTreeMap::<String, usize>::new();
    for vote in history.iter().flat_map(|record| &record.votes) {
        *yes.entry(vote.proposal.to_string()).or_default() += usize::from(vote.vote == Vote::Yes);
    }
    for (number, outcome) in outcomes.iter().enumerate() {
        let is_majority = yes[&format!("p{number}")] * 2 > MEMBERS;
        assert_eq!(outcome.is_committed(), is_majority, "{outcome}");
    }
    let passed = outcomes.iter().filter(|outcome| outcome.is_committed()).count();
    assert!(passed > 0 && passed < BALLOTS, "{passed}");
    let metrics = hive.metrics();
    assert_eq!((metrics.answered(), metrics.voted_on), (BALLOTS as u64, 0));
    assert!(hive.version() > Version(0));
}
