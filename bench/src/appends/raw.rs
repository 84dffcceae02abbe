//! The yardstick: one thread, a preallocated file, a gathered write and an `fdatasync` per batch. No framing, no
//! checksum, no waiting appender: more than this the disk does not give.

use std::io::{self, IoSlice};
use std::time::Instant;

use world::{Open, World};

use super::{Load, Rate, Scratch, noise};

/// Writes batches of `batch` records round and round over a preallocated file.
///
/// # Errors
/// What the file system says.
pub fn raw_batches(load: &Load, batch: usize) -> io::Result<Rate> {
    let scratch = Scratch::new(&load.dir, "raw")?;
    let disk = World::real().disk;
    let file = disk.open(&scratch.0.join("preallocated"), Open::CreateNew)?;
    file.fill_zero(FILE_BYTES)?;
    disk.sync_dir(&scratch.0)?;
    let records: Vec<Vec<u8>> = (0..batch as u64).map(|seed| noise(load.record_bytes, seed)).collect();
    let parts: Vec<IoSlice<'_>> = records.iter().map(|record| IoSlice::new(record)).collect();
    let batch_bytes = (batch * load.record_bytes) as u64;

    let mut rate = Rate::default();
    let (mut offset, begun) = (0, Instant::now());
    let (mut counts_from, mut cpu_before) = (begun, 0.0);
    loop {
        let from = Instant::now();
        let warm = from - begun >= load.warm_up;
        if warm && rate.syncs == 0 {
            (counts_from, cpu_before) = (from, crate::net::cpu_seconds());
        }
        file.write_all_at(offset, &parts)?;
        file.sync_data()?;
        offset = if offset + 2 * batch_bytes > FILE_BYTES { 0 } else { offset + batch_bytes };
        if warm {
            rate.records += batch as u64;
            rate.syncs += 1;
            rate.latency.add(from.elapsed());
        }
        if from - begun >= load.warm_up + load.run {
            break;
        }
    }
    rate.taken = counts_from.elapsed();
    rate.cpu_seconds = crate::net::cpu_seconds() - cpu_before;
    Ok(rate)
}

/// As much as the journal has with its eight spare segments of 64 MiB.
const FILE_BYTES: u64 = 512 << 20;
