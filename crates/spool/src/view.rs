//! Owns what operators see of queues and messages: plain values, made on demand. Knows no HTTP and no JSON.

use mail::MessageId;

use crate::hop::{HopId, HopKey};
use crate::words::Priority;

/// One queue.
#[derive(Clone, Debug)]
pub struct QueueView {
    /// Its short name in this process.
    pub hop: HopId,
    /// Where its mail goes. Its `Display` is the queue's name.
    pub key: HopKey,
    /// What it is doing.
    pub state: QueueState,
    /// Messages in it, in whatever state.
    pub messages: u64,
    /// Of these, ready to be tried (or waiting for the hop).
    pub ready: u64,
    /// Of these, being delivered now.
    pub in_hand: u64,
    /// Of these, waiting for their own retry time.
    pub deferred: u64,
    /// Of these, suspended one by one.
    pub suspended: u64,
    /// Content bytes of all of them.
    pub bytes: u64,
    /// Failures of the hop in a row.
    pub failures: u32,
    /// What the hop said or did last when it failed.
    pub last_error: Option<String>,
    /// When that was, Unix milliseconds.
    pub last_attempt_ms: Option<u64>,
    /// When the hop is tried next, Unix milliseconds.
    pub next_retry_ms: Option<u64>,
    /// Messages that came in, per second, over the last minute.
    pub incoming_per_s: f32,
    /// Messages that left, per second, over the last minute.
    pub outgoing_per_s: f32,
}

/// What a queue is doing (behaviours 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QueueState {
    /// Work is in hand or ready.
    Active,
    /// Nothing to do now.
    Ready,
    /// The hop failed; it waits for its next try.
    Retry,
    /// An operator holds it.
    Suspended,
    /// There is no route.
    Unreachable,
}

impl QueueState {
    /// The word in the API.
    pub fn word(self) -> &'static str {
        match self {
            QueueState::Active => "active",
            QueueState::Ready => "ready",
            QueueState::Retry => "retry",
            QueueState::Suspended => "suspended",
            QueueState::Unreachable => "unreachable",
        }
    }
}

/// One message.
#[derive(Clone, Debug)]
pub struct MessageView {
    /// Its name.
    pub id: MessageId,
    /// MAIL FROM, empty for the null path.
    pub sender: String,
    /// Content bytes.
    pub size_bytes: u64,
    /// When it was accepted, Unix milliseconds.
    pub accepted_ms: u64,
    /// When it will be given up, Unix milliseconds.
    pub expires_ms: u64,
    /// Its priority.
    pub priority: Priority,
    /// It is suspended or set aside as a whole.
    pub held: Option<Held>,
    /// How often the process went down while it was in hand.
    pub crashes: u32,
    /// It was under way when the spool was opened: its next delivery may be the second one.
    pub repeat: bool,
    /// Its recipients, settled ones too.
    pub recipients: Vec<RecipientView>,
}

/// Why a message as a whole is not tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Held {
    /// An operator suspended it.
    Suspended,
    /// It took the process down too often.
    Poison,
}

/// One recipient of a message.
#[derive(Clone, Debug)]
pub struct RecipientView {
    /// RCPT TO.
    pub address: String,
    /// Its queue by name; empty once settled.
    pub queue: String,
    /// Its state.
    pub state: RecipientState,
    /// Why it waits, in words.
    pub why: String,
    /// Attempts so far in this life of the process.
    pub attempts: u32,
    /// When it is tried next, Unix milliseconds; `None` if not by itself, or at once.
    pub next_try_ms: Option<u64>,
    /// The last answer for it, or the last error of its hop.
    pub last_reply: Option<String>,
}

/// Where a recipient stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecipientState {
    /// To be tried as soon as the hop takes it.
    Ready,
    /// Being delivered now.
    InHand,
    /// Waits for its own retry time, after an answer to it.
    Deferred,
    /// Waits for its hop, which failed.
    HopRetry,
    /// Held by an operator, with its message or its queue.
    Suspended,
    /// Set aside with its message.
    Poison,
    /// Has no route.
    Unreachable,
    /// Done: delivered, relayed, failed or removed.
    Settled,
}

impl RecipientState {
    /// The word in the API.
    pub fn word(self) -> &'static str {
        match self {
            RecipientState::Ready => "ready",
            RecipientState::InHand => "active",
            RecipientState::Deferred => "deferred",
            RecipientState::HopRetry => "hop-retry",
            RecipientState::Suspended => "suspended",
            RecipientState::Poison => "poison",
            RecipientState::Unreachable => "unreachable",
            RecipientState::Settled => "settled",
        }
    }
}

/// Which messages a listing shows. Empty = all. Texts are compared without regard to case and match anywhere.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// In the sender.
    pub sender: Option<String>,
    /// In one of the recipients not yet settled.
    pub recipient: Option<String>,
    /// In the name of the queue of a recipient not yet settled.
    pub queue: Option<String>,
    /// In the last answer or the hop's last error.
    pub error: Option<String>,
    /// At least so old.
    pub age_min_ms: Option<u64>,
    /// At most so old.
    pub age_max_ms: Option<u64>,
    /// At least so large.
    pub size_min: Option<u64>,
    /// At most so large.
    pub size_max: Option<u64>,
    /// With a recipient in this state.
    pub state: Option<RecipientState>,
}

/// The spool as a whole.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Messages in custody.
    pub messages: u64,
    /// Their content bytes.
    pub bytes: u64,
    /// Messages with something ready, counted per queue.
    pub ready: u64,
    /// Messages in hand, counted per queue.
    pub in_hand: u64,
    /// Messages waiting for their own retry, counted per queue.
    pub deferred: u64,
    /// Messages suspended by an operator.
    pub suspended: u64,
    /// Messages set aside.
    pub poison: u64,
    /// Queues.
    pub queues: u64,
    /// Bytes of bodies in memory.
    pub body_memory_bytes: u64,
    /// Messages accepted since the start, DSNs included.
    pub accepted: u64,
    /// Messages finished since the start.
    pub finished: u64,
    /// DSNs made since the start.
    pub dsns: u64,
    /// Messages under way: a next hop may have them. After a crash just now they would be the possible duplicates.
    pub under_way: u64,
    /// Messages handed out since the start although a full journal could not note that they are under way.
    pub unnoted: u64,
    /// Settle records that wait for company, or for room in the journal. A crash would repeat what they settle.
    pub unwritten: u64,
}

/// Who is told when an operator removes a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The sender gets a failure DSN.
    Sender,
    /// Nobody.
    Nobody,
}

/// Why a verb did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerbError {
    /// There is no such message (any more).
    NoMessage,
    /// There is no such queue (any more).
    NoQueue,
    /// The message is being delivered now; try again, or suspend it first.
    InHand,
    /// The body could not be read back.
    Unreadable,
    /// The spool has stopped, or the journal has no room for the record.
    Stopped,
}

impl std::fmt::Display for VerbError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            VerbError::NoMessage => "no such message; it may have been delivered meanwhile",
            VerbError::NoQueue => "no such queue; an empty one is forgotten after a while",
            VerbError::InHand => "the message is being delivered now; try again",
            VerbError::Unreadable => "the message could not be read back from the journal",
            VerbError::Stopped => "the spool has stopped or has no room to record this",
        })
    }
}

impl std::error::Error for VerbError {}
