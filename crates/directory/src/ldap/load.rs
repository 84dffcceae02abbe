//! From entries to a table of recipients, from changed entries to changes of one, and whether the result is believed.

use super::meaning::{Found, Told};
use super::source::Directory;
use crate::recipients::{Builder, Change, Clash, Full, Recipients};
use mail::Mailbox;
use std::collections::HashMap;
use std::sync::Arc;

/// A directory while it is read whole.
pub struct Load {
    directory: Arc<Directory>,
    builder: Builder,
    /// Those that name other entries: looked up when all are there.
    open: Vec<Told>,
    without_address: usize,
}

/// What became of it.
#[derive(Debug)]
pub struct Loaded {
    /// Everybody.
    pub recipients: Recipients,
    /// Addresses of two recipients.
    pub clashes: Vec<Clash>,
    /// Members and targets that name nobody.
    pub unresolved: usize,
    /// Entries without a sound address.
    pub without_address: usize,
}

impl Load {
    /// Nothing yet.
    pub fn of(directory: Arc<Directory>) -> Load {
        Load { directory, builder: Builder::default(), open: Vec::new(), without_address: 0 }
    }

    /// One entry more.
    pub fn add(&mut self, found: &Found) -> Result<(), Full> {
        match Told::of(&self.directory, found) {
            Some(told) if told.is_complete() => self.builder.push(&told.key, &told.entry),
            Some(told) => {
                self.open.push(told);
                Ok(())
            }
            None => {
                self.without_address += 1;
                Ok(())
            }
        }
    }

    /// That was all.
    pub fn finish(self) -> Result<Loaded, Full> {
        let Load { mut builder, open, without_address, .. } = self;
        let named = named(&open);
        let (mut unresolved, mut resolved) = (0, Vec::with_capacity(open.len()));
        let so_far = builder.so_far();
        let address_of =
            |key: &str| named.get(key).cloned().or_else(|| so_far.by_key(key).map(|recipient| recipient.address()));
        for told in open {
            let key = told.key.clone();
            let (entry, unknown) = told.resolve(address_of);
            unresolved += unknown;
            resolved.push((key, entry));
        }
        resolved.iter().try_for_each(|(key, entry)| builder.push(key, entry))?;
        let (table, clashes) = builder.finish();
        Ok(Loaded { recipients: Recipients::from(table), clashes, unresolved, without_address })
    }
}

/// The changes that entries make which were changed lately; those that are as they were known are none.
pub fn changes(directory: &Directory, known: &Recipients, found: &[Found]) -> Vec<Change> {
    let told = found.iter().filter_map(|found| Told::of(directory, found));
    let told: Vec<Told> = told.collect();
    let named = named(&told);
    let address_of =
        |key: &str| named.get(key).cloned().or_else(|| known.by_key(key).map(|recipient| recipient.address()));
    let changed = told.into_iter().filter_map(|told| {
        let key = told.key.clone();
        let (entry, _) = told.resolve(address_of);
        let is_known = known.by_key(&key).is_some_and(|recipient| recipient.entry() == entry);
        (!is_known).then_some(Change { key, entry: Some(entry) })
    });
    changed.collect()
}

fn named(told: &[Told]) -> HashMap<String, Mailbox> {
    told.iter().map(|told| (told.key.clone(), told.entry.address.clone())).collect()
}

/// Whether what a directory tells takes the place of what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Apply,
    /// So many of those who are known would vanish: an operator must accept it.
    Hold {
        /// Who would vanish.
        missing: usize,
        /// Who is known.
        of: usize,
    },
}

/// Judges what was read whole. Who is known by an address that nobody has any more vanishes.
pub fn judge(known: &Recipients, next: &Recipients, shrink_percent_max: u32) -> Verdict {
    let (missing, of) = (known.missing_in(next), known.len());
    match missing as u64 * 100 > u64::from(shrink_percent_max) * of as u64 {
        true => Verdict::Hold { missing, of },
        false => Verdict::Apply,
    }
}
