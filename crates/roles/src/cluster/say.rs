//! Owns how loud each event of ownership is. Knows no words: events have their own.

use cluster::ownership::Event;
use cluster::record::JournalName;
use cluster::tenure::Change;
use tracing::{info, warn};

/// Puts an event into the log.
pub fn say(journal: &JournalName, event: &Event) {
    match event {
        Event::Owns { .. } | Event::Beaten { .. } | Event::LevelNow { .. } => info!(%journal, "{journal}: {event}"),
        Event::TookOver { .. }
        | Event::Deposed { .. }
        | Event::OwnerGone { .. }
        | Event::NotLevel { .. }
        | Event::NoCopy
        | Event::LastCopy { .. }
        | Event::Unconfirmed
        | Event::LeaseLost
        | Event::EtcdWentBack { .. }
        | Event::CannotHandOver { .. }
        | Event::NameTaken => warn!(%journal, "{journal}: {event}"),
    }
}

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
