//! A journal and a copy of it, told as stories on simulated disks. The seeds are in tests/tests/sim_copies.
#![allow(clippy::unwrap_used)] // a test

use std::path::Path;
use std::sync::Arc;

use journal::copies::{CopyStage, HandOverError, HeldCopy, HeldLink, Link, Mender};
use journal::{AppendError, Batch, Commit, Identity, Journal, Mode, OpenError, Settings, When};
use world::sim::{Faults, SimHandle};
use world::{Disk, World};

const SEGMENT: u64 = 8 << 10;
const NAME: &str = "a/spool";

fn settings(epoch: u32) -> Settings {
    Settings { segment_bytes: SEGMENT, keep_free_bytes: 0, copy_window_bytes: 20_000, epoch, ..Settings::default() }
}

fn open(world: &World, dir: &str, epoch: u32) -> (Journal, Vec<Vec<u8>>) {
    let mut seen = Vec::new();
    let journal =
        Journal::open_inline(world, Path::new(dir), settings(epoch), Mode::Serve, &mut |s| seen.push(s.payload.into()));
    (journal.unwrap(), seen)
}

fn held(world: &World) -> HeldCopy {
    HeldCopy::open(world, Path::new("/copy"), NAME, settings(0)).unwrap()
}

fn attach(journal: &Journal, copy: &HeldCopy) -> (Link, HeldLink) {
    (journal.copies().attach(NAME, "b", Arc::new(|| ())), copy.link(Arc::new(|| ())))
}

/// Lets both ends of a link work until nothing moves.
fn flow(owner: &Link, holder: &HeldLink) {
    loop {
        let mut moved = false;
        owner.tick();
        while owner.pump() {
            moved = true;
        }
        while let Some(frame) = owner.output() {
            moved = true;
            assert_eq!(frame.to_vec().len(), frame.len());
            holder.receive(&frame.to_vec()).unwrap();
        }
        while holder.pump() {
            moved = true;
        }
        while let Some(frame) = holder.output() {
            moved = true;
            owner.receive(&frame.to_vec()).unwrap();
        }
        if !moved {
            return;
        }
    }
}

fn append(journal: &Journal, byte: u8, len: usize, when: When) -> Commit {
    let commit = journal.append(Batch::new().record(1, &[byte], vec![byte; len]), when);
    while journal.pump() {}
    commit
}

fn segments(sim: &SimHandle, dir: &str) -> Vec<(String, Vec<u8>)> {
    let names = sim.disk.list(Path::new(dir)).unwrap();
    let segments = names.into_iter().filter(|e| e.name.ends_with(".seg"));
    segments.map(|e| (e.name.clone(), sim.disk.read_all(&Path::new(dir).join(&e.name)).unwrap())).collect()
}

struct Pair {
    a: World,
    a_sim: SimHandle,
    b: World,
    b_sim: SimHandle,
}

fn pair() -> Pair {
    let (a, a_sim) = World::simulated(1);
    let (b, b_sim) = World::simulated(2);
    Pair { a, a_sim, b, b_sim }
}

#[test]
fn a_copy_catches_up_follows_and_is_equal_byte_for_byte() {
    let p = pair();
    let (journal, _) = open(&p.a, "/spool", 1);
    for n in 0..10 {
        append(&journal, n, 3000, When::Durable).try_take().unwrap().unwrap();
    }
    let copy = held(&p.b);
    let (owner, holder) = attach(&journal, &copy);
    flow(&owner, &holder);
    assert_eq!(journal.copies().states()[0].stage, CopyStage::Level);
    journal.copies().set_level(&["b"], 1);
    let mut waits = append(&journal, 10, 5000, When::Durable);
    assert!(waits.try_take().is_none(), "no copy has it yet");
    append(&journal, 11, 50, When::Soon).try_take().unwrap().unwrap();
    flow(&owner, &holder);
    assert_eq!(waits.try_take().unwrap().unwrap().copies, 1);
    p.a_sim.clock.advance_ms(1100);
    while journal.pump() {}
    flow(&owner, &holder);
    let state = journal.copies().states().remove(0);
    assert_eq!((state.acked, state.lag_bytes, state.error), (journal.copies().tail(), 0, None));
    assert_eq!(segments(&p.a_sim, "/spool"), segments(&p.b_sim, "/copy"));
}

#[test]
fn what_does_not_fit_the_window_is_read_from_the_segments_and_memory_stays_bounded() {
    let p = pair();
    let (journal, _) = open(&p.a, "/spool", 1);
    let copy = held(&p.b);
    let (owner, holder) = attach(&journal, &copy);
    flow(&owner, &holder);
    for n in 0..40 {
        append(&journal, n, 3000, When::Durable).try_take().unwrap().unwrap();
        assert!(journal.copies().states()[0].queued_bytes <= 20_000);
    }
    assert_eq!(journal.copies().states()[0].stage, CopyStage::CatchingUp);
    flow(&owner, &holder);
    assert_eq!(journal.copies().states()[0].stage, CopyStage::Level);
    assert_eq!(segments(&p.a_sim, "/spool"), segments(&p.b_sim, "/copy"));
}

#[test]
fn a_copy_is_taken_over_and_the_old_owner_is_refused() {
    let p = pair();
    let (journal, _) = open(&p.a, "/spool", 1);
    let copy = held(&p.b);
    assert_eq!(copy.hand_over(), Err(HandOverError::NotLevel));
    let (owner, holder) = attach(&journal, &copy);
    flow(&owner, &holder);
    journal.copies().set_level(&["b"], 1);
    let mut commit = append(&journal, 1, 3000, When::Durable);
    flow(&owner, &holder);
    let end = commit.try_take().unwrap().unwrap().extent(0).position.0 + 32 + 3001;
    // The copy of a third node, which hears of the new owner first.
    assert_eq!(copy.hand_over().unwrap().0, end);
    let (taken, seen) = open(&p.b, "/copy", 2);
    assert_eq!((seen.len(), taken.opened_at().0, taken.epoch()), (1, end, 2));
    append(&taken, 2, 10, When::Durable).try_take().unwrap().unwrap();
    let mut never = append(&journal, 3, 10, When::Durable);
    flow(&owner, &holder);
    assert!(never.try_take().is_none());

    // The old owner's directory becomes a copy of the new owner's journal: what only it had goes.
    drop((owner, holder));
    journal.close();
    assert_eq!(never.try_take(), Some(Err(AppendError::Stopped)));
    let back = HeldCopy::open(&p.a, Path::new("/spool"), NAME, settings(0)).unwrap();
    let (owner, holder) = attach(&taken, &back);
    flow(&owner, &holder);
    assert_eq!(segments(&p.a_sim, "/spool"), segments(&p.b_sim, "/copy"));
    assert_eq!(back.state().epoch, 2);
    assert!(back.state().level);
}

#[test]
fn a_lower_epoch_is_refused_and_deposes_even_after_a_restart() {
    let p = pair();
    let copy = held(&p.b);
    let (newer, _) = open(&p.a, "/new", 7);
    let (owner, holder) = attach(&newer, &copy);
    flow(&owner, &holder);
    drop((owner, holder));
    copy.close();
    drop(copy);
    p.b_sim.disk.crash();
    p.b_sim.disk.reboot();
    newer.close();
    // The same journal under an older epoch: as if the process had been asleep. Its directory is the one before.
    let (older, _) = open(&p.a, "/old", 3);
    let copy = held(&p.b);
    let (owner, holder) = attach(&older, &copy);
    flow(&owner, &holder);
    let state = older.copies().states().remove(0);
    assert_eq!(state.stage, CopyStage::Refused, "another salt: another journal");
    assert_eq!(older.copies().deposed_by(), None);
    older.close();
    let meta = Path::new("/new/journal.meta");
    let text = String::from_utf8(p.a_sim.disk.read_all(meta).unwrap()).unwrap();
    let salt = text.lines().find(|l| l.starts_with("salt")).unwrap();
    let text = format!("posthouse-journal\nformat 1\nepoch 3\nsegment_bytes {SEGMENT}\n{salt}\n");
    let text = format!("{text}check {:08x}\n", crc32c::crc32c(text.as_bytes()));
    p.a_sim.disk.replace_durable(meta, text.as_bytes()).unwrap();
    let (older, _) = open(&p.a, "/new", 3);
    older.copies().set_level(&["b"], 1);
    let (owner, holder) = attach(&older, &copy);
    let mut waits = append(&older, 1, 10, When::Durable);
    flow(&owner, &holder);
    assert_eq!(older.copies().deposed_by(), Some(7));
    assert_eq!(waits.try_take(), Some(Err(AppendError::Stopped)));
    assert_eq!(append(&older, 1, 10, When::Soon).try_take(), Some(Err(AppendError::Stopped)));
}

#[test]
fn released_segments_vanish_from_the_copy_and_are_used_again() {
    let p = pair();
    let (journal, _) = open(&p.a, "/spool", 1);
    let copy = held(&p.b);
    let (owner, holder) = attach(&journal, &copy);
    let mut extents = Vec::new();
    for n in 0..12 {
        let mut commit = append(&journal, n, 3000, When::Durable);
        extents.push(commit.try_take().unwrap().unwrap().extent(0));
        flow(&owner, &holder);
    }
    assert_eq!(copy.state().segments, 6);
    for extent in &extents[..10] {
        journal.release(extent.position, extent.len);
    }
    while journal.pump() {}
    flow(&owner, &holder);
    assert_eq!(copy.state().segments, 1);
    assert_eq!(segments(&p.a_sim, "/spool").len(), 1);
    // And while nobody listens: at the next link.
    drop((owner, holder));
    append(&journal, 13, 6000, When::Durable).try_take().unwrap().unwrap();
    for extent in &extents[10..] {
        journal.release(extent.position, extent.len);
    }
    while journal.pump() {}
    let (owner, holder) = attach(&journal, &copy);
    flow(&owner, &holder);
    assert_eq!(segments(&p.a_sim, "/spool"), segments(&p.b_sim, "/copy"));
}

#[test]
fn a_full_disk_is_told_and_heals() {
    let p = pair();
    let (journal, _) = open(&p.a, "/spool", 1);
    let copy = held(&p.b);
    p.b_sim.disk.change_faults(|f| f.capacity = Some(SEGMENT * 2 + 500));
    let (owner, holder) = attach(&journal, &copy);
    for n in 0..9 {
        append(&journal, n, 3000, When::Durable).try_take().unwrap().unwrap();
        flow(&owner, &holder);
    }
    let state = journal.copies().states().remove(0);
    assert_eq!(state.stage, CopyStage::Resting);
    assert_eq!(state.error.as_deref(), Some("the holder says: no space for the copy"));
    assert_eq!(copy.state().error.as_deref(), Some("no space for the copy"));
    p.b_sim.disk.change_faults(|f| f.capacity = None);
    p.a_sim.clock.advance_ms(2000);
    p.b_sim.clock.advance_ms(2000);
    flow(&owner, &holder);
    let state = journal.copies().states().remove(0);
    assert_eq!((state.stage, state.error), (CopyStage::Level, None));
    assert_eq!(segments(&p.a_sim, "/spool"), segments(&p.b_sim, "/copy"));
}

#[test]
fn a_rotten_segment_of_a_copy_costs_its_level_and_is_fetched_again() {
    let p = pair();
    let (journal, _) = open(&p.a, "/spool", 1);
    let copy = held(&p.b);
    let (owner, holder) = attach(&journal, &copy);
    for n in 0..9 {
        append(&journal, n, 3000, When::Durable).try_take().unwrap().unwrap();
    }
    flow(&owner, &holder);
    drop((owner, holder));
    copy.close();
    drop(copy);
    let (name, _) = segments(&p.b_sim, "/copy").remove(1);
    p.b_sim.disk.rot(&Path::new("/copy").join(name), 4000).unwrap();
    let copy = held(&p.b);
    assert_eq!(copy.hand_over(), Err(HandOverError::NotLevel));
    let (owner, holder) = attach(&journal, &copy);
    flow(&owner, &holder);
    assert!(copy.state().level);
    assert_eq!(segments(&p.a_sim, "/spool"), segments(&p.b_sim, "/copy"));
}

#[test]
fn a_detached_or_slow_member_of_the_level_set_holds_commits_until_it_is_taken_out() {
    let p = pair();
    let (journal, _) = open(&p.a, "/spool", 1);
    journal.copies().set_level(&["b"], 1);
    assert_eq!(journal.copies().protected_by(), 1);
    let mut commit = append(&journal, 1, 10, When::Durable);
    assert!(commit.try_take().is_none());
    journal.copies().set_level(&[], 0);
    assert_eq!(commit.try_take().unwrap().unwrap().copies, 0);
}

#[test]
fn a_copy_that_is_being_added_is_waited_for_and_does_not_count_yet() {
    let p = pair();
    let (journal, _) = open(&p.a, "/spool", 1);
    let copy = held(&p.b);
    let (owner, holder) = attach(&journal, &copy);
    flow(&owner, &holder);
    let mut before = append(&journal, 1, 10, When::Durable);
    before.try_take().unwrap().unwrap();
    journal.copies().set_level(&["b"], 0);
    assert!(!journal.copies().states()[0].counts, "it has not acknowledged what was receipted before");
    assert_eq!(journal.copies().protected_by(), 0);
    let mut waits = append(&journal, 2, 10, When::Durable);
    assert!(waits.try_take().is_none(), "it is waited for already");
    flow(&owner, &holder);
    assert_eq!(waits.try_take().unwrap().unwrap().copies, 0);
    assert!(journal.copies().states()[0].counts);
    drop((owner, holder));
    assert!(journal.copies().states()[0].counts, "it is away, and has what it has");
    let mut waits = append(&journal, 3, 10, When::Durable);
    journal.copies().set_level(&["b"], 1);
    let (owner, holder) = attach(&journal, &copy);
    flow(&owner, &holder);
    assert_eq!(waits.try_take().unwrap().unwrap().copies, 1, "it counts as long as it is told so");
}

#[test]
fn a_frozen_copy_acknowledges_nothing_until_it_is_thawed() {
    let p = pair();
    let (journal, _) = open(&p.a, "/spool", 1);
    let copy = held(&p.b);
    assert_eq!(copy.freeze(), Err(HandOverError::NotLevel));
    let (owner, holder) = attach(&journal, &copy);
    flow(&owner, &holder);
    journal.copies().set_level(&["b"], 1);
    let mut before = append(&journal, 1, 10, When::Durable);
    flow(&owner, &holder);
    before.try_take().unwrap().unwrap();
    let frozen = copy.freeze().unwrap();
    assert_eq!((frozen.at, frozen.epoch, frozen.heard), (journal.copies().tail(), 1, 1));
    let mut after = append(&journal, 2, 10, When::Durable);
    flow(&owner, &holder);
    assert!(after.try_take().is_none() && holder.is_over());
    drop((owner, holder));
    let (owner, holder) = attach(&journal, &copy);
    flow(&owner, &holder);
    assert!(after.try_take().is_none() && holder.is_over(), "a new link is refused");
    assert_eq!(journal.copies().deposed_by(), None);
    assert_eq!(copy.freeze(), Ok(frozen));
    copy.thaw();
    copy.thaw();
    let (owner, holder) = attach(&journal, &copy);
    flow(&owner, &holder);
    assert_eq!(after.try_take().unwrap().unwrap().copies, 1);
    let frozen = copy.freeze().unwrap();
    assert_eq!(copy.hand_over(), Ok(frozen.at), "a frozen copy is handed over like any other");
    copy.thaw();
    assert_eq!(copy.freeze(), Err(HandOverError::Closed));
    assert_eq!(open(&p.b, "/copy", 2).1.len(), 2);
}

#[test]
fn an_identity_is_founded_once_and_a_crash_leaves_nothing_or_all_of_it() {
    let dir = Path::new("/spool");
    for crash_at in 1.. {
        let (world, sim) = World::simulated(crash_at);
        sim.disk.set_faults(Faults { crash_after_ops: Some(crash_at), ..Faults::default() });
        let made = journal::found(&world, dir, &settings(0));
        sim.disk.crash();
        sim.disk.reboot();
        sim.disk.set_faults(Faults::default());
        let there = journal::identity(&world, dir).unwrap();
        let now = journal::found(&world, dir, &settings(3)).unwrap();
        assert!(there.is_none_or(|there| there == now && there.epoch == 0), "crash at {crash_at}");
        if let Ok(made) = made {
            assert_eq!((there, now), (Some(made), made), "what was made is durable, and made once");
            assert_eq!(open(&world, "/spool", 7).1.len(), 0);
            assert_eq!(journal::identity(&world, dir).unwrap(), Some(Identity { epoch: 7, ..made }));
            assert!(crash_at > 4, "a crash at each operation was tried");
            break;
        }
    }
}

#[test]
fn a_damaged_journal_is_mended_from_a_copy() {
    let p = pair();
    let (journal, _) = open(&p.a, "/spool", 1);
    let copy = held(&p.b);
    let (owner, holder) = attach(&journal, &copy);
    for n in 0..9 {
        append(&journal, n, 2000, When::Durable).try_take().unwrap().unwrap();
    }
    flow(&owner, &holder);
    drop((owner, holder));
    journal.close();
    // One record in the middle of a segment, the first and the last of another one.
    for (segment, offset) in [(0, 3000), (1, 100), (1, 6000)] {
        let (name, _) = segments(&p.a_sim, "/spool").remove(segment);
        p.a_sim.disk.rot(&Path::new("/spool").join(name), offset).unwrap();
    }
    let again = Journal::open_inline(&p.a, Path::new("/spool"), settings(1), Mode::Serve, &mut |_| ());
    let Err(OpenError::Damaged { lost }) = again.map(|_| ()) else { panic!("it is damaged") };
    assert_eq!(lost.len(), 3);
    let mut mender = Mender::open(&p.a, Path::new("/spool"), NAME, 1, &lost).unwrap();
    let holder = copy.link(Arc::new(|| ()));
    let outcome = loop {
        while let Some(frame) = mender.output() {
            holder.receive(&frame.to_vec()).unwrap();
        }
        holder.pump();
        while let Some(frame) = holder.output() {
            mender.receive(&frame.to_vec()).unwrap();
        }
        while mender.pump() {}
        if let Some(outcome) = mender.outcome() {
            break outcome;
        }
    };
    outcome.unwrap();
    drop(mender);
    let (_, seen) = open(&p.a, "/spool", 1);
    assert_eq!(seen.len(), 9);
    assert_eq!(segments(&p.a_sim, "/spool")[..2], segments(&p.b_sim, "/copy")[..2]);
}
