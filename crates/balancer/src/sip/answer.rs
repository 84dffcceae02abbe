//! Answers of our own to a request. Always holds: a retransmitted request gets the same bytes again without anything remembered (RFC 3261 8.2.7).

use std::net::SocketAddr;

use super::message::{Message, Name};
use super::{mark, received};

/// An answer while it is put together.
#[derive(Debug)]
pub struct Answer {
    bytes: Vec<u8>,
}

impl Answer {
    /// Begins the answer `code` to a request that came from `source`, with our tag in To unless it is a 100.
    pub fn new(request: &Message, source: SocketAddr, code: u16) -> Answer {
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(format!("SIP/2.0 {code} {}\r\n", reason(code)).as_bytes());
        let mut top = true;
        for value in request.list(Name::Via) {
            bytes.extend_from_slice(b"Via: ");
            match top {
                true => received(&mut bytes, value, source),
                false => bytes.extend_from_slice(value),
            }
            bytes.extend_from_slice(b"\r\n");
            top = false;
        }
        for (name, label) in [(Name::From, "From"), (Name::To, "To"), (Name::CallId, "Call-ID"), (Name::CSeq, "CSeq")] {
            let Some(value) = request.value(name) else { continue };
            bytes.extend_from_slice(label.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            if name == Name::To && code > 100 && request.tag(Name::To).is_none() {
                bytes.extend_from_slice(format!(";tag={}", tag_of(request)).as_bytes());
            }
            bytes.extend_from_slice(b"\r\n");
        }
        Answer { bytes }
    }

    /// Adds a header line.
    pub fn header(mut self, name: &str, value: &str) -> Answer {
        self.bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        self
    }

    /// The whole answer; it has no body.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(b"Content-Length: 0\r\n\r\n");
        self.bytes
    }
}

/// The tag that our answers to this request carry.
pub fn tag_of(request: &Message) -> String {
    let part = |name| request.value(name).unwrap_or_default();
    let via = request.list(Name::Via).next().unwrap_or_default();
    let number = request.cseq().map_or(0, |(number, _)| number);
    format!("{:016x}", mark(&[b"tag", via, part(Name::CallId), part(Name::From), &number.to_be_bytes()]))
}

/// The words of a status code.
pub fn reason(code: u16) -> &'static str {
    match code {
        100 => "Trying",
        200 => "OK",
        302 => "Moved Temporarily",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        486 => "Busy Here",
        487 => "Request Terminated",
        500 => "Server Internal Error",
        503 => "Service Unavailable",
        513 => "Message Too Large",
        _ => "Answer",
    }
}
