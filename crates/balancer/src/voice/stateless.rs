//! What is forwarded without a record: requests inside a dialog, methods other than INVITE, and answers (RFC 3261 16.11).
//! Always holds: a request goes to a host of the plan or nowhere; a retransmission goes the same way with the same branch.

use std::net::SocketAddr;

use super::branch::{Branch, plain_mark};
use super::desk::{Desk, Hop, retarget};
use super::host::{Host, Hosts, ranked};
use super::note::Note;
use crate::sip::{
    Message, Method, Name, Rewrite, Start, Transport, Uri, host_ip, named, parameter, rewritten, uri, vias,
    without_top_via,
};
use std::sync::Arc;

/// Forwards a request to the host that its Route or Request-URI names, or, outside of a dialog, to the one that its Call-ID falls to.
pub fn request<H: Hosts>(now_ms: u64, request: &Message, source: Hop, desk: &mut Desk<H>) {
    let Start::Request { uri: text, method } = request.start else { return };
    let is_ack = Method::of(method) == Method::Ack;
    let drop_route = names_us(request, desk);
    let route = request.list(Name::Route).nth(usize::from(drop_route)).and_then(named).and_then(|route| uri(route.uri));
    let target = route.or_else(|| uri(text)).and_then(|uri| Some((host(&uri, desk)?, uri)));
    let (next, transport, rewritten_uri) = match target {
        Some((found, uri)) => {
            let written = parameter(uri.parameters, "transport").and_then(Transport::of);
            let transport = under_tls(source).or(written).unwrap_or(source.transport);
            let by_itself = if host_ip(uri.host).is_some() { transport.port() } else { found.address.port() };
            let port = uri.port.unwrap_or(by_itself);
            (SocketAddr::new(found.address.ip(), port), transport, text.to_vec())
        }
        // An ACK or a dialog that nobody here knows cannot be given to just anybody.
        None if is_ack => return desk.notes.push(Note::Dropped("ack")),
        None if request.tag(Name::To).is_some() => return desk.answer(request, source, 481, &[]),
        None => {
            let call = request.value(Name::CallId).unwrap_or_default();
            let Some(offer) = ranked(desk.hosts.offers(now_ms), call).into_iter().next() else {
                return desk.nobody(request, source);
            };
            let address = offer.host.address;
            (address, source.transport, retarget(request, &address.to_string(), source.transport))
        }
    };
    let Some(listener) = desk.listener(transport, source.listener) else {
        if !is_ack {
            desk.answer(request, source, 503, &[]);
        }
        return;
    };
    let branch = Branch::Plain { flow: source.flow, mark: plain_mark(request) }.written(request);
    let via = format!("SIP/2.0/{} {};branch={branch};rport", transport.name(), desk.listeners[listener].sent_by());
    let bytes = rewritten(request, &Rewrite { uri: &rewritten_uri, via: &via, source: source.address, drop_route });
    desk.send(Hop { transport, listener, flow: 0, address: next }, bytes);
}

/// Forwards an answer to where the Via below ours says (RFC 3261 16.7, 18.1.2). `flow`: the stream that its request came on.
pub fn answer<H: Hosts>(message: &Message, came: Hop, flow: u64, desk: &mut Desk<H>) {
    let next = vias(message).nth(1).and_then(|via| Some((via.transport?, via.way_back()?)));
    let Some((transport, address)) = next else { return desk.notes.push(Note::Dropped("no way back")) };
    let transport = under_tls(came).unwrap_or(transport);
    let Some(listener) = desk.listener(transport, came.listener) else {
        return desk.notes.push(Note::Dropped("no way back"));
    };
    desk.send(Hop { transport, listener, flow, address }, without_top_via(message));
}

/// What came over TLS goes on over TLS, whatever its URI or Via calls the stream under it.
fn under_tls(came: Hop) -> Option<Transport> {
    (came.transport == Transport::Tls).then_some(Transport::Tls)
}

/// Whether the first Route of a request names us: then it has done its work (RFC 3261 16.4).
pub fn names_us<H: Hosts>(request: &Message, desk: &Desk<H>) -> bool {
    let first = request.list(Name::Route).next().and_then(named).and_then(|route| uri(route.uri));
    first.is_some_and(|uri| desk.is_us(uri.host, uri.port))
}

/// The host of the plan that a URI names.
fn host<H: Hosts>(uri: &Uri, desk: &Desk<H>) -> Option<Arc<Host>> {
    if desk.is_us(uri.host, uri.port) {
        return None;
    }
    match host_ip(uri.host) {
        Some(ip) => desk.hosts.at(ip),
        None => desk.hosts.shown(uri.host),
    }
}
