//! MAIL, RCPT, DATA and BDAT in their order, up to the reply that ends a transaction.

use super::answer::Kind;
use super::body::Body;
use super::command::Told;
use super::envelope::{self, Allowed};
use super::session::{Chunk, Question, Session, State, not_positive};
use super::{Closing, Framing, Greeting, Moment, Verb, reply};
use core::fmt::{self, Write};
use mail::{MessageId, Reply};

impl Session {
    pub(super) fn mail(&mut self, argument: &str) -> Told {
        if self.greeting.is_none() {
            return self.error(Verb::Mail, reply::HELLO_FIRST);
        }
        if self.transaction.is_some() {
            return self.error(Verb::Mail, reply::NESTED_MAIL);
        }
        if self.limits.messages_max.is_some_and(|messages_max| self.messages >= messages_max) {
            self.end(&reply::TOO_MANY_MESSAGES, Closing::Messages);
            return None;
        }
        self.refused = false;
        let refusal = match envelope::mail(argument, self.allowed()) {
            Ok(command) if command.size.is_some_and(|size| size > self.limits.message_bytes_max) => {
                reply::MESSAGE_TOO_LARGE
            }
            Ok(command) => {
                let question = Question::Mail { smtputf8: command.smtputf8 };
                return self.ask(question, Moment::Mail(command));
            }
            Err(refusal) => refusal,
        };
        self.refused = true;
        self.fault_or_refusal(Verb::Mail, refusal)
    }

    pub(super) fn rcpt(&mut self, argument: &str) -> Told {
        let Some(transaction) = &self.transaction else {
            return self.out_of_order(Verb::Rcpt, reply::MAIL_FIRST);
        };
        if transaction.chunked {
            return self.error(Verb::Rcpt, reply::IN_CHUNKS);
        }
        if transaction.recipients >= self.limits.recipients_max {
            return self.refused(Verb::Rcpt, reply::TOO_MANY_RECIPIENTS);
        }
        let refusal = match envelope::rcpt(argument, self.allowed(), transaction.smtputf8) {
            Ok(command) => return self.ask(Question::Rcpt, Moment::Rcpt(command)),
            Err(refusal) => refusal,
        };
        if let Some(transaction) = &mut self.transaction {
            transaction.recipient_refused = true;
        }
        self.fault_or_refusal(Verb::Rcpt, refusal)
    }

    pub(super) fn data(&mut self) -> Told {
        let Some(transaction) = &self.transaction else {
            return self.out_of_order(Verb::Data, reply::MAIL_FIRST);
        };
        if transaction.chunked {
            return self.error(Verb::Data, reply::IN_CHUNKS);
        }
        match (transaction.recipients, transaction.recipient_refused) {
            (0, true) => {
                let reply = self.no_recipients();
                self.refused(Verb::Data, reply)
            }
            (0, false) => self.error(Verb::Data, reply::RCPT_FIRST),
            _ => self.ask(Question::Dotted, Moment::Data(Framing::Dot)),
        }
    }

    /// BDAT (RFC 3030 2). Whatever is wrong with it: if it has a size, so many octets follow, and are not commands.
    pub(super) fn bdat(&mut self, argument: &str) -> Told {
        let (size, word) = argument.split_once(' ').unwrap_or((argument, ""));
        let Some(size) = chunk_size(size) else {
            return self.error(Verb::Bdat, reply::BDAT_SYNTAX);
        };
        let word = word.trim_start_matches(' ');
        let chunk = Chunk { size, left: size, last: word.eq_ignore_ascii_case("LAST") };
        if !chunk.last && !word.is_empty() {
            return self.wrong_chunk(chunk, reply::BDAT_SYNTAX);
        }
        if !self.settings.offers.chunking {
            return self.wrong_chunk(chunk, reply::NOT_IMPLEMENTED);
        }
        if self.tls_is_missing() {
            return self.refused_chunk(chunk, reply::TLS_FIRST);
        }
        let Some(transaction) = &self.transaction else {
            return match self.refused {
                true => self.refused_chunk(chunk, reply::MAIL_FIRST),
                false => self.wrong_chunk(chunk, reply::MAIL_FIRST),
            };
        };
        if transaction.chunked {
            self.state = State::Chunk(chunk);
            return self.check_chunk(chunk);
        }
        match (transaction.recipients, transaction.recipient_refused) {
            (0, true) => {
                let reply = self.no_recipients();
                self.refused_chunk(chunk, reply)
            }
            (0, false) => self.wrong_chunk(chunk, reply::RCPT_FIRST),
            _ => self.ask(Question::Chunked(chunk), Moment::Data(Framing::Chunks)),
        }
    }

    /// Gives the reply to a message and ends its transaction.
    pub(super) fn end_transaction(&mut self, kind: Kind) {
        let copies = self.reply_copies();
        self.transaction = None;
        self.refused = false;
        match kind {
            Kind::Custody(id) => (0..copies).for_each(|_| self.write_custody(id)),
            Kind::CustodyEach(outcomes) => {
                let mut outcomes = outcomes.into_iter();
                for _ in 0..copies {
                    match outcomes.next() {
                        Some(Ok(id)) => self.write_custody(id),
                        Some(Err(reply)) => self.say(&not_positive(reply)),
                        None => self.say(&reply::NOT_IN_CUSTODY),
                    }
                }
            }
            Kind::Reply(reply) => self.say_copies(&not_positive(reply), copies),
            Kind::Accept | Kind::Challenge(_) | Kind::Authenticated => self.say_copies(&reply::NOT_IN_CUSTODY, copies),
        }
    }

    pub(super) fn begin_dotted(&mut self) {
        self.body = Body::new(Framing::Dot, self.settings.bare_newline);
        self.say(&Reply::plain(354, "end with <CRLF>.<CRLF>"));
        self.state = State::Dotted;
    }

    pub(super) fn begin_chunked(&mut self, chunk: Chunk) {
        self.body = Body::new(Framing::Chunks, self.settings.bare_newline);
        if let Some(transaction) = &mut self.transaction {
            transaction.chunked = true;
        }
        self.state = State::Chunk(chunk);
    }

    /// How many replies end a message: LMTP gives one for each accepted recipient (RFC 2033 4.2).
    pub(super) fn reply_copies(&self) -> u32 {
        match &self.transaction {
            Some(transaction) if self.is_lmtp() => transaction.recipients,
            _ => 1,
        }
    }

    pub(super) fn say_copies(&mut self, reply: &Reply, copies: u32) {
        (0..copies).for_each(|_| self.say(reply));
    }

    fn allowed(&self) -> Allowed {
        let extended = self.greeting != Some(Greeting::Helo);
        // AUTH= of MAIL stays allowed after AUTH, when EHLO does not name it any more.
        Allowed {
            offers: extended.then_some(self.settings.offers),
            auth: self.offers_auth() || self.authenticated,
            journey: self.server,
        }
    }

    /// Grammar counts as an error; bounds and missing extensions do not.
    fn fault_or_refusal(&mut self, verb: Verb, reply: Reply) -> Told {
        if matches!(reply.code, 501 | 555) { self.error(verb, reply) } else { self.refused(verb, reply) }
    }

    /// No transaction is open: a fault, unless the one that the peer counted on was refused.
    fn out_of_order(&mut self, verb: Verb, reply: Reply) -> Told {
        if self.refused { self.refused(verb, reply) } else { self.error(verb, reply) }
    }

    /// RFC 2033 4.2 wants 503 where RFC 5321 3.3 has 554.
    fn no_recipients(&self) -> Reply {
        if self.is_lmtp() { reply::RCPT_FIRST } else { reply::NO_RECIPIENTS }
    }

    /// A BDAT out of its place: an error of the peer.
    fn wrong_chunk(&mut self, chunk: Chunk, reply: Reply) -> Told {
        if !self.is_last_error() {
            self.swallow(chunk.left, reply.clone(), 1);
        }
        Some(Moment::Error { verb: Verb::Bdat, reply })
    }

    /// A sound BDAT that is refused.
    fn refused_chunk(&mut self, chunk: Chunk, reply: Reply) -> Told {
        self.swallow(chunk.left, reply.clone(), 1);
        Some(Moment::Refused { verb: Verb::Bdat, reply })
    }

    /// The only place that says yes to a message.
    fn write_custody(&mut self, id: MessageId) {
        self.output.extend_from_slice(b"250 ");
        if self.settings.offers.enhanced_status_codes {
            self.output.extend_from_slice(b"2.0.0 ");
        }
        let _ = write!(Appended(&mut self.output), "{id} accepted\r\n"); // writing to a Vec does not fail
    }
}

/// Formats into bytes.
struct Appended<'a>(&'a mut alloc::vec::Vec<u8>);

impl Write for Appended<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Digits; what does not fit into 64 bits is too large in any case.
fn chunk_size(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}
