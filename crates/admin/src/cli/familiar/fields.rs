//! What familiar verbs that begin with Get show: things field by field, `Name : value`, a blank line between two of them.

use clap::Args;
use roles::control::MessageFilter;
use roles::trace::TraceEvent;
use roles::view::{ClusterNode, Message, Nodes, Object, Queue, Status};
use serde::Serialize;

use super::super::client::{Client, Trouble, segment};
use super::super::json::print_json;
use super::super::objects::shown;
use super::filter::Filter;
use super::names;
use crate::api::{Events, Messages, Objects, Queues, TraceQuery};

/// What is shown.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldsWords {
    /// queue, message, trace, node, copy, or a kind of object of the organization document
    of: String,
    /// One of them
    #[arg(long, value_name = "NAME")]
    identity: Option<String>,
    /// Only messages of this queue
    #[arg(long)]
    queue: Option<String>,
    /// Only those that match: Property -eq "value" -and ...
    #[arg(long)]
    filter: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// A part of the sender
    #[arg(long)]
    sender: Option<String>,
    /// A part of a recipient
    #[arg(long)]
    recipient: Option<String>,
    /// An event
    #[arg(long)]
    event: Option<String>,
    /// Not older than this
    #[arg(long)]
    since: Option<String>,
}

/// The fields of one thing.
type Fields = Vec<(String, String)>;

/// Does it.
pub async fn run(client: &Client, words: FieldsWords, json: bool) -> Result<(), Trouble> {
    match words.of.as_str() {
        "queue" => queues(client, &words, json).await,
        "message" => messages(client, &words, json).await,
        "trace" => trace(client, &words, json).await,
        "node" => nodes(client, &words, json).await,
        "copy" => copies(client, &words, json).await,
        kind => objects(client, kind, &words, json).await,
    }
}

async fn queues(client: &Client, words: &FieldsWords, json: bool) -> Result<(), Trouble> {
    let all = match &words.identity {
        Some(name) => vec![client.get(&format!("/queues/{}", segment(name)), &()).await?],
        None => client.get::<Queues>("/queues", &()).await?.queues,
    };
    tell(words, all, queue, json, "there is no queue: no mail waits")
}

fn queue(of: &Queue) -> Fields {
    let (delivery, domain) = of.name.split_once(':').unwrap_or((&of.name, ""));
    let domain = domain.rsplit_once(':').map_or(domain, |(_, domain)| domain);
    fields([
        ("Identity", of.name.clone()),
        ("DeliveryType", delivery.into()),
        ("NextHopDomain", domain.into()),
        ("Status", of.state.clone()),
        ("MessageCount", of.messages.to_string()),
        ("Size", of.bytes.to_string()),
        ("LastError", of.last_error.clone().unwrap_or_default()),
        ("LastRetryTime", of.last_attempt.clone().unwrap_or_default()),
        ("NextRetryTime", of.next_retry.clone().unwrap_or_default()),
        ("RetryCount", of.failures.to_string()),
        ("Velocity", format!("{:.2}", of.outgoing_per_s - of.incoming_per_s)),
    ])
}

async fn messages(client: &Client, words: &FieldsWords, json: bool) -> Result<(), Trouble> {
    let all = match &words.identity {
        Some(id) => vec![client.get(&format!("/messages/{}", segment(id)), &()).await?],
        None => {
            let (queue, sender, recipient) = (words.queue.clone(), words.sender.clone(), words.recipient.clone());
            let limit = Some(if words.filter.is_some() { FOUND_MAX } else { words.limit.unwrap_or(RESULTS) });
            let filter = MessageFilter { queue, sender, recipient, limit, ..MessageFilter::default() };
            client.get::<Messages>("/messages", &filter).await?.messages
        }
    };
    tell(words, all, message, json, "no message matches")
}

fn message(of: &Message) -> Fields {
    let waiting: Vec<_> = of.recipients.iter().filter(|recipient| recipient.state != "settled").collect();
    let joined = |part: &dyn Fn(&roles::view::Recipient) -> String| {
        let mut parts: Vec<String> =
            waiting.iter().map(|recipient| part(recipient)).filter(|part| !part.is_empty()).collect();
        parts.dedup();
        parts.join(", ")
    };
    let status = of.held.clone().unwrap_or_else(|| joined(&|recipient| recipient.state.clone()));
    fields([
        ("Identity", of.id.clone()),
        ("FromAddress", if of.sender.is_empty() { "<>".into() } else { of.sender.clone() }),
        ("Recipients", joined(&|recipient| recipient.address.clone())),
        ("Status", status),
        ("Queue", joined(&|recipient| recipient.queue.clone())),
        ("Size", of.size_bytes.to_string()),
        ("DateReceived", of.accepted.clone()),
        ("ExpirationTime", of.expires.clone()),
        ("Priority", of.priority.clone()),
        ("LastError", joined(&|recipient| recipient.last_reply.clone().unwrap_or_default())),
    ])
}

async fn trace(client: &Client, words: &FieldsWords, json: bool) -> Result<(), Trouble> {
    let query = TraceQuery {
        to: words.recipient.clone(),
        from: words.sender.clone(),
        id: words.identity.clone(),
        event: words.event.clone(),
        since: words.since.clone(),
        limit: Some(if words.filter.is_some() { FOUND_MAX } else { words.limit.unwrap_or(RESULTS) }),
    };
    let found: Events = client.get("/trace", &query).await?;
    tell(words, found.events, event, json, "no event matches")
}

fn event(of: &TraceEvent) -> Fields {
    fields([
        ("Timestamp", of.time.clone()),
        ("EventId", of.event.clone()),
        ("MessageId", of.id.clone().unwrap_or_default()),
        ("Sender", of.sender.clone().unwrap_or_default()),
        ("Recipients", of.recipients.join(", ")),
        ("TotalBytes", of.size_bytes.to_string()),
        ("RecipientCount", of.recipients.len().to_string()),
        ("ConnectorId", of.via.clone()),
        ("ClientHostname", of.peer.clone()),
        ("RecipientStatus", of.reply.clone()),
        ("SourceContext", of.context.clone()),
    ])
}

async fn nodes(client: &Client, words: &FieldsWords, json: bool) -> Result<(), Trouble> {
    let Nodes { nodes, .. } = client.get("/nodes", &()).await?;
    let named = |node: &ClusterNode| words.identity.as_ref().is_none_or(|name| node.name.eq_ignore_ascii_case(name));
    let found: Vec<ClusterNode> = nodes.into_iter().filter(named).collect();
    if let (Some(name), true) = (&words.identity, found.is_empty()) {
        return Err(Trouble::Failed(format!("there is no server {name}; posthouse node list shows them")));
    }
    tell(words, found, node, json, "there is none")
}

fn node(of: &ClusterNode) -> Fields {
    fields([
        ("Name", of.name.clone()),
        ("Site", of.site.clone()),
        ("ServerState", if of.here { of.health.clone() } else { "not to be seen".into() }),
        ("AdminDisplayVersion", of.version.clone()),
        ("MessageCount", of.messages.map(|count| count.to_string()).unwrap_or_default()),
        ("OrganizationVersion", of.org.to_string()),
        ("LastError", of.link_error.clone().unwrap_or_default()),
    ])
}

async fn copies(client: &Client, words: &FieldsWords, json: bool) -> Result<(), Trouble> {
    let status: Status = client.get("/status", &()).await?;
    let name = status.name.clone();
    let copy = |of: &roles::view::OwnCopy| {
        fields([
            ("Identity", format!("{name}\\{}", of.holder)),
            ("SummaryCopyStatus", if of.counts { "Healthy".into() } else { of.stage.clone() }),
            ("CopyQueueLength", of.lag_bytes.to_string()),
            ("CopyQueueTime", format!("{} ms", of.lag_ms)),
            ("LastError", of.last_error.clone().unwrap_or_default()),
        ])
    };
    tell(words, status.copies, copy, json, "no other node keeps a copy of this node's journal")
}

async fn objects(client: &Client, kind: &str, words: &FieldsWords, json: bool) -> Result<(), Trouble> {
    let section = directory::objects::kind(kind).map_err(|error| Trouble::Usage(error.to_string()))?;
    let kind = segment(kind);
    let all = match &words.identity {
        Some(name) => vec![client.get::<Object>(&format!("/org/objects/{kind}/{}", segment(name)), &()).await?],
        None => client.get::<Objects>(&format!("/org/objects/{kind}"), &()).await?.objects,
    };
    let object = |of: &Object| -> Fields {
        let identity = (!of.name.is_empty()).then(|| ("Identity".to_string(), of.name.clone()));
        let rest = of.fields.iter().map(|field| (names::familiar(section, &field.key), shown(field)));
        identity.into_iter().chain(rest).collect()
    };
    tell(words, all, object, json, "there is none")
}

/// Those that match, as JSON or field by field.
fn tell<T: Serialize>(
    words: &FieldsWords,
    all: Vec<T>,
    fields: impl Fn(&T) -> Fields,
    json: bool,
    nothing: &str,
) -> Result<(), Trouble> {
    let filter = words.filter.as_deref().map(Filter::parse).transpose().map_err(Trouble::Usage)?;
    let mut found = Vec::new();
    for one in all {
        let shown = fields(&one);
        let fits = filter.as_ref().map_or(Ok(true), |filter| filter.fits(&shown)).map_err(Trouble::Usage)?;
        if fits {
            found.push((one, shown));
        }
        if found.len() == words.limit.unwrap_or(RESULTS) {
            break;
        }
    }
    if json {
        return print_json(&found.into_iter().map(|(one, _)| one).collect::<Vec<T>>());
    }
    if found.is_empty() {
        println!("{nothing}");
    }
    for (_, shown) in found {
        print!("{}", text(&shown));
    }
    Ok(())
}

fn text(fields: &Fields) -> String {
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    // What a stranger sent must not move the cursor.
    let plain = |value: &str| value.replace(char::is_control, " ");
    let lines = fields.iter().map(|(name, value)| format!("{name:<width$} : {}", plain(value)));
    lines.map(|line| line.trim_end().to_string() + "\n").collect::<String>() + "\n"
}

fn fields<const N: usize>(of: [(&str, String); N]) -> Fields {
    of.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

/// Results where nothing else is said.
const RESULTS: usize = 1_000;
/// Things that a filter is put to.
const FOUND_MAX: usize = 10_000;
