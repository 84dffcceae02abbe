//! Owns the face of the spool.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use mail::{Envelope, MessageId, Receipt, Recipient, Recorder, Reply};
use world::World;

use crate::*;

/// An open spool. Clones are the same spool.
#[derive(Clone)]
pub struct Spool {}

impl Spool {
    /// Opens the spool in `dir` (made if missing) and finds every message that was accepted and not settled.
    /// Blocks; starts the journal's threads and one thread for cleaning. `wake` may be called before this returns.
    pub fn open(
        world: &World,
        dir: &Path,
        settings: Settings,
        recorder: Arc<dyn Recorder>,
        route: Arc<dyn Route>,
        wake: Arc<dyn Wake>,
    ) -> Result<Spool, OpenError> {
        let _ = (world, dir, settings, recorder, route, wake);
        todo!()
    }

    /// The same without threads, for simulations and tests: nothing happens but in [`Spool::pump`].
    pub fn open_inline(
        world: &World,
        dir: &Path,
        settings: Settings,
        recorder: Arc<dyn Recorder>,
        route: Arc<dyn Route>,
        wake: Arc<dyn Wake>,
    ) -> Result<Spool, OpenError> {
        let _ = (world, dir, settings, recorder, route, wake);
        todo!()
    }

    /// One round of the journal and of cleaning on the caller's thread. Returns whether anything was done.
    pub fn pump(&self) -> bool {
        todo!()
    }

    // ---- taking custody (transport::receive)

    /// Starts a message. Costs nothing on the disk until more than 128 KiB were pushed.
    pub fn begin(&self, source: &Source) -> Result<Pending, Refused> {
        let _ = source;
        todo!()
    }

    /// What [`Spool::begin`] would say now: for readiness.
    pub fn can_accept(&self) -> Result<(), Refused> {
        todo!()
    }

    // ---- delivering (transport::deliver)

    /// Takes up to `max` ready messages of a hop, higher priority first, oldest first. Empty: nothing is ready, the hop is
    /// suspended or waits on its ladder; [`Wake::ready`] will tell when there is something again.
    pub fn take(&self, hop: HopId, max: usize) -> Vec<Work> {
        let _ = (hop, max);
        todo!()
    }

    /// Says what became of recipients of `work`: pairs of the index that [`Work::recipients`] gave and its outcome. Those not
    /// named go back to ready. Records SEND, DELIVER, DEFER, FAIL and DSN events: the caller must not.
    /// The settle record is written soon, not synced: a crash may bring the message back once (docs/custody.md).
    /// May block for one read when a DSN is due and the message is not in memory any more.
    pub fn settle(&self, work: Work, attempt: &Attempt<'_>, outcomes: &[(u16, Outcome)]) {
        let _ = (work, attempt, outcomes);
        todo!()
    }

    /// No connection to the hop could be made (all its addresses failed): it moves one step on its ladder and its messages
    /// wait. `works` are those that the attempt was for; each gets a DEFER event, and they go back to ready.
    /// Works of the same hop that are still in hand elsewhere are not touched.
    pub fn hop_failed(&self, hop: HopId, works: Vec<Work>, attempt: &Attempt<'_>, reply: &Reply) {
        let _ = (hop, works, attempt, reply);
        todo!()
    }

    /// A connection to the hop worked: its ladder starts anew.
    pub fn hop_worked(&self, hop: HopId) {
        let _ = hop;
        todo!()
    }

    /// Where a hop leads. `None` if it was forgotten.
    pub fn hop_key(&self, hop: HopId) -> Option<HopKey> {
        let _ = hop;
        todo!()
    }

    // ---- time (roles)

    /// When [`Spool::tick`] is due, in milliseconds of `Clock::mono_ms`. `None` while nothing waits.
    pub fn next_due(&self) -> Option<u64> {
        todo!()
    }

    /// Does what is due: retries, expiry, delay notices, settle records, forgetting of empty queues. Bounded work per call; call
    /// it again at `next_due`. Time is the world's clock; jumps of the wall clock neither expire mail nor stop retries.
    pub fn tick(&self) {
        todo!()
    }

    /// Refuses new mail from now on (`Refused::Stopping`); what is in hand can still be settled.
    pub fn stop_accepting(&self) {
        todo!()
    }

    /// Stops: refuses new mail, takes no more work out, writes and syncs all settle records and closes the journal. Blocks.
    /// Call it after the deliverers have finished or dropped their works.
    pub fn stop(&self) {
        todo!()
    }

    // ---- figures and verbs (admin, through roles)

    /// The spool in a few numbers.
    pub fn totals(&self) -> Totals {
        todo!()
    }

    /// The journal's figures.
    pub fn journal_stats(&self) -> journal::Stats {
        todo!()
    }

    /// All queues, by name.
    pub fn queues(&self) -> Vec<QueueView> {
        todo!()
    }

    /// One queue.
    pub fn queue(&self, hop: HopId) -> Option<QueueView> {
        let _ = hop;
        todo!()
    }

    /// The queue of this name (see [`HopKey`]'s `Display`).
    pub fn queue_named(&self, name: &str) -> Option<HopId> {
        let _ = name;
        todo!()
    }

    /// Up to `limit` messages that match, oldest first, behind the message `after`.
    pub fn messages(&self, filter: &Filter, limit: usize, after: Option<MessageId>) -> Vec<MessageView> {
        let _ = (filter, limit, after);
        todo!()
    }

    /// One message.
    pub fn message(&self, id: MessageId) -> Option<MessageView> {
        let _ = id;
        todo!()
    }

    /// Tries a message now (its own waits end; its hop is tried too). `who` goes into the ADMIN event, here and below.
    pub fn retry(&self, id: MessageId, who: &str) -> Result<(), VerbError> {
        let _ = (id, who);
        todo!()
    }

    /// Holds a message. If it is in hand, it is held when that attempt fails.
    pub fn suspend(&self, id: MessageId, who: &str) -> Result<(), VerbError> {
        let _ = (id, who);
        todo!()
    }

    /// Lets go a message that was suspended or set aside.
    pub fn resume(&self, id: MessageId, who: &str) -> Result<(), VerbError> {
        let _ = (id, who);
        todo!()
    }

    /// Removes a message, telling its sender (5.7.0 removed by an operator) or nobody.
    pub fn remove(&self, id: MessageId, notice: Notice, who: &str) -> Result<(), VerbError> {
        let _ = (id, notice, who);
        todo!()
    }

    /// Sends all unsettled recipients of a message to another next hop, until they are settled or the hop is asked for anew
    /// with [`Spool::reroute`].
    pub fn redirect(&self, id: MessageId, to: HopKey, who: &str) -> Result<(), VerbError> {
        let _ = (id, to, who);
        todo!()
    }

    /// A message as it is kept, with the envelope in front as `X-Posthouse-Sender` and `X-Posthouse-Recipient` lines. Blocks.
    /// A large message is bounded by `max_bytes`: beyond that it is cut.
    pub fn export(&self, id: MessageId, max_bytes: usize) -> Result<Vec<u8>, VerbError> {
        let _ = (id, max_bytes);
        todo!()
    }

    /// Holds a queue. What is in hand is finished; new mail still comes in. Not kept over a restart.
    pub fn suspend_hop(&self, hop: HopId, who: &str) -> Result<(), VerbError> {
        let _ = (hop, who);
        todo!()
    }

    /// Lets a queue go on.
    pub fn resume_hop(&self, hop: HopId, who: &str) -> Result<(), VerbError> {
        let _ = (hop, who);
        todo!()
    }

    /// Tries a queue now: ends its wait and those of its messages.
    pub fn retry_hop(&self, hop: HopId, who: &str) -> Result<(), VerbError> {
        let _ = (hop, who);
        todo!()
    }

    /// Asks [`Route`] anew for every message that waits, after a change of configuration.
    pub fn reroute(&self) {
        todo!()
    }
}

/// Who is told when an operator removes a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The sender gets a failure DSN.
    Sender,
    /// Nobody.
    Nobody,
}

/// A message while it arrives. Dropped before [`Pending::accept`]: forgotten.
/// Memory is bounded: one buffer of 128 KiB that fills and one on its way to the disk.
pub struct Pending {}

/// Whether more may be pushed at once.
#[must_use = "pushing on without waiting makes memory grow with the message"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Push {
    /// Push on.
    GoOn,
    /// Await [`Pending::room`] first.
    Wait,
}

impl Pending {
    /// The name that the message will have.
    pub fn id(&self) -> MessageId {
        todo!()
    }

    /// Bytes pushed so far.
    pub fn size_bytes(&self) -> u64 {
        todo!()
    }

    /// Adds content, CRLF at line ends, unstuffed. (Our own Received header is simply pushed first.)
    pub fn push(&mut self, bytes: &[u8]) -> Push {
        let _ = bytes;
        todo!()
    }

    /// Waits until a buffer is free. Errors are kept for [`Pending::accept`]; after one, pushed bytes are dropped.
    pub fn room(&mut self) -> impl Future<Output = ()> + Send + '_ {
        std::future::ready(())
    }

    /// The end: makes the message ours. The 250 is built from the receipt.
    /// If the future is dropped before it is ready, the message is forgotten, or (in a race with the sync) delivered.
    pub fn accept(self, envelope: Envelope, facts: Facts) -> Accepting {
        let _ = (envelope, facts);
        todo!()
    }
}

/// A message on its way into custody. See [`Pending::accept`].
#[must_use = "custody is taken only when this is ready"]
pub struct Accepting {}

impl Future for Accepting {
    type Output = Result<Receipt, AcceptError>;

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Self::Output> {
        todo!()
    }
}

/// A message for one hop, in hand. Dropped: back to ready (and, dropped by a panic, counted as a crash of that message).
pub struct Work {}

impl Work {
    /// The message's name.
    pub fn id(&self) -> MessageId {
        todo!()
    }

    /// The hop that it was taken for.
    pub fn hop(&self) -> HopId {
        todo!()
    }

    /// Sender and parameters. Its recipients are all those of the message: use [`Work::recipients`].
    pub fn envelope(&self) -> &Envelope {
        todo!()
    }

    /// The recipients to be tried now, each with the index by which [`Spool::settle`] knows it.
    pub fn recipients(&self) -> impl Iterator<Item = (u16, &Recipient)> + '_ {
        std::iter::empty()
    }

    /// Number of those.
    pub fn recipients_len(&self) -> usize {
        todo!()
    }

    /// When the message was accepted, Unix milliseconds.
    pub fn accepted_ms(&self) -> u64 {
        todo!()
    }

    /// Attempts for this hop before this one, in this life of the process.
    pub fn attempts(&self) -> u32 {
        todo!()
    }

    /// The content.
    pub fn body(&self) -> &Body {
        todo!()
    }
}

/// The content of a message. Cheap to clone; may outlive the [`Work`] only until that is settled.
#[derive(Clone)]
pub struct Body {}

impl Body {
    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        todo!()
    }

    /// There are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of it, if it is in memory: send from here without a copy.
    pub fn in_memory(&self) -> Option<&Arc<Vec<u8>>> {
        todo!()
    }

    /// Reads from `offset` on until `buf` is full or the content ends; gives the number of bytes. Blocks if it is not in memory.
    pub fn read(&self, offset: u64, buf: &mut [u8]) -> Result<usize, journal::ReadError> {
        let _ = (offset, buf);
        todo!()
    }
}
