//! Owns what makes a copy late, in words. Knows no patience: whoever decides who counts has that.

use journal::copies::{CopyStage, CopyState};

/// Why a copy is late, if it is.
pub fn lateness(state: &CopyState) -> Option<String> {
    let said = || state.error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
    match state.stage {
        CopyStage::Away => Some(format!("there is no link to it{}", said())),
        CopyStage::Joining | CopyStage::CatchingUp => Some(format!("it has to catch up{}", said())),
        CopyStage::Resting => Some(format!("something went wrong there{}", said())),
        CopyStage::Refused => Some(format!("it refuses this node{}", said())),
        CopyStage::Live | CopyStage::Level if state.lag_ms > LAG_MS_MAX => {
            Some(format!("it lacks {} bytes for {} ms", state.lag_bytes, state.lag_ms))
        }
        CopyStage::Live | CopyStage::Level => None,
    }
}

/// A copy that has not synced what was written so long ago is late. Milliseconds.
const LAG_MS_MAX: u64 = 2_000;
