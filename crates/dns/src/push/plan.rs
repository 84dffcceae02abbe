//! What must change in a zone of others so that it says what we want.

use super::mark::{Mark, digest};
use crate::name::Name;
use crate::record::{Data, Kind, RecordSet};
use std::collections::{BTreeMap, BTreeSet};

/// A set in a zone: the name in lower case, whole, with its final dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The name.
    pub name: String,
    /// The kind.
    pub kind: Kind,
}

/// What is there now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct There {
    /// The sets that were asked for: what they hold; a set that is not there is absent or empty.
    pub sets: BTreeMap<Key, BTreeSet<Data>>,
    /// Their TTLs, in seconds.
    pub ttls_s: BTreeMap<Key, u32>,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Each set that changes, or cannot.
    pub steps: Vec<Step>,
    /// What was ours before.
    pub mark_before: Mark,
    /// What is ours then.
    pub mark_after: Mark,
}

/// One set.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Which.
    pub key: Key,
    /// Seconds, of what is written.
    pub ttl_s: u32,
    /// What was there when this was planned.
    pub before: BTreeSet<Data>,
    /// What is there then.
    pub after: BTreeSet<Data>,
    /// What is done.
    pub what: What,
}

/// What is done with a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It is written.
    Change(Change),
    /// It is there as we want it, and becomes ours.
    Adopt,
    /// It is somebody else's: it stays.
    Foreign,
    /// It was ours, and somebody else has changed it since: it stays.
    Meddled,
}

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not there.
    Add,
    /// It holds something else, or has another TTL.
    Replace,
    /// We want it no more.
    Remove,
}

/// Compares. With `overwrite`, sets of others under names and kinds of ours are replaced as well.
pub fn plan(zone: &Name, wanted: &[RecordSet], there: &There, mark: &Mark, overwrite: bool) -> Plan {
    let mut plan = Plan { mark_before: mark.clone(), mark_after: mark.clone(), ..Plan::default() };
    let wanted: BTreeMap<Key, &RecordSet> =
        wanted.iter().filter(|set| is_pushed(zone, set)).map(|set| (Key::of(set), set)).collect();
    for key in wanted.keys().chain(mark.0.keys()).collect::<BTreeSet<_>>() {
        let before = there.sets.get(key).cloned().unwrap_or_default();
        let after: BTreeSet<Data> = wanted.get(key).into_iter().flat_map(|set| set.data.iter().cloned()).collect();
        let ttl_s = wanted.get(key).map_or(0, |set| set.ttl_s);
        let ours = match mark.0.get(key) {
            None => Ours::No,
            Some(written) if *written == digest(&before) => Ours::AsWritten,
            Some(_) => Ours::Changed,
        };
        let is_same_ttl = there.ttls_s.get(key) == Some(&ttl_s);
        let mut what = judge(ours, &before, &after, is_same_ttl, overwrite);
        if has_foreign_alias(key, there, &wanted, mark) && !after.is_empty() {
            what = Some(What::Foreign);
        }
        match what {
            Some(What::Foreign | What::Meddled) => {}
            _ if after.is_empty() => drop(plan.mark_after.0.remove(key)),
            _ => drop(plan.mark_after.0.insert(key.clone(), digest(&after))),
        }
        if let Some(what) = what {
            plan.steps.push(Step { key: key.clone(), ttl_s, before, after, what });
        }
    }
    plan
}

/// Whose a set is.
#[derive(Clone, Copy, PartialEq)]
enum Ours {
    No,
    AsWritten,
    Changed,
}

/// What becomes of one set; nothing: it is as it should be.
fn judge(
    ours: Ours,
    before: &BTreeSet<Data>,
    after: &BTreeSet<Data>,
    is_same_ttl: bool,
    overwrite: bool,
) -> Option<What> {
    match (before.is_empty(), after.is_empty()) {
        (true, true) => return None,
        (true, false) => return Some(What::Change(Change::Add)),
        _ if before == after && is_same_ttl => return (ours != Ours::AsWritten).then_some(What::Adopt),
        _ => {}
    }
    Some(match ours {
        Ours::No if !overwrite => What::Foreign,
        Ours::Changed if !overwrite && before != after => What::Meddled,
        _ if after.is_empty() => What::Change(Change::Remove),
        _ => What::Change(Change::Replace),
    })
}

/// The name is an alias there, which is not ours to remove: nothing else can stand at it, and a server would not even say so
/// (RFC 2136 3.4.2.2).
fn has_foreign_alias(key: &Key, there: &There, wanted: &BTreeMap<Key, &RecordSet>, mark: &Mark) -> bool {
    let alias = Key { name: key.name.clone(), kind: Kind::CNAME };
    let data = there.sets.get(&alias).filter(|data| !data.is_empty());
    let is_removed =
        |data| mark.0.get(&alias).is_some_and(|ours| *ours == digest(data)) && !wanted.contains_key(&alias);
    key.kind != Kind::CNAME && data.is_some_and(|data| !is_removed(data))
}

impl Plan {
    /// Nothing is to be sent.
    pub fn is_done(&self) -> bool {
        self.changes().next().is_none() && self.mark_before == self.mark_after
    }

    /// What is written.
    pub fn changes(&self) -> impl Iterator<Item = (&Step, Change)> {
        self.steps.iter().filter_map(|step| match step.what {
            What::Change(change) => Some((step, change)),
            _ => None,
        })
    }

    /// What stays as others have it.
    pub fn kept(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| matches!(step.what, What::Foreign | What::Meddled))
    }
}

impl Key {
    /// Of a set of ours.
    pub fn of(set: &RecordSet) -> Key {
        Key::new(&set.owner, set.kind)
    }

    /// Of a name and a kind.
    pub fn new(name: &Name, kind: Kind) -> Key {
        Key { name: name.to_string().to_lowercase(), kind }
    }
}

/// The zone's own SOA and NS records are its primary's.
fn is_pushed(zone: &Name, set: &RecordSet) -> bool {
    !set.data.is_empty() && set.kind != Kind::SOA && !(set.kind == Kind::NS && set.owner == *zone)
}
