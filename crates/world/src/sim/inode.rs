//! Owns the content of one simulated file: what programs see, what is on the platter, and what is between.
//! Knows no names. Always holds: a sector on the platter is whole: old, or one of the versions written since.

use crate::chance::Chance;
use crate::sim::SimChance;

/// One file's content.
#[derive(Default)]
pub(super) struct Inode {
    cache: Vec<u8>,
    platter: Vec<u8>,
    /// Sectors written since the last sync, oldest first.
    dirty: Vec<(usize, Box<[u8]>)>,
    changes: u64,
}

impl Inode {
    pub(super) fn content(&self) -> &[u8] {
        &self.cache
    }

    pub(super) fn len(&self) -> u64 {
        self.cache.len() as u64
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.changes += 1;
        let (from, to) = (offset as usize, offset as usize + bytes.len());
        if self.cache.len() < to {
            self.cache.resize(to, 0);
        }
        self.cache[from..to].copy_from_slice(bytes);
        for sector in from / SECTOR..=(to - 1) / SECTOR {
            let end = self.cache.len().min((sector + 1) * SECTOR);
            self.dirty.push((sector, self.cache[sector * SECTOR..end].into()));
        }
    }

    /// Emptied at once, on the platter too: nobody here truncates what matters without a rename after it.
    pub(super) fn truncate(&mut self) {
        *self = Inode { changes: self.changes + 1, ..Inode::default() };
    }

    pub(super) fn sync(&mut self) {
        for (sector, bytes) in std::mem::take(&mut self.dirty) {
            put(&mut self.platter, sector, &bytes);
        }
        self.platter.resize(self.cache.len(), 0);
    }

    /// EIO: any part of the dirty pages has arrived, the cache shows them all, and they count as clean.
    pub(super) fn fail_sync(&mut self, chance: &SimChance) {
        for (sector, bytes) in std::mem::take(&mut self.dirty) {
            if chance.below(2) == 0 {
                put(&mut self.platter, sector, &bytes);
            }
        }
    }

    /// Power cut: of each dirty sector any version since the last sync is there.
    pub(super) fn lose_power(&mut self, chance: &SimChance) {
        // Now and then all or nothing, which single coins would hardly ever give.
        let keep_per_mille = [0, 1000, 500, 900, 100][chance.below(5) as usize];
        let mut dirty = std::mem::take(&mut self.dirty);
        // Later versions go over earlier ones: a version that is kept last wins, and dropping the last one reveals an earlier.
        dirty.retain(|_| chance.one_in_thousand(keep_per_mille));
        for (sector, bytes) in dirty {
            put(&mut self.platter, sector, &bytes);
        }
        self.cache = self.platter.clone();
    }

    pub(super) fn rot(&mut self, offset: u64) {
        for content in [&mut self.cache, &mut self.platter] {
            if let Some(byte) = content.get_mut(offset as usize) {
                *byte ^= 0x55;
            }
        }
    }
}

fn put(content: &mut Vec<u8>, sector: usize, bytes: &[u8]) {
    let from = sector * SECTOR;
    if content.len() < from + bytes.len() {
        content.resize(from + bytes.len(), 0);
    }
    content[from..from + bytes.len()].copy_from_slice(bytes);
}

/// What a device writes whole or not at all.
const SECTOR: usize = 512;
