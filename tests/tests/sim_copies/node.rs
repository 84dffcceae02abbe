//! One machine of the simulation: its disk, and what its process is just now.

use std::path::Path;

use journal::copies::{Frozen, HeldCopy};
use journal::{Batch, Canary, Commit, Journal, Mode, OpenError, Seen, Settings, When};
use world::sim::SimHandle;
use world::{Chance, Disk, World};

use crate::ledger::{Id, Ledger, Shown};

pub const DIR: &str = "/copies/a/spool";
pub const NAME: &str = "a/spool";
pub const SEGMENT: u64 = 8 << 10;
pub const WINDOW: u64 = 12 << 10;

pub struct Node {
    pub world: World,
    pub sim: SimHandle,
    pub role: Role,
    /// Its disk was lost, and its copy has not counted since.
    pub lost: bool,
    /// Its copy is closed to its owner, and this is what it said.
    pub frozen: Option<Frozen>,
}

pub enum Role {
    /// The process does not run.
    Down,
    /// It holds a copy, or would like to.
    Holder(HeldCopy),
    /// It thinks that it owns the journal.
    Owner(Box<Owner>),
}

pub struct Owner {
    pub journal: Journal,
    pub epoch: u32,
    /// Whether the register has confirmed it since this process began.
    pub confirmed: bool,
    /// Whom commits wait for, by node; never less than what the register says while this one is the true owner and confirmed.
    pub level: std::collections::BTreeSet<usize>,
    /// How many of them the register names.
    pub counted: usize,
    pub waiting: Vec<Waiting>,
}

pub struct Waiting {
    pub commit: Commit,
    pub ids: Vec<Id>,
    pub when: When,
    pub then: Then,
}

#[derive(Clone, Copy)]
pub enum Then {
    Nothing,
    /// The one record of the batch is a tombstone.
    Cancel(Id),
    /// The one record of the batch is a copy of this one.
    Replace(Id),
}

pub fn settings(epoch: u32, canary: Canary) -> Settings {
    Settings {
        segment_bytes: SEGMENT,
        keep_free_bytes: 0,
        spare_segments_max: 2,
        clean_below_percent: 50,
        clean_behind_segments: 0,
        copy_window_bytes: WINDOW,
        epoch,
        canary,
        ..Settings::default()
    }
}

impl Node {
    pub fn new(seed: u64) -> Node {
        let (world, sim) = World::simulated(seed);
        Node { world, sim, role: Role::Down, lost: false, frozen: None }
    }

    pub fn is_down(&self) -> bool {
        self.sim.disk.crashed() || self.sim.disk.aborted()
    }

    pub fn owner(&self) -> Option<&Owner> {
        match &self.role {
            Role::Owner(owner) => Some(owner),
            _ => None,
        }
    }

    pub fn copy(&self) -> Option<&HeldCopy> {
        match &self.role {
            Role::Holder(copy) => Some(copy),
            _ => None,
        }
    }

    /// Starts the process: it looks at its copy. `Ok(false)`: a fault hit it.
    pub fn start(&mut self, canary: Canary) -> Result<bool, String> {
        self.frozen = None;
        match HeldCopy::open(&self.world, Path::new(DIR), NAME, settings(0, canary)) {
            Ok(copy) => self.role = Role::Holder(copy),
            Err(OpenError::Io { .. }) => return Ok(false),
            Err(error) => return Err(format!("opening a copy: {error}")),
        }
        Ok(true)
    }

    /// Opens the journal as its owner; the directory is free. What it shows comes back unless a fault hit it.
    pub fn own(&mut self, epoch: u32, canary: Canary) -> Result<Option<Vec<Shown>>, String> {
        let mut shown = Vec::new();
        let mut visit = |s: Seen<'_>| shown.push(Shown { kind: s.kind, extent: s.extent, payload: s.payload.to_vec() });
        let settings = settings(epoch, canary);
        match Journal::open_inline(&self.world, Path::new(DIR), settings, Mode::Serve, &mut visit) {
            Ok(journal) => {
                let (confirmed, level, counted, waiting) = (false, Default::default(), 0, Vec::new());
                self.role = Role::Owner(Box::new(Owner { journal, epoch, confirmed, level, counted, waiting }));
                Ok(Some(shown))
            }
            Err(OpenError::Io { .. }) => Ok(None),
            Err(error) => Err(format!("opening as owner of epoch {epoch}: {error}")),
        }
    }

    /// The process ends; with it, or not, the power.
    pub fn die(&mut self, power_cut: bool) {
        if power_cut {
            self.sim.disk.crash();
        }
        (self.role, self.frozen) = (Role::Down, None);
        match self.sim.disk.crashed() {
            true => self.sim.disk.reboot(),
            false => self.sim.disk.restart_process(),
        }
    }

    /// The files of the journal's segments, by name.
    pub fn segments(&self) -> Vec<(u64, Vec<u8>)> {
        let names = self.sim.disk.list(Path::new(DIR)).unwrap_or_default();
        let position = |name: &str| u64::from_str_radix(name.strip_suffix(".seg")?, 16).ok();
        let read = |name: &str| Some((position(name)?, self.sim.disk.read_all(&Path::new(DIR).join(name)).ok()?));
        names.iter().filter_map(|entry| read(&entry.name)).collect()
    }
}

impl Owner {
    pub fn append(&mut self, sim: &SimHandle, records: Vec<(Id, u8, Vec<u8>)>, when: When, then: Then) {
        let mut batch = Batch::new();
        let mut ids = Vec::new();
        for (id, kind, payload) in records {
            let cut = sim.chance.below(payload.len() as u64 + 1) as usize;
            batch.push(kind, &payload[..cut], payload[cut..].to_vec());
            ids.push(id);
        }
        let batch = if matches!(then, Then::Nothing) { batch } else { batch.may_use_reserve() };
        let commit = self.journal.append(batch, when);
        self.waiting.push(Waiting { commit, ids, when, then });
    }

    /// Tells the journal whom to wait for, and how many of them count.
    pub fn tell(&self) {
        let names: Vec<String> = self.level.iter().map(usize::to_string).collect();
        self.journal.copies().set_level(&names.iter().map(String::as_str).collect::<Vec<_>>(), self.counted);
    }

    /// What the answers mean. `current`: this is the true owner, and so many copies count by the register.
    pub fn harvest(&mut self, ledger: &mut Ledger, was_down: bool, current: Option<usize>) -> Result<(), String> {
        let mut i = 0;
        while i < self.waiting.len() {
            let Some(outcome) = self.waiting[i].commit.try_take() else {
                i += 1;
                continue;
            };
            let done = self.waiting.remove(i);
            if was_down && outcome.is_ok() {
                return Err(format!("records {:?} were confirmed after a failed sync", done.ids));
            }
            ledger.answered(&done.ids, done.when, &outcome, self.epoch, current.is_some())?;
            if let (Ok(committed), Some(level)) = (outcome, current) {
                if usize::from(committed.copies) > level {
                    return Err(format!("{} copies were promised, {level} count: {:?}", committed.copies, done.ids));
                }
                match done.then {
                    Then::Nothing => {}
                    Then::Cancel(target) => ledger.cancel(&self.journal, done.ids[0], committed.extent(0), target),
                    Then::Replace(old) => {
                        if self.release(ledger, old) {
                            ledger.known(old).moved_to = Some(done.ids[0]);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Gives a record up; `false` when that has been done already.
    pub fn release(&mut self, ledger: &mut Ledger, id: Id) -> bool {
        let known = ledger.known(id);
        let (Some(extent), false, true) = (known.extent, known.released, known.here) else { return false };
        (known.released, known.moved_to) = (true, None);
        self.journal.release(extent.position, extent.len);
        true
    }
}
