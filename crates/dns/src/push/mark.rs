//! What is ours in a zone of others: the names and kinds of the sets, with a digest of what we wrote.
//!
//! It stands in the zone itself, as TXT records at `_posthouse`, and where they become many at `_posthouse-2`, `_posthouse-3` and so on, so
//! that a change of a few names is a small message. Always holds: what cannot be read is not ours; a part that another one follows says so.

use super::plan::{Key, There};
use crate::name::Name;
use crate::record::{Data, Kind};
use std::collections::{BTreeMap, BTreeSet};

/// The sets that are ours, each with the digest of what we wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark(pub BTreeMap<Key, String>);

impl Mark {
    /// Where a part of it stands; the first is 0.
    pub fn owner(zone: &Name, part: usize) -> Option<Name> {
        let name = if part == 0 { format!("_posthouse.{zone}") } else { format!("_posthouse-{}.{zone}", part + 1) };
        Name::parse(&name).ok()
    }

    /// The set that a part of it is.
    pub fn key(zone: &Name, part: usize) -> Option<Key> {
        Mark::owner(zone, part).map(|owner| Key::new(&owner, Kind::TXT))
    }

    /// All of it.
    pub fn of(zone: &Name, there: &There) -> Mark {
        Mark(parts(zone, there).into_iter().flat_map(|part| Mark::read(&part).0).collect())
    }

    /// Reads a part.
    pub fn read(data: &BTreeSet<Data>) -> Mark {
        let one = |data: &Data| {
            let mut words = text(data)?.split(' ');
            let (Some(VERSION), Some(name), Some(kind), Some(digest), None) =
                (words.next(), words.next(), words.next(), words.next(), words.next())
            else {
                return None;
            };
            let key = Key { name: Name::parse(name).ok()?.to_string().to_lowercase(), kind: Kind::parse(kind)? };
            Some((key, digest.to_string()))
        };
        Mark(data.iter().filter_map(one).collect())
    }
}

/// What the parts hold, as far as each says that another one follows. There is one at least, and no more than [`PARTS_MAX`].
pub fn parts(zone: &Name, there: &There) -> Vec<BTreeSet<Data>> {
    let of = |part| Mark::key(zone, part).and_then(|key| there.sets.get(&key).cloned()).unwrap_or_default();
    let mut parts = vec![of(0)];
    while parts.len() < PARTS_MAX && parts.last().is_some_and(has_more) {
        parts.push(of(parts.len()));
    }
    parts
}

/// Another part follows this one.
pub fn has_more(part: &BTreeSet<Data>) -> bool {
    part.iter().any(|data| text(data) == Some(MORE))
}

/// The record that says so.
pub fn more() -> Data {
    Data::strings(Kind::TXT, [MORE.as_bytes()])
}

/// The record of one set. A name that is too long for one string cannot be marked: `None`.
pub fn record(key: &Key, digest: &str) -> Option<Data> {
    let text = format!("{VERSION} {} {} {digest}", key.name, key.kind);
    (text.len() <= 255).then(|| Data::strings(Kind::TXT, [text.as_bytes()]))
}

/// The only string of a record.
fn text(data: &Data) -> Option<&str> {
    let (length, text) = data.octets().split_first()?;
    if usize::from(*length) == text.len() { std::str::from_utf8(text).ok() } else { None }
}

/// The digest of a set: eight octets of SHA-256 over its sorted data. It tells whether somebody else has changed the set, not who.
pub fn digest(data: &BTreeSet<Data>) -> String {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for one in data {
        context.update(&(one.octets().len() as u32).to_be_bytes());
        context.update(one.octets());
    }
    context.finish().as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

const VERSION: &str = "v1";
const MORE: &str = "v1 more";

/// Parts of a mark: with the sets of eleven names in each, more than a zone that is read set by set should have.
pub const PARTS_MAX: usize = 512;
