//! Told stories: rare meetings of events that random runs seldom reach.

use std::path::Path;
use std::sync::Arc;

use journal::copies::{HeldCopy, HeldLink, Link};
use journal::{Batch, Canary, Extent, Journal, Mode, When};
use world::World;
use world::sim::Faults;

use crate::node::{DIR, NAME, SEGMENT, settings};

const MARK: u8 = 1;
const TOMBSTONE: u8 = 2;

fn append(journal: &Journal, kind: u8, len: usize) -> Extent {
    let mut commit = journal.append(Batch::new().record(kind, &[], vec![kind; len]), When::Durable);
    while journal.pump() {}
    commit.try_take().unwrap().unwrap().extent(0)
}

fn attach(journal: &Journal, copy: &HeldCopy) -> (Link, HeldLink) {
    (journal.copies().attach(NAME, "1", Arc::new(|| ())), copy.link(Arc::new(|| ())))
}

fn flow(owner: &Link, holder: &HeldLink) {
    for _ in 0..200 {
        while owner.pump() {}
        while let Some(frame) = owner.output() {
            holder.receive(&frame.to_vec()).unwrap();
        }
        holder.pump();
        while let Some(frame) = holder.output() {
            owner.receive(&frame.to_vec()).unwrap();
        }
    }
}

/// While the holder is away, its owner frees the segment of a mark, then that of the mark's tombstone. The holder learns of both at once,
/// and loses power in any operation of that; then it takes over. Whether the mark can be seen there without its tombstone.
fn a_mark_comes_back(seed: u64, crash_at: u64, canary: Canary) -> Option<bool> {
    let (a, _) = World::simulated(seed);
    let (b, b_sim) = World::simulated(seed + 1000);
    let open = |world: &World, epoch, seen: &mut Vec<u8>| {
        let settings = settings(epoch, canary);
        Journal::open_inline(world, Path::new(DIR), settings, Mode::Serve, &mut |s| seen.push(s.kind)).unwrap()
    };
    let journal = open(&a, 1, &mut Vec::new());
    let mark = append(&journal, MARK, 5000);
    let filler = append(&journal, 3, SEGMENT as usize / 2);
    let tombstone = append(&journal, TOMBSTONE, 100);
    append(&journal, 3, 5000);
    let copy = HeldCopy::open(&b, Path::new(DIR), NAME, settings(0, canary)).unwrap();
    let (owner, holder) = attach(&journal, &copy);
    flow(&owner, &holder);
    assert!(copy.state().level);
    drop((owner, holder));
    journal.release(mark.position, mark.len);
    journal.pin_until_gone(tombstone, journal.segment_of(mark.position));
    journal.release(filler.position, filler.len);
    while journal.pump() {}
    assert_eq!(journal.stats().segments, 1);
    let (owner, holder) = attach(&journal, &copy);
    b_sim.disk.set_faults(Faults { crash_after_ops: Some(crash_at), ..Faults::default() });
    flow(&owner, &holder);
    let crashed = b_sim.disk.crashed();
    drop((owner, holder, copy));
    b_sim.disk.crash();
    b_sim.disk.reboot();
    let copy = HeldCopy::open(&b, Path::new(DIR), NAME, settings(0, canary)).unwrap();
    copy.hand_over().unwrap();
    let mut seen = Vec::new();
    open(&b, 2, &mut seen);
    crashed.then(|| seen.contains(&MARK) && !seen.contains(&TOMBSTONE))
}

#[test]
fn a_tombstone_outlives_what_it_cancels_on_a_copy_too() {
    let (mut good, mut broken) = (0, 0);
    for seed in 0..20 {
        for crash_at in 1.. {
            let Some(back) = a_mark_comes_back(seed, crash_at, Canary::None) else { break };
            assert!(!back, "seed {seed}, power cut at {crash_at}: the mark is there and its tombstone is not");
            good += 1;
        }
        for crash_at in 1.. {
            let Some(back) = a_mark_comes_back(seed, crash_at, Canary::ReleasesBackwards) else { break };
            broken += u64::from(back);
        }
    }
    assert!(good >= 20 * 4, "{good} power cuts");
    assert!(broken > 0, "a holder that removes segments newest first is not caught");
}
