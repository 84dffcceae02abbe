//! Questions to name servers of others, and what they answer.
//!
//! Owns the form of both ([`Question`], [`Answer`]) and the conversation over UDP and TCP ([`Server`]). Knows no zone of ours. Always
//! holds: an answer counts only if it has the number and the question of ours, and the signature where we signed; whatever comes
//! in is read in time linear in its length.

mod answer;
mod server;

pub use answer::{Answer, Record, Section};
pub use server::{Conversation, Failed, Server};

use crate::name::Name;
use crate::record::Kind;
use crate::wire::{HEADER, QUERY, question};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The name.
    pub name: Name,
    /// What of it.
    pub kind: Kind,
    /// The server shall ask others in its turn.
    pub recursive: bool,
}

impl Question {
    /// What a server that has the zone knows itself.
    pub fn of(name: &Name, kind: Kind) -> Question {
        Question { name: name.clone(), kind, recursive: false }
    }

    /// The message, with EDNS so that long answers come whole (RFC 6891).
    fn message(&self, id: u16) -> Vec<u8> {
        let flags = u16::from(QUERY) << 11 | if self.recursive { RECURSION_DESIRED } else { 0 };
        let mut out = Vec::with_capacity(HEADER + self.name.wire().len() + 15);
        for number in [id, flags, 1, 0, 0, 1] {
            out.extend(number.to_be_bytes());
        }
        question(&mut out, self.name.wire(), self.kind);
        out.push(0);
        for number in [Kind::OPT.0, UDP_BYTES_MAX, 0, 0, 0] {
            out.extend(number.to_be_bytes());
        }
        out
    }
}

const RECURSION_DESIRED: u16 = 1 << 8;

/// What we take over UDP: no fragments on any path (DNS flag day 2020).
const UDP_BYTES_MAX: u16 = 1232;
