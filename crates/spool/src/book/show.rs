//! Owns the answers to an operator's questions. Changes nothing.

use mail::{Journey, MessageId};

use super::message::{Leg, LegState, Message, POISON, SUSPENDED};
use super::queue::Queue;
use super::{ANSWER_BYTES_MAX, Book};
use crate::hop::{HopId, HopKey};
use crate::packed;
use crate::view::{Filter, Held, MessageView, QueueState, QueueView, RecipientState, RecipientView, Totals};

/// What must be known of a message to ask anew where it goes.
pub struct Rerouted {
    /// Its name.
    pub id: MessageId,
    /// Content bytes.
    pub size_bytes: u64,
    /// Where it was before.
    pub journey: Journey,
    /// Its packed envelope.
    pub packed: Box<[u8]>,
}

impl Book {
    /// The figures.
    pub fn totals(&self) -> Totals {
        let mut totals = self.totals.clone();
        totals.body_memory_bytes = self.hot_bytes as u64;
        for queue in self.queues() {
            totals.queues += 1;
            totals.ready += u64::from(queue.ready_len());
            totals.in_hand += u64::from(queue.in_hand);
            totals.deferred += u64::from(queue.deferred.len());
        }
        totals
    }

    /// All messages.
    pub fn ids(&self) -> Vec<MessageId> {
        (0..self.messages.end()).filter_map(|at| Some(self.messages.get(at)?.id)).collect()
    }

    /// All hops.
    pub fn hops(&self) -> Vec<HopId> {
        self.queues().map(|queue| queue.id).collect()
    }

    /// Where a hop leads.
    pub fn key(&self, hop: HopId) -> Option<&HopKey> {
        self.hop(hop).map(|hop| &self.queues[hop].key)
    }

    /// Whether a hop has failed and waits on its ladder.
    pub fn waits(&self, key: &HopKey) -> bool {
        self.by_key.get(key).is_some_and(|hop| self.queues[*hop].retry_at_ms.is_some())
    }

    /// The hop whose queue has this name.
    pub fn named(&self, name: &str) -> Option<HopId> {
        self.queues().find(|queue| queue.key.to_string() == name).map(|queue| queue.id)
    }

    /// One queue.
    pub fn show_queue(&self, hop: HopId, now_ms: u64) -> Option<QueueView> {
        let queue = &self.queues[self.hop(hop)?];
        let ready = u64::from(queue.ready_len());
        Some(QueueView {
            hop,
            key: queue.key.clone(),
            state: queue_state(queue),
            messages: queue.legs.into(),
            ready,
            in_hand: queue.in_hand.into(),
            deferred: queue.deferred.len().into(),
            suspended: queue.held.len().into(),
            bytes: queue.bytes,
            failures: queue.failures,
            last_error: queue.last_error.as_deref().map(String::from),
            last_attempt_ms: queue.last_attempt_ms,
            next_retry_ms: queue.retry_at_ms,
            incoming_per_s: queue.incoming.per_s(now_ms),
            outgoing_per_s: queue.outgoing.per_s(now_ms),
        })
    }

    /// One message.
    pub fn show_message(&self, at: u32) -> Option<MessageView> {
        let message = self.messages.get(at)?;
        let addresses = packed::addresses(message.envelope());
        Some(MessageView {
            id: message.id,
            sender: packed::sender(message.envelope()).into(),
            size_bytes: message.size_bytes,
            accepted_ms: message.accepted_ms(),
            expires_ms: self.expires_ms(message),
            priority: message.priority,
            held: held(message),
            crashes: message.crashes().into(),
            repeat: message.repeat,
            recipients: addresses.zip(0..).map(|(text, index)| self.show_recipient(at, index, text)).collect(),
        })
    }

    /// Whether a message passes a filter.
    pub fn matches(&self, at: u32, filter: &Filter, now_ms: u64) -> Option<MessageId> {
        let message = self.messages.get(at)?;
        let age_ms = now_ms.saturating_sub(message.accepted_ms());
        let within = |value: u64, min: Option<u64>, max: Option<u64>| {
            min.is_none_or(|min| value >= min) && max.is_none_or(|max| value <= max)
        };
        let plain = within(age_ms, filter.age_min_ms, filter.age_max_ms)
            && within(message.size_bytes, filter.size_min, filter.size_max)
            && filter.sender.as_deref().is_none_or(|s| contains(packed::sender(message.envelope()), s))
            && filter.recipient.as_deref().is_none_or(|r| {
                let mut open = packed::addresses(message.envelope()).zip(0..);
                open.any(|(text, index)| message.leg_of(index).is_some() && contains(text, r))
            });
        if !plain {
            return None;
        }
        let leg_matches = |leg: &Leg| {
            let queue = &self.queues[leg.hop];
            filter.queue.as_deref().is_none_or(|q| contains(&queue.key.to_string(), q))
                && filter.error.as_deref().is_none_or(|e| last_reply(leg, queue).is_some_and(|text| contains(text, e)))
                && filter.state.is_none_or(|state| recipient_state(message, leg, queue) == state)
        };
        self.legs_of(at).any(|(_, leg)| leg_matches(leg)).then_some(message.id)
    }

    /// What was heard last about a message, from one of its hops.
    pub fn last_reply(&self, at: u32) -> Option<String> {
        self.legs_of(at).find_map(|(_, leg)| last_reply(leg, &self.queues[leg.hop])).map(String::from)
    }

    /// A message that is to be asked about again when routes change, and its packed envelope.
    pub fn rerouted(&self, at: u32) -> Option<Rerouted> {
        let message = self.messages.get(at)?;
        let redirected = message.extra.as_ref().is_some_and(|extra| extra.redirect.is_some());
        (!redirected).then(|| Rerouted {
            id: message.id,
            size_bytes: message.size_bytes,
            journey: message.journey(),
            packed: message.envelope().into(),
        })
    }

    fn queues(&self) -> impl Iterator<Item = &Queue> + '_ {
        (0..self.queues.end()).filter_map(|hop| self.queues.get(hop))
    }

    fn show_recipient(&self, at: u32, index: u16, address: &str) -> RecipientView {
        let message = &self.messages[at];
        let leg = message.leg_of(index).and_then(|n| self.legs_of(at).find(|(_, leg)| leg.ordinal == n));
        let Some((_, leg)) = leg else {
            return RecipientView {
                address: address.into(),
                queue: String::new(),
                state: RecipientState::Settled,
                why: String::from("nothing more is to be done"),
                attempts: 0,
                next_try_ms: None,
                last_reply: None,
            };
        };
        let queue = &self.queues[leg.hop];
        let state = recipient_state(message, leg, queue);
        RecipientView {
            address: address.into(),
            queue: queue.key.to_string(),
            state,
            why: why(state, queue),
            attempts: leg.attempts.into(),
            next_try_ms: match state {
                RecipientState::Deferred => Some(leg.due_ms.max(queue.retry_at_ms.unwrap_or(0))),
                RecipientState::HopRetry => queue.retry_at_ms,
                _ => None,
            },
            last_reply: last_reply(leg, queue).map(String::from),
        }
    }
}

fn queue_state(queue: &Queue) -> QueueState {
    if queue.suspended {
        QueueState::Suspended
    } else if queue.key.is_unreachable() {
        QueueState::Unreachable
    } else if queue.retry_at_ms.is_some() {
        QueueState::Retry
    } else if queue.in_hand > 0 || queue.ready_len() > 0 {
        QueueState::Active
    } else {
        QueueState::Ready
    }
}

fn held(message: &Message) -> Option<Held> {
    match message.flags & (SUSPENDED | POISON) {
        0 => None,
        flags if flags & POISON != 0 => Some(Held::Poison),
        _ => Some(Held::Suspended),
    }
}

fn recipient_state(message: &Message, leg: &Leg, queue: &Queue) -> RecipientState {
    match (leg.state, held(message)) {
        (LegState::InHand, _) => RecipientState::InHand,
        (_, Some(Held::Poison)) => RecipientState::Poison,
        (_, Some(Held::Suspended)) => RecipientState::Suspended,
        _ if queue.suspended => RecipientState::Suspended,
        _ if queue.key.is_unreachable() => RecipientState::Unreachable,
        (LegState::Deferred, _) => RecipientState::Deferred,
        _ if queue.retry_at_ms.is_some() => RecipientState::HopRetry,
        _ => RecipientState::Ready,
    }
}

fn why(state: RecipientState, queue: &Queue) -> String {
    match state {
        RecipientState::Ready => String::from("is tried as soon as a connection is free"),
        RecipientState::InHand => String::from("is being delivered"),
        RecipientState::Deferred => String::from("the next hop asked to try this message later"),
        RecipientState::HopRetry => {
            let times = if queue.failures == 1 { "once" } else { &*format!("{} times in a row", queue.failures) };
            format!("the next hop failed {times}: {}", queue.last_error.as_deref().unwrap_or("no connection"))
        }
        RecipientState::Suspended if queue.suspended => String::from("an operator suspended the queue"),
        RecipientState::Suspended => String::from("an operator suspended the message"),
        RecipientState::Poison => String::from("set aside: the process went down while this message was in hand"),
        RecipientState::Unreachable => match &queue.key {
            HopKey::Unreachable { reason } => format!("no route: {reason}"),
            _ => String::from("no route"),
        },
        RecipientState::Settled => String::from("nothing more is to be done"),
    }
}

fn last_reply<'a>(leg: &'a Leg, queue: &'a Queue) -> Option<&'a str> {
    leg.answer.as_ref().map(|answer| &***answer).or(queue.last_error.as_deref())
}

/// Whether `text` holds `part`, ASCII letters of both cases being equal. Texts are short.
fn contains(text: &str, part: &str) -> bool {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    debug_assert!(text.len() <= 4 * ANSWER_BYTES_MAX.max(1024));
    part.is_empty() || text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}
