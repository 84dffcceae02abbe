//! When a node takes less mail so that it can go on delivering what it has (behaviours 4.6): the thresholds of each resource.

/// The settings of back pressure.
#[derive(Clone, Debug, PartialEq)]
pub struct BackPressure {
    /// Whether resources are looked at, at all.
    pub enabled: bool,
    /// Milliseconds between two looks.
    pub poll_ms: u64,
    /// Used part of a file system in per cent; `None`: computed from its size and the journal's settings.
    pub disk_percent: Option<Thresholds>,
    /// Segments that mail may still begin: pressure grows as they become fewer.
    pub journal_segments: Thresholds,
    /// Memory of the process, in per cent of what it may have.
    pub process_memory_percent: Thresholds,
    /// Looks for which medium process memory may be mended gently.
    pub process_memory_history: u32,
    /// Memory of the machine in use, in per cent.
    pub system_memory_percent: Thresholds,
    /// How long the journal keeps those waiting who wait for custody, in milliseconds.
    pub journal_lag_ms: Thresholds,
    /// Looks for which a medium journal lag may be mended by a tarpit.
    pub journal_lag_history: u32,
    /// Messages in custody.
    pub queue_length: Thresholds,
    /// Looks for which a medium queue may be mended by a tarpit.
    pub queue_length_history: u32,
    /// How MAIL is slowed down.
    pub tarpit: Tarpit,
}

/// Where the level of one resource changes. Up at more than the one, down at no more than the lower one: between the two nothing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// From medium to normal.
    pub normal: u64,
    /// From normal to medium.
    pub medium: u64,
    /// From high to medium.
    pub medium_again: u64,
    /// From medium to high.
    pub high: u64,
}

/// How long answers to MAIL are held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tarpit {
    /// At first, in milliseconds.
    pub first_ms: u64,
    /// What is added at each look.
    pub step_ms: u64,
    /// The longest.
    pub max_ms: u64,
}

impl Thresholds {
    /// The four numbers in the order in which documents have them.
    pub fn numbers(self) -> [u64; 4] {
        [self.normal, self.medium, self.medium_again, self.high]
    }

    /// The other way round.
    pub fn of([normal, medium, medium_again, high]: [u64; 4]) -> Thresholds {
        Thresholds { normal, medium, medium_again, high }
    }
}
