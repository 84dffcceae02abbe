//! Owns what the faces, the writer and the keeper of one journal share. Knows no order of work.
//! Always holds: once dead, it confirms nothing any more.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use world::{File, World};

use crate::copies::Hub;
use crate::ends::Ends;
use crate::error::ReadError;
use crate::files::Handles;
use crate::ledger::Ledger;
use crate::position::{Position, SegmentNo};
use crate::queue::Queue;
use crate::record::Format;
use crate::settings::Settings;
use crate::shelf::{Shelf, SpareNo};
use crate::stats::Stats;

/// The state of one open journal.
pub(crate) struct Shared {
    pub(crate) world: World,
    pub(crate) dir: PathBuf,
    pub(crate) settings: Settings,
    /// Whether there are threads; otherwise work is done where it is asked for.
    pub(crate) threads: bool,
    pub(crate) queue: Queue,
    pub(crate) ledger: Mutex<Ledger>,
    pub(crate) shelf: Shelf,
    pub(crate) handles: Handles,
    /// What the writer counts, updated once for each gathered write.
    pub(crate) counts: Mutex<Stats>,
    /// Bytes that the active segment can still take.
    pub(crate) active_left: AtomicU64,
    /// Since when the writer has been at a write or a sync, on the monotonic clock in microseconds; 0 while it is not.
    pub(crate) busy_since_us: AtomicU64,
    pub(crate) errand: Errand,
    /// What the copies have.
    pub(crate) hub: Arc<Hub>,
    /// Held while the epoch is raised, with the disk: nothing else ever waits for it.
    pub(crate) raising: Mutex<()>,
    dead: AtomicBool,
}

/// What a journal begins with.
pub(crate) struct Start {
    pub(crate) format: Format,
    pub(crate) ledger: Ledger,
    pub(crate) ends: Ends,
    pub(crate) spares: Vec<SpareNo>,
}

impl Shared {
    pub(crate) fn new(world: &World, dir: PathBuf, start: Start, settings: Settings, threads: bool) -> Shared {
        let Start { format, ledger, ends, spares } = start;
        let hub = Hub::new(world, dir.clone(), format, ends, settings.copy_window_bytes, settings.canary);
        Shared {
            world: world.clone(),
            dir,
            shelf: Shelf::new(&settings, spares, ledger.len()),
            settings,
            threads,
            queue: Queue::new(),
            ledger: Mutex::new(ledger),
            handles: Handles::new(),
            counts: Mutex::new(Stats::default()),
            active_left: AtomicU64::new(0),
            busy_since_us: AtomicU64::new(0),
            errand: Errand::default(),
            hub,
            raising: Mutex::new(()),
            dead: AtomicBool::new(false),
        }
    }

    /// The format of records, with the epoch of now.
    pub(crate) fn format(&self) -> Format {
        self.hub.format()
    }

    /// A promise about stored bytes cannot be kept. On a real disk this does not return.
    pub(crate) fn die(&self, reason: &str) {
        self.dead.store(true, Ordering::SeqCst);
        self.world.abort(reason);
        self.hub.let_go();
        self.queue.close();
        self.shelf.close();
        self.errand.end();
    }

    /// Whether [`Shared::die`] was called.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// A handle to read a segment with; `position` is what the error names.
    pub(crate) fn reader(&self, position: Position, segment: SegmentNo) -> Result<Arc<dyn File>, ReadError> {
        if !self.ledger().exists(segment) {
            return Err(ReadError::Gone(position));
        }
        let file = self.handles.get(self.world.disk.as_ref(), &self.dir, &self.format(), segment);
        file.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ReadError::Gone(position),
            _ => ReadError::Io(error),
        })
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }
}

/// Locks; a panic elsewhere does not make the state less true, each change of it is whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells the keeper that there is something to do.
#[derive(Default)]
pub(crate) struct Errand {
    state: Mutex<Wish>,
    changed: Condvar,
}

#[derive(Default)]
struct Wish {
    called: bool,
    ended: bool,
}

impl Errand {
    /// There is something to do.
    pub(crate) fn call(&self) {
        let was_called = std::mem::replace(&mut lock(&self.state).called, true);
        if !was_called {
            self.changed.notify_one();
        }
    }

    /// There will never be anything to do.
    pub(crate) fn end(&self) {
        lock(&self.state).ended = true;
        self.changed.notify_one();
    }

    /// Whether [`Errand::end`] was called.
    pub(crate) fn ended(&self) -> bool {
        lock(&self.state).ended
    }

    /// Waits for a call, or for `timeout_ms`. `false` when it is the end.
    pub(crate) fn wait(&self, timeout_ms: Option<u64>) -> bool {
        let mut wish = lock(&self.state);
        while !wish.called && !wish.ended {
            let Some(ms) = timeout_ms else {
                wish = self.changed.wait(wish).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let waited = self.changed.wait_timeout(wish, Duration::from_millis(ms));
            let (after, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            wish = after;
            wish.called |= timeout.timed_out();
        }
        wish.called = false;
        !wish.ended
    }
}
