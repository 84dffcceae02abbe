//! Who exists in the organization: mailboxes, groups and contacts, by every address that they have.
//!
//! Owns the table that RCPT and the categorizer look into. Knows no source: files, the organization document and LDAP hand in [`Entry`]s.
//! Always holds: an address belongs to one recipient; a table never changes, a new one takes its place; what a source can make
//! large is bytes in one piece ([`TABLE_BYTES_MAX`]), and nobody who chooses addresses can make a look-up slow.

mod address;
mod builder;
mod entry;
mod kept;
mod record;
mod table;
mod whole;

pub use builder::{Builder, CLASHES_MAX, Clash, Full, TABLE_BYTES_MAX};
pub use entry::{Entry, Forward, Is, Senders};
pub use kept::Kept;
pub use record::Recipient;
pub use table::Table;
pub use whole::{Change, Recipients};
