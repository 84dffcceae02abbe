//! The table. Addresses are compared without regard to case, as mailboxes are.

use super::entry::{Entry, Forward, Is, Senders};
use mail::Mailbox;
use std::collections::HashMap;

/// Everybody who exists.
#[derive(Debug, Default)]
pub struct Recipients {
    entries: Vec<Entry>,
    by_address: HashMap<Box<str>, u32>,
}

/// Two recipients with the same address: the first one has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Clash {
    /// The address.
    pub address: Mailbox,
    /// Whose it is.
    pub of: Mailbox,
    /// Who wanted it too.
    pub and: Mailbox,
}

/// One recipient of a table.
#[derive(Clone, Copy, Debug)]
pub struct Recipient<'t> {
    entry: &'t Entry,
}

impl Recipients {
    /// A table of these; where addresses clash, the earlier one counts and the clash is told.
    pub fn of(entries: impl IntoIterator<Item = Entry>) -> (Recipients, Vec<Clash>) {
        let (mut table, mut clashes) = (Recipients::default(), Vec::new());
        for entry in entries {
            let at = table.entries.len() as u32;
            for address in std::iter::once(&entry.address).chain(&entry.aliases) {
                let known = *table.by_address.entry(address.as_str().to_lowercase().into()).or_insert(at);
                if known != at {
                    let of = table.entries[known as usize].address.clone();
                    clashes.push(Clash { address: address.clone(), of, and: entry.address.clone() });
                }
            }
            table.entries.push(entry);
        }
        (table, clashes)
    }

    /// Who has this address.
    pub fn get(&self, address: &Mailbox) -> Option<Recipient<'_>> {
        let at = *self.by_address.get(&*address.as_str().to_lowercase())?;
        self.entries.get(at as usize).map(|entry| Recipient { entry })
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Recipient<'_>> {
        self.entries.iter().map(|entry| Recipient { entry })
    }

    /// How many recipients.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Nobody.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<'t> Recipient<'t> {
    /// The address that it goes by.
    pub fn address(&self) -> Mailbox {
        self.entry.address.clone()
    }

    /// What it is.
    pub fn is(&self) -> Is {
        self.entry.is.clone()
    }

    /// Where its mail goes instead, or besides.
    pub fn forward(&self) -> Option<Forward> {
        self.entry.forward.clone()
    }

    /// Who may send to it.
    pub fn senders(&self) -> Senders {
        self.entry.senders
    }

    /// Largest message for it in bytes.
    pub fn message_bytes_max(&self) -> Option<u64> {
        self.entry.message_bytes_max
    }

    /// An attribute's values.
    pub fn attribute(&self, name: &str) -> impl Iterator<Item = &'t str> {
        let name = name.to_lowercase();
        self.entry.attributes.iter().filter(move |(known, _)| **known == *name).map(|(_, value)| &**value)
    }
}
