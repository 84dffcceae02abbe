//! LDAP directories as a source of recipients and users: what an operator says of one, what its entries mean here, what is asked of it
//! and when, which of its answers is believed, and the bytes of questions and answers.
//!
//! Knows no socket: `transport::ldap` connects, `roles` drives. Always holds: a value that a stranger gives
//! is a value in a filter and never a piece of one; an answer that would make many recipients vanish is not believed by itself.

mod ber;
mod course;
mod filter;
mod load;
mod meaning;
mod name;
mod source;
pub mod wire;

pub use course::{Course, OVERLAP_MS, Order, WAIT_MAX_MS, changed_since};
pub use filter::Filter;
pub use load::{Load, Loaded, Verdict, changes, judge};
pub use meaning::{Found, MEMBERS_MAX, Told, rest_of_range};
pub use source::{Directory, Kind, Logon, Names, Server, Transit};
