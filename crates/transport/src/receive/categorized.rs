//! What is told about messages that the categorizer changed: RESOLVE, EXPAND, REDIRECT and FAIL events.

use super::report::Reporter;
use crate::categorize::{Change, Why};
use mail::{Event, EventKind, Mailbox, MessageId, Reply, ReversePath};
use spool::{Early, Settled};

/// Recipients that were given up before custody, kept for the trace while the spool has them.
pub struct Failed(Vec<(Mailbox, Reply)>);

impl Failed {
    /// Those of `early` that failed.
    pub fn of(early: &[Early]) -> Failed {
        let failed = |early: &Early| match &early.outcome {
            Settled::Failed(reply) => Some((early.recipient.address.clone(), reply.clone())),
            Settled::Expanded => None,
        };
        Failed(early.iter().filter_map(failed).collect())
    }
}

impl Reporter {
    /// What became of the recipients of a message that is in custody now. Nothing for most.
    pub fn categorized(&mut self, id: MessageId, sender: &ReversePath, changes: &[Change], failed: &Failed) {
        for change in changes {
            self.change(id, sender, change);
        }
        for (address, reply) in &failed.0 {
            let (reply, recipients) = (reply.to_string(), [address.as_str()]);
            let event = Event::new(EventKind::Fail, Some(id));
            self.record(&Event { sender: Some(sender), recipients: &recipients, reply: &reply, ..event });
        }
    }

    fn change(&mut self, id: MessageId, sender: &ReversePath, change: &Change) {
        let (kind, context) = match change {
            Change::Resolved { alias, .. } => (EventKind::Resolve, format!("alias {alias}")),
            Change::Expanded { group, .. } => (EventKind::Expand, format!("group {group}")),
            Change::Redirected { from, why, .. } => (EventKind::Redirect, redirected(from.as_ref(), why)),
            Change::NotForwarded { to, .. } => {
                (EventKind::Redirect, format!("kept: remote_domain does not allow forwarding to {to}"))
            }
        };
        let recipients: Vec<&str> = match change {
            Change::Resolved { own, .. } => vec![own.as_str()],
            Change::Expanded { members, .. } => members.iter().map(Mailbox::as_str).collect(),
            Change::Redirected { to, .. } => vec![to.as_str()],
            Change::NotForwarded { from, .. } => vec![from.as_str()],
        };
        let event = Event::new(kind, Some(id));
        self.record(&Event { sender: Some(sender), recipients: &recipients, context: &context, ..event });
    }
}

fn redirected(from: Option<&Mailbox>, why: &Why) -> String {
    let from = from.map_or(String::new(), |from| format!(" for {from}"));
    match why {
        Why::Forwarded { keeps_copy: true } => format!("forwarded{from}, which keeps a copy"),
        Why::Forwarded { keeps_copy: false } => format!("forwarded{from}"),
        Why::Contact => format!("contact{from}"),
        Why::Rule(name) => format!("rule \"{name}\"{from}"),
        Why::Copy(name) => format!("copy by rule \"{name}\""),
    }
}
