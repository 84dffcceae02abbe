//! Owns the list of what a node can be short of, and how each is told to people. Knows no thresholds.

use directory::{bytes_text, duration_text};

/// What a node can be short of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// Used part of the file system that the journal is on.
    JournalDisk,
    /// Used part of the file system of the data directory, where that is another one.
    DataDisk,
    /// Segments that mail may still begin.
    JournalSegments,
    /// Memory of this process.
    ProcessMemory,
    /// Memory of the machine.
    SystemMemory,
    /// How long the journal keeps those waiting who wait for custody.
    JournalLag,
    /// Messages in custody.
    QueueLength,
}

impl Resource {
    /// All of them, the order in which they are shown.
    pub const ALL: [Resource; 7] = [
        Resource::JournalDisk,
        Resource::DataDisk,
        Resource::JournalSegments,
        Resource::ProcessMemory,
        Resource::SystemMemory,
        Resource::JournalLag,
        Resource::QueueLength,
    ];

    /// The word in the API, in metrics and in the log.
    pub fn word(self) -> &'static str {
        match self {
            Resource::JournalDisk => "journal-disk",
            Resource::DataDisk => "data-disk",
            Resource::JournalSegments => "journal-segments",
            Resource::ProcessMemory => "process-memory",
            Resource::SystemMemory => "system-memory",
            Resource::JournalLag => "journal-lag",
            Resource::QueueLength => "queue-length",
        }
    }

    /// Less is worse: values and thresholds are kept turned round.
    pub fn is_scarce(self) -> bool {
        self == Resource::JournalSegments
    }

    /// A value of it, for people.
    pub fn written(self, value: u64) -> String {
        match self {
            Resource::JournalDisk | Resource::DataDisk | Resource::ProcessMemory | Resource::SystemMemory => {
                percent(value)
            }
            Resource::JournalSegments => format!("{} segments", super::level::turned(value)),
            Resource::JournalLag => duration_text(value),
            Resource::QueueLength => format!("{value} messages"),
        }
    }

    /// What the operator can do.
    pub fn what_to_do(self) -> &'static str {
        match self {
            Resource::JournalDisk | Resource::DataDisk | Resource::JournalSegments => {
                "give the file system space; docs/operating/restore-after-disk-full.md says how"
            }
            Resource::ProcessMemory => {
                "give the process more memory (its control group's bound), or fewer connections ([limits])"
            }
            Resource::SystemMemory => "see what else takes the machine's memory",
            Resource::JournalLag => "see what else writes to that disk, and posthouse status for copies that lag",
            Resource::QueueLength => "posthouse queue list shows what mail waits for",
        }
    }
}

/// What a value is made of, in words: `1.2GB of 96GB free`.
pub fn free_of(free: u64, total: u64) -> String {
    format!("{} of {} free", rounded(free), rounded(total))
}

/// A size in the largest unit of which it has at least one, a tenth exact.
pub fn rounded(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(1 << 40, "TB"), (1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1}{name}", bytes as f64 / *unit as f64),
        None => bytes_text(bytes),
    }
}

/// Millionths as per cent, as few digits as say it.
fn percent(millionths: u64) -> String {
    let text = format!("{:.2}", millionths as f64 / 10_000.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Per cent as millionths, in which parts of a whole are kept: a hundredth of a large disk is many gigabytes.
pub const PERCENT: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_as_people_read_them() {
        assert_eq!(Resource::JournalDisk.written(99 * PERCENT), "99 %");
        assert_eq!(Resource::JournalDisk.written(999_750), "99.97 %");
        assert_eq!(Resource::JournalSegments.written(super::super::level::turned(3)), "3 segments");
        assert_eq!(Resource::JournalLag.written(5_000), "5s");
        assert_eq!(free_of(1_288_490_188, 96 << 30), "1.2GB of 96.0GB free");
    }
}
