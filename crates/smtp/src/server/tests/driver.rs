//! A driver that says yes to everything that is not named otherwise, and writes down what it is told.

use crate::server::{Answer, Limits, Moment, Protocol, Session, Settings};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use mail::{Enhanced, MessageId, Receipt, Reply};

pub(super) struct Driver {
    pub(super) session: Session,
    /// Each moment in a word or two, bodies joined.
    pub(super) told: Vec<String>,
    /// All that the peer heard.
    pub(super) heard: String,
}

pub(super) fn smtp() -> Settings {
    Settings::new(Protocol::Smtp, "mx.test")
}

pub(super) fn lmtp() -> Settings {
    Settings::new(Protocol::Lmtp, "mx.test")
}

pub(super) fn limited(change: impl FnOnce(&mut Limits)) -> Settings {
    let mut settings = smtp();
    change(&mut settings.limits);
    settings
}

impl Driver {
    pub(super) fn new(settings: Settings) -> Driver {
        Driver::with(Session::new(Arc::new(settings)))
    }

    pub(super) fn with(mut session: Session) -> Driver {
        session.greet();
        let mut driver = Driver { session, told: Vec::new(), heard: String::new() };
        driver.write();
        driver.heard.clear();
        driver
    }

    /// Feeds `input` and gives what the peer hears for it.
    pub(super) fn say(&mut self, input: &str) -> String {
        self.feed(input.as_bytes());
        core::mem::take(&mut self.heard)
    }

    /// The codes that the peer hears, `250 2.1.0` style, one for each line.
    pub(super) fn codes(&mut self, input: &str) -> Vec<String> {
        let heard = self.say(input);
        heard.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
    }

    pub(super) fn feed(&mut self, mut input: &[u8]) {
        loop {
            let (used, moment) = self.session.receive(input);
            input = &input[used..];
            if let Some(moment) = moment {
                self.act(moment);
                continue;
            }
            self.write();
            if self.session.awaits_tls() {
                self.told.push("handshake".into());
                let (used, moment) = self.session.receive(input);
                assert!(used == input.len() && moment.is_none(), "clear text behind STARTTLS is dropped");
                self.session.tls_started();
                return;
            }
            if input.is_empty() {
                return;
            }
        }
    }

    fn write(&mut self) {
        let output = self.session.output();
        self.heard.push_str(core::str::from_utf8(output).unwrap());
        let half = output.len() / 2;
        self.session.output_sent(half);
        self.session.output_sent(self.session.output().len());
    }

    fn act(&mut self, moment: Moment<'_>) {
        let word = match &moment {
            Moment::Body(bytes) => {
                assert!(!bytes.is_empty());
                let text = String::from_utf8_lossy(bytes);
                match self.told.last_mut().filter(|last| last.starts_with("body ")) {
                    Some(last) => last.push_str(&text),
                    None => self.told.push(format!("body {text}")),
                }
                return;
            }
            Moment::Hello { name, .. } => format!("hello {name}"),
            Moment::StartTls => "starttls".into(),
            Moment::Auth { mechanism, initial } => format!("auth {mechanism} {initial:?}"),
            Moment::AuthResponse(response) => format!("response {}", String::from_utf8_lossy(response)),
            Moment::AuthCancelled => "auth cancelled".into(),
            Moment::Xclient(command) => format!("xclient {command:?}"),
            Moment::Mail(mail) => format!("mail {}", mail.from),
            Moment::Rcpt(rcpt) => format!("rcpt {}", rcpt.to.as_ref().map_or("postmaster", |to| to.as_str())),
            Moment::Data(framing) => format!("data {framing:?}"),
            Moment::BodyRefused(reply) => format!("body refused {reply}"),
            Moment::EndOfMessage { bytes } => format!("end {bytes}"),
            Moment::Reset => "reset".into(),
            Moment::Error { verb, reply } => format!("error {verb:?} {}", reply.code),
            Moment::Refused { verb, reply } => format!("refused {verb:?} {}", reply.code),
            Moment::Close(why) => format!("close {why:?}"),
        };
        self.told.push(word);
        assert_eq!(self.session.awaits_answer(), moment.asks());
        if moment.asks() {
            self.session.answer(answer(&moment));
        }
    }
}

fn answer(moment: &Moment<'_>) -> Answer {
    match moment {
        Moment::Mail(mail) if mail.from.as_str().starts_with("no@") => Answer::reply(no("sender")),
        Moment::Rcpt(rcpt) if rcpt.to.as_ref().is_some_and(|to| to.local() == "no") => Answer::reply(no("recipient")),
        Moment::Auth { initial: Some(initial), .. } if initial == b"good" => Answer::authenticated(),
        Moment::Auth { initial: None, .. } => Answer::challenge(b"what".to_vec()),
        Moment::AuthResponse(response) if response == b"good" => Answer::authenticated(),
        Moment::Auth { .. } | Moment::AuthResponse(_) => Answer::reply(no("password")),
        Moment::EndOfMessage { .. } => Answer::custody(&receipt()),
        _ => Answer::accept(),
    }
}

pub(super) fn receipt() -> Receipt {
    Receipt::issue_after_sync(MessageId::new(1, [7; 10]), 0, 1)
}

/// The text that stands for custody of [`receipt`].
pub(super) fn custody() -> String {
    format!("250 2.0.0 {} accepted\r\n", MessageId::new(1, [7; 10]))
}

pub(super) fn no(what: &str) -> Reply {
    Reply::of(550, Enhanced::new(5, 7, 1), format!("no such {what}").to_string())
}
