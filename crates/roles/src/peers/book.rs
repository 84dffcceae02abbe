//! Owns who the other nodes are and which link to each is the one. Knows no sockets.
//! Always holds: a pair has one link; of two, both ends keep the same one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use directory::HostPort;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::link::Shared;

/// What both ends know of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The life of the other end's process.
    pub their_life: u64,
    /// The node with the smaller name dialed.
    pub dialed_by_lower: bool,
    /// We dialed.
    pub dialed_here: bool,
    /// Where the other end is.
    pub remote: SocketAddr,
    /// The other end's program.
    pub version: String,
    /// When it was made, Unix milliseconds.
    pub since_ms: u64,
    /// When the other end's certificate ends, Unix milliseconds.
    pub their_certificate_ms: u64,
    /// When the first of both certificates ends, Unix milliseconds.
    pub valid_until_ms: u64,
}

/// The link that a pair has.
#[derive(Clone)]
pub struct Up {
    /// What is known of it.
    pub facts: Facts,
    /// Its channels.
    pub shared: Arc<Shared>,
    /// Tells it to end, and why.
    pub end: Arc<watch::Sender<Option<&'static str>>>,
}

/// One other node.
pub struct Entry {
    /// Where its links listen.
    pub address: HostPort,
    /// The link, if there is one.
    pub up: Option<Up>,
    /// When the last link was made or ended, Unix milliseconds.
    pub since_ms: u64,
    /// What went wrong last, and when, Unix milliseconds.
    pub last_error: Option<(u64, String)>,
    /// Links that were made.
    pub links: u64,
    /// Bytes of links that have ended: in, out.
    pub bytes: (u64, u64),
    /// The task that dials.
    pub dialer: AbortHandle,
}

/// All other nodes.
#[derive(Default)]
pub struct Book {
    entries: Mutex<BTreeMap<Arc<str>, Entry>>,
    changes: watch::Sender<u64>,
}

/// What becomes of a new link.
pub enum Adopted {
    /// It is the link; the one that it follows is still there.
    Yes(Option<Up>),
    /// The pair has a better one.
    No,
    /// The node is not in the book.
    Unknown,
}

impl Book {
    /// Whoever wants to know that a link came or went.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The entries, for a look or a change. Do not wait while holding it.
    pub fn entries(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Entry>> {
        // Only whole values are stored in it.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The link to a node.
    pub fn up(&self, peer: &str) -> Option<Up> {
        self.entries().get(peer).and_then(|entry| entry.up.clone())
    }

    /// Makes a link the one of its pair, unless there is a better one.
    pub fn adopt(&self, peer: &str, new: &Up) -> Adopted {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(peer) else { return Adopted::Unknown };
        if entry.up.as_ref().is_some_and(|old| !follows(&old.facts, &new.facts)) {
            return Adopted::No;
        }
        entry.since_ms = new.facts.since_ms;
        entry.links += 1;
        let old = entry.up.replace(new.clone());
        drop(entries);
        self.changed();
        Adopted::Yes(old)
    }

    /// A link has ended; says whether it was the one of its pair.
    pub fn ended(&self, peer: &str, shared: &Arc<Shared>, now_ms: u64) -> bool {
        let (counts, _) = shared.measured();
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(peer) else { return false };
        entry.bytes = (entry.bytes.0 + counts.in_bytes, entry.bytes.1 + counts.out_bytes);
        let was_it = entry.up.as_ref().is_some_and(|up| Arc::ptr_eq(&up.shared, shared));
        if was_it {
            entry.up = None;
            entry.since_ms = now_ms;
        }
        drop(entries);
        self.changed();
        was_it
    }

    /// Something went wrong with a node.
    pub fn went_wrong(&self, peer: &str, now_ms: u64, sentence: &str) {
        if let Some(entry) = self.entries().get_mut(peer) {
            entry.last_error = Some((now_ms, sentence.to_string()));
        }
    }

    /// Tells all who wait for a change.
    pub fn changed(&self) {
        self.changes.send_modify(|version| *version += 1);
    }
}

/// The new link takes the place of the old one. Both ends come to the same answer.
fn follows(old: &Facts, new: &Facts) -> bool {
    if old.their_life != new.their_life {
        // The other node was started anew: the old link is dead, whether we have noticed or not.
        return true;
    }
    // The same end dials again when it has given up the old link, or to use a new certificate. If each end dialed, the smaller name's link stays.
    old.dialed_by_lower == new.dialed_by_lower || new.dialed_by_lower
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(their_life: u64, dialed_by_lower: bool) -> Facts {
        let remote = SocketAddr::from(([127, 0, 0, 1], 1));
        Facts {
            their_life,
            dialed_by_lower,
            dialed_here: true,
            remote,
            version: String::new(),
            since_ms: 0,
            their_certificate_ms: 0,
            valid_until_ms: 0,
        }
    }

    #[test]
    fn of_two_links_both_ends_keep_the_same_one() {
        let (lower, higher) = (facts(1, true), facts(1, false));
        // Whatever comes first at which end: the one that the smaller name dialed stays.
        assert!(follows(&higher, &lower) && !follows(&lower, &higher));
        assert!(follows(&lower, &lower) && follows(&higher, &higher));
        assert!(follows(&lower, &facts(2, false)), "a new life beats everything");
    }
}
