//! What the world outside knows of each message: what was promised, and what became of it. The judge of the simulation.

use std::collections::{BTreeMap, BTreeSet};

use mail::MessageId;

/// What is known of one message.
pub struct Entry {
    pub content_seed: u64,
    pub size: usize,
    /// A receipt was given, or the message was seen in the spool after a restart: it must never be lost from here on.
    pub ours: bool,
    pub recipients: Vec<Fate>,
    /// Notifications about it that were delivered to its sender.
    pub told: u32,
    /// Times that a recipient was failed: at most so many notifications.
    pub failures: u32,
}

/// What became of one recipient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    pub outcome: Option<Outcome>,
    /// The outcome was synced: no crash may bring the recipient back.
    pub synced: bool,
    pub deliveries: u32,
    pub wants_failure_notice: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Delivered,
    Failed,
    Dropped,
}

#[derive(Default)]
pub struct Ledger {
    pub entries: BTreeMap<MessageId, Entry>,
    /// Deaths of the process so far: each may repeat what was not synced.
    pub deaths: u32,
}

impl Ledger {
    /// A recipient got its outcome.
    pub fn settled(&mut self, id: MessageId, index: usize, outcome: Outcome) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let fate = &mut entry.recipients[index];
        fate.outcome = Some(outcome);
        fate.deliveries += u32::from(outcome == Outcome::Delivered);
        entry.failures += u32::from(outcome == Outcome::Failed);
    }

    /// All that was settled so far is synced.
    pub fn synced(&mut self) {
        for fate in self.entries.values_mut().flat_map(|entry| &mut entry.recipients) {
            fate.synced |= fate.outcome.is_some();
        }
    }

    /// The process died: what was settled and not synced may come back.
    pub fn died(&mut self) {
        self.deaths += 1;
    }

    /// A deliverer was handed a recipient.
    pub fn handed_out(&self, id: MessageId, index: usize, deaths_at_settle: bool) -> Result<(), String> {
        let Some(entry) = self.entries.get(&id) else { return Err(format!("{id} was never accepted")) };
        let fate = entry.recipients.get(index).ok_or_else(|| format!("{id} has no recipient {index}"))?;
        if fate.synced {
            return Err(format!("{id}/{index} was settled and synced, and came back"));
        }
        if fate.outcome.is_some() && !deaths_at_settle {
            return Err(format!("{id}/{index} was settled, nobody died, and it came back"));
        }
        Ok(())
    }

    /// After a restart: `found` gives each message in the spool and its open recipients.
    pub fn check_after_restart(&mut self, found: &BTreeMap<MessageId, Vec<bool>>) -> Result<(), String> {
        for (id, open) in found {
            let Some(entry) = self.entries.get_mut(id) else { return Err(format!("{id} was never offered")) };
            entry.ours = true;
            for (index, (open, fate)) in open.iter().zip(&mut entry.recipients).enumerate() {
                if *open && fate.synced {
                    return Err(format!("{id}/{index} was settled and synced, and is open again"));
                }
                if *open {
                    fate.outcome = None;
                } else if fate.outcome.is_none() {
                    return Err(format!("{id}/{index} is settled, and nobody settled it"));
                }
            }
        }
        for (id, entry) in self.entries.iter().filter(|(id, entry)| entry.ours && !found.contains_key(id)) {
            if let Some(index) = entry.recipients.iter().position(|fate| fate.outcome.is_none()) {
                return Err(format!("{id}/{index} is LOST: it was ours, not settled, and is gone"));
            }
        }
        Ok(())
    }

    /// After a restart, before [`Ledger::check_after_restart`]: whatever somebody may get for the second time was named.
    pub fn check_named(
        &self,
        found: &BTreeMap<MessageId, Vec<bool>>,
        named: &BTreeSet<MessageId>,
        in_hand: &BTreeSet<MessageId>,
    ) -> Result<(), String> {
        for (id, open) in found.iter().filter(|(id, _)| !named.contains(id)) {
            let fates = self.entries.get(id).map(|entry| &entry.recipients[..]).unwrap_or_default();
            if let Some(index) = (0..fates.len()).find(|i| open[*i] && fates[*i].outcome == Some(Outcome::Delivered)) {
                return Err(format!(
                    "{id}/{index} was delivered, is open again, and is not named a possible duplicate"
                ));
            }
            if in_hand.contains(id) {
                return Err(format!("{id} was in a deliverer's hand, and is not named a possible duplicate"));
            }
        }
        match named.iter().find(|id| !found.contains_key(id)) {
            Some(id) => Err(format!("{id} is named a possible duplicate, and is not there")),
            None => Ok(()),
        }
    }

    /// At the end, when the spool is empty.
    pub fn check_at_end(&self) -> Result<(), String> {
        for (id, entry) in self.entries.iter().filter(|(_, entry)| entry.ours) {
            for (index, fate) in entry.recipients.iter().enumerate() {
                match fate.outcome {
                    None => return Err(format!("{id}/{index} is LOST: the spool is empty")),
                    Some(_) if fate.deliveries > self.deaths + 1 => {
                        return Err(format!("{id}/{index}: {} deliveries, {} deaths", fate.deliveries, self.deaths));
                    }
                    Some(Outcome::Failed) if fate.wants_failure_notice && entry.told == 0 => {
                        return Err(format!("{id}/{index} failed, and its sender was never told"));
                    }
                    _ => {}
                }
            }
            if entry.told > entry.failures + self.deaths {
                return Err(format!("{id}: {} notices for {} failures", entry.told, entry.failures));
            }
        }
        Ok(())
    }
}

/// Where a message was before, made from its seed: most begin here.
pub fn journey(seed: u64) -> spool::Journey {
    let sites = ["berlin", "bonn", "köln"].into_iter().take(seed as usize % 8 % 4).map(Into::into);
    spool::Journey { sites: sites.collect(), trusted: seed.is_multiple_of(5), ..spool::Journey::default() }
}

/// The content of a message, made from its seed: a header, then lines.
pub fn content(seed: u64, size: usize) -> Vec<u8> {
    let mut bytes = format!("Subject: seed {seed}\r\nMessage-ID: <{seed}@sim>\r\n\r\n").into_bytes();
    let mut x = seed | 1;
    while bytes.len() < size {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(format!("{x:016x}\r\n").as_bytes());
    }
    bytes
}
