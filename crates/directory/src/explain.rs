//! What a connection or an address meets: as values that equal what a session would do, and in words.

use crate::org::{Org, RecipientAnswer, Route, SenderAnswer};
use crate::permission::{Grants, Principal};
use crate::range::IpRange;
use crate::receive::{BareNewline, Protocol, ReceiveConnector, ReceiveTls};
use crate::send::{SendConnector, SendTo};
use crate::unit::{bytes_text, duration_text};
use crate::user::{Password, User};
use mail::{Mailbox, Reply, ReversePath};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// A connection and what is said on it.
#[derive(Clone, Copy, Debug)]
pub struct Question<'q> {
    /// The peer.
    pub from: IpAddr,
    /// Our address.
    pub to: SocketAddr,
    /// MAIL, if it is asked about.
    pub mail: Option<&'q ReversePath>,
    /// RCPT, if it is asked about.
    pub rcpt: Option<&'q Mailbox>,
    /// Who has logged on; `None` asks about a peer that has not, and about users in general.
    pub user: Option<&'q Arc<User>>,
}

/// What a connection meets.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The peer must send a PROXY header first; all else is for a client of it with the same address.
    pub needs_proxy_header: bool,
    /// The receive connector and its range that counts; `None`: 421 4.3.2, or nobody listens.
    pub connector: Option<(Arc<ReceiveConnector>, IpRange)>,
    /// Somebody listens on that socket at all.
    pub listens: bool,
    /// What is answered to whom.
    pub answers: Vec<Answers>,
}

/// What somebody is answered, under TLS where the connector requires it.
#[derive(Clone, Debug)]
pub struct Answers {
    /// Who asks.
    pub who: Asker,
    /// What they may do.
    pub grants: Grants,
    /// MAIL: the refusal, or `None` where it is taken. Without a sender in the question: for one that is theirs.
    pub mail: Option<Reply>,
    /// RCPT, if one was asked about and MAIL is taken: why it is refused, or [`RecipientAnswer::Accept`].
    pub rcpt: Option<RecipientAnswer>,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// Somebody who has not logged on.
    Peer,
    /// The user who was asked about, or users in general.
    User,
}

impl Org {
    /// What a connection meets, as values: exactly what a session would do.
    pub fn explained(&self, question: &Question<'_>) -> Explained {
        let Question { from, to, mail, rcpt, user } = *question;
        let chosen = self.choose_connector(to, from).and_then(|connector| {
            let around = connector.remote.0.iter().filter(|range| range.contains(from));
            Some((connector.clone(), *around.min_by_key(|range| range.span())?))
        });
        let mut answers = Vec::new();
        if let Some((connector, _)) = &chosen {
            answers.push(self.answers(connector, &Principal::Peer, Asker::Peer, mail, rcpt));
            if !connector.auth.is_empty() {
                let somebody = user.cloned().unwrap_or_else(|| Arc::new(nobody_in_particular()));
                // Whose address it is can only be said of somebody in particular.
                let mail = mail.filter(|_| user.is_some());
                answers.push(self.answers(connector, &Principal::User(somebody), Asker::User, mail, rcpt));
            }
        }
        Explained {
            needs_proxy_header: self.expects_proxy_header(to, from),
            connector: chosen,
            listens: self.listens(to),
            answers,
        }
    }

    fn answers(
        &self,
        connector: &ReceiveConnector,
        principal: &Principal,
        who: Asker,
        mail: Option<&ReversePath>,
        rcpt: Option<&Mailbox>,
    ) -> Answers {
        let answer = self.sender(connector, principal, mail.unwrap_or(&ReversePath::Null));
        let rcpt = rcpt.filter(|_| answer == SenderAnswer::Accept).map(|to| self.recipient(connector, principal, to));
        Answers { who, grants: connector.grants(principal), mail: answer.refusal(), rcpt }
    }

    /// The same in words, with the way that mail to `rcpt` takes. Several lines.
    pub fn explain(&self, question: &Question<'_>) -> String {
        let Question { from, to, mail, rcpt, user } = *question;
        let explained = self.explained(question);
        let mut out = String::new();
        if explained.needs_proxy_header {
            let _ = writeln!(
                out,
                "{from} is a trusted proxy on {to}: it must send a PROXY header first. What follows is for a client of it with the same address."
            );
        }
        match &explained.connector {
            Some((connector, range)) => {
                let _ = writeln!(
                    out,
                    "A connection from {from} to {to} meets receive connector \"{}\", by its range {range}.",
                    connector.name
                );
                explain_connector(&mut out, connector, &explained.answers);
            }
            None if explained.listens => {
                let _ = writeln!(
                    out,
                    "A connection from {from} to {to} is refused with 421 4.3.2: no receive connector there has {from} in its remote ranges."
                );
            }
            None => {
                let _ = writeln!(out, "Nothing listens on {to}.");
            }
        }
        for answers in &explained.answers {
            self.explain_answers(&mut out, answers, mail, rcpt, user);
        }
        if let Some(rcpt) = rcpt {
            let _ = writeln!(out, "Mail to {rcpt} goes {}.", self.explain_route(rcpt));
        }
        out
    }

    fn explain_answers(
        &self,
        out: &mut String,
        answers: &Answers,
        mail: Option<&ReversePath>,
        rcpt: Option<&Mailbox>,
        user: Option<&Arc<User>>,
    ) {
        let when = match (answers.who, user) {
            (Asker::Peer, _) => "Without logging on".to_string(),
            (Asker::User, None) => "After logging on".to_string(),
            (Asker::User, Some(user)) => format!("Logged on as {}", user.name),
        };
        if let Some(from) = mail.filter(|_| answers.who == Asker::Peer || user.is_some()) {
            let said = answers.mail.as_ref().map_or("accepted".into(), |refusal| format!("refused with {refusal}"));
            let _ = writeln!(out, "{when}, MAIL FROM:{from} is {said}.");
        }
        let (Some(rcpt), Some(answer)) = (rcpt, answers.rcpt) else { return };
        let ours = self
            .accepted_domain(rcpt.domain())
            .map_or("not one of our domains".to_string(), |domain| format!("accepted domain {}", domain.name));
        let said = answer.refusal().map_or("accepted".into(), |refusal| format!("refused with {refusal}"));
        let why = if answer == RecipientAnswer::UnknownUser { ", where it is not among the recipients" } else { "" };
        let _ = writeln!(out, "{when}, RCPT TO:<{rcpt}> is {said} ({ours}{why}).");
    }

    fn listens(&self, to: SocketAddr) -> bool {
        self.receive_connectors.iter().flat_map(|c| &c.listen).any(|socket| crate::org::socket_covers(*socket, to))
    }

    fn explain_route(&self, rcpt: &Mailbox) -> String {
        match self.route(rcpt) {
            Route::Maildir(domain) => {
                format!("into the Maildir of {} in {}", domain.mailbox_name(rcpt.local()), rcpt.domain_lower())
            }
            Route::Lmtp(target) => format!("over LMTP to {target}"),
            Route::Connector(connector) => {
                format!("out through send connector \"{}\": {}", connector.name, way(&connector))
            }
            Route::Unreachable(reason) => format!("nowhere and waits: {reason}"),
        }
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
            Asker::Peer if connector.externally_secured => "Known by their address as our servers",
            Asker::Peer => "Without logging on",
            Asker::User => "A user who has logged on",
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

/// A user of whom nothing is known but that it is one.
fn nobody_in_particular() -> User {
    User { name: "".into(), password: Password::Argon2id("".into()), may_send_as: Vec::new() }
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

fn way(connector: &SendConnector) -> String {
    match &connector.to {
        SendTo::SmartHosts(hosts) => {
            format!("smart hosts {}", hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
        }
        SendTo::Mx => "the MX hosts of the domain".into(),
        SendTo::Lmtp(target) => format!("LMTP to {target}"),
    }
}
