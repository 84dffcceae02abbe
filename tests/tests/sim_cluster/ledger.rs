//! What clients were promised, and what was delivered. Each violation is a sentence.

use std::collections::{BTreeMap, BTreeSet};

use cluster::record::JournalName;

pub type Id = u64;

#[derive(Clone, Debug)]
pub struct Known {
    /// The journal that it was put into.
    pub journal: JournalName,
    /// Its sender has a receipt that names a copy.
    pub receipted: bool,
    /// Nodes that have delivered it.
    pub delivered: Vec<usize>,
    /// Its outcome has been written where every taker must see it.
    pub done: bool,
}

/// What a run was worth.
#[derive(Clone, Copy, Default, Debug)]
pub struct Tally {
    pub receipts: u64,
    pub take_overs: u64,
    pub hand_overs: u64,
    pub disks_lost: u64,
    pub power_cuts: u64,
    pub duplicates: u64,
    pub rests: u64,
    pub raises: u64,
    pub alone: u64,
    pub drained: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.receipts += other.receipts;
        self.take_overs += other.take_overs;
        self.hand_overs += other.hand_overs;
        self.disks_lost += other.disks_lost;
        self.power_cuts += other.power_cuts;
        self.duplicates += other.duplicates;
        self.rests += other.rests;
        self.raises += other.raises;
        self.alone += other.alone;
        self.drained += other.drained;
    }
}

#[derive(Default)]
pub struct Ledger {
    pub mails: BTreeMap<Id, Known>,
    next: Id,
    /// Which process of which node has written under which epoch of which journal.
    writers: BTreeMap<(JournalName, u32), (usize, u64)>,
    pub tally: Tally,
}

impl Ledger {
    pub fn new_mail(&mut self, journal: &JournalName) -> Id {
        self.next += 1;
        let known = Known { journal: journal.clone(), receipted: false, delivered: Vec::new(), done: false };
        self.mails.insert(self.next, known);
        self.next
    }

    pub fn receipted(&mut self, id: Id) {
        self.tally.receipts += 1;
        self.mails.get_mut(&id).unwrap().receipted = true;
    }

    /// `exact` is false where a later owner may have more than it said.
    pub fn delivers(&mut self, node: usize, id: Id, exact: bool) -> Result<(), String> {
        let known = self.mails.get_mut(&id).ok_or(format!("mail {id} was never sent"))?;
        if known.done && exact {
            return Err(format!(
                "{node} delivers mail {id} of {}, whose outcome every taker has: {known:?}",
                known.journal
            ));
        }
        self.tally.duplicates += u64::from(!known.delivered.is_empty());
        known.delivered.push(node);
        Ok(())
    }

    /// Every later owner knows that it was delivered.
    pub fn done(&mut self, id: Id) {
        self.mails.get_mut(&id).unwrap().done = true;
    }

    /// A process is about to write under an epoch.
    pub fn writes(&mut self, journal: &JournalName, epoch: u32, node: usize, process: u64) -> Result<(), String> {
        match self.writers.insert((journal.clone(), epoch), (node, process)) {
            Some(other) if other != (node, process) => {
                Err(format!("{journal}: epoch {epoch} is written by {other:?} and by {:?}", (node, process)))
            }
            _ => Ok(()),
        }
    }

    /// What an owner who opens a journal must find in it.
    pub fn opened(&self, journal: &JournalName, shown: &BTreeSet<Id>, who: &str) -> Result<(), String> {
        let must = |known: &Known| known.receipted && known.delivered.is_empty() && known.journal == *journal;
        match self.mails.iter().find(|(id, known)| must(known) && !shown.contains(id)) {
            Some((id, _)) => {
                Err(format!("{who} opens {journal} and has not got mail {id}, for which there is a receipt"))
            }
            None => Ok(()),
        }
    }
}
