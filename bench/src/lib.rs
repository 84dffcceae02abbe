//! The generator and the sink of the benchmarks and of the chaos test, and what they share.
//!
//! Owns: making numbered, self-describing messages, sending them over many sessions, taking them in, and
//! saying afterwards which were promised and which arrived. Knows nothing of Posthouse: it speaks SMTP to
//! whatever listens. Always holds: addresses of this machine or of a test's own network only, one thread, a hard bound
//! in seconds, and a ledger line is written (one unbuffered `write`) before the act that depends on it.

// Measuring needs the machine's clock, and ledgers are files of the test and not of the product: the
// doors of `world` are for the code that is simulated, which this is not.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod appends;
pub mod args;
pub mod histogram;
pub mod letter;
pub mod net;
pub mod sink;
pub mod source;
