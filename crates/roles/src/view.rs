//! Owns what the API shows: plain values with the words of operators, times in RFC 3339. The command line reads them back.
//! Knows no HTTP.

mod cluster;
mod directory;
mod naming;
mod objects;
mod org;
mod pressure;
mod restart;
mod service;
mod virtual_address;
mod zone;

use mail::date::rfc3339;
use serde::{Deserialize, Serialize};

pub use cluster::{
    Cluster, ClusterJournal, ClusterNode, Etcd, EtcdEndpoint, HandOver, JournalCopy, Nodes, Report, ReportedJournal,
};
pub use directory::{Directory, DirectoryHeld};
pub use naming::{Zone, ZoneCheck, ZoneFile, ZoneFinding, ZoneName, ZonePush, ZonePushed, ZoneRecord, ZoneStep};
pub use objects::{Field, Finding, Kind, Object, ObjectChanged, Tested};
pub use org::{Org, OrgApplied, OrgChecked, OrgDifference, OrgNode, OrgText, OrgVersion};
pub use pressure::{Pressure, PressureOf};
pub use restart::Restart;
pub use service::{DrainAt, Flow, MemberDrain, Service, ServiceBalancer, ServiceMember, Services};
pub use virtual_address::{VirtualAddress, VirtualAddressEvent};
pub use zone::{DnsListener, ServedZone, ZoneSecondary, Zones};

/// The node at a glance.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Status {
    /// The node's name.
    pub name: String,
    /// Version of the program.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// When it started.
    pub started: String,
    /// Seconds since then.
    pub uptime_s: u64,
    /// `starting`, `serving`, `draining`, `stopping`.
    pub phase: String,
    /// Whether mail can be taken now.
    pub ready: bool,
    /// Why not, if not.
    pub reasons: Vec<String>,
    /// The data directory.
    pub data: String,
    /// Where mail comes in.
    pub listeners: Vec<Listener>,
    /// Where this API is.
    pub http: String,
    /// Domains that are ours, and where their mail goes.
    pub domains: Vec<String>,
    /// Where links of other nodes come in; nothing without `[peers]`.
    #[serde(default)]
    pub peers_listen: Option<String>,
    /// When our own certificate for links ends.
    #[serde(default)]
    pub peers_certificate_until: Option<String>,
    /// The other nodes.
    #[serde(default)]
    pub peers: Vec<Peer>,
    /// Copies of this node's journal on other nodes.
    #[serde(default)]
    pub copies: Vec<OwnCopy>,
    /// Copies of other nodes' journals on this one.
    #[serde(default)]
    pub held: Vec<HeldCopy>,
    /// Journals of other nodes that this one has taken over and not yet delivered.
    #[serde(default)]
    pub taken: Vec<TakenJournal>,
    /// What is wrong with LDAP directories.
    #[serde(default)]
    pub directories: Vec<Directory>,
    /// The mail that is here.
    pub spool: Spool,
    /// The journal under it.
    pub journal: Journal,
    /// What the node is short of, and what it does about it.
    #[serde(default)]
    pub pressure: Pressure,
    /// Events since the start, by kind.
    pub events: Vec<(String, u64)>,
    /// Trace lines that were dropped.
    pub trace_dropped: u64,
    /// The organization document that runs against the one that counts; nothing without `[cluster]`.
    #[serde(default)]
    pub org: Option<Org>,
    /// What is wrong with the cluster, as far as it is known without asking the other nodes; nothing without `[cluster]`.
    #[serde(default)]
    pub cluster: Option<ClusterState>,
    /// What runs against what is written.
    pub config: Config,
}

/// The cluster at a glance.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ClusterState {
    /// etcd answers.
    pub etcd: bool,
    /// Since when it does, or does not.
    pub etcd_since: String,
    /// What is wrong, and what to do.
    pub wrong: Vec<String>,
}

/// One socket.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Listener {
    /// Where.
    pub address: String,
    /// `smtp`, `submission`, `lmtp`.
    pub protocol: String,
    /// The receive connectors on it.
    pub connectors: Vec<String>,
    /// Why nobody listens there, and what to do, if the machine does not have the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unbound: Option<String>,
}

/// Another node of the organization.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// Where its links listen.
    pub address: String,
    /// There is a link.
    pub connected: bool,
    /// Since when there is one, or none.
    pub since: String,
    /// The address at the other end of the link.
    pub remote: Option<String>,
    /// The link was made from here.
    pub dialed: bool,
    /// The program at the other end.
    pub version: Option<String>,
    /// Moving average of a heartbeat's way there and back.
    pub round_trip_us: Option<u64>,
    /// When its certificate ends.
    pub certificate_until: Option<String>,
    /// Links that were made since the start.
    pub links: u64,
    /// Bytes from it since the start.
    pub in_bytes: u64,
    /// Bytes to it since the start.
    pub out_bytes: u64,
    /// What went wrong last, and what to do.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<String>,
}

/// A copy of this node's journal on another node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnCopy {
    /// The node that keeps it.
    pub holder: String,
    /// How far it is: `away`, `joining`, `catching up`, `live`, `level`, `resting`, `refused`.
    pub stage: String,
    /// Mail that asks for copies waits for it, and it may take over.
    pub counts: bool,
    /// Bytes of the log that it lacks.
    pub lag_bytes: u64,
    /// For how long it has lacked something.
    pub lag_ms: u64,
    /// What went wrong last, until it is level again.
    pub last_error: Option<String>,
}

/// A copy of another node's journal on this one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct HeldCopy {
    /// `node/journal`.
    pub journal: String,
    /// Its owner's epoch.
    pub epoch: u32,
    /// It has had everything once, and lost nothing since: it may be taken over.
    pub level: bool,
    /// Number of its segments.
    pub segments: u64,
    /// What went wrong last, until something goes right.
    pub last_error: Option<String>,
}

/// A journal that was taken over from another node.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TakenJournal {
    /// `node/journal`.
    pub journal: String,
    /// The epoch under which it is owned here.
    pub epoch: u32,
    /// Messages still to be delivered.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Messages that may have been delivered before the take-over; the log and the trace name them.
    #[serde(default)]
    pub possible_duplicates: u64,
}

/// The spool in a few numbers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Spool {
    /// Messages in custody.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// With something to be tried as soon as its hop takes it.
    pub ready: u64,
    /// Being delivered now.
    pub active: u64,
    /// Waiting for their own retry time.
    pub deferred: u64,
    /// Held by an operator.
    pub suspended: u64,
    /// Set aside because they took the process down.
    pub poison: u64,
    /// Queues.
    pub queues: u64,
    /// Bytes of bodies in memory.
    pub body_memory_bytes: u64,
    /// Accepted since the start.
    pub accepted: u64,
    /// Finished since the start.
    pub finished: u64,
    /// Notifications made since the start.
    pub dsns: u64,
}

/// The journal in a few numbers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Journal {
    /// New mail has room.
    pub room: bool,
    /// Segments with records.
    pub segments: u64,
    /// Empty ones, ready.
    pub spare: u64,
    /// Size of one.
    pub segment_bytes: u64,
    /// Bytes still needed.
    pub live_bytes: u64,
    /// Bytes of finished mail not yet given back.
    pub dead_bytes: u64,
    /// Syncs since the start.
    pub syncs: u64,
    /// Moving average of a sync's duration.
    pub sync_us_mean: u64,
}

/// What runs against what is written.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Config {
    /// The documents; `built in` where there is none.
    pub files: Vec<String>,
    /// When the running configuration was loaded.
    pub loaded: String,
    /// The files say what runs.
    pub as_written: bool,
    /// Where not: lines of a comparison (`-` runs, `+` is written), or what is wrong with the files.
    pub difference: Vec<String>,
}

/// One queue.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Queue {
    /// Its name: `mx:out:example.org`, `smart-hosts:out`, `maildir:posthouse.test`.
    pub name: String,
    /// `active`, `ready`, `retry`, `suspended`, `unreachable`.
    pub state: String,
    /// Why it is in that state, in words.
    pub why: String,
    /// Messages in it.
    pub messages: u64,
    /// Of these, ready to be tried.
    pub ready: u64,
    /// Of these, being delivered now.
    pub active: u64,
    /// Of these, waiting for their own retry time.
    pub deferred: u64,
    /// Of these, suspended one by one.
    pub suspended: u64,
    /// Content bytes.
    pub bytes: u64,
    /// Failures of the hop in a row.
    pub failures: u32,
    /// What it said or did when it failed last.
    pub last_error: Option<String>,
    /// When that was.
    pub last_attempt: Option<String>,
    /// When it is tried next.
    pub next_retry: Option<String>,
    /// The bound of a destination for which it waits now, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_back: Option<String>,
    /// Messages in per second, over the last minute.
    pub incoming_per_s: f32,
    /// Messages out per second, over the last minute.
    pub outgoing_per_s: f32,
    /// Journals besides the node's own that it has mail from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub journals: Vec<String>,
}

/// One message.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// Its sender; empty for the null path.
    pub sender: String,
    /// Content bytes.
    pub size_bytes: u64,
    /// When it was accepted.
    pub accepted: String,
    /// When it will be given up.
    pub expires: String,
    /// `high`, `normal`, `low`.
    pub priority: String,
    /// `suspended` or `poison` if the whole message is held.
    pub held: Option<String>,
    /// How often the process went down with it in hand.
    pub crashes: u32,
    /// The journal that it is in, if that is not the node's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<String>,
    /// It may have been delivered before, when its journal was last in use.
    #[serde(default)]
    pub repeat: bool,
    /// Its recipients, settled ones too.
    pub recipients: Vec<Recipient>,
}

/// One recipient.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Recipient {
    /// The address.
    pub address: String,
    /// Its queue; empty once settled.
    pub queue: String,
    /// `ready`, `active`, `deferred`, `hop-retry`, `suspended`, `poison`, `unreachable`, `settled`.
    pub state: String,
    /// Why it waits, in words.
    pub why: String,
    /// Attempts in this life of the process.
    pub attempts: u32,
    /// When it is tried next.
    pub next_try: Option<String>,
    /// The last answer for it.
    pub last_reply: Option<String>,
}

impl From<spool::Totals> for Spool {
    fn from(of: spool::Totals) -> Spool {
        Spool {
            messages: of.messages,
            bytes: of.bytes,
            ready: of.ready,
            active: of.in_hand,
            deferred: of.deferred,
            suspended: of.suspended,
            poison: of.poison,
            queues: of.queues,
            body_memory_bytes: of.body_memory_bytes,
            accepted: of.accepted,
            finished: of.finished,
            dsns: of.dsns,
        }
    }
}

impl From<journal::Stats> for Journal {
    fn from(of: journal::Stats) -> Journal {
        Journal {
            room: of.free_for_accept,
            segments: of.segments,
            spare: of.spare,
            segment_bytes: of.segment_bytes,
            live_bytes: of.live_bytes,
            dead_bytes: of.dead_bytes,
            syncs: of.syncs,
            sync_us_mean: of.sync_us_mean,
        }
    }
}

impl From<(spool::QueueView, Vec<String>)> for Queue {
    fn from((of, journals): (spool::QueueView, Vec<String>)) -> Queue {
        Queue {
            name: of.key.to_string(),
            state: of.state.word().into(),
            why: why(&of),
            messages: of.messages,
            ready: of.ready,
            active: of.in_hand,
            deferred: of.deferred,
            suspended: of.suspended,
            bytes: of.bytes,
            failures: of.failures,
            last_error: of.last_error,
            last_attempt: of.last_attempt_ms.map(rfc3339),
            next_retry: of.next_retry_ms.map(rfc3339),
            held_back: None,
            incoming_per_s: of.incoming_per_s,
            outgoing_per_s: of.outgoing_per_s,
            journals,
        }
    }
}

fn why(queue: &spool::QueueView) -> String {
    match queue.state {
        spool::QueueState::Active if queue.in_hand > 0 => "mail is being delivered".into(),
        spool::QueueState::Active => "mail waits for a connection".into(),
        spool::QueueState::Ready if queue.deferred > 0 => "some messages wait for their own next try".into(),
        spool::QueueState::Ready => "nothing to do".into(),
        spool::QueueState::Retry => {
            let error = queue.last_error.as_deref().unwrap_or("it could not be reached");
            let times = if queue.failures == 1 { "once".into() } else { format!("{} times in a row", queue.failures) };
            format!("failed {times}: {error}")
        }
        spool::QueueState::Suspended => "suspended by an operator".into(),
        spool::QueueState::Unreachable => "no route: a send connector or an accepted domain must name one".into(),
    }
}

impl From<(spool::MessageView, Option<String>)> for Message {
    fn from((of, journal): (spool::MessageView, Option<String>)) -> Message {
        Message {
            id: of.id.to_string(),
            sender: of.sender,
            size_bytes: of.size_bytes,
            accepted: rfc3339(of.accepted_ms),
            expires: rfc3339(of.expires_ms),
            priority: match of.priority {
                spool::Priority::High => "high",
                spool::Priority::Normal => "normal",
                spool::Priority::Low => "low",
            }
            .into(),
            held: of.held.map(|held| match held {
                spool::Held::Suspended => "suspended".into(),
                spool::Held::Poison => "poison".into(),
            }),
            crashes: of.crashes,
            journal,
            repeat: of.repeat,
            recipients: of.recipients.into_iter().map(Recipient::from).collect(),
        }
    }
}

impl From<spool::RecipientView> for Recipient {
    fn from(of: spool::RecipientView) -> Recipient {
        Recipient {
            address: of.address,
            queue: of.queue,
            state: of.state.word().into(),
            why: of.why,
            attempts: of.attempts,
            next_try: of.next_try_ms.map(rfc3339),
            last_reply: of.last_reply,
        }
    }
}
