//! One channel: what waits to be sent, what waits to be read, and the credit of both directions.
//! Always holds: no more waits to be read than its window, no more to be sent than its bound.

use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;

use bytes::{Bytes, BytesMut};

use crate::frame::{DATA_MAX, Head, Kind};
use crate::pieces::Pieces;

/// The channel is over: nothing can be sent or read any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Why, in words.
    pub why: String,
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Gone {}

/// What a read gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// These bytes, in order.
    Bytes(Bytes),
    /// Nothing now.
    Nothing,
    /// Nothing any more: the other end has finished.
    End,
}

/// The state of one channel at one end.
#[derive(Debug, Default)]
pub struct Channel {
    /// Over at once, with this reason.
    pub reset: Option<String>,
    /// Nobody here reads or sends on it any more; it goes when its end is out.
    pub orphan: bool,
    /// It stands in the line of those that may send.
    pub in_line: bool,
    /// It stands in the line of those that owe credit.
    pub owes_credit: bool,
    /// Somebody waits for bytes.
    pub reader_waits: bool,
    /// Somebody waits for room.
    pub writer_waits: bool,
    /// Bytes that the other end may still send.
    pub grant: u64,
    window: u32,
    /// Bytes read since credit was given last.
    read_bytes: u32,
    chunks: VecDeque<Bytes>,
    tail: BytesMut,
    unread_bytes: usize,
    ended_there: bool,
    /// Bytes that we may still send.
    credit: u64,
    queue: VecDeque<Bytes>,
    small: BytesMut,
    queued_bytes: usize,
    queue_max: usize,
    ends_here: bool,
    end_sent: bool,
}

impl Channel {
    /// One of which the other end may have `window` bytes under way; `granted` of them it knows of already.
    pub fn new(window: u32, granted: u32, credit: u32, queue_max: usize) -> Channel {
        let mut channel = Channel { grant: granted.into(), credit: credit.into(), queue_max, ..Channel::default() };
        channel.widen(window, granted);
        channel
    }

    /// The window that its user wants, on the side that was told `granted` by the protocol itself.
    pub fn widen(&mut self, window: u32, granted: u32) {
        self.window = window.max(granted);
        // What the other end does not know of yet counts as read: the next credit frame tells it.
        self.read_bytes += self.window - granted;
    }

    /// Room for bytes to send.
    pub fn room(&self) -> usize {
        self.queue_max.saturating_sub(self.queued_bytes)
    }

    /// Takes what there is room for from the front of `bytes`; says how much.
    pub fn send(&mut self, bytes: &mut Bytes) -> usize {
        let taken = bytes.len().min(self.room());
        if taken < bytes.len() {
            self.writer_waits = true;
        }
        if taken == 0 {
            return 0;
        }
        self.queued_bytes += taken;
        let part = bytes.split_to(taken);
        if part.len() < SMALL_BYTES {
            // Many small writes become one piece: a piece costs more than the copy of a few bytes.
            self.small.extend_from_slice(&part);
        } else {
            self.keep_small();
            self.queue.push_back(part);
        }
        taken
    }

    /// Takes all of `parts` (`total` bytes) or nothing. More than the queue's bound fits when nothing else waits.
    pub fn send_parts(&mut self, parts: &[IoSlice<'_>], total: usize) -> bool {
        if total > self.room() && self.queued_bytes > 0 {
            self.writer_waits = true;
            return false;
        }
        self.keep_small();
        self.small.reserve(total);
        parts.iter().for_each(|part| self.small.extend_from_slice(part));
        self.queued_bytes += total;
        self.keep_small();
        true
    }

    fn keep_small(&mut self) {
        if !self.small.is_empty() {
            self.queue.push_back(self.small.split().freeze());
        }
    }

    /// Nothing more is sent from here.
    pub fn finish(&mut self) {
        self.ends_here = true;
    }

    /// Nothing more can be sent from here.
    pub fn is_finished(&self) -> bool {
        self.ends_here
    }

    /// Has something that may go out now.
    pub fn may_send(&self) -> bool {
        let end = self.ends_here && !self.end_sent && self.queued_bytes == 0;
        self.reset.is_none() && (end || (self.queued_bytes > 0 && self.credit > 0))
    }

    /// Makes the next data frame.
    pub fn frame(&mut self, number: u32, scratch: &mut BytesMut, out: &mut Pieces) {
        let credit = usize::try_from(self.credit).unwrap_or(usize::MAX);
        let length = self.queued_bytes.min(credit).min(DATA_MAX);
        let end = self.ends_here && length == self.queued_bytes;
        Head { channel: number, length, kind: Kind::Data, end }.write(scratch);
        out.push(scratch.split().freeze());
        let mut missing = length;
        while missing > 0 {
            if self.queue.is_empty() {
                self.keep_small();
            }
            let Some(first) = self.queue.front_mut() else { break };
            let part = first.split_to(missing.min(first.len()));
            missing -= part.len();
            if first.is_empty() {
                self.queue.pop_front();
            }
            out.push(part);
        }
        self.queued_bytes -= length;
        self.credit -= length as u64;
        self.end_sent |= end;
    }

    /// Half of the queue is free again.
    pub fn has_drained(&self) -> bool {
        self.queued_bytes <= self.queue_max / 2
    }

    /// The other end gave so much more credit.
    pub fn add_credit(&mut self, more: u32) -> bool {
        self.credit += u64::from(more);
        self.credit <= CREDIT_MAX
    }

    /// Keeps what came. The caller has checked the credit. `frame` is the length of the whole frame.
    pub fn keep(&mut self, part: &[u8], frame: usize) {
        self.grant -= part.len() as u64;
        if self.orphan || part.is_empty() {
            return;
        }
        self.unread_bytes += part.len();
        let fits = part.len().min(self.tail.capacity() - self.tail.len());
        self.tail.extend_from_slice(&part[..fits]);
        if fits < part.len() {
            if !self.tail.is_empty() {
                self.chunks.push_back(self.tail.split().freeze());
            }
            self.tail.reserve(frame.clamp(CHUNK_MIN, DATA_MAX).max(part.len() - fits));
            self.tail.extend_from_slice(&part[fits..]);
        }
    }

    /// The other end has finished.
    pub fn ended(&mut self) {
        self.ended_there = true;
    }

    /// The other end may not send any more.
    pub fn has_ended(&self) -> bool {
        self.ended_there
    }

    /// The next bytes in order.
    pub fn read(&mut self) -> Received {
        let bytes = match self.chunks.pop_front() {
            Some(chunk) => chunk,
            None if !self.tail.is_empty() => self.tail.split().freeze(),
            None if self.ended_there => return Received::End,
            None => {
                self.reader_waits = true;
                return Received::Nothing;
            }
        };
        self.unread_bytes -= bytes.len();
        self.read_bytes += bytes.len() as u32;
        Received::Bytes(bytes)
    }

    /// Half of the window was read: credit should be given.
    pub fn credit_is_due(&self) -> bool {
        !self.ended_there && self.reset.is_none() && self.read_bytes > 0 && self.read_bytes >= self.window / 2
    }

    /// Gives it.
    pub fn give_credit(&mut self) -> u32 {
        self.grant += u64::from(self.read_bytes);
        std::mem::take(&mut self.read_bytes)
    }

    /// Both directions are at their end, and our end is out.
    pub fn is_done(&self) -> bool {
        self.reset.is_some() || (self.ended_there && self.end_sent)
    }

    /// Both ends were said; ours may still wait for its turn.
    pub fn ends_well(&self) -> bool {
        self.ended_there && self.ends_here
    }

    /// Bytes that wait to be read.
    pub fn unread_bytes(&self) -> usize {
        self.unread_bytes
    }
}

/// Below this a write is copied into the one before.
const SMALL_BYTES: usize = 2_048;
/// Smallest buffer for what comes.
const CHUNK_MIN: usize = 1_024;
/// More credit than this nobody gives who is sane.
const CREDIT_MAX: u64 = 1 << 32;
