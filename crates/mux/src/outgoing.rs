//! What goes out, and in which order: what is short and urgent first, then one frame of each channel in turn.

use bytes::{BufMut, BytesMut};

use crate::frame::{Head, Kind};
use crate::machine::{Control, Event, Mux};
use crate::pieces::Pieces;

impl Mux {
    /// Something can go out now.
    pub fn has_output(&self) -> bool {
        let something =
            !self.control.is_empty() || self.pong.is_some() || !self.credits.is_empty() || !self.line.is_empty();
        self.said_hello && something
    }

    /// Adds frames to `out` until it holds `most` bytes (the last frame may go beyond). Keep `most` small: what is in `out` goes
    /// before any heartbeat that comes later.
    pub fn output(&mut self, out: &mut Pieces, most: usize) {
        let before = out.len();
        while out.len() < most && self.has_output() {
            if !self.urgent(out) && !self.turn(out) {
                break;
            }
        }
        self.counts.out_bytes += (out.len() - before) as u64;
    }

    /// One frame that goes before all data.
    fn urgent(&mut self, out: &mut Pieces) -> bool {
        if let Some(control) = self.control.pop_front() {
            match control {
                Control::Hello(hello) => self.short(out, 0, Kind::Hello, |payload| payload.put_slice(&hello)),
                Control::Ping(number) => self.short(out, 0, Kind::Ping, |payload| payload.put_u64_le(number)),
                Control::Reset { channel, why } => {
                    self.short(out, channel, Kind::Reset, |payload| payload.put_slice(why.as_bytes()));
                }
                Control::Open { channel, credit, kind, name } => self.short(out, channel, Kind::Open, |payload| {
                    payload.put_u32_le(credit);
                    payload.put_u8(kind.len() as u8);
                    payload.put_slice(kind.as_bytes());
                    payload.put_slice(name.as_bytes());
                }),
                Control::Bye(why) => {
                    self.short(out, 0, Kind::Bye, |payload| payload.put_slice(why.as_bytes()));
                    self.silence();
                }
            }
            return true;
        }
        if let Some(number) = self.pong.take() {
            self.short(out, 0, Kind::Pong, |payload| payload.put_u64_le(number));
            return true;
        }
        while let Some(number) = self.credits.pop_front() {
            let Some(channel) = self.channels.get_mut(&number) else { continue };
            channel.owes_credit = false;
            let credit = channel.give_credit();
            if credit > 0 && !channel.has_ended() {
                self.short(out, number, Kind::Credit, |payload| payload.put_u32_le(credit));
                return true;
            }
        }
        false
    }

    /// One data frame of the channel whose turn it is.
    fn turn(&mut self, out: &mut Pieces) -> bool {
        while let Some(number) = self.line.pop_front() {
            let Some(channel) = self.channels.get_mut(&number) else { continue };
            channel.in_line = false;
            if !channel.may_send() {
                continue;
            }
            roomy(&mut self.scratch);
            channel.frame(number, &mut self.scratch, out);
            if channel.writer_waits && channel.has_drained() {
                channel.writer_waits = false;
                self.events.push_back(Event::Writable(number));
            }
            if channel.orphan && channel.is_done() {
                self.channels.remove(&number);
            }
            self.stand_in_line(number);
            return true;
        }
        false
    }

    /// After a farewell nothing is said any more.
    fn silence(&mut self) {
        self.control.clear();
        self.credits.clear();
        self.line.clear();
        self.channels.clear();
        self.pong = None;
    }

    fn short(&mut self, out: &mut Pieces, channel: u32, kind: Kind, write: impl FnOnce(&mut BytesMut)) {
        roomy(&mut self.scratch);
        let at = self.scratch.len();
        Head { channel, length: 0, kind, end: false }.write(&mut self.scratch);
        let payload_at = self.scratch.len();
        write(&mut self.scratch);
        let length = (self.scratch.len() - payload_at) as u16;
        self.scratch[at + 4..at + 6].copy_from_slice(&length.to_le_bytes());
        out.push(self.scratch.split().freeze());
    }
}

/// Heads and short frames share buffers: one allocation for some hundred of them.
fn roomy(scratch: &mut BytesMut) {
    if scratch.capacity() < SHORT_MAX {
        scratch.reserve(SCRATCH_BYTES);
    }
}

/// Longest frame that is not data.
const SHORT_MAX: usize = 8 + 1_024;
const SCRATCH_BYTES: usize = 4_096;
