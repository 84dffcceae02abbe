//! A recipient as a source tells it.

use mail::Mailbox;

/// One recipient of the organization.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The address that it goes by.
    pub address: Mailbox,
    /// Its other addresses.
    pub aliases: Vec<Mailbox>,
    /// What it is.
    pub is: Is,
    /// Where its mail goes instead, or besides.
    pub forward: Option<Forward>,
    /// Who may send to it.
    pub senders: Senders,
    /// Largest message for it in bytes; `None`: as the organization says.
    pub message_bytes_max: Option<u64>,
    /// What dynamic groups choose by: names in lower case, values as the source writes them.
    pub attributes: Vec<(Box<str>, Box<str>)>,
}

/// What a recipient is.
#[derive(Clone, Debug, PartialEq)]
pub enum Is {
    /// A mailbox: its accepted domain says how it is delivered.
    Mailbox,
    /// Somebody outside, known here under an address of ours.
    Contact {
        /// The address outside.
        target: Mailbox,
    },
    /// Several others.
    Group {
        /// Those who are named.
        members: Vec<Mailbox>,
        /// Those whose attributes have these values, all of them (`department`, `sales`).
        having: Vec<(Box<str>, Box<str>)>,
    },
}

/// Forwarding of a mailbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Forward {
    /// Where to.
    pub to: Mailbox,
    /// The mailbox gets it too.
    pub keep_copy: bool,
}

/// Who may send to a recipient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Senders {
    /// Everybody.
    #[default]
    Anybody,
    /// Only who has authenticated, or comes from our own servers.
    Trusted,
}
