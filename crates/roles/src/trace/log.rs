//! Owns which events of messages also go to the log: those that an operator may have to act on, and not more of them than a
//! person can read. The trace has them all.

use std::sync::atomic::{AtomicU64, Ordering};

use mail::event::{Event, EventKind};
use tracing::{Level, debug, info, warn};

/// Bounds the lines per second, so that a dead next hop with a million messages does not become a million lines.
#[derive(Default)]
pub struct EventLog {
    second: AtomicU64,
    lines: AtomicU64,
}

impl EventLog {
    /// Logs the event if it is one that is logged; at most [`LINES_PER_SECOND_MAX`].
    pub fn event(&self, now_s: u64, event: &Event<'_>) {
        let level = level_of(event.kind);
        if !tracing::enabled!(Level::INFO) || (level == Level::DEBUG && !tracing::enabled!(Level::DEBUG)) {
            return;
        }
        if self.second.swap(now_s, Ordering::Relaxed) != now_s {
            let lines = self.lines.swap(0, Ordering::Relaxed);
            if lines > LINES_PER_SECOND_MAX {
                info!(
                    not_logged = lines - LINES_PER_SECOND_MAX,
                    "more events of messages than are logged; see posthouse trace"
                );
            }
        }
        if self.lines.fetch_add(1, Ordering::Relaxed) >= LINES_PER_SECOND_MAX {
            return;
        }
        let id = event.id.map(|id| id.to_string()).unwrap_or_default();
        let to = event.recipients.first().copied().unwrap_or_default();
        let Event { kind, peer, via, reply, context, .. } = event;
        match level {
            Level::WARN => warn!(%id, to, peer, via, reply, context, "{kind}"),
            Level::INFO => info!(%id, to, peer, via, reply, context, "{kind}"),
            _ => debug!(%id, to, peer, via, reply, context, "{kind}"),
        }
    }
}

fn level_of(kind: EventKind) -> Level {
    match kind {
        EventKind::Poison | EventKind::Repeat => Level::WARN,
        EventKind::Defer | EventKind::Fail | EventKind::Dsn | EventKind::Admin | EventKind::Drop => Level::INFO,
        // One line for each message that goes well is what the trace is for.
        EventKind::Receive
        | EventKind::Refuse
        | EventKind::Resolve
        | EventKind::Expand
        | EventKind::Redirect
        | EventKind::Send
        | EventKind::Deliver => Level::DEBUG,
    }
}

const LINES_PER_SECOND_MAX: u64 = 100;
