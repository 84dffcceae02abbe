//! What the protocol of ownership asks of a journal and its copies, told as stories on simulated disks: whom a commit waits for, a
//! copy that is closed, a name before the journal is opened, a higher epoch while it is open.
#![allow(clippy::unwrap_used)] // a test

mod common;

use std::path::Path;

use common::{Pair, append, attach, flow, held, open, pair, segments, settings};
use journal::copies::{CopyStage, HandOverError, HeldCopy};
use journal::{Identity, Journal, Mode, OpenError, RaiseError, Seen, When};
use world::sim::Faults;
use world::{Disk, World};

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

/// Moved to where taken journals are and not opened before a power cut, the directory would be gone on with under an epoch of the old
/// owner's term.
#[test]
fn a_copy_that_is_handed_over_knows_its_next_owners_epoch_after_a_power_cut() {
    let p = pair();
    let (journal, _) = open(&p.a, "/spool", 1);
    let copy = held(&p.b);
    let (owner, holder) = attach(&journal, &copy);
    flow(&owner, &holder);
    copy.hand_over_under(512).unwrap();
    drop((owner, holder, copy));
    p.b_sim.disk.crash();
    p.b_sim.disk.reboot();
    assert_eq!(journal::identity(&p.b, Path::new("/copy")).unwrap().unwrap().epoch, 512);
    assert!(held(&p.b).freeze().is_ok(), "not moved, it is a copy that may be taken over");
}

#[test]
fn a_running_owner_goes_on_under_a_higher_epoch() {
    let p = pair();
    let (journal, _) = open(&p.a, "/spool", 1);
    let copy = held(&p.b);
    let (owner, holder) = attach(&journal, &copy);
    flow(&owner, &holder);
    journal.copies().set_level(&["b"], 1);
    let mut before = append(&journal, 1, 100, When::Durable);
    journal.raise_epoch(1).unwrap();
    assert_eq!(journal.copies().states()[0].stage, CopyStage::Level, "the same epoch changes nothing");
    journal.raise_epoch(300).unwrap();
    assert_eq!(journal.epoch(), 300);
    assert_eq!(journal.copies().states()[0].stage, CopyStage::Joining, "the link has begun anew");
    let mut after = append(&journal, 2, 100, When::Durable);
    flow(&owner, &holder);
    assert_eq!(before.try_take().unwrap().unwrap().copies, 1, "what waited is completed");
    assert_eq!(after.try_take().unwrap().unwrap().copies, 1);
    assert_eq!(copy.state().epoch, 300);
    assert_eq!(segments(&p.a_sim, "/spool"), segments(&p.b_sim, "/copy"));
    journal.copies().depose(299);
    assert_eq!(journal.copies().deposed_by(), None, "it is lower than what we have now");
    journal.raise_epoch(299).unwrap();
    assert_eq!(journal.epoch(), 300);
    drop((owner, holder));

    copy.hand_over().unwrap();
    journal.close();
    for (world, dir) in [(&p.a, "/spool"), (&p.b, "/copy")] {
        let mut epochs = Vec::new();
        let low = Journal::open_inline(world, Path::new(dir), settings(299), Mode::Serve, &mut |_| ()).map(|_| ());
        assert!(matches!(low, Err(OpenError::StaleEpoch { stored: 300, asked: 299 })), "{low:?}");
        let seen = &mut |seen: Seen<'_>| epochs.push(seen.epoch);
        Journal::open_inline(world, Path::new(dir), settings(301), Mode::Serve, seen).unwrap();
        assert_eq!(epochs, [1, 300]);
    }
}

#[test]
fn a_raised_epoch_is_durable_before_the_first_record_of_it() {
    for crash_at in 1.. {
        let (world, sim) = World::simulated(crash_at);
        let (journal, _) = open(&world, "/spool", 1);
        append(&journal, 1, 10, When::Durable).try_take().unwrap().unwrap();
        sim.disk.set_faults(Faults { crash_after_ops: Some(crash_at), ..Faults::default() });
        let raised = journal.raise_epoch(2);
        let appended = append(&journal, 2, 10, When::Durable).try_take();
        drop(journal);
        sim.disk.crash();
        sim.disk.reboot();
        sim.disk.set_faults(Faults::default());
        let stored = journal::identity(&world, Path::new("/spool")).unwrap().unwrap().epoch;
        let (_, seen) = open(&world, "/spool", stored);
        match appended {
            Some(Ok(_)) => {
                assert_eq!((raised, stored, seen.len()), (Ok(()), 2, 2));
                assert!(crash_at > 4, "a crash at each operation was tried");
                break;
            }
            _ => assert!(!seen.is_empty() && (raised.is_err() || stored == 2), "crash at {crash_at}"),
        }
    }
}

#[test]
fn a_full_disk_keeps_the_epoch_and_the_journal() {
    let (world, sim) = World::simulated(1);
    let (journal, _) = open(&world, "/spool", 1);
    append(&journal, 1, 10, When::Durable).try_take().unwrap().unwrap();
    sim.disk.change_faults(|f| f.capacity = Some(0));
    assert_eq!(journal.raise_epoch(2), Err(RaiseError::Full));
    assert_eq!(journal.epoch(), 1);
    append(&journal, 2, 10, When::Durable).try_take().unwrap().unwrap();
    sim.disk.change_faults(|f| f.capacity = None);
    assert_eq!(journal.raise_epoch(2), Ok(()));
    journal.copies().depose(3);
    assert_eq!(journal.raise_epoch(4), Err(RaiseError::Stopped), "it was told that it is over");
}

/// A copy of a journal whose owner then loses power, and what it had not synced; so that the next record stands where a lost one had
/// been: on a full disk it has to.
fn lost_tail(p: &Pair) -> Option<(HeldCopy, Journal)> {
    let (journal, _) = open(&p.a, "/spool", 1);
    append(&journal, 1, 10, When::Durable).try_take().unwrap().unwrap();
    let copy = held(&p.b);
    let (owner, holder) = attach(&journal, &copy);
    flow(&owner, &holder);
    for n in 2..7 {
        append(&journal, n, 1000, When::Soon).try_take().unwrap().unwrap();
    }
    flow(&owner, &holder);
    drop((owner, holder, journal));
    p.a_sim.disk.crash();
    p.a_sim.disk.reboot();
    for entry in p.a_sim.disk.list(Path::new("/spool")).unwrap().iter().filter(|e| e.name.starts_with("spare")) {
        p.a.disk.remove(&Path::new("/spool").join(&entry.name)).unwrap();
    }
    let (journal, seen) = open(&p.a, "/spool", 2);
    (seen.len() < 6).then_some((copy, journal))
}

#[test]
fn a_copy_claims_no_more_than_what_it_was_compared_with() {
    let lost = |seed| {
        let ((a, a_sim), (b, b_sim)) = (World::simulated(seed), World::simulated(seed + 100));
        let p = Pair { a, a_sim, b, b_sim };
        lost_tail(&p).map(|(copy, journal)| (p, copy, journal))
    };
    let (p, copy, journal) = (0..20).find_map(lost).unwrap();
    let tail = copy.state().tail;
    let other = append(&journal, 9, 10, When::Here).try_take().unwrap().unwrap().extent(0);
    assert!(other.position < tail);
    // It introduces itself, and no more.
    let (owner, holder) = attach(&journal, &copy);
    holder.receive(&owner.output().unwrap().to_vec()).unwrap();
    holder.pump();
    let frozen = copy.freeze().unwrap();
    assert_eq!((frozen.at, frozen.epoch, frozen.heard), (tail, 1, 2));
    copy.close();
    drop((owner, holder, copy));
    let copy = held(&p.b);
    assert_eq!(copy.freeze(), Ok(frozen), "a restart does not make it more");
    copy.thaw();
    let (owner, holder) = attach(&journal, &copy);
    flow(&owner, &holder);
    let frozen = copy.freeze().unwrap();
    assert_eq!((frozen.at, frozen.epoch), (journal.copies().tail(), 2));
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
