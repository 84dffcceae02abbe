//! How a server stands, as those see it who choose among servers.

use super::certificate::Certificate;
use std::sync::Arc;

/// How a server stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// No probe has ended yet.
    #[default]
    Unknown,
    /// It serves.
    Up,
    /// It does not, and why: its own text, or what went wrong.
    Down(Arc<str>),
    /// It takes nothing new on purpose, and what it says about it. What is open goes on.
    Draining(Arc<str>),
}

/// A standing without its reason: one byte, for those who choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Word {
    /// [`Standing::Unknown`]
    Unknown = 0,
    /// [`Standing::Up`]
    Up = 1,
    /// [`Standing::Down`]
    Down = 2,
    /// [`Standing::Draining`]
    Draining = 3,
}

/// What is known of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How it stands.
    pub standing: Standing,
    /// Since when, in milliseconds of the wall clock; 0 before the first probe.
    pub since_ms: u64,
    /// The certificate that it showed at the last probe under TLS.
    pub certificate: Option<Certificate>,
}

impl Standing {
    /// Without the reason.
    pub fn word(&self) -> Word {
        match self {
            Standing::Unknown => Word::Unknown,
            Standing::Up => Word::Up,
            Standing::Down(_) => Word::Down,
            Standing::Draining(_) => Word::Draining,
        }
    }

    /// Why it is not up; empty if it is or if nothing is known.
    pub fn reason(&self) -> &str {
        match self {
            Standing::Unknown | Standing::Up => "",
            Standing::Down(why) | Standing::Draining(why) => why,
        }
    }
}

impl Word {
    /// As it is shown.
    pub fn text(self) -> &'static str {
        match self {
            Word::Unknown => "unknown",
            Word::Up => "up",
            Word::Down => "down",
            Word::Draining => "draining",
        }
    }

    /// The word of this number; what is none is [`Word::Unknown`].
    pub(super) fn of(number: u8) -> Word {
        match number {
            1 => Word::Up,
            2 => Word::Down,
            3 => Word::Draining,
            _ => Word::Unknown,
        }
    }
}
