//! Owns the words that an owner and a copy-holder exchange, and their bytes. Knows no files, no sockets, no order.
//! Always holds: decoding never panics and never takes more memory than the frame that it was given; a frame whose bytes
//! changed on the way is refused, but for the records in [`Message::Append`] and [`Message::Piece`], which carry the
//! journal's own checksums and are checked by whoever stores them.
//!
//! Layout, little-endian: length u32 of what follows the first 8 bytes, crc32c u32, session u64, kind u8, fields. The
//! checksum is over everything behind it without the records.

use std::fmt;

use crate::batch::{BATCH_BYTES_MAX, RECORD_HEADER_BYTES};
use crate::ends::SegmentEnd;
use crate::position::{Position, SegmentNo};

/// One frame: a word of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Chosen by the owner for its [`Message::Hello`], the answer to it has the same; everything after has the number that the
    /// holder chose in its [`Message::Welcome`]. What belongs to another session is not looked at, so nothing that is left over
    /// from an old connection, not even a Hello, can do harm.
    pub session: u64,
    /// What is said.
    pub message: Message,
}

/// What an owner and a copy-holder say to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Owner: begins a session. Everything before it in other sessions is void.
    Hello(Hello),
    /// Owner: whole records as they stand in the log, the seal included. Without bytes: the segment exists.
    Append {
        /// Where the first one begins.
        position: Position,
        /// Somebody waits for the acknowledgement.
        urgent: bool,
        /// The records.
        bytes: Vec<u8>,
    },
    /// Owner: these are all segments now, the log ends at `tail`, and you have been sent everything.
    Level {
        /// Where the log ends.
        tail: Position,
        /// Runs of segments: the first one, and how many.
        runs: Vec<(SegmentNo, u32)>,
    },
    /// Owner: these segments are durably gone, in this order.
    Released(Vec<SegmentNo>),
    /// Owner: still there; acknowledge what you have.
    Beat {
        /// Where the log ends.
        tail: Position,
    },
    /// Either: send this segment from `offset` on.
    Fetch {
        /// Which one.
        segment: SegmentNo,
        /// Where to begin; a record's.
        offset: u64,
    },
    /// Either: an answer to [`Message::Fetch`].
    Piece {
        /// Which one.
        segment: SegmentNo,
        /// Where `bytes` begin.
        offset: u64,
        /// Where it ends at the sender; nothing is there when this is the default.
        end: SegmentEnd,
        /// Whole records; none when the sender has none there.
        bytes: Vec<u8>,
    },
    /// Holder: the answer to [`Message::Hello`], in one or more pages. All that it names is synced.
    Welcome {
        /// The number of everything that follows.
        session: u64,
        /// Highest epoch that the holder has seen, the Hello's included.
        epoch: u32,
        /// Whether another page follows.
        more: bool,
        /// Segments in order, and where they end here.
        held: Vec<(SegmentNo, SegmentEnd)>,
    },
    /// Holder: everything that this session brought, up to here, is synced.
    Ack {
        /// Up to here.
        position: Position,
        /// Whether the copy has been level and may be taken over.
        level: bool,
    },
    /// Holder: not from you.
    Refuse {
        /// Why.
        why: Refusal,
        /// Highest epoch that the holder has seen.
        epoch: u32,
    },
    /// Holder: the session has failed; begin a new one later.
    Trouble {
        /// What is wrong.
        kind: Trouble,
        /// In words, for the operator.
        text: String,
    },
}

/// How an owner introduces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Name of the journal, `<node>/<journal>`.
    pub journal: String,
    /// Size of its segments in bytes.
    pub segment_bytes: u64,
    /// The journal's own number, under the checksum of each record.
    pub salt: u32,
    /// The epoch under which the owner writes.
    pub epoch: u32,
    /// Its oldest segment.
    pub first: SegmentNo,
    /// Where its log ends.
    pub tail: Position,
}

/// Why a holder does not listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Somebody with a higher epoch owns the journal.
    Epoch,
    /// The copy here is of another journal: name, salt or segment size differ.
    OtherJournal,
}

/// What stops a holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Its disk is full.
    Full,
    /// What came does not fit what it has.
    Misfit,
    /// Its disk answered with an error that is no reason to end the process.
    Disk,
    /// A newer session has begun.
    Replaced,
    /// It had to cut off what a deposed owner wrote: begin anew at once.
    Again,
}

/// Bytes that are no frame. The link has to end: nothing after them can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed frame: {}", self.0)
    }
}

impl Frame {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Vec::with_capacity(64);
        to.extend_from_slice(&[0; 8]);
        to.extend_from_slice(&self.session.to_le_bytes());
        let bulk = put(&self.message, &mut to);
        let checked = to.len();
        to.extend_from_slice(bulk);
        finish(&mut to, checked, 0);
        to
    }

    /// The frame in `payload`, which is what follows the first 8 bytes; `crc` is from there.
    fn decode(crc: u32, payload: &[u8]) -> Result<Frame, Malformed> {
        let mut from = Fields(payload);
        let session = from.u64()?;
        let message = take(&mut from)?;
        let records = match &message {
            Message::Append { bytes, .. } | Message::Piece { bytes, .. } => bytes.len(),
            _ if from.0.is_empty() => 0,
            _ => return Err(Malformed("bytes behind the last field")),
        };
        match crc32c::crc32c(&payload[..payload.len() - records]) == crc {
            true => Ok(Frame { session, message }),
            false => Err(Malformed("wrong checksum")),
        }
    }
}

/// The first part of an [`Message::Append`] whose `len` bytes of records follow from elsewhere.
pub(crate) fn append_head(session: u64, position: Position, urgent: bool, len: usize) -> Vec<u8> {
    let mut to = Vec::with_capacity(APPEND_HEAD_BYTES);
    to.extend_from_slice(&[0; 8]);
    to.extend_from_slice(&session.to_le_bytes());
    put(&Message::Append { position, urgent, bytes: Vec::new() }, &mut to);
    let checked = to.len();
    finish(&mut to, checked, len);
    to
}

/// Fills in length and checksum. `more` bytes follow from elsewhere.
fn finish(to: &mut [u8], checked: usize, more: usize) {
    let len = (to.len() - 8 + more) as u32;
    let crc = crc32c::crc32c(&to[8..checked]);
    to[0..4].copy_from_slice(&len.to_le_bytes());
    to[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// Writes kind and fields; returns the records that follow.
fn put<'a>(message: &'a Message, to: &mut Vec<u8>) -> &'a [u8] {
    fn u64s(to: &mut Vec<u8>, values: &[u64]) {
        values.iter().for_each(|v| to.extend_from_slice(&v.to_le_bytes()));
    }
    fn u32s(to: &mut Vec<u8>, values: &[u32]) {
        values.iter().for_each(|v| to.extend_from_slice(&v.to_le_bytes()));
    }
    fn end(to: &mut Vec<u8>, end: &SegmentEnd) {
        u64s(to, &[end.at]);
        u32s(to, &[end.chain]);
        to.push(u8::from(end.sealed));
    }
    match message {
        Message::Hello(hello) => {
            to.push(1);
            u64s(to, &[hello.segment_bytes, hello.first.0, hello.tail.0]);
            u32s(to, &[hello.salt, hello.epoch]);
            to.extend_from_slice(hello.journal.as_bytes());
        }
        Message::Append { position, urgent, bytes } => {
            to.extend_from_slice(&[2, u8::from(*urgent)]);
            u64s(to, &[position.0]);
            return bytes;
        }
        Message::Level { tail, runs } => {
            to.push(3);
            u64s(to, &[tail.0]);
            for (first, count) in runs {
                u64s(to, &[first.0]);
                u32s(to, &[*count]);
            }
        }
        Message::Released(segments) => {
            to.push(4);
            segments.iter().for_each(|no| u64s(to, &[no.0]));
        }
        Message::Beat { tail } => {
            to.push(5);
            u64s(to, &[tail.0]);
        }
        Message::Fetch { segment, offset } => {
            to.push(6);
            u64s(to, &[segment.0, *offset]);
        }
        Message::Piece { segment, offset, end: there, bytes } => {
            to.push(7);
            u64s(to, &[segment.0, *offset]);
            end(to, there);
            return bytes;
        }
        Message::Welcome { session, epoch, more, held } => {
            to.push(8);
            u64s(to, &[*session]);
            u32s(to, &[*epoch]);
            to.push(u8::from(*more));
            for (segment, there) in held {
                u64s(to, &[segment.0]);
                end(to, there);
            }
        }
        Message::Ack { position, level } => {
            to.extend_from_slice(&[9, u8::from(*level)]);
            u64s(to, &[position.0]);
        }
        Message::Refuse { why, epoch } => {
            to.extend_from_slice(&[10, *why as u8]);
            u32s(to, &[*epoch]);
        }
        Message::Trouble { kind, text } => {
            to.extend_from_slice(&[11, *kind as u8]);
            to.extend_from_slice(text.as_bytes());
        }
    }
    &[]
}

fn take(from: &mut Fields<'_>) -> Result<Message, Malformed> {
    Ok(match from.u8()? {
        1 => Message::Hello(Hello {
            segment_bytes: from.u64()?,
            first: SegmentNo(from.u64()?),
            tail: Position(from.u64()?),
            salt: from.u32()?,
            epoch: from.u32()?,
            journal: from.text(JOURNAL_NAME_MAX)?,
        }),
        2 => Message::Append { urgent: from.flag()?, position: Position(from.u64()?), bytes: from.rest() },
        3 => Message::Level { tail: Position(from.u64()?), runs: from.list(|f| Ok((SegmentNo(f.u64()?), f.u32()?)))? },
        4 => Message::Released(from.list(|f| Ok(SegmentNo(f.u64()?)))?),
        5 => Message::Beat { tail: Position(from.u64()?) },
        6 => Message::Fetch { segment: SegmentNo(from.u64()?), offset: from.u64()? },
        7 => Message::Piece {
            segment: SegmentNo(from.u64()?),
            offset: from.u64()?,
            end: from.end()?,
            bytes: from.rest(),
        },
        8 => Message::Welcome {
            session: from.u64()?,
            epoch: from.u32()?,
            more: from.flag()?,
            held: from.list(|f| Ok((SegmentNo(f.u64()?), f.end()?)))?,
        },
        9 => Message::Ack { level: from.flag()?, position: Position(from.u64()?) },
        10 => Message::Refuse {
            why: match from.u8()? {
                0 => Refusal::Epoch,
                1 => Refusal::OtherJournal,
                _ => return Err(Malformed("unknown refusal")),
            },
            epoch: from.u32()?,
        },
        11 => Message::Trouble {
            kind: match from.u8()? {
                0 => Trouble::Full,
                1 => Trouble::Misfit,
                2 => Trouble::Disk,
                3 => Trouble::Replaced,
                4 => Trouble::Again,
                _ => return Err(Malformed("unknown trouble")),
            },
            text: from.text(TEXT_MAX)?,
        },
        _ => return Err(Malformed("unknown kind")),
    })
}

/// What is left of a frame.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (first, rest) = self.0.split_first_chunk().ok_or(Malformed("too short"))?;
        self.0 = rest;
        Ok(*first)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    fn flag(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed("neither yes nor no")),
        }
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn end(&mut self) -> Result<SegmentEnd, Malformed> {
        Ok(SegmentEnd { at: self.u64()?, chain: self.u32()?, sealed: self.flag()? })
    }

    fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0).to_vec()
    }

    fn text(&mut self, max: usize) -> Result<String, Malformed> {
        if self.0.len() > max {
            return Err(Malformed("text too long"));
        }
        String::from_utf8(self.rest()).map_err(|_| Malformed("text is not UTF-8"))
    }

    /// All that is left, one item after the other.
    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Result<T, Malformed>) -> Result<Vec<T>, Malformed> {
        let mut items = Vec::new();
        while !self.0.is_empty() {
            items.push(item(self)?);
        }
        Ok(items)
    }
}

/// Puts frames together from bytes as they arrive.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    used: usize,
}

impl Decoder {
    /// Takes bytes. At most one frame that is not whole is kept, once [`Decoder::next_frame`] has answered `None`.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.used > 0 {
            self.bytes.drain(..self.used);
            self.used = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Malformed> {
        let left = &self.bytes[self.used..];
        let Some((head, rest)) = left.split_first_chunk::<8>() else { return Ok(None) };
        let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        if len > FRAME_BYTES_MAX {
            return Err(Malformed("too long"));
        }
        if rest.len() < len {
            return Ok(None);
        }
        let crc = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        let frame = Frame::decode(crc, &rest[..len])?;
        self.used += 8 + len;
        Ok(Some(frame))
    }
}

/// Bound for what follows the first 8 bytes of a frame.
pub const FRAME_BYTES_MAX: usize = RECORDS_BYTES_MAX + 4096;
/// Bound for the records of one frame: a batch and a seal.
pub(crate) const RECORDS_BYTES_MAX: usize = BATCH_BYTES_MAX + RECORD_HEADER_BYTES;
/// Bound for the name of a journal.
pub const JOURNAL_NAME_MAX: usize = 255;
/// Bound for words to the operator.
pub(crate) const TEXT_MAX: usize = 500;
/// Segments in one page of a Welcome, runs in a Level, segments in a Released: all fit a frame.
pub(crate) const LIST_MAX: usize = 32 << 10;
const APPEND_HEAD_BYTES: usize = 26;

#[cfg(test)]
pub(crate) mod tests;
