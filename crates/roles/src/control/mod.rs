//! What can be asked of a running node and done to it: the verbs behind the HTTP API, in the words of operators.
//!
//! Owns the answers as plain values ([`view`]) and refusals that say what to do. Knows no HTTP. The command line and the page can do
//! nothing that is not here.

mod audit;
mod cluster;
mod directories;
mod explain;
mod naming;
mod nodes;
mod objects;
mod org;
mod removal;
mod restart;
mod services;
mod verbs;
mod virtual_addresses;
mod zones;

use std::fmt;
use std::io;
use std::sync::Arc;

use directory::{AcceptedDomain, Deliver};
use mail::date::rfc3339;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::health::NotReady;
use crate::metrics;
use crate::node::{Node, Running};
use crate::trace::{Filter, TraceEvent};
use crate::view;
pub use directories::DirectoryVerb;
pub use directory::objects::Verb as ObjectVerb;
pub use explain::Case;
pub use objects::{ObjectOrder, ObjectTest};
pub use org::{OrgComparison, OrgDraft, OrgProposal, OrgRollback};
pub use services::MemberOrder;
pub use verbs::{MessageFilter, MessageVerb, QueueVerb, parse_since};

/// A handle on a running node. Cheap to clone.
#[derive(Clone)]
pub struct Control {
    node: Arc<Node>,
    begun: Arc<nodes::Begun>,
}

/// Why something was not done, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Whose fault it is.
    pub kind: RefusalKind,
    /// What is wrong.
    pub error: String,
    /// What the operator can do.
    pub what_to_do: String,
}

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalKind {
    /// The asker's.
    Bad,
    /// What was named is not there.
    Missing,
    /// Not now.
    Busy,
    /// Ours.
    Failed,
}

impl Refusal {
    /// The asker must ask differently.
    pub fn bad(error: String, what_to_do: &str) -> Refusal {
        Refusal { kind: RefusalKind::Bad, error, what_to_do: what_to_do.into() }
    }

    /// What was named is not there.
    pub fn missing(error: String, what_to_do: &str) -> Refusal {
        Refusal { kind: RefusalKind::Missing, error, what_to_do: what_to_do.into() }
    }

    /// It may work later.
    pub fn busy(error: String, what_to_do: &str) -> Refusal {
        Refusal { kind: RefusalKind::Busy, error, what_to_do: what_to_do.into() }
    }

    /// It is our fault.
    pub fn failed(error: String, what_to_do: &str) -> Refusal {
        Refusal { kind: RefusalKind::Failed, error, what_to_do: what_to_do.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.error, self.what_to_do)
    }
}

impl std::error::Error for Refusal {}

/// A domain of ours and where its mail goes: `posthouse.test -> maildir`.
fn kept(domain: &AcceptedDomain) -> String {
    match &domain.deliver {
        Deliver::Maildir => format!("{} -> maildir", domain.name),
        Deliver::Lmtp(target) => format!("{} -> lmtp:{target}", domain.name),
        Deliver::Relay => format!("{} -> send connectors", domain.name),
    }
}

impl Control {
    /// The handle on a node that runs. Other nodes may ask it and order it over their links from now on; once.
    pub fn of(running: &Running) -> Control {
        let control = Control { node: running.node.clone(), begun: Arc::default() };
        control.answer_peers();
        control
    }

    /// The node's name.
    pub fn name(&self) -> String {
        self.node.config.loaded().node.name.clone()
    }

    /// The node at a glance. Reads the documents to compare them: blocks for a moment.
    pub fn status(&self) -> view::Status {
        view::Status { config: self.config(), ..self.pulse() }
    }

    /// The same without the comparison: reads no file.
    pub fn pulse(&self) -> view::Status {
        let node = &self.node;
        let loaded = node.config.loaded();
        let ready = node.health.ready();
        view::Status {
            name: loaded.node.name.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            started: rfc3339(node.started_ms),
            uptime_s: node.uptime_ms() / 1000,
            phase: node.health.phase().word().into(),
            ready: ready.is_ok(),
            reasons: ready.err().map(NotReady::reason).map(String::from).into_iter().collect(),
            data: node.data.root().display().to_string(),
            listeners: node.listeners.shown(),
            http: loaded.node.http.listen.to_string(),
            domains: loaded.org.accepted_domains.iter().map(|domain| kept(domain)).collect(),
            peers_listen: loaded.node.peers.as_ref().map(|peers| peers.listen.to_string()),
            peers_certificate_until: node.peers.as_ref().map(|peers| rfc3339(peers.certificate_until_ms())),
            peers: node.peers.as_ref().map(|peers| peers.states()).unwrap_or_default(),
            copies: node.copies.as_ref().map(|copies| copies.own.shown()).unwrap_or_default(),
            held: node.copies.as_ref().map(|copies| copies.held.shown()).unwrap_or_default(),
            taken: node.copies.as_ref().map(|copies| copies.taken.shown()).unwrap_or_default(),
            directories: self.directories(),
            spool: node.spool.totals().into(),
            journal: node.spool.journal_stats().into(),
            pressure: node.pressure.shown(),
            events: node.trace.counts().map(|(kind, count)| (kind.word().to_string(), count)).collect(),
            trace_dropped: node.trace.dropped(),
            org: self.org(),
            cluster: self.cluster_state(),
            config: view::Config::default(),
        }
    }

    /// Whether mail can be taken now.
    pub fn ready(&self) -> Result<(), NotReady> {
        self.node.health.ready()
    }

    /// The page for Prometheus.
    pub fn metrics(&self) -> String {
        metrics::page(&self.node)
    }

    /// Events that match, newest first. Blocks for reading files.
    pub fn trace(&self, filter: &Filter) -> Result<Vec<TraceEvent>, Refusal> {
        let failed =
            |error: io::Error| Refusal::failed(format!("the trace cannot be read: {error}"), "look at DATA/trace");
        self.node.trace.search(filter).map_err(failed)
    }

    /// Events from now on.
    pub fn events(&self) -> broadcast::Receiver<Arc<[TraceEvent]>> {
        self.node.trace.subscribe()
    }

    /// Unix milliseconds now.
    pub fn now_ms(&self) -> u64 {
        self.node.world.clock.wall_ms()
    }

    /// What runs against what is written. Blocks for reading files.
    pub fn config(&self) -> view::Config {
        self.node.config.compare()
    }

    /// The documents that say what runs, defaults included, password hashes hidden: node and organization.
    pub fn config_text(&self) -> (String, String) {
        self.node.config.loaded().to_toml(directory::Secrets::Hide)
    }

    /// Takes the organization document as it is written now, if it is sound. Blocks for reading files.
    pub fn reload(&self) -> Result<view::Config, Refusal> {
        self.node.reload().map_err(|what| Refusal::bad(what, "nothing was changed; correct it and reload again"))?;
        Ok(self.config())
    }

    /// Delivers from here what the copy of `node`'s journal holds; `node` is refused from then on. While it answers, only by force. Blocks.
    pub fn take_over(&self, node: &str, force: bool, who: &str) -> Result<u64, Refusal> {
        let none = || Refusal::missing(String::from("this node has no peers"), "name them in posthouse.toml");
        let (copies, peers) = self.node.copies.as_ref().zip(self.node.peers.as_ref()).ok_or_else(none)?;
        let node = node.to_ascii_lowercase();
        if peers.is_up(&node) && !force {
            let error = format!("{node} is up and owns its journal");
            return Err(Refusal::busy(error, "stop it first; or say --force, and it ends by itself"));
        }
        if self.node.cluster.is_some() {
            let error = String::from(
                "this node is in a cluster: journals are taken over by themselves when their owner's lease ends",
            );
            return Err(Refusal::bad(
                error,
                "posthouse cluster status shows who owns what; posthouse node drain hands one over",
            ));
        }
        let taken = copies.take_over_alone(&self.node.world, &node, &self.node.places());
        let messages = taken.map_err(|error| Refusal::failed(error, "posthouse journal list shows the copies here"))?;
        tracing::warn!("{who} had this node take over the journal of {node}: {messages} messages");
        Ok(messages)
    }
}
