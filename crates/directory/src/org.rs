//! The organization, compiled: which connector a connection meets, whether a sender and a recipient are welcome, where mail goes.

use crate::domain::AcceptedDomain;
use crate::permission::Principal;
use crate::receive::{Protocol, ReceiveConnector};
use crate::retry::Retry;
use crate::send::SendConnector;
use crate::target::LmtpTarget;
use crate::user::User;
use mail::{Mailbox, Reply, ReversePath};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The organization document, valid and ready to be asked. Share it as `Arc<Org>`; a reload makes a new one.
#[derive(Debug)]
pub struct Org {
    /// Who gets mail for `<postmaster>` without a domain (RFC 5321 4.5.1), and whose name notifications bear.
    pub postmaster: Mailbox,
    /// In order of the document.
    pub accepted_domains: Vec<Arc<AcceptedDomain>>,
    /// In order of the document.
    pub receive_connectors: Vec<Arc<ReceiveConnector>>,
    /// In order of the document.
    pub send_connectors: Vec<Arc<SendConnector>>,
    /// In order of the document.
    pub users: Vec<Arc<User>>,
    /// When failed deliveries are tried again.
    pub retry: Retry,
}

/// One socket to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where. An IPv6 wildcard means IPv6 only.
    pub address: SocketAddr,
    /// What is spoken there, for logs and metrics (connectors that share a socket may differ: the chosen one counts).
    pub protocol: Protocol,
    /// Names of the connectors on it.
    pub connectors: Vec<Arc<str>>,
}

/// Whether MAIL is welcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenderAnswer {
    /// Go on.
    Accept,
    /// Nobody may send here without AUTH.
    AuthRequired,
    /// Nothing may be sent here at all.
    NotAllowed,
    /// The user may not send as this address.
    NotTheirs,
    /// Peers of this connector may not use our own domains as sender.
    OwnDomain,
}

/// Whether RCPT is welcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecipientAnswer {
    /// Go on.
    Accept,
    /// The domain is not ours and the session may not relay.
    RelayDenied,
    /// The domain is ours and there is no such mailbox.
    UnknownUser,
}

/// Where mail for an address goes.
#[derive(Clone, Debug)]
pub enum Route {
    /// Into a Maildir of this node.
    Maildir(Arc<AcceptedDomain>),
    /// To the LMTP server of an accepted domain.
    Lmtp(LmtpTarget),
    /// Out through a send connector (smart hosts, MX or LMTP, see [`SendConnector::to`]).
    Connector(Arc<SendConnector>),
    /// Nowhere: mail waits until the configuration says where to.
    Unreachable(&'static str),
}

impl Org {
    /// The sockets to listen on: every binding once; an address that a wildcard of its family and port includes is left out.
    pub fn listeners(&self) -> Vec<Listener> {
        todo!()
    }

    /// The policy for a connection to our address `local` from `peer`: of the connectors on that socket, the one with the most
    /// specific range that contains the peer; then the exact binding before a wildcard; then the first name. `None`: 421 4.3.2.
    pub fn choose_connector(&self, local: SocketAddr, peer: IpAddr) -> Option<&Arc<ReceiveConnector>> {
        let _ = (local, peer);
        todo!()
    }

    /// A connection to `local` from `peer` must start with a PROXY header, because a connector on that socket trusts the peer for it.
    /// The connector is then chosen by the address that the header gives.
    pub fn expects_proxy_header(&self, local: SocketAddr, peer: IpAddr) -> bool {
        let _ = (local, peer);
        todo!()
    }

    /// Whether MAIL from `from` is welcome. Asked anew at each MAIL: AUTH changes the principal.
    pub fn sender(&self, connector: &ReceiveConnector, principal: &Principal, from: &ReversePath) -> SenderAnswer {
        let _ = (connector, principal, from);
        todo!()
    }

    /// Whether RCPT to `to` is welcome.
    pub fn recipient(&self, connector: &ReceiveConnector, principal: &Principal, to: &Mailbox) -> RecipientAnswer {
        let _ = (connector, principal, to);
        todo!()
    }

    /// Where mail for `to` goes.
    pub fn route(&self, to: &Mailbox) -> Route {
        let _ = to;
        todo!()
    }

    /// The accepted domain that `domain` belongs to.
    pub fn accepted_domain(&self, domain: &str) -> Option<&Arc<AcceptedDomain>> {
        let _ = domain;
        todo!()
    }

    /// The user of that name, without regard to case.
    pub fn user(&self, name: &str) -> Option<&Arc<User>> {
        let _ = name;
        todo!()
    }

    /// A receive connector by name.
    pub fn receive_connector(&self, name: &str) -> Option<&Arc<ReceiveConnector>> {
        self.receive_connectors.iter().find(|connector| &*connector.name == name)
    }

    /// A send connector by name.
    pub fn send_connector(&self, name: &str) -> Option<&Arc<SendConnector>> {
        self.send_connectors.iter().find(|connector| &*connector.name == name)
    }
}

impl SenderAnswer {
    /// The refusal that the peer hears.
    pub fn refusal(self) -> Option<Reply> {
        todo!()
    }
}

impl RecipientAnswer {
    /// The refusal that the peer hears.
    pub fn refusal(self) -> Option<Reply> {
        todo!()
    }
}
