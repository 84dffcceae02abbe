//! Owns the note of what is in hand, in a small file beside the journal, so that a message which takes the process down is known
//! at the next start. Knows no schedule.
//!
//! Always holds: a message is noted before a deliverer gets it. The file is written, not synced: it has to survive the death of the
//! process, not a power cut, which is no message's fault. What is in hand for longer than [`SUSPECT_MS`] (a slow peer) is not
//! suspected any more. Suspects are tried one at a time after a restart: only who was alone in that lane when the process died
//! again (or was the only suspect at all) is counted, so that `kill -9` under load sets nothing aside.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mail::MessageId;
use world::{File, Open, World};

use crate::book::Claim;

/// The file, and who waits for the lane.
pub struct Processing {
    state: Mutex<State>,
}

struct State {
    file: Box<dyn File>,
    /// Which message a slot notes.
    slots: Vec<Option<MessageId>>,
    /// Where to look for a free slot next.
    next: usize,
    /// Slots by the time they were noted, oldest first; entries may be stale.
    ages: VecDeque<(u64, usize, MessageId)>,
    /// Suspects that wait for the lane.
    waiting: VecDeque<Claim>,
    /// Who has the lane, and since when.
    alone: Option<(MessageId, u64)>,
}

/// What the file said at the start.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Suspects {
    /// In hand when the process died.
    pub ids: Vec<MessageId>,
    /// Of these, who had the lane.
    pub alone: Option<MessageId>,
}

/// The slot of a work.
pub type Slot = Option<u32>;

/// What became of a work, as far as the note is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It is still queued: its note must go.
    Queued,
    /// It is finished: nobody will look for its note, which is overwritten some time.
    Finished,
}

impl Processing {
    /// Opens (or makes) the file; says who was in hand when it was left.
    pub fn open(world: &World, dir: &Path) -> io::Result<(Processing, Suspects)> {
        let path = dir.join("processing");
        let fresh = !world.disk.exists(&path)?;
        let file = world.disk.open(&path, Open::CreateOrKeep)?;
        let mut bytes = vec![0; SLOTS * SLOT_BYTES];
        let mut suspects = Suspects::default();
        if fresh || file.len()? < bytes.len() as u64 {
            file.fill_zero(bytes.len() as u64)?;
            world.disk.sync_dir(dir)?;
        } else {
            file.read_exact_at(0, &mut bytes)?;
            suspects = read(&bytes);
            bytes.fill(0);
            file.write_all_at(0, &[IoSlice::new(&bytes)])?;
        }
        let state = State {
            file,
            slots: vec![None; SLOTS],
            next: 0,
            ages: VecDeque::new(),
            waiting: VecDeque::new(),
            alone: None,
        };
        Ok((Processing { state: Mutex::new(state) }, suspects))
    }

    /// Notes messages that are about to be handed out; gives their slots. With all slots taken the rest is not noted.
    pub fn hold(&self, ids: impl Iterator<Item = MessageId>, now_ms: u64) -> Vec<Slot> {
        let mut state = self.state();
        let mut slots = Vec::new();
        let mut run: Vec<u8> = Vec::new();
        let mut run_at = 0;
        for id in ids {
            let slot = state.free_slot();
            slots.push(slot.map(|at| at as u32));
            let Some(at) = slot else { continue };
            state.slots[at] = Some(id);
            state.ages.push_back((now_ms, at, id));
            if !run.is_empty() && run_at + run.len() / SLOT_BYTES != at {
                state.write(run_at, &run);
                run.clear();
            }
            if run.is_empty() {
                run_at = at;
            }
            run.extend_from_slice(&id.to_bytes());
            let alone = state.alone.is_some_and(|(who, _)| who == id);
            run.extend_from_slice(&u64::from(if alone { ALONE } else { HELD }).to_le_bytes());
        }
        if !run.is_empty() {
            state.write(run_at, &run);
        }
        slots
    }

    /// A work left its deliverer's hand.
    pub fn left(&self, slot: Slot, id: MessageId, left: Left) {
        let mut state = self.state();
        if state.alone.is_some_and(|(who, _)| who == id) {
            state.alone = None;
        }
        let Some(at) = slot.map(|at| at as usize) else { return };
        if state.slots[at] == Some(id) {
            state.slots[at] = None;
            if left == Left::Queued {
                state.write(at, &[0; SLOT_BYTES]);
            }
        }
    }

    /// Lets suspects wait for the lane.
    pub fn suspect(&self, claims: impl IntoIterator<Item = Claim>) {
        self.state().waiting.extend(claims);
    }

    /// Clears notes of what is in hand for long, and gives the next suspect if the lane is free.
    pub fn tick(&self, now_ms: u64) -> Option<Claim> {
        let mut state = self.state();
        while let Some((since_ms, at, id)) = state.ages.front().copied()
            && since_ms + SUSPECT_MS <= now_ms
        {
            state.ages.pop_front();
            if state.slots[at] == Some(id) {
                state.slots[at] = None;
                state.write(at, &[0; SLOT_BYTES]);
            }
        }
        if state.alone.is_some_and(|(_, since_ms)| since_ms + SUSPECT_MS > now_ms) {
            return None;
        }
        let next = state.waiting.pop_front();
        state.alone = next.as_ref().map(|claim| (claim.subject.id, now_ms));
        next
    }

    /// When [`Processing::tick`] wants to be called.
    pub fn next_due_ms(&self) -> Option<u64> {
        let state = self.state();
        if !state.waiting.is_empty() {
            return Some(match state.alone {
                None => 0,
                Some((_, since_ms)) => since_ms + SUSPECT_MS,
            });
        }
        state.ages.front().map(|(since_ms, ..)| since_ms + SUSPECT_MS)
    }

    /// A clean end: nobody is suspected.
    pub fn clear(&self) {
        let state = self.state();
        state.write(0, &vec![0; SLOTS * SLOT_BYTES]);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whatever a panic left here is only a note.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn free_slot(&mut self) -> Option<usize> {
        for _ in 0..PROBES {
            let at = self.next;
            self.next = (self.next + 1) % SLOTS;
            if self.slots[at].is_none() {
                return Some(at);
            }
        }
        None
    }

    fn write(&self, slot: usize, bytes: &[u8]) {
        // A note that cannot be written costs at worst one more crash before a message is known for what it is.
        let _ = self.file.write_all_at((slot * SLOT_BYTES) as u64, &[IoSlice::new(bytes)]);
    }
}

fn read(bytes: &[u8]) -> Suspects {
    let mut suspects = Suspects::default();
    for slot in bytes.as_chunks::<SLOT_BYTES>().0 {
        let (id, mark) = slot.split_at(16);
        let mut raw = [0; 16];
        raw.copy_from_slice(id);
        let id = MessageId::from_bytes(raw);
        match mark[0] {
            HELD => suspects.ids.push(id),
            ALONE => {
                suspects.ids.push(id);
                suspects.alone = Some(id);
            }
            _ => {}
        }
    }
    suspects.ids.sort_unstable();
    suspects.ids.dedup();
    suspects
}

/// Messages that are noted at once.
const SLOTS: usize = 4096;
const SLOT_BYTES: usize = 24;
/// Slots that are looked at for a free one.
const PROBES: usize = 64;

/// What code does to a message that takes the process down, it does soon after it has got it.
pub const SUSPECT_MS: u64 = 500;

const HELD: u8 = 1;
const ALONE: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> MessageId {
        MessageId::new(5, [n; 10])
    }

    fn reopen(world: &World) -> (Processing, Suspects) {
        Processing::open(world, Path::new("/s")).unwrap()
    }

    #[test]
    fn only_what_was_in_hand_a_moment_ago_is_suspected() {
        let (world, sim) = World::simulated(1);
        world.disk.create_dir_all_durable(Path::new("/s")).unwrap();
        let (processing, suspects) = reopen(&world);
        assert_eq!(suspects, Suspects::default());
        let slots = processing.hold([id(1), id(2), id(3)].into_iter(), 1000);
        processing.left(slots[1], id(2), Left::Queued);
        processing.hold([id(4)].into_iter(), 1400);
        processing.tick(1000 + SUSPECT_MS);
        sim.disk.restart_process();
        let (processing, suspects) = reopen(&world);
        assert_eq!(suspects, Suspects { ids: vec![id(4)], alone: None });
        processing.hold([id(5)].into_iter(), 2000);
        processing.clear();
        sim.disk.restart_process();
        assert_eq!(reopen(&world).1, Suspects::default());
    }
}
