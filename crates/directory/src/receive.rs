//! A receive connector: the policy that one connection meets. It is chosen by [`Org::choose_connector`](crate::Org::choose_connector)
//! and keeps what it says for as long as the session lasts.

use crate::permission::{Grants, Group, Principal, Single, Who};
use crate::range::Ranges;
use mail::{Protection, WhenShort};
use std::net::SocketAddr;
use std::sync::Arc;

/// The policy of a connection.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceiveConnector {
    /// Its name, in logs, metrics and `Received` comments.
    pub name: Arc<str>,
    /// It takes connections; one that does not is only kept in the document.
    pub enabled: bool,
    /// The sockets that it listens on; an unspecified address stands for all of its family.
    pub listen: Vec<SocketAddr>,
    /// The servers that it is for, in lower case; `None` is every one.
    pub servers: Option<Vec<Box<str>>>,
    /// The peers that it is for.
    pub remote: Ranges,
    /// What is spoken.
    pub protocol: Protocol,
    /// When TLS starts.
    pub tls: ReceiveTls,
    /// SASL mechanisms offered.
    pub auth: AuthMechanisms,
    /// AUTH is offered before TLS as well.
    pub auth_without_tls: bool,
    /// Groups whose grants apply, sorted, each once.
    pub permissions: Vec<Group>,
    /// Single permissions beside those of the groups.
    pub grant: Vec<Single>,
    /// Single permissions that are taken, whoever gives them.
    pub deny: Vec<Single>,
    /// Something outside of us (a network of its own, IPsec) proves that peers are our servers: their address is enough.
    pub externally_secured: bool,
    /// Strangers may use our accepted domains as sender; `false` is the usual hardening against forged senders.
    pub own_domain_senders: bool,
    /// What happens to a bare CR or LF in a body.
    pub bare_newline: BareNewline,
    /// Extensions that are not offered, sorted, each once.
    pub extensions_off: Vec<Extension>,
    /// EHLO must name a host with a dot in it, or an address literal.
    pub require_hello_domain: bool,
    /// Which recipient domains are refused unless they are ours.
    pub refused_domains: Vec<RefusedDomains>,
    /// Copies on other nodes that a message must have before its 250; `None`: as many as the node thinks fit.
    pub copies: Option<u8>,
    /// What happens when there are not so many.
    pub when_short: WhenShort,
    /// Peers that must send a PROXY header; from all others one is a protocol error.
    pub trusted_proxies: Ranges,
    /// Peers that may use XCLIENT.
    pub trusted_xclient: Ranges,
    /// Our name in banner, EHLO and `Received`: the connector's own or the node's.
    pub hostname: Arc<str>,
    /// What stands behind `220 `, the hostname included.
    pub banner: Arc<str>,
    /// Bounds of what a peer can use up.
    pub limits: Limits,
}

/// What is spoken on a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Relay, RFC 5321.
    Smtp,
    /// Message submission, RFC 6409: missing headers are added, rates count per user.
    Submission,
    /// RFC 2033: one answer per recipient.
    Lmtp,
}

/// When TLS starts on a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiveTls {
    /// Never; STARTTLS is not offered.
    Off,
    /// STARTTLS is offered.
    Offer,
    /// STARTTLS is offered, and MAIL is refused before it.
    Require,
    /// TLS from the first byte (RFC 8314).
    Implicit,
    /// TLS 1.3 from the first byte, with certificates of the organization at both ends: for the servers of the organization alone.
    Organization,
}

/// SASL mechanisms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuthMechanisms {
    /// PLAIN, RFC 4616.
    pub plain: bool,
    /// LOGIN.
    pub login: bool,
    /// SCRAM-SHA-256, RFC 7677.
    pub scram_sha_256: bool,
}

/// What happens to a bare CR or LF in a body. Only CRLF.CRLF ever ends DATA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BareNewline {
    /// The message is refused with 550 5.6.11.
    Reject,
    /// It becomes CRLF.
    Repair,
}

/// An ESMTP extension that a connector may leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extension {
    /// SIZE, RFC 1870.
    Size,
    /// The number behind SIZE.
    SizeValue,
    /// PIPELINING, RFC 2920.
    Pipelining,
    /// CHUNKING, RFC 3030.
    Chunking,
    /// 8BITMIME, RFC 6152.
    EightBitMime,
    /// SMTPUTF8, RFC 6531.
    SmtpUtf8,
    /// DSN, RFC 3461.
    Dsn,
    /// ENHANCEDSTATUSCODES, RFC 2034.
    EnhancedStatusCodes,
}

/// Domains that hardly anybody means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusedDomains {
    /// One label: `localhost`, `intranet`.
    SingleLabel,
    /// Reserved by RFC 2606: below `test`, `example`, `invalid`, `localhost`, and `example.com`, `example.net`, `example.org`.
    Reserved,
}

/// Bounds of one connector (behaviours 1.8). `None` is no bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Size of a message, told with SIZE.
    pub message_bytes_max: u64,
    /// Size of a message's header.
    pub header_bytes_max: u64,
    /// Recipients of one message.
    pub recipients_max: u32,
    /// Connections to this connector.
    pub connections_max: u32,
    /// Connections of one peer address.
    pub connections_per_source_max: Option<u32>,
    /// Connections of one peer address, in per cent of the connections that are still free.
    pub connections_per_source_percent_max: u32,
    /// Messages a minute: by user on a submission connector, by peer address on all others.
    pub message_rate_per_minute: Option<u32>,
    /// Protocol errors, then 421.
    pub errors_max: u32,
    /// Failed AUTH attempts, then 421.
    pub logon_failures_max: Option<u32>,
    /// How long an error reply to a peer without [`Grants::TRUSTED`] is held back; 0 is not at all.
    pub tarpit_ms: u64,
    /// The same for the reply to a failed logon.
    pub auth_tarpit_ms: u64,
    /// Silence, then 421.
    pub idle_timeout_ms: u64,
    /// Length of a session, even while data flows.
    pub session_timeout_ms: u64,
    /// `Received` fields that a message may have; one more is a loop.
    pub hops_max: u32,
}

impl ReceiveConnector {
    /// Whether `node` listens for it.
    pub fn is_for(&self, node: &str) -> bool {
        self.servers.as_ref().is_none_or(|servers| servers.iter().any(|name| name.eq_ignore_ascii_case(node)))
    }

    /// Whether some node may listen for both: one that is not enabled meets nobody.
    pub fn may_meet(&self, other: &ReceiveConnector) -> bool {
        self.enabled
            && other.enabled
            && self.servers.as_ref().is_none_or(|servers| servers.iter().any(|name| other.is_for(name)))
    }

    /// What a message must have before its 250, on a node that asks for `by_default` copies where nothing is said.
    pub fn protection(&self, by_default: u8) -> Protection {
        Protection { copies: self.copies.unwrap_or(by_default), when_short: self.when_short }
    }

    /// What `principal` may do here: what its groups and single grants give, less what is denied to any of them.
    pub fn grants(&self, principal: &Principal) -> Grants {
        let members = self.permissions.iter().filter(|group| self.is_member(principal, **group));
        let mut given = members.fold(Grants::NONE, |sum, group| sum | grants_of(principal, *group));
        let is_meant = |single: &&Single| match &single.who {
            Who::Group(group) => self.is_member(principal, *group),
            Who::User(name) => matches!(principal, Principal::User(user) if user.name.to_lowercase() == **name),
        };
        self.grant.iter().filter(is_meant).for_each(|single| given |= single.what);
        let denied = self.deny.iter().filter(is_meant).fold(Grants::NONE, |sum, single| sum | single.what);
        let given = given.without(denied);
        match principal {
            Principal::Peer if !self.own_domain_senders && !given.has(Grants::TRUSTED) => {
                given.without(Grants::OWN_DOMAIN_SENDER)
            }
            _ => given,
        }
    }

    /// Whether `principal` counts as one of `group` here.
    fn is_member(&self, principal: &Principal, group: Group) -> bool {
        match (principal, group) {
            // An address proves nothing where a certificate is asked for.
            (Principal::Peer, _) if self.tls == ReceiveTls::Organization => false,
            (Principal::Peer, Group::Servers) => self.externally_secured,
            (Principal::Peer, Group::Anonymous | Group::Relay | Group::Partners) => true,
            (Principal::User(_), Group::Users) | (Principal::Server(_), Group::Servers) => true,
            (Principal::Peer, Group::Users) | (Principal::User(_) | Principal::Server(_), _) => false,
        }
    }

    /// Whether mail to this domain, which is not one of ours, is refused for its form alone.
    pub fn refuses_domain(&self, domain: &str) -> bool {
        self.refused_domains.iter().any(|refused| refused.covers(domain))
    }
}

/// What a group stands for, for somebody who is a member.
fn grants_of(principal: &Principal, group: Group) -> Grants {
    match (principal, group) {
        (Principal::Peer, Group::Servers) => Group::externally_secured(),
        (_, group) => group.grants(),
    }
}

impl RefusedDomains {
    fn covers(self, domain: &str) -> bool {
        let domain = domain.strip_suffix('.').unwrap_or(domain);
        if domain.starts_with('[') {
            return false;
        }
        let below = |name: &str| {
            let start = domain.len().checked_sub(name.len());
            start.and_then(|start| domain.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(name))
                && (domain.len() == name.len() || domain.as_bytes().get(domain.len() - name.len() - 1) == Some(&b'.'))
        };
        match self {
            RefusedDomains::SingleLabel => !domain.contains('.'),
            RefusedDomains::Reserved => RESERVED.iter().any(|name| below(name)),
        }
    }
}

/// RFC 2606 2 and 3.
const RESERVED: [&str; 7] = ["test", "example", "invalid", "localhost", "example.com", "example.net", "example.org"];

impl AuthMechanisms {
    /// Nothing is offered.
    pub fn is_empty(self) -> bool {
        self == AuthMechanisms::default()
    }
}

impl Limits {
    /// Connections that one peer address may have while `open` are open on the connector: the bound shrinks as the connector fills.
    pub fn connections_from_one_source(&self, open: u32) -> u32 {
        let free = u64::from(self.connections_max.saturating_sub(open));
        let share = (free * u64::from(self.connections_per_source_percent_max)).div_ceil(100);
        let share = u32::try_from(share).unwrap_or(u32::MAX);
        self.connections_per_source_max.map_or(share, |most| most.min(share))
    }
}
