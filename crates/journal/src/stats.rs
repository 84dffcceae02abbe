//! Owns the figures a journal shows.

/// A look at a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Records appended since opening.
    pub appended_records: u64,
    /// Bytes appended since opening, record headers included.
    pub appended_bytes: u64,
    /// Batches appended since opening.
    pub commits: u64,
    /// `fdatasync` calls since opening.
    pub syncs: u64,
    /// Duration of the last sync in microseconds.
    pub sync_us_last: u64,
    /// Moving average of the duration of syncs in microseconds.
    pub sync_us_mean: u64,
    /// Syncs by duration: entry `i` counts those of 2^i microseconds up to below 2^(i+1); the last one all longer.
    pub sync_us_histogram: [u64; 24],
    /// Records confirmed by the last sync.
    pub batch_records_last: u64,
    /// Segments with records, the active one included.
    pub segments: u64,
    /// Empty segments ready for use.
    pub spare: u64,
    /// Size of one segment in bytes.
    pub segment_bytes: u64,
    /// Bytes of records not yet released, headers included.
    pub live_bytes: u64,
    /// Bytes of released records in segments not yet freed.
    pub dead_bytes: u64,
    /// Batches waiting for the writer.
    pub waiting_batches: u64,
    /// Bytes in those batches.
    pub waiting_bytes: u64,
    /// For how long the write or sync that is under way has lasted, in microseconds; 0 while there is none. What waits, waits for it.
    pub busy_us: u64,
    /// `true` while ordinary batches are taken ([`Room::Plenty`]).
    pub free_for_accept: bool,
}

impl Stats {
    pub(crate) fn count_sync(&mut self, us: u64, records: u64) {
        self.syncs += 1;
        self.sync_us_last = us;
        // Each sync moves the mean by a sixteenth of its distance.
        self.sync_us_mean = if self.syncs == 1 { us } else { (self.sync_us_mean * 15 + us) / 16 };
        let last = self.sync_us_histogram.len() - 1;
        self.sync_us_histogram[(us.max(1).ilog2() as usize).min(last)] += 1;
        self.batch_records_last = records;
    }
}

/// Whether new mail may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Ordinary batches are taken.
    Plenty,
    /// Only batches with [`crate::Batch::may_use_reserve`] are taken; answer 452.
    OnlyReserve,
}
