//! The cluster as the API shows it: etcd, nodes, journals, and in sentences what is wrong.

use serde::{Deserialize, Serialize};

/// The cluster as one node sees it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Cluster {
    /// The node that says this.
    pub node: String,
    /// What is wrong and what to do, the worst first; nothing if all is well.
    pub wrong: Vec<String>,
    /// The way to etcd.
    pub etcd: Etcd,
    /// This node's lease: `held`, `not held`.
    pub lease: String,
    /// Whether the others see this node: `yes`, `no`, `clash`.
    pub seen: String,
    /// All nodes that are there, and those that are not and have left a journal behind.
    pub nodes: Vec<ClusterNode>,
    /// All journals.
    pub journals: Vec<ClusterJournal>,
    /// Keys in etcd that this version cannot read.
    pub unreadable: Vec<String>,
}

/// The way to etcd.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Etcd {
    /// It answers.
    pub answers: bool,
    /// Since when it does, or does not.
    pub since: String,
    /// Why not.
    pub error: Option<String>,
    /// How often it came back with an older state than it had, since this node's start.
    pub went_back: u64,
    /// Its members as the node document names them.
    pub endpoints: Vec<EtcdEndpoint>,
}

/// One member of etcd.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct EtcdEndpoint {
    /// Its URL.
    pub url: String,
    /// It answers and knows a leader; nothing if it was not asked.
    pub well: Option<bool>,
    /// What it said, or why it did not.
    pub says: String,
}

/// A node.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ClusterNode {
    /// Its name.
    pub name: String,
    /// It is there: etcd shows it, or without a cluster there is a link.
    pub here: bool,
    /// Since when it is not, as far as this node has seen that.
    pub gone_since: Option<String>,
    /// `ready`, `draining`, or in a word why it takes no mail.
    pub health: String,
    /// The number of its disk.
    pub disk: String,
    /// Its place, for the spread of copies.
    pub site: String,
    /// Its place in the site.
    pub rack: String,
    /// The program.
    pub version: String,
    /// The version of the organization document that it runs; 0 if it is none of etcd's.
    pub org: u64,
    /// Why it does not run the one that counts.
    pub org_refused: String,
    /// Where its links listen.
    pub address: String,
    /// There is a link from here; nothing for this node itself.
    pub link: Option<bool>,
    /// Why not.
    pub link_error: Option<String>,
    /// Messages in its custody, if it said so just now.
    pub messages: Option<u64>,
}

/// A journal.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ClusterJournal {
    /// `node/journal`.
    pub name: String,
    /// `owned` by the node that it was made on, `taken` over by another, `orphan`: nobody has it, `drained`: all of it is delivered.
    pub state: String,
    /// Who owns it, or did.
    pub owner: String,
    /// The owner holds it now.
    pub held: bool,
    /// Its epoch.
    pub epoch: u32,
    /// Its copies.
    pub copies: Vec<JournalCopy>,
    /// To whom it is being handed over.
    pub successor: Option<String>,
    /// From whom its owner took it, last.
    pub taken_from: Option<String>,
    /// When that was.
    pub taken_at: Option<String>,
    /// Messages in it that are not delivered yet, if its owner said so just now.
    pub messages: Option<u64>,
    /// Of an orphan: nodes that may take it over and are there.
    pub takers: Vec<String>,
}

/// A copy of a journal, as its owner sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalCopy {
    /// The node that keeps it.
    pub holder: String,
    /// etcd counts it: this node may take the journal over.
    pub in_level_set: bool,
    /// What its owner said just now; nothing if the owner could not be asked.
    pub state: Option<super::OwnCopy>,
}

/// The nodes that one node knows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Nodes {
    /// The node that says this.
    pub node: String,
    /// All of them.
    pub nodes: Vec<ClusterNode>,
}

/// What a node says of itself to another one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// `ready`, `draining`, or in a word why it takes no mail.
    pub health: String,
    /// Messages in its custody.
    pub messages: u64,
    /// The journals that it owns.
    pub journals: Vec<ReportedJournal>,
    /// Its hand-over, if one was begun.
    pub hand_over: Option<HandOver>,
}

/// A journal that a node owns, as it says itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportedJournal {
    /// `node/journal`.
    pub name: String,
    /// Messages in it that are not delivered yet.
    pub messages: u64,
    /// Its copies.
    pub copies: Vec<super::OwnCopy>,
}

/// How a planned hand-over goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HandOver {
    /// What it does now.
    pub stage: String,
    /// Messages that are being delivered.
    pub in_flight: u64,
    /// Bytes that the copies lack, the largest of them.
    pub lag_bytes: u64,
    /// It is done: who has the journals.
    pub done: Option<String>,
    /// It failed: why.
    pub failed: Option<String>,
}
