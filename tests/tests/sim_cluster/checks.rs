//! What must be true at any time, and in the end.

use cluster::record::JournalName;
use journal::copies::CopyStage;

use crate::ledger::Id;
use crate::node::{Role, holder_key};
use crate::places::Place;
use crate::sim::Sim;

impl Sim {
    /// Each copy is equal to its owner's log up to what it has acknowledged.
    pub fn check_copies(&self) -> Result<(), String> {
        for (n, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.up && !node.is_broken()) {
            for (key, post) in &node.posts {
                let Some(reign) = post.reign() else { continue };
                let epoch = reign.office.journal.epoch();
                let true_owner = |r: &cluster::record::Record| r.owner == node.me && r.epoch == epoch;
                if !self.etcd.record(&key.1).is_some_and(true_owner) {
                    continue;
                }
                let states = reign.office.journal.copies().states();
                let live = |stage| matches!(stage, CopyStage::Live | CopyStage::Level);
                let ours = node.segments(key);
                for state in states.iter().filter(|state| live(state.stage)) {
                    self.check_copy(n, &key.1, &ours, state)?;
                }
            }
        }
        Ok(())
    }

    fn check_copy(
        &self,
        n: usize,
        name: &JournalName,
        ours: &std::collections::BTreeMap<u64, Vec<u8>>,
        state: &journal::copies::CopyState,
    ) -> Result<(), String> {
        let Some(holder) = self.nodes.iter().find(|node| holder_key(&node.me) == state.holder) else { return Ok(()) };
        let key = (Place::Copy, name.clone());
        let keeps = |post: &crate::node::Post| matches!(post.role, Role::Keeping(_));
        if holder.is_broken() || !holder.posts.get(&key).is_some_and(keeps) {
            return Ok(());
        }
        let theirs = holder.segments(&key);
        for (start, bytes) in ours {
            let len = tests::sim::records_before(bytes, state.acked.0.saturating_sub(*start));
            match theirs.get(start) {
                _ if len == 0 => {}
                Some(copy) if copy.get(..len) == Some(&bytes[..len]) => {}
                Some(_) => return Err(format!("{}'s copy of {name} differs from {n}'s log: {state:?}", state.holder)),
                None => return Err(format!("{}'s copy of {name} lacks segment {start:x}: {state:?}", state.holder)),
            }
        }
        Ok(())
    }

    /// What an old owner delivers of the rest, no later owner has.
    pub fn check_rest(&self, n: usize, name: &JournalName, id: Id) -> Result<(), String> {
        if self.etcd.inexact.contains(name) {
            return Ok(());
        }
        for (o, node) in self.nodes.iter().enumerate() {
            let reign = node.posts.get(&(Place::Taken, name.clone())).and_then(|post| post.reign());
            let has = |office: &crate::office::Office| office.mails.contains_key(&id) || office.settled.contains(&id);
            if reign.is_some_and(|reign| has(&reign.office)) {
                return Err(format!("{n} delivers mail {id} as a rest of {name}, and {o} has it"));
            }
        }
        Ok(())
    }

    /// Everything that was promised is done.
    pub fn check_end(&self) -> Result<(), String> {
        self.check_copies()?;
        match self.ledger.mails.iter().find(|(_, known)| known.receipted && known.delivered.is_empty()) {
            Some((id, known)) => Err(format!("mail {id} has a receipt and was never delivered: {known:?}")),
            None => Ok(()),
        }
    }
}
