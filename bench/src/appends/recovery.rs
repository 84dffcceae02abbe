//! How long a journal full of live records takes to open.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use journal::{Batch, Journal, Mode, Settings, When};
use world::World;

use super::{Load, Scratch, noise};

/// What came of a reopening.
#[derive(Debug)]
pub struct Recovery {
    /// Records that the journal showed.
    pub records: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// Filling the journal.
    pub filled_in: Duration,
    /// Opening it again, the page cache warm.
    pub opened_in: Duration,
}

impl Recovery {
    /// One object of JSON.
    pub fn json(&self) -> String {
        let (filled, opened) = (self.filled_in.as_secs_f64(), self.opened_in.as_secs_f64());
        format!(
            r#"{{"records":{},"bytes":{},"fill_seconds":{filled:.3},"open_seconds":{opened:.3},"mb_per_second":{:.0}}}"#,
            self.records,
            self.bytes,
            self.bytes as f64 / opened.max(1e-9) / 1e6
        )
    }
}

/// Fills a journal with `records` records, closes it, and opens it again.
///
/// # Errors
/// The journal does not open, refuses an append, or shows another number of records than was appended.
pub fn recover(load: &Load, records: u64) -> io::Result<Recovery> {
    let scratch = Scratch::new(&load.dir, "recovery")?;
    let open = |visit: &mut dyn FnMut(journal::Seen<'_>)| {
        Journal::open(&World::real(), &scratch.0, Settings::default(), Mode::Serve, visit).map_err(io::Error::other)
    };
    let begun = Instant::now();
    fill(open(&mut |_| ())?, records, load.record_bytes)?;
    let filled_in = begun.elapsed();

    let (mut seen, mut bytes) = (0, 0);
    let begun = Instant::now();
    let journal = open(&mut |record| {
        seen += u64::from(record.kind == BODY);
        bytes += record.payload.len() as u64;
    })?;
    let opened_in = begun.elapsed();
    journal.close();
    if seen != records {
        return Err(io::Error::other(format!("{records} records were appended, {seen} came back")));
    }
    Ok(Recovery { records: seen, bytes, filled_in, opened_in })
}

fn fill(journal: Journal, records: u64, record_bytes: usize) -> io::Result<()> {
    let body = noise(record_bytes, 1);
    let mut under_way = VecDeque::with_capacity(UNDER_WAY);
    for number in 0..records {
        if under_way.len() == UNDER_WAY
            && let Some(oldest) = under_way.pop_front()
        {
            wait(oldest)?;
        }
        // A record's own number in its header, so that no two are equal.
        under_way.push_back(journal.append(Batch::new().record(BODY, &number.to_le_bytes(), body.clone()), When::Soon));
    }
    for commit in under_way {
        wait(commit)?;
    }
    wait(journal.append(Batch::new().record(END, b"end", ()), When::Durable))?;
    journal.close();
    Ok(())
}

fn wait(commit: journal::Commit) -> io::Result<journal::Committed> {
    commit.wait().map_err(io::Error::other)
}

const BODY: u8 = 1;
const END: u8 = 2;
const UNDER_WAY: usize = 256;
