//! Who gets a message: a table per rule, and random graphs against a naive oracle.

mod circles;
mod table;

use super::{Change, Decided, Question, Seen, Why, decide};
use crate::receive::testing::org;
use directory::{Org, SizeLimits};
use mail::{BodyKind, Envelope, Mailbox, Notify, Recipient, Reply, ReversePath};
use spool::{Early, Settled};
use std::sync::Arc;

/// What every document here starts with.
const BASE: &str = "[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:25\"]\n\
                    [[accepted_domain]]\nname = \"ours.example\"\ndeliver = \"maildir\"\nplus_addressing = true\n";

fn with(document: &str) -> Arc<Org> {
    org(&format!("{BASE}{document}"))
}

fn at(text: &str) -> Mailbox {
    Mailbox::parse(text, true).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn envelope(from: &str, to: &[&str]) -> Envelope {
    Envelope {
        from: if from.is_empty() { ReversePath::Null } else { ReversePath::Mailbox(at(from)) },
        ret: None,
        envid: None,
        body: BodyKind::SevenBit,
        smtputf8: false,
        recipients: to.iter().map(|to| Recipient::new(at(to))).collect(),
    }
}

/// A message of one kilobyte from somebody outside, without a header worth a word.
struct Case<'c> {
    org: &'c Org,
    from: &'c str,
    header: &'c str,
    size_bytes: u64,
    limits: SizeLimits,
}

impl<'c> Case<'c> {
    fn of(org: &'c Org) -> Case<'c> {
        let organization = org.handling.limits.message_bytes_max;
        let limits = SizeLimits { organization, ..SizeLimits::default() };
        Case { org, from: "ann@away.example", header: "\r\n", size_bytes: 1000, limits }
    }

    fn decide(&self, envelope: &mut Envelope) -> Result<Decided, Reply> {
        let seen = Seen::of(&self.org.handling.rules, self.header.as_bytes());
        decide(&Question { org: self.org, size_bytes: self.size_bytes, limits: self.limits, seen: &seen }, envelope)
    }

    /// Addresses that get it, then `! address code` for those that fail, `+ group` for those that were expanded; or the refusal.
    fn to(&self, to: &[&str]) -> String {
        let mut envelope = envelope(self.from, to);
        match self.decide(&mut envelope) {
            Err(reply) => reply.to_string(),
            Ok(decided) => words(&envelope, &decided.early),
        }
    }
}

fn words(envelope: &Envelope, early: &[Early]) -> String {
    let mut words: Vec<String> = envelope.recipients.iter().map(|to| to.address.to_string()).collect();
    for Early { recipient, outcome } in early {
        words.push(match outcome {
            Settled::Expanded => format!("+ {}", recipient.address),
            Settled::Failed(reply) => {
                format!("! {} {}", recipient.address, reply.enhanced.map_or("-".into(), |e| e.to_string()))
            }
        });
    }
    words.join(", ")
}

fn notify(success: bool, failure: bool, delay: bool) -> Notify {
    Notify::On { success, failure, delay }
}

fn describe(change: &Change) -> String {
    match change {
        Change::Resolved { alias, own } => format!("{alias} is {own}"),
        Change::Expanded { group, members } => format!("{group} has {members:?}"),
        Change::Redirected { from, to, why } => {
            let why = match why {
                Why::Forwarded { keeps_copy } => format!("forwarded, copy {keeps_copy}"),
                Why::Contact => "contact".into(),
                Why::Rule(name) => format!("rule {name}"),
                Why::Copy(name) => format!("copy {name}"),
            };
            format!("{} to {to}: {why}", from.as_ref().map_or("-".into(), |from| from.to_string()))
        }
        Change::NotForwarded { from, to } => format!("{from} keeps, not to {to}"),
    }
}
