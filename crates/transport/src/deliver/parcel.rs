//! A piece of work on its way over one connection: a message and as many of its recipients as one transaction takes.
//!
//! A store that is spoken to over LMTP gets one field in front, `X-Posthouse-Id`: the same whenever the message comes, so that it can know
//! a message that comes twice (docs/decisions/duplicates.md).
//! Always holds: recipients that a transaction has no room for are not spoken of in its outcome, so the spool keeps them ready.

use super::border::Cuts;
use mail::header::Scanner;
use mail::{BodyKind, Journey, Recipient, Ret, ReversePath};
use smtp::client::{Done, Outcome as Heard, Outgoing, Protocol};
use spool::{Outcome, Work};
use std::sync::Arc;

pub(super) struct Parcel {
    pub work: Work,
    /// How many recipients, from the first one on.
    recipients: usize,
    /// Lines that go before the body, CRLF at the end of each.
    head: String,
    /// What of the body is not sent.
    cuts: Cuts,
    /// For a server of the organization.
    journey: Option<Journey>,
}

impl Parcel {
    /// `work` for at most `recipients_max` of its recipients, its body without `cuts`.
    pub fn new(work: Work, recipients_max: usize, protocol: Protocol, cuts: Cuts) -> Parcel {
        let recipients = work.recipients_len().min(recipients_max.max(1));
        let head = match protocol {
            Protocol::Lmtp => format!("X-Posthouse-Id: {}\r\n", work.id()),
            Protocol::Smtp => String::new(),
        };
        Parcel { work, recipients, head, cuts, journey: None }
    }

    /// The same with the journey that a server of the organization is told.
    pub fn with_journey(self, journey: Option<Journey>) -> Parcel {
        Parcel { journey, ..self }
    }

    /// What of the body is not sent.
    pub fn cuts(&self) -> &Cuts {
        &self.cuts
    }

    /// What is sent before the body. No line of it needs stuffing.
    pub fn head(&self) -> &str {
        &self.head
    }
}

impl Outgoing for Parcel {
    fn from(&self) -> &ReversePath {
        &self.work.envelope().from
    }

    fn recipients(&self) -> usize {
        self.recipients
    }

    fn recipient(&self, index: usize) -> &Recipient {
        let (_, recipient) = self.work.recipients().nth(index).expect("the machine asks below recipients()");
        recipient
    }

    fn size_bytes(&self) -> u64 {
        self.head.len() as u64 + self.work.body().len() - self.cuts.bytes()
    }

    fn body(&self) -> BodyKind {
        self.work.envelope().body
    }

    fn smtputf8(&self) -> bool {
        self.work.envelope().smtputf8
    }

    fn header_needs_utf8(&self) -> bool {
        let mut scanner = Scanner::new();
        let mut part = vec![0; HEADER_PART_BYTES];
        let mut offset = 0;
        while !scanner.facts().complete && !scanner.facts().eight_bit {
            match self.work.body().read(offset, &mut part) {
                Ok(0) => break,
                Ok(count) => {
                    scanner.feed(&part[..count]);
                    offset += count as u64;
                }
                // Told when the body is to be sent.
                Err(_) => break,
            }
        }
        scanner.facts().eight_bit
    }

    fn ret(&self) -> Option<Ret> {
        self.work.envelope().ret
    }

    fn envid(&self) -> Option<&str> {
        self.work.envelope().envid.as_deref()
    }

    fn journey(&self) -> Option<&Journey> {
        self.journey.as_ref()
    }
}

/// What the spool is told of a transaction that came to its end.
pub(super) fn outcomes(done: Done<Parcel>, protocol: Protocol) -> (Work, Vec<(u16, Outcome)>) {
    let Done { message: Parcel { work, .. }, outcomes, dsn_offered } = done;
    let some_taken = outcomes.iter().any(|outcome| matches!(outcome, Heard::Accepted(_)));
    let mut told = Vec::with_capacity(outcomes.len());
    for ((index, _), heard) in work.recipients().zip(outcomes) {
        // RFC 5321 4.5.3.1.10: too many recipients at once; the rest goes in another transaction, without waiting.
        if some_taken && is_too_many(&heard) {
            continue;
        }
        told.push((index, outcome(heard, protocol, dsn_offered)));
    }
    (work, told)
}

fn outcome(heard: Heard, protocol: Protocol, dsn_offered: bool) -> Outcome {
    match heard {
        Heard::Accepted(reply) => match protocol {
            Protocol::Smtp => Outcome::Relayed { reply: Arc::unwrap_or_clone(reply), dsn_offered },
            Protocol::Lmtp => Outcome::Delivered { reply: Arc::unwrap_or_clone(reply) },
        },
        Heard::Later(reply) | Heard::Uncertain(reply) => Outcome::Deferred { reply: Arc::unwrap_or_clone(reply) },
        Heard::Never(reply) => Outcome::Failed { reply: Arc::unwrap_or_clone(reply) },
    }
}

fn is_too_many(heard: &Heard) -> bool {
    match heard {
        Heard::Later(reply) => {
            reply.code == 452 && reply.enhanced.is_none_or(|code| (code.subject, code.detail) == (5, 3))
        }
        Heard::Accepted(_) | Heard::Never(_) | Heard::Uncertain(_) => false,
    }
}

const HEADER_PART_BYTES: usize = 16 << 10;
