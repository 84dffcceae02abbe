//! What servers of the organization look like to those who get their mail: address and name in EHLO.

use crate::org::Org;
use crate::send::{SendConnector, SendTo};
use crate::topology::Server;
use std::net::IpAddr;
use std::sync::Arc;

/// One address that mail comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailIdentity {
    /// The server, by its name in the document.
    pub server: Arc<str>,
    /// The address.
    pub address: IpAddr,
    /// The name in EHLO, lower case.
    pub hello: Box<str>,
}

impl Org {
    /// Each public address of a server from which a connector sends mail to hosts of others, with the name it does so under.
    pub fn mail_identities(&self) -> Vec<MailIdentity> {
        let mut found = Vec::new();
        for server in self.topology().servers.iter().filter(|server| !server.public_addresses.is_empty()) {
            for connector in self.send_connectors.iter().filter(|connector| connector.leaves_from(server)) {
                let hello = connector.hello_of(server, self.server());
                let used = server.public_addresses.iter().filter(|address| connector.may_use(**address));
                for address in used {
                    let one = MailIdentity { server: Arc::clone(&server.name), address: *address, hello: hello.into() };
                    if !found.contains(&one) {
                        found.push(one);
                    }
                }
            }
        }
        found
    }
}

impl SendConnector {
    /// It sends mail from that server to hosts of others.
    pub(crate) fn leaves_from(&self, server: &Server) -> bool {
        let is_for = self.servers.as_ref().is_none_or(|servers| servers.iter().any(|name| **name == *server.name));
        self.enabled && self.to == SendTo::Mx && is_for
    }

    /// The name in EHLO on that server; `reader` is the node that read the document, whose name stands where the connector says none.
    pub(crate) fn hello_of<'a>(&'a self, server: &'a Server, reader: &str) -> &'a str {
        if *self.hello == *reader { &server.name } else { &self.hello }
    }

    /// Its mail may come from that address: it names no source, or one that a translation of addresses hides, or this.
    pub(crate) fn may_use(&self, address: IpAddr) -> bool {
        self.source.is_none_or(|source| !is_public(source) || source == address)
    }
}

/// Not one that a translation of addresses hides.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_private() && !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_unique_local() && !v6.is_loopback() && !v6.is_unicast_link_local(),
    }
}
