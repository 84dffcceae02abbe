//! Probes: whether a server behind a service would serve a client now, asked in the server's own protocol.
//!
//! Owns what is asked ([`dialog`]: machines without I/O, one for each protocol), what the answers mean ([`Verdict`]), when a server's
//! standing changes ([`Tally`]: rise, fall, failures that the data path saw), and one prober for each distinct target however many watch it.
//! Knows no pools and no services. Always holds: a probe leaves the other end in order (QUIT, LOGOUT, close notify) wherever it still can;
//! it takes no longer than its timeout; at most [`LOOKS_AT_ONCE_MAX`] run at once; only a change of standing is logged.

mod certificate;
pub mod dialog;
mod drive;
mod member;
mod probers;
mod sip;
mod standing;
mod tally;
mod target;
#[cfg(test)]
mod tests;
mod tls;
mod told;
mod verdict;
mod watch;

pub use certificate::Certificate;
pub use probers::{Known, LOOKS_AT_ONCE_MAX, Probers};
pub use standing::{Report, Standing, Word};
pub use tally::Tally;
pub use target::{HttpCheck, Kind, Settings, Target};
pub(crate) use tls::encrypting;
pub use verdict::Verdict;
pub use watch::Watch;
