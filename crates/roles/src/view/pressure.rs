//! Back pressure, and queues that are held back, as they are shown.

use mail::date::rfc3339;
use serde::{Deserialize, Serialize};

impl super::Queue {
    /// The same queue as one that its destination, or a pause of all deliveries, holds back.
    pub(crate) fn held_back(mut self, why: &str, until_ms: Option<u64>) -> super::Queue {
        self.held_back = Some(why.into());
        self.why = why.into();
        if let Some(at_ms) = until_ms {
            self.next_retry = Some(rfc3339(at_ms));
        }
        self
    }
}

/// How short the node is of what it needs, and what it does about it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Pressure {
    /// `normal`, `medium`, `high`: that of the worst resource; `off` if nobody looks.
    pub level: String,
    /// Who is refused at MAIL with 452 4.3.1 now.
    pub refused: Vec<String>,
    /// For how long answers to MAIL are held back.
    pub tarpit_ms: u64,
    /// What is done now, in words.
    pub effects: Vec<String>,
    /// What the node can be short of.
    pub resources: Vec<PressureOf>,
}

/// One resource.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PressureOf {
    /// Its name: `journal-disk`, `queue-length` ...
    pub resource: String,
    /// `normal`, `medium`, `high`.
    pub level: String,
    /// Its value.
    pub value: String,
    /// What the value is made of.
    pub detail: String,
    /// Normal again at, medium past, medium again at, high past.
    pub thresholds: Vec<String>,
    /// The value against the threshold that counts next; empty at normal.
    pub why: String,
    /// What the operator can do; empty at normal.
    pub what_to_do: String,
}
