//! Owns a message while it arrives, up to the instant of custody. The only place that issues a receipt.
//! Always holds: memory per arriving message is bounded by [`CHUNK_BYTES`] and [`FLYING_MAX`]; what is not accepted is released.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use journal::{AppendError, BATCH_BYTES_MAX, Batch, Commit, Committed, Extent, When};
use mail::{Envelope, MessageId, Protection, Receipt};

use crate::book::{Arrival, Effects, Hot};
use crate::hop::HopKey;
use crate::journey;
use crate::notify;
use crate::packed;
use crate::record::{self, Accept};
use crate::settings::Canary;
use crate::settler::{Abandoned, Notice};
use crate::shared::{Inner, Spool};
use crate::words::{AcceptError, Facts, Refused, Source};

/// A message while it arrives. Dropped before [`Pending::accept`]: forgotten.
/// Memory is bounded: one buffer of 128 KiB that fills and two on their way to the disk.
pub struct Pending {
    inner: Arc<Inner>,
    id: MessageId,
    buffer: Vec<u8>,
    size_bytes: u64,
    sent: Vec<Sent>,
    flying: usize,
    failed: Option<AcceptError>,
    protection: Protection,
}

/// A chunk that was given to the journal.
enum Sent {
    Flying(Commit),
    Landed(Extent),
}

/// Whether more may be pushed at once.
#[must_use = "pushing on without waiting makes memory grow with the message"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Push {
    /// Push on.
    GoOn,
    /// Await [`Pending::room`] first.
    Wait,
}

/// A message on its way into custody. See [`Pending::accept`].
#[must_use = "custody is taken only when this is ready"]
pub struct Accepting {
    stage: Stage,
}

#[derive(Default)]
enum Stage {
    /// Chunks are on their way.
    Content(Pending, Envelope, Facts),
    /// The mark is on its way.
    Mark(Marked),
    Failed(AcceptError),
    #[default]
    Over,
}

/// A message whose mark was appended.
struct Marked {
    inner: Arc<Inner>,
    commit: Option<Commit>,
    arrival: Option<Arrival>,
    /// The notification in front of it, for what few messages have.
    notice: Option<Box<Told>>,
    hops: Vec<HopKey>,
    /// Flights of the settler that were written when the mark was appended.
    written: u64,
    protection: Protection,
}

/// A notification that becomes ours together with the message that it is about.
struct Told {
    notice: Notice,
    /// What became of the recipients.
    word: &'static str,
}

impl Spool {
    /// Starts a message. Costs nothing on the disk until more than 128 KiB were pushed.
    pub fn begin(&self, source: &Source) -> Result<Pending, Refused> {
        self.inner.can_accept()?;
        self.can_protect(source.protection)?;
        let room = source.size_bytes.unwrap_or(FIRST_BYTES).saturating_add(HEADER_BYTES).min(CHUNK_BYTES as u64);
        Ok(Pending {
            id: self.inner.name(),
            inner: self.inner.clone(),
            buffer: Vec::with_capacity(room as usize),
            size_bytes: 0,
            sent: Vec::new(),
            flying: 0,
            failed: None,
            protection: source.protection,
        })
    }

    /// Whether there are copies enough for such a message now.
    pub fn can_protect(&self, protection: Protection) -> Result<(), Refused> {
        let enough = protection.copies == 0 || protection.allows(self.inner.journal.copies().protected_by());
        if enough { Ok(()) } else { Err(Refused::Short) }
    }

    /// What [`Spool::begin`] would say now, apart from protection: for readiness.
    pub fn can_accept(&self) -> Result<(), Refused> {
        self.inner.can_accept()
    }
}

impl Pending {
    /// The name that the message will have.
    pub fn id(&self) -> MessageId {
        self.id
    }

    /// Bytes pushed so far.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Adds content, CRLF at line ends, unstuffed. (Our own Received header is simply pushed first.)
    pub fn push(&mut self, mut bytes: &[u8]) -> Push {
        self.size_bytes += bytes.len() as u64;
        while self.failed.is_none() && !bytes.is_empty() {
            if self.buffer.len() == CHUNK_BYTES {
                self.send_chunk();
            }
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK_BYTES - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
        }
        if self.flying >= FLYING_MAX { Push::Wait } else { Push::GoOn }
    }

    /// Waits until a buffer is free. Errors are kept for [`Pending::accept`]; after one, pushed bytes are dropped.
    pub fn room(&mut self) -> impl Future<Output = ()> + Send + '_ {
        std::future::poll_fn(|cx| self.poll_flying(cx, FLYING_MAX - 1))
    }

    /// The end: makes the message ours. The 250 is built from the receipt.
    /// If the future is dropped before it is ready, the message is forgotten (unless the machine stops just then: it is kept).
    pub fn accept(self, envelope: Envelope, facts: Facts) -> Accepting {
        let recipients = envelope.recipients.len();
        let stage = if recipients == 0 || recipients > RECIPIENTS_MAX {
            Stage::Failed(AcceptError::Envelope)
        } else {
            Stage::Content(self, envelope, facts)
        };
        Accepting { stage }
    }

    fn send_chunk(&mut self) {
        let next = Vec::with_capacity(CHUNK_BYTES);
        let full = std::mem::replace(&mut self.buffer, next);
        let head = record::chunk_head(self.id, self.sent.len() as u32);
        let batch = Batch::new().record(record::CHUNK, &head, full);
        self.sent.push(Sent::Flying(self.inner.journal.append(batch, When::Soon)));
        self.flying += 1;
    }

    /// Ready when no more than `may_fly` chunks are on their way, or one failed.
    fn poll_flying(&mut self, cx: &mut Context<'_>, may_fly: usize) -> Poll<()> {
        let from = self.sent.len() - self.flying;
        for at in from..self.sent.len() {
            if self.flying <= may_fly || self.failed.is_some() {
                break;
            }
            let Sent::Flying(commit) = &mut self.sent[at] else { continue };
            let Poll::Ready(outcome) = Pin::new(commit).poll(cx) else { return Poll::Pending };
            self.flying -= 1;
            match outcome {
                Ok(committed) => self.sent[at] = Sent::Landed(committed.extent(0)),
                Err(error) => {
                    self.sent.remove(at);
                    self.fail(error);
                }
            }
        }
        Poll::Ready(())
    }

    fn fail(&mut self, error: AppendError) {
        self.failed = Some(accept_error(error));
        self.buffer = Vec::new();
    }

    /// All chunks have landed: appends the rest of the content and the mark in one durable batch.
    fn mark(mut self, envelope: Envelope, mut facts: Facts) -> Result<Marked, AcceptError> {
        let mut packed = Vec::with_capacity(32 + 64 * envelope.recipients.len());
        packed::pack(&envelope, &mut packed);
        if packed.len() > ENVELOPE_BYTES_MAX {
            return Err(AcceptError::Envelope);
        }
        let body = Arc::new(std::mem::take(&mut self.buffer));
        let has_rest = !body.is_empty();
        let inner = self.inner.clone();
        let journey = std::mem::take(&mut facts.journey).from(self.id.unix_ms(), self.size_bytes);
        let packed_journey = journey::pack(&journey, self.id.unix_ms(), self.size_bytes);
        let hops = inner.route(&envelope, self.size_bytes, &journey);
        let at_once = inner.book().goes_at_once(&hops);
        let mark = Accept {
            id: self.id,
            size_bytes: self.size_bytes,
            chunks: self.sent.len() as u32 + u32::from(has_rest),
            hops: facts.hops,
            priority: facts.priority,
            at_once,
            received_from: &facts.received_from,
            journey: &packed_journey,
            envelope: &packed,
        };
        let mut batch = Batch::new();
        // First in the batch: a crash that keeps a part of it repeats a notification rather than losing it (docs/custody.md, order 3).
        let notice = self.early_notice(&envelope, &facts, &body);
        if let Some(Told { notice, .. }) = notice.as_deref() {
            if packed.len() + body.len() + notice.body.len() > BATCH_BYTES_MAX - BATCH_SPARE_BYTES {
                return Err(AcceptError::Envelope);
            }
            batch.push(record::CHUNK, &record::chunk_head(notice.id, 0), notice.body.clone());
            batch.push(record::ACCEPT, &notice.mark(), ());
        }
        if has_rest {
            let head = record::chunk_head(self.id, self.sent.len() as u32);
            batch.push(record::CHUNK, &head, body.clone());
        }
        batch.push(record::ACCEPT, &mark.write(), ());
        let chunks: Vec<Extent> = self.sent.drain(..).filter_map(Sent::landed).collect();
        let written = inner.progress.written.load(Ordering::Acquire);
        let when = match self.protection.copies {
            _ if inner.settings.canary == Canary::ReceiptBeforeSync => When::Soon,
            0 => When::Here,
            _ => When::Durable,
        };
        let commit = inner.journal.append(batch, when);
        let is_whole = chunks.is_empty() && has_rest;
        let arrival = Arrival {
            id: self.id,
            size_bytes: self.size_bytes,
            priority: facts.priority,
            recipients: envelope.recipients.len() as u16,
            journey: packed_journey,
            envelope: packed,
            accept: Extent::default(),
            last_chunk: has_rest.then(Extent::default),
            chunks,
            at_once,
            hot: is_whole.then(|| Hot { body, envelope: Arc::new(envelope), turn: 0 }),
        };
        let protection = self.protection;
        Ok(Marked { inner, commit: Some(commit), arrival: Some(arrival), notice, hops, written, protection })
    }

    /// The notification about recipients that are settled already, if somebody wants it. `rest` is what was not sent as a chunk.
    fn early_notice(&self, envelope: &Envelope, facts: &Facts, rest: &[u8]) -> Option<Box<Told>> {
        if facts.early.is_empty() {
            return None;
        }
        let first = match self.sent.first() {
            Some(Sent::Landed(extent)) => self.inner.journal.read(*extent).unwrap_or_default(),
            _ => Vec::new(),
        };
        let start = if self.sent.is_empty() { rest } else { first.get(record::CHUNK_HEAD..).unwrap_or_default() };
        let (notice, word) = notify::early(&self.inner, self.id, envelope, &facts.early, start, &facts.received_from)?;
        Some(Box::new(Told { notice, word }))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        for sent in self.sent.drain(..) {
            match sent {
                Sent::Landed(extent) => self.inner.release(extent),
                Sent::Flying(commit) => self.inner.settler().orphans.push(commit),
            }
        }
    }
}

impl Sent {
    fn landed(self) -> Option<Extent> {
        match self {
            Sent::Landed(extent) => Some(extent),
            Sent::Flying(_) => None,
        }
    }
}

impl Accepting {
    /// The copies take too long: ends the waiting for them. A message that is synced here is taken with the copies that it has, if its
    /// connector wants that; otherwise it is forgotten.
    pub fn stop_waiting(self) -> Result<Receipt, AcceptError> {
        let Stage::Mark(mut marked) = self.stage else { return Err(AcceptError::Short) };
        let Some(outcome) = marked.commit.as_mut().and_then(Commit::take_here) else { return Err(AcceptError::Short) };
        marked.commit = None;
        marked.committed(outcome)
    }
}

impl Future for Accepting {
    type Output = Result<Receipt, AcceptError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match std::mem::take(&mut self.stage) {
                Stage::Content(mut pending, envelope, facts) => {
                    if pending.poll_flying(cx, 0).is_pending() {
                        self.stage = Stage::Content(pending, envelope, facts);
                        return Poll::Pending;
                    }
                    self.stage = match pending.failed {
                        Some(error) => Stage::Failed(error),
                        None => pending.mark(envelope, facts).map_or_else(Stage::Failed, Stage::Mark),
                    };
                }
                Stage::Mark(mut marked) => {
                    let Some(commit) = &mut marked.commit else { return Poll::Ready(Err(AcceptError::Stopped)) };
                    let Poll::Ready(outcome) = Pin::new(commit).poll(cx) else {
                        self.stage = Stage::Mark(marked);
                        return Poll::Pending;
                    };
                    marked.commit = None;
                    return Poll::Ready(marked.committed(outcome));
                }
                Stage::Failed(error) => return Poll::Ready(Err(error)),
                Stage::Over => return Poll::Ready(Err(AcceptError::Stopped)),
            }
        }
    }
}

impl Marked {
    /// The mark is durable, or failed. THE INSTANT OF CUSTODY is the sync behind the first of these.
    fn committed(mut self, outcome: Result<Committed, AppendError>) -> Result<Receipt, AcceptError> {
        let Some(mut arrival) = self.arrival.take() else { return Err(AcceptError::Stopped) };
        let committed = match outcome {
            Ok(committed) => committed,
            Err(error) => {
                arrival.chunks.iter().for_each(|extent| self.inner.release(*extent));
                return Err(accept_error(error));
            }
        };
        let (id, now_ms) = (arrival.id, self.inner.now_ms());
        let is_ours = self.protection.allows(committed.copies.into());
        let mut extents = committed.extents();
        let notice = self.notice.take().map(|told| {
            if is_ours {
                notify::trace(&self.inner, &told.notice, told.word, id);
            }
            let (mut arrival, hops) = told.notice.arrival();
            arrival.locate(&mut extents);
            (arrival, hops)
        });
        arrival.locate(&mut extents);
        if !is_ours {
            let arrivals = notice.into_iter().map(|(arrival, _)| arrival).chain([arrival]);
            arrivals.for_each(|arrival| self.inner.forget_arrived(arrival));
            return Err(AcceptError::Short);
        }
        let mut effects = Effects::default();
        let due_ms = {
            let mut book = self.inner.book();
            book.enter(arrival, &self.hops, now_ms, &mut effects);
            if let Some((arrival, hops)) = notice {
                book.count_notices(1);
                book.enter(arrival, &hops, now_ms, &mut effects);
            }
            book.next_due_ms()
        };
        self.inner.synced_up_to(self.written);
        self.inner.tell(effects, due_ms);
        Ok(Receipt::issue_after_sync(id, committed.copies, now_ms))
    }
}

impl Drop for Marked {
    /// The session went away between the mark and its sync: nobody hears a 250, so the message is not ours; its client tries
    /// again. It is buried once it has landed. (A crash before that keeps it: a duplicate, never a loss.)
    fn drop(&mut self) {
        if let (Some(commit), Some(arrival)) = (self.commit.take(), self.arrival.take()) {
            let notice = self.notice.take().map(|told| told.notice.arrival().0);
            self.inner.settler().abandoned.push(Abandoned { commit, arrival, notice });
        }
    }
}

fn accept_error(error: AppendError) -> AcceptError {
    match error {
        AppendError::Full => AcceptError::Full,
        AppendError::Stopped => AcceptError::Stopped,
    }
}

/// Content of one chunk record. Also the largest message that is written with its mark in one batch and kept in memory.
const CHUNK_BYTES: usize = 128 << 10;

/// Chunks of one message on their way to the disk.
const FLYING_MAX: usize = 2;

/// The first buffer of a message whose size nobody told.
const FIRST_BYTES: u64 = 4096;

/// Room for the header fields that we add.
const HEADER_BYTES: u64 = 512;

const RECIPIENTS_MAX: usize = u16::MAX as usize;

/// Bound of the packed envelope, so that it and a chunk fit into one batch.
const ENVELOPE_BYTES_MAX: usize = 640 << 10;

/// Of a batch: headers of records, marks without their envelopes.
const BATCH_SPARE_BYTES: usize = 8 << 10;
