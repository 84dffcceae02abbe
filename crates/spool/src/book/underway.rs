//! Owns which messages are under way: those of which the journal says, durably and on every copy that counts, that a next hop may have
//! them. After a crash or a take-over they are the possible duplicates, and no others are.
//! Always holds: nothing is taken for sending before it is under way; what a next hop may have had stays under way until it is finished,
//! was deferred by an answer, or nothing of it had been sent.

use mail::MessageId;

use super::message::{LegState, UnderWay};
use super::{Book, Effects};
use crate::hop::{HopId, HopKey};
use crate::record::State;
use crate::slab::NONE;

impl Book {
    /// Whether a message that comes now is handed out as soon as it is ours: then its mark says that it is under way. Of what would
    /// have to wait behind others, or for its hop, nothing is said before its turn comes.
    pub fn goes_at_once(&self, hops: &[HopKey]) -> bool {
        let free = |key: &HopKey| match self.by_key.get(key) {
            None => !matches!(key, HopKey::Unreachable { .. } | HopKey::TooLarge { .. }),
            Some(hop) => {
                let queue = &self.queues[*hop];
                queue.is_open() && queue.ready_len() < READY_AT_ONCE_MAX
            }
        };
        self.totals.under_way < AT_ONCE_MAX && hops.len() <= HOPS_AT_ONCE_MAX && hops.iter().all(free)
    }

    /// What is to be under way next in a queue: its first messages, once those that are taken next are not enough. Nothing while an
    /// answer to the last ones is awaited.
    pub fn start_next(&mut self, hop: HopId) -> Vec<(MessageId, State)> {
        let Some(hop) = self.hop(hop).filter(|hop| self.queues[*hop].is_open() && !self.queues[*hop].starting) else {
            return Vec::new();
        };
        let places: Vec<u32> = self.first_ready(hop, START_MAX).collect();
        let way = |at: &u32| self.messages[*at].under_way;
        let blocked = places.first().is_some_and(|first| way(first) != UnderWay::Yes);
        let next: Vec<u32> = places.iter().copied().filter(|at| way(at) == UnderWay::No).collect();
        if next.is_empty() || !blocked && next.len() < START_MAX / 2 {
            return Vec::new();
        }
        self.queues[hop].starting = true;
        let mut start = |at: u32| {
            self.set_under_way(at, UnderWay::Asked);
            let state = self.next_state(at);
            (self.messages[at].id, state)
        };
        next.into_iter().map(&mut start).collect()
    }

    /// These are under way now: their hops have work.
    pub fn started(&mut self, hop: HopId, ids: impl Iterator<Item = MessageId>, effects: &mut Effects) {
        if let Some(hop) = self.hop(hop) {
            self.queues[hop].starting = false;
            self.ring(hop, effects);
        }
        for id in ids {
            let Some(at) = self.find(id).filter(|at| self.messages[*at].under_way == UnderWay::Asked) else { continue };
            self.set_under_way(at, UnderWay::Yes);
            let hops: Vec<u32> = self.legs_of(at).map(|(_, leg)| leg.hop).collect();
            hops.into_iter().for_each(|hop| self.ring(hop, effects));
        }
    }

    /// A hop does not take anything for a while: what was not sent is under way no more.
    pub fn rest_hop(&mut self, hop: HopId) -> Vec<(MessageId, State)> {
        let Some(hop) = self.hop(hop) else { return Vec::new() };
        let places: Vec<u32> = self.first_ready(hop, REST_MAX).filter(|at| self.may_rest(*at)).collect();
        places.into_iter().map(|at| (self.messages[at].id, self.next_state(at))).collect()
    }

    /// The end of the process: what nobody has in hand is under way no more.
    pub fn rest_all(&mut self) -> Vec<(MessageId, State)> {
        let mut rested = Vec::new();
        for at in 0..self.messages.end() {
            let Some(message) = self.messages.get(at) else { continue };
            let (id, repeat) = (message.id, message.repeat);
            let in_hand = self.legs_of(at).any(|(_, leg)| leg.state == LegState::InHand);
            if message.under_way != UnderWay::No && !repeat && !in_hand {
                self.set_under_way(at, UnderWay::No);
                rested.push((id, self.next_state(at)));
            }
        }
        rested
    }

    /// Whether a message is under way only on paper: nothing of it is in hand, and nothing can be taken. What came into doubt once,
    /// stays in doubt.
    pub(super) fn may_rest(&self, at: u32) -> bool {
        let waits = |state: LegState, hop: u32| match state {
            LegState::InHand => false,
            LegState::Ready => !self.queues[hop].is_open(),
            LegState::Deferred | LegState::Held => true,
        };
        let message = &self.messages[at];
        message.under_way == UnderWay::Yes
            && !message.repeat
            && self.legs_of(at).all(|(_, leg)| waits(leg.state, leg.hop))
    }

    /// Keeps the total.
    pub(super) fn set_under_way(&mut self, at: u32, now: UnderWay) {
        let before = std::mem::replace(&mut self.messages[at].under_way, now);
        self.totals.under_way += u64::from(now != UnderWay::No);
        self.totals.under_way -= u64::from(before != UnderWay::No);
    }

    /// The messages of the first ready legs of a queue.
    fn first_ready(&self, hop: u32, max: usize) -> impl Iterator<Item = u32> + '_ {
        let lists = self.queues[hop].ready.iter();
        let legs = lists.flat_map(move |list| {
            let mut leg = list.head();
            std::iter::from_fn(move || {
                let found = self.legs.get(leg).filter(|_| leg != NONE)?;
                leg = crate::list::Linked::next(found);
                Some(found.message)
            })
        });
        legs.take(max)
    }

    fn ring(&mut self, hop: u32, effects: &mut Effects) {
        self.queues[hop].told = false;
        self.announce(hop, effects);
    }
}

/// A message goes at once if so many of its hop are ready before it, and not more.
const READY_AT_ONCE_MAX: u32 = 1024;
/// Messages that are under way when one more comes; with more, each waits for its turn. A taker names at most about so many.
const AT_ONCE_MAX: u64 = 4096;
/// Hops of one message that are looked at.
const HOPS_AT_ONCE_MAX: usize = 8;
/// Messages of one queue that one record batch lets start.
const START_MAX: usize = 64;
/// Messages of one queue that are looked at when its hop has failed: more than go at once.
const REST_MAX: usize = 2048;
