//! Who is at the other end of a session, and what that allows: the connector, the principal, the address that counts.

use super::report::Reason;
use super::{Asker, settings};
use crate::limits::{Allowance, Doors, Pass, Rate, Refusal};
use directory::{Grants, Org, Principal, Protocol, ReceiveConnector, SizeLimits, User};
use mail::{Enhanced, Reply, ReversePath, trace_header};
use smtp::server::{self, Told, XclientCommand};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// The other end of a session.
pub struct Visitor {
    /// The organization as it was when the session began.
    pub org: Arc<Org>,
    /// The policy of the connection.
    pub connector: Arc<ReceiveConnector>,
    /// The address that counts: of the socket, of a PROXY header, or told by XCLIENT.
    pub peer: SocketAddr,
    /// `peer` as it stands in events.
    pub peer_text: String,
    /// What it called itself in HELO, EHLO or LHLO.
    pub helo: Box<str>,
    /// How it speaks, for the Received field.
    pub protocol: trace_header::Protocol,
    /// TLS version and cipher; empty in the clear.
    pub tls: String,
    /// Somebody in front of us speaks for it: a balancer with a PROXY header, or a proxy with XCLIENT.
    pub behind_proxy: bool,
    /// XCLIENT is taken from it.
    pub trusted_xclient: bool,
    /// A balancer that asks how we are: it is told, and hands in no mail.
    pub is_probe: bool,
    principal: Principal,
    grants: Grants,
    logon_failures: u32,
    pass: Pass,
    rate: Arc<Rate>,
    /// Of the user that has authenticated.
    allowance: Option<Allowance>,
}

/// Why a connection is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnedAway {
    /// No connector is for this address.
    NoConnector,
    /// A limit.
    Limit(Refusal),
}

impl Visitor {
    /// Chooses the connector for `peer` at our address `local` and lets it in. `now_ms` is monotonic.
    pub fn enter(
        org: Arc<Org>,
        doors: &Doors,
        local: SocketAddr,
        peer: SocketAddr,
        now_ms: u64,
    ) -> Result<Visitor, TurnedAway> {
        let connector = org.choose_connector(local, peer.ip()).ok_or(TurnedAway::NoConnector)?.clone();
        let pass = doors.enter(&connector, peer.ip(), now_ms).map_err(TurnedAway::Limit)?;
        Ok(Visitor::with(org, connector, peer, pass))
    }

    /// A probe of the balancer at `peer`, which asks about `connector`; `None` if there are too many of them.
    pub fn probe(org: Arc<Org>, connector: Arc<ReceiveConnector>, doors: &Doors, peer: SocketAddr) -> Option<Visitor> {
        let pass = doors.enter_probe(&connector, peer.ip())?;
        Some(Visitor { is_probe: true, trusted_xclient: false, ..Visitor::with(org, connector, peer, pass) })
    }

    fn with(org: Arc<Org>, connector: Arc<ReceiveConnector>, peer: SocketAddr, pass: Pass) -> Visitor {
        let principal = Principal::Peer;
        Visitor {
            peer_text: peer.to_string(),
            helo: Box::default(),
            protocol: trace_header::Protocol { lmtp: connector.protocol == Protocol::Lmtp, ..Default::default() },
            tls: String::new(),
            behind_proxy: false,
            trusted_xclient: connector.trusted_xclient.contains(peer.ip()),
            is_probe: false,
            grants: connector.grants(&principal),
            principal,
            logon_failures: 0,
            rate: pass.source_rate(),
            allowance: None,
            pass,
            org,
            connector,
            peer,
        }
    }

    /// What it may do now.
    pub fn grants(&self) -> Grants {
        self.grants
    }

    /// Who it is now.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// As whom it asks for mail to be taken.
    pub fn asker(&self) -> Asker {
        match &self.principal {
            Principal::User(_) => Asker::User,
            _ if self.grants.has(Grants::INTERNAL) => Asker::Server,
            _ if self.grants.has(Grants::ANY_RECIPIENT) => Asker::User,
            _ => Asker::Stranger,
        }
    }

    /// Who the clients are that come to its connector: where nobody may hand in mail without a password, they are users.
    pub fn clients(&self) -> Asker {
        if self.grants.has(Grants::SUBMIT) { self.asker() } else { Asker::User }
    }

    /// The name of the user that has authenticated; empty if none has.
    pub fn user(&self) -> &str {
        match &self.principal {
            Principal::Peer | Principal::Server(_) => "",
            Principal::User(user) => &user.name,
        }
    }

    /// The name of the server of the organization that it has proven to be; empty if it has not.
    pub fn server(&self) -> &str {
        match &self.principal {
            Principal::Server(name) => name,
            Principal::Peer | Principal::User(_) => "",
        }
    }

    /// The machine's bounds for it, as it is now.
    pub fn limits(&self) -> server::Limits {
        let is_user = matches!(self.principal, Principal::User(_));
        settings::limits(&self.connector, self.grants, self.org.handling.limits, is_user)
    }

    /// It is a server of the organization: its mail was categorized where it was taken.
    pub fn is_server(&self) -> bool {
        matches!(self.principal, Principal::Server(_))
    }

    /// What bounds the size of its message from `from`, beside its connector.
    pub fn size_limits(&self, from: &ReversePath) -> SizeLimits {
        let organization = self.org.handling.limits.message_bytes_max;
        let own = || self.org.recipient_of(from.mailbox()?)?.message_bytes_max();
        let sender = if matches!(self.principal, Principal::User(_)) && organization.is_some() { own() } else { None };
        let is_notification = from.is_null() && self.grants.has(Grants::TRUSTED);
        SizeLimits { exempt: self.grants.has(Grants::ANY_SIZE) || is_notification, organization, sender }
    }

    /// A machine for a session with it.
    pub fn machine(&self) -> server::Session {
        let mut settings = settings::of(&self.connector, self.limits());
        if self.is_probe {
            settings.auth_mechanisms.clear();
        }
        let machine = server::Session::new(Arc::new(settings));
        let machine = if self.trusted_xclient { machine.trust_xclient() } else { machine };
        let machine = if self.is_server() { machine.trust_server() } else { machine };
        if self.tls.is_empty() { machine } else { machine.under_tls() }
    }

    /// It has authenticated.
    /// `now_ms` is monotonic.
    pub fn log_on(&mut self, user: Arc<User>, now_ms: u64) {
        self.allowance = Some(self.pass.allowance(&user.name, now_ms));
        if self.connector.protocol == Protocol::Submission {
            self.rate = self.pass.user_rate(&user.name);
        }
        self.principal = Principal::User(user);
        self.grants = self.connector.grants(&self.principal);
        self.protocol.auth = true;
    }

    /// It has shown the certificate of this server of the organization.
    pub fn prove_server(&mut self, name: Arc<str>) {
        self.principal = Principal::Server(name);
        self.grants = self.connector.grants(&self.principal);
    }

    /// A logon failed. True if that was one too many.
    pub fn logon_failed(&mut self) -> bool {
        self.logon_failures += 1;
        self.connector.limits.logon_failures_max.is_some_and(|most| most > 0 && self.logon_failures >= most)
    }

    /// Counts a message. The error says why it is one too many: of its source or user on this connector, or of its user everywhere. `now_ms`
    /// is monotonic, here and below.
    pub fn count_message(&self, now_ms: u64) -> Result<(), (Reason, Reply)> {
        let too_many =
            |reason| Err((reason, Reply::new(451, Enhanced::new(4, 7, 1), "too many messages, try again in a minute")));
        if !self.rate.take(now_ms, self.connector.limits.message_rate_per_minute) {
            return too_many("message_rate");
        }
        match &self.allowance {
            Some(allowance) if !allowance.message(now_ms) => too_many("user_message_rate"),
            _ => Ok(()),
        }
    }

    /// Counts a recipient. False if it is one too many of its user.
    pub fn count_recipient(&self, now_ms: u64) -> bool {
        self.allowance.as_ref().is_none_or(|allowance| allowance.recipient(now_ms))
    }

    /// The session is under TLS from now on, and nobody has authenticated (RFC 3207 4.2).
    pub fn under_tls(&mut self, tls: String) {
        self.tls = tls;
        self.protocol.tls = true;
        self.log_off();
    }

    fn log_off(&mut self) {
        self.principal = Principal::Peer;
        self.grants = self.connector.grants(&self.principal);
        self.protocol.auth = false;
        self.rate = self.pass.source_rate();
        self.allowance = None;
    }

    /// A trusted peer speaks for somebody else from now on, whose connector is chosen anew. On an error the session must end.
    pub fn speak_for(
        &mut self,
        told: XclientCommand,
        doors: &Doors,
        local: SocketAddr,
        now_ms: u64,
    ) -> Result<(), TurnedAway> {
        // A client whose address is not known is anybody.
        let anybody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let ip = value(told.address).map_or(self.peer.ip(), |known| known.unwrap_or(anybody));
        let port = value(told.port).map_or(self.peer.port(), Option::unwrap_or_default);
        let mut next = Visitor::enter(self.org.clone(), doors, local, SocketAddr::new(ip, port), now_ms)?;
        next.trusted_xclient = self.trusted_xclient;
        next.behind_proxy = true;
        if !self.tls.is_empty() {
            next.under_tls(std::mem::take(&mut self.tls));
        }
        next.helo = value(told.helo).map_or(std::mem::take(&mut self.helo), Option::unwrap_or_default);
        let user = value(told.login).flatten().and_then(|name| next.org.user(&name).cloned());
        if let Some(user) = user {
            next.log_on(user, now_ms);
        }
        *self = next;
        Ok(())
    }
}

/// Not told, told that there is none, or told.
fn value<T>(told: Option<Told<T>>) -> Option<Option<T>> {
    told.map(|told| match told {
        Told::Value(value) => Some(value),
        Told::Unavailable | Told::TemporarilyUnavailable => None,
    })
}
