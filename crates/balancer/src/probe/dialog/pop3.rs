//! POP3 (RFC 1939, 2449, 2595): greeting +OK, CAPA, STLS where it is wanted, QUIT. NOOP is for those who have logged on.

use super::super::verdict::Verdict;
use super::lines::Lines;
use super::{AHEAD_OF_TLS, Effect};

/// The dialog.
pub struct Pop3 {
    wants_tls: bool,
    lines: Lines,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Greeting,
    Capa,
    /// The lines behind the +OK of CAPA, until a dot.
    Listing,
    Stls,
    /// The goodbye; what was found is known.
    Quit(Verdict),
}

impl Pop3 {
    pub fn new(wants_tls: bool) -> Pop3 {
        Pop3 { wants_tls, lines: Lines::default(), state: State::Greeting }
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
                Err(_) => return Effect::failed("not POP3: a line without end"),
            }
        }
    }

    /// `None`: the answer goes on.
    fn line(&mut self, line: &str) -> Option<Effect> {
        let word = line.split(' ').next().unwrap_or_default();
        let good = word.eq_ignore_ascii_case("+OK");
        Some(match &self.state {
            State::Listing if line != "." => return None,
            State::Listing => self.listed(),
            State::Quit(found) => Effect::over(found.clone()),
            State::Greeting if good => self.go(State::Capa, "CAPA\r\n"),
            // A server in trouble says so in place of its greeting, and closes.
            State::Greeting => Effect::failed(line),
            State::Capa if good => {
                self.state = State::Listing;
                return None;
            }
            // Old servers have no CAPA: they answer, and that is enough.
            State::Capa if word.eq_ignore_ascii_case("-ERR") => self.listed(),
            State::Stls if good => Effect::start_tls(),
            State::Capa | State::Stls => self.goodbye(Verdict::failed(line)),
        })
    }

    fn listed(&mut self) -> Effect {
        if self.wants_tls { self.go(State::Stls, "STLS\r\n") } else { self.goodbye(Verdict::Ready) }
    }

    pub fn secured(&mut self) -> Effect {
        self.wants_tls = false;
        self.go(State::Capa, "CAPA\r\n")
    }

    /// What was found already, and where the dialog is.
    pub fn end(&self) -> (Option<Verdict>, &'static str) {
        match &self.state {
            State::Greeting => (None, "the greeting"),
            State::Capa | State::Listing => (None, "CAPA"),
            State::Stls => (None, "STLS"),
            State::Quit(found) => (Some(found.clone()), "QUIT"),
        }
    }

    fn go(&mut self, state: State, line: &str) -> Effect {
        self.state = state;
        Effect::say(line)
    }

    fn goodbye(&mut self, found: Verdict) -> Effect {
        self.go(State::Quit(found), "QUIT\r\n")
    }
}
