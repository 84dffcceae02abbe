//! What the organization does with a message on its way in: asks the categorizer at RCPT, at the end of the header and at the end of the
//! message. Knows no rule itself.
//!
//! Always holds: servers of the organization are not asked about, their mail was categorized where it was taken.

use super::incoming::Incoming;
use super::report::Reason;
use super::session::Session;
use super::visitor::Visitor;
use crate::categorize::{self, Decided, Question, Seen};
use directory::Org;
use mail::{Enhanced, Envelope, Mailbox, Recipient, Reply, ReversePath};
use std::sync::Arc;

/// A message whose header is looked at before it goes on: rules ask for it, or change it.
pub struct HeaderRules {
    from: ReversePath,
    recipients: Vec<Recipient>,
    seen: Seen,
}

impl HeaderRules {
    /// For a message of `visitor`, if anything in the document wants its header. (Most documents want none: nothing is copied then.)
    pub fn of(visitor: &Visitor, envelope: &Envelope) -> Option<Box<HeaderRules>> {
        let wanted = visitor.org.handling.wants_header() && !visitor.is_server();
        wanted.then(|| {
            let (from, recipients) = (envelope.from.clone(), envelope.recipients.clone());
            Box::new(HeaderRules { from, recipients, seen: Seen::default() })
        })
    }

    /// Looks at the header, the first `header_bytes` of `held`; gives `held` with its tags.
    pub fn look(&mut self, org: &Org, held: Vec<u8>, header_bytes: usize) -> Vec<u8> {
        let (header, body) = held.split_at(header_bytes.min(held.len()));
        self.seen = Seen::of(&org.handling.rules, header);
        let recipients = std::mem::take(&mut self.recipients);
        let walked = categorize::walk(org, &self.from, recipients, &self.seen, None);
        if walked.tags.is_empty() {
            return held;
        }
        let mut tagged = categorize::tagged(header, &walked.tags);
        tagged.extend_from_slice(body);
        tagged
    }

    /// What the header said.
    pub fn into_seen(self) -> Seen {
        self.seen
    }
}

impl Session<'_> {
    /// A recipient that exists may still take none of the size that MAIL declared.
    pub(super) fn rcpt_refusal(&self, from: &ReversePath, to: &Mailbox, size: Option<u64>) -> Option<(Reason, Reply)> {
        let visitor = &self.visitor;
        categorize::rcpt_refusal(&visitor.org, to, size, visitor.size_limits(from))
    }

    /// Who gets the message: its envelope has the final recipients afterwards. An error is the refusal of all of it.
    pub(super) async fn decide(&self, incoming: &mut Incoming, envelope: &mut Envelope) -> Result<Decided, Reply> {
        let visitor = &self.visitor;
        if visitor.is_server() {
            return Ok(Decided::default());
        }
        let seen = incoming.seen(visitor).await;
        prepare(&visitor.org, &envelope.recipients).await;
        let question = Question {
            org: &visitor.org,
            size_bytes: incoming.received_bytes(),
            limits: visitor.size_limits(&envelope.from),
            seen: &seen,
        };
        categorize::decide(&question, envelope)
    }
}

/// Who is in the groups that choose by attributes is found out once for a version of the recipients, on a thread that may take its time.
async fn prepare(org: &Arc<Org>, recipients: &[Recipient]) {
    let is_someone_else = |to: &Recipient| org.recipient_of(&to.address).is_some_and(|known| !known.is_mailbox());
    if org.knows_dynamic_members() || org.recipients().is_empty() || !recipients.iter().any(is_someone_else) {
        return;
    }
    let asked = org.clone();
    // If that thread ends early, the question is answered where it is asked.
    let _ = tokio::task::spawn_blocking(move || asked.dynamic_members(&asked.postmaster).len()).await;
}

/// The label of a refusal at the end of a message.
pub fn reason(reply: &Reply) -> Reason {
    match reply.enhanced {
        Some(Enhanced { subject: 1, .. }) => "unknown_user",
        Some(Enhanced { subject: 3, detail: 4, .. }) => "recipient_size",
        Some(Enhanced { subject: 7, .. }) => "rule",
        Some(Enhanced { subject: 5, detail: 3, .. }) => "recipients_expanded",
        Some(Enhanced { subject: 4, detail: 6, .. }) => "forwarding_loop",
        _ => "group_empty",
    }
}
