//! Owns the thread that lets the spool do what is due: retries, expiry, notices, settle records.
//! Knows no schedule: the spool says when it wants to be called next. A thread and no task, because what is due may read the disk.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use spool::Spool;
use world::World;

/// Tells the thread that something is due earlier than it believes. Exists before the spool, which needs it to open.
#[derive(Default)]
pub struct Alarm {
    thread: OnceLock<Thread>,
    stop: AtomicBool,
    /// When the thread was alive last, monotonic milliseconds: the service manager's watchdog rests on it.
    beat_ms: AtomicU64,
}

impl Alarm {
    /// Asks the spool again when it is due. Cheap; from any thread.
    pub fn ring(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// The thread came round in the last `ms` milliseconds.
    pub fn beats(&self, now_ms: u64, ms: u64) -> bool {
        now_ms.saturating_sub(self.beat_ms.load(Ordering::Relaxed)) <= ms
    }
}

/// The running thread.
pub struct Timers {
    alarm: Arc<Alarm>,
    thread: JoinHandle<()>,
}

impl Timers {
    /// Starts it.
    pub fn start(world: &World, spool: Spool, alarm: Arc<Alarm>) -> io::Result<Timers> {
        let (world, in_thread) = (world.clone(), alarm.clone());
        let thread = thread::Builder::new().name("timers".into()).spawn(move || run(&world, &spool, &in_thread))?;
        Ok(Timers { alarm, thread })
    }

    /// Ends it. Blocks for what it is doing now.
    pub fn stop(self) {
        self.alarm.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        // It ends by itself; a panic ends the process before we come here.
        let _ = self.thread.join();
    }
}

fn run(world: &World, spool: &Spool, alarm: &Alarm) {
    // An alarm has one thread.
    let _ = alarm.thread.set(thread::current());
    while !alarm.stop.load(Ordering::Acquire) {
        let now_ms = world.clock.mono_ms();
        alarm.beat_ms.store(now_ms, Ordering::Relaxed);
        match spool.next_due() {
            Some(due_ms) if due_ms <= now_ms => spool.tick(),
            due_ms => {
                let wait_ms = due_ms.map_or(WAIT_MS_MAX, |due_ms| (due_ms - now_ms).min(WAIT_MS_MAX));
                // A ring between the question and this makes it return at once.
                thread::park_timeout(Duration::from_millis(wait_ms));
            }
        }
    }
}

const WAIT_MS_MAX: u64 = 1_000;
