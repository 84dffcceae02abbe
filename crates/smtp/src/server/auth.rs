//! The framing of AUTH (RFC 4954): lines, base 64 and cancelling. What the bytes mean is the driver's.

use super::answer::Kind;
use super::command::Told;
use super::line::{AUTH_LINE_BYTES_MAX, Line};
use super::session::{Question, Session, State};
use super::{Greeting, Moment, TlsOffer, Verb, reply};
use crate::grammar::base64;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;
use mail::Reply;

impl Session {
    pub(super) fn auth(&mut self, argument: &str) -> Told {
        if let Some(wrong) = self.auth_out_of_place() {
            return self.error(Verb::Auth, wrong);
        }
        let (mechanism, rest) = match argument.split_once(' ') {
            Some((mechanism, rest)) => (mechanism, Some(rest.trim_start_matches(' '))),
            None => (argument, None),
        };
        if mechanism.is_empty() || rest.is_some_and(|rest| rest.contains(' ')) {
            return self.error(Verb::Auth, reply::AUTH_SYNTAX);
        }
        let Some(mechanism) = self.settings.auth_mechanisms.iter().find(|known| known.eq_ignore_ascii_case(mechanism))
        else {
            return self.error(Verb::Auth, reply::UNKNOWN_MECHANISM);
        };
        let mechanism = String::clone(mechanism);
        let initial = match rest {
            None => None,
            Some("=") => Some(Vec::new()),
            Some(coded) => match base64::decode(coded.as_bytes()) {
                Some(initial) => Some(initial),
                None => return self.error(Verb::Auth, reply::BAD_BASE64),
            },
        };
        self.ask(Question::Auth, Moment::Auth { mechanism, initial })
    }

    /// Reads the next line of the exchange.
    pub(super) fn step_auth<'i>(&mut self, input: &[u8]) -> (usize, Option<Moment<'i>>) {
        let mut lines = mem::take(&mut self.lines);
        let (used, line) = lines.next(input, AUTH_LINE_BYTES_MAX);
        let told = match line {
            Line::Whole(b"*") => {
                self.say(&reply::AUTH_CANCELLED);
                self.state = State::Command;
                Some(Moment::AuthCancelled)
            }
            Line::Whole(line) => match base64::decode(line) {
                Some(response) => self.ask(Question::Auth, Moment::AuthResponse(response)),
                None => self.break_off_auth(&reply::BAD_BASE64),
            },
            Line::Bare => self.break_off_auth(&reply::BARE_IN_COMMAND),
            Line::TooLong => self.break_off_auth(&reply::AUTH_LINE_TOO_LONG),
            Line::Flood => self.flood(),
            Line::More => None,
        };
        self.put_back(lines);
        (used, told)
    }

    pub(super) fn answer_auth(&mut self, kind: Kind) {
        match kind {
            Kind::Challenge(challenge) => {
                self.output.extend_from_slice(b"334 ");
                base64::encode(&challenge, &mut self.output);
                self.output.extend_from_slice(b"\r\n");
                self.state = State::AuthLine;
            }
            Kind::Authenticated => {
                self.authenticated = true;
                self.say(&reply::AUTHENTICATED);
            }
            Kind::Reply(reply) if !reply.is_positive() => self.say(&reply),
            // A yes to AUTH is said by `authenticated` alone, as a yes to a message is by `custody`.
            _ => self.say(&Reply::new(454, mail::Enhanced::new(4, 7, 0), "temporary authentication failure")),
        }
    }

    fn auth_out_of_place(&self) -> Option<Reply> {
        match self.greeting {
            _ if self.settings.auth_mechanisms.is_empty() => Some(reply::NOT_IMPLEMENTED),
            None | Some(Greeting::Helo) => Some(reply::EHLO_FIRST),
            _ if self.authenticated => Some(reply::AUTHENTICATED_BEFORE),
            _ if self.transaction.is_some() => Some(reply::IN_TRANSACTION),
            _ if self.tls || self.settings.auth_without_tls => None,
            _ if self.settings.tls == TlsOffer::Off => Some(reply::NOT_IMPLEMENTED),
            _ => Some(reply::TLS_FOR_AUTH),
        }
    }

    /// The peer broke the exchange's grammar.
    fn break_off_auth(&mut self, reply: &Reply) -> Told {
        self.state = State::Command;
        if !self.is_last_error() {
            self.say(reply);
        }
        Some(Moment::AuthCancelled)
    }
}
