//! Owns what all deliverers of a node share: whether they may send at all now. (Bounds of destinations follow.)
//!
//! Always holds: what is paused waits in the spool, without a connection and without a task.

use std::sync::Arc;
use tokio::sync::watch;

/// Shared by all deliverers of a node. Clones are the same.
#[derive(Clone)]
pub struct Shaping {
    paused: Arc<watch::Sender<bool>>,
}

impl Default for Shaping {
    fn default() -> Shaping {
        Shaping { paused: Arc::new(watch::Sender::new(false)) }
    }
}

impl Shaping {
    /// Nothing is taken out of a spool while this is so. What is in flight is finished.
    pub fn pause(&self, yes: bool) {
        self.paused.send_if_modified(|paused| std::mem::replace(paused, yes) != yes);
    }

    /// Whether that is so.
    pub fn is_paused(&self) -> bool {
        *self.paused.borrow()
    }

    /// Waits until that has changed; gives what it is then.
    pub(super) async fn changed(watching: &mut watch::Receiver<bool>) -> Option<bool> {
        watching.changed().await.ok()?;
        Some(*watching.borrow_and_update())
    }

    pub(super) fn watch(&self) -> watch::Receiver<bool> {
        self.paused.subscribe()
    }
}
