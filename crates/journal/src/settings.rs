//! Owns the journal's settings and their defaults.

use crate::canary::Canary;

/// How a journal behaves. `Settings::default()` is what the spool uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Size of a segment file in bytes, 8 KiB to 1 GiB, a multiple of 4096. Fixed when the journal is made; later a
    /// different value has no effect on that journal.
    pub segment_bytes: u64,
    /// Empty segments which the background thread keeps ready, on top of the reserve.
    pub spare_segments_min: usize,
    /// Freed segments kept for reuse; more are deleted.
    pub spare_segments_max: usize,
    /// Empty segments that only batches with [`crate::Batch::may_use_reserve`] may start, so that mail can be
    /// settled (and space be won back) on a full disk.
    pub reserve_segments: usize,
    /// Bound for all segment files together, spares included; `None` = what the disk has.
    pub max_bytes: Option<u64>,
    /// Bytes of the file system that are left alone: no new segment is made below this.
    pub keep_free_bytes: u64,
    /// A record appended `Soon` is synced at latest after so many milliseconds.
    pub lazy_sync_ms: u64,
    /// A sealed segment with a smaller share of live bytes (in per cent) is worth cleaning.
    pub clean_below_percent: u32,
    /// Bytes that may wait in memory or be under way to one copy; a copy that is slower is sent the segments.
    pub copy_window_bytes: u64,
    /// So many of the newest segments are not cleaned while there is space and mail in them: on its way it will free them by itself.
    pub clean_behind_segments: u64,
    /// The owner's epoch. Opening with a lower one than was ever used is refused.
    pub epoch: u32,
    /// What the simulation breaks on purpose. [`Canary::None`] everywhere else.
    #[doc(hidden)]
    pub canary: Canary,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            segment_bytes: 64 << 20,
            spare_segments_min: 1,
            spare_segments_max: 8,
            reserve_segments: 1,
            max_bytes: None,
            keep_free_bytes: 64 << 20,
            lazy_sync_ms: 1000,
            clean_below_percent: 30,
            copy_window_bytes: 16 << 20,
            clean_behind_segments: 4,
            epoch: 0,
            canary: Canary::None,
        }
    }
}
