//! Owns the records that say which messages are under way, on their way to the journal: durable here and on the copies that count before
//! anybody gets the message. Most mail needs none: its mark says it. Knows no schedule. See docs/decisions/duplicates.md.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Wake, Waker};

use journal::{AppendError, Batch, Committed, When};
use mail::{EventKind, MessageId};

use crate::book::Effects;
use crate::hop::HopId;
use crate::record;
use crate::settings::Canary;
use crate::settler::{Bundle, Start};
use crate::shared::{Inner, Spool};

impl Spool {
    /// Whether its owner went on without it, as a copy: then all of its messages are possible duplicates.
    pub fn is_doubtful(&self) -> bool {
        self.inner.settings.doubtful
    }

    /// The messages that were under way when this spool was opened, oldest first: a next hop may have had them already. No other message
    /// that is in it was handed to anybody without an outcome that is known. Bounded by what can be under way at once.
    pub fn possible_duplicates(&self) -> &[MessageId] {
        &self.inner.possible_duplicates
    }
}

impl Inner {
    /// Lets the next messages of a queue start, if it needs that.
    pub fn start_next(self: &Arc<Inner>, hop: HopId) {
        let states = self.book().start_next(hop);
        if states.is_empty() {
            return;
        }
        let mut batch = Batch::new().may_use_reserve();
        for (id, state) in &states {
            batch.push(record::STATE, &state.write(*id), ());
        }
        let ids = states.into_iter().map(|(id, state)| (id, state.seq)).collect();
        let written = self.progress.written.load(Ordering::Acquire);
        let waker = Waker::from(Arc::new(Ring { inner: Arc::downgrade(self), hop }));
        let when = match self.settings.canary {
            Canary::StartsUnsynced => When::Soon,
            Canary::StartsHere => When::Here,
            _ => When::Durable,
        };
        // Counted before, and locked until it can be found: whoever is woken looks for it.
        self.progress.starting.fetch_add(1, Ordering::AcqRel);
        let mut settler = self.settler();
        let mut commit = self.journal.append(batch, when);
        let outcome = match Pin::new(&mut commit).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        };
        settler.starts.push(Start { commit, hop, ids, written, outcome });
    }

    /// Lets those go whose records are durable.
    pub fn starts_landed(&self) {
        if self.progress.starting.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut landed = Vec::new();
        self.settler().starts.retain_mut(|start| match start.outcome.take().or_else(|| start.commit.try_take()) {
            None => true,
            Some(outcome) => {
                landed.push((start.hop, std::mem::take(&mut start.ids), start.written, outcome));
                false
            }
        });
        self.progress.starting.fetch_sub(landed.len(), Ordering::AcqRel);
        for (hop, ids, written, outcome) in landed {
            self.start_landed(hop, &ids, written, outcome);
        }
    }

    fn start_landed(
        &self,
        hop: HopId,
        ids: &[(MessageId, u32)],
        written: u64,
        outcome: Result<Committed, AppendError>,
    ) {
        let mut effects = Effects::default();
        let mut dead = Vec::new();
        {
            let mut book = self.book();
            match &outcome {
                Ok(committed) => {
                    let extents = ids.iter().zip(committed.extents());
                    dead.extend(extents.filter_map(|((id, seq), extent)| book.state_written(*id, *seq, extent)));
                }
                // Full is no reason to keep mail: it leaves, and so the space comes back.
                Err(AppendError::Full) => book.count_unnoted(ids.len()),
                // Another node owns this journal now, or the disk failed: nothing more leaves from here.
                Err(AppendError::Stopped) => return,
            }
            book.started(hop, ids.iter().map(|(id, _)| *id), &mut effects);
        }
        dead.into_iter().for_each(|extent| self.release(extent));
        if outcome.is_ok() {
            self.synced_up_to(written);
        }
        self.tell(effects, None);
    }

    /// Writes that the ready messages of a hop that failed are under way no more.
    pub fn rest_hop(&self, hop: HopId) {
        let states = self.book().rest_hop(hop);
        self.write(Bundle { states, ..Bundle::default() });
    }

    /// Writes the same of all, at the end.
    pub fn rest_all(&self) {
        let states = self.book().rest_all();
        let written = self.progress.written.load(Ordering::Acquire);
        let mut settler = self.settler();
        for part in states.chunks(RESTED_AT_ONCE) {
            settler.fly(&self.journal, Bundle { states: part.to_vec(), ..Bundle::default() }, written);
        }
    }

    /// Says of each possible duplicate in its trace what it is.
    pub fn name_possible_duplicates(&self) {
        let why = match self.settings.doubtful {
            true => "its node went on without this copy, and may have delivered it: it may come twice",
            false => "was under way when its journal was last in use: it may come twice",
        };
        for id in &self.possible_duplicates {
            self.event(EventKind::Repeat, *id, "", why);
        }
    }
}

/// Rings for a hop once its messages may leave.
struct Ring {
    inner: std::sync::Weak<Inner>,
    hop: HopId,
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        if let Some(inner) = self.inner.upgrade() {
            inner.wake.ready(self.hop);
        }
    }
}

/// States in one batch.
const RESTED_AT_ONCE: usize = 512;
