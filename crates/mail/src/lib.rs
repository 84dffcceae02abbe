//! What a message is, before and after any machine touches it: addresses, envelope, headers, replies, receipts, DSNs.
//!
//! Owns the words of RFC 5321, 5322, 3461, 3463 and 3464. Knows no disk, clock or socket (`no_std`): a time is a number that
//! somebody hands in. Every value here that was parsed is valid; what is not valid does not parse.
#![no_std]
extern crate alloc;

pub mod address;
pub mod date;
pub mod decimal;
pub mod dsn;
pub mod envelope;
pub mod event;
pub mod fields;
pub mod firewall;
pub mod header;
pub mod id;
pub mod journey;
pub mod receipt;
pub mod reply;
pub mod trace_header;

pub use address::{Mailbox, ReversePath};
pub use envelope::{BodyKind, Envelope, Notify, Recipient, Ret};
pub use event::{Event, EventKind, Recorder};
pub use id::MessageId;
pub use journey::Journey;
pub use receipt::{Protection, Receipt, WhenShort};
pub use reply::{Enhanced, Reply};
