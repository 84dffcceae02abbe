//! The message trace: every event of every message, in bounded rotated files that an operator can search or read.
//!
//! Owns the buffer between those who record and the one thread that writes, the files and the search. Knows no queues and no HTTP.
//! Always holds: recording never waits for a disk; what does not fit is dropped and counted; the files never pass their bound by
//! more than one file.

mod files;
mod line;
mod log;
mod search;
mod writer;

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use mail::event::{Event, EventKind, Recorder};
use tokio::sync::broadcast;
use world::World;

pub use line::TraceEvent;
pub use search::Filter;

/// The trace of one node. Cheap to share; dropping the last one writes what is waiting and ends the thread.
pub struct Trace {
    world: World,
    dir: Box<Path>,
    buffer: Arc<writer::Buffer>,
    thread: Mutex<Option<JoinHandle<()>>>,
    counts: [AtomicU64; KINDS.len()],
    log: log::EventLog,
    live: broadcast::Sender<Arc<[TraceEvent]>>,
}

impl Trace {
    /// Opens the trace in `dir` (made if missing). All files together stay below `keep_bytes` and one file more.
    pub fn open(world: &World, dir: &Path, keep_bytes: u64) -> io::Result<Trace> {
        world.disk.create_dir_all_durable(dir)?;
        let files = files::Files::open(world, dir, keep_bytes)?;
        let buffer = Arc::new(writer::Buffer::default());
        let (live, _) = broadcast::channel(LIVE_BURSTS_MAX);
        let thread = writer::start(buffer.clone(), files, live.clone())?;
        Ok(Trace {
            world: world.clone(),
            dir: dir.into(),
            buffer,
            thread: Mutex::new(Some(thread)),
            counts: Default::default(),
            log: log::EventLog::default(),
            live,
        })
    }

    /// Events that match, newest first. Blocks for reading files: call it where that is allowed.
    pub fn search(&self, filter: &Filter) -> io::Result<Vec<TraceEvent>> {
        self.buffer.flush();
        search::search(&self.world, &self.dir, filter)
    }

    /// New events from now on, in bursts of at most 50; who reads too slowly misses some.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<[TraceEvent]>> {
        self.live.subscribe()
    }

    /// How many events of each kind were recorded since the node started.
    pub fn counts(&self) -> impl Iterator<Item = (EventKind, u64)> + '_ {
        KINDS.iter().zip(&self.counts).map(|(kind, count)| (*kind, count.load(Ordering::Relaxed)))
    }

    /// Writes what waits and ends the thread; events from now on are dropped. Blocks.
    pub fn close(&self) {
        self.buffer.stop();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // The thread does not panic; if it did, there is nothing left to write with.
            let _ = thread.join();
        }
    }

    /// Lines that were dropped because the buffer was full or the disk refused.
    pub fn dropped(&self) -> u64 {
        self.buffer.dropped()
    }
}

impl Recorder for Trace {
    fn record(&self, event: &Event<'_>) {
        thread_local! {
            // One buffer per thread: recording allocates nothing once it has grown.
            static LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        if let Some(at) = KINDS.iter().position(|kind| *kind == event.kind) {
            self.counts[at].fetch_add(1, Ordering::Relaxed);
        }
        let now_ms = self.world.clock.wall_ms();
        LINES.with_borrow_mut(|lines| {
            lines.clear();
            let count = line::write(now_ms, event, lines);
            self.buffer.push(lines, count);
        });
        self.log.event(now_ms / 1000, event);
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        self.close();
    }
}

/// Every kind, in the order of the metrics page.
const KINDS: [EventKind; 14] = [
    EventKind::Receive,
    EventKind::Refuse,
    EventKind::Resolve,
    EventKind::Expand,
    EventKind::Redirect,
    EventKind::Defer,
    EventKind::Send,
    EventKind::Deliver,
    EventKind::Fail,
    EventKind::Dsn,
    EventKind::Poison,
    EventKind::Repeat,
    EventKind::Admin,
    EventKind::Drop,
];

/// Bursts of live events that a slow reader may lag behind.
const LIVE_BURSTS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use mail::MessageId;

    fn id(n: u8) -> MessageId {
        MessageId::new(u64::from(n), [n; 10])
    }

    #[test]
    fn what_was_recorded_is_found_newest_first() {
        let (world, _) = World::simulated(1);
        let trace = Trace::open(&world, Path::new("/t"), 1 << 20).unwrap();
        for n in 0..5u8 {
            let to = [if n % 2 == 0 { "Bob@x.test" } else { "alice@x.test" }];
            trace.record(&Event { recipients: &to, reply: "250 2.0.0 ok", ..Event::new(EventKind::Send, Some(id(n))) });
        }
        let found = trace.search(&Filter { to: Some("bob@x".into()), ..Filter::default() }).unwrap();
        let ids: Vec<_> = found.iter().map(|event| event.id.clone().unwrap_or_default()).collect();
        assert_eq!(ids, [4, 2, 0].map(|n| id(n).to_string()));
        assert_eq!(found[0].reply, "250 2.0.0 ok");
        assert_eq!(trace.counts().find(|(kind, _)| *kind == EventKind::Send).map(|(_, count)| count), Some(5));
    }

    #[test]
    fn events_outlive_a_restart_and_a_torn_last_line() {
        let (world, _) = World::simulated(2);
        let dir = Path::new("/t");
        for n in 0..3u8 {
            let trace = Trace::open(&world, dir, 1 << 20).unwrap();
            trace.record(&Event::new(EventKind::Receive, Some(id(n))));
            drop(trace);
            let name = world.disk.list(dir).unwrap().pop().unwrap().name;
            let file = world.disk.open(&dir.join(name), world::Open::Write).unwrap();
            file.write_all_at(file.len().unwrap(), &[io::IoSlice::new(b"2026-11-21T05:1")]).unwrap();
        }
        let trace = Trace::open(&world, dir, 1 << 20).unwrap();
        assert_eq!(trace.search(&Filter::default()).unwrap().len(), 3);
        assert_eq!(world.disk.list(dir).unwrap().len(), 1, "a restart goes on with the last file");
    }
}
