//! Zones and what stands in them, as the document says.

use super::data::Data;
use crate::range::Ranges;
use crate::target::HostPort;
use mail::Mailbox;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

/// A zone of the organization.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    /// Lower case, without the final dot.
    pub name: Arc<str>,
    /// The nodes that answer for it, in lower case; `None`: each. An empty list: none of ours, the zone is only exported or pushed.
    pub servers: Option<Vec<Box<str>>>,
    /// The names of its NS records.
    pub name_servers: Vec<Box<str>>,
    /// Who answers for it: the RNAME of its SOA.
    pub contact: Mailbox,
    /// Of what has no TTL of its own, in seconds.
    pub ttl_s: u32,
    /// The timers of its SOA.
    pub timers: Timers,
    /// Servers that copy it.
    pub secondaries: Vec<SocketAddr>,
    /// The secondaries are told of each change (RFC 1996).
    pub notify: bool,
    /// Who may copy it besides the secondaries.
    pub transfer_allowed: Ranges,
    /// If there are any, a copy must be asked for with one of them; the first signs what we send to the secondaries.
    pub tsig_keys: Vec<Arc<TsigKey>>,
    /// The primary of others that it is written to.
    pub push: Option<Push>,
}

/// The timers of a SOA record, in seconds (RFC 1035 3.3.13, RFC 2308 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// How often secondaries look.
    pub refresh_s: u32,
    /// How long after a look that failed.
    pub retry_s: u32,
    /// How long they answer without us.
    pub expire_s: u32,
    /// How long it is believed that something is not there.
    pub negative_ttl_s: u32,
}

/// Where a zone is written to by UPDATE (RFC 2136).
#[derive(Clone, Debug, PartialEq)]
pub struct Push {
    /// The primary.
    pub server: HostPort,
    /// What signs it.
    pub key: Option<Arc<TsigKey>>,
    /// It is written by itself whenever what it should hold changes; else only by the verb.
    pub on_change: bool,
}

/// A secret that two name servers share (RFC 8945).
#[derive(Clone, PartialEq, Eq)]
pub struct TsigKey {
    /// Its name, the same at both ends.
    pub name: Arc<str>,
    /// What is computed with it.
    pub algorithm: TsigAlgorithm,
    /// Its bytes.
    pub secret: Box<[u8]>,
    /// Where they came from.
    pub secret_file: PathBuf,
}

/// What is computed with a key. Weaker ones are not offered (RFC 8945 6: SHA-1 and MD5 must not be used any more).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TsigAlgorithm {
    /// hmac-sha256.
    Sha256,
    /// hmac-sha384.
    Sha384,
    /// hmac-sha512.
    Sha512,
}

impl fmt::Debug for TsigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TsigKey({})", self.name)
    }
}

/// A name and all that stands at it.
#[derive(Clone, Debug, PartialEq)]
pub struct DnsName {
    /// Lower case, without the final dot; its zone is the longest that ends it.
    pub name: Arc<str>,
    /// Seconds; `None`: the zone's.
    pub ttl_s: Option<u32>,
    /// It has the addresses of these servers of the organization, by their health.
    pub servers: Vec<Arc<str>>,
    /// It has the addresses that these services listen on, by their health.
    pub services: Vec<Arc<str>>,
    /// It has these virtual addresses, by their health.
    pub virtual_addresses: Vec<Arc<str>>,
    /// It has these addresses always.
    pub addresses: Vec<IpAddr>,
    /// What else is written of it, passed on as it is.
    pub records: Vec<Data>,
    /// Mail domains whose users' programs find the services of this name by SRV records.
    pub srv_for: Vec<Box<str>>,
    /// Its own addresses get their PTR records from it, where we have their reverse zone.
    pub ptr: bool,
}

/// n MX records of equal preference, each with m addresses, over the servers of some sites (behaviours 6.4).
#[derive(Clone, Debug, PartialEq)]
pub struct MxLayout {
    /// Its name in logs and reasons.
    pub name: Arc<str>,
    /// The domains whose mail it takes.
    pub domains: Vec<Box<str>>,
    /// The sites whose servers take it; none: those that `servers` names, or all.
    pub sites: Vec<Arc<str>>,
    /// The servers that take it; none: those of `sites`, or all.
    pub servers: Vec<Arc<str>>,
    /// n; `None`: as many as the servers fill.
    pub hosts: Option<u32>,
    /// m.
    pub addresses: u32,
    /// What a host is called, with a `#` for its number.
    pub host_name: Box<str>,
    /// Of all of them.
    pub preference: u16,
    /// Seconds; `None`: the zone's.
    pub ttl_s: Option<u32>,
}
