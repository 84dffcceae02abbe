//! What the stories of copies share: a journal, a copy of it on another simulated disk, and a link between them.
#![allow(dead_code, clippy::unwrap_used)] // a test; not every file uses all of it

use std::path::Path;
use std::sync::Arc;

use journal::copies::{HeldCopy, HeldLink, Link};
use journal::{Batch, Commit, Journal, Mode, Settings, When};
use world::sim::SimHandle;
use world::{Disk, World};

pub const SEGMENT: u64 = 8 << 10;
pub const NAME: &str = "a/spool";

pub fn settings(epoch: u32) -> Settings {
    Settings { segment_bytes: SEGMENT, keep_free_bytes: 0, copy_window_bytes: 20_000, epoch, ..Settings::default() }
}

pub fn open(world: &World, dir: &str, epoch: u32) -> (Journal, Vec<Vec<u8>>) {
    let mut seen = Vec::new();
    let journal =
        Journal::open_inline(world, Path::new(dir), settings(epoch), Mode::Serve, &mut |s| seen.push(s.payload.into()));
    (journal.unwrap(), seen)
}

pub fn held(world: &World) -> HeldCopy {
    HeldCopy::open(world, Path::new("/copy"), NAME, settings(0)).unwrap()
}

pub fn attach(journal: &Journal, copy: &HeldCopy) -> (Link, HeldLink) {
    (journal.copies().attach(NAME, "b", Arc::new(|| ())), copy.link(Arc::new(|| ())))
}

/// Lets both ends of a link work until nothing moves.
pub fn flow(owner: &Link, holder: &HeldLink) {
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

pub fn append(journal: &Journal, byte: u8, len: usize, when: When) -> Commit {
    let commit = journal.append(Batch::new().record(1, &[byte], vec![byte; len]), when);
    while journal.pump() {}
    commit
}

pub fn segments(sim: &SimHandle, dir: &str) -> Vec<(String, Vec<u8>)> {
    let names = sim.disk.list(Path::new(dir)).unwrap();
    let segments = names.into_iter().filter(|e| e.name.ends_with(".seg"));
    segments.map(|e| (e.name.clone(), sim.disk.read_all(&Path::new(dir).join(&e.name)).unwrap())).collect()
}

pub struct Pair {
    pub a: World,
    pub a_sim: SimHandle,
    pub b: World,
    pub b_sim: SimHandle,
}

pub fn pair() -> Pair {
    let (a, a_sim) = World::simulated(1);
    let (b, b_sim) = World::simulated(2);
    Pair { a, a_sim, b, b_sim }
}
