//! The two documents of an operator and what they mean: `posthouse.toml` for one node, `org.toml` for the organization.
//!
//! Owns connectors, domains, limits, users and schedules, and answers what a connection or an address meets. Knows no socket and no
//! queue; reads files through `world` and only while loading. Always holds: what was loaded is valid as a whole, every
//! problem of a document is told at once with file, line and column, and [`Loaded::to_toml`] writes what runs.

mod back_pressure;
mod base64;
mod destination;
mod domain;
mod dump;
mod dynamic;
mod explain;
pub mod fresh;
mod handling;
mod hidden;
mod identity;
pub mod ldap;
mod limits;
mod load;
mod node;
pub mod objects;
mod org;
mod pattern;
mod permission;
mod problem;
mod quoted;
mod range;
mod read;
mod receive;
pub mod recipients;
mod remote;
mod retry;
mod routing;
mod rule;
mod send;
mod service;
pub mod settings;
mod sources;
mod target;
pub mod topology;
mod unit;
mod usage;
mod user;
mod virtual_address;
mod words;
pub mod zone;

pub use back_pressure::{BackPressure, Tarpit, Thresholds};
pub use destination::{Destination, Destinations};
pub use domain::{AcceptedDomain, Deliver, DomainType, LocalPreference};
pub use dump::Secrets;
pub use explain::{Answers, Caller, Explained, Question};
pub use handling::Handling;
pub use hidden::{HIDDEN, fill_passwords, hide_both, hide_passwords};
pub use identity::MailIdentity;
pub use limits::{MessageLimits, SizeLimits};
pub use load::{Given, Loaded, OrgText, Start};
pub use node::{
    Cluster, ClusterUser, DnsServer, DnsServers, HttpSettings, JournalSettings, Log, LogFormat, LogLevel, Node,
    NodeLimits, Peer, Peers, Spread, TlsFiles, Trace,
};
pub use org::{Listener, Org, RecipientAnswer, SenderAnswer};
pub use pattern::AddressPattern;
pub use permission::{Grants, Group, Principal, Single, Who};
pub use problem::{Problem, Problems};
pub use range::{IpRange, Ranges};
pub use receive::{
    AuthMechanisms, BareNewline, Extension, Limits, Protocol, ReceiveConnector, ReceiveTls, RefusedDomains,
};
pub use remote::RemoteDomain;
pub use retry::Retry;
pub use routing::{Route, ServersOf, Trip};
pub use rule::{Action, HeaderTest, Rule};
pub use send::{AddressSpace, Authorities, Credentials, SendConnector, SendTls, SendTo, Timeouts};
pub use service::{
    Affinity, Algorithm, Ejection, PoolOf, ProbeSettings, ProxyHeader, Service, ServiceLimits, ServiceMember,
    ServiceProtocol, SipMode, SipSettings, SipTransport,
};
pub use target::{Host, HostPort, LmtpTarget};
pub use unit::{bytes_text, duration_text, parse_bytes, parse_duration_ms};
pub use usage::Usage;
pub use user::{Password, SenderPattern, User};
pub use virtual_address::{NEEDS_NODE, VirtualAddress};
