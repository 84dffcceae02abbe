//! Command lines: which verb it is, whether it may come now, and what the session does about it.

use super::line::{LINE_BYTES_MAX, Line, LineReader};
use super::session::{Question, Session, State};
use super::{Closing, Greeting, Moment, TlsOffer, Verb, reply, xclient};
use alloc::boxed::Box;
use core::mem;
use mail::Reply;

/// What a command comes to.
pub(super) type Told = Option<Moment<'static>>;

impl Session {
    /// Reads and carries out the next command line.
    pub(super) fn step_command<'i>(&mut self, input: &[u8]) -> (usize, Option<Moment<'i>>) {
        let mut lines = mem::take(&mut self.lines);
        let (used, line) = lines.next(input, LINE_BYTES_MAX);
        let told = match line {
            Line::Whole(line) => self.command(line),
            Line::Bare => self.error(Verb::Unknown, reply::BARE_IN_COMMAND),
            Line::TooLong => self.error(Verb::Unknown, reply::LINE_TOO_LONG),
            Line::Flood => self.flood(),
            Line::More => None,
        };
        self.put_back(lines);
        (used, told)
    }

    pub(super) fn put_back(&mut self, lines: LineReader) {
        self.lines = lines;
    }

    /// The peer broke the protocol: it hears so, and it counts. The last time it hears 421 instead.
    pub(super) fn error(&mut self, verb: Verb, reply: Reply) -> Told {
        if !self.is_last_error() {
            self.say(&reply);
        }
        Some(Moment::Error { verb, reply })
    }

    /// Counts an error, and ends the session if it was one too many.
    pub(super) fn is_last_error(&mut self) -> bool {
        self.errors = self.errors.saturating_add(1);
        let last = self.errors >= self.limits.errors_max;
        if last {
            self.end(&reply::TOO_MANY_ERRORS, Closing::Errors);
        }
        last
    }

    /// A sound command that the session refuses by itself.
    pub(super) fn refused(&mut self, verb: Verb, reply: Reply) -> Told {
        self.say(&reply);
        Some(Moment::Refused { verb, reply })
    }

    pub(super) fn flood(&mut self) -> Told {
        self.end(&reply::TOO_MANY_ERRORS, Closing::Flood);
        None
    }

    /// Waits for the driver's word on `moment`.
    pub(super) fn ask(&mut self, question: Question, moment: Moment<'static>) -> Told {
        self.state = State::Asked(question);
        Some(moment)
    }

    fn command(&mut self, line: &[u8]) -> Told {
        let text = match core::str::from_utf8(line) {
            Ok(text) if !text.bytes().any(|b| b.is_ascii_control()) => text.trim_end_matches(' '),
            _ => return self.error(Verb::Unknown, reply::NOT_TEXT),
        };
        let (word, argument) = text.split_once(' ').unwrap_or((text, ""));
        let verb = verb(word);
        if self.wants_tls_first(verb) {
            return self.refused(verb, reply::TLS_FIRST);
        }
        match verb {
            Verb::Mail => self.mail(argument),
            Verb::Rcpt => self.rcpt(argument),
            Verb::Data if argument.is_empty() => self.data(),
            Verb::Bdat => self.bdat(argument),
            Verb::Rset if argument.is_empty() => self.rset(),
            Verb::Helo => self.hello(verb, Greeting::Helo, argument),
            Verb::Ehlo => self.hello(verb, Greeting::Ehlo, argument),
            Verb::Lhlo => self.hello(verb, Greeting::Lhlo, argument),
            Verb::StartTls if argument.is_empty() => self.start_tls(),
            Verb::Auth => self.auth(argument),
            Verb::Xclient => self.xclient(argument),
            Verb::Quit if argument.is_empty() => {
                self.end(&reply::BYE, Closing::Quit);
                None
            }
            Verb::Noop => self.done(reply::OK),
            Verb::Help => self.done(reply::HELP),
            Verb::Vrfy if argument.is_empty() => self.error(verb, reply::ARGUMENT_WANTED),
            Verb::Vrfy => self.done(reply::VRFY),
            Verb::Expn => self.error(verb, reply::NOT_IMPLEMENTED),
            Verb::Unknown if is_known_elsewhere(word) => self.error(verb, reply::NOT_IMPLEMENTED),
            Verb::Unknown => self.error(verb, reply::UNKNOWN_COMMAND),
            Verb::Data | Verb::Rset | Verb::StartTls | Verb::Quit => self.error(verb, reply::NO_ARGUMENT_WANTED),
        }
    }

    fn done(&mut self, reply: Reply) -> Told {
        self.say(&reply);
        None
    }

    /// RFC 3207 4: where TLS is required, only these are taken before it. BDAT looks itself, for its octets follow.
    fn wants_tls_first(&self, verb: Verb) -> bool {
        let held = matches!(verb, Verb::Mail | Verb::Rcpt | Verb::Data | Verb::Vrfy | Verb::Expn | Verb::Auth);
        held && self.tls_is_missing()
    }

    pub(super) fn tls_is_missing(&self) -> bool {
        self.settings.tls == TlsOffer::Require && !self.tls
    }

    fn hello(&mut self, verb: Verb, greeting: Greeting, name: &str) -> Told {
        if self.is_lmtp() != (greeting == Greeting::Lhlo) {
            let reply = if self.is_lmtp() { reply::NO_HELO_IN_LMTP } else { reply::NO_LHLO_IN_SMTP };
            return self.error(verb, reply);
        }
        let name = name.trim_start_matches(' ');
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return self.error(verb, reply::NAME_WANTED);
        }
        self.transaction = None;
        self.refused = false;
        self.ask(Question::Hello(greeting), Moment::Hello { greeting, name: name.into() })
    }

    fn rset(&mut self) -> Told {
        self.transaction = None;
        self.refused = false;
        self.say(&reply::OK);
        Some(Moment::Reset)
    }

    fn start_tls(&mut self) -> Told {
        let wrong = match self.greeting {
            _ if self.settings.tls == TlsOffer::Off => reply::NOT_IMPLEMENTED,
            _ if self.tls => reply::TLS_STARTED,
            None | Some(Greeting::Helo) => reply::EHLO_FIRST,
            Some(_) if self.transaction.is_some() => reply::IN_TRANSACTION,
            Some(_) => return self.ask(Question::StartTls, Moment::StartTls),
        };
        self.error(Verb::StartTls, wrong)
    }

    fn xclient(&mut self, argument: &str) -> Told {
        if !self.xclient_trusted {
            return self.error(Verb::Xclient, reply::XCLIENT_DENIED);
        }
        if self.transaction.is_some() {
            return self.error(Verb::Xclient, reply::IN_TRANSACTION);
        }
        match xclient::parse(argument) {
            Some(command) => self.ask(Question::Xclient, Moment::Xclient(Box::new(command))),
            None => self.error(Verb::Xclient, reply::XCLIENT_SYNTAX),
        }
    }
}

fn verb(word: &str) -> Verb {
    let mut upper = [0; 8];
    let Some(place) = upper.get_mut(..word.len()) else { return Verb::Unknown };
    place.copy_from_slice(word.as_bytes());
    place.make_ascii_uppercase();
    match &*place {
        b"MAIL" => Verb::Mail,
        b"RCPT" => Verb::Rcpt,
        b"DATA" => Verb::Data,
        b"BDAT" => Verb::Bdat,
        b"RSET" => Verb::Rset,
        b"HELO" => Verb::Helo,
        b"EHLO" => Verb::Ehlo,
        b"LHLO" => Verb::Lhlo,
        b"STARTTLS" => Verb::StartTls,
        b"AUTH" => Verb::Auth,
        b"XCLIENT" => Verb::Xclient,
        b"QUIT" => Verb::Quit,
        b"NOOP" => Verb::Noop,
        b"HELP" => Verb::Help,
        b"VRFY" => Verb::Vrfy,
        b"EXPN" => Verb::Expn,
        _ => Verb::Unknown,
    }
}

/// Commands of other RFCs that are known and not offered: 502 rather than 500 (RFC 5321 4.2.4).
fn is_known_elsewhere(word: &str) -> bool {
    ["ETRN", "ATRN", "TURN", "SEND", "SOML", "SAML", "BURL"].iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// A name in HELO, EHLO or LHLO: the length of a domain (RFC 5321 4.5.3.1.2).
const NAME_BYTES_MAX: usize = 255;
