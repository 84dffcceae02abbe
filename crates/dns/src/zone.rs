//! One version of a zone, in memory: what each name has, with answers prepared.
//!
//! Owns the search of RFC 1034, 4.3.2 (delegations, wildcards, empty names) and the comparison of two versions. Knows no message.
//! Always holds: a version never changes; what runs is exchanged whole. Every name between the zone's own and one that has records
//! is there, if only empty (RFC 4592, 2.2.2).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::history::{Change, History};
use crate::name::{Name, suffixes};
use crate::ready::Ready;
use crate::record::{Data, Kind, RecordSet, Soa};

/// A version of a zone.
#[derive(Debug)]
pub struct Zone {
    origin: Name,
    key: Box<[u8]>,
    soa: Arc<RecordSet>,
    serial: u32,
    negative_s: u32,
    nodes: HashMap<Box<[u8]>, Node>,
    sets: Vec<Arc<RecordSet>>,
    history: History,
}

/// What one name has.
#[derive(Debug, Default)]
pub(crate) struct Node {
    stored: Vec<Stored>,
    /// The name at which it is delegated: its own or one above it.
    cut: Option<Box<[u8]>>,
}

/// A set with its prepared answers.
#[derive(Debug)]
pub(crate) struct Stored {
    pub set: Arc<RecordSet>,
    pub ready: Ready,
}

/// What a search comes to.
pub(crate) enum Found<'z> {
    /// The name is there, or a wildcard stands for it.
    Node {
        /// What it has.
        node: &'z Node,
        /// It is not the wildcard.
        is_exact: bool,
    },
    /// It is delegated to these name servers.
    Cut(&'z RecordSet),
    /// There is no such name.
    NoName,
}

impl Zone {
    /// A version. `soa_ttl_s` is the TTL of the SOA; of `sets`, those outside the zone and SOAs do not count; those of one owner and
    /// kind must be one set.
    pub fn new(origin: &Name, soa_ttl_s: u32, soa: &Soa, mut sets: Vec<RecordSet>) -> Zone {
        sets.retain(|set| set.kind != Kind::SOA && !set.data.is_empty() && set.owner.is_within(origin));
        sets.iter_mut().for_each(|set| set.data.sort());
        sets.sort_by(|a, b| (&a.owner, a.kind).cmp(&(&b.owner, b.kind)));
        sets.dedup_by(|later, first| later.owner == first.owner && later.kind == first.kind);
        let soa_set =
            RecordSet { owner: origin.clone(), kind: Kind::SOA, ttl_s: soa_ttl_s, data: vec![Data::soa(soa)] };
        let mut zone = Zone {
            origin: origin.clone(),
            key: origin.key(),
            soa: Arc::new(soa_set),
            serial: soa.serial,
            negative_s: soa.negative_s,
            nodes: HashMap::new(),
            sets: sets.into_iter().map(Arc::new).collect(),
            history: History::default(),
        };
        zone.nodes = zone.nodes();
        zone
    }

    /// The version that comes after `before`, whose changes a secondary that has `before` can be told (RFC 1995).
    pub fn after(mut self, before: &Zone) -> Zone {
        if before.key == self.key && before.serial != self.serial {
            let change = Change {
                from: before.soa.clone(),
                from_serial: before.serial,
                to: self.soa.clone(),
                removed: missing(&before.sets, &self.sets),
                added: missing(&self.sets, &before.sets),
            };
            self.history = before.history.with(change, self.record_count());
        }
        self
    }

    /// Its name.
    pub fn origin(&self) -> &Name {
        &self.origin
    }

    /// Its name, as a key.
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Its SOA.
    pub(crate) fn soa(&self) -> &Arc<RecordSet> {
        &self.soa
    }

    /// Which version it is.
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// How long "there is none" may be kept (RFC 2308, 3).
    pub(crate) fn negative_s(&self) -> u32 {
        self.negative_s.min(self.soa.ttl_s)
    }

    /// All its sets but the SOA, in order of their names and kinds.
    pub fn sets(&self) -> &[Arc<RecordSet>] {
        &self.sets
    }

    /// Its records, the SOA too.
    pub fn record_count(&self) -> usize {
        1 + self.sets.iter().map(|set| set.data.len()).sum::<usize>()
    }

    /// What changed on the way here.
    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// Looks for a name, given in lower case, that is in the zone; for records of this kind.
    pub(crate) fn find(&self, name: &[u8], kind: Kind) -> Found<'_> {
        if let Some(node) = self.nodes.get(name) {
            return match &node.cut {
                // What the parent says of a delegation is the parent's (RFC 4035, 3.1.4.1).
                Some(cut) if kind != Kind::DS || **cut != *name => self.cut(cut),
                _ => Found::Node { node, is_exact: true },
            };
        }
        let encloser = suffixes(name).skip(1).find_map(|above| Some((above, self.nodes.get(above)?)));
        let Some((above, node)) = encloser else { return Found::NoName };
        if let Some(cut) = &node.cut {
            return self.cut(cut);
        }
        // It is looked for with a name that is at most as long as the one that was asked for.
        let wildcard = [b"\x01*", above].concat();
        match self.nodes.get(&*wildcard) {
            Some(node) => Found::Node { node, is_exact: false },
            None => Found::NoName,
        }
    }

    fn cut(&self, key: &[u8]) -> Found<'_> {
        match self.nodes.get(key).and_then(|node| node.get(Kind::NS)) {
            Some(stored) => Found::Cut(&stored.set),
            None => Found::NoName,
        }
    }

    /// The sets of addresses of a host of this zone, in any case.
    pub(crate) fn addresses(&self, host: &[u8]) -> impl Iterator<Item = &RecordSet> {
        let node = self.nodes.get(&*host.to_ascii_lowercase());
        let stored = node.map_or(&[][..], |node| &node.stored);
        stored.iter().map(|stored| &*stored.set).filter(|set| matches!(set.kind, Kind::A | Kind::AAAA))
    }

    fn nodes(&self) -> HashMap<Box<[u8]>, Node> {
        let mut nodes: HashMap<Box<[u8]>, Node> = HashMap::new();
        let mut addresses: HashMap<Box<[u8]>, Vec<Arc<RecordSet>>> = HashMap::new();
        let mut cuts: HashSet<Box<[u8]>> = HashSet::new();
        for set in self.all_sets() {
            let key = set.owner.key();
            for above in suffixes(&key).take_while(|above| above.len() >= self.key.len()) {
                nodes.entry(above.into()).or_default();
            }
            match set.kind {
                Kind::A | Kind::AAAA => addresses.entry(key).or_default().push(set.clone()),
                Kind::NS if key != self.key => drop(cuts.insert(key)),
                _ => {}
            }
        }
        for (name, node) in &mut nodes {
            let above = suffixes(name).take_while(|above| above.len() > self.key.len());
            node.cut = above.filter(|above| cuts.contains(*above)).last().map(Into::into);
        }
        for set in self.all_sets() {
            let of_host = |host: &[u8]| addresses.get(&*host.to_ascii_lowercase()).map_or(&[][..], Vec::as_slice);
            let ready = Ready::new(set, &of_host);
            if let Some(node) = nodes.get_mut(&set.owner.key()) {
                node.stored.push(Stored { set: set.clone(), ready });
            }
        }
        nodes
    }

    fn all_sets(&self) -> impl Iterator<Item = &Arc<RecordSet>> {
        std::iter::once(&self.soa).chain(&self.sets)
    }
}

/// A digest of what a version contains; of the SOA all but the serial, which the caller gives as 0.
pub fn digest(soa_ttl_s: u32, soa: &Soa, sets: &[RecordSet]) -> String {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let line = |owner: &Name, kind: Kind, ttl_s: u32, data: &Data| {
        let ttl_s = ttl_s.to_be_bytes();
        [owner.wire(), &kind.0.to_be_bytes(), &ttl_s, data.octets()].concat()
    };
    lines.push(line(&soa.primary, Kind::SOA, soa_ttl_s, &Data::soa(soa)));
    for set in sets {
        lines.extend(set.data.iter().map(|data| line(&set.owner, set.kind, set.ttl_s, data)));
    }
    lines.sort();
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for line in lines {
        context.update(&(line.len() as u32).to_be_bytes());
        context.update(&line);
    }
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The records of `sets` that are not in `others`, nor there with another TTL. Both are in order.
fn missing(sets: &[Arc<RecordSet>], others: &[Arc<RecordSet>]) -> Vec<RecordSet> {
    let place =
        |set: &RecordSet| others.binary_search_by(|other| (&other.owner, other.kind).cmp(&(&set.owner, set.kind)));
    let rest = |set: &Arc<RecordSet>| {
        let other = place(set).ok().map(|at| &others[at]).filter(|other| other.ttl_s == set.ttl_s);
        let is_new = |data: &&Data| other.is_none_or(|other| !other.data.contains(data));
        RecordSet { data: set.data.iter().filter(is_new).cloned().collect(), ..RecordSet::clone(set) }
    };
    sets.iter().map(rest).filter(|set| !set.data.is_empty()).collect()
}

impl Node {
    /// It only has names below it.
    pub fn is_empty(&self) -> bool {
        self.stored.is_empty()
    }

    /// The set of this kind.
    pub fn get(&self, kind: Kind) -> Option<&Stored> {
        self.stored.iter().find(|stored| stored.set.kind == kind)
    }
}
