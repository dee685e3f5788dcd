use super::*;

const VOTES: [Option<Vote>; 5] =
    [None, Some(Vote::Yes), Some(Vote::No), Some(Vote::Abstain), Some(Vote::Veto)];

fn member(number: usize) -> AgentId {
    format!("m{number}").into()
}

fn rule(members: usize, threshold: Threshold) -> QuorumRule {
    QuorumRule::new((0..members).map(member), threshold).unwrap()
}

fn ballot(votes: impl IntoIterator<Item = (usize, Vote)>) -> Ballot {
    let votes = votes.into_iter().map(|(number, vote)| (member(number), vote)).collect();
    Ballot { votes, ..Ballot::default() }
}

/// Every way in which a roll can have voted, as digits to base 5: the vote of member 0 first, 0 for none.
struct Patterns(usize);

impl Patterns {
    fn count(&self) -> usize {
        5_usize.pow(self.0 as u32)
    }

    fn vote(&self, pattern: usize, number: usize) -> usize {
        pattern / 5_usize.pow(number as u32) % 5
    }

    fn ballot(&self, pattern: usize) -> Ballot {
        let vote = |number| Some((number, VOTES[self.vote(pattern, number)]?));
        ballot((0..self.0).filter_map(vote))
    }
}

/// What a rule asks for, said once more: a share of the weights in whole numbers.
struct Asked {
    weights: Vec<u64>,
    /// Yes if `yes × among ≥ of × all`, or, for more than half, `yes × 2 > all`.
    share: Share,
    tie: Tie,
    veto: Vec<usize>,
}

#[derive(Clone, Copy)]
enum Share {
    MoreThanHalf,
    AtLeast(u64, u64),
    Weight(u64),
}

impl Asked {
    fn passes(&self, patterns: &Patterns, pattern: usize) -> bool {
        let says = |number: usize, vote: Vote| VOTES[patterns.vote(pattern, number)] == Some(vote);
        if self.veto.iter().any(|&number| says(number, Vote::Veto)) {
            return false;
        }
        let all: u64 = self.weights.iter().sum();
        let yes: u64 =
            (0..patterns.0).filter(|&n| says(n, Vote::Yes)).map(|n| self.weights[n]).sum();
        match self.share {
            Share::MoreThanHalf if yes * 2 == all => match &self.tie {
                Tie::Fails => false,
                Tie::Passes => true,
                Tie::Chair(chair) => {
                    (0..patterns.0).any(|n| member(n) == *chair && says(n, Vote::Yes))
                }
            },
            Share::MoreThanHalf => yes * 2 > all,
            Share::AtLeast(of, among) => yes * among >= of * all,
            Share::Weight(weight) => yes >= weight,
        }
    }

    /// By pattern: whether it can still come to fail (1) or to pass (2).
    fn possible(&self, patterns: &Patterns) -> Vec<u8> {
        let mut possible = vec![0; patterns.count()];
        // More votes are a larger number, so that what can follow a pattern is known before it.
        for pattern in (0..patterns.count()).rev() {
            possible[pattern] = if self.passes(patterns, pattern) { 2 } else { 1 };
            for number in (0..patterns.0).filter(|n| patterns.vote(pattern, *n) == 0) {
                let most = if self.veto.contains(&number) { 4 } else { 3 };
                for vote in 1..=most {
                    possible[pattern] |= possible[pattern + vote * 5_usize.pow(number as u32)];
                }
            }
        }
        possible
    }
}

fn check(rule: &QuorumRule, asked: &Asked) {
    let patterns = Patterns(asked.weights.len());
    let possible = asked.possible(&patterns);
    for (pattern, possible) in possible.into_iter().enumerate() {
        let is_cast = |number| patterns.vote(pattern, number) < 4 || asked.veto.contains(&number);
        if !(0..patterns.0).all(is_cast) {
            continue;
        }
        let ballot = patterns.ballot(pattern);
        let passes = asked.passes(&patterns, pattern);
        assert_eq!(rule.is_passed(&ballot), passes, "{rule:?} {ballot:?}");
        assert_eq!(rule.decision(&ballot, true), Some(passes), "{rule:?} {ballot:?}");
        let early = match possible {
            1 => Some(false),
            2 => Some(true),
            _ => None,
        };
        assert_eq!(rule.decision(&ballot, false), early, "{rule:?} {ballot:?}");
        assert_eq!(rule.clone().votes_may_change().decision(&ballot, false), None);
    }
}

/// G11: for each rule it is asked after every way of voting, whether it is over or not.
#[test]
fn all_ways_of_voting_of_rolls_of_one_to_seven_are_counted_right() {
    let shares = [
        (Threshold::Majority, Share::MoreThanHalf),
        (Threshold::Unanimous, Share::AtLeast(1, 1)),
        (Threshold::Fraction { of: 2, among: 3 }, Share::AtLeast(2, 3)),
        (Threshold::Fraction { of: 1, among: 7 }, Share::AtLeast(1, 7)),
    ];
    for members in 1..=7 {
        for (threshold, share) in shares {
            // All members may say veto, which is the most there is to enumerate; for large rolls one of them.
            let holders = if members < 6 { members } else { 1 };
            for veto in [0, holders] {
                let rule = rule(members, threshold).veto((0..veto).map(member)).unwrap();
                let (weights, veto) = (vec![1; members], (0..veto).collect());
                check(&rule, &Asked { weights, share, tie: Tie::Fails, veto });
            }
        }
    }
}

#[test]
fn ties_are_counted_right_in_all_ways_of_voting() {
    for members in [1, 2, 3, 4, 6] {
        for tie in [Tie::Passes, Tie::Chair(member(0)), Tie::Chair(member(members - 1))] {
            for veto in [vec![], vec![0]] {
                let rule = rule(members, Threshold::Majority).tie(tie.clone()).unwrap();
                let rule = rule.veto(veto.iter().map(|n| member(*n))).unwrap();
                let (weights, share) = (vec![1; members], Share::MoreThanHalf);
                check(&rule, &Asked { weights, share, tie: tie.clone(), veto });
            }
        }
    }
}

#[test]
fn weights_are_counted_right_in_all_ways_of_voting() {
    let rolls: [&[u64]; 4] = [&[5, 1, 1], &[3, 2, 2, 1], &[u32::MAX as u64, 1], &[1, 1, 1, 1, 4]];
    for weights in rolls {
        let all: u64 = weights.iter().sum();
        let shares = [
            (Threshold::Majority, Share::MoreThanHalf),
            (Threshold::Fraction { of: 3, among: 5 }, Share::AtLeast(3, 5)),
            (Threshold::Weight(all.div_ceil(2)), Share::Weight(all.div_ceil(2))),
            (Threshold::Weight(1), Share::Weight(1)),
        ];
        for (threshold, share) in shares {
            let roll = weights.iter().enumerate().map(|(n, weight)| (member(n), *weight as u32));
            let mut rule = QuorumRule::weighted(roll, threshold).unwrap();
            let mut tie = Tie::Fails;
            if threshold == Threshold::Majority {
                tie = Tie::Chair(member(0));
                rule = rule.tie(tie.clone()).unwrap();
            }
            check(&rule, &Asked { weights: weights.to_vec(), share, tie, veto: vec![] });
        }
    }
}

/// A system that asked for a quorum of the votes *cast* was ruled by whoever voted first.
#[test]
fn the_first_yes_of_several_decides_nothing() {
    for members in 2..8 {
        let ballot = ballot([(0, Vote::Yes)]);
        let rule = rule(members, Threshold::Majority);
        assert_eq!(rule.decision(&ballot, false), None, "of {members}");
        assert!(!rule.is_passed(&ballot), "not at its end either, of {members}");
    }
}

/// `floor(n × 0.66)` is 1 of 2, 1 of 3 and 4 of 7.
#[test]
fn two_thirds_are_not_rounded_down() {
    let needed = |members| rule(members, Threshold::Fraction { of: 2, among: 3 }).needed();
    assert_eq!([1, 2, 3, 4, 5, 6, 7, 100].map(needed), [1, 2, 2, 3, 4, 4, 5, 67]);
    assert_eq!(
        [1, 2, 3, 4, 7].map(|members| rule(members, Threshold::Majority).needed()),
        [1, 2, 2, 3, 4]
    );
}

/// `ceil(3 × 0.67)` is 3: two thirds of three were all three.
#[test]
fn two_of_three_are_two_thirds() {
    let rule = rule(3, Threshold::Fraction { of: 2, among: 3 });
    assert_eq!(rule.decision(&ballot([(0, Vote::Yes), (2, Vote::Yes)]), false), Some(true));
}

#[test]
fn strangers_and_second_votes_count_nothing() {
    let rule = rule(3, Threshold::Majority);
    let mut ballot = ballot([(0, Vote::Yes), (7, Vote::Yes), (8, Vote::Yes)]);
    assert!(!rule.is_passed(&ballot), "one yes of three is no majority");
    assert_eq!(rule.admits(&ballot, &member(9), Vote::Yes), Err(VoteError::NotOfTheRoll));
    let has_voted = Err(VoteError::HasVoted { cast: Vote::Yes });
    assert_eq!(rule.admits(&ballot, &member(0), Vote::Yes), has_voted);
    assert_eq!(rule.admits(&ballot, &member(1), Vote::Veto), Err(VoteError::NoVeto));
    assert_eq!(rule.admits(&ballot, &member(1), Vote::No), Ok(()));
    assert_eq!(rule.clone().votes_may_change().admits(&ballot, &member(0), Vote::No), Ok(()));
    ballot.votes.insert(member(1), Vote::Abstain);
    let tally = Tally { yes: 1, abstained: 1, needed: 2, of: 3, ..Tally::default() };
    assert_eq!(rule.count(&ballot), tally);
}

#[test]
fn a_veto_of_somebody_who_has_none_is_a_no() {
    let rule = rule(3, Threshold::Majority).veto([member(0)]).unwrap();
    let tally = rule.count(&ballot([(1, Vote::Veto), (0, Vote::Yes), (2, Vote::Yes)]));
    assert!(!tally.vetoed && tally.no == 1);
    assert!(rule.count(&ballot([(0, Vote::Veto)])).vetoed);
}

#[test]
fn rules_that_nobody_or_nothing_could_fulfil_are_refused() {
    let none: [&str; 0] = [];
    assert_eq!(QuorumRule::new(none, Threshold::Majority), Err(QuorumError::EmptyRoll));
    for (of, among) in [(0, 3), (4, 3), (0, 0)] {
        let fraction = Threshold::Fraction { of, among };
        let error = QuorumRule::new(["a"], fraction).unwrap_err();
        assert_eq!(error, QuorumError::Fraction { of, among });
    }
    for weight in [0, 4] {
        let error = QuorumRule::weighted([("a", 1), ("b", 2)], Threshold::Weight(weight));
        assert_eq!(error, Err(QuorumError::Weight { weight, all: 3 }));
    }
    let weightless = QuorumRule::weighted([("a", 0)], Threshold::Majority);
    assert_eq!(weightless, Err(QuorumError::Weightless("a".into())));
    let stranger = QuorumError::NotOfTheRoll("x".into());
    let majority = || QuorumRule::new(["a", "b"], Threshold::Majority).unwrap();
    assert_eq!(majority().tie(Tie::Chair("x".into())), Err(stranger.clone()));
    assert_eq!(majority().veto(["a", "x"]), Err(stranger));
    let unanimous = QuorumRule::new(["a", "b"], Threshold::Unanimous).unwrap();
    assert_eq!(unanimous.tie(Tie::Passes), Err(QuorumError::NoTies(Threshold::Unanimous)));
}
