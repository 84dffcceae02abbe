//! Owns the moves after an outcome: the book changes, records are written, then released; DSNs take custody.

use std::sync::atomic::Ordering;

use journal::SegmentNo;
use mail::{EventKind, MessageId};

use crate::book::{Arrival, Effects, Finished, Hot, Settled};
use crate::record::State;
use crate::settings::Canary;
use crate::settler::{Bundle, Burial, COMPANY, Landed, Notice, Unsynced};
use crate::shared::Inner;
use crate::words::Priority;

impl Inner {
    /// Writes what a settle changed, with the notices that it causes.
    pub fn write_settled(&self, id: MessageId, settled: Settled, notices: Vec<Notice>) {
        let mut bundle = Bundle { notices, ..Bundle::default() };
        match settled {
            Settled::Nothing => {}
            Settled::Partly(state) => bundle.states.push((id, state)),
            Settled::Finished(finished) => self.bury(id, finished, &mut bundle),
        }
        self.write(bundle);
    }

    /// Writes the state of a message.
    pub fn write_state(&self, id: MessageId, state: State) {
        self.write(Bundle { states: vec![(id, state)], ..Bundle::default() });
    }

    /// Makes the tombstones of a finished message: one for each segment in which its mark can still be seen.
    pub fn bury(&self, id: MessageId, mut finished: Finished, bundle: &mut Bundle) {
        if self.settings.canary == Canary::ReleaseBeforeSettle {
            finished.extents().for_each(|extent| self.release(extent));
            finished = Finished { accept: finished.accept, extra: None, ..Finished::default() };
        }
        let copies: Vec<SegmentNo> = finished.extra.as_mut().map(|e| std::mem::take(&mut e.copies)).unwrap_or_default();
        let segment = self.journal.segment_of(finished.accept.position);
        bundle.burials.push(Burial { id, segment, extents: finished });
        for copy in copies {
            if copy != segment && self.journal.exists(copy) {
                bundle.burials.push(Burial { id, segment: copy, extents: Finished::default() });
            }
        }
    }

    /// Hands a bundle to the settler: at once if it carries notices, else when there is company or its time comes.
    pub fn write(&self, bundle: Bundle) {
        if bundle.is_empty() {
            return;
        }
        let now_ms = self.now_ms();
        let written = self.progress.written.load(Ordering::Acquire);
        {
            let mut settler = self.settler();
            if !bundle.notices.is_empty() {
                // What waits for company stays: order does not matter between messages, and states are numbered.
                settler.fly(&self.journal, bundle, written);
            } else {
                if settler.pending.is_empty() {
                    settler.pending_since_ms = now_ms;
                }
                settler.pending.merge(bundle);
                if settler.pending.len() >= COMPANY {
                    settler.fly_pending(&self.journal, written);
                }
            }
        }
        self.tell(Effects::default(), Some(now_ms + self.settings.settle_delay_ms));
        self.settle_landed();
    }

    /// Deals with flights that have landed, and releases what is synced.
    pub fn settle_landed(&self) {
        self.starts_landed();
        loop {
            let landed = self.settler().landed();
            let Some(landed) = landed else { break };
            self.land(landed);
        }
        let synced = self.progress.synced.load(Ordering::Acquire);
        let (done, orphans, abandoned) = {
            let mut settler = self.settler();
            (settler.synced(synced), settler.landed_orphans(), settler.landed_abandoned())
        };
        self.forget(abandoned);
        for extent in orphans {
            self.release(extent);
        }
        for Unsynced { release, pins, .. } in done {
            // The tombstone is pinned first: it must be there as long as what it cancels can be seen.
            pins.into_iter().for_each(|(tombstone, segment)| self.journal.pin_until_gone(tombstone, segment));
            release.into_iter().for_each(|extent| self.release(extent));
        }
    }

    /// Buries a message whose mark is in the journal although nobody heard a 250.
    pub fn forget_arrived(&self, arrival: Arrival) {
        let mut bundle = Bundle::default();
        self.bury(arrival.id, arrival.into_finished(), &mut bundle);
        self.write(bundle);
    }

    /// Buries messages whose session went away before their sync. A mark that did not land needs no tombstone.
    fn forget(&self, abandoned: Vec<Arrival>) {
        let mut bundle = Bundle::default();
        for arrival in abandoned {
            let (id, finished) = (arrival.id, arrival.into_finished());
            match finished.accept.len {
                0 => finished.extents().for_each(|extent| self.release(extent)),
                _ => self.bury(id, finished, &mut bundle),
            }
        }
        if !bundle.is_empty() {
            self.settler().pending.merge(bundle);
        }
    }

    fn land(&self, landed: Landed) {
        let Landed { committed, bundle, covers, graves } = landed;
        let now_ms = self.now_ms();
        let Bundle { burials, states, notices, note } = bundle;
        let mut extents = committed.extents();
        let mut release = Vec::with_capacity(burials.len() * 2);
        let mut effects = Effects::default();
        let mut due_ms = None;
        if !notices.is_empty() || !states.is_empty() {
            let mut book = self.book();
            book.count_notices(notices.len());
            for notice in notices {
                let (Some(chunk), Some(accept)) = (extents.next(), extents.next()) else { break };
                let (mut arrival, hops) = notice.arrival();
                arrival.locate(&mut [chunk, accept].into_iter());
                book.enter(arrival, &hops, now_ms, &mut effects);
            }
            for (id, state) in states {
                let Some(extent) = extents.next() else { break };
                release.extend(book.state_written(id, state.seq, extent));
            }
            due_ms = book.next_due_ms();
        }
        let pins = graves.into_iter().zip(extents.by_ref()).map(|(segment, tombstone)| (tombstone, segment)).collect();
        if note {
            release.extend(extents.next());
        }
        if self.settings.canary != Canary::ReleaseBeforeSettle {
            release.extend(burials.iter().flat_map(|burial| burial.extents.extents().collect::<Vec<_>>()));
        }
        {
            let mut settler = self.settler();
            let flight = self.progress.written.fetch_add(1, Ordering::AcqRel) + 1;
            settler.unsynced.push_back(Unsynced { flight, since_ms: now_ms, release, pins });
            if covers.is_some() {
                self.synced_up_to(flight);
            }
        }
        self.tell(effects, due_ms);
    }

    /// Records an event about a message that the spool itself causes.
    pub fn event(&self, kind: EventKind, id: MessageId, via: &str, context: &str) {
        let mut event = mail::Event::new(kind, Some(id));
        (event.via, event.context) = (via, context);
        self.recorder.record(&event);
    }
}

impl Notice {
    /// What it is once its records are found, and where it goes.
    pub fn arrival(self) -> (Arrival, Vec<crate::hop::HopKey>) {
        let arrival = Arrival {
            id: self.id,
            size_bytes: self.body.len() as u64,
            priority: Priority::Normal,
            recipients: self.envelope.recipients.len() as u16,
            journey: Vec::new(),
            envelope: self.packed,
            accept: journal::Extent::default(),
            last_chunk: Some(journal::Extent::default()),
            chunks: Vec::new(),
            at_once: self.at_once,
            hot: Some(Hot { body: self.body, envelope: self.envelope, turn: 0 }),
        };
        (arrival, self.hops)
    }
}
