//! What is ours in a zone of others: the names and kinds of the sets, with a digest of what we wrote.
//!
//! It stands in the zone itself, as TXT records at `_posthouse`. Always holds: what cannot be read is not ours.

use super::plan::Key;
use crate::name::Name;
use crate::record::{Data, Kind};
use std::collections::{BTreeMap, BTreeSet};

/// The sets that are ours, each with the digest of what we wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark(pub BTreeMap<Key, String>);

impl Mark {
    /// Where it stands.
    pub fn owner(zone: &Name) -> Option<Name> {
        Name::parse(&format!("_posthouse.{zone}")).ok()
    }

    /// Reads it.
    pub fn read(data: &BTreeSet<Data>) -> Mark {
        let one = |data: &Data| {
            let octets = data.octets();
            let text = std::str::from_utf8(octets.get(1..)?).ok()?;
            let mut words = text.split(' ');
            let (Some(VERSION), Some(name), Some(kind), Some(digest), None) =
                (words.next(), words.next(), words.next(), words.next(), words.next())
            else {
                return None;
            };
            let key = Key { name: Name::parse(name).ok()?.to_string().to_lowercase(), kind: Kind::parse(kind)? };
            Some((key, digest.to_string()))
        };
        Mark(
            data.iter()
                .filter(|data| data.octets().first() == data.octets().len().checked_sub(1).map(|n| n as u8).as_ref())
                .filter_map(one)
                .collect(),
        )
    }

    /// What is written for it. A name that is too long for one string cannot be marked: `None`.
    pub fn written(&self) -> Option<BTreeSet<Data>> {
        let one = |(key, digest): (&Key, &String)| {
            let text = format!("{VERSION} {} {} {digest}", key.name, key.kind);
            (text.len() <= 255).then(|| Data::strings(Kind::TXT, [text.as_bytes()]))
        };
        self.0.iter().map(one).collect()
    }
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
