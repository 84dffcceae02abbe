//! One recipient of a table, and how its record is written.
//!
//! A record: its length; flags; its addresses, the own one first; and only what the flags announce. Numbers are LEB128, texts have
//! their length in front, an address is the number of its domain's word and a local part.

use super::address::Lower;
use super::entry::{Entry, Forward, Is, Senders};
use super::table::Table;
use mail::Mailbox;

/// One recipient of a table.
#[derive(Clone, Copy)]
pub struct Recipient<'t> {
    table: &'t Table,
    at: u32,
}

pub(super) const CONTACT: u8 = 1;
pub(super) const GROUP: u8 = 1 << 1;
pub(super) const FORWARD: u8 = 1 << 2;
pub(super) const KEEP_COPY: u8 = 1 << 3;
pub(super) const TRUSTED: u8 = 1 << 4;
pub(super) const SIZE: u8 = 1 << 5;
pub(super) const ATTRIBUTES: u8 = 1 << 6;
pub(super) const KEY: u8 = 1 << 7;

impl<'t> Recipient<'t> {
    pub(super) fn new(table: &'t Table, at: u32) -> Recipient<'t> {
        Recipient { table, at }
    }

    /// Where its record stands: what tells it from the others of its table.
    pub(super) fn at(&self) -> u32 {
        self.at
    }

    /// The address that it goes by.
    pub fn address(&self) -> Mailbox {
        self.parts()
            .0
            .next()
            .map_or_else(|| Mailbox::of_parts("", ""), |(local, domain)| Mailbox::of_parts(local, domain))
    }

    /// The address that it goes by is this one. Takes no memory of its own.
    pub fn goes_by(&self, address: &Mailbox) -> bool {
        self.parts().0.next().is_some_and(|(local, domain)| Lower::of(address).is(local, domain))
    }

    /// It is a mailbox, and no group and no contact.
    pub fn is_mailbox(&self) -> bool {
        self.flags() & (CONTACT | GROUP) == 0
    }

    /// Its mail goes somewhere else, or somewhere else too.
    pub fn is_forwarded(&self) -> bool {
        self.flags() & FORWARD != 0
    }

    /// Its other addresses.
    pub fn aliases(&self) -> impl Iterator<Item = Mailbox> {
        self.parts().0.skip(1).map(|(local, domain)| Mailbox::of_parts(local, domain))
    }

    /// What it is.
    pub fn is(&self) -> Is {
        if self.flags() & (CONTACT | GROUP) == 0 { Is::Mailbox } else { self.rest().is }
    }

    /// Where its mail goes instead, or besides.
    pub fn forward(&self) -> Option<Forward> {
        if self.flags() & FORWARD == 0 { None } else { self.rest().forward }
    }

    /// Who may send to it.
    pub fn senders(&self) -> Senders {
        if self.flags() & TRUSTED == 0 { Senders::Anybody } else { Senders::Trusted }
    }

    /// Largest message for it in bytes.
    pub fn message_bytes_max(&self) -> Option<u64> {
        if self.flags() & SIZE == 0 { None } else { self.rest().message_bytes_max }
    }

    /// An attribute's values.
    pub fn attribute(&self, name: &str) -> impl Iterator<Item = &'t str> + use<'t> {
        let attributes = if self.flags() & ATTRIBUTES == 0 { Vec::new() } else { self.rest().attributes };
        let name = name.to_lowercase();
        attributes.into_iter().filter(move |(known, _)| **known == *name).map(|(_, value)| value)
    }

    /// What its source calls it; empty if the source has no other name for it than its address.
    pub fn key(&self) -> String {
        if self.flags() & KEY == 0 { String::new() } else { self.rest().key }
    }

    /// As its source told it.
    pub fn entry(&self) -> Entry {
        let (mut addresses, senders, rest) = (self.parts().0, self.senders(), self.rest());
        let mailbox = |(local, domain): (&str, &str)| Mailbox::of_parts(local, domain);
        Entry {
            address: addresses.next().map_or_else(|| Mailbox::of_parts("", ""), mailbox),
            aliases: addresses.map(mailbox).collect(),
            is: rest.is,
            forward: rest.forward,
            senders,
            message_bytes_max: rest.message_bytes_max,
            attributes: rest.attributes.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        }
    }

    /// One of its addresses is this one.
    pub(super) fn has(&self, address: &Lower) -> bool {
        self.parts().0.any(|(local, domain)| address.is(local, domain))
    }

    fn flags(&self) -> u8 {
        let mut reader = Reader::at(&self.table.bytes, self.at as usize);
        reader.number().and_then(|_| reader.byte()).unwrap_or_default()
    }

    /// Its addresses, and a reader behind them once they are all read.
    fn parts(&self) -> (Addresses<'t>, u8) {
        let mut reader = Reader::at(&self.table.bytes, self.at as usize);
        let head = reader.number().and_then(|_| Some((reader.byte()?, reader.number()?)));
        let (flags, count) = head.unwrap_or_default();
        (Addresses { reader, words: &self.table.words, count }, flags)
    }

    fn rest(&self) -> Rest<'t> {
        let (mut addresses, flags) = self.parts();
        addresses.by_ref().for_each(drop);
        let mut rest = Rest::default();
        // Records are checked when a table is made: what cannot be read is not there.
        let _ = rest.read(flags, &mut addresses.reader, &self.table.words);
        rest
    }
}

impl std::fmt::Debug for Recipient<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recipient({})", self.address())
    }
}

/// Local parts and domains of a record.
pub(super) struct Addresses<'t> {
    pub reader: Reader<'t>,
    pub words: &'t [Box<str>],
    pub count: u64,
}

impl<'t> Iterator for Addresses<'t> {
    type Item = (&'t str, &'t str);

    fn next(&mut self) -> Option<(&'t str, &'t str)> {
        self.count = self.count.checked_sub(1)?;
        self.reader.address(self.words)
    }
}

/// What few records have.
#[derive(Debug)]
pub(super) struct Rest<'t> {
    pub is: Is,
    pub forward: Option<Forward>,
    pub message_bytes_max: Option<u64>,
    pub attributes: Vec<(&'t str, &'t str)>,
    pub key: String,
}

impl Default for Rest<'_> {
    fn default() -> Self {
        Rest { is: Is::Mailbox, forward: None, message_bytes_max: None, attributes: Vec::new(), key: String::new() }
    }
}

impl<'t> Rest<'t> {
    /// Reads what `flags` announce, in the order in which [`Writer`] writes it.
    pub fn read(&mut self, flags: u8, reader: &mut Reader<'t>, words: &'t [Box<str>]) -> Option<()> {
        if flags & CONTACT != 0 {
            self.is = Is::Contact { target: reader.mailbox(words)? };
        }
        if flags & GROUP != 0 {
            let members = (0..reader.number()?).map(|_| reader.mailbox(words)).collect::<Option<Vec<_>>>()?;
            let mut having = Vec::new();
            for _ in 0..reader.number()? {
                having.push((reader.text()?.into(), reader.text()?.into()));
            }
            self.is = Is::Group { members, having };
        }
        if flags & FORWARD != 0 {
            self.forward = Some(Forward { to: reader.mailbox(words)?, keep_copy: flags & KEEP_COPY != 0 });
        }
        if flags & SIZE != 0 {
            self.message_bytes_max = Some(reader.number()?);
        }
        if flags & ATTRIBUTES != 0 {
            for _ in 0..reader.number()? {
                self.attributes.push((reader.word(words)?, reader.text()?));
            }
        }
        if flags & KEY != 0 {
            let (end, own) = (reader.word(words)?, reader.text()?);
            self.key = if end.is_empty() { own.to_string() } else { format!("{own},{end}") };
        }
        Some(())
    }
}

/// Reads what [`Writer`] wrote; `None` where it is damaged.
#[derive(Clone, Debug)]
pub(super) struct Reader<'t> {
    bytes: &'t [u8],
}

impl<'t> Reader<'t> {
    pub fn at(bytes: &'t [u8], at: usize) -> Reader<'t> {
        Reader { bytes: bytes.get(at..).unwrap_or_default() }
    }

    pub fn left(&self) -> usize {
        self.bytes.len()
    }

    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    pub fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub fn take(&mut self, len: u64) -> Option<&'t [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(usize::try_from(len).ok()?)?;
        self.bytes = rest;
        Some(taken)
    }

    pub fn text(&mut self) -> Option<&'t str> {
        let len = self.number()?;
        std::str::from_utf8(self.take(len)?).ok()
    }

    pub fn word(&mut self, words: &'t [Box<str>]) -> Option<&'t str> {
        words.get(usize::try_from(self.number()?).ok()?).map(|word| &**word)
    }

    pub fn address(&mut self, words: &'t [Box<str>]) -> Option<(&'t str, &'t str)> {
        let domain = self.word(words)?;
        Some((self.text()?, domain))
    }

    fn mailbox(&mut self, words: &'t [Box<str>]) -> Option<Mailbox> {
        self.address(words).map(|(local, domain)| Mailbox::of_parts(local, domain))
    }
}

/// Writes records.
#[derive(Debug, Default)]
pub(super) struct Writer(pub Vec<u8>);

impl Writer {
    pub fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    pub fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }
}
