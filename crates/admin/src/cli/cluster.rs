//! The verbs on the cluster and its nodes.

use std::time::Duration;

use clap::Subcommand;
use roles::view::{Cluster, ClusterJournal, ClusterNode, HandOver as Progress, JournalCopy, Nodes};

use super::client::{Client, Trouble, segment};
use super::json::print_json;
use super::table::{Table, number, size, text, time};
use crate::api::{Done, HandOver, RemoveNode};

/// What can be asked of the cluster.
#[derive(Subcommand)]
pub enum ClusterWords {
    /// What is wrong and what to do; etcd, nodes, journals
    Status,
}

/// What is done with nodes.
#[derive(Subcommand)]
pub enum NodeWords {
    /// All nodes that this one knows
    List,
    /// Take no new mail there; what is there is delivered, or with --hand-over given to another node
    Drain {
        /// The node [default: the one that is asked]
        node: Option<String>,
        /// Hand its journals to nodes that have copies, wait until they have them, and end the node: it may be switched off then
        #[arg(long)]
        hand_over: bool,
        /// To this node, and to no other
        #[arg(long, value_name = "OTHER", requires = "hand_over")]
        to: Option<String>,
    },
    /// Take new mail there again
    Resume {
        /// The node [default: the one that is asked]
        node: Option<String>,
    },
    /// Forget a node that never comes back
    #[command(after_help = REMOVE)]
    Remove {
        /// The node
        node: String,
        /// Give up accepted mail that no other node can deliver
        #[arg(long)]
        lose_its_mail: bool,
    },
}

/// For the help.
pub const EXAMPLES: &str = "Examples:
  posthouse node list                                 who is there, and takes mail?
  posthouse node drain mx2.example.org                no new mail there; it can be asked of any node of the cluster
  posthouse node drain mx2.example.org --hand-over    and another node delivers what is left: mx2 may be switched off
  posthouse node resume mx2.example.org               new mail again
  posthouse node remove mx2.example.org               it was scrapped: forget it";

const REMOVE: &str = "It is refused while the node is there, while another node still delivers its mail, and while it owns a journal that nobody
has taken over. For that last case there is --lose-its-mail: accepted mail that is only on its disk, or on disks of other nodes
that are gone, is given up. Never start a removed node on its old disk again: what was delivered for it would be delivered twice.";

/// `posthouse cluster status`
pub async fn status(client: &Client, json: bool) -> Result<(), Trouble> {
    let cluster: Cluster = client.get("/cluster", &()).await?;
    if json {
        return print_json(&cluster);
    }
    match cluster.wrong.is_empty() {
        true => println!("all is well, as {} sees it", cluster.node),
        false => cluster.wrong.iter().for_each(|what| println!("! {what}")),
    }
    let etcd = &cluster.etcd;
    let answers = if etcd.answers { "answers" } else { "DOES NOT ANSWER" };
    println!("etcd       {answers} since {} (UTC)", time(&etcd.since));
    for endpoint in &etcd.endpoints {
        println!("           {} {}", endpoint.url, endpoint.says);
    }
    let seen = match cluster.seen.as_str() {
        "yes" => "the others see it",
        "clash" => "ANOTHER NODE HAS ITS NAME",
        _ => "the others may not see it",
    };
    println!("this node  {}; its lease is {}, {seen}", cluster.node, cluster.lease);
    print_nodes(&cluster.nodes);
    print_journals(&cluster.journals);
    cluster.unreadable.iter().for_each(|key| println!("unreadable {key}"));
    Ok(())
}

fn print_nodes(nodes: &[ClusterNode]) {
    let columns = [text("node"), text("is"), text("takes mail"), number("messages"), text("link"), text("place")];
    let more = [number("org"), text("version"), text("links at"), text("disk")];
    let mut table = Table::new(columns.into_iter().chain(more).collect::<Vec<_>>());
    for node in nodes {
        let is = match (&node.gone_since, node.here) {
            (_, true) => "there".into(),
            (Some(since), false) => format!("GONE since {}", time(since)),
            (None, false) => "GONE".into(),
        };
        let takes = match node.health.as_str() {
            "ready" => "yes".into(),
            "" => String::new(),
            word => format!("NO: {word}"),
        };
        let place: Vec<&str> =
            [&node.site, &node.rack].into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        table.row(vec![
            node.name.clone(),
            is,
            takes,
            node.messages.map(|messages| messages.to_string()).unwrap_or_default(),
            match node.link {
                None => "asked".into(),
                Some(true) => "up".into(),
                Some(false) => "DOWN".into(),
            },
            place.join("/"),
            if node.org == 0 { String::new() } else { node.org.to_string() },
            node.version.clone(),
            node.address.clone(),
            node.disk.clone(),
        ]);
    }
    table.print("no node is there");
}

/// The journals of a cluster, one line a copy.
pub fn print_journals(journals: &[ClusterJournal]) {
    let columns = [text("journal"), text("is"), text("owner"), number("epoch"), number("messages")];
    let more = [text("copy on"), text("state"), text("counts"), number("lacks"), number("for"), text("last error")];
    let mut table = Table::new(columns.into_iter().chain(more).collect::<Vec<_>>());
    for journal in journals {
        let mut lines: Vec<Option<&JournalCopy>> = journal.copies.iter().map(Some).collect();
        if lines.is_empty() {
            lines.push(None);
        }
        for (line, copy) in lines.into_iter().enumerate() {
            let mut cells = if line == 0 { journal_cells(journal) } else { vec![String::new(); 5] };
            cells.extend(copy.map(copy_cells).unwrap_or_default());
            table.row(cells);
        }
    }
    table.print("etcd knows no journal");
}

fn journal_cells(journal: &ClusterJournal) -> Vec<String> {
    let from = journal.taken_from.as_deref().filter(|_| journal.state == "taken");
    let is = match (from, &journal.taken_at, &journal.successor) {
        (_, _, Some(to)) => format!("being handed to {to}"),
        (Some(from), Some(at), None) => format!("taken from {from} at {}", time(at)),
        _ if journal.state == "orphan" => String::from("NOBODY'S"),
        _ => journal.state.clone(),
    };
    let owner = if journal.held { journal.owner.clone() } else { format!("({})", journal.owner) };
    let messages = journal.messages.map(|messages| messages.to_string()).unwrap_or_default();
    vec![journal.name.clone(), is, owner, journal.epoch.to_string(), messages]
}

fn copy_cells(copy: &JournalCopy) -> Vec<String> {
    let Some(state) = &copy.state else {
        let counts = if copy.in_level_set { "yes, says etcd" } else { "no" };
        return vec![copy.holder.clone(), "(owner not asked)".into(), counts.into()];
    };
    vec![
        copy.holder.clone(),
        state.stage.clone(),
        if state.counts { "yes".into() } else { "NO".into() },
        size(state.lag_bytes),
        format!("{:.1} s", state.lag_ms as f64 / 1000.0),
        state.last_error.clone().unwrap_or_default(),
    ]
}

/// `posthouse node ...`
pub async fn node(client: &Client, verb: NodeWords, json: bool) -> Result<(), Trouble> {
    let done = match verb {
        NodeWords::List => {
            let nodes: Nodes = client.get("/nodes", &()).await?;
            if json {
                return print_json(&nodes);
            }
            print_nodes(&nodes.nodes);
            return Ok(());
        }
        NodeWords::Drain { node, hand_over: true, to } => {
            let node = named(client, node).await?;
            return hand_over(client, &node, to, json).await;
        }
        NodeWords::Drain { node, .. } => order(client, node, "drain").await?,
        NodeWords::Resume { node } => order(client, node, "resume").await?,
        NodeWords::Remove { node, lose_its_mail } => {
            client.post(&format!("/nodes/{}/remove", segment(&node)), &RemoveNode { lose_its_mail }).await?
        }
    };
    say(&done, json)
}

async fn order(client: &Client, node: Option<String>, verb: &str) -> Result<Done, Trouble> {
    let node = named(client, node).await?;
    client.post(&format!("/nodes/{}/{verb}", segment(&node)), &()).await
}

/// The node that is meant: the one that is asked, if none is named.
async fn named(client: &Client, node: Option<String>) -> Result<String, Trouble> {
    match node {
        Some(node) => Ok(node),
        None => Ok(client.get::<Nodes>("/nodes", &()).await?.node),
    }
}

fn say(done: &Done, json: bool) -> Result<(), Trouble> {
    if json {
        return print_json(done);
    }
    println!("{}", done.done);
    Ok(())
}

/// Begins a hand-over and looks on until it is over.
async fn hand_over(client: &Client, node: &str, to: Option<String>, json: bool) -> Result<(), Trouble> {
    let path = format!("/nodes/{}/hand-over", segment(node));
    let begun: Done = client.post(&path, &HandOver { to }).await?;
    if !json {
        println!("{}", begun.done);
    }
    let mut said = String::new();
    for _ in 0..LOOKS_MAX {
        tokio::time::sleep(LOOK_EVERY).await;
        let progress: Progress = match client.get(&path, &()).await {
            Ok(progress) => progress,
            Err(Trouble::NoNode(_)) => {
                let error = format!(
                    "{node} has ended before it could tell who has its journals; ask another node: posthouse cluster status"
                );
                return Err(Trouble::NoNode(error));
            }
            Err(trouble) => return Err(trouble),
        };
        if let Some(done) = progress.done {
            return say(&Done { done }, json);
        }
        if let Some(failed) = progress.failed {
            return Err(Trouble::Failed(format!(
                "not handed over: {failed}; nothing is lost, {node} starts again and goes on"
            )));
        }
        let line = line(&progress);
        if !json && line != said {
            println!("{line}");
            said = line;
        }
    }
    Err(Trouble::Failed(format!("{node} has not handed over in time; posthouse cluster status shows who owns what")))
}

fn line(progress: &Progress) -> String {
    let Progress { stage, in_flight, lag_bytes, .. } = progress;
    format!("  {stage}: {in_flight} messages being delivered, copies lack {}", size(*lag_bytes))
}

const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Longer than a node gives to what is in flight, to its copies, and to those who take its journals.
const LOOKS_MAX: u32 = 600;
