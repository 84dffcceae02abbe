//! The register of ownership that etcd will be: one journal's owner, epoch and level set, changed by compare-and-swap.

use std::collections::{BTreeMap, BTreeSet};

use cluster::record::next_term;

/// What is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub owner: usize,
    pub epoch: u32,
    pub level: BTreeSet<usize>,
}

pub struct Register {
    entry: Entry,
    /// The first epoch of the present owner; what it claims later is higher.
    reign: u32,
    /// Whether it has opened the journal.
    pub begun: bool,
    /// Nodes that cannot reach it.
    pub cut: BTreeSet<usize>,
    /// Who has opened the journal under which epoch.
    openers: BTreeMap<u32, usize>,
}

impl Register {
    pub fn new(owner: usize) -> Register {
        let entry = Entry { owner, epoch: next_term(0, 0), level: BTreeSet::new() };
        Register { reign: entry.epoch, begun: false, entry, cut: BTreeSet::new(), openers: BTreeMap::new() }
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
            if new.owner != self.entry.owner {
                (self.reign, self.begun) = (new.epoch, false);
            }
            self.entry = new;
        }
        can
    }

    /// Whether a node that writes under `epoch` is the owner; the register may have given it a higher one that it has not heard of yet.
    pub fn is_true(&self, node: usize, epoch: u32) -> bool {
        self.entry.owner == node && epoch >= self.reign
    }

    /// Whether an epoch that a node has on its disk is its own, and not one that it has heard of.
    pub fn is_of(&self, node: usize, epoch: u32) -> bool {
        self.openers.get(&epoch) == Some(&node)
    }

    /// Notes that a node is about to write under an epoch.
    pub fn opens(&mut self, node: usize, epoch: u32) -> Result<(), String> {
        match self.openers.insert(epoch, node) {
            Some(other) if other != node => Err(format!("nodes {other} and {node} both own epoch {epoch}")),
            _ => Ok(()),
        }
    }
}
