//! All zones that a server answers for, as one value that is exchanged whole, and who may copy them.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use directory::Ranges;

use crate::name::{Name, suffixes};
use crate::record::Kind;
use crate::tsig::Key;
use crate::zone::Zone;

/// What a server answers from.
#[derive(Debug, Default)]
pub struct Zones {
    served: HashMap<Box<[u8]>, Served>,
    keys: HashMap<Box<[u8]>, Key>,
}

/// A zone with its rules.
#[derive(Clone, Debug)]
pub struct Served {
    /// The version that counts.
    pub zone: Arc<Zone>,
    /// Who may copy it, and who is told of changes.
    pub rules: Arc<Rules>,
}

/// Who may copy a zone, and who is told of changes.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Servers that copy it. They may, and are told of changes if `notify`.
    pub secondaries: Vec<SocketAddr>,
    /// Who may besides.
    pub transfer_allowed: Ranges,
    /// If there are any, one of them must sign. The first signs what secondaries are told.
    pub keys: Vec<Key>,
    /// Secondaries are told of changes (RFC 1996).
    pub notify: bool,
}

impl Rules {
    /// Whether somebody who signs with this key may copy the zone. Where only keys are written, a key is enough.
    pub fn may_transfer(&self, from: IpAddr, key: Option<&Name>) -> bool {
        let from = from.to_canonical();
        let is_written = self.secondaries.iter().any(|secondary| secondary.ip().to_canonical() == from)
            || self.transfer_allowed.contains(from);
        let is_signed = key.is_some_and(|name| self.keys.iter().any(|key| key.name() == name));
        let only_keys = self.secondaries.is_empty() && self.transfer_allowed.is_empty();
        match self.keys.is_empty() {
            true => is_written,
            false => is_signed && (is_written || only_keys),
        }
    }
}

impl Zones {
    /// These zones.
    pub fn new(served: impl IntoIterator<Item = Served>) -> Zones {
        let served: HashMap<Box<[u8]>, Served> =
            served.into_iter().map(|served| (served.zone.key().into(), served)).collect();
        let keys = served.values().flat_map(|served| &served.rules.keys);
        let keys = keys.map(|key| (key.name().key(), key.clone())).collect();
        Zones { served, keys }
    }

    /// The zone of this name, if it is one.
    pub fn get(&self, origin: &Name) -> Option<&Served> {
        self.served.get(&origin.key())
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Served> {
        self.served.values()
    }

    /// The zone that this name, given in lower case, is in; what a parent says of a delegation is in the parent.
    pub(crate) fn of(&self, name: &[u8], kind: Kind) -> Option<&Served> {
        let mut zones = suffixes(name).filter_map(|above| self.served.get(above));
        let zone = zones.next()?;
        let is_parents = kind == Kind::DS && *zone.zone.key() == *name;
        Some(if is_parents { zones.next().unwrap_or(zone) } else { zone })
    }

    /// The key of this name.
    pub(crate) fn key(&self, name: &Name) -> Option<&Key> {
        self.keys.get(&name.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tsig::Algorithm;

    #[test]
    fn who_may_copy() {
        let key = Key::new(Name::parse("k").unwrap(), Algorithm::Sha256, b"secret");
        let other = Name::parse("other").unwrap();
        let (inside, outside): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [198, 51, 100, 1].into());
        let none = Rules::default();
        let by_address = Rules { secondaries: vec!["192.0.2.1:5353".parse().unwrap()], ..Rules::default() };
        let by_key = Rules { keys: vec![key.clone()], ..Rules::default() };
        let by_both = Rules { keys: vec![key.clone()], ..by_address.clone() };
        let cases = [
            (&none, inside, None, false),
            (&by_address, inside, None, true),
            (&by_address, outside, None, false),
            (&by_key, outside, Some(key.name()), true),
            (&by_key, outside, Some(&other), false),
            (&by_key, inside, None, false),
            (&by_both, inside, Some(key.name()), true),
            (&by_both, outside, Some(key.name()), false),
            (&by_both, inside, None, false),
        ];
        for (rules, from, key, may) in cases {
            assert_eq!(rules.may_transfer(from, key), may, "{rules:?} {from} {key:?}");
        }
        let mapped = "::ffff:192.0.2.1".parse().unwrap();
        assert!(by_address.may_transfer(mapped, None));
    }
}
