//! What happened, for counters and logs. Always holds: labels come from the document or from a fixed list.

use std::sync::Arc;

use super::host::Host;

/// How a call fared at a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 2xx.
    Answered,
    /// 486, 600.
    Busy,
    /// Another final answer below 500, or 6xx.
    Declined,
    /// 5xx.
    Refused,
    /// It rang, and nobody answered in time.
    Unanswered,
    /// Not a word in time.
    Silent,
    /// No way there.
    Unreachable,
    /// The caller called it back.
    Cancelled,
}

impl Outcome {
    /// The label.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Answered => "answered",
            Outcome::Busy => "busy",
            Outcome::Declined => "declined",
            Outcome::Refused => "refused",
            Outcome::Unanswered => "unanswered",
            Outcome::Silent => "silent",
            Outcome::Unreachable => "unreachable",
            Outcome::Cancelled => "cancelled",
        }
    }

    /// The outcome that a final answer is.
    pub fn of(code: u16) -> Outcome {
        match code {
            200..300 => Outcome::Answered,
            486 | 600 => Outcome::Busy,
            487 => Outcome::Cancelled,
            500..600 => Outcome::Refused,
            _ => Outcome::Declined,
        }
    }
}

/// Something to count or to log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A call fared so at a host.
    Tried {
        /// Who.
        host: Arc<Host>,
        /// How.
        outcome: Outcome,
        /// Whether another host gets the call now, and the caller hears nothing of it.
        goes_on: bool,
    },
    /// A caller was sent to a host first.
    Redirected(Arc<Host>),
    /// We answered a call ourselves with this code: no host took it, or it was wrong.
    Answered(u16),
    /// A packet was dropped without an answer.
    Dropped(&'static str),
}
