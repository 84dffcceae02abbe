//! Owns the documents that etcd keeps about nodes and journals, and the words in them. Knows no etcd calls and no protocol.
//! Always holds: they are JSON that a person can read with `etcdctl`; fields that a newer version adds are ignored by an older one.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// A journal's name: the node that it was made on, and which of its journals.
///
/// A node's own journal is best named `spool-<identity>` ([`JournalName::own`]): a new disk then has a new name by itself, and
/// what the old one was called stays with whoever took it over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JournalName {
    /// The node it was made on.
    pub node: String,
    /// Which of that node's.
    pub journal: String,
}

impl JournalName {
    /// A name, if both parts are of letters, digits, `.`, `-`, `_`, and not longer than 255 characters.
    pub fn new(node: &str, journal: &str) -> Option<JournalName> {
        let good = is_name(node) && is_name(journal);
        good.then(|| JournalName { node: node.into(), journal: journal.into() })
    }

    /// The name of a node's own journal with this identity.
    pub fn own(node: &str, id: u64) -> Option<JournalName> {
        JournalName::new(node, &format!("spool-{id:08x}"))
    }

    /// Reads `node/journal`.
    pub fn parse(text: &str) -> Option<JournalName> {
        let (node, journal) = text.split_once('/')?;
        JournalName::new(node, journal)
    }
}

impl fmt::Display for JournalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.node, self.journal)
    }
}

/// Whether a text may be part of a key.
pub fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !text.is_empty() && text.len() <= 255 && text.chars().all(plain) && text != "." && text != ".."
}

/// A node together with the disk that it had: with another disk it is somebody else, who has none of what the first one had.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Member {
    /// The node's name.
    pub node: String,
    /// Made at random together with its data directory.
    #[serde(serialize_with = "hex", deserialize_with = "unhex")]
    pub disk: u64,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.node)
    }
}

/// What is decided about a journal. Permanent; changed by compare-and-swap only.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Record {
    /// The journal's identity, made with it: a new journal on a new disk is never taken for the old one.
    #[serde(serialize_with = "hex", deserialize_with = "unhex")]
    pub id: u64,
    /// Who writes it.
    pub owner: Member,
    /// Under which epoch. Never goes down.
    pub epoch: u32,
    /// Whose copies count, the preferred taker first. Each of them has everything that was ever protected.
    pub level: Vec<Member>,
    /// Its owner goes on without any of them, as its rules allow: what is accepted meanwhile is not protected, and what is delivered
    /// meanwhile they still have. They count all the same: each of them has everything that was protected.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alone: bool,
    /// Planned hand-over: who shall take it, once its copy ends here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<Successor>,
    /// How earlier owners' epochs ended, the oldest first. At most [`ENDS_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ends: Vec<End>,
    /// Everything in it is settled and it is gone; the record stays until the node that it came from has seen that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drained: bool,
}

/// Who shall take a journal that is handed over.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Successor {
    /// The taker.
    pub member: Member,
    /// Where the owner's log ends for good, and under which epoch it wrote last.
    pub end: Taken,
}

/// A taker's part of a log: the records before a position that were written under an epoch not higher than this one.
///
/// The epoch is needed because a copy may be longer than its owner's log was: an owner that crashed may have sent what it then
/// lost, and have written something else in its place under its next epoch, of which the copy has not heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Taken {
    /// Where the copy ended. A position.
    pub at: u64,
    /// The highest epoch of which the copy has everything before that position; it may have heard of a higher one and not have
    /// compared its log with that owner's yet.
    pub epoch: u32,
}

impl Taken {
    /// Whether a record is in it.
    pub fn has(&self, position: u64, epoch: u32) -> bool {
        position < self.at && epoch <= self.epoch
    }

    fn both(self, other: Taken) -> Taken {
        Taken { at: self.at.min(other.at), epoch: self.epoch.min(other.epoch) }
    }
}

/// Epochs that one decision of etcd's gives: the first for the owner at once, the others for its later starts when etcd is not
/// there to ask. So each process writes under an epoch of its own, with etcd or without.
pub const EPOCHS_PER_TERM: u32 = 256;

/// Which decision an epoch comes from.
pub fn term(epoch: u32) -> u32 {
    epoch / EPOCHS_PER_TERM
}

/// The first epoch of the term after that of both.
pub fn next_term(a: u32, b: u32) -> u32 {
    (term(a.max(b)) + 1).saturating_mul(EPOCHS_PER_TERM)
}

/// How an epoch ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct End {
    /// The epoch that ended.
    pub epoch: u32,
    /// Whose it was.
    pub owner: Member,
    /// What the taker's copy had.
    pub taken: Taken,
    /// The owner had gone on without this copy, see [`Record::alone`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alone: bool,
    /// When, by the taker's wall clock, in milliseconds. For people.
    #[serde(default)]
    pub when_ms: u64,
}

impl Record {
    /// A journal of `owner`'s that nobody has a copy of yet, before its first epoch.
    pub fn new(id: u64, owner: Member) -> Record {
        Record {
            id,
            owner,
            epoch: 0,
            level: Vec::new(),
            alone: false,
            successor: None,
            ends: Vec::new(),
            drained: false,
        }
    }

    /// Whether this member's copy counts.
    pub fn is_level(&self, member: &Member) -> bool {
        self.level.contains(member)
    }

    /// What today's owner has of the log of whoever owned in `epoch`'s term: each taker in between may have had less than the
    /// one before it. `None` when no owner has changed since.
    pub fn taken(&self, epoch: u32) -> Option<Taken> {
        let since = self.ends.iter().filter(|end| term(end.epoch) >= term(epoch));
        since.map(|end| end.taken).reduce(Taken::both)
    }

    /// Notes how an epoch ended. When there are too many, the two oldest become one with the lower end.
    pub(crate) fn ended(&mut self, end: End) {
        self.ends.push(end);
        if self.ends.len() > ENDS_MAX {
            let oldest = self.ends.remove(0);
            self.ends[0].taken = self.ends[0].taken.both(oldest.taken);
        }
    }
}

/// Takings-over that a record remembers one by one.
pub const ENDS_MAX: usize = 16;

/// Copies of one journal that count at most.
pub const LEVEL_MAX: usize = 8;

/// The owner's sign of life: a key under its lease.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Holder {
    /// Whose it is.
    pub member: Member,
    /// The epoch that it owns.
    pub epoch: u32,
}

/// A node as the others see it, under its lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Its disk, see [`Member::disk`].
    #[serde(serialize_with = "hex", deserialize_with = "unhex")]
    pub disk: u64,
    /// Made at random at each start: two processes with one name are told from each other.
    #[serde(serialize_with = "hex", deserialize_with = "unhex")]
    pub process: u64,
    /// What it does: `edge`, `hub`, ...
    #[serde(default)]
    pub roles: Vec<String>,
    /// Where its peers reach it, `host:port`.
    #[serde(default)]
    pub peer: String,
    /// Where its API is, `host:port`; empty when it is not to be reached from outside.
    #[serde(default)]
    pub http: String,
    /// For the spread of copies.
    #[serde(default)]
    pub site: String,
    /// For the spread of copies.
    #[serde(default)]
    pub rack: String,
    /// Posthouse's version.
    #[serde(default)]
    pub version: String,
    /// Version of the organization document that it runs; 0 for none.
    #[serde(default)]
    pub org: u64,
    /// Why it does not run the version that counts; empty if it does.
    #[serde(default)]
    pub org_refused: String,
    /// Its health in a word: `ready`, `draining`, or why it cannot accept.
    #[serde(default)]
    pub health: String,
    /// Virtual addresses that it would have now, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub would_hold: Vec<String>,
    /// Services whose clients would find a member here now, each with the addresses of this machine where it listens. `None`: an older
    /// program, which says nothing of services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serves: Option<BTreeMap<String, Vec<IpAddr>>>,
}

/// The health of a node that takes mail.
pub const READY: &str = "ready";

/// The health of a node that takes no new mail because a person said so.
pub const DRAINING: &str = "draining";

/// The health of a node that ends.
pub const STOPPING: &str = "stopping";

pub(crate) fn hex<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{number:016x}"))
}

pub(crate) fn unhex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    u64::from_str_radix(&text, 16).map_err(|_| de::Error::custom("not a number of 16 hexadecimal digits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let owner = Member { node: "a".into(), disk: 0xfeed_0000_0000_0001 };
        Record { epoch: 768, ..Record::new(7, owner) }
    }

    #[test]
    fn what_the_last_taker_has_is_what_all_of_them_had() {
        let mut record = record();
        assert_eq!(record.taken(256), None);
        let end = |epoch, at| End {
            epoch,
            owner: record.owner.clone(),
            taken: Taken { at, epoch: epoch + 1 },
            alone: false,
            when_ms: 0,
        };
        let ends = [end(256, 500), end(512, 300), end(1280, 900)];
        let later: Vec<End> = (0..100).map(|n| end(2560 + n * 256, 1_000)).collect();
        ends.into_iter().for_each(|end| record.ended(end));
        // An owner that had started without etcd twice asks with a later epoch of the same term.
        for (epoch, taken) in [(256, (300, 257)), (258, (300, 257)), (512, (300, 513)), (768, (900, 1281))] {
            assert_eq!(record.taken(epoch), Some(Taken { at: taken.0, epoch: taken.1 }), "{epoch}");
        }
        assert_eq!(record.taken(1536), None);
        later.into_iter().for_each(|end| record.ended(end));
        assert_eq!(record.ends.len(), ENDS_MAX);
        assert_eq!(record.taken(256), Some(Taken { at: 300, epoch: 257 }), "nothing is promised that a taker had not");
        assert!(Taken { at: 10, epoch: 5 }.has(9, 5));
        assert!(!Taken { at: 10, epoch: 5 }.has(9, 6) && !Taken { at: 10, epoch: 5 }.has(10, 5));
        assert_eq!([next_term(0, 0), next_term(256, 511), next_term(512, 256)], [256, 512, 768]);
    }

    #[test]
    fn it_is_text_that_is_read_again() {
        let text = serde_json::to_string(&record()).unwrap();
        assert_eq!(
            text,
            r#"{"id":"0000000000000007","owner":{"node":"a","disk":"feed000000000001"},"epoch":768,"level":[]}"#
        );
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record());
        let later = text.replace("\"epoch\"", "\"colour\":\"red\",\"epoch\"");
        assert_eq!(serde_json::from_str::<Record>(&later).unwrap(), record());
    }

    #[test]
    fn names_stay_inside_their_keys() {
        assert_eq!(JournalName::parse("a.example/spool-1").unwrap().to_string(), "a.example/spool-1");
        assert_eq!(JournalName::own("a", 0xbeef).unwrap().to_string(), "a/spool-0000beef");
        for text in ["", "a", "a/", "/b", "a/b/c", "a b/c", "../b", "a/..", "a/b\n"] {
            assert_eq!(JournalName::parse(text), None, "{text:?}");
        }
    }
}
