//! Walking over the records of a message without looking into them.

use super::HEADER;
use crate::record::Kind;

/// One record, as places in its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where its owner's name begins.
    pub at: usize,
    /// Its type.
    pub kind: Kind,
    /// Its class, or what stands there.
    pub class: u16,
    /// Its TTL, or what stands there.
    pub ttl: u32,
    /// Where its data begins.
    pub data: usize,
    /// Where it ends.
    pub end: usize,
}

/// The number at this place.
pub fn u16_at(message: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]))
}

/// The number at this place.
pub fn u32_at(message: &[u8], at: usize) -> Option<u32> {
    Some(u32::from(u16_at(message, at)?) << 16 | u32::from(u16_at(message, at + 2)?))
}

/// Where the name that begins at `at` ends in its place; a compression pointer ends it.
pub fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    let start = at;
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            0xc0.. => return message.get(at + 1).map(|_| at + 2),
            _ => return None,
        }
        if at - start > crate::name::NAME_MAX {
            return None;
        }
    }
}

/// The record at this place.
pub fn place_at(message: &[u8], at: usize) -> Option<Place> {
    let name_end = skip_name(message, at)?;
    let data = name_end + 10;
    let end = data + usize::from(u16_at(message, name_end + 8)?);
    message.get(data..end)?;
    Some(Place {
        at,
        kind: Kind(u16_at(message, name_end)?),
        class: u16_at(message, name_end + 2)?,
        ttl: u32_at(message, name_end + 4)?,
        data,
        end,
    })
}

/// How many records the four sections are said to have.
pub fn counts(message: &[u8]) -> Option<[u16; 4]> {
    Some([u16_at(message, 4)?, u16_at(message, 6)?, u16_at(message, 8)?, u16_at(message, 10)?])
}

/// Where the questions end.
pub fn questions_end(message: &[u8]) -> Option<usize> {
    let mut at = HEADER;
    for _ in 0..counts(message)?[0] {
        at = skip_name(message, at)? + 4;
    }
    (at <= message.len()).then_some(at)
}

/// Where the TSIG record begins, if the message's last record is one.
pub fn tsig_at(message: &[u8]) -> Option<usize> {
    let [_, answers, authorities, additional] = counts(message)?;
    let records = u32::from(answers) + u32::from(authorities) + u32::from(additional);
    let mut at = questions_end(message)?;
    for number in 1..=records {
        let place = place_at(message, at)?;
        at = place.end;
        if number == records && additional > 0 && place.kind == Kind::TSIG && at == message.len() {
            return Some(place.at);
        }
    }
    None
}
