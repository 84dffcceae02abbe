//! What must be true of disks at any time, whoever owns the journal.

use std::collections::BTreeMap;

use journal::copies::{CopyStage, Frozen};

use crate::cluster::Cluster;
use crate::ledger::Id;
use crate::node::SEGMENT;

impl Cluster {
    /// Each copy is equal to its owner's log up to what it has acknowledged.
    pub fn check_copies(&mut self) -> Result<(), String> {
        let truth = self.register.truth().clone();
        let Some(owner) = self.nodes[truth.owner].owner() else { return Ok(()) };
        if !self.is_true_owner(truth.owner) || self.nodes[truth.owner].is_down() {
            return Ok(());
        }
        let states = owner.journal.copies().states();
        let ours = self.nodes[truth.owner].segments();
        for state in states.iter().filter(|s| matches!(s.stage, CopyStage::Live | CopyStage::Level)) {
            let h: usize = state.holder.parse().map_err(|_| "a holder's name")?;
            if self.nodes[h].copy().is_none() || self.nodes[h].is_down() {
                continue;
            }
            let theirs: BTreeMap<u64, Vec<u8>> = self.nodes[h].segments().into_iter().collect();
            for (start, bytes) in &ours {
                let len = tests::sim::records_before(bytes, state.acked.0.saturating_sub(*start));
                if len == 0 {
                    continue;
                }
                match theirs.get(start) {
                    Some(copy) if copy[..len] == bytes[..len] => {}
                    Some(copy) => {
                        let at = copy.iter().zip(bytes).take_while(|(a, b)| a == b).count();
                        return Err(format!(
                            "copy {h} differs from its owner at {start:x}+{at:x} of {len:x} in {state:?}"
                        ));
                    }
                    None => {
                        return Err(format!("copy {h} lacks segment {start:x} that it has acknowledged: {state:?}"));
                    }
                }
            }
        }
        Ok(())
    }

    /// A copy that is frozen stays what it said, and nobody is told that there is more.
    pub fn check_frozen(&self) -> Result<(), String> {
        for (n, node) in self.nodes.iter().enumerate().filter(|(_, node)| !node.is_down()) {
            let (Some(frozen), Some(copy)) = (node.frozen, node.copy()) else { continue };
            let state = copy.state();
            if (state.tail, state.epoch) != (frozen.at, frozen.heard) {
                return Err(format!("{n} was frozen as {frozen:?} and is {state:?}"));
            }
            // Owners before that one were told of more, and it is gone.
            let owners = self.nodes.iter().filter_map(|node| node.owner()).filter(|owner| owner.epoch >= frozen.heard);
            let acks = owners.flat_map(|owner| owner.journal.copies().states());
            // The beginning of a segment with nothing in it is no more than the end of the one before.
            let more = |at: u64| at > frozen.at.0 && !at.is_multiple_of(SEGMENT) && !node.lost;
            if let Some(ack) = acks.filter(|s| s.holder == n.to_string()).find(|s| more(s.acked.0)) {
                return Err(format!("{n} was frozen as {frozen:?} and acknowledged more: {ack:?}"));
            }
        }
        Ok(())
    }

    /// What a taker says that it has, it has: the owner before, when he comes back, drops his mail by that.
    pub fn check_claim(&self, taker: usize, frozen: Frozen) -> Result<(), String> {
        let owner = self.register.truth().owner;
        if !self.register.begun {
            return Ok(());
        }
        let theirs: BTreeMap<u64, Vec<u8>> = self.nodes[taker].segments().into_iter().collect();
        for (start, bytes) in self.nodes[owner].segments() {
            for (at, epoch, id) in records(start, &bytes) {
                let claimed = start + (at as u64) < frozen.at.0 && epoch <= frozen.epoch;
                if !claimed || self.ledger.records.get(&id).is_some_and(|known| known.released || known.given_up) {
                    continue;
                }
                let same = |copy: &Vec<u8>| copy.get(at..at + 32) == bytes.get(at..at + 32);
                if !theirs.get(&start).is_some_and(same) {
                    let where_ = format!("{start:x}+{at:x}, epoch {epoch}");
                    return Err(format!(
                        "{taker} says that it has {frozen:?} of {owner}, and lacks record {id} at {where_}"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// The records of a segment that begins at position `start`: offset, epoch, and whose it is. A seal is none.
fn records(start: u64, bytes: &[u8]) -> Vec<(usize, u32, Id)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(header) = bytes.get(at..at + 40) {
        let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let place = u64::from(word(16)) | u64::from(word(20)) << 32;
        if &header[8..10] != b"PH" || place != start + at as u64 || header[10] >= 240 {
            break;
        }
        found.push((at, word(12), u64::from(word(32)) | u64::from(word(36)) << 32));
        at += 32 + word(0) as usize;
    }
    found
}
