//! The journal on a simulated disk: power cuts at every operation, torn and reordered writes, full and failing disks,
//! and a checker that knows what must be there, what may be, and what must never be. `SEEDS` says how many runs.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // a test

mod model;
mod sabotage;
mod stories;

use std::collections::BTreeSet;
use std::path::Path;

use journal::{Batch, Commit, Extent, Journal, Mode, OpenError, Pinned, Seen, SegmentNo, Settings, When};
use model::{Fate, Id, Model, Shown};
use sabotage::{How, sabotaged};
use world::sim::{Faults, SimHandle};
use world::{Chance, Disk, World};

const DIR: &str = "/spool";
const SEGMENT: u64 = 8 << 10;

/// One journal, its owner and its disk.
struct Run {
    world: World,
    sim: SimHandle,
    model: Model,
    journal: Option<Journal>,
    waiting: Vec<Waiting>,
    /// The highest epoch that was raised to and confirmed.
    epoch: u32,
    /// Whether epochs are raised. A lie should be caught by what becomes of records, not of `journal.meta`.
    raises: bool,
    /// Whether an opening may fail.
    faulty: bool,
    /// A lie of the owner: it releases records and still counts on them. These it has released.
    releases_live: Option<BTreeSet<Id>>,
}

struct Waiting {
    commit: Commit,
    ids: Vec<Id>,
    durable: bool,
    then: Then,
}

#[derive(Clone, Copy)]
enum Then {
    Nothing,
    /// The one record of the batch is a tombstone.
    Cancel(Id),
    /// The one record of the batch is a copy of this one.
    Replace(Id),
    /// The one record of the batch is a copy of this tombstone.
    MovePin(Id, Pinned),
}

impl Run {
    fn new(seed: u64) -> Run {
        let (world, sim) = World::simulated(seed);
        Run {
            world,
            sim,
            model: Model::default(),
            journal: None,
            waiting: Vec::new(),
            epoch: 0,
            raises: true,
            faulty: true,
            releases_live: None,
        }
    }

    fn below(&self, n: u64) -> u64 {
        self.sim.chance.below(n)
    }

    fn down(&self) -> bool {
        self.sim.disk.crashed() || self.sim.disk.aborted()
    }

    /// Opens the journal and compares. `Ok(false)`: an asked-for fault hit the opening.
    fn open(&mut self) -> Result<bool, String> {
        let there = match journal::identity(&self.world, Path::new(DIR)) {
            Ok(there) => there,
            Err(OpenError::Io { .. }) if self.faulty => return Ok(false),
            Err(error) => return Err(format!("looking which journal it is: {error}")),
        };
        let epoch = there.map_or(0, |there| there.epoch);
        if epoch < self.epoch {
            return Err(format!("epoch {} was confirmed, and {epoch} is on the disk", self.epoch));
        }
        let settings = Settings {
            epoch,
            segment_bytes: SEGMENT,
            keep_free_bytes: 0,
            spare_segments_max: 3,
            clean_below_percent: 50,
            clean_behind_segments: 1,
            ..Settings::default()
        };
        let mut shown = Vec::new();
        let mut visit = |s: Seen<'_>| shown.push(Shown { kind: s.kind, extent: s.extent, payload: s.payload.to_vec() });
        match Journal::open_inline(&self.world, Path::new(DIR), settings, Mode::Serve, &mut visit) {
            Ok(journal) => {
                self.model.recovered(&shown)?;
                self.model.apply_tombstones(&journal);
                self.journal = Some(journal);
                Ok(true)
            }
            // A full disk or a power cut; the epilogue has neither.
            Err(OpenError::Io { .. }) if self.faulty => Ok(false),
            Err(error) => Err(format!("opening: {error}")),
        }
    }

    /// An owner's epoch is raised while it runs.
    fn raise(&mut self) -> Result<(), String> {
        let (was_down, epoch) = (self.down(), self.journal().epoch() + 1);
        match self.journal().raise_epoch(epoch) {
            Ok(()) if was_down => Err(String::from("an epoch was raised after a failed sync")),
            Ok(()) => {
                self.epoch = epoch;
                Ok(())
            }
            Err(_) => Ok(()),
        }
    }

    fn journal(&self) -> &Journal {
        self.journal.as_ref().unwrap()
    }

    fn append(&mut self, ids_and_records: Vec<(Id, u8, Vec<u8>)>, durable: bool, reserve: bool, then: Then) {
        let mut batch = Batch::new();
        let mut ids = Vec::new();
        for (id, kind, payload) in ids_and_records {
            let cut = self.below(payload.len() as u64 + 1) as usize;
            batch.push(kind, &payload[..cut], payload[cut..].to_vec());
            ids.push(id);
        }
        let batch = if reserve { batch.may_use_reserve() } else { batch };
        let commit = self.journal().append(batch, if durable { When::Durable } else { When::Soon });
        self.waiting.push(Waiting { commit, ids, durable, then });
    }

    fn append_some(&mut self) {
        let records = (0..=self.below(4).saturating_sub(1))
            .map(|_| {
                let len = [self.below(60), self.below(1500), self.below(60), self.below(3000)];
                self.model.new_record(len[self.sim.chance.below(4) as usize] as usize, None)
            })
            .collect();
        let (durable, reserve) = (self.below(10) < 6, self.below(5) == 0);
        self.append(records, durable, reserve, Then::Nothing);
    }

    /// One round of work, and what the answers mean.
    fn pump(&mut self) -> Result<bool, String> {
        let was_down = self.down();
        let worked = self.journal().pump();
        self.harvest(was_down)?;
        Ok(worked)
    }

    fn harvest(&mut self, was_down: bool) -> Result<(), String> {
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
            self.model.answered(&done.ids, done.durable, &outcome);
            if let Ok(committed) = outcome {
                self.follow(done.then, done.ids[0], committed.extent(0));
            }
        }
        Ok(())
    }

    fn follow(&mut self, then: Then, id: Id, extent: Extent) {
        let journal = self.journal.as_ref().unwrap();
        match then {
            Then::Nothing => {}
            Then::Cancel(target) => self.model.cancel(journal, id, extent, target),
            Then::Replace(old) => self.release(old),
            Then::MovePin(old, pinned) => {
                journal.move_pin(pinned, extent);
                self.model.set(id, Fate::Pinned { extent });
                self.model.set(old, Fate::Released);
            }
        }
    }

    fn release(&mut self, id: Id) {
        let Fate::Live { extent, .. } = self.model.records[&id].fate else { return };
        match &mut self.releases_live {
            None => self.model.set(id, Fate::Released),
            Some(released) => {
                if !released.insert(id) {
                    return;
                }
            }
        }
        self.journal().release(extent.position, extent.len);
    }

    fn pick(&self) -> Option<(Id, Extent)> {
        let live = self.model.live();
        (!live.is_empty()).then(|| live[self.below(live.len() as u64) as usize])
    }

    fn read_one(&self) -> Result<(), String> {
        let Some((id, extent)) = self.pick() else { return Ok(()) };
        match self.journal().read(extent) {
            Ok(payload) if payload == self.model.records[&id].payload => Ok(()),
            Ok(_) => Err(format!("record {id} reads back as something else")),
            Err(_) if self.down() => Ok(()),
            Err(error) => Err(format!("record {id} is live: {error}")),
        }
    }

    /// Survivors of a nearly dead segment are appended again; the old ones go when the new ones are durable. Its tombstones too.
    fn clean(&mut self) -> Result<(), String> {
        let from = SegmentNo(self.below(3));
        let Some(candidate) = self.journal().cleaning_candidate(from) else { return Ok(()) };
        let segment = candidate.segment;
        for pinned in candidate.pinned {
            let Some(id) = self.model.pinned_at(pinned.record) else {
                return Err(format!("the journal holds a pin on {} that nobody asked for", pinned.record.position));
            };
            // One mover, as in the spool.
            if self.waiting.iter().any(|w| matches!(w.then, Then::MovePin(moving, _) if moving == id)) {
                continue;
            }
            let copy = self.model.new_record(8, self.model.records[&id].cancels);
            self.append(vec![copy], true, true, Then::MovePin(id, pinned));
        }
        let mut there = Vec::new();
        let scanned = self.journal().scan_segment(segment, &mut |s| there.push(s.extent));
        if self.down() {
            return Ok(());
        }
        scanned.map_err(|e| format!("scanning segment {segment}: {e}"))?;
        for (id, extent) in self.model.live() {
            if self.journal().segment_of(extent.position) != segment || self.model.records[&id].cancels.is_some() {
                continue;
            }
            if !there.contains(&extent) {
                return Err(format!("record {id} is live, and a scan of its segment does not show it"));
            }
            let len = self.model.records[&id].payload.len() - 8;
            let copy = self.model.new_record(len, None);
            self.append(vec![copy], true, true, Then::Replace(id));
        }
        Ok(())
    }

    /// A time of quiet in which what was appended `Soon` gets synced.
    fn quiet(&mut self) -> Result<(), String> {
        self.sim.clock.advance_ms(1000);
        while self.pump()? {}
        self.sim.clock.advance_ms(1000);
        while self.pump()? {}
        if !self.down() {
            self.model.synced_before(Id::MAX);
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), String> {
        match self.below(100) {
            0..40 => self.append_some(),
            40..72 => drop(self.pump()?),
            72..84 => {
                if let Some((id, _)) = self.pick() {
                    self.release(id);
                }
            }
            84..91 => {
                // One tombstone for one record, as the spool does it.
                if self.releases_live.is_none()
                    && let Some((target, _)) = self.pick()
                    && !self.model.records.values().any(|k| k.cancels == Some(target))
                    && self.model.records[&target].cancels.is_none()
                {
                    let tombstone = self.model.new_record(8, Some(target));
                    self.append(vec![tombstone], true, true, Then::Cancel(target));
                }
            }
            91..94 => self.clean()?,
            94..96 => self.quiet()?,
            96 if self.raises => self.raise()?,
            _ => self.read_one()?,
        }
        Ok(())
    }

    /// From an opening to a death of one kind or another.
    fn live(&mut self, steps: u64, faults: Faults) -> Result<(), String> {
        self.sim.disk.set_faults(faults);
        if self.open()? {
            for _ in 0..steps {
                self.step()?;
                if self.down() {
                    break;
                }
            }
            // After a failed sync or a power cut: still nothing may be confirmed.
            if self.down() {
                self.append_some();
                self.pump()?;
                self.pump()?;
            }
        }
        self.die()
    }

    fn die(&mut self) -> Result<(), String> {
        let power_cut = self.sim.disk.crashed() || self.below(2) == 0;
        if !self.down() && self.below(4) == 0 {
            self.close()?;
        }
        if power_cut {
            self.sim.disk.crash();
        }
        self.waiting.clear();
        self.journal = None;
        if power_cut {
            self.sim.disk.reboot()
        } else {
            self.sim.disk.restart_process()
        }
        Ok(())
    }

    fn die_of_power_cut(&mut self) {
        self.sim.disk.crash();
        self.waiting.clear();
        self.journal = None;
        self.sim.disk.reboot();
    }

    fn close(&mut self) -> Result<(), String> {
        let Some(journal) = self.journal.clone() else { return Ok(()) };
        let was_down = self.down();
        journal.close();
        self.harvest(was_down)?;
        let answered = self.waiting.is_empty() || self.down();
        if answered { Ok(()) } else { Err("closed without an answer to everybody".into()) }
    }

    /// With the faults gone everything is there, space is won back, and appending works.
    fn epilogue(&mut self) -> Result<(), String> {
        self.sim.disk.set_faults(Faults::default());
        self.faulty = false;
        self.open()?;
        while self.read_one().is_ok() && self.below(8) != 0 {}
        self.read_one()?;
        for (id, _) in self.model.live() {
            self.release(id);
        }
        for _ in 0..4 {
            let record = self.model.new_record(3000, None);
            self.append(vec![record], true, false, Then::Nothing);
        }
        self.quiet()?;
        let stats = self.journal().stats();
        if !self.waiting.is_empty() || self.model.live().len() < 4 || stats.segments > 3 {
            return Err(format!("space was not won back: {stats:?}"));
        }
        Ok(())
    }
}

/// What may go wrong in one life.
fn faults(run: &Run) -> Faults {
    let mut faults = Faults::default();
    match run.below(8) {
        0 => {}
        1..4 => faults.crash_after_ops = Some(1 + run.below(120)),
        4 => faults.sync_fails_after = Some(1 + run.below(30)),
        5 => faults.write_fails_per_mille = 15,
        6 => faults.no_space_per_mille = 40,
        _ => faults.dir_sync_fails_after = Some(1 + run.below(8)),
    }
    if run.below(3) == 0 {
        faults.capacity = Some(SEGMENT * (3 + run.below(5)));
    }
    faults
}

fn whole_run(seed: u64, prepare: impl FnOnce(&mut Run), lie: impl Fn(&mut Faults)) -> Result<(), String> {
    let mut run = Run::new(seed);
    prepare(&mut run);
    for _ in 0..6 {
        let mut faults = faults(&run);
        lie(&mut faults);
        let steps = 20 + run.below(200);
        run.live(steps, faults)?;
    }
    if run.releases_live.is_some() { Ok(()) } else { run.epilogue() }
}

fn seeds() -> u64 {
    std::env::var("SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(300)
}

#[test]
fn nothing_durable_is_lost_and_nothing_else_appears() {
    for seed in 0..seeds() {
        if let Err(violation) = whole_run(seed, |_| {}, |_| {}) {
            panic!("seed {seed}: {violation}");
        }
    }
}

/// The same small story, with a power cut in each of its operations in turn.
#[test]
fn a_power_cut_at_every_operation() {
    for seed in 0..seeds().div_ceil(50) {
        for crash_at in 1.. {
            let mut run = Run::new(seed);
            let story = |run: &mut Run, faults: Faults| -> Result<bool, String> {
                run.live(60, Faults::default())?;
                run.sim.disk.set_faults(faults);
                let opened = run.open()?;
                for _ in 0..60 {
                    if !opened || run.down() {
                        break;
                    }
                    run.step()?;
                }
                let crashed = run.sim.disk.crashed();
                run.die()?;
                run.epilogue()?;
                Ok(crashed)
            };
            match story(&mut run, Faults { crash_after_ops: Some(crash_at), ..Faults::default() }) {
                Ok(true) => {}
                Ok(false) => break,
                Err(violation) => panic!("seed {seed}, power cut at operation {crash_at}: {violation}"),
            }
        }
    }
}

/// How many of the first seeds the checker finds something wrong with.
fn caught(prepare: impl Fn(&mut Run), lie: impl Fn(&mut Faults)) -> Vec<String> {
    let prepare = |run: &mut Run| {
        run.raises = false;
        prepare(run);
    };
    (0..seeds().min(100)).filter_map(|seed| whole_run(seed, prepare, &lie).err()).collect()
}

#[test]
fn canary_a_disk_that_lies_about_syncs_is_caught() {
    let violations = caught(|_| {}, |faults| faults.sync_lies = true);
    assert!(violations.len() > 30, "{violations:#?}");
}

#[test]
fn canary_a_journal_that_leaves_out_syncs_is_caught() {
    let violations = caught(|run| run.world = sabotaged(&run.world, How::HalfTheSyncs), |_| {});
    assert!(violations.iter().any(|v| v.contains("was durable and is lost")), "{violations:#?}");
}

#[test]
fn canary_a_journal_that_goes_on_after_a_failed_sync_is_caught() {
    let prepare = |run: &mut Run| run.world = sabotaged(&run.world, How::SyncErrorIgnored);
    let violations = caught(prepare, |faults| faults.sync_fails_after = Some(3));
    assert!(!violations.is_empty());
}

#[test]
fn canary_a_journal_that_never_syncs_names_is_caught() {
    let violations = caught(|run| run.world = sabotaged(&run.world, How::NamesNotSynced), |_| {});
    assert!(!violations.is_empty());
}

#[test]
fn canary_a_released_record_that_is_still_needed_is_missed() {
    let violations = caught(|run| run.releases_live = Some(BTreeSet::new()), |_| {});
    assert!(!violations.is_empty());
}
