//! Owns the words of the API that its server and its client share. Knows neither of them.

use roles::audit::Entry;
use roles::control::Refusal;
use roles::trace::TraceEvent;
use roles::view::{Directory, Kind, Message, Object, Org, OrgText, OrgVersion, Queue, VirtualAddress};
use serde::{Deserialize, Serialize};

/// What every error looks like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// What is wrong.
    pub error: String,
    /// What the asker can do.
    pub what_to_do: String,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        Error { error: refusal.error, what_to_do: refusal.what_to_do }
    }
}

/// All queues.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Queues {
    /// By name.
    pub queues: Vec<Queue>,
}

/// All LDAP directories.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Directories {
    /// In order of the document.
    pub directories: Vec<Directory>,
}

/// A page of messages.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Messages {
    /// Oldest first.
    pub messages: Vec<Message>,
    /// Ask with `after` this for the next page; none if this was the last one.
    pub next: Option<String>,
}

/// What a search of the trace found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Events {
    /// Newest first.
    pub events: Vec<TraceEvent>,
}

/// What a search of the trace asks for. All that is given must fit.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TraceQuery {
    /// A part of a recipient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// A part of the sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The event's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Not older than `1h`, or than an RFC 3339 time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// What `explain` answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explained {
    /// Several lines for a person.
    pub text: String,
}

/// How a message is removed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RemoveQuery {
    /// The sender is not told.
    pub no_dsn: bool,
}

/// Where a message is redirected to.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// A next hop, or an address whose route is meant.
    pub to: String,
}

/// A thing was done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Done {
    /// What.
    pub done: String,
}

/// The documents that say what runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Documents {
    /// The node document.
    pub node: String,
    /// The organization document.
    pub org: String,
}

/// Whether mail can be taken.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ready {
    /// It can.
    pub ready: bool,
    /// Why not.
    pub reasons: Vec<String>,
}

/// The header in which a client says who asks, for the trace.
pub const WHO: &str = "x-posthouse-who";

/// Which service's member is meant.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct OfService {
    /// The service; nothing: the only one that has such a member.
    pub service: Option<String>,
}

/// `POST /api/v1/nodes/{node}/hand-over`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct HandOver {
    /// To which node; nothing: to whichever has a copy that counts.
    pub to: Option<String>,
}

/// `POST /api/v1/nodes/{node}/remove`
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RemoveNode {
    /// Mail that nobody else can deliver is given up.
    pub lose_its_mail: bool,
}

/// `POST /api/v1/virtual-addresses/{name}/move`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MoveAddress {
    /// To which node; nothing: to whichever would have it and stands first.
    pub to: Option<String>,
}

/// All virtual addresses.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VirtualAddresses {
    /// In order of the document.
    pub virtual_addresses: Vec<VirtualAddress>,
}

/// `POST /api/v1/journals/{node}/take-over`
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TakeOver {
    /// Although the node answers.
    pub force: bool,
}

/// The organization document.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OrgDocument {
    /// The one that counts, as the node knows it.
    #[serde(flatten)]
    pub document: OrgText,
    /// What runs where; nothing without `[cluster]`.
    pub state: Option<Org>,
}

/// Versions of the organization document.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OrgHistory {
    /// The newest first.
    pub versions: Vec<OrgVersion>,
}

/// The kinds of objects of the organization document.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kinds {
    /// In order of the reference.
    pub kinds: Vec<Kind>,
}

/// The objects of one kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Objects {
    /// In order of the document.
    pub objects: Vec<Object>,
}

/// Whether a change is only shown.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DryRun {
    /// Nothing is done.
    pub dry_run: bool,
}

/// What a search of the audit log asks for. All that is given must fit.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditQuery {
    /// Not older than `1h`, or than an RFC 3339 time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// A part of the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// A part of the verb.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verb: Option<String>,
    /// A part of who it was, or from where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// What a search of the audit log found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Audited {
    /// Newest first.
    pub entries: Vec<Entry>,
}

/// `GET /api/v1/zones/{name}/file`
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ZoneFileQuery {
    /// As it is answered by health now, and not as the document has it.
    pub now: bool,
}

/// `GET` (what would be written) and `POST /api/v1/zones/{name}/push`
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ZonePushQuery {
    /// Records of others under names and types of ours are taken over.
    pub overwrite: bool,
}

/// `GET /api/v1/zones/{name}/check`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ZoneCheckQuery {
    /// Name servers to ask, with commas between them; those of the parent zone if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Resolvers to ask, with commas between them; those of the node if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolver: Option<String>,
}
