//! Owns what is logged when a copy comes to count, or counts no more. Knows not who decides that.

use cluster::tenure::Change;
use tracing::{info, warn};

/// Puts into the log that a copy counts, or counts no more.
pub fn say_standing(journal: &str, change: &Change) {
    match change {
        Change::Counts(holder) => info!(journal, "{journal}: the copy on {holder} is level: it counts from now on"),
        Change::CountsNoMore(holder, why) => warn!(
            journal,
            "{journal}: the copy on {holder} counts no more: {why}; connectors that want it refuse mail with 451, or take it \
             without, until it is level again or another one is"
        ),
    }
}
