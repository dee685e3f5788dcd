//! To whom the queen owes answers.

use queenright_primitives::notify::Sender;

use super::publish::Answer;
use crate::log::Record;
use crate::outcome::Outcome;
use crate::proposal::Proposal;

/// To whom the outcomes of a part of a batch are owed, in the order of the batch.
pub(crate) enum Owed {
    /// Nobody waits any more: it was submitted before the hive was restored.
    Nobody,
    One(Sender<Outcome>),
    Many(usize, Sender<Vec<Outcome>>),
    /// One of several that were submitted together, some of which are answered already.
    Member {
        group: usize,
        place: usize,
    },
}

impl Owed {
    pub(crate) fn len(&self) -> usize {
        match self {
            Owed::Many(count, _) => *count,
            Owed::Nobody | Owed::One(_) | Owed::Member { .. } => 1,
        }
    }
}

/// Proposals that were submitted together, of which some stay pending.
struct Group {
    outcomes: Vec<Option<Outcome>>,
    sender: Sender<Vec<Outcome>>,
}

/// What is owed from round to round.
#[derive(Default)]
pub(crate) struct Debts {
    /// What lost in the last round and is judged again in the next.
    pub(crate) pending: Vec<(Proposal, Owed)>,
    groups: Vec<Option<Group>>,
}

impl Debts {
    pub(crate) fn of(pending: Vec<(Proposal, Owed)>) -> Self {
        Debts { pending, groups: Vec::new() }
    }

    /// One debt for each proposal of a part.
    pub(crate) fn divide(&mut self, owed: Owed) -> Vec<Owed> {
        match owed {
            Owed::Many(count, sender) => {
                let group = self.groups.len();
                self.groups.push(Some(Group { outcomes: vec![None; count], sender }));
                (0..count).map(|place| Owed::Member { group, place }).collect()
            }
            one => vec![one],
        }
    }

    pub(crate) fn is_cancelled(&self, owed: &Owed) -> bool {
        match owed {
            Owed::Nobody => false,
            Owed::One(sender) => sender.is_cancelled(),
            Owed::Many(_, sender) => sender.is_cancelled(),
            Owed::Member { group, .. } => {
                self.groups[*group].as_ref().is_some_and(|group| group.sender.is_cancelled())
            }
        }
    }

    /// Answers a part of a round, which begins at `start`, or keeps what stays pending of it.
    pub(crate) fn answer(
        &mut self,
        record: &Record,
        owed: Owed,
        start: usize,
        answers: &mut Vec<Answer>,
    ) {
        let Record { batch, verdicts, .. } = record;
        match owed {
            Owed::Many(count, sender) => {
                let places = start..start + count;
                let mut pending = places.clone().filter(|at| verdicts.is_pending(*at)).peekable();
                if pending.peek().is_none() {
                    return answers.push(Answer::Many(sender, places));
                }
                let group = self.groups.len();
                let mut outcomes: Vec<_> =
                    verdicts.outcomes[places.clone()].iter().cloned().map(Some).collect();
                for at in pending {
                    let place = at - start;
                    outcomes[place] = None;
                    self.pending.push((batch[at].clone(), Owed::Member { group, place }));
                }
                self.groups.push(Some(Group { outcomes, sender }));
            }
            one if verdicts.is_pending(start) => self.pending.push((batch[start].clone(), one)),
            Owed::One(sender) => answers.push(Answer::One(sender, start)),
            Owed::Member { group, place } => {
                self.answer_member(group, place, verdicts.outcomes[start].clone(), answers);
            }
            Owed::Nobody => {}
        }
    }

    /// Answers all of a part in one way.
    pub(crate) fn answer_all(&mut self, owed: Owed, outcome: Outcome, answers: &mut Vec<Answer>) {
        match owed {
            Owed::Nobody => {}
            Owed::One(sender) => answers.push(Answer::Said(sender, outcome)),
            Owed::Many(count, sender) => {
                answers.push(Answer::AllSaid(sender, vec![outcome; count]));
            }
            Owed::Member { group, place } => self.answer_member(group, place, outcome, answers),
        }
    }

    /// Answers one of several, and all of them once it was the last.
    fn answer_member(
        &mut self,
        group: usize,
        place: usize,
        outcome: Outcome,
        answers: &mut Vec<Answer>,
    ) {
        let Some(members) = &mut self.groups[group] else { return };
        members.outcomes[place] = Some(outcome);
        if members.outcomes.iter().all(Option::is_some)
            && let Some(Group { outcomes, sender }) = self.groups[group].take()
        {
            answers.push(Answer::AllSaid(sender, outcomes.into_iter().flatten().collect()));
        }
    }

    /// Forgets the groups that are answered, from the end on.
    pub(crate) fn tidy(&mut self) {
        let used = self.groups.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        self.groups.truncate(used);
    }
}
