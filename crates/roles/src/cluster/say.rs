//! Owns how loud each event of ownership is. Knows no words: events have their own.

use cluster::ownership::Event;
use cluster::record::JournalName;
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
        | Event::Alone { .. }
        | Event::TookOverStale { .. }
        | Event::Unconfirmed
        | Event::LeaseLost
        | Event::EtcdWentBack { .. }
        | Event::CannotHandOver { .. }
        | Event::NameTaken => warn!(%journal, "{journal}: {event}"),
    }
}
