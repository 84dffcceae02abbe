//! What an address stands for, in words: alias, group, contact, forwarding.

use crate::org::Org;
use crate::recipients::Is;
use crate::unit::bytes_text;
use mail::Mailbox;
use std::fmt::Write;

impl Org {
    /// A line for each thing that is done with mail to `rcpt` before it is routed; nothing for most addresses.
    pub(super) fn explain_who(&self, out: &mut String, rcpt: &Mailbox) {
        let Some(known) = self.recipient_of(rcpt) else { return };
        let own = known.address();
        if !known.goes_by(rcpt) {
            let _ = writeln!(out, "{rcpt} leads to {own}.");
        }
        match known.is() {
            Is::Group { members, having } => {
                let dynamic = if having.is_empty() { 0 } else { self.dynamic_members(&own).len() };
                let _ = writeln!(
                    out,
                    "{own} is a group of {} named members and {dynamic} by attributes: it is expanded when a message is taken.",
                    members.len()
                );
            }
            Is::Contact { target } => _ = writeln!(out, "{own} is a contact: {target} gets its mail."),
            Is::Mailbox => {}
        }
        if let Some(forward) = known.forward() {
            let kept = if forward.keep_copy { ", and a copy is kept" } else { "" };
            let _ = writeln!(out, "Mail to {own} is forwarded to {}{kept}.", forward.to);
        }
        if let Some(max) = known.message_bytes_max() {
            let _ = writeln!(out, "{own} takes messages up to {}.", bytes_text(max));
        }
    }
}
