//! 302: the caller is told where to go. Nothing is remembered; a retransmission gets the same answer (RFC 3261 8.2.7, 8.3).

use super::desk::{Desk, Hop, retarget};
use super::host::{Hosts, ranked};
use super::note::Note;
use crate::sip::{Message, Name};

/// Contacts in one answer at most.
const CONTACTS_MAX: usize = 10;

/// Answers an INVITE.
pub fn redirect<H: Hosts>(now_ms: u64, request: &Message, source: Hop, desk: &mut Desk<H>) {
    let call = [request.value(Name::CallId), request.tag(Name::From)].map(Option::unwrap_or_default).concat();
    let order = ranked(desk.hosts.offers(now_ms), &call);
    let Some(first) = order.first() else { return desk.nobody(request, source) };
    desk.notes.push(Note::Redirected(first.host.clone()));
    let contact = |(at, shown): (usize, &str)| {
        let uri = retarget(request, shown, source.transport);
        let q = 10 - at.min(9);
        format!("<{}>;q={}.{}", String::from_utf8_lossy(&uri), q / 10, q % 10)
    };
    let contacts: Vec<String> =
        order.iter().take(CONTACTS_MAX).map(|offer| &*offer.host.shown).enumerate().map(contact).collect();
    desk.answer(request, source, 302, &[("Contact", &contacts.join(", "))]);
}
