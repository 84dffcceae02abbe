//! What a connection, a sender and an address meet, in words: the same questions that a session asks, asked of the same [`Org`].

mod answers;
mod question;
mod route;
mod sender;
mod service;
mod who;

pub use answers::{Answers, Caller, Explained};
pub use question::Question;

use crate::org::{Org, RecipientAnswer};
use crate::permission::Grants;
use crate::receive::{BareNewline, Protocol, ReceiveConnector, ReceiveTls};
use crate::unit::{bytes_text, duration_text};
use mail::Mailbox;
use std::fmt::Write;

impl Org {
    /// What a connection meets, and what becomes of a sender and a recipient on it. Several lines.
    pub fn explain(&self, question: &Question) -> String {
        let mut out = String::new();
        let (from, rcpt) = (question.from, question.rcpt.as_ref());
        let explained = self.explained(question);
        let Explained { to, connector, listens, answers, .. } = &explained;
        if explained.needs_proxy_header {
            let _ = writeln!(
                out,
                "{from} is a trusted proxy on {to}: it must send a PROXY header first. What follows is for a client of it with the same address."
            );
        }
        match connector {
            Some((connector, range)) => {
                let _ = writeln!(
                    out,
                    "A connection from {from} to {to} meets receive connector \"{}\", by its range {range}.",
                    connector.name
                );
                explain_connector(&mut out, connector, answers);
                self.explain_sender(&mut out, connector, question);
            }
            None if *listens => {
                let _ = writeln!(
                    out,
                    "A connection from {from} to {to} is refused with 421 4.3.2: no receive connector there has {from} in its remote ranges."
                );
            }
            None => match self.service_on(question) {
                Some(service) => self.explain_service(&mut out, service, from),
                None => {
                    let _ = writeln!(out, "Nothing listens on {to}.");
                }
            },
        }
        if let Some(rcpt) = rcpt {
            for answers in answers {
                self.explain_recipient(&mut out, answers, rcpt);
            }
            self.explain_who(&mut out, rcpt);
            self.explain_route(&mut out, rcpt, question.size_bytes.unwrap_or_default());
        }
        out
    }

    fn explain_recipient(&self, out: &mut String, answers: &Answers, rcpt: &Mailbox) {
        let Some(answer) = answers.rcpt else { return };
        let domain = self.accepted_domain(rcpt.domain());
        let ours =
            domain.map_or("not one of our domains".to_string(), |domain| format!("accepted domain {}", domain.name));
        let said = match answer.refusal() {
            None => "accepted".to_string(),
            Some(refusal) => format!("refused with {refusal}"),
        };
        let why = match answer {
            RecipientAnswer::UnknownUser => ", where it is not among the recipients",
            RecipientAnswer::Restricted => ", and its senders are \"trusted\"",
            RecipientAnswer::NotKnownYet => ", whose recipients no directory has told yet",
            RecipientAnswer::NoSuchDomain => ", and of a form that the connector refuses",
            RecipientAnswer::Accept | RecipientAnswer::RelayDenied => "",
        };
        let when = match answers.who {
            Caller::Peer => "Without logging on",
            Caller::Server => "As a server of the organization",
            Caller::User | Caller::Users => "After logging on",
        };
        let _ = writeln!(out, "{when}, RCPT TO:<{rcpt}> is {said} ({ours}{why}).");
    }
}

fn explain_connector(out: &mut String, connector: &ReceiveConnector, answers: &[Answers]) {
    let _ = writeln!(out, "  Greeting: 220 {}", connector.banner);
    let _ = writeln!(out, "  {}, {}, {}.", protocol(connector.protocol), tls(connector.tls), auth(connector));
    if !connector.extensions_off.is_empty() {
        let words: Vec<&str> = connector.extensions_off.iter().map(|off| off.word()).collect();
        let _ = writeln!(out, "  Not offered: {}.", words.join(", "));
    }
    for Answers { who, grants, .. } in answers {
        let who = match who {
            Caller::Peer if connector.externally_secured => "Known by their address as our servers",
            Caller::Peer => "Without logging on",
            Caller::Server => "As a server of the organization",
            Caller::User | Caller::Users => "A user who has logged on",
        };
        let _ = writeln!(out, "  {who}: {}.", may(*grants));
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
