//! Owns the words of the command line and what its help says.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use roles::control::{Case, MessageFilter};

use super::audit::AuditWords;
use super::cluster::{self, ClusterWords, NodeWords};
use super::dev::{self, DevWords};
use super::directories::DirectoryWords;
use super::familiar::fields::FieldsWords;
use super::org::{self, OrgWords};
use super::pki::{self, PkiWords};
use super::restart;
use super::services::{self, ServiceWords};
use super::vip::{self, VipWords};
use super::zones::{self, DnsWords};
use crate::api::TraceQuery;

/// Posthouse takes mail, keeps every message that it has answered 250 for, and delivers it.
#[derive(Parser)]
#[command(name = "posthouse", disable_version_flag = true, after_help = EXAMPLES)]
pub struct Cli {
    /// The node's API [default: $POSTHOUSE_URL, or http://127.0.0.1:8025]
    #[arg(long, global = true, value_name = "URL")]
    pub url: Option<String>,
    /// Print JSON, as the API gives it
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

const EXAMPLES: &str = "Examples:
  posthouse start                                      a node on loopback that keeps mail for *@posthouse.test
  posthouse start --relay-to 10.0.0.5:25,10.0.0.6:25   a relay for this machine
  posthouse init --role hub --name hub1.example.org --domain example.org
  posthouse start --config posthouse.toml --org org.toml
  posthouse check --config posthouse.toml --org org.toml
  posthouse dev cluster                                three nodes on this machine: kill one and see what happens
  posthouse status                                     is it well, and what waits?
  posthouse queue list                                 where mail waits, why, and when it is tried next
  posthouse message list --recipient bob@example.org   which messages wait for bob
  posthouse trace --to bob@example.org --since 1h      what happened to bob's mail
  posthouse queue retry mx:out:example.org             try it now
  posthouse service drain hub2 --wait                  take a member out of its service, and wait until it is idle
  posthouse cluster status                             is the cluster well, and if not, what is to be done?
  posthouse help verbs                                 familiar verbs (Get-Queue, Set-SendConnector, ...) work too

Exit codes: 0 done, 1 not done, 2 not understood, 3 no node answers.";

/// The verbs.
#[derive(Subcommand)]
pub enum Verb {
    /// Start a node; it runs until SIGTERM or Ctrl-C
    Start(StartWords),
    /// Write the documents of a new server: the receive connectors that a hub or an edge starts with
    Init(InitWords),
    /// Check documents without starting anything
    Check(Documents),
    /// Say what a connection or an address meets (in a running node, or in documents that are named)
    Explain(ExplainWords),
    /// Print a JSON Schema of org.toml, or with --node of posthouse.toml, for editors
    Schema {
        /// Of the node document
        #[arg(long)]
        node: bool,
    },
    /// Read a password from standard input and print what org.toml keeps of it
    HashPassword {
        /// Keys for SCRAM-SHA-256 (good for every mechanism) and not an argon2id hash (PLAIN and LOGIN only)
        #[arg(long)]
        scram: bool,
    },
    /// LDAP directories: what they tell, read them now, accept a result that is held
    #[command(subcommand)]
    Directory(DirectoryWords),
    /// Certificates by which the nodes of an organization know each other
    #[command(after_help = pki::EXAMPLES)]
    Pki(PkiWords),
    /// A cluster on this machine, for trying things out
    #[command(after_help = dev::EXAMPLES)]
    Dev(DevWords),
    /// The node at a glance
    Status,
    /// Whether the node takes mail now: exit code 0 if it does, 1 if not, 3 if no node answers; for check scripts
    Health {
        /// Wait for the answer for so long
        #[arg(long, value_name = "MILLISECONDS", default_value_t = 2_000)]
        patience_ms: u64,
    },
    /// What happened to messages, newest first
    Trace(TraceWords),
    /// Who had the node do what, newest first, and what was there before and after
    Audit(AuditWords),
    /// Things field by field, as familiar verbs that begin with Get show them
    #[command(hide = true)]
    Fields(FieldsWords),
    /// Services of the balancer: list them, take members out and put them back
    #[command(subcommand, after_help = services::EXAMPLES)]
    Service(ServiceWords),
    /// Zones of DNS: list, export, push to other servers, check against what the world sees
    #[command(subcommand, after_help = zones::EXAMPLES)]
    Dns(DnsWords),
    /// Queues: one for each next hop
    #[command(subcommand)]
    Queue(QueueWords),
    /// Messages in custody
    #[command(subcommand)]
    Message(MessageWords),
    /// Journals: copies of this node's on others, of theirs on this one, and those that it has taken over
    #[command(subcommand)]
    Journal(JournalWords),
    /// The cluster as a whole
    #[command(subcommand)]
    Cluster(ClusterWords),
    /// Nodes: list them, take them out of service, hand their journals over, forget them
    #[command(subcommand, after_help = cluster::EXAMPLES)]
    Node(NodeWords),
    /// Virtual addresses: which node has one, and moving it to another
    #[command(subcommand, after_help = vip::EXAMPLES)]
    Vip(VipWords),
    /// The guard of a node's virtual addresses; started by the node
    #[command(hide = true)]
    GuardAddresses,
    /// The organization document: its objects one by one; and in a cluster compare, apply, history, rollback
    #[command(subcommand, after_help = org::EXAMPLES)]
    Org(OrgWords),
    /// Print the documents that say what runs, defaults included
    Config,
    /// Take the organization document as it is written now
    Reload,
    /// Start the program again without a gap: a new process takes the place of the one that runs
    #[command(after_help = restart::RESTART)]
    Restart,
    /// Print the version
    Version,
}

/// How a node is started.
#[derive(Args, Default)]
pub struct StartWords {
    /// Node document: name, data, http, tls, log, limits
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Organization document: domains, connectors, users, retry
    #[arg(long, value_name = "FILE")]
    pub org: Option<PathBuf>,
    /// Relay all mail of this machine to these smart hosts, in rotation
    #[arg(long, value_name = "HOST[:PORT],...", value_delimiter = ',', conflicts_with = "org")]
    pub relay_to: Vec<String>,
    /// Data directory [default: ./posthouse-data, or what the node document says]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where SMTP listens [default: 127.0.0.1:2525]; with --org, the document says
    #[arg(long, value_name = "ADDRESS")]
    pub smtp: Option<SocketAddr>,
    /// Where submission listens [default: 127.0.0.1:5870]; with --org, the document says
    #[arg(long, value_name = "ADDRESS")]
    pub submission: Option<SocketAddr>,
    /// Where the API and the page listen [default: 127.0.0.1:8025]
    #[arg(long, value_name = "ADDRESS")]
    pub http: Option<SocketAddr>,
    /// Take the place of the process that runs on this data directory, without refusing a connection (posthouse restart does it)
    #[arg(long)]
    pub succeed: bool,
}

/// What a new server is.
#[derive(Args)]
pub struct InitWords {
    /// `hub`: users and our own servers, nobody else; `edge`: the Internet
    #[arg(long, value_name = "ROLE", value_parser = ["hub", "edge"])]
    pub role: String,
    /// Host name of the server
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// The organization's first domain
    #[arg(long, value_name = "DOMAIN")]
    pub domain: String,
    /// Where posthouse.toml and org.toml are written; neither may be there
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
}

/// Documents by name.
#[derive(Args, Default)]
pub struct Documents {
    /// Node document
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Organization document
    #[arg(long, value_name = "FILE")]
    pub org: Option<PathBuf>,
}

impl Documents {
    /// At least one is named.
    pub fn any(&self) -> bool {
        self.config.is_some() || self.org.is_some()
    }
}

/// What is to be explained.
#[derive(Args)]
pub struct ExplainWords {
    /// The peer
    #[arg(long, value_name = "IP")]
    pub from: String,
    /// Our address; :25 is whichever of ours listens on that port
    #[arg(long, value_name = "IP:PORT")]
    pub to: String,
    /// A sender; <> is the null sender
    #[arg(long, value_name = "ADDRESS")]
    pub mail: Option<String>,
    /// A recipient
    #[arg(long, value_name = "ADDRESS")]
    pub rcpt: Option<String>,
    /// Size of the message: 500, 10KB, 40MB
    #[arg(long)]
    pub size: Option<String>,
    /// A user who has logged on
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// As this server of the organization sees it [default: the node that is asked]
    #[arg(long, value_name = "NAME")]
    pub server: Option<String>,
    /// As the servers of this site see it
    #[arg(long, value_name = "NAME", conflicts_with = "server")]
    pub site: Option<String>,
    /// Documents instead of the running node
    #[command(flatten)]
    pub documents: Documents,
}

impl ExplainWords {
    /// The case that is meant.
    pub fn case(&self) -> Case {
        let ExplainWords { from, to, mail, rcpt, size, user, server, site, documents: _ } = self;
        Case {
            from: from.clone(),
            to: to.clone(),
            mail: mail.clone(),
            rcpt: rcpt.clone(),
            size: size.clone(),
            user: user.clone(),
            server: server.clone(),
            site: site.clone(),
        }
    }
}

/// Which events.
#[derive(Args)]
pub struct TraceWords {
    /// A part of a recipient
    #[arg(long, value_name = "ADDRESS")]
    pub to: Option<String>,
    /// A part of the sender; <> is the null sender
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<String>,
    /// One message
    #[arg(long)]
    pub id: Option<String>,
    /// RECEIVE, REFUSE, RESOLVE, EXPAND, REDIRECT, DEFER, SEND, DELIVER, FAIL, DSN, POISON, REPEAT, ADMIN or DROP
    #[arg(long, value_name = "WORD")]
    pub event: Option<String>,
    /// Not older than this: 30m, 2h, 1d, or an RFC 3339 time
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// At most so many [default: 100]
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

impl From<TraceWords> for TraceQuery {
    fn from(TraceWords { to, from, id, event, since, limit }: TraceWords) -> TraceQuery {
        TraceQuery { to, from, id, event, since, limit }
    }
}

/// What is done with queues.
#[derive(Subcommand)]
pub enum QueueWords {
    /// All queues, and why mail waits in them
    List,
    /// One queue and its messages
    Show {
        /// Its name, as the list shows it
        name: String,
    },
    /// Hold a queue; mail still comes in
    Suspend {
        /// Its name
        name: String,
    },
    /// Let a queue go on
    Resume {
        /// Its name
        name: String,
    },
    /// Try a queue now
    Retry {
        /// Its name
        name: String,
    },
}

/// What is done with journals.
#[derive(Subcommand)]
pub enum JournalWords {
    /// All journals of the cluster, or of this node and its peers: owners, copies, how far each copy is
    List,
    /// Deliver from this node what its copy of a dead node's journal holds
    #[command(after_help = TAKE_OVER)]
    TakeOver {
        /// The node that is dead
        node: String,
        /// It is understood
        #[arg(long)]
        yes: bool,
        /// Although the node answers: it ends by itself then
        #[arg(long)]
        force: bool,
    },
}

/// What somebody has to know who takes a journal over.
pub const TAKE_OVER: &str = "Before you do this, be sure that the node is dead, or stopped for good:
  - What it was delivering when it died may be delivered twice. Nothing is lost.
  - Mail that it took without a copy (when_short = \"accept\", copies = 0) is not in the copy. It stays on the
    node's disk, and is delivered when the node is started again.
  - The node is refused from now on. Started again, it asks what was taken, drops that, and takes new mail.";

/// What is done with messages.
#[derive(Subcommand)]
pub enum MessageWords {
    /// Messages that match, oldest first
    List(Box<ListWords>),
    /// All about one message
    Show {
        /// Its id
        id: String,
    },
    /// Try messages now
    Retry {
        /// Their ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Hold messages
    Suspend {
        /// Their ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Let messages go on that were suspended or set aside
    Resume {
        /// Their ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Remove messages and tell their senders
    Remove {
        /// Their ids
        #[arg(required = true)]
        ids: Vec<String>,
        /// Tell nobody
        #[arg(long)]
        no_dsn: bool,
    },
    /// Write a message as it is kept, its envelope in front
    Export {
        /// Its id
        id: String,
        /// To this file and not to standard output
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Send what is not settled of a message to another next hop
    Redirect {
        /// Its id
        id: String,
        /// smart-hosts:CONNECTOR, mx:CONNECTOR:DOMAIN, lmtp:TARGET, maildir:DOMAIN, site:SITE, servers:connector:CONNECTOR,
        /// servers:domain:DOMAIN, or an address whose route is meant
        to: String,
    },
}

/// Which messages.
#[derive(Args)]
pub struct ListWords {
    /// A part of the sender
    #[arg(long, value_name = "ADDRESS")]
    sender: Option<String>,
    /// A part of a recipient
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<String>,
    /// A part of the name of a queue
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,
    /// A part of the last answer or error
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
    /// ready, active, deferred, hop-retry, suspended, poison or unreachable
    #[arg(long)]
    state: Option<String>,
    /// At least so old: 30m, 2h, 1d
    #[arg(long, value_name = "AGE")]
    older: Option<String>,
    /// At most so old
    #[arg(long, value_name = "AGE")]
    newer: Option<String>,
    /// At least so large: 10KB, 5MB
    #[arg(long, value_name = "SIZE")]
    larger: Option<String>,
    /// At most so large
    #[arg(long, value_name = "SIZE")]
    smaller: Option<String>,
    /// At most so many [default: 100]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Behind this message: the last id of the page before
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    /// Print ids only, for xargs
    #[arg(long)]
    pub ids: bool,
}

impl From<ListWords> for MessageFilter {
    fn from(of: ListWords) -> MessageFilter {
        let ListWords { sender, recipient, queue, error, state, older, newer, larger, smaller, limit, after, ids: _ } =
            of;
        MessageFilter { sender, recipient, queue, error, state, older, newer, larger, smaller, limit, after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_words_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn smart_hosts_are_a_list() {
        let cli = Cli::try_parse_from(["posthouse", "start", "--relay-to", "10.0.0.5:25,10.0.0.6:25"]).unwrap();
        let Verb::Start(words) = cli.verb else { panic!("start") };
        assert_eq!(words.relay_to, ["10.0.0.5:25", "10.0.0.6:25"]);
    }
}
