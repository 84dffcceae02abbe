//! The branches in our own Via: what they say when an answer brings them back. Knows no calls.
//! Always holds: an answer finds its way without anything remembered, after a restart and at another balancer too.

use crate::sip::{Message, Name, Start, mark, tag_of};

const OURS: &str = "z9hG4bKph.";

/// Which way a request went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Branch {
    /// A try of a call that has a record.
    Call {
        /// The record.
        id: u64,
        /// The number of the try.
        number: usize,
    },
    /// Forwarded without a record.
    Plain {
        /// The stream that the request came on; 0: none.
        flow: u64,
        /// What makes it different from others (RFC 3261 16.11).
        mark: u64,
    },
}

impl Branch {
    /// As it stands in a Via. `request` is the one that came.
    pub fn written(self, request: &Message) -> String {
        let lap = lap(request);
        match self {
            Branch::Call { id, number } => format!("{OURS}{lap:016x}.c{id:016x}.{number:x}"),
            Branch::Plain { flow, mark } => format!("{OURS}{lap:016x}.s{flow:x}.{mark:016x}"),
        }
    }

    /// Reads one of ours.
    pub fn parse(branch: &[u8]) -> Option<Branch> {
        let text = std::str::from_utf8(branch).ok()?.strip_prefix(OURS)?;
        let mut parts = text.split('.');
        let (_lap, first, second) = (parts.next()?, parts.next()?, parts.next()?);
        let hex = |text: &str| u64::from_str_radix(text, 16).ok();
        match (first.get(..1)?, hex(first.get(1..)?)?, hex(second)?) {
            ("c", id, number) => Some(Branch::Call { id, number: usize::try_from(number).ok()? }),
            ("s", flow, mark) => Some(Branch::Plain { flow, mark }),
            _ => None,
        }
    }
}

/// The mark of a request that is forwarded without a record: a retransmission, and the CANCEL of an INVITE, get the same one.
pub fn plain_mark(request: &Message) -> u64 {
    let via = request.list(Name::Via).next().unwrap_or_default();
    let part = |name| request.value(name).unwrap_or_default();
    let number = request.cseq().map_or(0, |(number, _)| number);
    mark(&[via, part(Name::CallId), request.tag(Name::From).unwrap_or_default(), &number.to_be_bytes()])
}

/// Whether the request was here before and nothing of it has changed since (RFC 3261 16.3 step 4).
pub fn is_loop(request: &Message) -> bool {
    let here = format!("{OURS}{:016x}.", lap(request));
    crate::sip::vias(request).any(|via| via.branch().starts_with(here.as_bytes()))
}

/// What decides where a request goes.
fn lap(request: &Message) -> u64 {
    let Start::Request { uri, .. } = request.start else { return 0 };
    let part = |name| request.value(name).unwrap_or_default();
    let number = request.cseq().map_or(0, |(number, _)| number);
    let to = request.tag(Name::To).unwrap_or_default();
    mark(&[uri, part(Name::Route), part(Name::CallId), part(Name::From), to, &number.to_be_bytes()])
}

/// What makes a request the same one as another that came (RFC 3261 17.2.3): an ACK to a refusal and a CANCEL have the key of their INVITE.
pub fn key(request: &Message) -> Option<Box<[u8]>> {
    let via = crate::sip::top_via(request)?;
    let branch = via.branch();
    let mut key = Vec::with_capacity(96);
    let number = request.cseq()?.0;
    if branch.starts_with(b"z9hG4bK") && branch.len() > 7 {
        key.extend_from_slice(branch);
        key.push(b' ');
        key.extend_from_slice(via.host);
        key.extend_from_slice(format!(" {}", via.port.unwrap_or(crate::sip::PORT)).as_bytes());
    } else {
        // Senders of before RFC 3261: the Via as a whole, and the call. Their To gets its tag only with the answer.
        key.extend_from_slice(tag_of(request).as_bytes());
    }
    key.extend_from_slice(format!(" {number}").as_bytes());
    Some(key.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_come_back_as_they_went() {
        let text =
            b"INVITE sip:a@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nCall-ID: i\r\nCSeq: 1 INVITE\r\n\r\n";
        let request = Message::parse(text).unwrap();
        for branch in [Branch::Call { id: u64::MAX, number: 11 }, Branch::Plain { flow: 3, mark: 7 }] {
            assert_eq!(Branch::parse(branch.written(&request).as_bytes()), Some(branch));
        }
        for bad in [
            "",
            "z9hG4bKph.",
            "z9hG4bKph.1.c1",
            "z9hG4bKph.1.x1.1",
            "z9hG4bKph.1.\u{e9}1.1",
            "z9hG4bKph.1.c1.-1",
            "z9hG4bKx.1.c1.1",
        ] {
            assert_eq!(Branch::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
