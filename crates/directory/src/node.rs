//! What belongs to one node: its name, its data, its certificate, its own bounds. The document is `posthouse.toml`.

use crate::back_pressure::BackPressure;
use crate::range::Ranges;
use crate::target::HostPort;
use std::net::SocketAddr;
use std::path::PathBuf;

/// One node's own configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Host name of the node: banner, EHLO and `Received` of connectors that have no name of their own.
    pub name: String,
    /// Directory that everything is kept in.
    pub data: PathBuf,
    /// HTTP: API, page, metrics, health.
    pub http: HttpSettings,
    /// Certificate and key; `None` uses a self-signed one made in the data directory.
    pub tls: Option<TlsFiles>,
    /// Links to other nodes; `None`: there are none.
    pub peers: Option<Peers>,
    /// The etcd that the cluster agrees with; `None`: this node is alone, or takes over only when a person says so.
    pub cluster: Option<Cluster>,
    /// Name servers.
    pub dns: DnsServers,
    /// The server of the organization's zones; `None`: this node answers for none.
    pub dns_server: Option<DnsServer>,
    /// The spool's journal.
    pub journal: JournalSettings,
    /// Maildirs.
    pub maildir: MaildirSettings,
    /// The program's log.
    pub log: Log,
    /// Bounds of the whole node.
    pub limits: NodeLimits,
    /// When mail is refused so that what is here can be delivered.
    pub back_pressure: BackPressure,
    /// The message trace.
    pub trace: Trace,
}

/// HTTP.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpSettings {
    /// Where it listens; there is no password on it, so loopback is the place.
    pub listen: SocketAddr,
}

/// Certificate and key, PEM, looked at again when they change.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsFiles {
    /// Certificate chain.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// The cluster's etcd.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Client URLs of its members.
    pub endpoints: Vec<String>,
    /// What all keys of the organization start with.
    pub prefix: String,
    /// How long the others wait for a node that is silent, in milliseconds.
    pub ttl_ms: u64,
    /// Authorities that `https` endpoints are trusted by; `None`: the public ones.
    pub ca: Option<PathBuf>,
    /// Our certificate, where etcd wants one.
    pub own: Option<TlsFiles>,
    /// Whom we log on as, where etcd wants that.
    pub user: Option<ClusterUser>,
    /// Where the other nodes reach our links; `None`: where they listen.
    pub address: Option<HostPort>,
    /// Where this node stands; empty: not said.
    pub site: String,
    /// What it shares with its neighbours there; empty: not said.
    pub rack: String,
    /// Who is asked first to keep copies.
    pub spread: Spread,
}

/// Which nodes are asked first to keep copies of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Any.
    Any,
    /// Those of another rack.
    Rack,
    /// Those of another site, then those of another rack.
    Site,
}

/// A user of etcd's.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterUser {
    /// The name.
    pub name: String,
    /// File whose first line is the password.
    pub password_file: PathBuf,
}

/// Links to the other nodes of the organization.
#[derive(Clone, Debug, PartialEq)]
pub struct Peers {
    /// Where the links of others come in.
    pub listen: SocketAddr,
    /// This node's certificate of the organization, with its key.
    pub own: TlsFiles,
    /// The organization's authority: whom it signed for is one of us.
    pub ca: PathBuf,
    /// Milliseconds between two heartbeats.
    pub heartbeat_ms: u64,
    /// Heartbeats that may be missed in a row.
    pub missed_heartbeats_max: u32,
    /// The nodes that are known without etcd.
    pub known: Vec<Peer>,
}

impl Node {
    /// Whether other nodes keep copies of this node's journal: then mail asks for one where its connector does not say. In a cluster
    /// they do.
    pub fn keeps_copies(&self) -> bool {
        self.cluster.is_some()
            || self.peers.as_ref().is_some_and(|peers| peers.known.iter().any(|peer| peer.keeps_copy))
    }
}

impl Peers {
    /// The nodes that keep copies of this node's journal.
    pub fn copy_holders(&self) -> Vec<String> {
        self.known.iter().filter(|peer| peer.keeps_copy).map(|peer| peer.name.clone()).collect()
    }
}

/// Another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name, lower case.
    pub name: String,
    /// Where its links listen.
    pub address: HostPort,
    /// It keeps a copy of this node's journal.
    pub keeps_copy: bool,
}

/// Whom MX and addresses are asked of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DnsServers {
    /// Name servers with their ports; empty: those of `/etc/resolv.conf`.
    pub servers: Vec<SocketAddr>,
}

/// The server of the organization's zones.
#[derive(Clone, Debug, PartialEq)]
pub struct DnsServer {
    /// Specific addresses; the machine need not have them yet.
    pub listen: Vec<SocketAddr>,
    /// Threads that answer over UDP, for each address; `None`: one for each processor.
    pub threads: Option<u32>,
    /// The same answers a second to one neighbourhood over UDP; 0: no bound.
    pub rate_limit: u32,
    /// One in so many answers above that says "ask over TCP"; 0: none.
    pub rate_limit_slip: u32,
    /// Who is never limited.
    pub rate_limit_exempt: Ranges,
    /// Connections at the same time.
    pub connections_max: u32,
    /// The same from one address.
    pub connections_per_source_max: u32,
    /// A connection without a whole question for so long is closed, in milliseconds.
    pub idle_timeout_ms: u64,
}

/// The spool's journal. Bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct JournalSettings {
    /// Size of a segment.
    pub segment_bytes: u64,
    /// Free space of the file system below which no mail is accepted (452 4.3.1).
    pub keep_free_bytes: u64,
}

/// The Maildirs of this node.
#[derive(Clone, Debug, PartialEq)]
pub struct MaildirSettings {
    /// How long it is remembered what was delivered, in milliseconds; 0: not at all.
    pub duplicate_window_ms: u64,
}

/// The program's log, on standard error.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// Least important thing that is written.
    pub level: LogLevel,
    /// How it is written.
    pub format: LogFormat,
}

/// Least important thing that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Only what needs somebody.
    Error,
    /// And what may soon.
    Warn,
    /// And what happens.
    Info,
    /// And why.
    Debug,
    /// And every byte's way.
    Trace,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Bounds of the whole node.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeLimits {
    /// Connections in.
    pub connections_max: u32,
    /// New connections in a minute; `None` is no bound.
    pub connection_rate_per_minute: Option<u32>,
    /// Connections out.
    pub outbound_connections_max: u32,
    /// Messages of one authenticated user in a minute; `None` is no bound.
    pub user_message_rate_per_minute: Option<u32>,
    /// Recipients of one authenticated user in an hour; `None` is no bound.
    pub user_recipients_per_hour: Option<u32>,
    /// Bodies of accepted mail that are kept in memory until they are delivered, in bytes.
    pub body_memory_bytes: u64,
    /// How long relayed connections may go on in the old process after a restart, in milliseconds.
    pub linger_ms: u64,
}

/// The message trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// Bytes of trace files that are kept; the oldest go first.
    pub keep_bytes: u64,
}
