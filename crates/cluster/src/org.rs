//! Owns the organization document's versions in etcd: read, apply, history, rollback. Knows nothing of what the document says:
//! whoever applies has checked it. Always holds: a version is written once; who applies has named the version that it replaces;
//! the [`HISTORY_MAX`] newest versions are kept.

use serde::{Deserialize, Serialize};
use std::fmt;

use crate::etcd::{Client, Error, KeyValue, Revision, Txn};
use crate::keys::Keys;

/// One version of the organization document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Counts from 1.
    pub version: u64,
    /// Who applied it.
    pub who: String,
    /// When, in milliseconds of that node's wall clock.
    pub when_ms: u64,
    /// Why.
    pub why: String,
    /// `org.toml`.
    pub text: String,
}

/// A change that somebody wants.
#[derive(Clone, Debug)]
pub struct Proposal<'a> {
    /// The version that it replaces; 0 when there is none.
    pub base: u64,
    /// The new text.
    pub text: &'a str,
    /// Who wants it.
    pub who: &'a str,
    /// Why.
    pub why: &'a str,
    /// The wall clock.
    pub when_ms: u64,
}

/// Why a document was not applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrgError {
    /// Somebody was first: this version is there now. Look at the difference, then try again.
    Stale(u64),
    /// Longer than [`DOCUMENT_BYTES_MAX`].
    TooLong,
    /// There is no such version (any more).
    NoVersion(u64),
    /// It is not known whether it was applied; the history tells.
    Open(Error),
    /// etcd cannot; nothing was applied.
    Etcd(Error),
    /// What etcd has cannot be read by this version of Posthouse.
    Unreadable,
}

impl fmt::Display for OrgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OrgError::Stale(version) => {
                write!(f, "version {version} is there now: look at what it changed, then apply again")
            }
            OrgError::TooLong => write!(f, "the document is longer than {DOCUMENT_BYTES_MAX} bytes"),
            OrgError::NoVersion(version) => write!(f, "there is no version {version}; the last {HISTORY_MAX} are kept"),
            OrgError::Open(error) => {
                write!(
                    f,
                    "it is not known whether the document was applied: look at the history, then decide ({error})"
                )
            }
            OrgError::Etcd(error) => write!(f, "not applied: {error}"),
            OrgError::Unreadable => write!(f, "the document in etcd is of a newer Posthouse, or was written by hand"),
        }
    }
}

impl std::error::Error for OrgError {}

/// The organization document in etcd.
#[derive(Clone)]
pub struct OrgStore {
    client: Client,
    keys: Keys,
}

impl OrgStore {
    /// The document under these keys.
    pub fn new(client: Client, keys: Keys) -> OrgStore {
        OrgStore { client, keys }
    }

    /// The version that counts, by consensus.
    pub async fn read(&self) -> Result<Option<Document>, OrgError> {
        Ok(self.newest().await?.1)
    }

    async fn newest(&self) -> Result<(Revision, Option<Document>), OrgError> {
        match self.client.get(&self.keys.org()).await.map_err(OrgError::Etcd)?.1 {
            None => Ok((0, None)),
            Some(kv) => Ok((kv.mod_revision, Some(document(&kv)?))),
        }
    }

    /// Makes a text the next version, if `base` is still the one that counts.
    pub async fn apply(&self, proposal: &Proposal<'_>) -> Result<Document, OrgError> {
        let (at, newest) = self.newest().await?;
        let version = newest.map_or(0, |document| document.version);
        if version != proposal.base {
            return Err(OrgError::Stale(version));
        }
        let document = Document {
            version: version + 1,
            who: bounded(proposal.who),
            when_ms: proposal.when_ms,
            why: bounded(proposal.why),
            text: proposal.text.into(),
        };
        self.write(at, &document).await?;
        Ok(document)
    }

    /// Makes an old version's text the next version.
    pub async fn rollback(&self, to: u64, proposal: &Proposal<'_>) -> Result<Document, OrgError> {
        let old = self.version(to).await?.ok_or(OrgError::NoVersion(to))?;
        self.apply(&Proposal { text: &old.text, ..proposal.clone() }).await
    }

    /// One version.
    pub async fn version(&self, version: u64) -> Result<Option<Document>, OrgError> {
        let (_, kv) = self.client.get(&self.keys.org_version(version)).await.map_err(OrgError::Etcd)?;
        kv.map(|kv| document(&kv)).transpose()
    }

    /// The versions that are kept, the oldest first.
    pub async fn history(&self) -> Result<Vec<Document>, OrgError> {
        let whole = self.client.read_prefix(&self.keys.org_history()).await.map_err(OrgError::Etcd)?;
        whole.keys.iter().map(document).collect()
    }

    /// Writes a version over what was last changed at `at`. A try whose answer is lost is made again with the same comparison:
    /// at most one of them is done, and an answer settles all.
    async fn write(&self, at: Revision, document: &Document) -> Result<(), OrgError> {
        let bytes = serde_json::to_vec(document).map_err(|_| OrgError::Unreadable)?;
        if bytes.len() > DOCUMENT_BYTES_MAX {
            return Err(OrgError::TooLong);
        }
        let keys = &self.keys;
        let oldest = document.version.saturating_sub(HISTORY_MAX) + 1;
        let txn = Txn::new()
            .if_at(&keys.org(), at)
            .put(&keys.org(), &bytes, 0)
            .put(&keys.org_version(document.version), &bytes, 0)
            .delete_until(&keys.org_history(), &keys.org_version(oldest))
            .else_read(&keys.org());
        let mut open = None;
        for _ in 0..TRIES {
            match self.client.decide(&txn).await {
                Ok(decided) if decided.done => return Ok(()),
                Ok(decided) => {
                    let there = decided.read.first().and_then(|read| read.first()).map(self::document).transpose()?;
                    return match there {
                        Some(there) if there == *document => Ok(()),
                        there => Err(OrgError::Stale(there.map_or(0, |there| there.version))),
                    };
                }
                Err(error) if error.certainly_not_done() && open.is_none() => return Err(OrgError::Etcd(error)),
                Err(error) => open = Some(error),
            }
        }
        Err(OrgError::Open(open.unwrap_or_else(|| Error::Refused("no try".into()))))
    }
}

fn document(kv: &KeyValue) -> Result<Document, OrgError> {
    serde_json::from_slice(&kv.value).map_err(|_| OrgError::Unreadable)
}

fn bounded(text: &str) -> String {
    text.chars().take(NOTE_CHARS_MAX).collect()
}

/// Versions that are kept.
pub const HISTORY_MAX: u64 = 50;

/// Bytes of a document, written as JSON: two of them must go into one request, and etcd takes 1.5 MiB.
pub const DOCUMENT_BYTES_MAX: usize = 700 << 10;

/// Characters of who and why.
const NOTE_CHARS_MAX: usize = 500;

/// Tries of a write whose answers get lost.
const TRIES: u32 = 3;
