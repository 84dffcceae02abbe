//! A message while it arrives: its bytes go straight on into the spool; only its header is looked at, and what the peer may not say
//! there is dropped before anything else sees it.
//!
//! On submission, and where rules look at it, the header is held back until it is whole, so that fields can be put in front of it.

use super::handling::HeaderRules;
use super::visitor::Visitor;
use crate::categorize::Seen;
use directory::{Grants, Protocol};
use mail::firewall::{Drops, Firewall};
use mail::header::Scanner;
use mail::trace_header::{self, Received};
use mail::{Enhanced, Envelope, Journey, Protection, Receipt, Reply, WhenShort};
use spool::{AcceptError, Early, Facts, Pending, Push, Source, Spool};
use std::time::Duration;
use tokio::time::timeout;

/// A message on its way in.
pub struct Incoming {
    pending: Pending,
    firewall: Firewall,
    scanner: Scanner,
    /// What was held back so far; `None` when nothing is held back (any more). Never more than the header's bound and one slice.
    held: Option<Vec<u8>>,
    /// Looks at the header once it is whole.
    rules: Option<Box<HeaderRules>>,
    /// Bytes that the peer sent.
    received_bytes: u64,
    hops_max: u32,
    protection: Protection,
    /// When it began, Unix milliseconds.
    wall_ms: u64,
    /// What a server of the organization has told of it.
    journey: Option<Box<Journey>>,
}

/// A message that is in custody, for the trace.
pub struct Taken {
    /// The proof.
    pub receipt: Receipt,
    /// Bytes as they are kept, our fields included.
    pub size_bytes: u64,
    /// `Message-ID`, as the header says; empty if it has none.
    pub message_id: String,
    /// It has fewer copies than its connector asks for.
    pub unprotected: bool,
}

/// How long a client waits at most for the copies of its message. RFC 5321 4.5.3.2.6 has it wait ten minutes for the answer.
const COPIES_WAIT_MAX: Duration = Duration::from_secs(10);

impl Incoming {
    /// Starts a message: a place in the spool, our Received field on top.
    pub fn begin(
        spool: &Spool,
        visitor: &Visitor,
        envelope: &Envelope,
        source: &Source,
        wall_ms: u64,
    ) -> Result<Incoming, Reply> {
        let mut pending = spool.begin(source).map_err(|refused| refused.reply())?;
        let protection = source.protection;
        let field = trace_header::received(&Received {
            helo: &visitor.helo,
            peer: Some(visitor.peer.ip()),
            by: &visitor.connector.hostname,
            protocol: trace_header::Protocol { utf8: envelope.smtputf8, ..visitor.protocol },
            tls: &visitor.tls,
            id: pending.id(),
            // Where it may be taken without, nobody can say yet.
            copies: if protection.when_short == WhenShort::Refuse { protection.copies } else { 0 },
            recipient: match &envelope.recipients[..] {
                [only] => Some(&only.address),
                _ => None,
            },
            unix_ms: wall_ms,
        });
        // There is room for the first bytes of any message.
        let _ = pending.push(&field);
        let rules = HeaderRules::of(visitor, envelope);
        let held = (visitor.connector.protocol == Protocol::Submission || rules.is_some()).then(Vec::new);
        let hops_max = visitor.connector.limits.hops_max;
        let (firewall, scanner) = (Firewall::new(drops(visitor.grants())), Scanner::new());
        Ok(Incoming {
            pending,
            firewall,
            scanner,
            held,
            rules,
            received_bytes: 0,
            hops_max,
            protection,
            wall_ms,
            journey: None,
        })
    }

    /// The same for a message that comes from a server of the organization.
    pub fn after(self, journey: Option<Box<Journey>>) -> Incoming {
        Incoming { journey, ..self }
    }

    /// Takes the next bytes. An error is the reply that the rest of the body is refused with.
    pub async fn push(&mut self, bytes: &[u8], visitor: &Visitor) -> Result<(), Reply> {
        self.received_bytes += bytes.len() as u64;
        let mut rest = bytes;
        while let Some(piece) = self.firewall.next(&mut rest) {
            if !piece.is_dropped {
                self.pass(&piece.lead, visitor).await;
                self.pass(piece.rest, visitor).await;
            }
        }
        if self.hops() > self.hops_max {
            return Err(Reply::new(554, Enhanced::new(5, 4, 6), "too many hops, this message is in a loop"));
        }
        Ok(())
    }

    /// Takes bytes that stay.
    async fn pass(&mut self, bytes: &[u8], visitor: &Visitor) {
        if !self.scanner.is_done() {
            self.scanner.feed(bytes);
        }
        match &mut self.held {
            None if bytes.is_empty() => {}
            None => self.keep(bytes).await,
            Some(held) => {
                held.extend_from_slice(bytes);
                if self.scanner.is_done() {
                    self.release(visitor).await;
                }
            }
        }
    }

    /// `Received` fields that the message came with, those that were dropped too.
    fn hops(&self) -> u32 {
        self.scanner.facts().received_count.saturating_add(self.firewall.received_dropped())
    }

    /// Bytes that the peer sent.
    pub fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// The end of the message is here: what its header said, for rules.
    pub async fn seen(&mut self, visitor: &Visitor) -> Seen {
        if self.rules.is_some() {
            self.end_header(visitor).await;
        }
        self.rules.take().map_or_else(Seen::default, |rules| rules.into_seen())
    }

    /// Nothing comes any more: what was held back goes on.
    async fn end_header(&mut self, visitor: &Visitor) {
        let lead = self.firewall.finish();
        self.pass(&lead, visitor).await;
        self.scanner.finish();
        self.release(visitor).await;
    }

    /// The end: takes custody. `early` are recipients that are settled already, and not in the envelope.
    pub async fn finish(
        mut self,
        envelope: Envelope,
        early: Vec<Early>,
        visitor: &Visitor,
    ) -> Result<Taken, AcceptError> {
        self.end_header(visitor).await;
        let hops = u8::try_from(self.hops().saturating_add(1)).unwrap_or(u8::MAX);
        let facts = self.scanner.facts();
        let message_id = facts.message_id.clone().unwrap_or_default();
        let size_bytes = self.pending.size_bytes();
        let begins = || Journey { trusted: visitor.grants().has(Grants::INTERNAL), ..Journey::default() };
        let journey = self.journey.map_or_else(begins, |journey| *journey);
        let facts = Facts { hops, received_from: visitor.helo.clone(), early, journey, ..Facts::default() };
        let mut accepting = self.pending.accept(envelope, facts);
        let receipt = match self.protection.copies {
            0 => accepting.await?,
            _ => match timeout(COPIES_WAIT_MAX, &mut accepting).await {
                Ok(outcome) => outcome?,
                Err(_) => accepting.stop_waiting()?,
            },
        };
        let unprotected = receipt.copies() < self.protection.copies;
        Ok(Taken { receipt, size_bytes, message_id, unprotected })
    }

    /// Lets go what was held back: tagged, and on submission behind the fields that it lacks (RFC 6409 8).
    async fn release(&mut self, visitor: &Visitor) {
        let Some(mut held) = self.held.take() else { return };
        if let Some(rules) = &mut self.rules {
            held = rules.look(&visitor.org, held, self.scanner.facts().header_bytes as usize);
        }
        let completes = visitor.connector.protocol == Protocol::Submission;
        if completes && !self.scanner.facts().has_date {
            self.keep(&trace_header::date(self.wall_ms)).await;
        }
        if completes && !self.scanner.facts().has_message_id {
            self.keep(&trace_header::message_id(self.pending.id(), &visitor.connector.hostname)).await;
        }
        self.keep(&held).await;
    }

    /// Hands bytes to the spool. An error there is told by `accept`.
    async fn keep(&mut self, bytes: &[u8]) {
        if self.pending.push(bytes) == Push::Wait {
            self.pending.room().await;
        }
    }
}

/// What somebody with `grants` may not say in a header (behaviours 2.7).
fn drops(grants: Grants) -> Drops {
    Drops { organization: !grants.has(Grants::ORGANIZATION_HEADERS), routing: !grants.has(Grants::ROUTING_HEADERS) }
}
