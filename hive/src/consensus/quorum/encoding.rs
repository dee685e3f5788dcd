//! The canonical bytes of votes, and of what they are counted by.

use std::collections::{BTreeMap, BTreeSet};

use super::{Ballot, CastVote, QuorumRule, Tally, Threshold, Tie, Vote};
use crate::encoding::{Decode, DecodeError, Encode, Sink, Source, fields, tags};
use crate::id::AgentId;

impl Encode for Threshold {
    fn encode(&self, sink: &mut Sink) {
        match *self {
            Threshold::Majority => drop(sink.tag(1)),
            Threshold::Unanimous => drop(sink.tag(2)),
            Threshold::Fraction { of, among } => (of, among).encode(sink.tag(3)),
            Threshold::Weight(weight) => weight.encode(sink.tag(4)),
        }
    }
}

impl Decode for Threshold {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        source.tagged("no threshold", |tag, source| {
            Ok(Some(match tag {
                1 => Threshold::Majority,
                2 => Threshold::Unanimous,
                3 => Threshold::Fraction {
                    of: Decode::decode(source)?,
                    among: Decode::decode(source)?,
                },
                4 => Threshold::Weight(Decode::decode(source)?),
                _ => return Ok(None),
            }))
        })
    }
}

impl Encode for Tie {
    fn encode(&self, sink: &mut Sink) {
        match self {
            Tie::Fails => drop(sink.tag(1)),
            Tie::Passes => drop(sink.tag(2)),
            Tie::Chair(chair) => chair.encode(sink.tag(3)),
        }
    }
}

impl Decode for Tie {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        source.tagged("no end of a tie", |tag, source| {
            Ok(Some(match tag {
                1 => Tie::Fails,
                2 => Tie::Passes,
                3 => Tie::Chair(Decode::decode(source)?),
                _ => return Ok(None),
            }))
        })
    }
}

impl Encode for QuorumRule {
    fn encode(&self, sink: &mut Sink) {
        let QuorumRule { roll, threshold, within, tie, veto, may_change_vote } = self;
        roll.encode(sink);
        threshold.encode(sink);
        within.encode(sink);
        tie.encode(sink);
        veto.encode(sink);
        may_change_vote.encode(sink);
    }
}

/// Refuses what nobody can make.
impl Decode for QuorumRule {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        let offset = source.offset();
        let (roll, threshold) = <(BTreeMap<AgentId, u32>, _)>::decode(source)?;
        let (within, tie) = <(u64, Tie)>::decode(source)?;
        let (veto, may_change_vote) = <(BTreeSet<AgentId>, bool)>::decode(source)?;
        let rule = QuorumRule::weighted(roll, threshold)
            .and_then(|rule| rule.within(within).tie(tie)?.veto(veto))
            .map_err(|_| DecodeError { offset, what: "no rule by which votes can be counted" })?;
        Ok(QuorumRule { may_change_vote, ..rule })
    }
}

tags!("no vote", Vote { 1 => Yes, 2 => No, 3 => Abstain, 4 => Veto });

fields!(Ballot { content, votes });

fields!(CastVote { proposal, attempt, member, vote });

fields!(Tally { yes, no, abstained, vetoed, needed, of });
