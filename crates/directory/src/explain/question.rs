//! What is asked of [`Org::explain`], and which of our sockets is meant by a port alone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use mail::{Mailbox, ReversePath};

use crate::org::Org;

/// One case: a connection, and perhaps a transaction on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The peer.
    pub from: IpAddr,
    /// Our address; nothing is whichever of ours listens on the port.
    pub to: Option<IpAddr>,
    /// Our port.
    pub port: u16,
    /// The user who has logged on.
    pub user: Option<String>,
    /// MAIL FROM.
    pub mail: Option<ReversePath>,
    /// RCPT TO.
    pub rcpt: Option<Mailbox>,
    /// Bytes of the message, as SIZE tells them.
    pub size_bytes: Option<u64>,
}

impl Question {
    /// A connection and nothing on it yet.
    pub fn connection(from: IpAddr, to: SocketAddr) -> Question {
        let (to, port) = (Some(to.ip()), to.port());
        Question { from, to, port, user: None, mail: None, rcpt: None, size_bytes: None }
    }
}

impl Org {
    /// The socket that the connection comes to. By a port alone it is the one with a connector for the peer, if there is one: the
    /// wildcard of the peer's family first, then the sockets in order of the document.
    pub(super) fn met_at(&self, question: &Question) -> SocketAddr {
        if let Some(ip) = question.to {
            return SocketAddr::new(ip, question.port);
        }
        let any = if question.from.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let wildcard = SocketAddr::new(any, question.port);
        let sockets = || self.receive_connectors.iter().flat_map(|connector| connector.listen.iter().copied());
        let on_port = || sockets().filter(|socket| socket.port() == question.port);
        let mut all = on_port().filter(|socket| *socket == wildcard).chain(on_port());
        let met = all.find(|socket| self.choose_connector(*socket, question.from).is_some());
        met.or_else(|| on_port().next()).unwrap_or(wildcard)
    }
}
