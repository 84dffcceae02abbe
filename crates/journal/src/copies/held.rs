//! Owns the holder's face: one copy, and the ends of links that owners open to it, as bytes in and bytes out.
//! Knows no sockets. Always holds: one copy has one writer at a time, and none while it is frozen; a session of a higher epoch, or a
//! newer one of the same, ends those before it; what waits to be written has a bound.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use world::World;

use super::copy::Wake;
use super::frame::{Decoder, FRAME_BYTES_MAX, Frame, Malformed, Message, Refusal};
use super::group::Outgoing;
use super::holder::{Effect, Holder, Input};
use super::store::{Joined, Store, StoreError};
use crate::canary::Canary;
use crate::error::OpenError;
use crate::position::Position;
use crate::settings::Settings;
use crate::shelf::Shelf;
use crate::spares;

/// A copy of somebody's journal, on this node. Clones are the same copy.
#[derive(Clone)]
pub struct HeldCopy {
    held: Arc<Held>,
}

struct Held {
    world: World,
    dir: PathBuf,
    journal: String,
    settings: Settings,
    shelf: Arc<Shelf>,
    /// Whoever has this lock may work on the copy's disk; nothing that has to be quick ever waits for it.
    work: Mutex<Work>,
    /// What [`HeldCopy::state`] shows.
    shown: Mutex<HeldState>,
    /// Held while an empty segment is made; `true` when none may be made any more.
    closed: Mutex<bool>,
}

struct Work {
    /// `None` once it was handed over or closed.
    store: Option<Store>,
    /// No owner is listened to.
    frozen: bool,
    /// The link whose session is the newest.
    current: Option<Current>,
    links: u64,
}

struct Current {
    id: u64,
    over: Arc<AtomicBool>,
    wake: Wake,
}

impl Current {
    /// Its time is over; its driver is told.
    fn end(self) {
        self.over.store(true, Ordering::SeqCst);
        (self.wake)();
    }
}

/// How a copy is, seen by its holder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldState {
    /// Highest epoch seen.
    pub epoch: u32,
    /// Where the copy ends.
    pub tail: Position,
    /// Whether it may be taken over: it has had everything once, and lost nothing since.
    pub level: bool,
    /// Number of its segments.
    pub segments: u64,
    /// The last thing that went wrong, until something goes right.
    pub error: Option<String>,
}

/// What a frozen copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// Where it ends, synced. Nothing that any owner was told to be here lies behind.
    pub at: Position,
    /// What its owner wrote before that position under this epoch or a lower one, it has. Not more may be claimed: an owner may have
    /// introduced itself under a higher epoch, and have written something else where the copy still has an old owner's tail.
    pub epoch: u32,
    /// The highest epoch that it has heard of: its next owner needs a higher one.
    pub heard: u32,
}

/// Why a copy is not frozen or handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOverError {
    /// It has never had everything, or has lost something: mail would be lost.
    NotLevel,
    /// It was handed over or closed already.
    Closed,
    /// Its disk failed; the process is ending.
    Dead,
}

impl HeldCopy {
    /// Opens the copy of `journal` (`<node>/<journal>`) in `dir`, made if missing. Reads all of it: for a thread that may block.
    pub fn open(world: &World, dir: &Path, journal: &str, settings: Settings) -> Result<HeldCopy, OpenError> {
        let canary = settings.canary;
        let store = Store::open(world, dir, settings.clone(), canary)?;
        let held = Held {
            world: world.clone(),
            dir: dir.into(),
            journal: journal.into(),
            settings,
            shelf: store.shelf(),
            shown: Mutex::new(show(&store, None)),
            work: Mutex::new(Work { store: Some(store), frozen: false, current: None, links: 0 }),
            closed: Mutex::new(false),
        };
        Ok(HeldCopy { held: Arc::new(held) })
    }

    /// The end of a new link from an owner. `wake` is called when its time is over: pump it, send what it has to say, end the
    /// connection.
    pub fn link(&self, wake: Wake) -> HeldLink {
        let mut work = lock(&self.held.work);
        work.links += 1;
        let end = End {
            decoder: Decoder::default(),
            arrived: VecDeque::new(),
            arrived_bytes: 0,
            output: VecDeque::new(),
            output_bytes: 0,
        };
        let side = Mutex::new(Holder::new(&self.held.journal));
        let over = Arc::new(AtomicBool::new(false));
        HeldLink { held: self.held.clone(), id: work.links, side, end: Mutex::new(end), over, wake }
    }

    /// How it is.
    pub fn state(&self) -> HeldState {
        lock(&self.held.shown).clone()
    }

    /// Makes an empty segment if one is missing, so that no owner waits for that: for a thread of its own. `false`: none is missing.
    pub fn prepare(&self) -> bool {
        let held = &self.held;
        let Some(segment_bytes) = self.segment_bytes() else { return false };
        let closed = lock(&held.closed);
        !*closed
            && held.shelf.wants_one(held.world.clock.mono_ms())
            && spares::make(&held.world, &held.dir, segment_bytes, &held.settings, &held.shelf)
    }

    fn segment_bytes(&self) -> Option<u64> {
        lock(&self.held.work).store.as_ref()?.segment_bytes()
    }

    /// Closes the copy to every owner and says where it ends, so that somebody can ask to own it. From the return on nothing is
    /// acknowledged that is not below that: present links end, new ones are refused until [`HeldCopy::thaw`]. Costs one sync; a copy
    /// that is frozen already says the same again. Refused when it was never level. A crash opens it again.
    pub fn freeze(&self) -> Result<Frozen, HandOverError> {
        let mut work = lock(&self.held.work);
        let store = work.store.as_mut().ok_or(HandOverError::Closed)?;
        if !store.level() {
            return Err(HandOverError::NotLevel);
        }
        store.sync().map_err(|_| HandOverError::Dead)?;
        let frozen = Frozen { at: store.tail(), epoch: store.proven(), heard: store.epoch() };
        if self.held.settings.canary == Canary::FrozenListens {
            return Ok(frozen);
        }
        work.frozen = true;
        if let Some(current) = work.current.take() {
            current.end();
        }
        Ok(frozen)
    }

    /// Listens to owners again; each of them begins anew. Does nothing to a copy that is not frozen, or was handed over.
    pub fn thaw(&self) {
        lock(&self.held.work).frozen = false;
    }

    /// Ends the copy so that `Journal::open` with the next epoch can take it over: syncs it, lets the directory go, and returns
    /// where it ends. Refused when it was never level.
    pub fn hand_over(&self) -> Result<Position, HandOverError> {
        self.finish(None)
    }

    /// The same for a next owner whose epoch is known: that is durable in the directory when this returns. Otherwise a directory that was
    /// moved, and not opened before a power cut, would have its new owner go on under an epoch of the old one's.
    pub fn hand_over_under(&self, epoch: u32) -> Result<Position, HandOverError> {
        self.finish(Some(epoch))
    }

    fn finish(&self, epoch: Option<u32>) -> Result<Position, HandOverError> {
        let mut work = lock(&self.held.work);
        let store = work.store.as_mut().ok_or(HandOverError::Closed)?;
        if !store.level() {
            return Err(HandOverError::NotLevel);
        }
        let finished = store.finish().and_then(|tail| epoch.map_or(Ok(()), |epoch| store.raise(epoch)).map(|()| tail));
        let tail = finished.map_err(|_| HandOverError::Dead)?;
        self.end(&mut work);
        Ok(tail)
    }

    /// Syncs and closes the copy. Links answer nothing any more.
    pub fn close(&self) {
        let mut work = lock(&self.held.work);
        if let Some(store) = &mut work.store {
            // A failed sync has ended the process, or marked the simulated one.
            let _ = store.sync();
        }
        self.end(&mut work);
    }

    /// Lets the directory go: nobody writes there any more.
    fn end(&self, work: &mut Work) {
        *lock(&self.held.closed) = true;
        work.store = None;
        if let Some(current) = work.current.take() {
            current.end();
        }
    }
}

/// The holder's end of a link. The driver gives it what arrives while [`HeldLink::wants_input`], lets it work, sends what it gives out,
/// and drops it when the connection ends.
pub struct HeldLink {
    held: Arc<Held>,
    id: u64,
    side: Mutex<Holder>,
    end: Mutex<End>,
    over: Arc<AtomicBool>,
    wake: Wake,
}

struct End {
    decoder: Decoder,
    arrived: VecDeque<Frame>,
    arrived_bytes: usize,
    output: VecDeque<Outgoing>,
    output_bytes: usize,
}

impl HeldLink {
    /// Takes bytes from the owner; never touches the disk. On an error the connection has to be closed.
    pub fn receive(&self, bytes: &[u8]) -> Result<(), Malformed> {
        let mut end = lock(&self.end);
        let end = &mut *end;
        end.decoder.push(bytes);
        while let Some(frame) = end.decoder.next_frame()? {
            end.arrived_bytes += weight(&frame);
            end.arrived.push_back(frame);
        }
        match end.arrived_bytes > ARRIVED_BYTES_MAX + 2 * FRAME_BYTES_MAX + bytes.len() {
            true => Err(Malformed("more than was asked for")),
            false => Ok(()),
        }
    }

    /// Whether the driver should read from the connection. `false`: let [`HeldLink::pump`] work first.
    pub fn wants_input(&self) -> bool {
        lock(&self.end).arrived_bytes <= ARRIVED_BYTES_MAX
    }

    /// The next frame to send, if there is one. Never touches the disk.
    pub fn output(&self) -> Option<Outgoing> {
        let mut end = lock(&self.end);
        let frame = end.output.pop_front()?;
        end.output_bytes -= frame.len();
        Some(frame)
    }

    /// Whether another link has taken this one's place, or the copy is frozen or closed: end the connection once all is sent.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Writes what has arrived, syncs it once, and prepares the answers: for a thread that may block. `false` when nothing had arrived.
    pub fn pump(&self) -> bool {
        // First come, first served: two pumps of one link must not change the order.
        let mut side = lock(&self.side);
        if self.is_over() {
            let epoch = lock(&self.held.shown).epoch;
            let effects = side.step(Input::Replaced { epoch });
            self.act(&mut side, effects);
        }
        // Only what is there now: whoever waits for an answer to it does not wait for what comes later.
        let there = lock(&self.end).arrived.len();
        let mut worked = false;
        for _ in 0..there {
            let Some(frame) = self.next_arrived() else { break };
            worked = true;
            let effects = side.step(Input::Frame(frame));
            self.act(&mut side, effects);
        }
        let effects = side.step(Input::Drained);
        self.act(&mut side, effects);
        worked
    }

    /// The next frame, unless the owner does not take the answers to those before.
    fn next_arrived(&self) -> Option<Frame> {
        let mut end = lock(&self.end);
        if end.output_bytes > OUTPUT_BYTES_MAX {
            return None;
        }
        let frame = end.arrived.pop_front()?;
        end.arrived_bytes -= weight(&frame);
        Some(frame)
    }

    fn send(&self, frame: Outgoing) {
        let mut end = lock(&self.end);
        end.output_bytes += frame.len();
        end.output.push_back(frame);
    }

    fn act(&self, side: &mut Holder, effects: Vec<Effect>) {
        let mut effects: VecDeque<Effect> = effects.into();
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Send(frame) => self.send(Outgoing::frame(&frame)),
                effect => {
                    let Some(input) = self.work(effect) else { continue };
                    if matches!(input, Input::Failed(_) | Input::Replaced { .. }) {
                        effects.clear();
                    }
                    // The answer to an effect comes before what was to be done after it.
                    for next in side.step(input).into_iter().rev() {
                        effects.push_front(next);
                    }
                }
            }
        }
    }

    /// Does something with the copy; what came of it, if anybody wants to know.
    fn work(&self, effect: Effect) -> Option<Input> {
        let mut work = lock(&self.held.work);
        let joins = matches!(effect, Effect::Join(..));
        let current = work.current.as_ref().is_some_and(|current| current.id == self.id);
        let frozen = work.frozen;
        let Some(store) = work.store.as_mut().filter(|_| !frozen) else {
            self.over.store(true, Ordering::SeqCst);
            return None;
        };
        if !joins && !current {
            self.over.store(true, Ordering::SeqCst);
            return Some(Input::Replaced { epoch: store.epoch() });
        }
        let done = perform(store, effect, || self.held.world.chance.u64());
        let error = match &done {
            // To be cut off is no failure: the owner begins anew, and goes on.
            Ok(_) | Err(StoreError::Again) => None,
            Err(error) => Some(error.to_string()),
        };
        *lock(&self.held.shown) = show(store, error);
        match done {
            Ok(input) => {
                if matches!(input, Some(Input::Joined { .. })) && !current {
                    let this = Current { id: self.id, over: self.over.clone(), wake: self.wake.clone() };
                    self.over.store(false, Ordering::SeqCst);
                    if let Some(before) = work.current.replace(this) {
                        before.end();
                    }
                }
                input
            }
            Err(error) => Some(Input::Failed(error)),
        }
    }
}

fn perform(store: &mut Store, effect: Effect, number: impl Fn() -> u64) -> Result<Option<Input>, StoreError> {
    Ok(match effect {
        Effect::Join(number_of_hello, hello) => Some(match store.join(&hello)? {
            Joined::Yes => {
                // What a Welcome names is synced.
                store.sync()?;
                let held = store.ends().iter().map(|(no, end)| (*no, *end)).collect();
                Input::Joined { hello: number_of_hello, session: number(), epoch: hello.epoch, held }
            }
            Joined::Stale(epoch) => Input::Refused { hello: number_of_hello, why: Refusal::Epoch, epoch },
            Joined::Other => {
                Input::Refused { hello: number_of_hello, why: Refusal::OtherJournal, epoch: store.epoch() }
            }
        }),
        Effect::Write { position, urgent, bytes } => {
            store.write(position, &bytes)?;
            let bytes = bytes.len() as u64;
            Some(Input::Wrote { end: Position(position.0 + bytes), bytes, urgent })
        }
        Effect::Sync => {
            store.sync()?;
            Some(Input::Synced { level: store.level() })
        }
        Effect::Release(segments) => {
            store.release(&segments)?;
            None
        }
        Effect::Level(tail, runs) => {
            store.level_with(tail, &runs)?;
            Some(Input::Levelled { tail })
        }
        Effect::Mark => {
            store.mark()?;
            None
        }
        Effect::Read(segment, offset) => {
            let (end, bytes) = store.read(segment, offset);
            Some(Input::Read { segment, offset, end, bytes })
        }
        Effect::Send(_) => None,
    })
}

fn show(store: &Store, error: Option<String>) -> HeldState {
    HeldState {
        epoch: store.epoch(),
        tail: store.tail(),
        level: store.level(),
        segments: store.ends().len() as u64,
        error,
    }
}

/// What a frame takes in memory.
fn weight(frame: &Frame) -> usize {
    64 + match &frame.message {
        Message::Append { bytes, .. } | Message::Piece { bytes, .. } => bytes.len(),
        Message::Level { runs, .. } => runs.len() * 16,
        Message::Released(segments) => segments.len() * 8,
        Message::Welcome { held, .. } => held.len() * 32,
        _ => 0,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes that have arrived and are not written yet, above which the driver is asked not to read on.
pub const ARRIVED_BYTES_MAX: usize = 16 << 20;
/// Bytes of answers that wait to be sent, above which nothing more is answered.
const OUTPUT_BYTES_MAX: usize = 4 << 20;

#[cfg(test)]
mod tests;
