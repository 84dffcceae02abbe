//! SMTP: greeting 220, EHLO, STARTTLS where it is wanted, NOOP, QUIT. A temporary refusal is not ready, with the server's own text; our own
//! nodes say `421 4.3.2 not ready: WORD`, which counts at once.

use super::super::verdict::{Verdict, reason};
use super::{AHEAD_OF_TLS, Effect};
use mail::Reply;
use smtp::client::ReplyReader;

/// The dialog.
pub struct Smtp {
    ehlo: String,
    wants_tls: bool,
    reader: ReplyReader,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Greeting,
    Ehlo,
    StartTls,
    Noop,
    /// The goodbye; what was found is known.
    Quit(Verdict),
}

impl Smtp {
    pub fn new(hello: &str, wants_tls: bool) -> Smtp {
        let ehlo = format!("EHLO {hello}\r\n");
        Smtp { ehlo, wants_tls, reader: ReplyReader::new(), state: State::Greeting }
    }

    pub fn receive(&mut self, mut bytes: &[u8]) -> Effect {
        let reply = match self.reader.next(&mut bytes) {
            Ok(None) => return Effect::read(),
            Ok(Some(heard)) => heard.to_reply(),
            Err(malformed) => return Effect::failed(&format!("at {}: not SMTP: {malformed}", self.end().1)),
        };
        // We ask one thing at a time: what stands behind an answer is no answer.
        if !bytes.is_empty() && !matches!(self.state, State::Quit(_)) {
            let why =
                if matches!(self.state, State::StartTls) { AHEAD_OF_TLS } else { "it answers what was not asked" };
            return Effect::failed(why);
        }
        self.answered(&reply)
    }

    fn answered(&mut self, reply: &Reply) -> Effect {
        if let State::Quit(found) = &self.state {
            return Effect::over(found.clone());
        }
        if reply.code / 100 != 2 {
            return self.refused(reply);
        }
        match self.state {
            State::Greeting => self.go(State::Ehlo, self.ehlo.clone()),
            State::Ehlo if !self.wants_tls => self.go(State::Noop, "NOOP\r\n".into()),
            State::Ehlo if offers_tls(&reply.text) => self.go(State::StartTls, "STARTTLS\r\n".into()),
            State::Ehlo => self.goodbye(Verdict::failed("STARTTLS is not offered")),
            State::StartTls => Effect::start_tls(),
            State::Noop | State::Quit(_) => self.goodbye(Verdict::Ready),
        }
    }

    pub fn secured(&mut self) -> Effect {
        self.wants_tls = false;
        self.reader.clear();
        self.go(State::Ehlo, self.ehlo.clone())
    }

    /// What was found already, and where the dialog is.
    pub fn end(&self) -> (Option<Verdict>, &'static str) {
        match &self.state {
            State::Greeting => (None, "the greeting"),
            State::Ehlo => (None, "EHLO"),
            State::StartTls => (None, "STARTTLS"),
            State::Noop => (None, "NOOP"),
            State::Quit(found) => (Some(found.clone()), "QUIT"),
        }
    }

    fn go(&mut self, state: State, line: String) -> Effect {
        self.state = state;
        Effect { send: line.into_bytes(), next: super::Next::Read }
    }

    fn refused(&mut self, reply: &Reply) -> Effect {
        let verdict = match own_word(reply) {
            Some(word) if matches!(word, "draining" | "stopping") => Verdict::Draining(reason(word)),
            Some(word) => Verdict::NotReady(reason(word)),
            None => Verdict::failed(&reply.to_string()),
        };
        // Behind 421 the server closes by itself; a QUIT would meet a closed door.
        if reply.code == 421 { Effect::over(verdict) } else { self.goodbye(verdict) }
    }

    fn goodbye(&mut self, found: Verdict) -> Effect {
        self.state = State::Quit(found);
        Effect::say("QUIT\r\n")
    }
}

/// What one of our own nodes says about itself to a probe.
fn own_word(reply: &Reply) -> Option<&str> {
    let is_ours = reply.code == 421 && reply.enhanced.is_some_and(|code| (code.subject, code.detail) == (3, 2));
    is_ours.then(|| reply.text.strip_prefix(NOT_READY))?
}

/// How the text of our nodes begins: `transport::receive` says it.
const NOT_READY: &str = "not ready: ";

fn offers_tls(text: &str) -> bool {
    text.lines().skip(1).any(|line| line.trim().eq_ignore_ascii_case("STARTTLS"))
}
