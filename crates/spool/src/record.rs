//! Owns the payloads of the spool's records: how they are written and read. Knows no positions and no schedule.
//! Always holds: a record of an unknown kind or version is an error, not something to skip.
//!
//! `Chunk` a part of a body. `Accept` the mark that makes a message ours. `State` what became of it so far (the highest `seq`
//! counts). `Done` tombstones of messages that are finished. `Note` nothing: a reason to sync.

use journal::Extent;
use mail::MessageId;

use crate::hop::HopKey;
use crate::packed;
use crate::words::Priority;

/// Record kinds in the journal.
pub const CHUNK: u8 = 1;
/// See [`Accept`].
pub const ACCEPT: u8 = 2;
/// See [`State`].
pub const STATE: u8 = 3;
/// Message ids, one behind the other.
pub const DONE: u8 = 4;
/// Empty.
pub const NOTE: u8 = 5;

/// Bytes in front of a chunk's part of the body.
pub const CHUNK_HEAD: usize = 20;

/// Ids in one `Done` record.
pub const DONE_IDS_MAX: usize = 4096;

/// A record of a message, by what it is and where it is.
#[derive(Clone, Copy, Debug)]
pub struct Survivor {
    /// The message that needs it.
    pub id: MessageId,
    /// Which of its records.
    pub part: Part,
    /// Where it is.
    pub extent: Extent,
}

/// Which record of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A chunk, by its number.
    Chunk(u32),
    /// The mark.
    Accept,
    /// The state, by its number.
    State(u32),
}

impl Part {
    /// The kind of its record.
    pub fn kind(self) -> u8 {
        match self {
            Part::Chunk(_) => CHUNK,
            Part::Accept => ACCEPT,
            Part::State(_) => STATE,
        }
    }
}

/// A payload that this program does not understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown(pub &'static str);

/// The mark. Its last field in the record is the packed envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept<'a> {
    /// The message.
    pub id: MessageId,
    /// Content bytes.
    pub size_bytes: u64,
    /// Number of its chunks, 0 for an empty message.
    pub chunks: u32,
    /// `Received` fields.
    pub hops: u8,
    /// Its priority.
    pub priority: Priority,
    /// It is under way from the start: no other record will say so before it is handed to a next hop.
    pub at_once: bool,
    /// How the client named itself.
    pub received_from: &'a str,
    /// See [`mail::Journey`]; packed, empty for a message that begins here.
    pub journey: &'a [u8],
    /// See [`packed`].
    pub envelope: &'a [u8],
}

/// Everything that changed since the accept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Counts up; the highest one of a message counts.
    pub seq: u32,
    /// An operator suspended it.
    pub suspended: bool,
    /// It is set aside.
    pub poison: bool,
    /// The delay notice was sent.
    pub delay_told: bool,
    /// It may be with a next hop from here on.
    pub under_way: bool,
    /// Ends of the process with it in hand.
    pub crashes: u8,
    /// Where an operator redirected it.
    pub redirect: Option<HopKey>,
    /// Recipients that are settled, by index.
    pub settled: Vec<u16>,
}

/// Writes a chunk's head.
pub fn chunk_head(id: MessageId, ordinal: u32) -> [u8; CHUNK_HEAD] {
    let mut head = [0; CHUNK_HEAD];
    head[..16].copy_from_slice(&id.to_bytes());
    head[16..].copy_from_slice(&ordinal.to_le_bytes());
    head
}

/// Reads a chunk's head.
pub fn read_chunk_head(payload: &[u8]) -> Result<(MessageId, u32), Unknown> {
    let mut bytes = Reader(payload);
    Ok((bytes.id("chunk")?, bytes.u32("chunk")?))
}

impl<'a> Accept<'a> {
    /// The payload.
    pub fn write(&self) -> Vec<u8> {
        let from = &self.received_from[..packed::floor_char(self.received_from, 255)];
        let mut out = Vec::with_capacity(34 + from.len() + self.journey.len() + self.envelope.len());
        out.push(if self.journey.is_empty() { VERSION } else { VERSION_JOURNEY });
        out.extend_from_slice(&self.id.to_bytes());
        out.extend_from_slice(&self.size_bytes.to_le_bytes());
        out.extend_from_slice(&self.chunks.to_le_bytes());
        out.push(self.hops);
        let priority = match self.priority {
            Priority::High => 0,
            Priority::Normal => 1,
            Priority::Low => 2,
        };
        out.push(priority | if self.at_once { AT_ONCE } else { 0 });
        out.push(from.len() as u8);
        out.extend_from_slice(from.as_bytes());
        if !self.journey.is_empty() {
            out.extend_from_slice(&(self.journey.len() as u16).to_le_bytes());
            out.extend_from_slice(self.journey);
        }
        out.extend_from_slice(self.envelope);
        out
    }

    /// Reads a payload. The envelope is not looked into.
    pub fn read(payload: &'a [u8]) -> Result<Accept<'a>, Unknown> {
        let mut bytes = Reader(payload);
        let version: [u8; 1] = bytes.array("accept record of another version")?;
        if !matches!(version, [VERSION | VERSION_JOURNEY]) {
            return Err(Unknown("accept record of another version"));
        }
        let what = "accept record cut short";
        let id = bytes.id(what)?;
        let size_bytes = u64::from_le_bytes(bytes.array(what)?);
        let chunks = bytes.u32(what)?;
        let [hops, priority, from_len] = bytes.array(what)?;
        let from = bytes.take(usize::from(from_len), what)?;
        let journey = match version {
            [VERSION_JOURNEY] => {
                let len = u16::from_le_bytes(bytes.array(what)?);
                bytes.take(usize::from(len), what)?
            }
            _ => &[],
        };
        Ok(Accept {
            id,
            size_bytes,
            chunks,
            hops,
            at_once: priority & AT_ONCE != 0,
            priority: match priority & !AT_ONCE {
                0 => Priority::High,
                1 => Priority::Normal,
                _ => Priority::Low,
            },
            received_from: std::str::from_utf8(from).unwrap_or_default(),
            journey,
            envelope: bytes.0,
        })
    }
}

impl State {
    /// The payload.
    pub fn write(&self, id: MessageId) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        out.push(VERSION);
        out.extend_from_slice(&id.to_bytes());
        out.extend_from_slice(&self.seq.to_le_bytes());
        let flags = [self.suspended, self.poison, self.delay_told, self.under_way];
        out.push(flags.iter().rev().fold(0, |byte, flag| byte << 1 | u8::from(*flag)));
        out.push(self.crashes);
        write_hop(self.redirect.as_ref(), &mut out);
        for index in &self.settled {
            out.extend_from_slice(&index.to_le_bytes());
        }
        out
    }

    /// Reads a payload.
    pub fn read(payload: &[u8]) -> Result<(MessageId, State), Unknown> {
        let mut bytes = Reader(payload);
        bytes.version("state record of another version")?;
        let what = "state record cut short";
        let id = bytes.id(what)?;
        let seq = bytes.u32(what)?;
        let [flags, crashes] = bytes.array(what)?;
        let redirect = read_hop(&mut bytes)?;
        let state = State {
            seq,
            suspended: flags & 1 != 0,
            poison: flags & 2 != 0,
            delay_told: flags & 4 != 0,
            under_way: flags & 8 != 0,
            crashes,
            redirect,
            settled: bytes.0.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect(),
        };
        Ok((id, state))
    }
}

/// The ids of a `Done` record.
pub fn read_done(payload: &[u8]) -> Result<impl Iterator<Item = MessageId> + '_, Unknown> {
    let (ids, rest) = payload.as_chunks();
    if !rest.is_empty() {
        return Err(Unknown("done record cut short"));
    }
    Ok(ids.iter().map(|id| MessageId::from_bytes(*id)))
}

fn write_hop(hop: Option<&HopKey>, out: &mut Vec<u8>) {
    let (kind, first, second): (u8, &str, &str) = match hop {
        None => (0, "", ""),
        Some(HopKey::Maildir { domain }) => (1, domain, ""),
        Some(HopKey::Lmtp { target }) => (2, target, ""),
        Some(HopKey::SmartHosts { connector }) => (3, connector, ""),
        Some(HopKey::Mx { connector, domain }) => (4, connector, domain),
        Some(HopKey::Unreachable { reason }) => (5, reason, ""),
        Some(HopKey::Site { site }) => (6, site, ""),
        Some(HopKey::Servers { of }) => (7, of, ""),
        Some(HopKey::TooLarge { what }) => (8, what, ""),
    };
    out.push(kind);
    for text in [first, second] {
        let text = &text[..packed::floor_char(text, 1000)];
        out.extend_from_slice(&(text.len() as u16).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    }
}

fn read_hop(bytes: &mut Reader<'_>) -> Result<Option<HopKey>, Unknown> {
    let what = "hop in a state record";
    let [kind] = bytes.array(what)?;
    let first = bytes.text(what)?;
    let second = bytes.text(what)?;
    Ok(match kind {
        0 => None,
        1 => Some(HopKey::Maildir { domain: first }),
        2 => Some(HopKey::Lmtp { target: first }),
        3 => Some(HopKey::SmartHosts { connector: first }),
        4 => Some(HopKey::Mx { connector: first, domain: second }),
        5 => Some(HopKey::Unreachable { reason: first }),
        6 => Some(HopKey::Site { site: first }),
        7 => Some(HopKey::Servers { of: first }),
        8 => Some(HopKey::TooLarge { what: first }),
        _ => return Err(Unknown(what)),
    })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], Unknown> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Unknown(what))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Unknown> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Unknown(what))?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, Unknown> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    fn id(&mut self, what: &'static str) -> Result<MessageId, Unknown> {
        Ok(MessageId::from_bytes(self.array(what)?))
    }

    fn text(&mut self, what: &'static str) -> Result<Box<str>, Unknown> {
        let len = u16::from_le_bytes(self.array(what)?);
        let text = std::str::from_utf8(self.take(usize::from(len), what)?).map_err(|_| Unknown(what))?;
        Ok(text.into())
    }

    fn version(&mut self, what: &'static str) -> Result<(), Unknown> {
        match self.array(what)? {
            [VERSION] => Ok(()),
            _ => Err(Unknown(what)),
        }
    }
}

const VERSION: u8 = 1;
/// An accept record with a journey. One without is written as before, so that what does not use sites can go back to an older program.
const VERSION_JOURNEY: u8 = 2;
/// In the byte of the priority.
const AT_ONCE: u8 = 0x10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_equal_and_cut_ones_are_refused() {
        let id = MessageId::new(77, [9; 10]);
        let mut accept = Accept {
            id,
            size_bytes: 5_000_000_000,
            chunks: 3,
            hops: 7,
            priority: Priority::Low,
            at_once: true,
            received_from: "client.example",
            journey: &[],
            envelope: b"packed",
        };
        let written = accept.write();
        assert_eq!(Accept::read(&written), Ok(accept.clone()));
        assert!(written[0] == 1 && (0..30).all(|end| Accept::read(&written[..end]).is_err()));
        accept.journey = b"journey";
        let travelled = accept.write();
        assert_eq!(Accept::read(&travelled), Ok(accept));
        assert!((0..54).all(|end| Accept::read(&travelled[..end]).is_err()));
        assert!(Accept::read(&[&[3], &travelled[1..]].concat()).is_err(), "a version that is not known");
        assert_eq!(read_chunk_head(&chunk_head(id, 4)), Ok((id, 4)));

        let state = State {
            seq: 2,
            suspended: true,
            poison: false,
            delay_told: false,
            under_way: true,
            crashes: 1,
            redirect: Some(HopKey::Mx { connector: "out".into(), domain: "example.org".into() }),
            settled: vec![0, 300],
        };
        let written = state.write(id);
        assert_eq!(State::read(&written), Ok((id, state)));
        assert!((0..written.len() - 4).all(|end| State::read(&written[..end]).is_err()));
    }
}
