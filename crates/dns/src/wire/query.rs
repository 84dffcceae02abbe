//! Reading a question.
//!
//! Owns what is a question at all, and what is answered to what is none. Always holds: a message that says that it is an answer gets
//! none, so that two servers never talk to each other for ever.

use super::message::{counts, place_at, u16_at};
use super::{CLASS_IN, HEADER, QUERY};
use crate::name::{NAME_MAX, wire_len};
use crate::record::Kind;

/// A question, as places in its message.
#[derive(Clone, Debug)]
pub struct Query {
    /// Its name in lower case; [`Query::name`].
    lower: [u8; NAME_MAX],
    name_len: u8,
    /// What is asked for.
    pub kind: Kind,
    /// Its class.
    pub class: u16,
    /// Where the question ends.
    pub end: usize,
    /// EDNS, if it speaks that.
    pub edns: Option<Edns>,
    /// Where its TSIG record begins, if it is signed.
    pub tsig: Option<usize>,
    /// Where the data of the SOA in its authority section begins: what a secondary that asks for IXFR has.
    pub soa: Option<usize>,
}

/// EDNS of a question (RFC 6891).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// The largest answer that it can take over UDP.
    pub size: u16,
    /// Its version.
    pub version: u8,
    /// It wants DNSSEC's records (RFC 3225): copied into the answer.
    pub wants_dnssec: bool,
}

/// Why a message is no question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// Not answered at all.
    Silent,
    /// `FORMERR`; the end of the question if that much could be read.
    Format(Option<usize>),
    /// `NOTIMP`: not a question but a known or unknown other thing.
    Other(u8),
}

impl Query {
    /// The name that is asked for, in lower case.
    pub fn name(&self) -> &[u8] {
        &self.lower[..usize::from(self.name_len)]
    }
}

/// Reads a message that should be a question.
pub fn read_query(message: &[u8]) -> Result<Query, Unread> {
    if message.len() < HEADER || message[2] & 0x80 != 0 {
        return Err(Unread::Silent);
    }
    let opcode = message[2] >> 3 & 15;
    if opcode != QUERY {
        return Err(Unread::Other(opcode));
    }
    let counts = counts(message).unwrap_or_default();
    if counts[0] != 1 {
        return Err(Unread::Format(None));
    }
    let mut query = question(message).ok_or(Unread::Format(None))?;
    rest(message, counts, &mut query).ok_or(Unread::Format(Some(query.end)))?;
    Ok(query)
}

fn question(message: &[u8]) -> Option<Query> {
    let len = wire_len(&message[HEADER..])?;
    let end = HEADER + len + 4;
    let (kind, class) = (Kind(u16_at(message, end - 4)?), u16_at(message, end - 2)?);
    let mut lower = [0; NAME_MAX];
    for (to, from) in lower.iter_mut().zip(&message[HEADER..HEADER + len]) {
        *to = from.to_ascii_lowercase();
    }
    Some(Query { lower, name_len: len as u8, kind, class, end, edns: None, tsig: None, soa: None })
}

/// The records behind the question: of interest are OPT, TSIG and the SOA of an IXFR. Nothing may stand behind them.
fn rest(message: &[u8], [_, answers, authorities, additional]: [u16; 4], query: &mut Query) -> Option<()> {
    let mut at = query.end;
    for _ in 0..answers {
        at = place_at(message, at)?.end;
    }
    for _ in 0..authorities {
        let place = place_at(message, at)?;
        if place.kind == Kind::SOA && place.class == CLASS_IN {
            query.soa = Some(place.data);
        }
        at = place.end;
    }
    for number in 1..=additional {
        let place = place_at(message, at)?;
        match place.kind {
            Kind::OPT => {
                let is_first = query.edns.is_none() && message[place.at] == 0;
                let version = (place.ttl >> 16) as u8;
                let edns = Edns { size: place.class, version, wants_dnssec: place.ttl & 0x8000 != 0 };
                query.edns = is_first.then_some(Some(edns))?;
            }
            Kind::TSIG => query.tsig = (number == additional).then_some(Some(place.at))?,
            _ => {}
        }
        at = place.end;
    }
    (at == message.len()).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(flags: u16, counts: [u16; 4], rest: &[u8]) -> Vec<u8> {
        let head = [0xabcd, flags].into_iter().chain(counts).flat_map(u16::to_be_bytes);
        head.chain(rest.iter().copied()).collect()
    }

    #[test]
    fn what_is_a_question_and_what_is_not() {
        let question = b"\x04MaIl\x07example\0\0\x0f\0\x01";
        let opt = b"\0\0\x29\x04\xd0\0\0\x80\0\0\0";
        let both = [&question[..], opt].concat();
        let query = read_query(&message(0x0100, [1, 0, 0, 1], &both)).unwrap();
        assert_eq!((query.name(), query.kind, query.class), (&b"\x04mail\x07example\0"[..], Kind::MX, 1));
        assert_eq!(query.edns, Some(Edns { size: 1232, version: 0, wants_dnssec: true }));
        let twice = [&both[..], opt].concat();
        let end = Some(HEADER + question.len());
        let pointer = b"\x04mail\xc0\x0c\0\x01\0\x01";
        let cases: [(Vec<u8>, Unread); 9] = [
            (vec![0; 11], Unread::Silent),
            (message(0x8000, [1, 0, 0, 0], question), Unread::Silent),
            (message(0x2000, [1, 0, 0, 0], question), Unread::Other(4)),
            (message(0, [0; 4], b""), Unread::Format(None)),
            (message(0, [2, 0, 0, 0], &[question.as_slice(), question].concat()), Unread::Format(None)),
            (message(0, [1, 0, 0, 0], pointer), Unread::Format(None)),
            (message(0, [1, 0, 0, 1], question), Unread::Format(end)),
            (message(0, [1, 0, 0, 0], &both), Unread::Format(end)),
            (message(0, [1, 0, 0, 2], &twice), Unread::Format(end)),
        ];
        for (bytes, why) in cases {
            assert_eq!(read_query(&bytes).map(drop), Err(why), "{bytes:02x?}");
        }
    }
}
