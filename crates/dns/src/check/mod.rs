//! What the world sees of a zone, against what we want it to see.
//!
//! Owns what is looked at ([`look`]) and what is thought of it ([`judge`], pure). Always holds: every finding says what to do; a server
//! that does not answer is asked once more per round and no further.

mod judge;
mod look;

pub use judge::{Finding, Grade, judge, shown_data};
pub use look::{Ask, look};

use crate::name::Name;
use crate::push::Key;
use crate::record::Data;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What we want of one set.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Which.
    pub key: Key,
    /// What is answered now.
    pub now: BTreeSet<Data>,
    /// All that may be answered when health is another one.
    pub ever: BTreeSet<Data>,
    /// Seconds.
    pub ttl_s: u32,
}

/// A server of ours as others meet it.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// Its name in the document.
    pub server: Arc<str>,
    /// The address that its mail comes from.
    pub address: IpAddr,
    /// What it calls itself in EHLO.
    pub hello: Box<str>,
}

/// What we want the world to see.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The zone.
    pub zone: Name,
    /// Its name servers.
    pub name_servers: Vec<Name>,
    /// Its sets, without the SOA.
    pub sets: Vec<Wanted>,
    /// Domains in it that we take mail for.
    pub mail_domains: Vec<Name>,
    /// Our servers that send mail.
    pub identities: Vec<Identity>,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// What the parent zone says; `None`: it was not asked.
    pub delegation: Option<Result<Delegation, String>>,
    /// Each name server that was asked.
    pub servers: Vec<ServerSeen>,
    /// The names of addresses, and the addresses of those names.
    pub pointers: BTreeMap<IpAddr, Result<Vec<Pointer>, String>>,
}

/// What the parent zone says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delegation {
    /// The name servers; none: the zone is not delegated.
    pub servers: BTreeSet<String>,
    /// The addresses that it gives with them.
    pub glue: BTreeMap<String, BTreeSet<IpAddr>>,
}

/// One name server.
#[derive(Clone, Debug)]
pub struct ServerSeen {
    /// Its name, or its address if it has none.
    pub name: String,
    /// Where it was asked.
    pub address: Option<SocketAddr>,
    /// The serial of the SOA; or why there is none.
    pub serial: Result<u32, String>,
    /// What it answers of each set that was asked for: TTL and data.
    pub sets: BTreeMap<Key, (u32, BTreeSet<Data>)>,
}

/// A name that an address has.
#[derive(Clone, Debug, PartialEq)]
pub struct Pointer {
    /// The name.
    pub name: Name,
    /// The addresses of that name.
    pub addresses: BTreeSet<IpAddr>,
}
