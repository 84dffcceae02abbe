//! Owns where a watch that broke goes on: at which revision, or from the beginning. No I/O, no clock of its own.
//! Always holds: a consumer sees each change once and in order, or is told the whole state anew; never a gap in silence.

use super::error::Error;
use super::watch::{Change, Heard};
use super::wire::Revision;

/// What has been seen of a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    /// Everything up to here has been seen; 0: nothing, read it all.
    seen: Revision,
    /// Failures in a row.
    failures: u32,
    /// A revision for which the watch was opened anew because it had been silent about it.
    doubted: Revision,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Read the whole prefix.
    Read,
    /// Open a watch from this revision on.
    Watch(Revision),
}

/// What a consistent look at etcd's revision says of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// It is in step.
    Fine,
    /// etcd is ahead and the watch is silent: perhaps other people's keys, perhaps a dead stream. Open it anew.
    OpenAnew,
    /// etcd is behind what we have seen: it was restored from an older state. Read everything.
    WentBack,
}

impl Resume {
    /// What to do next.
    pub fn next(&self) -> Next {
        if self.seen == 0 { Next::Read } else { Next::Watch(self.seen + 1) }
    }

    /// How long to wait before that, in milliseconds; `chance` spreads nodes that failed together.
    pub fn wait_ms(&self, chance: u64) -> u64 {
        if self.failures == 0 {
            return 0;
        }
        let bound = (WAIT_MS_MIN << (self.failures - 1).min(8)).min(WAIT_MS_MAX);
        bound / 2 + chance % (bound / 2 + 1)
    }

    /// The whole state was read as of `at`.
    pub fn read(&mut self, at: Revision) {
        *self = Resume { seen: at, failures: 0, doubted: 0 };
    }

    /// The watch said something; what of it is new.
    pub fn heard(&mut self, heard: Heard) -> Vec<Change> {
        self.failures = 0;
        match heard {
            Heard::Opened => Vec::new(),
            Heard::Nothing(at) => {
                self.seen = self.seen.max(at);
                Vec::new()
            }
            Heard::Changes(mut changes) => {
                let seen = self.seen;
                changes.retain(|change| change.at() > seen);
                // etcd keeps all changes of one revision in one line, so the last one's revision is complete.
                self.seen = changes.iter().map(Change::at).max().unwrap_or(seen);
                changes
            }
        }
    }

    /// Reading or watching failed.
    pub fn failed(&mut self, error: &Error) {
        self.failures = self.failures.saturating_add(1);
        match error {
            // The line that is too large would come again; a read goes page by page.
            Error::Compacted { .. } | Error::TooLarge(_) => self.seen = 0,
            _ => {}
        }
    }

    /// Whether it has failed more than once in a row: not just a member that went away.
    pub fn lasts(&self) -> bool {
        self.failures > 1
    }

    /// etcd's revision was read by consensus while the watch was silent.
    pub fn looked(&mut self, at: Revision) -> Look {
        if at < self.seen {
            self.seen = 0;
            Look::WentBack
        } else if at > self.seen && at != self.doubted {
            self.doubted = at;
            Look::OpenAnew
        } else {
            Look::Fine
        }
    }
}

/// First wait after a failure.
const WAIT_MS_MIN: u64 = 50;

/// Longest wait: etcd that comes back is noticed within it.
const WAIT_MS_MAX: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::KeyValue;

    fn put(at: Revision) -> Change {
        Change::Put(KeyValue { key: format!("k{at}"), mod_revision: at, ..KeyValue::default() })
    }

    #[test]
    fn a_broken_watch_goes_on_behind_the_last_change() {
        let mut resume = Resume::default();
        assert_eq!(resume.next(), Next::Read);
        resume.read(10);
        assert_eq!(resume.heard(Heard::Changes(vec![put(11), put(12)])).len(), 2);
        resume.failed(&Error::unknown("cut"));
        assert_eq!(resume.next(), Next::Watch(13));
        assert!(resume.wait_ms(0) >= WAIT_MS_MIN / 2);
        // An endpoint that repeats itself is not heard twice.
        assert_eq!(resume.heard(Heard::Changes(vec![put(12), put(13)])), [put(13)]);
        assert_eq!(resume.wait_ms(0), 0);
        resume.heard(Heard::Nothing(20));
        assert_eq!(resume.next(), Next::Watch(21));
    }

    #[test]
    fn a_gap_is_never_passed_over() {
        for error in [Error::Compacted { oldest: 40 }, Error::TooLarge("line".into())] {
            let mut resume = Resume::default();
            resume.read(10);
            resume.failed(&error);
            assert_eq!(resume.next(), Next::Read);
        }
        let mut resume = Resume::default();
        resume.read(10);
        assert_eq!(resume.looked(9), Look::WentBack);
        assert_eq!(resume.next(), Next::Read);
    }

    #[test]
    fn a_silent_watch_is_doubted_once_per_revision() {
        let mut resume = Resume::default();
        resume.read(10);
        assert_eq!(resume.looked(10), Look::Fine);
        assert_eq!(resume.looked(15), Look::OpenAnew);
        assert_eq!(resume.next(), Next::Watch(11));
        assert_eq!(resume.looked(15), Look::Fine, "other people's keys moved it");
        assert_eq!(resume.looked(16), Look::OpenAnew);
    }

    #[test]
    fn waits_grow_to_a_bound() {
        let mut resume = Resume::default();
        for _ in 0..50 {
            resume.failed(&Error::unknown("down"));
            assert!(resume.wait_ms(u64::MAX) <= WAIT_MS_MAX);
        }
        assert!(resume.wait_ms(0) >= WAIT_MS_MAX / 2);
    }
}
