//! How many connections a service has, by source, against what it may have; shared by all threads.
//!
//! Always holds: a connection counts from its admission until its [`Admitted`] is dropped; no more sources are kept than connections.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::words::Reason;

/// The bounds of one service, and what counts against them.
#[derive(Debug)]
pub(super) struct Admission {
    connections_max: AtomicU32,
    /// 0: no bound.
    per_source_max: AtomicU32,
    active: AtomicU32,
    sources: [Mutex<HashMap<IpAddr, u32>>; SHARDS],
    /// The service is served no longer; connections that are there end as in a drain.
    closed: AtomicBool,
    all: Arc<All>,
    noticed: Mutex<Vec<(IpAddr, u64)>>,
}

/// All services together.
#[derive(Debug)]
pub(super) struct All {
    connections_max: u32,
    active: AtomicU32,
}

/// A connection that was admitted.
#[derive(Debug)]
pub(super) struct Admitted {
    admission: Arc<Admission>,
    source: Option<IpAddr>,
}

/// Locks that sources are spread over.
const SHARDS: usize = 16;
/// Sources whose refusal was said lately.
const NOTICED_MAX: usize = 64;
/// How long the same source is not said again.
const NOTICED_MS: u64 = 60_000;

impl All {
    pub(super) fn new(connections_max: u32) -> Arc<All> {
        Arc::new(All { connections_max, active: AtomicU32::new(0) })
    }

    pub(super) fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }
}

impl Admission {
    pub(super) fn new(all: Arc<All>) -> Admission {
        Admission {
            connections_max: AtomicU32::new(0),
            per_source_max: AtomicU32::new(0),
            active: AtomicU32::new(0),
            sources: Default::default(),
            closed: AtomicBool::new(false),
            all,
            noticed: Mutex::default(),
        }
    }

    /// From now on these bounds count.
    pub(super) fn set(&self, connections_max: u32, per_source_max: Option<u32>) {
        self.connections_max.store(connections_max, Ordering::Relaxed);
        self.per_source_max.store(per_source_max.unwrap_or(0), Ordering::Relaxed);
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Lets a connection in, or says which bound is reached.
    pub(super) fn admit(self: &Arc<Self>) -> Result<Admitted, Reason> {
        if self.all.active.fetch_add(1, Ordering::Relaxed) >= self.all.connections_max {
            self.all.active.fetch_sub(1, Ordering::Relaxed);
            return Err(Reason::Descriptors);
        }
        if self.active.fetch_add(1, Ordering::Relaxed) >= self.connections_max.load(Ordering::Relaxed) {
            self.active.fetch_sub(1, Ordering::Relaxed);
            self.all.active.fetch_sub(1, Ordering::Relaxed);
            return Err(Reason::Connections);
        }
        Ok(Admitted { admission: Arc::clone(self), source: None })
    }

    /// Says once a minute for each source that something happened to it; a flood of them says nothing more.
    pub(super) fn is_news(&self, source: IpAddr, now_ms: u64) -> bool {
        let mut noticed = self.noticed.lock().unwrap_or_else(PoisonError::into_inner);
        noticed.retain(|(_, at_ms)| now_ms.saturating_sub(*at_ms) < NOTICED_MS);
        if noticed.len() >= NOTICED_MAX || noticed.iter().any(|(known, _)| *known == source) {
            return false;
        }
        noticed.push((source, now_ms));
        true
    }

    fn shard(&self, source: IpAddr) -> &Mutex<HashMap<IpAddr, u32>> {
        let last = match source {
            IpAddr::V4(v4) => v4.octets()[3],
            IpAddr::V6(v6) => v6.octets().iter().fold(0, |sum, byte| sum ^ byte),
        };
        &self.sources[usize::from(last) % SHARDS]
    }
}

impl Admitted {
    /// Counts it against its source as well.
    pub(super) fn comes_from(&mut self, source: IpAddr) -> Result<(), Reason> {
        let most = self.admission.per_source_max.load(Ordering::Relaxed);
        if most == 0 || self.source.is_some() {
            return Ok(());
        }
        let mut sources = self.admission.shard(source).lock().unwrap_or_else(PoisonError::into_inner);
        let count = sources.entry(source).or_insert(0);
        if *count >= most {
            return Err(Reason::Source);
        }
        *count += 1;
        drop(sources);
        self.source = Some(source);
        Ok(())
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.admission.active.fetch_sub(1, Ordering::Relaxed);
        self.admission.all.active.fetch_sub(1, Ordering::Relaxed);
        let Some(source) = self.source else { return };
        let mut sources = self.admission.shard(source).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = sources.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                sources.remove(&source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_has_its_reason() {
        let all = All::new(3);
        let admission = Arc::new(Admission::new(Arc::clone(&all)));
        admission.set(2, Some(1));
        let [a, b]: [IpAddr; 2] = ["192.0.2.1", "2001:db8::1"].map(|text| text.parse().unwrap());
        let mut first = admission.admit().unwrap();
        assert_eq!(first.comes_from(a), Ok(()));
        let mut second = admission.admit().unwrap();
        assert_eq!(second.comes_from(a), Err(Reason::Source));
        assert_eq!(second.comes_from(b), Ok(()));
        assert_eq!(admission.admit().unwrap_err(), Reason::Connections);
        admission.set(9, Some(1));
        let third = admission.admit().unwrap();
        assert_eq!(admission.admit().unwrap_err(), Reason::Descriptors);
        drop((first, second, third));
        let mut again = admission.admit().unwrap();
        assert_eq!(again.comes_from(a), Ok(()));
        drop(again);
        assert!(admission.sources.iter().all(|shard| shard.lock().unwrap().is_empty()));
        assert_eq!((admission.active.load(Ordering::Relaxed), all.active.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn the_same_source_is_said_once_a_minute() {
        let admission = Admission::new(All::new(1));
        let source = |last: u8| IpAddr::from([192, 0, 2, last]);
        assert!(
            admission.is_news(source(1), 0) && !admission.is_news(source(1), 59_999) && admission.is_news(source(2), 1)
        );
        assert!(admission.is_news(source(1), 60_000));
        assert_eq!((3..200).filter(|last| admission.is_news(source(*last), 60_000)).count(), NOTICED_MAX - 2);
    }
}
