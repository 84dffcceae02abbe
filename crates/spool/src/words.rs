//! Owns what passes between the spool and the floors above it: facts that come in, outcomes, refusals, and the two
//! traits through which the spool asks back. Knows no journal.

use std::fmt;

use mail::{Enhanced, Envelope, Journey, Protection, Reply};

use crate::early::Early;
use crate::hop::{HopId, HopKey};

/// What is known of a message before its first byte.
#[derive(Clone, Copy, Debug, Default)]
pub struct Source {
    /// SIZE= of MAIL, so that a buffer of the right size is made. Only a hint.
    pub size_bytes: Option<u64>,
    /// What it must have before its receipt.
    pub protection: Protection,
}

/// What is known of a message at its end, apart from its envelope.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// `Received` fields in its header, ours included. Who receives it refuses too many with 5.4.6.
    pub hops: u8,
    /// How its client named itself, for DSNs; cut at 255 bytes.
    pub received_from: Box<str>,
    /// Which of a hop's messages go first.
    pub priority: Priority,
    /// Recipients that are settled already, at most [`crate::EARLY_MAX`]: their sender is told if the message becomes ours.
    pub early: Vec<Early>,
    /// Where it was before it came here.
    pub journey: Journey,
}

/// Within one queue, higher goes first; messages of the same priority go in order of acceptance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Before all others.
    High,
    /// Most mail.
    #[default]
    Normal,
    /// After all others.
    Low,
}

/// What became of one recipient in one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in its mailbox (Maildir, LMTP). Final.
    Delivered {
        /// The store's answer.
        reply: Reply,
    },
    /// The next hop has taken it. Final.
    Relayed {
        /// The next hop's answer.
        reply: Reply,
        /// The next hop offered DSN (RFC 3461): it will tell the sender of success, so we do not.
        dsn_offered: bool,
    },
    /// Not now; tried again after `Settings::message_retry_interval_ms`.
    Deferred {
        /// The next hop's answer, or ours (`4.4.x`) where none was heard.
        reply: Reply,
    },
    /// Never. Final; the sender is told.
    Failed {
        /// The next hop's answer, or ours (`5.x.x`).
        reply: Reply,
    },
}

impl Outcome {
    /// Nothing more is to be done for this recipient.
    pub fn is_final(&self) -> bool {
        !matches!(self, Outcome::Deferred { .. })
    }

    /// The answer that it rests on.
    pub fn reply(&self) -> &Reply {
        match self {
            Outcome::Delivered { reply }
            | Outcome::Relayed { reply, .. }
            | Outcome::Deferred { reply }
            | Outcome::Failed { reply } => reply,
        }
    }
}

/// Who was asked in an attempt: for the trace and for DSNs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attempt<'a> {
    /// Name and address of the peer as the trace shows it, `mx1.example.net[192.0.2.1]:25`; empty if none was reached.
    pub peer: &'a str,
    /// The peer's host name for `Remote-MTA`; `None` for a local store.
    pub remote_mta: Option<&'a str>,
    /// What else the trace shows (TLS version, which connection).
    pub context: &'a str,
}

/// Why no message is taken now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The journal has no room: 452 4.3.1. Works again by itself.
    Full,
    /// The spool is stopping: 421 4.3.2.
    Stopping,
    /// Too few copies count, and the connector does not take mail without them: 451 4.4.0. Works again by itself.
    Short,
}

impl Refused {
    /// What the client hears.
    pub fn reply(self) -> Reply {
        match self {
            Refused::Full => Reply::new(452, Enhanced::new(4, 3, 1), "no space for mail now, try later"),
            Refused::Stopping => Reply::new(421, Enhanced::new(4, 3, 2), "shutting down, try later"),
            Refused::Short => Reply::new(451, Enhanced::new(4, 4, 0), "too few nodes to keep a copy now, try later"),
        }
    }
}

/// Why a message was not taken at its end. Nothing of it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptError {
    /// The journal has no room: 452 4.3.1.
    Full,
    /// The journal or the spool has stopped: 451 4.3.2.
    Stopped,
    /// The envelope has no recipients, or more than one record can hold (65,535, and 640 KiB of addresses): 550 5.5.3.
    Envelope,
    /// Too few copies were synced in time: 451 4.4.0.
    Short,
}

impl AcceptError {
    /// What the client hears.
    pub fn reply(self) -> Reply {
        match self {
            AcceptError::Full => Refused::Full.reply(),
            AcceptError::Stopped => Reply::new(451, Enhanced::new(4, 3, 2), "cannot keep mail now, try later"),
            AcceptError::Short => Refused::Short.reply(),
            AcceptError::Envelope => Reply::new(550, Enhanced::new(5, 5, 3), "too many recipients, write to fewer"),
        }
    }
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AcceptError::Full => "no space in the journal",
            AcceptError::Stopped => "the journal has stopped",
            AcceptError::Short => "too few copies were synced in time",
            AcceptError::Envelope => "the envelope has no recipients, or too many",
        })
    }
}

impl std::error::Error for AcceptError {}

/// Why a spool was not opened.
#[derive(Debug)]
pub enum OpenError {
    /// The journal was not opened.
    Journal(journal::OpenError),
    /// A record is intact but says what this program does not understand (a newer version wrote it), or a message's
    /// body is missing. Nothing was changed.
    Record {
        /// Where.
        position: journal::Position,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A file beside the journal.
    Io {
        /// What was tried.
        what: &'static str,
        /// What the operating system said.
        source: std::io::Error,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Journal(error) => write!(f, "{error}"),
            OpenError::Record { position, what } => write!(f, "spool record at {position}: {what}"),
            OpenError::Io { what, source } => write!(f, "{what}: {source}"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OpenError::Journal(error) => Some(error),
            OpenError::Record { .. } => None,
            OpenError::Io { source, .. } => Some(source),
        }
    }
}

/// A message whose next hops are asked for.
#[derive(Clone, Copy)]
pub struct ToRoute<'a> {
    /// Its envelope, with all recipients: those that are settled by now too.
    pub envelope: &'a Envelope,
    /// Content bytes.
    pub size_bytes: u64,
    /// Where it was before; complete ([`Journey::from`]).
    pub journey: &'a Journey,
    /// Whether a hop has failed and waits on its ladder.
    pub waits: &'a dyn Fn(&HopKey) -> bool,
}

/// Who knows where mail goes. Asked at accept, at recovery, by [`crate::Spool::reroute`] and for notifications; must not block.
pub trait Route: Send + Sync + 'static {
    /// The next hops of a message: one key for each recipient, in order, or a single one that is that of all.
    fn hops(&self, message: &ToRoute<'_>) -> Vec<HopKey>;
}

/// Whom the spool tells that there is something to do. Called without locks held, from any thread, on the hot path:
/// must be quick and must not block. Calling the spool from inside is allowed.
pub trait Wake: Send + Sync + 'static {
    /// `hop` has ready work, and nobody has been told since its ready queue was last seen empty by [`crate::Spool::take`].
    fn ready(&self, hop: HopId);
    /// [`crate::Spool::next_due`] is now earlier than it was when last asked.
    fn due(&self);
}
