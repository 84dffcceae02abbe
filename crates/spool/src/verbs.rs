//! Owns what operators can ask of an open spool. Every verb leaves an ADMIN event.

use std::collections::BinaryHeap;

use mail::{Enhanced, EventKind, MessageId, Reply};

use crate::body::Body;
use crate::book::{Book, Claim, Effects, Rerouted};
use crate::hop::{HopId, HopKey};
use crate::packed;
use crate::record::State;
use crate::settler::Bundle;
use crate::shared::{Inner, Spool};
use crate::view::{Filter, MessageView, Notice, QueueView, Totals, VerbError};

impl Spool {
    /// The spool in a few numbers.
    pub fn totals(&self) -> Totals {
        let totals = self.inner.book().totals();
        Totals { unwritten: self.inner.settler().unwritten() as u64, ..totals }
    }

    /// The journal's figures.
    pub fn journal_stats(&self) -> journal::Stats {
        self.inner.journal.stats()
    }

    /// How many bytes of bodies may stay in memory from now on; those beyond that are dropped now and read from the journal when they
    /// are needed.
    pub fn set_body_memory(&self, bytes: usize) {
        self.inner.book().set_body_memory(bytes);
    }

    /// The copies of its journal on other nodes.
    pub fn copies(&self) -> journal::copies::Copies {
        self.inner.journal.copies()
    }

    /// The epoch under which its journal is written now.
    pub fn epoch(&self) -> u32 {
        self.inner.journal.epoch()
    }

    /// Goes on under a higher epoch, see [`journal::Journal::raise_epoch`]. Blocks for the disk.
    pub fn raise_epoch(&self, epoch: u32) -> Result<(), journal::RaiseError> {
        self.inner.journal.raise_epoch(epoch)
    }

    /// All queues, by name.
    pub fn queues(&self) -> Vec<QueueView> {
        let now_ms = self.inner.now_ms();
        let mut views: Vec<QueueView> = {
            let book = self.inner.book();
            book.hops().into_iter().filter_map(|hop| book.show_queue(hop, now_ms)).collect()
        };
        views.sort_by(|a, b| a.key.cmp(&b.key));
        views
    }

    /// One queue.
    pub fn queue(&self, hop: HopId) -> Option<QueueView> {
        self.inner.book().show_queue(hop, self.inner.now_ms())
    }

    /// The queue of this name (see [`HopKey`]'s `Display`).
    pub fn queue_named(&self, name: &str) -> Option<HopId> {
        self.inner.book().named(name)
    }

    /// Up to `limit` messages that match, oldest first, behind the message `after`.
    /// The book is locked for a thousand messages at a time: a listing of a long queue slows nobody.
    pub fn messages(&self, filter: &Filter, limit: usize, after: Option<MessageId>) -> Vec<MessageView> {
        let now_ms = self.inner.now_ms();
        let mut oldest: BinaryHeap<(MessageId, u32)> = BinaryHeap::new();
        let (mut at, mut end) = (0, 1);
        while at < end {
            let book = self.inner.book();
            end = book.places_end();
            for place in at..end.min(at + SLICE) {
                let Some(message) = book.message(place) else { continue };
                let full = oldest.len() >= limit;
                if after.is_some_and(|after| message.id <= after)
                    || full && oldest.peek().is_none_or(|(last, _)| message.id > *last)
                {
                    continue;
                }
                if let Some(id) = book.matches(place, filter, now_ms) {
                    oldest.push((id, place));
                    if oldest.len() > limit {
                        oldest.pop();
                    }
                }
            }
            at += SLICE;
        }
        let book = self.inner.book();
        let found = oldest.into_sorted_vec();
        let still_there = |(id, place): (MessageId, u32)| book.show_message(place).filter(|view| view.id == id);
        found.into_iter().filter_map(still_there).collect()
    }

    /// Whether a message is in custody here.
    pub fn has(&self, id: MessageId) -> bool {
        self.inner.book().find(id).is_some()
    }

    /// One message.
    pub fn message(&self, id: MessageId) -> Option<MessageView> {
        let book = self.inner.book();
        book.show_message(book.find(id)?)
    }

    /// Tries a message now (its own waits end; its hop is tried too). `who` goes into the ADMIN event, here and below.
    pub fn retry(&self, id: MessageId, who: &str) -> Result<(), VerbError> {
        self.on_message(id, "retry", who, |book, now_ms, effects| book.retry(id, now_ms, effects).map(|()| None))
    }

    /// Holds a message. If it is in hand, it is held when that attempt fails.
    pub fn suspend(&self, id: MessageId, who: &str) -> Result<(), VerbError> {
        self.on_message(id, "suspend", who, |book, now_ms, effects| book.suspend(id, now_ms, effects).map(Some))
    }

    /// Lets go a message that was suspended or set aside.
    pub fn resume(&self, id: MessageId, who: &str) -> Result<(), VerbError> {
        self.on_message(id, "resume", who, |book, now_ms, effects| book.resume(id, now_ms, effects).map(Some))
    }

    /// Sends all unsettled recipients of a message to another next hop, until they are settled; kept over a restart.
    pub fn redirect(&self, id: MessageId, to: HopKey, who: &str) -> Result<(), VerbError> {
        let what = format!("redirect to {to}");
        self.on_message(id, &what, who, |book, now_ms, effects| book.redirect(id, &to, now_ms, effects).map(Some))
    }

    /// Removes a message, telling its sender (5.7.0 removed by an operator) or nobody.
    pub fn remove(&self, id: MessageId, notice: Notice, who: &str) -> Result<(), VerbError> {
        let inner = &self.inner;
        let claim = inner.claim(id)?;
        inner.admin_event(Some(id), "", "remove", who);
        match notice {
            Notice::Sender => {
                let reply = Reply::new(550, Enhanced::new(5, 7, 0), "message removed by an operator");
                inner.give_up(claim, &reply, "removed");
            }
            Notice::Nobody => {
                let finished = inner.book().conclude(&claim, inner.now_ms());
                inner.event(EventKind::Drop, id, "", "removed by an operator, nobody was told");
                let mut bundle = Bundle::default();
                inner.bury(id, finished, &mut bundle);
                inner.write(bundle);
            }
        }
        Ok(())
    }

    /// A message as it is kept, with the envelope in front as `X-Posthouse-Sender` and `X-Posthouse-Recipient` lines. Blocks.
    /// A large message is bounded by `max_bytes`: beyond that it is cut.
    pub fn export(&self, id: MessageId, max_bytes: usize) -> Result<Vec<u8>, VerbError> {
        let inner = &self.inner;
        let (mut out, subject) = {
            let book = inner.book();
            let at = book.find(id).ok_or(VerbError::NoMessage)?;
            let mut out = Vec::new();
            if let Some(message) = book.message(at) {
                let sender = packed::sender(message.envelope());
                out.extend_from_slice(format!("X-Posthouse-Sender: <{sender}>\r\n").as_bytes());
                for address in packed::addresses(message.envelope()) {
                    out.extend_from_slice(format!("X-Posthouse-Recipient: <{address}>\r\n").as_bytes());
                }
            }
            (out, book.subject(at))
        };
        let body = Body::new(&inner.journal, subject.body, subject.size_bytes);
        out.extend(body.start(max_bytes).map_err(|_| VerbError::Unreadable)?);
        Ok(out)
    }

    /// Holds a queue. What is in hand is finished; new mail still comes in. Not kept over a restart.
    pub fn suspend_hop(&self, hop: HopId, who: &str) -> Result<(), VerbError> {
        self.on_queue(hop, "suspend", who, |book, _, _| book.suspend_hop(hop))
    }

    /// Lets a queue go on.
    pub fn resume_hop(&self, hop: HopId, who: &str) -> Result<(), VerbError> {
        self.on_queue(hop, "resume", who, |book, _, effects| book.resume_hop(hop, effects))
    }

    /// Tries a queue now: ends its wait and those of its messages.
    pub fn retry_hop(&self, hop: HopId, who: &str) -> Result<(), VerbError> {
        self.on_queue(hop, "retry", who, |book, now_ms, effects| book.retry_hop(hop, now_ms, effects))
    }

    /// Asks [`crate::Route`] anew for every message that waits, after a change of configuration. What is in hand and what an
    /// operator redirected stays where it is. The book is locked for a few messages at a time.
    pub fn reroute(&self) {
        let inner = &self.inner;
        let (mut at, mut end) = (0, 1);
        while at < end {
            let waiting: Vec<(u32, Rerouted)> = {
                let book = inner.book();
                end = book.places_end();
                let places = at..end.min(at + SLICE);
                places.filter_map(|place| book.rerouted(place).map(|waits| (place, waits))).collect()
            };
            at += SLICE;
            let mut effects = Effects::default();
            for (place, Rerouted { id, size_bytes, journey, packed }) in waiting {
                let Ok(envelope) = packed::unpack(&packed) else { continue };
                let hops = inner.route(&envelope, size_bytes, &journey);
                let mut book = inner.book();
                if book.message(place).is_some_and(|message| message.id == id) {
                    book.rehop(place, &hops, inner.now_ms(), &mut effects);
                }
            }
            inner.tell(effects, None);
        }
    }

    fn on_message(
        &self,
        id: MessageId,
        what: &str,
        who: &str,
        change: impl FnOnce(&mut Book, u64, &mut Effects) -> Result<Option<State>, VerbError>,
    ) -> Result<(), VerbError> {
        let inner = &self.inner;
        let mut effects = Effects::default();
        let (state, due_ms) = {
            let mut book = inner.book();
            (change(&mut book, inner.now_ms(), &mut effects)?, book.next_due_ms())
        };
        if let Some(state) = state {
            inner.write_state(id, state);
        }
        inner.admin_event(Some(id), "", what, who);
        inner.tell(effects, due_ms);
        Ok(())
    }

    fn on_queue(
        &self,
        hop: HopId,
        what: &str,
        who: &str,
        change: impl FnOnce(&mut Book, u64, &mut Effects) -> Result<(), VerbError>,
    ) -> Result<(), VerbError> {
        let inner = &self.inner;
        let mut effects = Effects::default();
        let name = {
            let mut book = inner.book();
            change(&mut book, inner.now_ms(), &mut effects)?;
            book.key(hop).map(HopKey::to_string).unwrap_or_default()
        };
        inner.admin_event(None, &name, what, who);
        inner.tell(effects, None);
        Ok(())
    }
}

impl Inner {
    /// Takes a whole message into the spool's own hand.
    fn claim(&self, id: MessageId) -> Result<Claim, VerbError> {
        let mut book = self.book();
        let at = book.find(id).ok_or(VerbError::NoMessage)?;
        book.claim(at).ok_or(VerbError::InHand)
    }
}

/// Messages for which the book is locked at once.
const SLICE: u32 = 1024;
