//! Reads `[[recipient]]`, `[[group]]` and `[[contact]]`.

use super::section::{At, Section};
use crate::recipients::{Entry, Forward, Is, Senders};
use mail::Mailbox;

/// A recipient with the places of what it says.
#[derive(Clone, Debug)]
pub struct PlacedEntry {
    /// What it says.
    pub entry: Entry,
    /// Its own address and its aliases, each with its place.
    pub addresses: Vec<At<Mailbox>>,
    /// Where its mail goes: members, target, forwarding.
    pub targets: Vec<At<Mailbox>>,
    /// Nobody is told about members that mail did not reach.
    pub quiet: bool,
}

/// Reads one mailbox.
pub fn recipient(section: &Section<'_, '_>) -> Option<PlacedEntry> {
    let forward_to = section.text("forward_to").and_then(|text| mailbox(section, text));
    let keep_copy = section.flag("keep_copy");
    let attributes = pairs(section, "attributes");
    let common = Common::read(section);
    if keep_copy && forward_to.is_none() {
        section.problem("keep_copy", "keep_copy goes with forward_to; a mailbox that is not forwarded keeps its mail");
    }
    let forward = forward_to.as_ref().map(|to| Forward { to: to.value.clone(), keep_copy });
    let mut placed = common.placed(Is::Mailbox, forward_to.into_iter().collect())?;
    placed.entry.forward = forward;
    placed.entry.attributes = attributes;
    Some(placed)
}

/// Reads one group.
pub fn group(section: &Section<'_, '_>) -> Option<PlacedEntry> {
    let members = mailboxes(section, "members");
    let having = pairs(section, "having");
    let quiet = section.choice("notifications", &[("sender", false), ("nobody", true)]);
    let common = Common::read(section);
    if members.is_empty() && having.is_empty() && !section.has("members") && !section.has("having") {
        section
            .problem("address", "this group can have no members; add members = [\"...\"] or having = [\"name=value\"]");
    }
    let is = Is::Group { members: members.iter().map(|member| member.value.clone()).collect(), having };
    let mut placed = common.placed(is, members)?;
    placed.quiet = quiet;
    Some(placed)
}

/// Reads one contact.
pub fn contact(section: &Section<'_, '_>) -> Option<PlacedEntry> {
    let target = section.text("target").and_then(|text| mailbox(section, text));
    let common = Common::read(section);
    let target = target?;
    common.placed(Is::Contact { target: target.value.clone() }, vec![target])
}

/// What all three have.
struct Common {
    address: Option<At<Mailbox>>,
    aliases: Vec<At<Mailbox>>,
    senders: Senders,
    message_bytes_max: Option<u64>,
}

impl Common {
    fn read(section: &Section<'_, '_>) -> Common {
        let max = section.bytes("message_size_max");
        Common {
            address: section.text("address").and_then(|text| mailbox(section, text)),
            aliases: mailboxes(section, "aliases"),
            senders: section.choice("senders", &[("anybody", Senders::Anybody), ("trusted", Senders::Trusted)]),
            message_bytes_max: section.has("message_size_max").then_some(max),
        }
    }

    fn placed(self, is: Is, targets: Vec<At<Mailbox>>) -> Option<PlacedEntry> {
        let address = self.address?;
        let entry = Entry {
            address: address.value.clone(),
            aliases: self.aliases.iter().map(|alias| alias.value.clone()).collect(),
            is,
            forward: None,
            senders: self.senders,
            message_bytes_max: self.message_bytes_max,
            attributes: Vec::new(),
        };
        let addresses = std::iter::once(address).chain(self.aliases).collect();
        Some(PlacedEntry { entry, addresses, targets, quiet: false })
    }
}

fn mailboxes(section: &Section<'_, '_>, key: &str) -> Vec<At<Mailbox>> {
    section.texts(key).unwrap_or_default().into_iter().filter_map(|text| mailbox(section, text)).collect()
}

/// An address with its place, or a problem there.
pub fn mailbox(section: &Section<'_, '_>, text: At<String>) -> Option<At<Mailbox>> {
    match Mailbox::parse(&text.value, true) {
        Ok(value) => Some(At { value, at: text.at }),
        Err(error) => {
            let problem = format!("\"{}\": {error}; write it like bob@example.org", text.value);
            section.document().problem(text.at, problem);
            None
        }
    }
}

/// `name=value` texts; names in lower case.
fn pairs(section: &Section<'_, '_>, key: &str) -> Vec<(Box<str>, Box<str>)> {
    let pair = |text: At<String>| match text.value.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() && !value.trim().is_empty() => {
            Some((name.trim().to_lowercase().into(), value.trim().into()))
        }
        _ => {
            let problem = format!("\"{}\" is no attribute; write it like \"department=sales\"", text.value);
            section.document().problem(text.at, problem);
            None
        }
    };
    section.texts(key).unwrap_or_default().into_iter().filter_map(pair).collect()
}
