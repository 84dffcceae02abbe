//! Owns accepted mail until each recipient is settled: custody, schedule, retries, expiry, DSNs, queue verbs.
//! Knows no SMTP, no DNS, no sockets, no async runtime; futures are plain `std`.
//! Always holds: a receipt only after the durable commit of the accept record; a message is taken by deliverers only after
//! that; its records are released only after its last settle record is durable. See `docs/custody.md`.

mod body;
mod book;
mod clean;
mod cleaner;
mod early;
mod hop;
mod index;
mod journey;
mod list;
mod notify;
mod open;
mod packed;
mod pending;
mod processing;
mod record;
mod settings;
mod settle;
mod settler;
mod shared;
mod slab;
mod tick;
mod underway;
mod verbs;
mod view;
mod words;
mod work;

pub use body::Body;
pub use early::{EARLY_MAX, Early, Settled};
pub use hop::{HopId, HopKey};
pub use mail::Journey;
pub use pending::{Accepting, Pending, Push};
pub use settings::{Canary, Ladder, Settings, Taken};
pub use shared::Spool;
pub use view::{
    Filter, Held, MessageView, Notice, QueueState, QueueView, RecipientState, RecipientView, Totals, VerbError,
};
pub use words::{AcceptError, Attempt, Facts, OpenError, Outcome, Priority, Refused, Route, Source, ToRoute, Wake};
pub use work::Work;
