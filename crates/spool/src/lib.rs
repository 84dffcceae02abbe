//! Owns accepted mail until each recipient is settled: custody, schedule, retries, expiry, DSNs, queue verbs.
//! Knows no SMTP, no DNS, no sockets, no async runtime; futures are plain `std`.
//! Always holds: a receipt only after the durable commit of the accept record; a message is taken by deliverers only after
//! that; its records are released only after its last settle record is durable. See `docs/custody.md`.

mod hop;
mod settings;
mod spool;
mod view;
mod words;

pub use hop::{HopId, HopKey};
pub use settings::{Canary, Ladder, Settings};
pub use spool::{Accepting, Body, Notice, Pending, Push, Spool, Work};
pub use view::{Filter, Held, MessageView, QueueState, QueueView, RecipientState, RecipientView, Totals, VerbError};
pub use words::{AcceptError, Attempt, Facts, OpenError, Outcome, Priority, Refused, Route, Source, Wake};
