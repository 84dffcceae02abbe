//! Who exists in the organization: mailboxes, groups and contacts, by every address that they have.
//!
//! Owns the table that RCPT and the categorizer look into. Knows no source: files, the organization document and LDAP hand in [`Entry`]s.
//! Always holds: an address belongs to one recipient; a table never changes, a new one takes its place.

mod entry;
mod table;

pub use entry::{Entry, Forward, Is, Senders};
pub use table::{Clash, Recipient, Recipients};
