//! Owns the list of all spools of a node: its own, and those of the journals that it delivers from besides (taken over, or what is left of its own
//! that others took). Verbs and listings of operators go through here: an id is in one of them, a queue of one name may be in several.

use std::collections::BTreeMap;

use mail::MessageId;
use spool::{Filter, HopId, HopKey, MessageView, QueueState, QueueView, Spool, VerbError};

/// The spools of a node. Made for one question: journals come and go.
pub struct Spools {
    own: Spool,
    others: Vec<(String, Spool)>,
}

/// What is shown, and in which other journal than the node's own it is.
pub type InJournal<T> = (T, Option<String>);

impl Spools {
    /// The node's own spool, and others with the names of their journals.
    pub fn new(own: Spool, others: Vec<(String, Spool)>) -> Spools {
        Spools { own, others }
    }

    fn all(&self) -> impl Iterator<Item = (Option<&str>, &Spool)> {
        let others = self.others.iter().map(|(journal, spool)| (Some(journal.as_str()), spool));
        std::iter::once((None, &self.own)).chain(others)
    }

    /// Messages in custody, all together.
    pub fn messages_len(&self) -> u64 {
        self.all().map(|(_, spool)| spool.totals().messages).sum()
    }

    /// Does something to each.
    pub fn each(&self, act: impl Fn(&Spool)) {
        self.all().for_each(|(_, spool)| act(spool));
    }

    /// The spool that a message is in.
    pub fn of(&self, id: MessageId) -> Result<&Spool, VerbError> {
        self.all().map(|(_, spool)| spool).find(|spool| spool.has(id)).ok_or(VerbError::NoMessage)
    }

    /// One message.
    pub fn message(&self, id: MessageId) -> Option<InJournal<MessageView>> {
        self.all().find_map(|(journal, spool)| Some((spool.message(id)?, journal.map(String::from))))
    }

    /// Up to `limit` messages that match, oldest first, behind the message `after`.
    pub fn messages(&self, filter: &Filter, limit: usize, after: Option<MessageId>) -> Vec<InJournal<MessageView>> {
        let mut found = Vec::new();
        for (journal, spool) in self.all() {
            found
                .extend(spool.messages(filter, limit, after).into_iter().map(|view| (view, journal.map(String::from))));
        }
        found.sort_by_key(|(view, _)| view.id);
        found.truncate(limit);
        found
    }

    /// All queues by name, each with the other journals that it has mail from.
    pub fn queues(&self) -> Vec<(QueueView, Vec<String>)> {
        let mut queues: BTreeMap<HopKey, (QueueView, Vec<String>)> = BTreeMap::new();
        for (journal, spool) in self.all() {
            for view in spool.queues() {
                let journals = journal.filter(|_| view.messages > 0).map(String::from);
                match queues.get_mut(&view.key) {
                    None => drop(queues.insert(view.key.clone(), (view, journals.into_iter().collect()))),
                    Some((known, in_journals)) => {
                        add(known, view);
                        in_journals.extend(journals);
                    }
                }
            }
        }
        queues.into_values().collect()
    }

    /// Does something to a queue, wherever there is one of that name.
    pub fn on_queue(&self, name: &str, verb: impl Fn(&Spool, HopId) -> Result<(), VerbError>) -> Result<(), VerbError> {
        let mut done = Err(VerbError::NoQueue);
        for (_, spool) in self.all() {
            if let Some(hop) = spool.queue_named(name) {
                done = verb(spool, hop);
                done?;
            }
        }
        done
    }
}

/// Two queues to the same next hop as one.
fn add(known: &mut QueueView, other: QueueView) {
    known.messages += other.messages;
    known.ready += other.ready;
    known.in_hand += other.in_hand;
    known.deferred += other.deferred;
    known.suspended += other.suspended;
    known.bytes += other.bytes;
    known.incoming_per_s += other.incoming_per_s;
    known.outgoing_per_s += other.outgoing_per_s;
    if graver(other.state) > graver(known.state) {
        known.state = other.state;
        known.next_retry_ms = other.next_retry_ms;
    }
    if other.failures > known.failures {
        known.failures = other.failures;
        known.last_error = other.last_error;
        known.last_attempt_ms = other.last_attempt_ms;
    }
}

/// What an operator should see first.
fn graver(state: QueueState) -> u8 {
    match state {
        QueueState::Ready => 0,
        QueueState::Active => 1,
        QueueState::Retry => 2,
        QueueState::Unreachable => 3,
        QueueState::Suspended => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_queues_of_one_name_are_one_that_shows_the_worse_side() {
        let view = |state, messages, failures| QueueView {
            hop: HopId(messages),
            key: HopKey::Lmtp { target: "x".into() },
            state,
            messages,
            ready: messages,
            in_hand: 0,
            deferred: 0,
            suspended: 0,
            bytes: 10 * messages,
            failures,
            last_error: (failures > 0).then(|| "refused".into()),
            last_attempt_ms: Some(5),
            next_retry_ms: (failures > 0).then_some(9),
            incoming_per_s: 1.0,
            outgoing_per_s: 0.0,
        };
        let mut known = view(QueueState::Active, 3, 0);
        add(&mut known, view(QueueState::Retry, 4, 2));
        assert_eq!((known.messages, known.ready, known.bytes, known.failures), (7, 7, 70, 2));
        assert_eq!(
            (known.state, known.next_retry_ms, known.last_error.as_deref()),
            (QueueState::Retry, Some(9), Some("refused"))
        );
        add(&mut known, view(QueueState::Ready, 0, 0));
        assert_eq!((known.state, known.hop), (QueueState::Retry, HopId(3)));
    }
}
