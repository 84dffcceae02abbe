//! Owns the form of a frame and the reading of frames from a stream that is cut anywhere.
//! Always holds: a head that makes no sense is refused before a byte of its payload is looked at; at most [`CONTROL_MAX`] bytes are kept.

use bytes::{BufMut, BytesMut};

use crate::cut::Cut;

/// Bytes of a frame's head: channel (4), length (2), kind (1), flags (1), little endian.
pub const HEAD_BYTES: usize = 8;
/// Most bytes of a channel in one frame: with its head, 64 KiB less a few.
pub const DATA_MAX: usize = 65_528;
/// Most bytes of a hello.
pub const HELLO_MAX: usize = 1_024;
/// Most bytes of a channel's kind.
pub const KIND_MAX: usize = 32;
/// Most bytes of a channel's name.
pub const NAME_MAX: usize = 255;
/// Most bytes of a reason in words.
pub const TEXT_MAX: usize = 255;
/// Longest payload that is collected before it is looked at: everything but data.
const CONTROL_MAX: usize = HELLO_MAX;
/// The flag of a channel's last data frame.
const END: u8 = 1;

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes of a channel.
    Data = 0,
    /// A new channel: credit for the answerer, kind, name.
    Open = 1,
    /// So many more bytes may be sent.
    Credit = 2,
    /// The channel is over at once; why, in words.
    Reset = 3,
    /// Are you there? A number of 8 bytes.
    Ping = 4,
    /// I am; the same number.
    Pong = 5,
    /// The first frame: who we are.
    Hello = 6,
    /// The last frame: why we leave, in words.
    Bye = 7,
}

/// The head of a frame that makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// 0 is the connection itself.
    pub channel: u32,
    /// Bytes of payload.
    pub length: usize,
    /// What it is.
    pub kind: Kind,
    /// Of data: nothing of the channel follows.
    pub end: bool,
}

impl Head {
    fn parse(raw: [u8; HEAD_BYTES]) -> Result<Head, Cut> {
        let [c0, c1, c2, c3, l0, l1, kind, flags] = raw;
        let channel = u32::from_le_bytes([c0, c1, c2, c3]);
        let length = usize::from(u16::from_le_bytes([l0, l1]));
        let (kind, lengths, on_channel) = match kind {
            0 => (Kind::Data, 0..=DATA_MAX, true),
            1 => (Kind::Open, 6..=5 + KIND_MAX + NAME_MAX, true),
            2 => (Kind::Credit, 4..=4, true),
            3 => (Kind::Reset, 0..=TEXT_MAX, true),
            4 => (Kind::Ping, 8..=8, false),
            5 => (Kind::Pong, 8..=8, false),
            6 => (Kind::Hello, 0..=HELLO_MAX, false),
            7 => (Kind::Bye, 0..=TEXT_MAX, false),
            _ => return Err(Cut::Garbage("an unknown kind")),
        };
        if on_channel != (channel != 0) {
            return Err(Cut::Garbage("a kind that does not belong to this channel"));
        }
        if !lengths.contains(&length) {
            return Err(Cut::Garbage("a length that its kind does not have"));
        }
        let end = kind == Kind::Data && flags == END;
        if flags != 0 && !end {
            return Err(Cut::Garbage("an unknown flag"));
        }
        if kind == Kind::Data && length == 0 && !end {
            return Err(Cut::Garbage("data without data"));
        }
        Ok(Head { channel, length, kind, end })
    }

    /// Appends the head of a frame whose payload follows.
    pub fn write(&self, out: &mut BytesMut) {
        out.put_u32_le(self.channel);
        // Lengths are bounded by DATA_MAX where frames are made.
        out.put_u16_le(self.length as u16);
        out.put_u8(self.kind as u8);
        out.put_u8(if self.end { END } else { 0 });
    }
}

/// What the reader found next.
pub enum Item<'i> {
    /// A part of a data frame, as long as the input has it. `whole` is its head; the last part of the frame has `last`.
    Data {
        /// The frame's head.
        head: Head,
        /// Bytes of it.
        part: &'i [u8],
        /// Its last part.
        last: bool,
    },
    /// A whole frame of any other kind; its payload is [`Reader::payload`].
    Control(Head),
}

/// Reads frames. The same bytes give the same frames, however they were cut.
pub struct Reader {
    head: [u8; HEAD_BYTES],
    head_bytes: usize,
    /// The frame that is being read, and what of it is missing.
    inside: Option<(Head, usize)>,
    payload: Vec<u8>,
}

impl Reader {
    /// At the start of a stream.
    pub fn new() -> Reader {
        Reader { head: [0; HEAD_BYTES], head_bytes: 0, inside: None, payload: Vec::with_capacity(64) }
    }

    /// The payload of the control frame that was found last.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Takes from `input` what the next item needs; `None` when `input` is used up.
    pub fn next<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Item<'i>>, Cut> {
        let (head, missing) = match self.inside {
            Some(inside) => inside,
            None => match self.read_head(input)? {
                Some(head) => (head, head.length),
                None => return Ok(None),
            },
        };
        let part = take(input, missing);
        let missing = missing - part.len();
        self.inside = (missing > 0).then_some((head, missing));
        if head.kind == Kind::Data {
            // A frame that has only begun says nothing yet; one without payload says that the channel ends.
            let silent = part.is_empty() && missing > 0;
            return Ok((!silent).then_some(Item::Data { head, part, last: missing == 0 }));
        }
        self.payload.extend_from_slice(part);
        Ok((missing == 0).then_some(Item::Control(head)))
    }

    fn read_head(&mut self, input: &mut &[u8]) -> Result<Option<Head>, Cut> {
        let part = take(input, HEAD_BYTES - self.head_bytes);
        self.head[self.head_bytes..self.head_bytes + part.len()].copy_from_slice(part);
        self.head_bytes += part.len();
        if self.head_bytes < HEAD_BYTES {
            return Ok(None);
        }
        self.head_bytes = 0;
        self.payload.clear();
        let head = Head::parse(self.head)?;
        debug_assert!(head.kind == Kind::Data || head.length <= CONTROL_MAX, "control frames are short");
        Ok(Some(head))
    }
}

fn take<'i>(input: &mut &'i [u8], most: usize) -> &'i [u8] {
    let (part, rest) = input.split_at(most.min(input.len()));
    *input = rest;
    part
}
