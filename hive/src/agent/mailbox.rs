//! What is told to an agent, until it looks.

use std::collections::VecDeque;

use queenright_primitives::notify::Sender;

use crate::value::Value;

/// What is done with a message for which there is no room in a mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// The sender has it back.
    #[default]
    Refuse,
    /// The oldest message is dropped, and counted.
    DropOldest,
    /// It is dropped itself, and counted.
    DropNewest,
}

/// One message, and who waits for an answer.
pub(crate) struct Letter {
    pub(crate) message: Value,
    pub(crate) reply: Option<Sender<Result<Value, String>>>,
}

pub(crate) struct Mailbox {
    letters: VecDeque<Letter>,
    capacity: usize,
    overflow: Overflow,
    is_closed: bool,
}

/// What became of a letter.
pub(crate) enum Posted {
    /// It is in the mailbox, and so many were dropped for it.
    Taken(u64),
    Full(Letter),
    Closed(Letter),
}

impl Mailbox {
    pub(crate) fn new(capacity: usize, overflow: Overflow) -> Self {
        Mailbox { letters: VecDeque::new(), capacity, overflow, is_closed: false }
    }

    pub(crate) fn post(&mut self, letter: Letter) -> Posted {
        if self.is_closed {
            return Posted::Closed(letter);
        }
        if self.letters.len() < self.capacity {
            self.letters.push_back(letter);
            return Posted::Taken(0);
        }
        match self.overflow {
            Overflow::Refuse => Posted::Full(letter),
            Overflow::DropOldest if self.capacity > 0 => {
                self.letters.pop_front();
                self.letters.push_back(letter);
                Posted::Taken(1)
            }
            // Who asked is told that nobody will answer.
            Overflow::DropOldest | Overflow::DropNewest => Posted::Taken(1),
        }
    }

    pub(crate) fn next(&mut self) -> Option<Letter> {
        let next = self.letters.pop_front();
        if self.letters.is_empty() {
            // An idle agent keeps none of it.
            self.letters = VecDeque::new();
        }
        next
    }

    /// Refuses letters from now on, and gives those that nobody will read.
    pub(crate) fn close(&mut self) -> VecDeque<Letter> {
        self.is_closed = true;
        std::mem::take(&mut self.letters)
    }

    pub(crate) fn len(&self) -> usize {
        self.letters.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(message: i64) -> Letter {
        Letter { message: message.into(), reply: None }
    }

    fn filled(overflow: Overflow) -> (Mailbox, [bool; 3]) {
        let mut mailbox = Mailbox::new(2, overflow);
        let taken = [1, 2, 3].map(|n| matches!(mailbox.post(letter(n)), Posted::Taken(_)));
        (mailbox, taken)
    }

    fn read(mut mailbox: Mailbox) -> Vec<Value> {
        std::iter::from_fn(|| mailbox.next()).map(|letter| letter.message).collect()
    }

    #[test]
    fn a_full_mailbox_does_what_it_was_told_to() {
        let numbers = |all: &[i64]| all.iter().map(|n| Value::from(*n)).collect::<Vec<_>>();
        let (mailbox, taken) = filled(Overflow::Refuse);
        assert_eq!((taken, read(mailbox)), ([true, true, false], numbers(&[1, 2])));
        let (mailbox, taken) = filled(Overflow::DropOldest);
        assert_eq!((taken, read(mailbox)), ([true; 3], numbers(&[2, 3])));
        let (mailbox, taken) = filled(Overflow::DropNewest);
        assert_eq!((taken, read(mailbox)), ([true; 3], numbers(&[1, 2])));
    }

    #[test]
    fn a_closed_mailbox_takes_nothing_and_gives_what_is_left() {
        let (mut mailbox, _) = filled(Overflow::Refuse);
        assert_eq!(mailbox.close().len(), 2);
        assert!(matches!(mailbox.post(letter(4)), Posted::Closed(_)));
        assert_eq!(mailbox.len(), 0);
    }
}
