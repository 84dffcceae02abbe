//! Owns the decision which copies count where no etcd says so. Pure: time and states come in, changes go out.
//! Always holds: a copy comes to count only when it is level; one that is late for [`PATIENCE_MS`] counts no more.

use std::collections::BTreeMap;

use journal::copies::{CopyStage, CopyState};

/// Who counts, and who is late since when.
#[derive(Debug, Default)]
pub struct Standing {
    counting: BTreeMap<String, Option<u64>>,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// This copy counts from now on.
    Counts(String),
    /// This copy counts no more; why, in words.
    CountsNoMore(String, String),
}

impl Standing {
    /// The holders whose copies count.
    pub fn counting(&self) -> Vec<&str> {
        self.counting.keys().map(String::as_str).collect()
    }

    /// Looks at all copies of one journal.
    pub fn step(&mut self, now_ms: u64, states: &[CopyState]) -> Vec<Change> {
        let mut changes = Vec::new();
        let asked = |holder: &String| states.iter().any(|state| state.holder == *holder);
        let gone: Vec<String> = self.counting.keys().filter(|holder| !asked(holder)).cloned().collect();
        for holder in gone {
            self.counting.remove(&holder);
            changes.push(Change::CountsNoMore(holder, String::from("it is not asked to keep one any more")));
        }
        for state in states {
            let Some(late_since) = self.counting.get_mut(&state.holder) else {
                if state.stage == CopyStage::Level {
                    self.counting.insert(state.holder.clone(), None);
                    changes.push(Change::Counts(state.holder.clone()));
                }
                continue;
            };
            let Some(why) = lateness(state) else {
                *late_since = None;
                continue;
            };
            let since_ms = *late_since.get_or_insert(now_ms);
            if now_ms - since_ms >= PATIENCE_MS || state.stage == CopyStage::Refused {
                self.counting.remove(&state.holder);
                changes.push(Change::CountsNoMore(state.holder.clone(), why));
            }
        }
        changes
    }
}

/// Why a copy is late, if it is.
fn lateness(state: &CopyState) -> Option<String> {
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

/// A link that breaks and comes back in this time costs clients a wait, and no mail is refused.
const PATIENCE_MS: u64 = 3_000;
/// A copy that has not synced what was written so long ago is late.
const LAG_MS_MAX: u64 = 2_000;

#[cfg(test)]
mod tests {
    use super::*;
    use journal::Position;

    fn copy(stage: CopyStage, lag_ms: u64) -> [CopyState; 1] {
        [CopyState {
            holder: "b".into(),
            stage,
            in_level_set: false,
            counts: false,
            acked: Position(0),
            lag_bytes: 0,
            lag_ms,
            queued_bytes: 0,
            error: None,
        }]
    }

    #[test]
    fn a_copy_counts_when_level_and_no_more_when_late_for_long() {
        let mut standing = Standing::default();
        assert_eq!(standing.step(0, &copy(CopyStage::CatchingUp, 0)), []);
        assert_eq!(standing.step(1, &copy(CopyStage::Level, 0)), [Change::Counts("b".into())]);
        assert_eq!(standing.counting(), ["b"]);
        assert_eq!(standing.step(2, &copy(CopyStage::Away, 0)), []);
        assert_eq!(standing.step(PATIENCE_MS, &copy(CopyStage::Live, LAG_MS_MAX)), [], "it is back");
        assert_eq!(standing.step(PATIENCE_MS + 9, &copy(CopyStage::Level, LAG_MS_MAX + 1)), []);
        let late = standing.step(2 * PATIENCE_MS + 9, &copy(CopyStage::Level, LAG_MS_MAX + 1));
        assert!(matches!(&late[..], [Change::CountsNoMore(_, why)] if why.contains("lacks")), "{late:?}");
        assert!(standing.counting().is_empty());
        standing.step(20_000, &copy(CopyStage::Level, 0));
        assert_eq!(standing.step(20_000, &[]).len(), 1, "it was let go");
        standing.step(20_000, &copy(CopyStage::Level, 0));
        assert_eq!(standing.step(20_001, &copy(CopyStage::Refused, 0)).len(), 1, "no patience with a refusal");
    }
}
