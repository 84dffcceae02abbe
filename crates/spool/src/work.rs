//! Owns what a deliverer holds: a message for one hop, in hand until it is settled or dropped.

use std::sync::Arc;

use mail::{Envelope, EventKind, Journey, MessageId, Recipient, Reply};

use crate::body::Body;
use crate::book::{Effects, Indexes, Place, Purpose, Settled, Subject, Taken};
use crate::hop::{HopId, HopKey};
use crate::notify::{self, About};
use crate::packed;
use crate::processing::{Left, Slot};
use crate::settings::Canary;
use crate::shared::{Inner, Spool};
use crate::words::{Attempt, Outcome};

/// A message for one hop, in hand. Dropped: back to ready (and, dropped by a panic, counted as a crash of that message).
pub struct Work {
    inner: Arc<Inner>,
    leg: u32,
    hop: HopId,
    attempts: u32,
    indexes: Indexes,
    about: About,
    slot: Slot,
    repeat: bool,
    in_hand: bool,
}

impl Work {
    /// The message's name.
    pub fn id(&self) -> MessageId {
        self.about.id
    }

    /// The hop that it was taken for.
    pub fn hop(&self) -> HopId {
        self.hop
    }

    /// Sender and parameters. Its recipients are all those of the message: use [`Work::recipients`].
    pub fn envelope(&self) -> &Envelope {
        &self.about.envelope
    }

    /// The recipients to be tried now, each with the index by which [`Spool::settle`] knows it.
    pub fn recipients(&self) -> impl Iterator<Item = (u16, &Recipient)> + '_ {
        let all = &self.about.envelope.recipients;
        self.indexes.as_slice().iter().filter_map(|index| Some((*index, all.get(usize::from(*index))?)))
    }

    /// Number of those.
    pub fn recipients_len(&self) -> usize {
        self.indexes.as_slice().len()
    }

    /// When the message was accepted, Unix milliseconds.
    pub fn accepted_ms(&self) -> u64 {
        self.about.id.unix_ms()
    }

    /// Where it was in the organization before it came here; complete.
    pub fn journey(&self) -> &Journey {
        &self.about.journey
    }

    /// Attempts for this hop before this one, in this life of the process.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// It may have been delivered before: it was under way when the spool was opened, or was tried since.
    pub fn may_be_repeat(&self) -> bool {
        self.repeat || self.attempts > 0
    }

    /// The content.
    pub fn body(&self) -> &Body {
        &self.about.body
    }

    /// Reads the whole content into memory, for as long as this is there. Blocks if it is not in memory yet. After an error it is as before.
    pub fn load_body(&mut self) -> Result<(), journal::ReadError> {
        self.about.body = self.about.body.loaded()?;
        Ok(())
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if self.in_hand {
            self.inner.put_back(self.leg, self.about.id);
            self.inner.processing.left(self.slot, self.about.id, Left::Queued);
        }
    }
}

impl Spool {
    /// Takes up to `max` ready messages of a hop, higher priority first, oldest first, to be sent: the journal says of each, durably
    /// here and on the copies that count, that it is under way. Less than `max`: nothing more is ready, the journal is still to say so
    /// of the next ones, the hop is suspended or waits on its ladder; [`crate::Wake::ready`] will tell when there is something again.
    pub fn take(&self, hop: HopId, max: usize) -> Vec<Work> {
        self.inner.starts_landed();
        let purpose = match self.inner.settings.canary {
            Canary::StartsUnnoted => Purpose::Failing,
            _ => Purpose::Sending,
        };
        let works = self.take_for(hop, max, purpose);
        self.inner.start_next(hop);
        works
    }

    /// The same for a deliverer that will not send them, but fail them or let them wait.
    pub fn take_unsent(&self, hop: HopId, max: usize) -> Vec<Work> {
        self.take_for(hop, max, Purpose::Failing)
    }

    fn take_for(&self, hop: HopId, max: usize, purpose: Purpose) -> Vec<Work> {
        let mut taken = Vec::new();
        self.inner.book().take(hop, max, purpose, &mut taken);
        if taken.is_empty() {
            return Vec::new();
        }
        let slots = self.inner.processing.hold(taken.iter().map(|taken| taken.subject.id), self.inner.now_ms());
        taken.into_iter().zip(slots).map(|(taken, slot)| self.work(hop, taken, slot)).collect()
    }

    fn work(&self, hop: HopId, taken: Taken, slot: Slot) -> Work {
        let Taken { leg, attempts, indexes, repeat, subject } = taken;
        let about = self.inner.about(subject);
        Work { inner: self.inner.clone(), leg, hop, attempts, indexes, about, slot, repeat, in_hand: true }
    }

    /// Says what became of recipients of `work`: pairs of the index that [`Work::recipients`] gave and its outcome. Those not
    /// named go back to ready. Records SEND, DELIVER, DEFER, FAIL and DSN events: the caller must not.
    /// The settle record is written soon, not synced: a crash may bring the message back once (docs/custody.md).
    /// May block for one read when a DSN is due and the message is not in memory any more.
    pub fn settle(&self, mut work: Work, attempt: &Attempt<'_>, outcomes: &[(u16, Outcome)]) {
        let inner = &self.inner;
        inner.trace(&work.about, attempt, outcomes);
        let notices = notify::outcomes(inner, &work.about, attempt, outcomes);
        let now_ms = inner.now_ms();
        let mut finals = Vec::with_capacity(outcomes.len());
        let mut deferred = None;
        for (index, outcome) in outcomes {
            match outcome {
                Outcome::Deferred { reply } => deferred = Some(notify::reply_text(reply)),
                _ => finals.push(*index),
            }
        }
        work.in_hand = false;
        let mut effects = Effects::default();
        let (settled, due_ms) = {
            let mut book = inner.book();
            (book.settle(work.leg, &finals, deferred.as_deref(), now_ms, &mut effects), book.next_due_ms())
        };
        let left = if matches!(settled, Settled::Finished(_)) { Left::Finished } else { Left::Queued };
        inner.processing.left(work.slot, work.about.id, left);
        inner.tell(effects, due_ms);
        if inner.settings.canary != Canary::ForgetSettle {
            inner.write_settled(work.about.id, settled, notices);
        }
    }

    /// No connection to the hop could be made (all its addresses failed): it moves one step on its ladder and its messages
    /// wait. `works` are those that the attempt was for; each gets a DEFER event, and they go back to ready.
    /// Works of the same hop that are still in hand elsewhere are not touched.
    pub fn hop_failed(&self, hop: HopId, works: Vec<Work>, attempt: &Attempt<'_>, reply: &Reply) {
        let inner = &self.inner;
        let text = notify::reply_text(reply);
        let now_ms = inner.now_ms();
        let due_ms = {
            let mut book = inner.book();
            book.hop_failed(hop, &text, now_ms);
            book.next_due_ms()
        };
        for work in &works {
            let deferred: Vec<(u16, Outcome)> = work
                .indexes
                .as_slice()
                .iter()
                .map(|index| (*index, Outcome::Deferred { reply: reply.clone() }))
                .collect();
            inner.trace(&work.about, attempt, &deferred);
        }
        // Dropped after the hop was closed: they wait with it, and nobody is woken.
        drop(works);
        inner.rest_hop(hop);
        inner.tell(Effects::default(), due_ms);
    }

    /// A connection to the hop worked: its ladder starts anew.
    pub fn hop_worked(&self, hop: HopId) {
        let mut effects = Effects::default();
        self.inner.book().hop_worked(hop, &mut effects);
        self.inner.tell(effects, None);
    }

    /// Where a hop leads. `None` if it was forgotten.
    pub fn hop_key(&self, hop: HopId) -> Option<HopKey> {
        self.inner.book().key(hop).cloned()
    }
}

impl Inner {
    /// A message with its envelope unpacked.
    pub fn about(&self, subject: Subject) -> About {
        let Subject { id, size_bytes, journey, accept, envelope, body } = subject;
        let envelope = match envelope {
            Place::Memory(envelope) => envelope,
            Place::Elsewhere(bytes) => {
                Arc::new(packed::unpack(&bytes).expect("packed by us, or unpacked once when it was found at the start"))
            }
        };
        About { id, journey, accept, envelope, body: Body::new(&self.journal, body, size_bytes) }
    }

    fn put_back(&self, leg: u32, id: MessageId) {
        let now_ms = self.now_ms();
        let mut effects = Effects::default();
        let mut crashed = None;
        {
            let mut book = self.book();
            if std::thread::panicking() {
                // The code that had it in hand failed on it. Counted before it is ready again.
                crashed = book.crashed(id, now_ms, &mut effects);
            }
            book.put_back(leg, now_ms, &mut effects);
        }
        if let Some((state, aside)) = crashed {
            self.write_state(id, state);
            if aside {
                self.event(EventKind::Poison, id, "", "set aside: delivering it made the process panic");
            }
        }
        self.tell(effects, None);
    }

    /// Records what became of recipients.
    pub fn trace(&self, about: &About, attempt: &Attempt<'_>, outcomes: &[(u16, Outcome)]) {
        for (index, outcome) in outcomes {
            let Some(recipient) = about.envelope.recipients.get(usize::from(*index)) else { continue };
            let kind = match outcome {
                Outcome::Delivered { .. } => EventKind::Deliver,
                Outcome::Relayed { .. } => EventKind::Send,
                Outcome::Deferred { .. } => EventKind::Defer,
                Outcome::Failed { .. } => EventKind::Fail,
            };
            let reply = notify::reply_text(outcome.reply());
            let mut event = mail::Event::new(kind, Some(about.id));
            event.sender = Some(&about.envelope.from);
            let recipients = [recipient.address.as_str()];
            event.recipients = &recipients;
            event.size_bytes = about.body.len();
            (event.peer, event.reply, event.context) = (attempt.peer, &reply, attempt.context);
            self.recorder.record(&event);
        }
    }
}
