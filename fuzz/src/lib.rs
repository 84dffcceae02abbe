//! What the targets share: a tape of decisions, a driver of the server machine, checks of what it says.
//!
//! A check here is an `assert!`: libFuzzer keeps the input that broke it.

pub mod letter;
pub mod reply_lines;
pub mod server;
pub mod tape;
