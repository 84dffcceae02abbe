//! Owns the passing of time: what became due is done here, by whoever calls [`Spool::tick`]; and the end of it, [`Spool::stop`].

use std::sync::atomic::Ordering;

use mail::{Enhanced, EventKind, Reply};

use crate::book::{Claim, Due, Effects};
use crate::notify::{self, About};
use crate::settler::Bundle;
use crate::shared::{Inner, Spool};
use crate::words::{Attempt, Outcome};

impl Spool {
    /// When [`Spool::tick`] is due, in milliseconds of `Clock::mono_ms`. `None` while nothing waits.
    pub fn next_due(&self) -> Option<u64> {
        let inner = &self.inner;
        let due_ms = [inner.book().next_due_ms(), inner.settler_due_ms(), inner.processing.next_due_ms()];
        let due_ms = due_ms.into_iter().flatten().min();
        inner.told(due_ms);
        due_ms.map(|due_ms| inner.mono_ms(due_ms))
    }

    /// Does what is due: retries, expiry, delay notices, settle records, forgetting of empty queues. Bounded work per call; call
    /// it again at `next_due`. Time is the world's clock; jumps of the wall clock neither expire mail nor stop retries.
    pub fn tick(&self) {
        let inner = &self.inner;
        let now_ms = inner.now_ms();
        inner.settler_tick(now_ms);
        let mut effects = Effects::default();
        let due = {
            let mut book = inner.book();
            let due = book.due(now_ms, DUE_MAX, &mut effects);
            if let Some(suspect) = inner.processing.tick(now_ms) {
                book.unclaim(&suspect, now_ms, &mut effects);
            }
            due
        };
        inner.tell(effects, None);
        for due in due {
            match due {
                Due::Expire(claim) => inner.expire(claim),
                Due::Notice(claim) => inner.tell_delay(claim, now_ms),
            }
        }
    }

    /// Refuses new mail from now on (`Refused::Stopping`); what is in hand can still be settled.
    pub fn stop_accepting(&self) {
        self.inner.stopping.store(true, Ordering::Relaxed);
    }

    /// Stops: refuses new mail, takes no more work out, writes and syncs all settle records and closes the journal. Blocks.
    /// Call it after the deliverers have finished or dropped their works.
    pub fn stop(&self) {
        self.stop_accepting();
        let inner = &self.inner;
        inner.rest_all();
        let written = inner.progress.written.load(Ordering::Acquire);
        {
            let mut settler = inner.settler();
            for bundle in std::mem::take(&mut settler.refused) {
                settler.fly(&inner.journal, bundle, written);
            }
            settler.fly_pending(&inner.journal, written);
        }
        inner.cleaner.stop();
        inner.processing.clear();
        inner.journal.clone().close();
        inner.settle_landed();
    }
}

impl Inner {
    /// Fails all that is open of a claimed message with one reply, telling its sender if `told`.
    pub fn give_up(&self, claim: Claim, reply: &Reply, context: &str) {
        let Claim { at, subject, indexes } = claim;
        let about = self.about(subject.share());
        let outcomes: Vec<(u16, Outcome)> =
            indexes.as_slice().iter().map(|index| (*index, Outcome::Failed { reply: reply.clone() })).collect();
        let attempt = Attempt { context, ..Attempt::default() };
        self.trace(&about, &attempt, &outcomes);
        let notices = notify::outcomes(self, &about, &attempt, &outcomes);
        let id = subject.id;
        let finished = self.book().conclude(&Claim { at, subject, indexes }, self.now_ms());
        let mut bundle = Bundle { notices, ..Bundle::default() };
        self.bury(id, finished, &mut bundle);
        self.write(bundle);
    }

    fn expire(&self, claim: Claim) {
        let days = self.settings.expire_after_ms as f64 / 86_400_000.0;
        let last = self.book().last_reply(claim.at);
        let text = match last {
            Some(last) => format!("message expired, not delivered in {days:.1} days; last answer: {last}"),
            None => format!("message expired, not delivered in {days:.1} days"),
        };
        self.give_up(claim, &Reply::of(450, Enhanced::new(4, 4, 7), text), "expired");
    }

    fn tell_delay(&self, claim: Claim, now_ms: u64) {
        let about: About = self.about(claim.subject.share());
        let (last, until_ms) = {
            let book = self.book();
            (book.last_reply(claim.at), book.message(claim.at).map_or(now_ms, |message| book.expires_ms(message)))
        };
        let text = last.unwrap_or_else(|| String::from("not delivered yet"));
        let reply = Reply::of(450, Enhanced::new(4, 4, 1), text);
        let notice = notify::delay(self, &about, claim.indexes.as_slice(), &reply, until_ms);
        let mut effects = Effects::default();
        let mut bundle = Bundle::default();
        {
            let mut book = self.book();
            if notice.is_some() {
                bundle.states.push((about.id, book.next_state(claim.at)));
            }
            book.unclaim(&claim, now_ms, &mut effects);
        }
        bundle.notices.extend(notice);
        self.write(bundle);
        self.tell(effects, None);
    }

    fn settler_due_ms(&self) -> Option<u64> {
        let settler = self.settler();
        let delay_ms = self.settings.settle_delay_ms;
        let pending = (!settler.pending.is_empty()).then_some(settler.pending_since_ms + delay_ms);
        let flying = !settler.flights.is_empty()
            || !settler.starts.is_empty()
            || !settler.orphans.is_empty()
            || !settler.abandoned.is_empty();
        let landing = flying.then_some(settler.looked_ms + delay_ms);
        let refused = (!settler.refused.is_empty()).then_some(settler.looked_ms + REFUSED_RETRY_MS);
        let sync = settler.unsynced.front().map(|first| first.since_ms + self.settings.journal.lazy_sync_ms);
        [pending, landing, refused, sync].into_iter().flatten().min()
    }

    fn settler_tick(&self, now_ms: u64) {
        self.settle_landed();
        let written = self.progress.written.load(Ordering::Acquire);
        {
            let mut settler = self.settler();
            settler.looked_ms = now_ms;
            for bundle in std::mem::take(&mut settler.refused) {
                settler.fly(&self.journal, bundle, written);
            }
            let late = settler
                .unsynced
                .front()
                .is_some_and(|first| first.since_ms + self.settings.journal.lazy_sync_ms <= now_ms);
            let note_flies = settler.flights.iter().any(|flight| flight.is_durable());
            if late && !note_flies {
                // Nothing durable came along: without this, dead records would stay in the way of the journal's recycling.
                settler.pending.note = true;
                settler.fly_pending(&self.journal, written);
            } else if settler.pending_since_ms + self.settings.settle_delay_ms <= now_ms {
                settler.fly_pending(&self.journal, written);
            }
        }
        self.settle_landed();
    }

    /// Records what an operator did.
    pub fn admin_event(&self, id: Option<mail::MessageId>, via: &str, what: &str, who: &str) {
        let context = format!("{what} by {who}");
        let mut event = mail::Event::new(EventKind::Admin, id);
        (event.via, event.context) = (via, &context);
        self.recorder.record(&event);
    }
}

/// Messages that one tick expires or tells about.
const DUE_MAX: usize = 64;

/// Wait before a settle record that did not fit is tried again.
const REFUSED_RETRY_MS: u64 = 1000;
