//! Makes a table, entry by entry.

use super::address::Lower;
use super::entry::{Entry, Is, Senders};
use super::record::{
    ATTRIBUTES, Addresses, CONTACT, FORWARD, GROUP, KEEP_COPY, KEY, Reader, Recipient, Rest, SIZE, TRUSTED, Writer,
};
use super::table::Table;
use mail::Mailbox;
use std::collections::HashMap;

/// Bytes of the records of one table: places in it are 32 bits wide.
pub const TABLE_BYTES_MAX: usize = u32::MAX as usize - 1;

/// Clashes that are told one by one.
pub const CLASHES_MAX: usize = 100;

/// Two recipients with the same address: the first one has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Clash {
    /// The address.
    pub address: Mailbox,
    /// Whose it is.
    pub of: Mailbox,
    /// Who wanted it too.
    pub and: Mailbox,
}

/// The table has [`TABLE_BYTES_MAX`] bytes and takes no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A table that is being made.
#[derive(Debug, Default)]
pub struct Builder {
    table: Table,
    words: HashMap<Box<str>, u64>,
    clashes: Vec<Clash>,
    record: Writer,
}

impl Builder {
    /// Adds a recipient. `key` is what its source calls it, empty if it has no other name than its address. Where addresses clash, the
    /// earlier recipient keeps the address; the first [`CLASHES_MAX`] are told.
    pub fn push(&mut self, key: &str, entry: &Entry) -> Result<(), Full> {
        let mut record = std::mem::take(&mut self.record);
        record.0.clear();
        self.write(&mut record, key, entry);
        let at = self.table.bytes.len();
        if at + record.0.len() + LENGTH_BYTES_MAX > TABLE_BYTES_MAX {
            return Err(Full);
        }
        let mut bytes = Writer(std::mem::take(&mut self.table.bytes));
        bytes.number(record.0.len() as u64);
        bytes.0.extend_from_slice(&record.0);
        self.table.bytes = bytes.0;
        self.record = record;
        self.index(at as u32);
        Ok(())
    }

    /// How many recipients it has so far.
    pub fn len(&self) -> usize {
        self.table.count
    }

    /// Nobody yet.
    pub fn is_empty(&self) -> bool {
        self.table.count == 0
    }

    /// The table so far: those who are in it can be found by their keys.
    pub fn so_far(&mut self) -> &Table {
        self.table.keys.sort_unstable();
        &self.table
    }

    /// The table, and what clashed.
    pub fn finish(mut self) -> (Table, Vec<Clash>) {
        self.table.bytes.shrink_to_fit();
        self.table.keys.sort_unstable();
        self.table.keys.shrink_to_fit();
        (self.table, self.clashes)
    }

    /// A builder with these records, as a table wrote them. `None` if they are damaged.
    pub(super) fn of_parts(words: Vec<Box<str>>, bytes: Vec<u8>) -> Option<Builder> {
        if bytes.len() > TABLE_BYTES_MAX {
            return None;
        }
        let mut builder = Builder { table: Table { words, bytes, ..Table::default() }, ..Builder::default() };
        let mut at = 0;
        while at < builder.table.bytes.len() {
            let mut reader = Reader::at(&builder.table.bytes, at);
            let len = reader.number()?;
            let next = builder.table.bytes.len() - reader.left();
            is_sound(reader.take(len)?, &builder.table.words)?;
            builder.index(at as u32);
            at = next + len as usize;
        }
        Some(builder)
    }

    /// Makes the record at `at` known by its addresses and its key.
    fn index(&mut self, at: u32) {
        let addresses: Vec<Mailbox> = {
            let recipient = Recipient::new(&self.table, at);
            std::iter::once(recipient.address()).chain(recipient.aliases()).collect()
        };
        for address in &addresses {
            let lower = Lower::of(address);
            match self.table.find(&lower) {
                Some(known) if known.at() == at => {}
                Some(known) => {
                    let clash = Clash { address: address.clone(), of: known.address(), and: addresses[0].clone() };
                    self.clashes.extend((self.clashes.len() < CLASHES_MAX).then_some(clash));
                }
                None => {
                    let hash = self.table.index.hash(lower.bytes());
                    self.table.index.insert(hash, at);
                }
            }
        }
        let key = Recipient::new(&self.table, at).key();
        if !key.is_empty() {
            let hash = self.table.index.hash(key.as_bytes());
            self.table.keys.push((hash, at));
        }
        self.table.count += 1;
    }

    fn write(&mut self, record: &mut Writer, key: &str, entry: &Entry) {
        let set = |flag: u8, is: bool| if is { flag } else { 0 };
        let flags = match entry.is {
            Is::Mailbox => 0,
            Is::Contact { .. } => CONTACT,
            Is::Group { .. } => GROUP,
        };
        record.0.push(
            flags
                | set(FORWARD, entry.forward.is_some())
                | set(KEEP_COPY, entry.forward.as_ref().is_some_and(|forward| forward.keep_copy))
                | set(TRUSTED, entry.senders == Senders::Trusted)
                | set(SIZE, entry.message_bytes_max.is_some())
                | set(ATTRIBUTES, !entry.attributes.is_empty())
                | set(KEY, !key.is_empty()),
        );
        record.number(1 + entry.aliases.len() as u64);
        for address in std::iter::once(&entry.address).chain(&entry.aliases) {
            self.address(record, address);
        }
        match &entry.is {
            Is::Mailbox => {}
            Is::Contact { target } => self.address(record, target),
            Is::Group { members, having } => {
                record.number(members.len() as u64);
                members.iter().for_each(|member| self.address(record, member));
                record.number(having.len() as u64);
                having.iter().for_each(|(name, value)| [name, value].iter().for_each(|text| record.text(text)));
            }
        }
        if let Some(forward) = &entry.forward {
            self.address(record, &forward.to);
        }
        if let Some(size) = entry.message_bytes_max {
            record.number(size);
        }
        if !entry.attributes.is_empty() {
            record.number(entry.attributes.len() as u64);
            for (name, value) in &entry.attributes {
                self.word(record, &name.to_lowercase());
                record.text(value);
            }
        }
        if !key.is_empty() {
            let (own, end) = key.split_once(',').unwrap_or((key, ""));
            self.word(record, end);
            record.text(own);
        }
    }

    fn address(&mut self, record: &mut Writer, address: &Mailbox) {
        self.word(record, address.domain());
        record.text(address.local());
    }

    /// The number of a shared word.
    fn word(&mut self, record: &mut Writer, word: &str) {
        let number = self.words.get(word).copied().unwrap_or_else(|| {
            let number = self.table.words.len() as u64;
            self.table.words.push(word.into());
            self.words.insert(word.into(), number);
            number
        });
        record.number(number);
    }
}

/// Whether a record can be read, whole and with addresses that are some.
fn is_sound(record: &[u8], words: &[Box<str>]) -> Option<()> {
    let mut reader = Reader::at(record, 0);
    let (flags, count) = (reader.byte()?, reader.number()?);
    let mut addresses = Addresses { reader, words, count };
    for _ in 0..count {
        let (local, domain) = addresses.next()?;
        Mailbox::parse(&format!("{local}@{domain}"), true).ok()?;
    }
    Rest::default().read(flags, &mut addresses.reader, words)?;
    (count > 0 && addresses.reader.left() == 0).then_some(())
}

/// Bytes of a length in front of a record.
const LENGTH_BYTES_MAX: usize = 10;
