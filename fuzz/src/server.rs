//! Drives the server machine through a session and checks what must always hold.

use crate::reply_lines;
use crate::tape::Tape;
use mail::{Enhanced, MessageId, Receipt, Reply};
use smtp::server::{Answer, BareNewline, Framing, Moment, OUTPUT_BYTES_MAX, Protocol, Session, Settings, TlsOffer};
use std::sync::Arc;

/// What a session came to, in a form that must not depend on how the input was cut.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Story {
    /// What the driver was told.
    pub told: Vec<String>,
    /// What the peer heard.
    pub heard: Vec<u8>,
    /// Bodies that custody was taken of.
    pub accepted: Vec<Vec<u8>>,
}

/// A driver that answers from a tape.
pub struct Driver {
    session: Session,
    tape: Tape,
    lmtp: bool,
    story: Story,
    transaction: Option<Transaction>,
    custody_replies: usize,
    over: bool,
}

/// What the driver knows of an open transaction.
#[derive(Default)]
struct Transaction {
    recipients: usize,
    body: Option<Vec<u8>>,
    refused: bool,
}

/// Settings out of one byte and small bounds out of another.
pub fn settings(flags: u8, bounds: u8) -> Settings {
    let on = |bit: u8| flags >> bit & 1 == 1;
    let mut settings = Settings::new(if on(0) { Protocol::Lmtp } else { Protocol::Smtp }, "mx.test");
    settings.bare_newline = if on(1) { BareNewline::Repair } else { BareNewline::Reject };
    settings.tls = if on(2) { TlsOffer::Offer } else { TlsOffer::Off };
    settings.auth_mechanisms = vec!["PLAIN".into(), "LOGIN".into()];
    settings.auth_without_tls = on(3);
    settings.offers.chunking = !on(4);
    settings.offers.enhanced_status_codes = !on(5);
    settings.limits.errors_max = 1 + u32::from(bounds & 15);
    settings.limits.recipients_max = 1 + u32::from(bounds >> 4 & 3);
    settings.limits.message_bytes_max = if bounds >> 6 & 1 == 1 { 200 } else { 1 << 20 };
    settings.limits.header_bytes_max = if bounds >> 7 == 1 { 60 } else { 1 << 16 };
    settings
}

impl Driver {
    /// A session that trusts its peer for XCLIENT, and as a server of ours, if `xclient`.
    pub fn new(settings: Settings, xclient: bool, tape: Tape) -> Driver {
        let lmtp = settings.protocol == Protocol::Lmtp;
        let session = Session::new(Arc::new(settings));
        let mut session = if xclient { session.trust_xclient().trust_server() } else { session };
        session.greet();
        Driver { session, tape, lmtp, story: Story::default(), transaction: None, custody_replies: 0, over: false }
    }

    /// Feeds the session and gives its output.
    pub fn feed(&mut self, mut input: &[u8]) -> Vec<u8> {
        let heard_before = self.story.heard.len();
        loop {
            let (used, moment) = self.session.receive(input);
            assert!(used <= input.len());
            input = &input[used..];
            if let Some(moment) = moment {
                self.act(moment);
                continue;
            }
            let wrote = self.write();
            if self.session.awaits_tls() {
                assert!(input.is_empty(), "what comes behind STARTTLS is dropped");
                self.session.tls_started();
                self.transaction = None;
            }
            if input.is_empty() {
                return self.story.heard[heard_before..].to_vec();
            }
            assert!(used > 0 || wrote, "the session neither reads nor speaks");
        }
    }

    /// The end: checks the whole output and gives the story.
    pub fn finish(self) -> Story {
        reply_lines::check(&self.story.heard);
        let text = String::from_utf8_lossy(&self.story.heard);
        let said = text.lines().filter(|line| line.starts_with("250 ") && line.ends_with(" accepted")).count();
        assert_eq!(said, self.custody_replies, "custody is said as often as it was taken: {text}");
        assert_eq!(self.session.is_over(), self.over);
        self.story
    }

    fn write(&mut self) -> bool {
        let output = self.session.output();
        assert!(output.len() <= OUTPUT_BYTES_MAX + 4096, "output of {} bytes", output.len());
        let wrote = !output.is_empty();
        self.story.heard.extend_from_slice(output);
        let bytes = output.len();
        self.session.output_sent(bytes);
        wrote
    }

    fn act(&mut self, moment: Moment<'_>) {
        assert!(!self.over, "nothing comes behind Close");
        if let Moment::Body(bytes) = moment {
            return self.take(bytes);
        }
        self.story.told.push(format!("{moment:?}"));
        assert_eq!(self.session.awaits_answer(), moment.asks());
        match moment {
            Moment::Mail(_) => {
                assert!(self.transaction.is_none(), "no transaction within another");
                if self.answer_plainly() {
                    self.transaction = Some(Transaction::default());
                }
            }
            Moment::Rcpt(_) => {
                assert!(self.open().body.is_none(), "no RCPT behind the start of a body");
                if self.answer_plainly() {
                    self.open().recipients += 1;
                }
            }
            Moment::Data(framing) => self.data(framing),
            Moment::EndOfMessage { bytes } => self.end_of_message(bytes),
            Moment::BodyRefused(_) => self.open().refused = true,
            Moment::Auth { .. } | Moment::AuthResponse(_) => self.auth(),
            Moment::StartTls => self.session.answer(Answer::accept()),
            Moment::Hello { .. } | Moment::Xclient(_) => {
                self.transaction = None;
                self.answer_plainly();
            }
            Moment::Reset => self.transaction = None,
            Moment::Close(_) => self.over = true,
            Moment::AuthCancelled | Moment::Error { .. } | Moment::Refused { .. } | Moment::Body(_) => {}
        }
        assert!(!self.session.awaits_answer());
        if self.transaction.as_ref().is_some_and(|transaction| transaction.refused) {
            self.transaction = None;
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        assert!(!bytes.is_empty());
        self.open().body.as_mut().expect("a body only behind an accepted Data").extend_from_slice(bytes);
    }

    fn open(&mut self) -> &mut Transaction {
        self.transaction.as_mut().expect("an open transaction")
    }

    fn data(&mut self, framing: Framing) {
        let transaction = self.open();
        assert!(transaction.recipients > 0 && transaction.body.is_none());
        if !self.answer_plainly() {
            if framing == Framing::Chunks {
                self.transaction = None;
            }
            return;
        }
        self.open().body = Some(Vec::new());
        if self.tape.one_in(16) {
            self.session.refuse_body(no());
            self.transaction = None;
        }
    }

    fn end_of_message(&mut self, bytes: u64) {
        let transaction = self.transaction.take().expect("an open transaction");
        let body = transaction.body.expect("a body");
        assert_eq!(body.len() as u64, bytes);
        let receipt = Receipt::issue_after_sync(MessageId::new(bytes, [7; 10]), 0, 1);
        let copies = if self.lmtp { transaction.recipients } else { 1 };
        let (answer, taken) = match self.tape.below(8) {
            0 => (Answer::accept(), 0),
            1 => (Answer::reply(Reply::new(250, Enhanced::new(2, 0, 0), "I say so")), 0),
            2 => (Answer::reply(no()), 0),
            3 => (Answer::authenticated(), 0),
            4 => (Answer::custody_each(&[Ok(receipt), Err(no())]), 1),
            _ => (Answer::custody(&receipt), copies),
        };
        self.custody_replies += taken;
        let before = self.session.output().len();
        self.session.answer(answer);
        let said = &self.session.output()[before..];
        assert_eq!(reply_lines::check(said), copies, "one reply for each recipient that may hear one");
        let yes = said.split_inclusive(|byte| *byte == b'\n').filter(|line| line[0] == b'2').count();
        assert_eq!(yes, taken, "a yes without a receipt");
        if taken > 0 {
            self.story.accepted.push(body);
        }
    }

    fn auth(&mut self) {
        let answer = match self.tape.below(4) {
            0 => Answer::challenge(vec![b'x'; self.tape.below(5) as usize]),
            1 => Answer::authenticated(),
            2 => Answer::accept(),
            _ => Answer::reply(Reply::new(535, Enhanced::new(5, 7, 8), "no")),
        };
        self.session.answer(answer);
    }

    fn answer_plainly(&mut self) -> bool {
        let yes = !self.tape.one_in(8);
        self.session.answer(if yes { Answer::accept() } else { Answer::reply(no()) });
        yes
    }
}

fn no() -> Reply {
    Reply::new(550, Enhanced::new(5, 7, 1), "no")
}
