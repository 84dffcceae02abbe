//! Owns the buffer between those who record and the thread that writes. Knows lines, not events.
//! Always holds: pushing copies and never waits for a disk; the buffer never passes its bound; the thread wakes at most every
//! [`GATHER`] however many events come.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::broadcast;
use tracing::{info, warn};

use super::files::Files;
use super::line::{RawLine, TraceEvent};

/// Lines on their way to the file.
#[derive(Default)]
pub struct Buffer {
    state: Mutex<State>,
    /// The thread waits here for work.
    work: Condvar,
    /// Searches wait here until what they must see is written.
    written: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    waiting_lines: u64,
    pushed_bytes: u64,
    written_bytes: u64,
    dropped_lines: u64,
    /// The thread sleeps with nothing to do: whoever brings something wakes it.
    idle: bool,
    hurry: bool,
    stop: bool,
}

impl Buffer {
    /// Takes `count` lines, or counts them as dropped when the buffer is full.
    pub fn push(&self, lines: &[u8], count: u64) {
        let mut state = self.lock();
        if state.stop || state.waiting.len() + lines.len() > BUFFER_BYTES_MAX {
            state.dropped_lines += count;
            return;
        }
        state.waiting.extend_from_slice(lines);
        state.waiting_lines += count;
        state.pushed_bytes += lines.len() as u64;
        if std::mem::take(&mut state.idle) {
            drop(state);
            self.work.notify_one();
        }
    }

    /// Waits until all that was pushed before is in the file (bounded: a stuck disk must not hold a reader for ever).
    pub fn flush(&self) {
        let mut state = self.lock();
        let target = state.pushed_bytes;
        state.hurry = true;
        self.work.notify_one();
        let missing = |state: &mut State| state.written_bytes < target;
        // Timed out: the search simply does not see the last lines.
        let _ = self.written.wait_timeout_while(state, FLUSH_WAIT, missing);
    }

    /// Lines dropped so far.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped_lines
    }

    /// No more lines; the thread writes what it has and ends.
    pub fn stop(&self) {
        self.lock().stop = true;
        self.work.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nobody panics while holding it; and if, a trace line is not worth a second panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next lines to write, exchanged for the emptied `spare`; `None` at the end.
    fn next(&self, spare: Vec<u8>) -> Option<(Vec<u8>, u64)> {
        let mut state = self.lock();
        while state.waiting.is_empty() && !state.stop {
            state.idle = true;
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.idle = false;
        let patient = |state: &mut State| !state.hurry && !state.stop && state.waiting.len() < BUFFER_BYTES_MAX / 2;
        state = self.work.wait_timeout_while(state, GATHER, patient).unwrap_or_else(PoisonError::into_inner).0;
        state.hurry = false;
        if state.waiting.is_empty() {
            return None;
        }
        let lines = std::mem::replace(&mut state.waiting, spare);
        Some((lines, std::mem::take(&mut state.waiting_lines)))
    }

    fn done(&self, bytes: u64, dropped_lines: u64) {
        let mut state = self.lock();
        state.written_bytes += bytes;
        state.dropped_lines += dropped_lines;
        drop(state);
        self.written.notify_all();
    }
}

/// Starts the thread that writes.
pub fn start(
    buffer: Arc<Buffer>,
    files: Files,
    live: broadcast::Sender<Arc<[TraceEvent]>>,
) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("trace".into()).spawn(move || run(&buffer, files, &live))
}

fn run(buffer: &Buffer, mut files: Files, live: &broadcast::Sender<Arc<[TraceEvent]>>) {
    let mut spare = Vec::new();
    let mut refused = false;
    while let Some((mut lines, count)) = buffer.next(spare) {
        let dropped = match files.append(&lines) {
            Ok(()) => 0,
            Err(error) => {
                // Said once per outage, not once per line.
                if !refused {
                    warn!(%error, "trace files cannot be written; events are dropped until they can");
                }
                count
            }
        };
        if refused && dropped == 0 {
            info!("trace files are written again");
        }
        refused = dropped > 0;
        if live.receiver_count() > 0 {
            // Nobody listening any more is fine.
            let _ = live.send(last_events(&lines));
        }
        buffer.done(lines.len() as u64, dropped);
        lines.clear();
        lines.shrink_to(SPARE_BYTES_MAX);
        spare = lines;
    }
}

/// The last events of a burst, oldest first.
fn last_events(lines: &[u8]) -> Arc<[TraceEvent]> {
    let newest_first = lines.rsplit(|byte| *byte == b'\n').filter_map(RawLine::split).take(LIVE_EVENTS_MAX);
    let mut events: Vec<TraceEvent> = newest_first.map(|line| line.decode()).collect();
    events.reverse();
    events.into()
}

/// How long lines are gathered before one write takes them all.
const GATHER: Duration = Duration::from_millis(50);
const FLUSH_WAIT: Duration = Duration::from_secs(1);
/// Lines that wait for the disk; more are dropped.
const BUFFER_BYTES_MAX: usize = 4 << 20;
const SPARE_BYTES_MAX: usize = 256 << 10;
/// Live readers (the page) see at most so many events of one burst.
const LIVE_EVENTS_MAX: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_buffer_drops_and_counts_instead_of_waiting() {
        let buffer = Buffer::default();
        let line = [b'x'; 1 << 20];
        for _ in 0..6 {
            buffer.push(&line, 1);
        }
        assert_eq!(buffer.dropped(), 2);
        let (lines, count) = buffer.next(Vec::new()).unwrap();
        assert_eq!((lines.len(), count), (4 << 20, 4));
        buffer.stop();
        assert!(buffer.next(Vec::new()).is_none());
    }
}
