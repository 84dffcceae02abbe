//! What a spool is to this simulation: a journal with mails and the tombstones of those that were delivered.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cluster::record::{JournalName, Taken};
use journal::{AppendError, Batch, Canary, Commit, Extent, Journal, Mode, OpenError, Seen, Settings, When};
use world::sim::SimHandle;
use world::{Chance, World};

use crate::ledger::{Id, Ledger};

const MAIL: u8 = 1;
const TOMBSTONE: u8 = 2;
pub const SEGMENT: u64 = 8 << 10;

pub struct Office {
    pub journal: Journal,
    pub mails: BTreeMap<Id, Mail>,
    /// Whose outcome is in this journal, synced here.
    pub settled: BTreeSet<Id>,
    waiting: Vec<Waiting>,
}

pub struct Mail {
    extent: Extent,
    settling: bool,
}

struct Waiting {
    commit: Commit,
    id: Id,
    what: What,
    epoch: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// A mail whose rule asks for so many copies.
    Mail(u8),
    Tombstone,
}

/// A receipt that was just given.
pub struct Receipt {
    pub id: Id,
    pub at: u64,
    pub epoch: u32,
}

pub fn settings(epoch: u32, canary: Canary) -> Settings {
    Settings {
        segment_bytes: SEGMENT,
        keep_free_bytes: 0,
        spare_segments_max: 2,
        clean_behind_segments: 0,
        copy_window_bytes: 12 << 10,
        epoch,
        canary,
        ..Settings::default()
    }
}

/// What an opening finds of one mail.
#[derive(Default)]
struct Found {
    mail: Option<Extent>,
    tombstones: Vec<Extent>,
    theirs: bool,
}

impl Office {
    /// Opens a journal. What is `taken` of it is another node's. `None`: a fault hit the machine. Gives what it finds, too.
    pub fn open(
        world: &World,
        dir: &Path,
        settings: Settings,
        taken: impl Fn(u64, u32) -> bool,
    ) -> Result<Option<(Office, BTreeSet<Id>)>, String> {
        let mut found: BTreeMap<Id, Found> = BTreeMap::new();
        let mut visit = |seen: Seen<'_>| {
            let id = seen.payload.first_chunk().map_or(0, |bytes| Id::from_le_bytes(*bytes));
            let of = found.entry(id).or_default();
            of.theirs |= taken(seen.extent.position.0, seen.epoch);
            match seen.kind {
                MAIL => of.mail = Some(seen.extent),
                _ => of.tombstones.push(seen.extent),
            }
        };
        let epoch = settings.epoch;
        let journal = match Journal::open_inline(world, dir, settings, Mode::Serve, &mut visit) {
            Ok(journal) => journal,
            Err(OpenError::Io { .. }) => return Ok(None),
            Err(error) => return Err(format!("opening {} under epoch {epoch}: {error}", dir.display())),
        };
        let mut office = Office { journal, mails: BTreeMap::new(), settled: BTreeSet::new(), waiting: Vec::new() };
        let shown = found.keys().copied().collect();
        for (id, found) in found {
            office.rebuild(id, found);
        }
        Ok(Some((office, shown)))
    }

    fn rebuild(&mut self, id: Id, found: Found) {
        let journal = &self.journal;
        let is_settled = !found.tombstones.is_empty();
        if is_settled {
            self.settled.insert(id);
        }
        for tombstone in &found.tombstones {
            match found.mail {
                Some(mail) => journal.pin_until_gone(*tombstone, journal.segment_of(mail.position)),
                None => journal.release(tombstone.position, tombstone.len),
            }
        }
        let Some(extent) = found.mail else { return };
        match is_settled || found.theirs {
            true => journal.release(extent.position, extent.len),
            false => drop(self.mails.insert(id, Mail { extent, settling: false })),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.mails.is_empty() && self.waiting.is_empty()
    }

    pub fn is_quiet(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes a mail from a client, unless the rule cannot be kept.
    pub fn accept(&mut self, sim: &SimHandle, ledger: &mut Ledger, name: &JournalName, demand: u8) {
        if self.journal.copies().protected_by() < usize::from(demand) {
            return;
        }
        let mut batch = Batch::new();
        let mut ids = Vec::new();
        for _ in 0..1 + sim.chance.below(2) {
            let id = ledger.new_mail(name);
            let len = [sim.chance.below(60), sim.chance.below(1200)][sim.chance.below(2) as usize];
            let mut payload = id.to_le_bytes().to_vec();
            payload.extend((0..len).map(|n| (id * 31 + n * 7) as u8));
            batch.push(MAIL, &[], payload);
            ids.push(id);
        }
        let when = if demand > 0 { When::Durable } else { When::Here };
        let commit = self.journal.append(batch, when);
        let id = ids[0];
        let epoch = self.journal.epoch();
        self.waiting.push(Waiting { commit, id, what: What::Mail(demand), epoch });
    }

    /// Delivers one mail, and writes down that it did.
    pub fn deliver(
        &mut self,
        sim: &SimHandle,
        ledger: &mut Ledger,
        n: usize,
        exact: bool,
    ) -> Result<Option<Id>, String> {
        let ready: Vec<Id> = self.mails.iter().filter(|(_, mail)| !mail.settling).map(|(id, _)| *id).collect();
        if ready.is_empty() {
            return Ok(None);
        }
        let id = ready[sim.chance.below(ready.len() as u64) as usize];
        ledger.delivers(n, id, exact)?;
        self.mails.get_mut(&id).unwrap().settling = true;
        let when = if sim.chance.below(2) == 0 { When::Durable } else { When::Here };
        let batch = Batch::new().record(TOMBSTONE, &[], id.to_le_bytes().to_vec()).may_use_reserve();
        let commit = self.journal.append(batch, when);
        let epoch = self.journal.epoch();
        self.waiting.push(Waiting { commit, id, what: What::Tombstone, epoch });
        Ok(Some(id))
    }

    /// What the answers mean.
    pub fn harvest(&mut self, ledger: &mut Ledger, was_down: bool) -> Result<Vec<Receipt>, String> {
        let mut receipts = Vec::new();
        let mut i = 0;
        while i < self.waiting.len() {
            let Some(outcome) = self.waiting[i].commit.try_take() else {
                i += 1;
                continue;
            };
            let Waiting { id, what, epoch, .. } = self.waiting.remove(i);
            let committed = match outcome {
                Ok(_) if was_down => return Err(format!("mail {id} was confirmed after a failed sync")),
                Ok(committed) => committed,
                Err(AppendError::Stopped | AppendError::Full) => continue,
            };
            match what {
                What::Mail(demand) => {
                    for (nth, extent) in committed.extents().enumerate() {
                        let id = id + nth as u64;
                        self.mails.insert(id, Mail { extent, settling: false });
                        if demand > 0 && committed.copies >= demand {
                            ledger.receipted(id);
                            receipts.push(Receipt { id, at: extent.position.0, epoch });
                        }
                    }
                }
                What::Tombstone => {
                    if committed.copies > 0 {
                        ledger.done(id);
                    }
                    self.settled.insert(id);
                    let tombstone = committed.extent(0);
                    if let Some(mail) = self.mails.remove(&id) {
                        self.journal.release(mail.extent.position, mail.extent.len);
                        self.journal.pin_until_gone(tombstone, self.journal.segment_of(mail.extent.position));
                    }
                }
            }
        }
        Ok(receipts)
    }

    /// Mails of ours that another node has not got, by what it says that it has.
    pub fn outside(&self, taken: Taken) -> impl Iterator<Item = Id> + '_ {
        let is_outside = move |mail: &Mail| mail.extent.position.0 >= taken.at;
        self.mails.iter().filter(move |(_, mail)| is_outside(mail)).map(|(id, _)| *id)
    }
}
