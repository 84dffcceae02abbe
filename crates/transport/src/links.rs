//! What mail links between servers of the organization need of certificates, at both ends.
//!
//! Owns the shape of the question. Knows no files and no authority: whoever keeps this node's certificate of the organization answers,
//! each time anew, so that a renewed one counts for the next connection. Always holds: an end that was believed has a certificate of
//! our authority; its name is asked for after the handshake, because both ends can then be told about it in words.

use rustls::{ClientConfig, ServerConfig};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// This node's certificate of the organization.
pub trait LinkCertificates: Send + Sync {
    /// For one connection that somebody makes to us. The error says why there is no certificate to show.
    fn server(&self) -> Result<LinkSide<ServerConfig>, String>;
    /// For one connection that we make.
    fn client(&self) -> Result<LinkSide<ClientConfig>, String>;
}

/// One end of one connection.
pub struct LinkSide<C> {
    /// TLS 1.3 only, with certificates of our authority at both ends.
    pub config: Arc<C>,
    /// Learns in the handshake who the other end is.
    pub other: Arc<dyn OtherEnd>,
}

/// The other end of a connection, as its certificate names it.
pub trait OtherEnd: Send + Sync {
    /// The node whose certificate was shown, in lower case; `None`: none was, or it names no node. Proven only after a handshake that
    /// succeeded.
    fn node(&self) -> Option<String>;
    /// What it means that the handshake failed with `error`, and what to do about it.
    fn sentence(&self, error: &io::Error) -> String;
}

/// Lets something that may happen a thousand times a second be said in the log once a minute.
#[derive(Debug)]
pub(crate) struct Seldom {
    /// When it may be said again, on the monotonic clock.
    next_ms: AtomicU64,
}

impl Seldom {
    /// Nothing was said yet.
    pub const fn new() -> Seldom {
        Seldom { next_ms: AtomicU64::new(0) }
    }

    /// Whether it may be said now. `now_ms` is monotonic.
    pub fn may_say(&self, now_ms: u64) -> bool {
        let next_ms = self.next_ms.load(Ordering::Relaxed);
        // Of two at the same moment one says it.
        now_ms >= next_ms
            && self.next_ms.compare_exchange(next_ms, now_ms + SELDOM_MS, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

const SELDOM_MS: u64 = 60_000;
