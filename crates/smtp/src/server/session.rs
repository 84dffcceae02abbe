//! The state of one session and the calls of its driver.

use super::answer::Kind;
use super::body::Body;
use super::line::LineReader;
use super::moment::{Closing, Framing, Greeting, Moment};
use super::{Answer, Limits, Protocol, Settings, reply};
use alloc::sync::Arc;
use alloc::vec::Vec;
use mail::Reply;

/// One SMTP or LMTP session, server side. Its memory is bounded: a command line, the output, a few words of state.
#[derive(Debug)]
pub struct Session {
    pub(super) settings: Arc<Settings>,
    pub(super) limits: Limits,
    pub(super) output: Vec<u8>,
    pub(super) lines: LineReader,
    pub(super) state: State,
    /// HELO, EHLO or LHLO was accepted.
    pub(super) greeting: Option<Greeting>,
    pub(super) tls: bool,
    pub(super) xclient_trusted: bool,
    /// The peer is a server of our organization.
    pub(super) server: bool,
    pub(super) authenticated: bool,
    pub(super) errors: u32,
    pub(super) messages: u32,
    pub(super) transaction: Option<Transaction>,
    /// The body of the transaction, once it has begun.
    pub(super) body: Body,
    /// A transaction was refused: what was pipelined behind that is no fault of the peer.
    pub(super) refused: bool,
}

/// What the next input is, or whom the session waits for.
#[derive(Debug)]
pub(super) enum State {
    /// A command line comes.
    Command,
    /// A line of an AUTH exchange comes.
    AuthLine,
    /// The driver has not answered yet.
    Asked(Question),
    /// STARTTLS was accepted: what comes is dropped.
    Tls,
    /// A body comes, up to CRLF.CRLF.
    Dotted,
    /// So many octets of a body come.
    Chunk(Chunk),
    /// So many octets come that nobody wants, then the reply is given.
    Swallow { left: u64, reply: Reply, copies: u32 },
    /// `Moment::Close` is to be given.
    Closing(Closing),
    /// `Moment::Close` was given.
    Over,
}

/// What is left of a BDAT.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    pub(super) size: u64,
    pub(super) left: u64,
    pub(super) last: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Question {
    Hello(Greeting),
    StartTls,
    Auth,
    Xclient,
    Mail { smtputf8: bool },
    Rcpt,
    Dotted,
    Chunked(Chunk),
    EndOfMessage,
}

/// An accepted MAIL and what followed it.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) smtputf8: bool,
    /// Accepted ones.
    pub(super) recipients: u32,
    /// A RCPT was refused.
    pub(super) recipient_refused: bool,
    /// A BDAT was accepted.
    pub(super) chunked: bool,
}

impl Session {
    /// A session in the clear, before its greeting.
    pub fn new(settings: Arc<Settings>) -> Session {
        Session {
            limits: settings.limits,
            body: Body::new(Framing::Dot, settings.bare_newline),
            settings,
            output: Vec::new(),
            lines: LineReader::default(),
            state: State::Command,
            greeting: None,
            tls: false,
            xclient_trusted: false,
            server: false,
            authenticated: false,
            errors: 0,
            messages: 0,
            transaction: None,
            refused: false,
        }
    }

    /// The connection is under TLS from its first byte (implicit TLS).
    pub fn under_tls(mut self) -> Session {
        self.tls = true;
        self
    }

    /// Offers and takes XCLIENT: the peer is named as trusted for it.
    pub fn trust_xclient(mut self) -> Session {
        self.xclient_trusted = true;
        self
    }

    /// Offers and takes XPOSTHOUSE: the peer has proven that it is a server of our organization.
    pub fn trust_server(mut self) -> Session {
        self.server = true;
        self
    }

    /// Replaces the bounds, for example for a principal that may do more. Told in the next reply to EHLO.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Writes the 220 greeting.
    pub fn greet(&mut self) {
        self.write_greeting();
    }

    /// Ends the session with a reply: instead of the greeting, on a timeout, at shutdown. `Moment::Close` follows. Also ends a session
    /// that waits for an answer.
    pub fn close(&mut self, reply: Reply) {
        if !matches!(self.state, State::Closing(_) | State::Over) {
            self.end(&reply, Closing::Driver);
        }
    }

    /// Takes input: gives back how much of it was used, and the next moment if there is one.
    ///
    /// Call it again, with what is left (even if that is nothing), until there is no moment. Then write [`output`](Self::output). What
    /// was not used by then was left because the output has reached its bound or because an answer is awaited: call again after that.
    pub fn receive<'i>(&mut self, input: &'i [u8]) -> (usize, Option<Moment<'i>>) {
        let mut used = 0;
        loop {
            let (step, moment) = self.step(&input[used..]);
            used += step;
            if moment.is_some() || self.is_stuck(&input[used..]) {
                return (used, moment);
            }
        }
    }

    /// Answers the last moment that asked. Without such a moment it does nothing.
    pub fn answer(&mut self, answer: Answer) {
        let State::Asked(question) = self.state else { return };
        self.state = State::Command;
        match (question, answer.0) {
            (Question::EndOfMessage, kind) => self.end_transaction(kind),
            (Question::Auth, kind) => self.answer_auth(kind),
            (question, Kind::Accept) => self.accept(question, None),
            (question, Kind::Reply(reply)) if reply.is_positive() => self.accept(question, Some(reply)),
            (question, Kind::Reply(reply)) => self.refuse(question, reply),
            (question, _) => self.refuse(question, reply::NOT_IN_CUSTODY),
        }
    }

    /// Refuses the body that is arriving (no room, too many hops ...): no more `Body` moments, no `EndOfMessage`; the rest is swallowed,
    /// then the peer hears `reply` (a positive one becomes 451 4.3.0). Counts from the accepted `Data` moment to `EndOfMessage`.
    pub fn refuse_body(&mut self, reply: Reply) {
        if self.in_body() && !self.body.is_refused() {
            self.drop_body(not_positive(reply));
        }
    }

    /// What waits to be written to the peer.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// The first `bytes` of the output were written.
    pub fn output_sent(&mut self, bytes: usize) {
        if bytes < self.output.len() {
            self.output.drain(..bytes);
        } else if self.output.capacity() > OUTPUT_BYTES_KEPT {
            self.output = Vec::new();
        } else {
            self.output.clear();
        }
    }

    /// STARTTLS was accepted: write the output, drop what was read, make the handshake, then call [`tls_started`](Self::tls_started).
    pub fn awaits_tls(&self) -> bool {
        matches!(self.state, State::Tls)
    }

    /// The handshake is done. The session is as after the greeting (RFC 3207 4.2).
    pub fn tls_started(&mut self) {
        if self.awaits_tls() {
            self.state = State::Command;
            self.tls = true;
            self.start_again();
        }
    }

    /// A moment was given and not answered yet.
    pub fn awaits_answer(&self) -> bool {
        matches!(self.state, State::Asked(_))
    }

    /// A transaction is open: MAIL was accepted.
    pub fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// A body is arriving, or more chunks of one are to come, so that an idle timeout is that of data (RFC 5321 4.5.3.2).
    pub fn in_body(&self) -> bool {
        match self.state {
            State::Dotted | State::Chunk(_) => true,
            State::Command => self.transaction.as_ref().is_some_and(|transaction| transaction.chunked),
            _ => false,
        }
    }

    /// `Moment::Close` was given.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Takes one step. Uses some of the input, gives a moment, or changes the state.
    fn step<'i>(&mut self, input: &'i [u8]) -> (usize, Option<Moment<'i>>) {
        match self.state {
            State::Command if self.output.len() >= OUTPUT_BYTES_MAX => (0, None),
            State::Command => self.step_command(input),
            State::AuthLine => self.step_auth(input),
            State::Dotted => self.step_dotted(input),
            State::Chunk(chunk) => self.step_chunk(input, chunk),
            State::Swallow { .. } => self.step_swallow(input),
            State::Closing(why) => {
                self.state = State::Over;
                self.transaction = None;
                (0, Some(Moment::Close(why)))
            }
            State::Asked(_) => (0, None),
            State::Tls | State::Over => (input.len(), None),
        }
    }

    /// The next step would do nothing.
    fn is_stuck(&self, input: &[u8]) -> bool {
        match self.state {
            State::Asked(_) => true,
            State::Closing(_) => false,
            State::Chunk(chunk) => input.is_empty() && chunk.left > 0 && !self.is_too_large(chunk),
            State::Command => input.is_empty() || self.output.len() >= OUTPUT_BYTES_MAX,
            State::AuthLine | State::Dotted | State::Swallow { .. } | State::Tls | State::Over => input.is_empty(),
        }
    }

    /// Writes a reply.
    pub(super) fn say(&mut self, reply: &Reply) {
        reply.write_to(&mut self.output, self.settings.offers.enhanced_status_codes);
    }

    /// Writes a last reply and ends the session.
    pub(super) fn end(&mut self, reply: &Reply, why: Closing) {
        self.say(reply);
        self.state = State::Closing(why);
    }

    /// As before the first hello.
    pub(super) fn start_again(&mut self) {
        self.lines.clear();
        self.greeting = None;
        self.authenticated = false;
        self.transaction = None;
        self.refused = false;
    }

    pub(super) fn is_lmtp(&self) -> bool {
        self.settings.protocol == Protocol::Lmtp
    }

    fn accept(&mut self, question: Question, reply: Option<Reply>) {
        let reply_or = |usual: Reply| reply.clone().unwrap_or(usual);
        match question {
            Question::Hello(greeting) => {
                self.greeting = Some(greeting);
                match reply {
                    Some(reply) => self.say(&reply),
                    None => self.write_hello(greeting),
                }
            }
            Question::StartTls => {
                self.say(&reply_or(reply::TLS_READY));
                self.state = State::Tls;
            }
            Question::Xclient => {
                self.start_again();
                self.write_greeting();
            }
            Question::Mail { smtputf8 } => {
                self.say(&reply_or(reply::SENDER_OK));
                self.messages = self.messages.saturating_add(1);
                self.transaction =
                    Some(Transaction { smtputf8, recipients: 0, recipient_refused: false, chunked: false });
            }
            Question::Rcpt => {
                self.say(&reply_or(reply::RECIPIENT_OK));
                if let Some(transaction) = &mut self.transaction {
                    transaction.recipients += 1;
                }
            }
            Question::Dotted => self.begin_dotted(),
            Question::Chunked(chunk) => self.begin_chunked(chunk),
            Question::Auth | Question::EndOfMessage => {} // answered elsewhere
        }
    }

    fn refuse(&mut self, question: Question, reply: Reply) {
        match question {
            Question::Chunked(chunk) => {
                let reply = not_positive(reply);
                self.state = State::Chunk(chunk);
                self.drop_body(reply);
                return;
            }
            Question::Mail { .. } => self.refused = true,
            Question::Rcpt => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.recipient_refused = true;
                }
            }
            _ => {}
        }
        self.say(&reply);
    }
}

/// A reply that takes no custody: what refuses must not sound like a yes.
pub(super) fn not_positive(reply: Reply) -> Reply {
    if reply.is_transient() || reply.is_permanent() { reply } else { reply::NOT_IN_CUSTODY }
}

/// No command is taken while so many bytes of output wait to be written; one reply may come on top.
pub const OUTPUT_BYTES_MAX: usize = 16 << 10;

/// A larger output buffer is given back once it is written.
const OUTPUT_BYTES_KEPT: usize = 1 << 10;
