//! Durable appends: what the disk gives to one who writes batches by himself, and what the journal makes of it.
//!
//! Owns the three runs of `journal-bench`: the raw preallocated batch write, many writers on a journal, and the
//! reopening of a full one. Always holds: raw and journal write to the same directory, through the same door
//! (`world`), records of the same size, over space that was written before.

mod raw;
mod recovery;
mod writers;

use std::path::PathBuf;
use std::time::Duration;

use crate::histogram::Histogram;
pub use raw::raw_batches;
pub use recovery::{Recovery, recover};
pub use writers::{Writers, journal_appends};

/// What is written, where, for how long.
#[derive(Debug, Clone)]
pub struct Load {
    /// A directory on the file system to be measured; what is made in it is removed.
    pub dir: PathBuf,
    /// Bytes of each record's payload.
    pub record_bytes: usize,
    /// Time before anything counts.
    pub warm_up: Duration,
    /// Time that counts.
    pub run: Duration,
}

/// What came of a run.
#[derive(Debug, Default)]
pub struct Rate {
    /// Records durable within the time that counts.
    pub records: u64,
    /// Syncs within it.
    pub syncs: u64,
    /// The time that counted.
    pub taken: Duration,
    /// From handing over a record (or a whole batch, raw) until it was durable.
    pub latency: Histogram,
    /// CPU seconds of the whole process.
    pub cpu_seconds: f64,
}

impl Rate {
    /// Durable records per second.
    pub fn per_second(&self) -> f64 {
        self.records as f64 / self.taken.as_secs_f64().max(1e-9)
    }

    /// One object of JSON.
    pub fn json(&self) -> String {
        let records = self.records.max(1) as f64;
        format!(
            r#"{{"per_second":{:.0},"records":{},"records_per_sync":{:.1},"latency_ms":{},"cpu_us_per_record":{:.2}}}"#,
            self.per_second(),
            self.records,
            records / self.syncs.max(1) as f64,
            self.latency.json(),
            self.cpu_seconds * 1e6 / records
        )
    }
}

/// `len` bytes that do not compress, different for every `seed`.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// The scratch directory of one run; removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(dir: &std::path::Path, name: &str) -> std::io::Result<Scratch> {
        let path = dir.join(format!("{name}.{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
