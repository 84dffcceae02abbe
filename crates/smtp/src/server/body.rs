//! A body while it arrives: what is handed on, what is counted, when it is refused, and what is swallowed then.

use super::command::Told;
use super::header_end::HeaderEnd;
use super::session::{Chunk, Question, Session, State};
use super::text::{Piece, Text};
use super::{BareNewline, Closing, Framing, Limits, Moment, reply};
use alloc::format;
use mail::{Enhanced, Reply};

/// The body of a transaction.
#[derive(Debug)]
pub(super) struct Body {
    text: Text,
    header: HeaderEnd,
    bytes: u64,
    refused: Option<Reply>,
    swallowed: u64,
}

impl Body {
    pub(super) fn new(framing: Framing, bare: BareNewline) -> Body {
        let text = match framing {
            Framing::Dot => Text::dotted(bare),
            Framing::Chunks => Text::chunked(bare),
        };
        Body { text, header: HeaderEnd::new(), bytes: 0, refused: None, swallowed: 0 }
    }

    pub(super) fn is_refused(&self) -> bool {
        self.refused.is_some()
    }

    /// Counts bytes that are about to be handed on.
    fn count(&mut self, bytes: &[u8], limits: &Limits) -> Result<(), Reply> {
        self.bytes += bytes.len() as u64;
        // Where both bounds are crossed in one slice, the lower one was crossed first.
        let header_is_lower = limits.header_bytes_max < limits.message_bytes_max;
        if self.header.feed(bytes) > limits.header_bytes_max && header_is_lower {
            return Err(reply::HEADER_TOO_LARGE);
        }
        if self.bytes > limits.message_bytes_max {
            return Err(reply::MESSAGE_TOO_LARGE);
        }
        Ok(())
    }
}

impl Session {
    /// Reads on in a body behind DATA.
    pub(super) fn step_dotted<'i>(&mut self, input: &'i [u8]) -> (usize, Option<Moment<'i>>) {
        let (used, piece) = self.body.text.next(input);
        if !self.body.is_refused() {
            let moment = match piece {
                Piece::Bytes(bytes) => self.hand_on(bytes),
                Piece::Bare => self.refuse_arriving(reply::BARE_IN_BODY),
                Piece::End => self.end_of_message(),
                Piece::More => None,
            };
            return (used, moment);
        }
        self.body.swallowed += used as u64;
        if piece == Piece::End {
            self.give_refusal();
            self.state = State::Command;
        } else if self.body.swallowed > SWALLOW_BYTES_MAX {
            self.give_refusal();
            self.state = State::Closing(Closing::Flood);
        }
        (used, None)
    }

    /// Reads on in a chunk. Nothing is refused at this point: that makes it a `Swallow`.
    pub(super) fn step_chunk<'i>(&mut self, input: &'i [u8], chunk: Chunk) -> (usize, Option<Moment<'i>>) {
        if self.is_too_large(chunk) {
            return (0, self.refuse_arriving(reply::MESSAGE_TOO_LARGE));
        }
        if chunk.left == 0 {
            return (0, self.end_of_chunk(chunk));
        }
        let here = input.len().min(usize::try_from(chunk.left).unwrap_or(usize::MAX));
        let (used, piece) = self.body.text.next(&input[..here]);
        self.state = State::Chunk(Chunk { left: chunk.left - used as u64, ..chunk });
        let moment = match piece {
            Piece::Bytes(bytes) => self.hand_on(bytes),
            Piece::Bare => self.refuse_arriving(reply::BARE_IN_BODY),
            Piece::End | Piece::More => None,
        };
        (used, moment)
    }

    /// What was said in BDAT is more than the message may have: known before the octets come.
    pub(super) fn is_too_large(&self, chunk: Chunk) -> bool {
        self.body.bytes.saturating_add(chunk.left) > self.limits.message_bytes_max
    }

    /// Reads over octets that nobody wants.
    pub(super) fn step_swallow<'i>(&mut self, input: &[u8]) -> (usize, Option<Moment<'i>>) {
        let State::Swallow { left, reply, copies } = &mut self.state else { return (0, None) };
        let here = input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        *left -= here as u64;
        self.body.swallowed += here as u64;
        let done = *left == 0;
        if done || self.body.swallowed > SWALLOW_BYTES_MAX {
            let (reply, copies) = (reply.clone(), *copies);
            self.say_copies(&reply, copies);
            self.state = if done { State::Command } else { State::Closing(Closing::Flood) };
        }
        (here, None)
    }

    /// Swallows `left` octets, then says `reply`.
    pub(super) fn swallow(&mut self, left: u64, reply: Reply, copies: u32) {
        self.body.swallowed = 0;
        self.state = State::Swallow { left, reply, copies };
        if left == 0 {
            self.step_swallow(&[]);
        }
    }

    /// Forgets the body that is arriving and says `reply` in its place.
    pub(super) fn drop_body(&mut self, reply: Reply) {
        match self.state {
            State::Chunk(chunk) => {
                let copies = if chunk.last { self.reply_copies() } else { 1 };
                self.transaction = None;
                self.refused = true;
                self.swallow(chunk.left, reply, copies);
            }
            _ => self.body.refused = Some(reply),
        }
    }

    /// The next BDAT of a message that has begun.
    pub(super) fn check_chunk(&mut self, chunk: Chunk) -> Told {
        if let Some(reply) = self.body.refused.take() {
            self.state = State::Chunk(chunk);
            self.drop_body(reply);
        }
        None
    }

    fn hand_on<'i>(&mut self, bytes: &'i [u8]) -> Option<Moment<'i>> {
        match self.body.count(bytes, &self.limits) {
            Ok(()) => Some(Moment::Body(bytes)),
            Err(reply) => self.refuse_arriving(reply),
        }
    }

    fn refuse_arriving(&mut self, reply: Reply) -> Told {
        self.drop_body(reply.clone());
        Some(Moment::BodyRefused(reply))
    }

    fn end_of_chunk(&mut self, chunk: Chunk) -> Told {
        if !chunk.last {
            let text = format!("{} octets received", chunk.size);
            self.say(&Reply::of(250, Enhanced::new(2, 0, 0), text));
            self.state = State::Command;
            return None;
        }
        match self.body.text.finish() {
            Some(Piece::Bytes(bytes)) => self.hand_on(bytes),
            Some(_) => self.refuse_arriving(reply::BARE_IN_BODY),
            None => self.end_of_message(),
        }
    }

    fn end_of_message(&mut self) -> Told {
        self.ask(Question::EndOfMessage, Moment::EndOfMessage { bytes: self.body.bytes })
    }

    /// Says why a body behind DATA was refused.
    fn give_refusal(&mut self) {
        let copies = self.reply_copies();
        if let Some(reply) = self.body.refused.take() {
            self.say_copies(&reply, copies);
        }
        self.transaction = None;
    }
}

/// So much of a refused body is swallowed before its reply is given anyway and the session ended.
pub const SWALLOW_BYTES_MAX: u64 = 128 << 20;
