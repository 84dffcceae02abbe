//! One task of a hop that is a Maildir domain: takes many messages, hands them to the store at once, settles each.
//!
//! Always holds: the store is only called on threads that may block.

use super::border::Cuts;
use super::hop::Hop;
use super::local::{Letter, LetterBody};
use mail::firewall::Drops;
use mail::{Enhanced, Mailbox, Reply, ReversePath};
use spool::{Attempt, Body, HopKey, Outcome, Work};
use std::io;
use std::sync::Arc;

pub(super) async fn run(hop: &Arc<Hop>) {
    loop {
        let works = hop.next_batch(BATCH);
        if works.is_empty() {
            return;
        }
        let storing = Arc::clone(hop);
        // A panic in there has dropped the works, which the spool counts.
        if tokio::task::spawn_blocking(move || deliver(&storing, works)).await.is_err() {
            tracing::error!(hop = %hop.key, "the store failed badly; its messages are tried again");
        }
    }
}

fn deliver(hop: &Hop, works: Vec<Work>) {
    let HopKey::Maildir { domain } = &hop.key else { return };
    let heads: Vec<Vec<u8>> = works
        .iter()
        .flat_map(|work| work.recipients().map(|(_, recipient)| head(&work.envelope().from, &recipient.address)))
        .collect();
    let bodies: Vec<Stored> = works.iter().map(|work| Stored::new(work.body())).collect();
    let mut letters = Vec::with_capacity(heads.len());
    for (work, body) in works.iter().zip(&bodies) {
        for (_, recipient) in work.recipients() {
            let head = &heads[letters.len()];
            letters.push(Letter {
                id: work.id(),
                repeat: work.may_be_repeat(),
                mailbox: &recipient.address,
                head,
                body,
            });
        }
    }
    let replies = hop.center.parts.store.deliver(domain, &letters);
    drop(letters);
    let mut replies = replies.into_iter();
    for work in works {
        let outcomes: Vec<(u16, Outcome)> =
            work.recipients().map(|(index, _)| (index, outcome(replies.next().unwrap_or_else(unanswered)))).collect();
        let metrics = &hop.center.metrics;
        for (_, outcome) in &outcomes {
            match outcome {
                Outcome::Delivered { .. } | Outcome::Relayed { .. } => metrics.delivered.increment(1),
                Outcome::Deferred { .. } => metrics.deferred.increment(1),
                Outcome::Failed { .. } => metrics.failed.increment(1),
            }
        }
        hop.center.spool.settle(work, &Attempt { peer: "maildir", ..Attempt::default() }, &outcomes);
    }
}

/// The lines of final delivery (RFC 5321 4.4).
fn head(from: &ReversePath, to: &Mailbox) -> Vec<u8> {
    format!("Return-Path: {from}\r\nDelivered-To: {to}\r\n").into_bytes()
}

fn outcome(reply: Reply) -> Outcome {
    match reply.code / 100 {
        2 => Outcome::Delivered { reply },
        5 => Outcome::Failed { reply },
        _ => Outcome::Deferred { reply },
    }
}

fn unanswered() -> Reply {
    Reply::new(451, Enhanced::new(4, 3, 0), "the store gave no answer")
}

/// A body without what the organization says in headers.
struct Stored {
    body: Body,
    /// The error is told when the body is read.
    cuts: io::Result<Cuts>,
}

impl Stored {
    fn new(body: &Body) -> Stored {
        Stored { body: body.clone(), cuts: Cuts::of(body, Drops { organization: true, routing: false }) }
    }
}

impl LetterBody for Stored {
    fn size_bytes(&self) -> u64 {
        self.body.len() - self.cuts.as_ref().map_or(0, Cuts::bytes)
    }

    fn read(&self, sink: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let cuts = self.cuts.as_ref().map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
        let (mut next, mut at, mut part) = (0, 0, Vec::new());
        while let Some((start, len)) = cuts.kept(&mut next, at, self.body.len()) {
            at = start + len;
            match self.body.in_memory() {
                Some(bytes) => bytes[start as usize..at as usize].chunks(PART_BYTES).try_for_each(&mut *sink)?,
                None => self.read_range(start, at, &mut part, sink)?,
            }
        }
        Ok(())
    }
}

impl Stored {
    fn read_range(
        &self,
        mut start: u64,
        end: u64,
        part: &mut Vec<u8>,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        while start < end {
            part.resize(PART_BYTES.min(usize::try_from(end - start).unwrap_or(PART_BYTES)), 0);
            let count = self.body.read(start, part).map_err(|error| io::Error::other(error.to_string()))?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            sink(&part[..count])?;
            start += count as u64;
        }
        Ok(())
    }
}

/// Messages handed to the store at once.
const BATCH: usize = 64;
/// Bytes handed over at once.
const PART_BYTES: usize = 256 << 10;
