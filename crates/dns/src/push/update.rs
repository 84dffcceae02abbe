//! The message that changes a zone of others (RFC 2136).

use super::mark::Mark;
use super::plan::{Change, Plan, Step, There, What};
use crate::name::Name;
use crate::push::plan::Key;
use crate::record::{Data, Kind};
use crate::wire::{CLASS_IN, UPDATE};
use std::collections::BTreeSet;

/// The plan does not fit into one message, or a name is too long to be marked as ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// The message with this number: every set that changes must be as it was planned for, or nothing is done.
pub fn update(zone: &Name, plan: &Plan, there: &There, id: u16) -> Result<Vec<u8>, TooLarge> {
    let mut out = Message::new(zone, id);
    let owner = Mark::owner(zone).ok_or(TooLarge)?;
    let mark = Key::new(&owner, Kind::TXT);
    let marked = there.sets.get(&mark).cloned().unwrap_or_default();
    let steps = || plan.steps.iter().filter(|step| matches!(step.what, What::Change(_) | What::Adopt));
    for step in steps() {
        out.must_be(&step.key, &step.before);
    }
    out.must_be(&mark, &marked);
    let is_removed = |step: &&Step| step.what == What::Change(Change::Remove);
    // What goes is first: an alias makes room for what comes in its place.
    steps().filter(is_removed).for_each(|step| out.remove(&step.key));
    for (step, _) in plan.changes().filter(|(_, change)| *change != Change::Remove) {
        let is_new_ttl = there.ttls_s.get(&step.key).is_some_and(|ttl_s| *ttl_s != step.ttl_s);
        out.change(&step.key, step.ttl_s, &step.before, &step.after, is_new_ttl);
    }
    let written = plan.mark_after.written().ok_or(TooLarge)?;
    out.change(&mark, MARK_TTL_S, &marked, &written, false);
    out.finish()
}

struct Message {
    octets: Vec<u8>,
    prerequisites: usize,
    updates: Vec<u8>,
    update_count: usize,
}

impl Message {
    fn new(zone: &Name, id: u16) -> Message {
        let mut octets = Vec::new();
        for number in [id, u16::from(UPDATE) << 11, 1, 0, 0, 0] {
            octets.extend(number.to_be_bytes());
        }
        crate::wire::question(&mut octets, zone.wire(), Kind::SOA);
        Message { octets, prerequisites: 0, updates: Vec::new(), update_count: 0 }
    }

    /// The set is exactly this (RFC 2136 2.4.2), or is not there (2.4.3).
    fn must_be(&mut self, key: &Key, data: &BTreeSet<Data>) {
        if data.is_empty() {
            write(&mut self.octets, key, CLASS_NONE, 0, &[]);
            self.prerequisites += 1;
        }
        for one in data {
            write(&mut self.octets, key, CLASS_IN, 0, one.octets());
            self.prerequisites += 1;
        }
    }

    /// The whole set goes (2.5.2).
    fn remove(&mut self, key: &Key) {
        write(&mut self.updates, key, CLASS_ANY, 0, &[]);
        self.update_count += 1;
    }

    /// Only the difference, unless the TTL changes.
    fn change(&mut self, key: &Key, ttl_s: u32, before: &BTreeSet<Data>, after: &BTreeSet<Data>, is_new_ttl: bool) {
        let is_kept = |data: &Data| !is_new_ttl && before.contains(data);
        if is_new_ttl || (after.is_empty() && !before.is_empty()) {
            self.remove(key);
        } else {
            for data in before.difference(after) {
                write(&mut self.updates, key, CLASS_NONE, 0, data.octets());
                self.update_count += 1;
            }
        }
        for data in after.iter().filter(|data| !is_kept(data)) {
            write(&mut self.updates, key, CLASS_IN, ttl_s, data.octets());
            self.update_count += 1;
        }
    }

    fn finish(mut self) -> Result<Vec<u8>, TooLarge> {
        let count = |count: usize| u16::try_from(count).map(u16::to_be_bytes).map_err(|_| TooLarge);
        self.octets[6..8].copy_from_slice(&count(self.prerequisites)?);
        self.octets[8..10].copy_from_slice(&count(self.update_count)?);
        self.octets.extend(self.updates);
        if self.octets.len() > MESSAGE_MAX { Err(TooLarge) } else { Ok(self.octets) }
    }
}

fn write(out: &mut Vec<u8>, key: &Key, class: u16, ttl_s: u32, octets: &[u8]) {
    let name = Name::parse(&key.name).unwrap_or_else(|_| Name::root());
    out.extend(name.wire());
    out.extend(key.kind.0.to_be_bytes());
    out.extend(class.to_be_bytes());
    out.extend(ttl_s.to_be_bytes());
    out.extend((octets.len() as u16).to_be_bytes());
    out.extend(octets);
}

const CLASS_NONE: u16 = 254;
const CLASS_ANY: u16 = 255;

/// Of our mark: resolvers do not ask for it.
const MARK_TTL_S: u32 = 60;

/// Octets of a message over TCP, with room for a signature.
const MESSAGE_MAX: usize = 65_535 - 700;
