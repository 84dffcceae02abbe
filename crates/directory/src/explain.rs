//! What a connection, a sender and an address meet, in words: the same questions that a session asks, asked of the same [`Org`].

mod question;
mod route;
mod sender;

pub use question::Question;

use crate::org::{Org, RecipientAnswer};
use crate::permission::{Grants, Group, Principal};
use crate::receive::{BareNewline, Protocol, ReceiveConnector, ReceiveTls};
use crate::unit::{bytes_text, duration_text};
use mail::Mailbox;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

impl Org {
    /// What a connection meets, and what becomes of a sender and a recipient on it. Several lines.
    pub fn explain(&self, question: &Question) -> String {
        let mut out = String::new();
        let (from, rcpt) = (question.from, question.rcpt.as_ref());
        let to = self.met_at(question);
        if self.expects_proxy_header(to, from) {
            let _ = writeln!(
                out,
                "{from} is a trusted proxy on {to}: it must send a PROXY header first. What follows is for a client of it with the same address."
            );
        }
        let chosen = self.choose_connector(to, from);
        match chosen {
            Some(connector) => self.explain_connector(&mut out, connector, from, to),
            None if self.listens(to) => {
                let _ = writeln!(
                    out,
                    "A connection from {from} to {to} is refused with 421 4.3.2: no receive connector there has {from} in its remote ranges."
                );
            }
            None => {
                let _ = writeln!(out, "Nothing listens on {to}.");
            }
        }
        if let Some(connector) = chosen {
            self.explain_sender(&mut out, connector, question);
        }
        if let Some(rcpt) = rcpt {
            if let Some(connector) = chosen {
                self.explain_recipient(&mut out, connector, rcpt);
            }
            self.explain_route(&mut out, rcpt, question.size_bytes.unwrap_or_default());
        }
        out
    }

    fn listens(&self, to: SocketAddr) -> bool {
        self.receive_connectors.iter().flat_map(|c| &c.listen).any(|socket| crate::org::socket_covers(*socket, to))
    }

    fn explain_connector(&self, out: &mut String, connector: &ReceiveConnector, from: IpAddr, to: SocketAddr) {
        let range = connector.remote.0.iter().filter(|r| r.contains(from)).min_by_key(|r| r.span());
        let by = range.map_or(String::new(), |range| format!(", by its range {range}"));
        let _ = writeln!(out, "A connection from {from} to {to} meets receive connector \"{}\"{by}.", connector.name);
        let _ = writeln!(out, "  Greeting: 220 {}", connector.banner);
        let _ = writeln!(out, "  {}, {}, {}.", protocol(connector.protocol), tls(connector.tls), auth(connector));
        let (who, grants) = before_logon(connector);
        let _ = writeln!(out, "  {who}: {}.", may(grants));
        if !connector.auth.is_empty() {
            let _ = writeln!(out, "  A user who has logged on: {}.", may(user_grants(connector)));
        }
        if connector.bare_newline == BareNewline::Repair {
            let _ = writeln!(out, "  A bare CR or LF in a message is repaired.");
        }
        let limits = &connector.limits;
        let per_source = limits.connections_from_one_source(0);
        let rate = limits.message_rate_per_minute.map_or("any number of".to_string(), |rate| rate.to_string());
        let _ = writeln!(
            out,
            "  Limits: message {}, header {}, {} recipients, {} connections ({per_source} from one address while it is idle), {rate} messages a minute,",
            bytes_text(limits.message_bytes_max),
            bytes_text(limits.header_bytes_max),
            limits.recipients_max,
            limits.connections_max,
        );
        let _ = writeln!(
            out,
            "  {} errors, {} of silence, {} in all, {} hops.",
            limits.errors_max,
            duration_text(limits.idle_timeout_ms),
            duration_text(limits.session_timeout_ms),
            limits.hops_max
        );
    }

    fn explain_recipient(&self, out: &mut String, connector: &ReceiveConnector, rcpt: &Mailbox) {
        let domain = self.accepted_domain(rcpt.domain());
        let ours =
            domain.map_or("not one of our domains".to_string(), |domain| format!("accepted domain {}", domain.name));
        let grants = [before_logon(connector), ("After logging on", user_grants(connector))];
        for (when, grants) in grants.into_iter().filter(|(_, grants)| grants.has(Grants::SUBMIT)) {
            let answer = self.recipient_answer(grants, rcpt);
            let said = match answer.refusal() {
                None => "accepted".to_string(),
                Some(refusal) => format!("refused with {refusal}"),
            };
            let why = match answer {
                RecipientAnswer::UnknownUser => ", where it is not among the recipients",
                RecipientAnswer::NotKnownYet => ", whose recipients no directory has told yet",
                _ => "",
            };
            let _ = writeln!(out, "{when}, RCPT TO:<{rcpt}> is {said} ({ours}{why}).");
        }
    }
}

/// What somebody may do who has not logged on, and who that is.
fn before_logon(connector: &ReceiveConnector) -> (&'static str, Grants) {
    match connector.tls {
        // No grant depends on which server it is.
        ReceiveTls::Organization => {
            ("As a server of the organization", connector.grants(&Principal::Server("".into())))
        }
        _ => ("Without logging on", connector.grants(&Principal::Peer)),
    }
}

/// What any user is granted: no grant depends on which one it is.
fn user_grants(connector: &ReceiveConnector) -> Grants {
    if connector.permissions.contains(&Group::Users) { Group::Users.grants() } else { Grants::NONE }
}

fn may(grants: Grants) -> String {
    if !grants.has(Grants::SUBMIT) {
        return "may not send".into();
    }
    let to = if grants.has(Grants::ANY_RECIPIENT) { "to any address" } else { "to our domains only" };
    let from = match (grants.has(Grants::ANY_SENDER), grants.has(Grants::OWN_DOMAIN_SENDER)) {
        (true, true) => "as any sender",
        (true, false) => "as any sender outside our domains",
        (false, _) => "as senders of their own only",
    };
    let size = if grants.has(Grants::ANY_SIZE) { ", of any size" } else { "" };
    format!("may send {to}, {from}{size}")
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Smtp => "SMTP",
        Protocol::Submission => "Message submission",
        Protocol::Lmtp => "LMTP",
    }
}

fn tls(tls: ReceiveTls) -> &'static str {
    match tls {
        ReceiveTls::Off => "no TLS",
        ReceiveTls::Offer => "STARTTLS offered",
        ReceiveTls::Require => "STARTTLS required",
        ReceiveTls::Implicit => "TLS from the first byte",
        ReceiveTls::Organization => "TLS from the first byte with a certificate of the organization",
    }
}

fn auth(connector: &ReceiveConnector) -> String {
    let words = connector.auth.words().join(", ");
    match (words.is_empty(), connector.auth_without_tls) {
        (true, _) => "no AUTH".into(),
        (false, true) => format!("AUTH {words} even without TLS"),
        (false, false) => format!("AUTH {words} under TLS"),
    }
}
