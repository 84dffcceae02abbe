//! Messages of others on their way through a proxy (RFC 3261 16.6, 16.7), and the ACK and CANCEL that a proxy makes itself.
//! Always holds: what a proxy need not change is the bytes that came.

use std::net::SocketAddr;

use super::list::end_of_part;
use super::message::{Message, Name, Start};
use super::received;

/// What a proxy changes in a request.
#[derive(Debug)]
pub struct Rewrite<'a> {
    /// The next Request-URI.
    pub uri: &'a [u8],
    /// The value of our own Via.
    pub via: &'a str,
    /// Where the request came from.
    pub source: SocketAddr,
    /// Whether the first Route named us.
    pub drop_route: bool,
}

/// The request as it goes on; Max-Forwards is one less. A message that is no request, or has no Via, stays empty.
pub fn rewritten(message: &Message, with: &Rewrite) -> Vec<u8> {
    let Start::Request { method, .. } = message.start else { return Vec::new() };
    let size = message.headers.iter().map(|header| header.line.len() + 2).sum::<usize>() + message.body.len();
    let mut out = Vec::with_capacity(size + 256);
    line(&mut out, &[method, b" ", with.uri, b" SIP/2.0"]);
    line(&mut out, &[b"Via: ", with.via.as_bytes()]);
    line(&mut out, &[b"Max-Forwards: ", message.max_forwards().saturating_sub(1).to_string().as_bytes()]);
    let (mut via_seen, mut route_seen) = (false, !with.drop_route);
    for header in &message.headers {
        match header.name {
            Name::MaxForwards | Name::ContentLength => {}
            Name::Via if !via_seen => {
                via_seen = true;
                let (first, rest) = first_of(header.value);
                out.extend_from_slice(b"Via: ");
                received(&mut out, first, with.source);
                line(&mut out, &[rest]);
            }
            Name::Route if !route_seen => {
                route_seen = true;
                if let Some(rest) = behind_first(header.value) {
                    line(&mut out, &[b"Route: ", rest]);
                }
            }
            _ => line(&mut out, &[header.line]),
        }
    }
    line(&mut out, &[b"Content-Length: ", message.body.len().to_string().as_bytes()]);
    line(&mut out, &[]);
    out.extend_from_slice(message.body);
    out
}

/// A response without its first Via, which is ours.
pub fn without_top_via(message: &Message) -> Vec<u8> {
    let Start::Response { code, reason } = message.start else { return Vec::new() };
    let mut out = Vec::with_capacity(message.body.len() + 1024);
    line(&mut out, &[b"SIP/2.0 ", code.to_string().as_bytes(), b" ", reason]);
    let mut seen = false;
    for header in &message.headers {
        match header.name {
            Name::ContentLength => {}
            Name::Via if !seen => {
                seen = true;
                if let Some(rest) = behind_first(header.value) {
                    line(&mut out, &[b"Via: ", rest]);
                }
            }
            _ => line(&mut out, &[header.line]),
        }
    }
    line(&mut out, &[b"Content-Length: ", message.body.len().to_string().as_bytes()]);
    line(&mut out, &[]);
    out.extend_from_slice(message.body);
    out
}

/// The ACK for a final answer of 300 and above to `invite`, which we sent (RFC 3261 17.1.1.3).
pub fn ack(invite: &Message, answer: &Message) -> Vec<u8> {
    hop_request(invite, b"ACK", answer.value(Name::To).unwrap_or_default())
}

/// The CANCEL of `invite`, which we sent (RFC 3261 9.1).
pub fn cancel(invite: &Message) -> Vec<u8> {
    hop_request(invite, b"CANCEL", invite.value(Name::To).unwrap_or_default())
}

fn hop_request(invite: &Message, method: &[u8], to: &[u8]) -> Vec<u8> {
    let Start::Request { uri, .. } = invite.start else { return Vec::new() };
    let mut out = Vec::with_capacity(512);
    line(&mut out, &[method, b" ", uri, b" SIP/2.0"]);
    line(&mut out, &[b"Via: ", invite.list(Name::Via).next().unwrap_or_default()]);
    line(&mut out, &[b"Max-Forwards: 70"]);
    for header in invite.headers.iter().filter(|h| matches!(h.name, Name::Route | Name::From | Name::CallId)) {
        line(&mut out, &[header.line]);
    }
    line(&mut out, &[b"To: ", to]);
    let number = invite.cseq().map_or(0, |(number, _)| number);
    line(&mut out, &[b"CSeq: ", number.to_string().as_bytes(), b" ", method]);
    line(&mut out, &[b"Content-Length: 0"]);
    line(&mut out, &[]);
    out
}

/// The first element of a list, and the rest with its comma.
fn first_of(value: &[u8]) -> (&[u8], &[u8]) {
    value.split_at(end_of_part(value, b',').unwrap_or(value.len()))
}

/// What follows the first element, if there is more.
fn behind_first(value: &[u8]) -> Option<&[u8]> {
    let rest = first_of(value).1.get(1..)?.trim_ascii();
    (!rest.is_empty()).then_some(rest)
}

fn line(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(b"\r\n");
}
