//! Zones of the document, and what verbs on them found and did.

use serde::{Deserialize, Serialize};

/// A zone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Zone {
    /// Its name.
    pub name: String,
    /// This node answers for it.
    pub served: bool,
    /// The version that this node answers with.
    pub serial: Option<u32>,
    /// Records that stand now, without the SOA.
    pub records: u64,
    /// Records of the document that do not stand now, and why.
    pub withheld: Vec<String>,
    /// Names and types that hang on nothing that is up: all of theirs are given.
    pub all_down: Vec<String>,
    /// Names whose records hang on health, each with the records of one type.
    #[serde(default)]
    pub names: Vec<ZoneName>,
    /// Its name servers.
    pub name_servers: Vec<String>,
    /// Who copies it.
    pub secondaries: Vec<String>,
    /// Where it is pushed to.
    pub push: Option<ZonePushed>,
}

/// Records of one name and type of which some hang on how servers, services or virtual addresses stand.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ZoneName {
    /// The name.
    pub name: String,
    /// The type, for example `A`.
    pub kind: String,
    /// Nothing behind it is up, so all of them are answered.
    pub all_down: bool,
    /// What the document gives, answered or not.
    pub records: Vec<ZoneRecord>,
}

/// One record of those.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ZoneRecord {
    /// What it says.
    pub data: String,
    /// It is answered.
    pub stands: bool,
    /// Why, or why not.
    pub why: String,
}

/// Where a zone is pushed to, and how that goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ZonePushed {
    /// The primary of others.
    pub server: String,
    /// The key that signs.
    pub key: Option<String>,
    /// It is pushed by itself.
    pub on_change: bool,
    /// This node does it.
    pub here: bool,
    /// When this node last found or made it as it should be.
    pub pushed: Option<String>,
    /// Why it is not.
    pub wrong: Option<String>,
}

/// A zone as a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ZoneFile {
    /// Its name.
    pub zone: String,
    /// The version that it says.
    pub serial: u32,
    /// The file.
    pub text: String,
}

/// A push that was planned, or done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ZonePush {
    /// The zone.
    pub zone: String,
    /// The server.
    pub server: String,
    /// It was sent and taken. Otherwise it is a plan, or there was nothing to do.
    pub sent: bool,
    /// Each set that changes, or cannot.
    pub steps: Vec<ZoneStep>,
    /// Sets that the server said yes to, and does not have.
    pub not_taken: Vec<String>,
}

/// One set of a push.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ZoneStep {
    /// `add`, `replace`, `remove`, `adopt` (it is there as we want it and becomes ours), `foreign` (somebody else's: it stays), `meddled`
    /// (ours, and changed by somebody else since: it stays).
    pub what: String,
    /// Name and type.
    pub set: String,
    /// What is there.
    pub before: Vec<String>,
    /// What we want there.
    pub after: Vec<String>,
}

/// What the world sees of a zone against what we want.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ZoneCheck {
    /// The zone.
    pub zone: String,
    /// The servers that were asked, and the version of each or why there is none.
    pub servers: Vec<String>,
    /// The worst first.
    pub findings: Vec<ZoneFinding>,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ZoneFinding {
    /// `problem`, `warning`, `note`.
    pub grade: String,
    /// What.
    pub what: String,
    /// What to do.
    pub advice: String,
}

impl ZoneCheck {
    /// Mail or clients fail because of something.
    pub fn has_problems(&self) -> bool {
        self.findings.iter().any(|finding| finding.grade == "problem")
    }
}
