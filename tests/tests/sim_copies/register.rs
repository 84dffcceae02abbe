//! The register of ownership that etcd will be: one journal's owner, epoch and level set, changed by compare-and-swap.

use std::collections::{BTreeMap, BTreeSet};

/// What is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub owner: usize,
    pub epoch: u32,
    pub level: BTreeSet<usize>,
}

pub struct Register {
    entry: Entry,
    /// Nodes that cannot reach it.
    pub cut: BTreeSet<usize>,
    /// Who has opened the journal under which epoch.
    openers: BTreeMap<u32, usize>,
}

impl Register {
    pub fn new(owner: usize) -> Register {
        let entry = Entry { owner, epoch: 1, level: BTreeSet::new() };
        Register { entry, cut: BTreeSet::new(), openers: BTreeMap::new() }
    }

    /// What a node reads, if it can.
    pub fn read(&self, node: usize) -> Option<Entry> {
        (!self.cut.contains(&node)).then(|| self.entry.clone())
    }

    /// What is true, for checkers.
    pub fn truth(&self) -> &Entry {
        &self.entry
    }

    /// Replaces `known` by `new` if it is still what is written. A node that cannot reach it cannot.
    pub fn swap(&mut self, node: usize, known: &Entry, new: Entry) -> bool {
        let can = !self.cut.contains(&node) && self.entry == *known;
        if can {
            self.entry = new;
        }
        can
    }

    /// Notes that a node has opened the journal as its owner.
    pub fn opened(&mut self, node: usize, epoch: u32) -> Result<(), String> {
        match self.openers.insert(epoch, node) {
            Some(other) if other != node => Err(format!("nodes {other} and {node} both own epoch {epoch}")),
            _ => Ok(()),
        }
    }
}
