//! Owns the schedule: which messages are in custody, to which hops they go, what waits for what, and until when.
//! No I/O, no clock, no lock: times are handed in, and what is to be done comes back as [`Effects`] and values.
//! Always holds: each unsettled recipient belongs to exactly one leg; each leg is in one list of its queue or in hand.

mod claim;
mod elder;
mod hot;
mod message;
mod operate;
mod queue;
mod rebuild;
mod relocate;
mod settle;
mod show;
mod time;
mod underway;

use std::collections::{BTreeSet, HashMap, VecDeque};

use journal::Extent;
use mail::MessageId;

pub use claim::{Claim, Indexes, Place, Purpose, Subject, Taken};
pub use message::{Hot, Message};
pub use rebuild::{Found, Leftovers, Rebuild};
pub use settle::{Finished, Settled};
pub use show::Rerouted;
pub use time::Due;

use crate::hop::{HopId, HopKey};
use crate::index::Index;
use crate::list::List;
use crate::settings::Settings;
use crate::slab::{NONE, Slab};
use crate::view::Totals;
use crate::words::Priority;
use elder::Elders;
use message::{Leg, LegState, UnderWay};
use queue::Queue;

/// The schedule.
pub struct Book {
    settings: Settings,
    messages: Slab<Message>,
    legs: Slab<Leg>,
    queues: Slab<Queue>,
    by_id: Index,
    by_key: HashMap<HopKey, u32>,
    /// Messages in order of acceptance: what expires next is first.
    ages: List,
    /// Those that do not fit into that order.
    elders: Elders,
    /// The oldest message whose delay notice was not yet thought about.
    unnoticed: u32,
    /// Messages whose time came while they could not be touched.
    overdue: Vec<(u32, MessageId)>,
    /// Queues by the time at which they want to be looked at; may be too early, never too late.
    timers: BTreeSet<(u64, u32)>,
    /// Messages with a body in memory, oldest first; entries may be stale.
    hot: VecDeque<(u32, u64)>,
    hot_bytes: usize,
    hot_live: usize,
    hot_turn: u64,
    hop_turn: u32,
    opened_ms: u64,
    totals: Totals,
}

/// What a call of the book asks its caller to do, after the lock is dropped.
#[derive(Default)]
pub struct Effects {
    /// Hops that have ready work which nobody works on.
    pub ready: Vec<HopId>,
}

/// A message that has come into custody.
pub struct Arrival {
    /// Its name.
    pub id: MessageId,
    /// Content bytes.
    pub size_bytes: u64,
    /// Its priority.
    pub priority: Priority,
    /// The packed journey; empty for one that begins here.
    pub journey: Vec<u8>,
    /// The packed envelope.
    pub envelope: Vec<u8>,
    /// Recipients in it.
    pub recipients: u16,
    /// The accept record.
    pub accept: Extent,
    /// The last chunk, if there is one.
    pub last_chunk: Option<Extent>,
    /// Chunks before that.
    pub chunks: Vec<Extent>,
    /// To be kept in memory for a while.
    pub hot: Option<Hot>,
    /// Its mark says that it is under way.
    pub at_once: bool,
}

impl Arrival {
    /// Fills in where its records of the mark's batch are: the last chunk, if there is one, and the mark. Takes them from `extents`.
    pub fn locate(&mut self, extents: &mut impl Iterator<Item = Extent>) {
        if let Some(last) = &mut self.last_chunk
            && let Some(extent) = extents.next()
        {
            *last = extent;
        }
        if let Some(extent) = extents.next() {
            self.accept = extent;
        }
    }

    /// Its records, for a message that is not taken in after all.
    pub fn into_finished(self) -> Finished {
        let body = self.last_chunk.unwrap_or_default();
        Finished { accept: self.accept, body, ..Finished::of(self.chunks) }
    }
}

impl Book {
    /// An empty book.
    pub fn new(settings: Settings, now_ms: u64) -> Book {
        Book {
            settings,
            messages: Slab::new(),
            legs: Slab::new(),
            queues: Slab::new(),
            by_id: Index::new(),
            by_key: HashMap::new(),
            ages: List::default(),
            elders: Elders::default(),
            unnoticed: NONE,
            overdue: Vec::new(),
            timers: BTreeSet::new(),
            hot: VecDeque::new(),
            hot_bytes: 0,
            hot_live: 0,
            hot_turn: 0,
            hop_turn: 0,
            opened_ms: now_ms,
            totals: Totals::default(),
        }
    }

    /// Takes a message in. `hops` has one key per recipient.
    pub fn enter(&mut self, arrival: Arrival, hops: &[HopKey], now_ms: u64, effects: &mut Effects) {
        let mut message = Message::new(arrival.id, &arrival.journey, &arrival.envelope, arrival.recipients);
        message.size_bytes = arrival.size_bytes;
        message.priority = arrival.priority;
        message.set_accept(arrival.accept);
        for (ordinal, extent) in arrival.chunks.iter().chain(&arrival.last_chunk).enumerate() {
            message.set_chunk(ordinal as u32, *extent);
        }
        let at = self.messages.insert(message);
        if arrival.at_once {
            self.set_under_way(at, UnderWay::Yes);
        }
        self.by_id.insert(arrival.id, at);
        self.totals.messages += 1;
        self.totals.bytes += arrival.size_bytes;
        self.totals.accepted += 1;
        if let Some(hot) = arrival.hot {
            self.keep_hot(at, hot);
        }
        self.enter_ages(at);
        if self.unnoticed == NONE && !self.messages[at].has_journey() {
            self.unnoticed = at;
        }
        self.assign(at, hops, now_ms, effects);
    }

    /// Counts notifications that were made.
    pub fn count_notices(&mut self, n: usize) {
        self.totals.dsns += n as u64;
    }

    /// Counts messages that are handed out and could not be noted.
    pub fn count_unnoted(&mut self, n: usize) {
        self.totals.unnoted += n as u64;
    }

    /// The place of a message.
    pub fn find(&self, id: MessageId) -> Option<u32> {
        self.by_id.find(id, |at| self.messages.get(at).is_some_and(|m| m.id == id))
    }

    /// The message at a place.
    pub fn message(&self, at: u32) -> Option<&Message> {
        self.messages.get(at)
    }

    /// One more than the largest place of a message.
    pub fn places_end(&self) -> u32 {
        self.messages.end()
    }

    /// The place of a queue, if it was not forgotten.
    fn hop(&self, hop: HopId) -> Option<u32> {
        self.queues.get(hop.place()).filter(|queue| queue.id == hop).map(|_| hop.place())
    }

    /// The number of a key's queue, made if missing.
    fn intern(&mut self, key: &HopKey, now_ms: u64) -> u32 {
        if let Some(hop) = self.by_key.get(key) {
            return *hop;
        }
        self.hop_turn += 1;
        let turn = self.hop_turn;
        let hop = self.queues.insert(Queue::new(HopId(0), key.clone(), now_ms));
        self.queues[hop].id = HopId::new(hop, turn);
        self.by_key.insert(key.clone(), hop);
        self.arm(hop, now_ms + self.settings.queue_idle_ms);
        hop
    }

    /// Makes the legs of a message: one per hop, for all recipients that are not settled. It must have none.
    fn assign(&mut self, at: u32, hops: &[HopKey], now_ms: u64, effects: &mut Effects) {
        let recipients = self.messages[at].recipients;
        let mut last: Option<(usize, u32)> = None;
        for index in 0..recipients {
            if self.messages[at].leg_of(index).is_none() {
                continue;
            }
            let key_at = usize::from(index).min(hops.len() - 1);
            let leg = match last {
                Some((same, leg)) if hops[same] == hops[key_at] => leg,
                _ => self.leg_for(at, &hops[key_at], now_ms),
            };
            last = Some((key_at, leg));
            self.legs[leg].open += 1;
            let ordinal = self.legs[leg].ordinal;
            self.messages[at].set_leg(index, ordinal);
        }
        let mut leg = self.messages[at].first_leg;
        while leg != NONE {
            let hop = self.legs[leg].hop;
            self.queues[hop].incoming.count(now_ms);
            self.place(leg, End::Back, now_ms, effects);
            leg = self.legs[leg].sibling;
        }
    }

    /// The leg of a message for a key, made if missing.
    fn leg_for(&mut self, at: u32, key: &HopKey, now_ms: u64) -> u32 {
        let hop = self.intern(key, now_ms);
        let first = self.messages[at].first_leg;
        let (mut leg, mut ordinal) = (first, 0);
        while leg != NONE {
            if self.legs[leg].hop == hop {
                return leg;
            }
            ordinal = ordinal.max(self.legs[leg].ordinal + 1);
            leg = self.legs[leg].sibling;
        }
        let leg = self.legs.insert(Leg::new(at, hop, ordinal, first));
        self.messages[at].first_leg = leg;
        let size = self.messages[at].size_bytes;
        let queue = &mut self.queues[hop];
        queue.legs += 1;
        queue.in_hand += 1; // until it is placed
        queue.bytes += size;
        leg
    }

    /// Puts a leg that is in hand into the list where it belongs.
    fn place(&mut self, leg: u32, end: End, now_ms: u64, effects: &mut Effects) {
        let Leg { message, hop, due_ms, .. } = self.legs[leg];
        let (held, priority) = (self.messages[message].is_held(), self.messages[message].priority);
        let queue = &mut self.queues[hop];
        queue.in_hand -= 1;
        if held {
            self.legs[leg].state = LegState::Held;
            queue.held.push_back(&mut self.legs, leg);
        } else if due_ms > now_ms {
            self.legs[leg].state = LegState::Deferred;
            let first_due_ms = self.legs.get(queue.deferred.head()).map_or(u64::MAX, |l| l.due_ms);
            // One interval for all: almost always it is the last one. What comes back from a claim goes first.
            match due_ms < first_due_ms {
                true => queue.deferred.push_front(&mut self.legs, leg),
                false => queue.deferred.push_back(&mut self.legs, leg),
            }
            self.arm(hop, due_ms);
        } else {
            self.legs[leg].state = LegState::Ready;
            let list = queue.ready_mut(priority);
            match end {
                End::Front => list.push_front(&mut self.legs, leg),
                End::Back => list.push_back(&mut self.legs, leg),
            }
            self.announce(hop, effects);
        }
    }

    /// Takes a leg out of its list, into somebody's hand.
    fn unplace(&mut self, leg: u32) {
        let Leg { message, hop, state, .. } = self.legs[leg];
        let priority = self.messages[message].priority;
        let queue = &mut self.queues[hop];
        match state {
            LegState::Ready => queue.ready_mut(priority).unlink(&mut self.legs, leg),
            LegState::Deferred => queue.deferred.unlink(&mut self.legs, leg),
            LegState::Held => queue.held.unlink(&mut self.legs, leg),
            LegState::InHand => return,
        }
        queue.in_hand += 1;
        self.legs[leg].state = LegState::InHand;
    }

    /// Tells that a hop has work, once until somebody has found it empty.
    fn announce(&mut self, hop: u32, effects: &mut Effects) {
        let queue = &mut self.queues[hop];
        if !queue.told && !queue.starting && queue.is_open() && queue.ready_len() > 0 {
            queue.told = true;
            effects.ready.push(queue.id);
        }
    }

    /// Frees a leg that is in hand and has no open recipients.
    fn drop_leg(&mut self, leg: u32, now_ms: u64) {
        let Some(Leg { message, hop, sibling, .. }) = self.legs.remove(leg) else { return };
        let mut link = self.messages[message].first_leg;
        if link == leg {
            self.messages[message].first_leg = sibling;
        } else {
            while self.legs[link].sibling != leg {
                link = self.legs[link].sibling;
            }
            self.legs[link].sibling = sibling;
        }
        let size = self.messages[message].size_bytes;
        let queue = &mut self.queues[hop];
        queue.in_hand -= 1;
        queue.legs -= 1;
        queue.bytes -= size;
        queue.outgoing.count(now_ms);
        if queue.legs == 0 {
            queue.idle_since_ms = now_ms;
            let due_ms = now_ms + self.settings.queue_idle_ms;
            if queue.timer_ms.is_none() {
                self.arm(hop, due_ms);
            }
        }
    }

    /// Lets a queue be looked at no later than `due_ms`.
    fn arm(&mut self, hop: u32, due_ms: u64) {
        let queue = &mut self.queues[hop];
        if queue.timer_ms.is_none_or(|at| due_ms < at) {
            if let Some(at) = queue.timer_ms.replace(due_ms) {
                self.timers.remove(&(at, hop));
            }
            self.timers.insert((due_ms, hop));
        }
    }
}

/// Where in its list something goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Front,
    Back,
}

/// The text of an answer as it is kept, bounded.
fn bounded(text: &str) -> &str {
    &text[..crate::packed::floor_char(text, ANSWER_BYTES_MAX)]
}

const ANSWER_BYTES_MAX: usize = 512;

#[cfg(test)]
mod tests;
