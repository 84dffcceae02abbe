//! A journal and a copy of it, told as stories on simulated disks. The seeds are in tests/tests/sim_copies.
#![allow(clippy::unwrap_used)] // a test

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{NAME, SEGMENT, append, attach, flow, held, open, pair, segments, settings};
use journal::copies::{CopyStage, HandOverError, HeldCopy, Mender};
use journal::{AppendError, Journal, Mode, OpenError, When};
use world::Disk;

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
