//! What is asked of a directory, of which server, and when: a machine without a clock of its own.
//!
//! Read whole at first and again at an interval, asked for changes in between; a server that fails makes way for the next one at once,
//! and when all have failed there is a wait that doubles.

use super::filter::Filter;
use super::source::{Directory, Kind};

/// The longest wait after failures, in milliseconds.
pub const WAIT_MAX_MS: u64 = 60_000;

/// Changes are asked for from so long before the last answer on, in milliseconds: clocks differ, and replicas lag.
pub const OVERLAP_MS: u64 = 300_000;

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Read it whole, from this server.
    Load {
        /// Its place in the list.
        server: usize,
    },
    /// Ask this server what was changed since.
    Poll {
        /// Its place in the list.
        server: usize,
        /// Wall time in milliseconds.
        since_ms: u64,
    },
    /// Nothing until then (monotonic milliseconds).
    Wait {
        /// When.
        until_ms: u64,
    },
}

/// How far the work with one directory is. Times are monotonic milliseconds if nothing else is said.
#[derive(Clone, Debug)]
pub struct Course {
    servers: usize,
    poll_ms: u64,
    reload_ms: u64,
    server: usize,
    /// Failures one after the other.
    failures: u32,
    next_load_ms: u64,
    next_poll_ms: u64,
    not_before_ms: u64,
    /// Wall time of the last answer's beginning; none: only a whole answer helps.
    answered_wall_ms: Option<u64>,
}

impl Course {
    /// The beginning: it is read whole at once.
    pub fn new(directory: &Directory) -> Course {
        Course {
            servers: directory.servers.len().max(1),
            poll_ms: directory.poll_ms,
            reload_ms: directory.reload_ms,
            server: 0,
            failures: 0,
            next_load_ms: 0,
            next_poll_ms: 0,
            not_before_ms: 0,
            answered_wall_ms: None,
        }
    }

    /// What is to be done now.
    pub fn order(&self, now_ms: u64) -> Order {
        let due_ms = self.next_load_ms.min(self.next_poll_ms).max(self.not_before_ms);
        if now_ms < due_ms {
            return Order::Wait { until_ms: due_ms };
        }
        match self.answered_wall_ms {
            Some(answered_ms) if now_ms < self.next_load_ms => {
                Order::Poll { server: self.server, since_ms: answered_ms.saturating_sub(OVERLAP_MS) }
            }
            _ => Order::Load { server: self.server },
        }
    }

    /// It was read whole; that began at `began_wall_ms`.
    pub fn loaded(&mut self, now_ms: u64, began_wall_ms: u64) {
        self.next_load_ms = now_ms + self.reload_ms;
        self.polled(now_ms, began_wall_ms);
    }

    /// It told its changes; that began at `began_wall_ms`.
    pub fn polled(&mut self, now_ms: u64, began_wall_ms: u64) {
        (self.failures, self.not_before_ms) = (0, 0);
        self.next_poll_ms = now_ms + self.poll_ms;
        self.answered_wall_ms = Some(began_wall_ms);
    }

    /// The server failed: the next one is asked, and after the last one there is a wait.
    pub fn failed(&mut self, now_ms: u64) {
        self.server = (self.server + 1) % self.servers;
        self.failures = self.failures.saturating_add(1);
        let rounds = self.failures as usize / self.servers;
        if (self.failures as usize).is_multiple_of(self.servers) {
            self.not_before_ms = now_ms + (1_000 << (rounds - 1).min(6)).min(WAIT_MAX_MS);
        }
    }

    /// An operator wants it read whole now.
    pub fn load_now(&mut self) {
        (self.next_load_ms, self.not_before_ms) = (0, 0);
    }

    /// The server that is asked next.
    pub fn server(&self) -> usize {
        self.server
    }

    /// All servers have failed since the last answer.
    pub fn is_down(&self) -> bool {
        self.failures as usize >= self.servers
    }
}

/// Recipients that were changed at or after a wall time.
pub fn changed_since(directory: &Directory, since_ms: u64) -> Filter {
    // RFC 4517 3.3.13: 20261122001526Z; Active Directory wants tenths of seconds.
    let digits: String = mail::date::rfc3339(since_ms).chars().filter(char::is_ascii_digit).take(14).collect();
    let time = match directory.kind {
        Kind::OpenLdap => format!("{digits}Z"),
        Kind::ActiveDirectory => format!("{digits}.0Z"),
    };
    let changed = Filter::AtLeast(directory.kind.changed().into(), time.into_bytes().into());
    Filter::And(vec![directory.filter.clone(), changed])
}
