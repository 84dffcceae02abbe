//! Owns what all parts of an open spool share: journal, book, settler, time, names. Knows no verbs and no deliverers.
//! Always holds: no lock is held over I/O; the book's lock is never taken inside the settler's.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use journal::{Extent, Journal, Room};
use mail::{Envelope, Journey, MessageId, Recorder};
use world::World;

use crate::book::{Book, Effects};
use crate::cleaner::Cleaner;
use crate::hop::HopKey;
use crate::processing::Processing;
use crate::settings::Settings;
use crate::settler::Settler;
use crate::words::{Refused, Route, ToRoute, Wake};

/// An open spool. Clones are the same spool.
#[derive(Clone)]
pub struct Spool {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub world: World,
    pub settings: Settings,
    pub recorder: Arc<dyn Recorder>,
    pub route: Arc<dyn Route>,
    pub wake: Arc<dyn Wake>,
    pub journal: Journal,
    pub processing: Processing,
    pub cleaner: Cleaner,
    pub stopping: AtomicBool,
    book: Mutex<Book>,
    settler: Mutex<Settler>,
    names: Mutex<Names>,
    timeline: Timeline,
    /// When the owner of the timer was last told to come, in the book's time; `u64::MAX` = never.
    told_due_ms: AtomicU64,
    pub progress: Progress,
    /// What was under way when the spool was opened.
    pub possible_duplicates: Vec<MessageId>,
}

/// How far settle records have come. Numbers count flights of the settler.
#[derive(Default)]
pub(crate) struct Progress {
    /// Flights that are written.
    pub written: AtomicU64,
    /// Flights that are synced: a durable batch that was appended after they were written is confirmed.
    pub synced: AtomicU64,
    /// Batches of messages that are to be under way.
    pub starting: AtomicUsize,
}

/// The spool's time: the wall clock when it was opened, and the monotonic clock since.
/// A jump of the wall clock neither expires mail nor stops retries.
#[derive(Clone, Copy)]
pub(crate) struct Timeline {
    wall_ms: u64,
    mono_ms: u64,
}

/// Chance for names, drawn in bulk: a system call per message is too much.
#[derive(Default)]
struct Names {
    pool: Vec<u8>,
}

/// What [`Inner::new`] puts together.
pub(crate) struct Parts {
    pub world: World,
    pub settings: Settings,
    pub recorder: Arc<dyn Recorder>,
    pub route: Arc<dyn Route>,
    pub wake: Arc<dyn Wake>,
    pub journal: Journal,
    pub processing: Processing,
    pub book: Book,
    pub settler: Settler,
    pub timeline: Timeline,
    pub possible_duplicates: Vec<MessageId>,
}

impl Timeline {
    pub fn start(world: &World) -> Timeline {
        Timeline { wall_ms: world.clock.wall_ms(), mono_ms: world.clock.mono_ms() }
    }

    /// The book's time.
    pub fn now_ms(self, world: &World) -> u64 {
        self.wall_ms + world.clock.mono_ms().saturating_sub(self.mono_ms)
    }

    /// A time of the book as monotonic milliseconds.
    pub fn mono_ms(self, book_ms: u64) -> u64 {
        self.mono_ms + book_ms.saturating_sub(self.wall_ms)
    }
}

impl Inner {
    pub fn new(parts: Parts) -> Inner {
        Inner {
            world: parts.world,
            settings: parts.settings,
            recorder: parts.recorder,
            route: parts.route,
            wake: parts.wake,
            journal: parts.journal,
            processing: parts.processing,
            cleaner: Cleaner::default(),
            stopping: AtomicBool::new(false),
            book: Mutex::new(parts.book),
            settler: Mutex::new(parts.settler),
            names: Mutex::default(),
            timeline: parts.timeline,
            told_due_ms: AtomicU64::new(u64::MAX),
            progress: Progress::default(),
            possible_duplicates: parts.possible_duplicates,
        }
    }

    /// The book. A panic that left it in the middle of a change ends the process: the journal knows better.
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(|poisoned| self.broken(poisoned))
    }

    /// The settler, under the same rule.
    pub fn settler(&self) -> MutexGuard<'_, Settler> {
        self.settler.lock().unwrap_or_else(|poisoned| self.broken(poisoned))
    }

    fn broken<'a, T>(&self, poisoned: PoisonError<MutexGuard<'a, T>>) -> MutexGuard<'a, T> {
        self.world.abort("a panic left the spool's memory in the middle of a change; the journal is whole");
        poisoned.into_inner()
    }

    /// The book's time.
    pub fn now_ms(&self) -> u64 {
        self.timeline.now_ms(&self.world)
    }

    pub fn mono_ms(&self, book_ms: u64) -> u64 {
        self.timeline.mono_ms(book_ms)
    }

    /// A new name. The time in it is the book's.
    pub fn name(&self) -> MessageId {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.pool.len() < 10 {
            names.pool.resize(1000, 0);
            self.world.chance.fill(&mut names.pool);
        }
        let mut chance = [0; 10];
        let from = names.pool.len() - 10;
        chance.copy_from_slice(&names.pool[from..]);
        names.pool.truncate(from);
        MessageId::new(self.now_ms(), chance)
    }

    /// Whether new mail is taken.
    pub fn can_accept(&self) -> Result<(), Refused> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err(Refused::Stopping);
        }
        match self.journal.room() {
            Room::Plenty => Ok(()),
            Room::OnlyReserve => Err(Refused::Full),
        }
    }

    /// One key per recipient; one key if it is the same for all.
    pub fn route(&self, envelope: &Envelope, size_bytes: u64, journey: &Journey) -> Vec<HopKey> {
        let waits = |key: &HopKey| self.book().waits(key);
        hops(self.route.as_ref(), &ToRoute { envelope, size_bytes, journey, waits: &waits })
    }

    /// Tells deliverers what the book wants them to know, and the owner of the timer if `due_ms` is earlier than it knows.
    pub fn tell(&self, effects: Effects, due_ms: Option<u64>) {
        for hop in effects.ready {
            self.wake.ready(hop);
        }
        if let Some(due_ms) = due_ms
            && due_ms < self.told_due_ms.load(Ordering::Relaxed)
        {
            self.told_due_ms.store(due_ms, Ordering::Relaxed);
            self.wake.due();
        }
    }

    /// Remembers what the owner of the timer has been told.
    pub fn told(&self, due_ms: Option<u64>) {
        self.told_due_ms.store(due_ms.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub fn release(&self, extent: Extent) {
        self.journal.release(extent.position, extent.len);
    }

    /// A durable batch that was appended when `written` flights were written is confirmed: they are synced.
    pub fn synced_up_to(&self, written: u64) {
        self.progress.synced.fetch_max(written, Ordering::AcqRel);
    }
}

/// One key per recipient of a message; one key if it is the same for all.
pub(crate) fn hops(route: &dyn Route, message: &ToRoute<'_>) -> Vec<HopKey> {
    let mut hops = route.hops(message);
    let recipients = message.envelope.recipients.len();
    if hops.is_empty() || hops.len() > 1 && hops.len() < recipients {
        // Who routes has forgotten some: those wait, and can be seen.
        hops.resize_with(recipients.max(1), || HopKey::Unreachable { reason: "no answer".into() });
    }
    if hops.windows(2).all(|pair| pair[0] == pair[1]) {
        hops.truncate(1);
    }
    hops
}
