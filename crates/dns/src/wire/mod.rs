//! Messages as octets (RFC 1035, 4): reading what strangers send, and writing what we answer.
//!
//! Knows no zone and no socket. Always holds: reading takes time linear in the length of the message, follows no compression
//! pointer of a stranger, and never panics.

pub mod message;
mod query;
mod writer;

pub use query::{Edns, Query, Unread, read_query};
pub use writer::{POINTER_TO_QUESTION, Section, Writer, question};

/// How a question is answered (RFC 1035, 4.1.1; RFC 6891; RFC 8945).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rcode {
    /// There is an answer, or the name has none of this kind.
    NoError = 0,
    /// The message cannot be read.
    FormErr = 1,
    /// We are in trouble.
    ServFail = 2,
    /// There is no such name.
    NxDomain = 3,
    /// We do not do that.
    NotImp = 4,
    /// Not for you, or not ours.
    Refused = 5,
    /// Not ours, or the signature does not count.
    NotAuth = 9,
    /// A version of EDNS that we do not know.
    BadVers = 16,
}

impl Rcode {
    /// All of them.
    pub const ALL: [Rcode; 8] = [
        Rcode::NoError,
        Rcode::FormErr,
        Rcode::ServFail,
        Rcode::NxDomain,
        Rcode::NotImp,
        Rcode::Refused,
        Rcode::NotAuth,
        Rcode::BadVers,
    ];

    /// For metrics and people.
    pub fn word(self) -> &'static str {
        match self {
            Rcode::NoError => "NOERROR",
            Rcode::FormErr => "FORMERR",
            Rcode::ServFail => "SERVFAIL",
            Rcode::NxDomain => "NXDOMAIN",
            Rcode::NotImp => "NOTIMP",
            Rcode::Refused => "REFUSED",
            Rcode::NotAuth => "NOTAUTH",
            Rcode::BadVers => "BADVERS",
        }
    }
}

/// The word of a number that another server answered with.
pub fn rcode_word(number: u8) -> &'static str {
    const WORDS: [&str; 11] = [
        "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH",
        "NOTZONE",
    ];
    WORDS.get(usize::from(number)).copied().unwrap_or("an unknown code")
}

/// Opcode of a question.
pub const QUERY: u8 = 0;
/// Opcode of "a zone has changed" (RFC 1996).
pub const NOTIFY: u8 = 4;
/// Opcode of a change of records (RFC 2136).
pub const UPDATE: u8 = 5;

/// The Internet.
pub const CLASS_IN: u16 = 1;

/// Octets of a header.
pub const HEADER: usize = 12;
