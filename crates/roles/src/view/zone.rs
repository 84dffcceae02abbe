//! Zones as they are answered on one node.

use serde::{Deserialize, Serialize};

/// What this node answers of DNS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Zones {
    /// Where; nothing without `[dns_server]`.
    pub listeners: Vec<DnsListener>,
    /// What, in order of the names.
    pub zones: Vec<ServedZone>,
    /// All zones of the document, answered here or not.
    #[serde(default)]
    pub document: Vec<super::Zone>,
}

/// A zone that this node answers for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServedZone {
    /// Its name.
    pub name: String,
    /// Which version is answered.
    pub serial: u32,
    /// Records that are answered, the SOA too.
    pub records: u64,
    /// Records of the document that are not answered now, and why.
    pub withheld: Vec<String>,
    /// Names and types whose servers are all down, so that all of them are answered.
    pub all_down: Vec<String>,
    /// Who copies it.
    pub secondaries: Vec<ZoneSecondary>,
}

/// A server that copies a zone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ZoneSecondary {
    /// Its address.
    pub address: String,
    /// The serial that it copied last, since this node was started.
    pub serial: Option<u32>,
    /// When.
    pub copied: Option<String>,
    /// Why it did not hear of the last change.
    pub deaf: Option<String>,
}

/// Where the zones are answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DnsListener {
    /// Address and port, UDP and TCP.
    pub address: String,
    /// Why it is not listened on, if it is not.
    pub unbound: Option<String>,
}
