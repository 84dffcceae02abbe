//! A driver's answer to a moment. Closed on purpose: nothing but a [`Receipt`] makes a message accepted.

use alloc::vec::Vec;
use mail::{MessageId, Receipt, Reply};

/// What a driver says to a moment that asks.
#[derive(Clone, Debug)]
pub struct Answer(pub(super) Kind);

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Accept,
    Reply(Reply),
    Challenge(Vec<u8>),
    Authenticated,
    Custody(MessageId),
    CustodyEach(Vec<Result<MessageId, Reply>>),
}

impl Answer {
    /// Yes, with the usual reply. At the end of a message this is no answer: it is refused with 451 4.3.0.
    pub fn accept() -> Answer {
        Answer(Kind::Accept)
    }

    /// This reply. At the end of a message a positive one is refused with 451 4.3.0.
    pub fn reply(reply: Reply) -> Answer {
        Answer(Kind::Reply(reply))
    }

    /// 334 with the next challenge of the AUTH exchange (not encoded yet; may be empty).
    pub fn challenge(challenge: Vec<u8>) -> Answer {
        Answer(Kind::Challenge(challenge))
    }

    /// 235 2.7.0: the AUTH exchange succeeded. AUTH is refused from here on.
    pub fn authenticated() -> Answer {
        Answer(Kind::Authenticated)
    }

    /// 250 2.0.0 `<id> accepted`: the message is in custody, for all recipients (in LMTP: one such reply each).
    pub fn custody(receipt: &Receipt) -> Answer {
        Answer(Kind::Custody(receipt.id()))
    }

    /// LMTP: the outcome of each accepted recipient, in the order of RCPT. A positive `Reply` counts as 451 4.3.0, as does a missing one.
    /// In SMTP only the first counts.
    pub fn custody_each(outcomes: &[Result<Receipt, Reply>]) -> Answer {
        let each = |outcome: &Result<Receipt, Reply>| outcome.as_ref().map(Receipt::id).map_err(Reply::clone);
        Answer(Kind::CustodyEach(outcomes.iter().map(each).collect()))
    }
}
