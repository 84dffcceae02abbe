//! Messages of SIP (RFC 3261), as far as a proxy and a redirect server need them: what they say, and the bytes of what we send.
//!
//! Owns the syntax. Knows no sockets, no clock, no members and no policy. Always holds: any bytes are read without a panic and in linear
//! time; what is read stays within [`MESSAGE_BYTES_MAX`], [`HEADERS_MAX`] and [`VIAS_MAX`]; header lines that we pass on are the bytes
//! that came, except those that a proxy must change; nothing is sent that two readers could cut into lines differently.

mod answer;
mod list;
mod message;
pub mod options;
mod relayed;
mod stream;
#[cfg(test)]
mod tests;
mod uri;
mod via;

pub use answer::{Answer, reason, tag_of};
pub use list::{Parts, parameter, split};
pub use message::{Bad, HEADERS_MAX, Header, MESSAGE_BYTES_MAX, Message, Method, Name, Start};
pub use relayed::{Rewrite, ack, cancel, rewritten, without_top_via};
pub use stream::{Frame, frame};
pub use uri::{Named, Uri, host_ip, named, uri};
pub use via::{Transport, VIAS_MAX, Via, received, top_via, via, vias};

/// The port of SIP over UDP and TCP where none is written (RFC 3261 19.1.2).
pub const PORT: u16 = 5060;

/// The same over TLS.
pub const TLS_PORT: u16 = 5061;

/// A number that two messages share only if `parts` are the same; the same on each node, and not a secret.
pub fn mark(parts: &[&[u8]]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in *part {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        // An end of its own, so that "ab","c" is not "a","bc".
        hash = (hash ^ 0x1ff).wrapping_mul(0x0100_0000_01b3);
    }
    scatter(hash)
}

/// Spreads a number over all 64 bits.
pub fn scatter(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
