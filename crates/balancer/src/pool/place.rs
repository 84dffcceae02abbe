//! A connection's place at a member.

use super::{Member, Pool, Tried};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// One connection at a member. The member's count goes down when it is dropped.
pub struct Place {
    pool: Arc<Pool>,
    member: Arc<Member>,
    /// Whom to remember, with affinity.
    client: Option<IpAddr>,
    /// Those that failed this connection before; most often nobody.
    failed: Option<Box<Tried>>,
    /// In the middle of a mail transaction.
    is_busy: AtomicBool,
}

/// How a member failed a connection before the client heard anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It did not accept the connection, or not in time.
    Connect,
    /// It accepted and said nothing in time.
    Silent,
    /// Its greeting was this SMTP code, or 0 where other protocols refuse.
    Greeting(u16),
    /// It closed or reset the connection.
    Closed,
    /// TLS with it failed.
    Tls,
}

impl Place {
    pub(super) fn new(pool: Arc<Pool>, member: Arc<Member>, client: Option<IpAddr>, tried: &Tried) -> Place {
        let failed = (tried.failures() > 0).then(|| Box::new(tried.clone()));
        Place { pool, member, client, failed, is_busy: AtomicBool::new(false) }
    }

    /// Where.
    pub fn member(&self) -> &Arc<Member> {
        &self.member
    }

    /// The member works and serves: it greeted, `took_us` microseconds after it was asked (or accepted, where the client speaks first).
    pub fn greeted(&self, now_ms: u64, took_us: u64) {
        self.spoke(now_ms, took_us);
        self.served();
    }

    /// The member works: it said something, `took_us` microseconds after it was asked. Whether it serves is yet to be heard.
    pub fn spoke(&self, now_ms: u64, took_us: u64) {
        self.member.live.greeted(now_ms, took_us);
        self.member.watched().worked();
    }

    /// The member serves what those before it failed.
    pub fn served(&self) {
        if let Some(failed) = &self.failed {
            self.pool.hidden(failed);
        }
    }

    /// The member failed this connection. Enough of these in a row leave it alone for a while.
    pub fn refused(&self, now_ms: u64, why: &Refused) {
        self.member.live.refused(why);
        self.member.watched().failed();
        self.pool.failed(now_ms, &self.member);
    }

    /// The connection is in the middle of a mail transaction from now on, or no longer: for those who wait for a drain.
    pub fn in_transaction(&self, is_in: bool) {
        if self.is_busy.swap(is_in, Ordering::Relaxed) != is_in {
            self.member.live.busy(is_in);
        }
    }

    /// So many bytes went from the client to the member and back since this was called last.
    pub fn moved(&self, up_bytes: u64, down_bytes: u64) {
        self.member.live.moved(up_bytes, down_bytes);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.in_transaction(false);
        self.member.live.end();
        if let Some(client) = self.client {
            self.pool.touch(client, &self.member);
        }
    }
}

impl Refused {
    /// One word each, for metrics.
    pub(super) const WORDS: [&'static str; 5] = ["connect", "silent", "greeting", "closed", "tls"];

    pub(super) fn number(self) -> usize {
        match self {
            Refused::Connect => 0,
            Refused::Silent => 1,
            Refused::Greeting(_) => 2,
            Refused::Closed => 3,
            Refused::Tls => 4,
        }
    }

    /// One word, for metrics and logs.
    pub fn word(self) -> &'static str {
        Refused::WORDS[self.number()]
    }
}
