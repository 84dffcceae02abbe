//! Sites, the links between them, and the servers that stand in them, as the document says.

use crate::target::{Host, HostPort};
use std::net::IpAddr;
use std::sync::Arc;

/// A place that servers stand in. A server belongs to one.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// Its name, lower case.
    pub name: Arc<str>,
    /// Mail whose least-cost path leads through it stops there.
    pub hub_site: bool,
}

/// A link that joins two sites or more, each with each, at one cost.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteLink {
    /// Its name.
    pub name: Arc<str>,
    /// The sites that it joins, two at least.
    pub sites: Vec<Arc<str>>,
    /// 1 or more.
    pub cost: u32,
    /// Larger messages cannot go over it, in bytes.
    pub message_bytes_max: Option<u64>,
}

/// A node as routing knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// The node's name, lower case.
    pub name: Arc<str>,
    /// Where it stands; `None`: nowhere, so that no mail is routed to it. In a document without sites all stand in the one that there is.
    pub site: Option<Arc<str>>,
    /// Where the other servers reach it.
    pub address: HostPort,
    /// What the world calls it: the name in its EHLO and of its addresses, lower case.
    pub public_name: Arc<str>,
    /// Where the world reaches it.
    pub public_addresses: Vec<IpAddr>,
}

impl Server {
    /// The addresses that names in DNS may give for it: those that the document calls public, else the one where the others reach it.
    pub fn published(&self) -> impl Iterator<Item = IpAddr> {
        let own = match self.address.host {
            Host::Ip(address) if self.public_addresses.is_empty() => Some(address),
            _ => None,
        };
        self.public_addresses.iter().copied().chain(own)
    }
}
