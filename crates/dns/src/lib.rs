//! Answers for the zones of the organization.
//!
//! Owns what zones are on the wire: names, records, messages, signatures, versions of zones, answers, transfers, and the server that
//! gives them. Knows no mail and no health: who is up comes in as values. Always holds: a stranger cannot make it use more memory
//! than its bounds say; what does not fit, or is not ours, is answered in a few octets.

pub mod answer;
pub mod ask;
pub mod check;
pub mod contents;
pub mod file;
mod history;
pub mod name;
pub mod notify;
pub mod octets;
pub mod push;
pub mod rate;
mod ready;
pub mod record;
pub mod serial;
pub mod server;
pub mod transfer;
pub mod tsig;
pub mod wire;
pub mod zone;
pub mod zones;
