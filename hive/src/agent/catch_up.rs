//! Bringing agents to where others were whose rounds are recorded.

use std::collections::BTreeMap;
use std::sync::Arc;

use queenright_primitives::Version;

use super::Roster;
use crate::consensus::apply;
use crate::hive::TRANSACT_AGENT;
use crate::id::ProposalId;
use crate::log::Record;
use crate::proposal::Proposal;
use crate::state::{Snapshot, State};

impl Roster {
    /// Goes through recorded rounds, from `base` on, as `Hive::catch_up` says, and returns how many transactions were among them.
    ///
    /// # Errors
    /// The first round that these agents do not propose.
    pub(crate) fn catch_up(
        &mut self,
        base: State,
        records: &[Arc<Record>],
        seed: u64,
    ) -> Result<u64, Version> {
        let (mut before, mut transactions) = (Snapshot::from(base), 0);
        for record in records {
            let Record { input, batch, verdicts, .. } = &**record;
            self.wake_on_change(&before);
            let proposed = self.run_woken(&before, seed);
            let after = Snapshot::from(apply(&before, batch, input, verdicts));
            if !self.follow(proposed, record, &after) {
                return Err(input.round);
            }
            transactions += batch.iter().filter(|it| is_transaction(it)).count() as u64;
            before = after;
        }
        Ok(transactions)
    }

    /// Tells those who proposed this what is recorded, and says whether just that is recorded, or a transaction after all had settled.
    fn follow(
        &mut self,
        proposed: Vec<(usize, Proposal)>,
        record: &Record,
        now: &Snapshot,
    ) -> bool {
        let (transactions, batch): (Vec<_>, Vec<_>) =
            record.batch.iter().enumerate().partition(|(_, proposal)| is_transaction(proposal));
        let places: BTreeMap<&ProposalId, usize> =
            batch.iter().map(|(place, proposal)| (&proposal.id, *place)).collect();
        let is_same = batch.len() == proposed.len()
            && batch.is_empty() != transactions.is_empty()
            && record.verdicts.pending.is_empty();
        let answer = |(member, proposal): (usize, Proposal)| {
            let place = *places.get(&proposal.id)?;
            let outcome = record.verdicts.outcomes.get(place)?.clone();
            (record.batch[place] == proposal).then_some((member, proposal, outcome))
        };
        let answers: Option<Vec<_>> = proposed.into_iter().map(answer).collect();
        match answers {
            Some(answers) if is_same => {
                self.deliver(answers, now);
                true
            }
            _ => false,
        }
    }
}

fn is_transaction(proposal: &Proposal) -> bool {
    proposal.agent.as_str() == TRANSACT_AGENT
}
