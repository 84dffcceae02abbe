//! The copies as people, metrics and the page see them.

use journal::copies::CopyStage;

use super::{HeldCopies, OwnCopies};
use crate::view;

impl OwnCopies {
    /// For status: each copy of this node's journal.
    pub fn shown(&self) -> Vec<view::OwnCopy> {
        let shown = |copy: journal::copies::CopyState| view::OwnCopy {
            stage: word(copy.stage).into(),
            counts: copy.counts,
            lag_bytes: copy.lag_bytes,
            lag_ms: copy.lag_ms,
            last_error: copy.error,
            holder: plain(&copy.holder).into(),
        };
        self.states().into_iter().map(shown).collect()
    }
}

impl HeldCopies {
    /// For status: each copy that this node keeps.
    pub fn shown(&self) -> Vec<view::HeldCopy> {
        let copies = self.copies();
        let states = copies.iter().map(|(journal, copy)| (journal.clone(), copy.state()));
        let shown = |(journal, state): (String, journal::copies::HeldState)| view::HeldCopy {
            journal,
            epoch: state.epoch,
            level: state.level,
            segments: state.segments,
            last_error: state.error,
        };
        states.map(shown).collect()
    }
}

/// In a cluster a holder's name has the number of its disk behind it.
pub fn plain(holder: &str) -> &str {
    holder.split_once('@').map_or(holder, |(node, _)| node)
}

fn word(stage: CopyStage) -> &'static str {
    match stage {
        CopyStage::Away => "away",
        CopyStage::Joining => "joining",
        CopyStage::CatchingUp => "catching up",
        CopyStage::Live => "live",
        CopyStage::Level => "level",
        CopyStage::Resting => "resting",
        CopyStage::Refused => "refused",
    }
}
