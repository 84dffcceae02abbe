//! A message for the client machine.

use mail::{BodyKind, Mailbox, Recipient, Ret, ReversePath};
use smtp::client::{self, Credentials, Outgoing, Protocol, StartTls};

/// A message on its way out.
#[derive(Debug)]
pub struct Letter {
    /// Our name for it.
    pub number: usize,
    /// To whom.
    pub recipients: Vec<Recipient>,
    from: ReversePath,
    size_bytes: u64,
}

impl Letter {
    /// To so many recipients.
    pub fn new(number: usize, recipients: usize, size_bytes: u64) -> Letter {
        let mailbox = |text: &str| Mailbox::parse(text, false).expect("a sound address");
        let recipients = (0..recipients).map(|i| Recipient::new(mailbox(&format!("to{i}@d.test")))).collect();
        Letter { number, recipients, from: ReversePath::Mailbox(mailbox("from@a.test")), size_bytes }
    }
}

impl Outgoing for Letter {
    fn from(&self) -> &ReversePath {
        &self.from
    }

    fn recipients(&self) -> usize {
        self.recipients.len()
    }

    fn recipient(&self, index: usize) -> &Recipient {
        &self.recipients[index]
    }

    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn body(&self) -> BodyKind {
        if self.number.is_multiple_of(2) { BodyKind::SevenBit } else { BodyKind::EightBitMime }
    }

    fn smtputf8(&self) -> bool {
        false
    }

    fn header_needs_utf8(&self) -> bool {
        false
    }

    fn ret(&self) -> Option<Ret> {
        Some(Ret::Hdrs)
    }

    fn envid(&self) -> Option<&str> {
        Some("an envelope + id")
    }
}

/// Settings out of a byte.
pub fn settings(flags: u8) -> client::Settings {
    let on = |bit: u8| flags >> bit & 1 == 1;
    client::Settings {
        protocol: if on(0) { Protocol::Lmtp } else { Protocol::Smtp },
        hello: "out.test".into(),
        start_tls: match flags >> 1 & 3 {
            0 | 1 => StartTls::Never,
            2 => StartTls::IfOffered,
            _ => StartTls::Required,
        },
        credentials: on(3).then(|| Credentials { username: "u".into(), password: "p".into() }),
        in_flight_max: 1 + usize::from(flags >> 4 & 3),
        eager_bytes_max: if on(6) { 1000 } else { 0 },
    }
}
