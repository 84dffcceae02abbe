//! The messages that change a zone of others (RFC 2136).
//!
//! Most pushes are one message, done whole or not at all. What does not fit is several, each tied to what was there for its own sets and for
//! its part of the mark: whoever stops in between has a zone that is partly as it was, with a mark that says just that, and the next
//! push does the rest. Always holds: all sets of one name are in one message, so that an alias makes room for what comes in its place.

use super::mark::{self, Mark};
use super::plan::{Change, Plan, Step, There, What};
use crate::name::Name;
use crate::push::plan::Key;
use crate::record::{Data, Kind};
use crate::wire::{CLASS_IN, UPDATE};
use std::collections::{BTreeMap, BTreeSet};

/// What is to be done at one name does not fit into one message, the mark would have too many parts, or a name is too long to be marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// How large messages and parts of the mark become.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Octets of a message.
    pub message: usize,
    /// Names whose sets a part of the mark has.
    pub part: usize,
}

impl Default for Bounds {
    /// Of a message what TCP carries, with room for a signature; of a mark no more than the 100 records that BIND lets a set have
    /// (max-records-per-type), whatever comes to its names: there are nine kinds that can stand beside each other.
    fn default() -> Bounds {
        Bounds { message: 65_535 - 700, part: 11 }
    }
}

/// The messages, in their order, with the numbers that `id` gives: of each, every set that changes must be as it was planned for, or
/// nothing of it is done.
pub fn updates(
    zone: &Name,
    plan: &Plan,
    there: &There,
    bounds: Bounds,
    mut id: impl FnMut() -> u16,
) -> Result<Vec<Vec<u8>>, TooLarge> {
    let mut parts = mark::parts(zone, there);
    let placed = placed(plan, &mut parts, bounds)?;
    let mut messages = Vec::new();
    for (number, names) in placed.iter().enumerate() {
        let has_next = number + 1 < parts.len();
        let mut work = Part { key: Mark::key(zone, number).ok_or(TooLarge)?, data: parts[number].clone(), has_next };
        let mut rest = names.as_slice();
        while !rest.is_empty() || work.lacks_more() {
            let message = Message::new(zone, id());
            let mut room = bounds.message.saturating_sub(message.octets.len() + work.octets());
            let fits = rest.iter().take_while(|name| {
                let fits = name.octets(there, &work.key) <= room;
                room = room.saturating_sub(name.octets(there, &work.key));
                fits
            });
            // Something too large is refused when the message is finished.
            let (now, later) = rest.split_at(fits.count().max(1).min(rest.len()));
            messages.push(work.message(message, now, there)?.finish(bounds)?);
            rest = later;
        }
    }
    Ok(messages)
}

/// Everything that is done at one name.
#[derive(Default)]
struct AtName<'p> {
    steps: Vec<&'p Step>,
    /// Records of the mark that go, and that come.
    unmarked: Vec<Data>,
    marked: Vec<Data>,
}

/// Which names are changed together with which part of the mark: the one that has the name, else the first with room, else a new one.
fn placed<'p>(
    plan: &'p Plan,
    parts: &mut Vec<BTreeSet<Data>>,
    bounds: Bounds,
) -> Result<Vec<Vec<AtName<'p>>>, TooLarge> {
    let mut where_is: BTreeMap<String, usize> = BTreeMap::new();
    for (number, part) in parts.iter().enumerate() {
        for key in Mark::read(part).0.into_keys() {
            where_is.entry(key.name).or_insert(number);
        }
    }
    let mut names = vec![0; parts.len()];
    where_is.values().for_each(|number| names[*number] += 1);
    let mut placed: Vec<Vec<AtName<'p>>> = parts.iter().map(|_| Vec::new()).collect();
    for (name, at_name) in by_name(plan)? {
        let known = where_is.get(name).copied();
        let number = known.or_else(|| names.iter().position(|names| *names < bounds.part)).unwrap_or(parts.len());
        if number == parts.len() {
            if parts.len() == mark::PARTS_MAX {
                return Err(TooLarge);
            }
            parts.push(BTreeSet::new());
            placed.push(Vec::new());
            names.push(0);
        }
        names[number] += usize::from(known.is_none());
        placed[number].push(at_name);
    }
    Ok(placed)
}

fn by_name(plan: &Plan) -> Result<BTreeMap<&str, AtName<'_>>, TooLarge> {
    let mut names: BTreeMap<&str, AtName<'_>> = BTreeMap::new();
    for step in plan.steps.iter().filter(|step| matches!(step.what, What::Change(_) | What::Adopt)) {
        names.entry(&step.key.name).or_default().steps.push(step);
    }
    let (before, after) = (&plan.mark_before.0, &plan.mark_after.0);
    for (key, digest) in before.iter().filter(|(key, digest)| after.get(*key) != Some(*digest)) {
        names.entry(&key.name).or_default().unmarked.push(mark::record(key, digest).ok_or(TooLarge)?);
    }
    for (key, digest) in after.iter().filter(|(key, digest)| before.get(*key) != Some(*digest)) {
        names.entry(&key.name).or_default().marked.push(mark::record(key, digest).ok_or(TooLarge)?);
    }
    Ok(names)
}

impl AtName<'_> {
    /// What it takes in a message.
    fn octets(&self, there: &There, mark: &Key) -> usize {
        let mut message = Message::empty();
        self.steps.iter().for_each(|step| message.step(step, there));
        let marks = self.marked.iter().chain(&self.unmarked);
        let marks: usize = marks.map(|data| mark.name.len() + 1 + RECORD + data.octets().len()).sum();
        message.octets.len() + message.updates.len() + marks
    }
}

/// One part of the mark, as it is after the messages so far.
struct Part {
    key: Key,
    data: BTreeSet<Data>,
    has_next: bool,
}

impl Part {
    /// Another part follows, and it does not say so.
    fn lacks_more(&self) -> bool {
        self.has_next && !mark::has_more(&self.data)
    }

    /// What its prerequisite takes, with the word that another one follows.
    fn octets(&self) -> usize {
        let record = |data: &Data| self.key.name.len() + 1 + RECORD + data.octets().len();
        self.data.iter().map(record).sum::<usize>() + 2 * record(&mark::more())
    }

    /// The message that does this at these names.
    fn message(&mut self, mut out: Message, names: &[AtName<'_>], there: &There) -> Result<Message, TooLarge> {
        let before = self.data.clone();
        for name in names {
            self.data.retain(|data| !name.unmarked.contains(data));
            self.data.extend(name.marked.iter().cloned());
        }
        if self.has_next {
            self.data.insert(mark::more());
        }
        names.iter().flat_map(|name| &name.steps).for_each(|step| out.step(step, there));
        out.must_be(&self.key, &before);
        out.change(&self.key, MARK_TTL_S, &before, &self.data, false);
        Ok(out)
    }
}

struct Message {
    octets: Vec<u8>,
    prerequisites: usize,
    /// What goes is first: an alias makes room for what comes in its place.
    removals: Vec<u8>,
    updates: Vec<u8>,
    update_count: usize,
}

impl Message {
    fn empty() -> Message {
        Message { octets: Vec::new(), prerequisites: 0, removals: Vec::new(), updates: Vec::new(), update_count: 0 }
    }

    fn new(zone: &Name, id: u16) -> Message {
        let mut octets = Vec::new();
        for number in [id, u16::from(UPDATE) << 11, 1, 0, 0, 0] {
            octets.extend(number.to_be_bytes());
        }
        crate::wire::question(&mut octets, zone.wire(), Kind::SOA);
        Message { octets, ..Message::empty() }
    }

    /// One set, with what it must be before.
    fn step(&mut self, step: &Step, there: &There) {
        self.must_be(&step.key, &step.before);
        match step.what {
            What::Change(Change::Remove) => {
                write(&mut self.removals, &step.key, CLASS_ANY, 0, &[]);
                self.update_count += 1;
            }
            What::Change(_) => {
                let is_new_ttl = there.ttls_s.get(&step.key).is_some_and(|ttl_s| *ttl_s != step.ttl_s);
                self.change(&step.key, step.ttl_s, &step.before, &step.after, is_new_ttl);
            }
            What::Adopt | What::Foreign | What::Meddled => {}
        }
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

    /// Only the difference, unless the TTL changes or all of it goes (2.5.2).
    fn change(&mut self, key: &Key, ttl_s: u32, before: &BTreeSet<Data>, after: &BTreeSet<Data>, is_new_ttl: bool) {
        let is_kept = |data: &Data| !is_new_ttl && before.contains(data);
        if is_new_ttl || (after.is_empty() && !before.is_empty()) {
            write(&mut self.updates, key, CLASS_ANY, 0, &[]);
            self.update_count += 1;
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

    fn finish(mut self, bounds: Bounds) -> Result<Vec<u8>, TooLarge> {
        let count = |count: usize| u16::try_from(count).map(u16::to_be_bytes).map_err(|_| TooLarge);
        self.octets[6..8].copy_from_slice(&count(self.prerequisites)?);
        self.octets[8..10].copy_from_slice(&count(self.update_count)?);
        self.octets.extend(self.removals);
        self.octets.extend(self.updates);
        if self.octets.len() > bounds.message { Err(TooLarge) } else { Ok(self.octets) }
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

/// Octets of a record beside its owner and its data.
const RECORD: usize = 10;

/// Of our mark: resolvers do not ask for it.
const MARK_TTL_S: u32 = 60;
