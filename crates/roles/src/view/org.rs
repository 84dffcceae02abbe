//! The organization document and its versions, as the API shows them. Password hashes are never in it.

use cluster::org::Document;
use mail::date::rfc3339;
use serde::{Deserialize, Serialize};

/// One version of the organization document, without its text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrgVersion {
    /// Counts from 1.
    pub version: u64,
    /// Who applied it.
    pub who: String,
    /// When.
    pub when: String,
    /// Why.
    pub why: String,
}

/// What runs on a node of a cluster against what counts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Org {
    /// Where what runs here comes from: `etcd`, `cache` (etcd was not heard since the start), `file`, `built in`.
    pub source: String,
    /// The version that runs here, if it is one of etcd's.
    pub runs: Option<OrgVersion>,
    /// The version that counts, as this node knows it.
    pub counts: Option<OrgVersion>,
    /// Why this node does not run the version that counts.
    pub refused: Option<String>,
    /// What else the operator should know.
    pub notes: Vec<String>,
    /// All nodes that are there, and what they run.
    pub nodes: Vec<OrgNode>,
}

/// What a node runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrgNode {
    /// Its name.
    pub node: String,
    /// The version that it runs; 0 if it is none of etcd's.
    pub runs: u64,
    /// Why it does not run the version that counts.
    pub refused: Option<String>,
}

/// A version with its text.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct OrgText {
    /// The version; none for a document that is not one of etcd's.
    pub version: Option<OrgVersion>,
    /// `org.toml` as it is written, `(hidden)` in the place of password hashes. Applied so, they stay what they are.
    pub text: String,
}

/// What is thought of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrgChecked {
    /// Why it would not be applied, with line and column.
    pub problems: Vec<String>,
    /// What is allowed but hardly meant.
    pub warnings: Vec<String>,
}

/// A comparison.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct OrgDifference {
    /// The version that counts now: the base for an `apply`. 0 when there is none.
    pub base: u64,
    /// What is compared, in words.
    pub from: String,
    /// With what.
    pub to: String,
    /// Lines as of `diff -u`; empty if nothing differs.
    pub difference: Vec<String>,
    /// What is thought of a document that was given.
    pub checked: OrgChecked,
}

/// A version was made.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct OrgApplied {
    /// The version that counts now.
    pub version: OrgVersion,
    /// It was there before: nothing differed.
    pub unchanged: bool,
    /// What differs from the version before, as lines of `diff -u`.
    #[serde(default)]
    pub difference: Vec<String>,
    /// What is allowed but hardly meant.
    pub warnings: Vec<String>,
}

impl From<&Document> for OrgVersion {
    fn from(of: &Document) -> OrgVersion {
        OrgVersion { version: of.version, who: of.who.clone(), when: rfc3339(of.when_ms), why: of.why.clone() }
    }
}
