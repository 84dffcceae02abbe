//! IMAP (RFC 9051): greeting OK or PREAUTH, CAPABILITY, STARTTLS where it is wanted, NOOP, LOGOUT.

use super::super::verdict::Verdict;
use super::lines::Lines;
use super::{AHEAD_OF_TLS, Effect};

/// The dialog.
pub struct Imap {
    wants_tls: bool,
    offers_tls: bool,
    lines: Lines,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Greeting,
    Capability,
    StartTls,
    Noop,
    /// The goodbye; what was found is known.
    Logout(Verdict),
}

impl Imap {
    pub fn new(wants_tls: bool) -> Imap {
        Imap { wants_tls, offers_tls: false, lines: Lines::default(), state: State::Greeting }
    }

    pub fn receive(&mut self, mut bytes: &[u8]) -> Effect {
        loop {
            match self.lines.next(&mut bytes) {
                Ok(None) => return Effect::read(),
                Ok(Some(line)) => {
                    let Some(effect) = self.line(&line) else { continue };
                    let is_ahead = matches!(effect.next, super::Next::StartTls) && !bytes.is_empty();
                    return if is_ahead { Effect::failed(AHEAD_OF_TLS) } else { effect };
                }
                Err(_) => return Effect::failed("not IMAP: a line without end"),
            }
        }
    }

    /// `None`: an untagged line that changes nothing.
    fn line(&mut self, line: &str) -> Option<Effect> {
        let (tag, rest) = line.split_once(' ').unwrap_or((line, ""));
        let status = rest.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        if let State::Greeting = self.state {
            return Some(match (tag, status.as_str()) {
                ("*", "OK" | "PREAUTH") => self.go(State::Capability, "p1 CAPABILITY\r\n"),
                _ => Effect::failed(line),
            });
        }
        match (tag, status.as_str(), &self.state) {
            ("*", "CAPABILITY", _) => {
                self.offers_tls |= rest.split(' ').any(|word| word.eq_ignore_ascii_case("STARTTLS"));
                None
            }
            // The goodbye of LOGOUT; anywhere else the server ends the session by itself.
            ("*", "BYE", State::Logout(_)) => None,
            ("*", "BYE", _) => Some(Effect::failed(line)),
            ("*", ..) => None,
            ("p1" | "p2" | "p3" | "p4", "OK", _) => Some(self.done()),
            (_, _, State::Logout(found)) => Some(Effect::over(found.clone())),
            _ => Some(self.goodbye(Verdict::failed(line))),
        }
    }

    /// What was asked is answered.
    fn done(&mut self) -> Effect {
        match &self.state {
            State::Capability if self.wants_tls && !self.offers_tls => {
                self.goodbye(Verdict::failed("STARTTLS is not offered"))
            }
            State::Capability if self.wants_tls => self.go(State::StartTls, "p2 STARTTLS\r\n"),
            State::Greeting | State::Capability => self.go(State::Noop, "p3 NOOP\r\n"),
            State::StartTls => Effect::start_tls(),
            State::Noop => self.goodbye(Verdict::Ready),
            State::Logout(found) => Effect::over(found.clone()),
        }
    }

    pub fn secured(&mut self) -> Effect {
        self.go(State::Noop, "p3 NOOP\r\n")
    }

    /// What was found already, and where the dialog is.
    pub fn end(&self) -> (Option<Verdict>, &'static str) {
        match &self.state {
            State::Greeting => (None, "the greeting"),
            State::Capability => (None, "CAPABILITY"),
            State::StartTls => (None, "STARTTLS"),
            State::Noop => (None, "NOOP"),
            State::Logout(found) => (Some(found.clone()), "LOGOUT"),
        }
    }

    fn go(&mut self, state: State, line: &str) -> Effect {
        self.state = state;
        Effect::say(line)
    }

    fn goodbye(&mut self, found: Verdict) -> Effect {
        self.go(State::Logout(found), "p4 LOGOUT\r\n")
    }
}
