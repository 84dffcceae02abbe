//! Told stories: rare meetings of events that random runs seldom reach.

use std::path::Path;

use journal::{AppendError, Batch, Extent, When};
use world::sim::Faults;

use crate::model::Fate;
use crate::{DIR, Run, SEGMENT, Then};

#[test]
fn a_full_disk_answers_full_and_recovers() {
    let mut run = Run::new(1);
    run.sim.disk.set_faults(Faults { capacity: Some(SEGMENT * 4 + 500), ..Faults::default() });
    assert!(run.open().unwrap());
    let mut full = 0;
    while full == 0 {
        let record = run.model.new_record(1000, None);
        run.append(vec![record], true, false, Then::Nothing);
        run.pump().unwrap();
        full = run.model.records.values().filter(|k| k.fate == Fate::Full).count();
    }
    assert_eq!(run.journal().room(), journal::Room::OnlyReserve);
    let settle = run.model.new_record(1000, None);
    run.append(vec![settle], true, true, Then::Nothing);
    run.pump().unwrap();
    assert!(matches!(run.model.records.values().last().unwrap().fate, Fate::Live { .. }), "the reserve is there");
    run.sim.disk.set_faults(Faults::default());
    run.quiet().unwrap();
    assert_eq!(run.journal().room(), journal::Room::Plenty);
    let mut commit = run.journal().append(Batch::new().record(1, b"again", ()), When::Durable);
    run.journal().pump();
    assert!(!matches!(commit.try_take(), None | Some(Err(AppendError::Full | AppendError::Stopped))));
}

/// On a full disk without one empty segment, restarts do not use up what is left: settling goes on in the newest one.
#[test]
fn restarts_on_a_full_disk_leave_room_to_settle() {
    let mut run = Run::new(2);
    run.sim.disk.set_faults(Faults { capacity: Some(SEGMENT * 2 + 1000), ..Faults::default() });
    for round in 0..8 {
        assert!(run.open().unwrap());
        let settle = run.model.new_record(300, None);
        run.append(vec![settle], true, true, Then::Nothing);
        run.pump().unwrap();
        let last = run.model.records.values().last().unwrap().fate;
        assert!(matches!(last, Fate::Live { .. }), "round {round}: {last:?}");
        run.die().unwrap();
    }
    run.epilogue().unwrap();
}

impl Run {
    /// Appends one record and does the work for it.
    fn put(&mut self, len: usize, then: Then, durable: bool) -> Extent {
        let cancels = if let Then::Cancel(target) = then { Some(target) } else { None };
        let record = self.model.new_record(len - 8, cancels);
        let id = record.0;
        self.append(vec![record], durable, true, then);
        self.pump().unwrap();
        match self.model.records[&id].fate {
            Fate::Live { extent, .. } | Fate::Pinned { extent } => extent,
            fate => panic!("record {id}: {fate:?}"),
        }
    }

    fn path(&self, extent: Extent) -> std::path::PathBuf {
        Path::new(DIR).join(format!("{:016x}.seg", extent.position.0 / SEGMENT * SEGMENT))
    }
}

/// A torn record, an intact one behind it, a restart that goes on in the same segment, and new records that end exactly
/// where the intact one begins.
#[test]
fn what_stood_behind_a_torn_tail_never_comes_back() {
    let page = 4096 - 32;
    let mut run = Run::new(3);
    // One segment and a half: there is never a spare one.
    run.sim.disk.set_faults(Faults { capacity: Some(SEGMENT * 3 / 2), ..Faults::default() });
    assert!(run.open().unwrap());
    let first = run.put(page / 2 - 16, Then::Nothing, true);
    let torn = run.put(page / 2 - 16, Then::Nothing, false);
    let behind = run.put(2000, Then::Nothing, false);
    assert_eq!((first.position.0 + 2048, behind.position.0), (torn.position.0, first.position.0 + 4096));
    run.sim.disk.rot(&run.path(torn), torn.position.0 % SEGMENT + 100).unwrap();
    run.waiting.clear();
    run.journal = None;
    run.sim.disk.restart_process();
    assert!(run.open().unwrap());
    assert_eq!(run.model.live().len(), 1);
    assert_eq!(run.put(page / 2 - 16, Then::Nothing, true).position, torn.position, "it goes on in the same segment");
    run.journal = None;
    run.sim.disk.restart_process();
    assert!(run.open().unwrap());
    assert_eq!(run.model.live().len(), 2);
}

/// The segment of a cancelled record and that of its tombstone are freed one after the other; the power goes in between
/// or right afterwards.
#[test]
fn a_tombstone_outlives_what_it_cancels() {
    for seed in 0..40 {
        for crash_at in 1..8 {
            let mut run = Run::new(seed);
            assert!(run.open().unwrap());
            run.put(5000, Then::Nothing, true);
            let target = *run.model.records.keys().last().unwrap();
            run.put(5000, Then::Nothing, true);
            let filler = *run.model.records.keys().last().unwrap();
            run.put(16, Then::Cancel(target), true);
            run.put(5000, Then::Nothing, true);
            run.release(filler);
            while run.pump().unwrap() && run.journal().stats().segments > 1 {}
            assert_eq!(run.journal().stats().segments, 1, "both were freed");
            run.die_of_power_cut();
            run.sim.disk.change_faults(|f| f.crash_after_ops = Some(crash_at));
            if run.open().unwrap_or_else(|v| panic!("seed {seed}, power cut at {crash_at}: {v}")) {
                run.pump().unwrap();
            }
            run.die_of_power_cut();
            run.epilogue().unwrap_or_else(|v| panic!("seed {seed}, power cut at {crash_at}: {v}"));
        }
    }
}

/// Everything is released and the journal is opened again and again: the numbering goes on.
#[test]
fn no_position_is_used_twice() {
    let mut run = Run::new(4);
    let mut last = 0;
    for round in 0..6 {
        assert!(run.open().unwrap());
        for (id, _) in run.model.live() {
            run.release(id);
        }
        run.quiet().unwrap();
        if round % 2 == 0 {
            let extent = run.put(100, Then::Nothing, true);
            assert!(extent.position.0 > last, "round {round}");
            last = extent.position.0;
        }
        run.die().unwrap();
    }
}
