//! The probe of SIP: OPTIONS to a member, and what its answer means (behaviours 8.2). Knows no sockets and no intervals.

use std::net::SocketAddr;

use super::message::{Message, Name, Start};
use super::via::{Transport, top_via};

/// One probe: what is asked of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The member's host as it is configured, with its port.
    pub host: String,
    /// Over what.
    pub transport: Transport,
    /// The address and port that we send from, where the answer is awaited.
    pub local: SocketAddr,
    /// A number of this probe alone, from chance.
    pub id: u64,
}

/// What an answer says about the member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// Takes calls.
    Up,
    /// Is there and takes no new calls (it drains, or is switched off): the reason.
    Draining(String),
    /// Provisional, or no answer to this probe: wait on.
    Other,
}

/// The bytes of the question. The same again is its retransmission (over UDP after 0.5, 1.5, 3.5 s, RFC 3261 17.1.2.1).
pub fn request(ask: &Ask) -> Vec<u8> {
    let Ask { host, transport, local, id } = ask;
    let parameter = match transport {
        Transport::Udp => "",
        Transport::Tcp => ";transport=tcp",
        Transport::Tls => ";transport=tls",
    };
    format!(
        "OPTIONS sip:{host}{parameter} SIP/2.0\r\n\
         Via: SIP/2.0/{} {local};branch=z9hG4bKph.p{id:016x};rport\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:probe@{local}>;tag={id:016x}\r\n\
         To: <sip:{host}>\r\n\
         Call-ID: {id:016x}@{local}\r\n\
         CSeq: 1 OPTIONS\r\n\
         Contact: <sip:probe@{local}{parameter}>\r\n\
         Accept: application/sdp\r\n\
         User-Agent: Posthouse\r\n\
         Content-Length: 0\r\n\r\n",
        transport.name(),
    )
    .into_bytes()
}

/// What `bytes`, one whole message, say about the member that was asked.
pub fn judge(ask: &Ask, bytes: &[u8]) -> Judged {
    let Ok(message) = Message::parse(bytes) else { return Judged::Other };
    let Start::Response { code, reason } = message.start else { return Judged::Other };
    let branch = format!("z9hG4bKph.p{:016x}", ask.id);
    let ours = top_via(&message).is_some_and(|via| via.branch() == branch.as_bytes())
        && message.cseq().is_some_and(|(_, method)| method == b"OPTIONS")
        && message.value(Name::CallId).is_some_and(|id| id.starts_with(format!("{:016x}@", ask.id).as_bytes()));
    match code {
        _ if !ours => Judged::Other,
        100..200 => Judged::Other,
        200..300 => Judged::Up,
        _ => Judged::Draining(said(code, reason)),
    }
}

/// A status line for people; a member's words are cut and cleaned.
fn said(code: u16, reason: &[u8]) -> String {
    let words: String = String::from_utf8_lossy(reason).chars().filter(|c| !c.is_control()).take(80).collect();
    format!("OPTIONS answered {code} {words}").trim_end().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Answer;

    #[test]
    fn a_member_is_up_draining_or_not_heard() {
        let ask = Ask {
            host: "um1.example:5060".into(),
            transport: Transport::Tcp,
            local: "192.0.2.9:7000".parse().unwrap(),
            id: 7,
        };
        let question = request(&ask);
        let asked = Message::parse(&question).unwrap();
        assert_eq!(asked.lacks(), None);
        let answer = |code| Answer::new(&asked, "192.0.2.9:7000".parse().unwrap(), code).finish();
        assert_eq!(judge(&ask, &answer(200)), Judged::Up);
        assert_eq!(judge(&ask, &answer(503)), Judged::Draining("OPTIONS answered 503 Service Unavailable".into()));
        assert_eq!(judge(&ask, &answer(404)), Judged::Draining("OPTIONS answered 404 Not Found".into()));
        assert_eq!(judge(&ask, &answer(100)), Judged::Other);
        assert_eq!(judge(&Ask { id: 8, ..ask.clone() }, &answer(200)), Judged::Other, "a late answer to another probe");
        assert_eq!(judge(&ask, b"HTTP/1.1 200 OK\r\n\r\n"), Judged::Other);
    }
}
