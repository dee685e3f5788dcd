//! `queenright log show --round`: one round in full.

use std::fmt::Write;

use queenright::{Precondition, Proposal, Read, Record, Version};
use serde_json::{Value as Json, json};

use super::read::Log;
use super::words::{SHOWN, named, op_json, value_json, vote_json};
use super::{FINE, Fault, document, print};
use crate::args::{Format, Show};
use crate::human::{count, cut};

pub(super) fn run(args: &Show, round: u64) -> Result<u8, Fault> {
    let log = Log::open(&args.path)?;
    let absent = |help: String| {
        let what = format!("{}: round {round} is not there", log.path.display());
        Fault::new(what).in_round(round).help(help)
    };
    if round < log.reader.first().0 {
        return Err(absent(format!("rounds are kept from {} on", log.reader.first())));
    }
    let Some(record) = log.after(Version(round - 1), None)?.next().transpose()? else {
        let last = log
            .after(log.before(), None)?
            .try_fold(log.before(), |_, record| Ok::<_, Fault>(record?.input.round))?;
        return Err(absent(format!("the log ends with round {last}")));
    };
    let text = match args.format {
        Format::Human => human(&record, args.verbose),
        Format::Json => json(&record),
    };
    print(&text, FINE)
}

/// The proposals with what was said to each.
fn answered(record: &Record) -> impl Iterator<Item = (&Proposal, String, bool)> {
    let answers = record.batch.iter().zip(&record.verdicts.outcomes).enumerate();
    answers.map(|(place, (proposal, outcome))| {
        (proposal, outcome.to_string(), record.verdicts.is_pending(place))
    })
}

fn human(record: &Record, verbose: bool) -> String {
    let input = &record.input;
    let mut text = format!(
        "round {}: {}, {} committed\n  clock     {}\n  seed      {}\n  record    {}\n  previous  {}\n",
        input.round,
        count(record.batch.len(), "proposal"),
        record.verdicts.accepted.len(),
        input.now,
        input.seed,
        record.digest,
        record.previous,
    );
    let most = if verbose { usize::MAX } else { SHOWN };
    for (proposal, outcome, is_pending) in answered(record).take(most) {
        let _ = write!(text, "\n{}, by {}", named(proposal), proposal.agent);
        let _ = writeln!(
            text,
            ", on version {}, born in {}, class {}{}",
            proposal.base,
            proposal.born,
            proposal.hint.class,
            deadline(proposal)
        );
        for read in &proposal.reads {
            let _ = match read {
                Read::Key(key) => writeln!(text, "  read   {key}"),
                Read::Under(prefix) => writeln!(text, "  read   all under {prefix}"),
            };
        }
        for precondition in &proposal.preconditions {
            let _ = writeln!(text, "  where  {}", cut(&precondition.to_string(), verbose));
        }
        for (key, op) in &proposal.writes {
            let _ = writeln!(text, "  write  {key}: {}", cut(&op.to_string(), verbose));
        }
        let pending = if is_pending { "pending: judged again in the next round; now " } else { "" };
        let _ = writeln!(text, "  told   {pending}{}", cut(&outcome, verbose));
    }
    let hidden = record.batch.len().saturating_sub(most);
    if hidden > 0 {
        let _ = writeln!(text, "\n… and {}; -v shows all", count(hidden, "more proposal"));
    }
    text += &ballots(record);
    text
}

fn deadline(proposal: &Proposal) -> String {
    proposal.hint.deadline.map_or_else(String::new, |time| format!(", until {time}"))
}

fn ballots(record: &Record) -> String {
    let mut text = String::new();
    for proposal in &record.opened {
        let _ = writeln!(text, "\nballot opened on {}", named(proposal));
    }
    for vote in &record.votes {
        let _ = writeln!(
            text,
            "\n{} votes {} on {}, attempt {}",
            vote.member, vote.vote, vote.proposal, vote.attempt
        );
    }
    for ((id, attempt), ballot) in &record.input.ballots {
        let votes: Vec<String> =
            ballot.votes.iter().map(|(member, vote)| format!("{member} {vote}")).collect();
        let votes = if votes.is_empty() { "no votes".to_owned() } else { votes.join(", ") };
        let _ = writeln!(text, "\nballot decided on {id}, attempt {attempt}: {votes}");
    }
    for (id, attempt) in &record.input.cancelled {
        let _ = writeln!(text, "\ntaken back: {id}, attempt {attempt}");
    }
    text
}

fn json(record: &Record) -> String {
    let Record { input, .. } = record;
    let proposals = answered(record).zip(&record.verdicts.outcomes);
    let proposals = proposals.map(|((proposal, told, is_pending), outcome)| {
        let mut fields = proposal_json(proposal);
        fields["outcome"] = outcome.name().into();
        fields["told"] = told.into();
        fields["pending"] = is_pending.into();
        fields
    });
    let ballots = input.ballots.iter().map(|((id, attempt), ballot)| {
        let votes = ballot
            .votes
            .iter()
            .map(|(member, vote)| json!({ "member": member.as_str(), "vote": vote.name() }));
        json!({
            "proposal": id.as_str(),
            "attempt": attempt,
            "content": ballot.content.to_string(),
            "votes": votes.collect::<Vec<_>>(),
        })
    });
    let name = |id: &str, attempt: u32| json!({ "proposal": id, "attempt": attempt });
    document(json!({
        "round": input.round.0,
        "clock": input.now,
        "seed": input.seed,
        "digest": record.digest.to_string(),
        "previous": record.previous.to_string(),
        "proposals": proposals.collect::<Vec<_>>(),
        "opened": record.opened.iter().map(|it| name(it.id.as_str(), it.attempt)).collect::<Vec<_>>(),
        "votes": record.votes.iter().map(vote_json).collect::<Vec<_>>(),
        "ballots": ballots.collect::<Vec<_>>(),
        "cancelled": input.cancelled.iter().map(|(id, attempt)| name(id.as_str(), *attempt)).collect::<Vec<_>>(),
    }))
}

fn proposal_json(proposal: &Proposal) -> Json {
    let reads = proposal.reads.iter().map(|read| match read {
        Read::Key(key) => json!({ "key": key.as_str() }),
        Read::Under(prefix) => json!({ "under": prefix.as_str() }),
    });
    let preconditions = proposal.preconditions.iter().map(|precondition| match precondition {
        Precondition::Equals(key, value) => {
            json!({ "key": key.as_str(), "equals": value_json(Some(value)) })
        }
        other => {
            let exists = matches!(other, Precondition::Exists(_));
            json!({ "key": other.key().as_str(), "exists": exists })
        }
    });
    let writes = proposal.writes.iter().map(|(key, op)| {
        let mut fields = op_json(op);
        fields["key"] = key.as_str().into();
        fields
    });
    json!({
        "id": proposal.id.as_str(),
        "attempt": proposal.attempt,
        "agent": proposal.agent.as_str(),
        "incarnation": proposal.incarnation,
        "base": proposal.base.0,
        "born": proposal.born.0,
        "class": proposal.hint.class.to_string(),
        "deadline": proposal.hint.deadline,
        "reads": reads.collect::<Vec<_>>(),
        "require": preconditions.collect::<Vec<_>>(),
        "writes": writes.collect::<Vec<_>>(),
    })
}
