//! The words of the message trace: what happened to a message, said once, where it happened.

use crate::address::ReversePath;
use crate::id::MessageId;
use core::fmt;

/// What happened. The names are those that operators search for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A message is in our custody.
    Receive,
    /// A session, a sender, a recipient or a message was refused.
    Refuse,
    /// A recipient was written to by an alias: `recipients` has its own address, `context` the alias.
    Resolve,
    /// A group was expanded: `recipients` are its members, `context` names it.
    Expand,
    /// Somebody else gets it, or gets it too: `recipients` has who, `context` for whom and why (forwarding, contact, rule).
    Redirect,
    /// An attempt failed; there will be another one.
    Defer,
    /// The next hop took the message for a recipient.
    Send,
    /// A local store took the message for a recipient.
    Deliver,
    /// A recipient was given up.
    Fail,
    /// A delivery status notification was made; `context` names what it is about.
    Dsn,
    /// The message was set aside because it took the process down.
    Poison,
    /// It is tried although a next hop may have it already: its node died, or its journal was taken over, before the outcome was known.
    Repeat,
    /// An operator did something to it; `context` says what and who.
    Admin,
    /// Removed without delivery and without a notification.
    Drop,
}

impl EventKind {
    /// The word in the trace files, the API and `posthouse trace`.
    pub fn word(self) -> &'static str {
        match self {
            EventKind::Receive => "RECEIVE",
            EventKind::Refuse => "REFUSE",
            EventKind::Resolve => "RESOLVE",
            EventKind::Expand => "EXPAND",
            EventKind::Redirect => "REDIRECT",
            EventKind::Defer => "DEFER",
            EventKind::Send => "SEND",
            EventKind::Deliver => "DELIVER",
            EventKind::Fail => "FAIL",
            EventKind::Dsn => "DSN",
            EventKind::Poison => "POISON",
            EventKind::Repeat => "REPEAT",
            EventKind::Admin => "ADMIN",
            EventKind::Drop => "DROP",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One line of the trace. Borrowed: recording must not cost an allocation at the place where it happens.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// What happened.
    pub kind: EventKind,
    /// Which message; `None` where it was refused before it had a name.
    pub id: Option<MessageId>,
    /// Its sender, where known.
    pub sender: Option<&'a ReversePath>,
    /// The recipients that this is about.
    pub recipients: &'a [&'a str],
    /// Content bytes, 0 where unknown.
    pub size_bytes: u64,
    /// The peer: client address for RECEIVE and REFUSE, next hop (name and address) for SEND, DEFER, FAIL.
    pub peer: &'a str,
    /// Receive connector or queue by name.
    pub via: &'a str,
    /// The reply that was given or heard.
    pub reply: &'a str,
    /// What else an operator wants to know (`Message-ID`, TLS version, next try, who did it).
    pub context: &'a str,
}

impl<'a> Event<'a> {
    /// An event with nothing filled in but its kind and message.
    pub fn new(kind: EventKind, id: Option<MessageId>) -> Event<'a> {
        Event { kind, id, sender: None, recipients: &[], size_bytes: 0, peer: "", via: "", reply: "", context: "" }
    }
}

/// Where events go. Must not block and must not fail: it bounds what it keeps and counts what it dropped.
pub trait Recorder: Send + Sync {
    /// Takes one event.
    fn record(&self, event: &Event<'_>);
}
