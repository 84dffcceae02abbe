//! How many at once and how many a minute: connections in all, per connector and per source; messages per source or user, recipients per user.
//!
//! Owns the counters. Knows no sockets, no SMTP and no clock: the time is handed in. Whatever a stranger can grow here has a bound:
//! [`SOURCES_KEPT_MAX`], [`USERS_KEPT_MAX`].
//! Always holds: a connection that was let in is counted until its [`Pass`] is dropped, and asks no shared table until then.

mod doors;
mod rate;
mod users;

pub use doors::{Doors, Pass, Refusal, SOURCES_KEPT_MAX};
pub use rate::Rate;
pub use users::{Allowance, USERS_KEPT_MAX, UserBounds};
