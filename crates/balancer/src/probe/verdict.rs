//! What one probe found.

use super::certificate::Certificate;
use std::sync::Arc;

/// What one probe found.
pub struct Found {
    /// How the server stands.
    pub verdict: Verdict,
    /// What it showed under TLS.
    pub certificate: Option<Certificate>,
}

/// How the server stands, by one probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It would serve a client.
    Ready,
    /// It would not, or cannot be asked: counts to the fall.
    Failed(Arc<str>),
    /// One of our own nodes says that it is not ready: its word counts at once.
    NotReady(Arc<str>),
    /// One of our own nodes says that it goes out of service on purpose: counts at once.
    Draining(Arc<str>),
}

/// Characters of a reason: enough for a server's line, and nothing that fills a log.
const REASON_CHARS_MAX: usize = 200;

impl Verdict {
    /// A failure; what a server said is made fit for one line of a log.
    pub fn failed(why: &str) -> Verdict {
        Verdict::Failed(reason(why))
    }
}

/// One line without control characters, cut where it is too long.
pub fn reason(why: &str) -> Arc<str> {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    why.trim().chars().take(REASON_CHARS_MAX).map(clean).collect::<String>().into()
}
