//! Many writers on one journal: tasks of a runtime, as in a node. Each appends a durable record, waits for its
//! commit, releases it, and goes on.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use journal::{Batch, Journal, Mode, Settings, When};
use world::World;

use super::{Load, Rate, Scratch, noise};
use crate::histogram::Histogram;

/// Who appends.
#[derive(Debug, Clone, Copy)]
pub struct Writers {
    /// Tasks, each with one append under way.
    pub count: usize,
    /// Threads of the runtime that drives them.
    pub threads: usize,
}

/// Appends as fast as the journal takes it.
///
/// # Errors
/// The journal does not open, or refuses an append.
pub fn journal_appends(load: &Load, writers: Writers) -> io::Result<Rate> {
    let scratch = Scratch::new(&load.dir, "journal")?;
    let journal = Journal::open(&World::real(), &scratch.0, Settings::default(), Mode::Serve, &mut |_| ())
        .map_err(io::Error::other)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(writers.threads).enable_time().build()?;
    let phase = Arc::new(AtomicU8::new(WARM_UP));
    let tasks: Vec<_> = (0..writers.count as u64)
        .map(|seed| runtime.spawn(append(journal.clone(), noise(load.record_bytes, seed), phase.clone())))
        .collect();

    let mut rate = Rate::default();
    runtime.block_on(async {
        tokio::time::sleep(load.warm_up).await;
        let (from, cpu, syncs) = (Instant::now(), crate::net::cpu_seconds(), journal.stats().syncs);
        phase.store(COUNTS, Ordering::Relaxed);
        tokio::time::sleep(load.run).await;
        phase.store(OVER, Ordering::Relaxed);
        rate.taken = from.elapsed();
        rate.cpu_seconds = crate::net::cpu_seconds() - cpu;
        rate.syncs = journal.stats().syncs - syncs;
        for task in tasks {
            let (records, latency) = task.await.map_err(io::Error::other)??;
            rate.records += records;
            rate.latency.merge(&latency);
        }
        Ok::<(), io::Error>(())
    })?;
    journal.close();
    Ok(rate)
}

async fn append(journal: Journal, body: Vec<u8>, phase: Arc<AtomicU8>) -> io::Result<(u64, Histogram)> {
    let body: Arc<[u8]> = body.into();
    let (mut records, mut latency) = (0, Histogram::default());
    loop {
        let counts = phase.load(Ordering::Relaxed);
        let from = Instant::now();
        let batch = Batch::new().record(KIND, &[], body.clone());
        let committed = journal.append(batch, When::Durable).await.map_err(io::Error::other)?;
        let extent = committed.extent(0);
        journal.release(extent.position, extent.len);
        // Only what began and ended within the time that counts.
        if counts == COUNTS && phase.load(Ordering::Relaxed) == COUNTS {
            records += 1;
            latency.add(from.elapsed());
        }
        if counts == OVER {
            return Ok((records, latency));
        }
    }
}

const KIND: u8 = 1;
const WARM_UP: u8 = 0;
const COUNTS: u8 = 1;
const OVER: u8 = 2;
