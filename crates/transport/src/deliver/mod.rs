//! From the spool to the next hops: pooled connections per hop, outcomes per recipient.
//!
//! Owns who talks to which next hop, how many connections it gets and what an answer means for a recipient. Keeps no message:
//! what it took from the spool it settles or gives back. One hop that hangs, refuses or is slow has its own tasks and its own
//! bound, so it never slows another.

mod local;

pub use local::{Letter, LetterBody, LocalStore};
