//! The table of one source. Records stand one behind the other in one piece of memory; an open-addressed index of their addresses
//! holds 8 bytes a slot, and a sorted list finds a record by the name that its source has for it.

use super::address::Lower;
use super::builder::Builder;
use super::record::{Reader, Recipient};
use mail::Mailbox;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::mem::size_of;

/// Everybody that one source knows.
#[derive(Debug, Default)]
pub struct Table {
    pub(super) bytes: Vec<u8>,
    /// Domains, names of attributes, ends of keys: what many records share.
    pub(super) words: Vec<Box<str>>,
    pub(super) index: Index,
    /// Hash of a key and where its record stands; sorted.
    pub(super) keys: Vec<(u32, u32)>,
    pub(super) count: usize,
}

impl Table {
    /// Who has this address.
    pub fn get(&self, address: &Mailbox) -> Option<Recipient<'_>> {
        self.find(&Lower::of(address))
    }

    pub(super) fn find(&self, address: &Lower) -> Option<Recipient<'_>> {
        let of = |at| Recipient::new(self, at);
        self.index.places(self.index.hash(address.bytes())).map(of).find(|recipient| recipient.has(address))
    }

    /// The recipient that its source knows by this key.
    pub fn by_key(&self, key: &str) -> Option<Recipient<'_>> {
        let hash = self.index.hash(key.as_bytes());
        let from = self.keys.partition_point(|(known, _)| *known < hash);
        let same = self.keys[from..].iter().take_while(|(known, _)| *known == hash);
        same.map(|(_, at)| Recipient::new(self, *at)).find(|recipient| recipient.key() == key)
    }

    /// All of them, in the order in which the source told them.
    pub fn iter(&self) -> impl Iterator<Item = Recipient<'_>> {
        let mut next = 0;
        std::iter::from_fn(move || {
            let at = next;
            let mut reader = Reader::at(&self.bytes, at as usize);
            let len = reader.number()?;
            next = (self.bytes.len() - reader.left()) as u32 + len as u32;
            Some(Recipient::new(self, at))
        })
    }

    /// How many recipients.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Nobody.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Memory that it takes, in bytes.
    pub fn memory_bytes(&self) -> usize {
        let words: usize = self.words.iter().map(|word| word.len() + size_of::<Box<str>>()).sum();
        let index = self.index.slots.capacity() * size_of::<Slot>();
        self.bytes.capacity() + index + self.keys.capacity() * size_of::<(u32, u32)>() + words
    }

    /// What is written of it to be kept: the shared words, and the records.
    pub fn parts(&self) -> (&[Box<str>], &[u8]) {
        (&self.words, &self.bytes)
    }

    /// The table of what [`Table::parts`] gave. `None` if it is damaged.
    pub fn from_parts(words: Vec<Box<str>>, bytes: Vec<u8>) -> Option<Table> {
        Builder::of_parts(words, bytes).map(|builder| builder.finish().0)
    }
}

/// Where the record of an address stands. Hashes are keyed by chance: whoever chooses addresses cannot make them collide.
#[derive(Debug, Default)]
pub(super) struct Index {
    state: RandomState,
    slots: Vec<Slot>,
    used: usize,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    at: u32,
}

impl Index {
    pub fn hash(&self, bytes: &[u8]) -> u32 {
        let mut hasher = self.state.build_hasher();
        hasher.write(bytes);
        hasher.finish() as u32
    }

    /// Records whose address may have this hash.
    pub fn places(&self, hash: u32) -> impl Iterator<Item = u32> {
        let mask = self.slots.len().wrapping_sub(1);
        let probe = (0..self.slots.len()).map(move |step| self.slots[(hash as usize + step) & mask]);
        probe.take_while(|slot| slot.at != FREE).filter(move |slot| slot.hash == hash).map(|slot| slot.at)
    }

    pub fn insert(&mut self, hash: u32, at: u32) {
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            let wider = vec![Slot { hash: 0, at: FREE }; (self.slots.len() * 2).max(8)];
            let known = std::mem::replace(&mut self.slots, wider);
            known.into_iter().filter(|slot| slot.at != FREE).for_each(|slot| self.place(slot));
        }
        self.place(Slot { hash, at });
        self.used += 1;
    }

    fn place(&mut self, slot: Slot) {
        let mask = self.slots.len() - 1;
        let mut at = slot.hash as usize & mask;
        while self.slots[at].at != FREE {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }
}

/// No record stands there: a table ends before it.
const FREE: u32 = u32::MAX;
