//! The envelope: who sent a message, to whom, and what RFC 3461 and RFC 6152 parameters travel with it.

use crate::address::{Mailbox, ReversePath};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// What an accepted message carries apart from its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// MAIL FROM.
    pub from: ReversePath,
    /// RET= of RFC 3461: how much of the message a DSN returns.
    pub ret: Option<Ret>,
    /// ENVID= of RFC 3461, decoded from xtext.
    pub envid: Option<Box<str>>,
    /// BODY= of RFC 6152 and 3030.
    pub body: BodyKind,
    /// SMTPUTF8 was given (RFC 6531).
    pub smtputf8: bool,
    /// RCPT TO, in the order they came; never empty once accepted.
    pub recipients: Vec<Recipient>,
}

/// One RCPT TO with its RFC 3461 parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The forward path.
    pub address: Mailbox,
    /// NOTIFY=.
    pub notify: Notify,
    /// ORCPT= as `type;address`, decoded from xtext.
    pub orcpt: Option<Box<str>>,
}

impl Recipient {
    /// A recipient without DSN parameters.
    pub fn new(address: Mailbox) -> Recipient {
        Recipient { address, notify: Notify::Default, orcpt: None }
    }
}

/// RET= of RFC 3461 4.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    /// The whole message.
    Full,
    /// Its headers only.
    Hdrs,
}

/// NOTIFY= of RFC 3461 4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// Not given: failures and delays are told, success is not.
    Default,
    /// NEVER.
    Never,
    /// Any of SUCCESS, FAILURE, DELAY.
    On {
        /// Tell when delivered.
        success: bool,
        /// Tell when given up.
        failure: bool,
        /// Tell when late.
        delay: bool,
    },
}

impl Notify {
    /// A DSN is wanted when delivery succeeded.
    pub fn success(self) -> bool {
        matches!(self, Notify::On { success: true, .. })
    }

    /// A DSN is wanted when delivery failed for good.
    pub fn failure(self) -> bool {
        matches!(self, Notify::Default | Notify::On { failure: true, .. })
    }

    /// A DSN is wanted when delivery is late.
    pub fn delay(self) -> bool {
        matches!(self, Notify::Default | Notify::On { delay: true, .. })
    }
}

/// BODY= of MAIL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// Not given, or 7BIT.
    SevenBit,
    /// 8BITMIME (RFC 6152).
    EightBitMime,
    /// BINARYMIME (RFC 3030): only when the server was told to offer it.
    BinaryMime,
}
