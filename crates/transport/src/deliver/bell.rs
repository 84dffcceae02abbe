//! Owns the bell that the spool rings when a hop has work or a time has come. It exists before the deliverer does, because the spool
//! needs it to open; what rang until then is kept.

use spool::{HopId, Wake};
use std::sync::{Mutex, OnceLock, PoisonError};
use tokio::sync::Notify;

/// Who answers for a hop that has work.
type Answer = Box<dyn Fn(HopId) + Send + Sync>;

/// What the spool is opened with, and [`Deliverer::start`](super::Deliverer::start) is given.
#[derive(Default)]
pub struct Bell {
    answer: OnceLock<Answer>,
    early: Mutex<Vec<HopId>>,
    due: Notify,
}

impl Bell {
    /// Nobody answers yet.
    pub fn new() -> Bell {
        Bell::default()
    }

    /// Waits until `Spool::next_due` may be earlier than it was: for the task that drives `Spool::tick`.
    pub async fn due_changed(&self) {
        self.due.notified().await;
    }

    /// From now on `answer` hears every hop that has work, and those that rang before.
    pub(super) fn answer_with(&self, answer: Answer) {
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        if self.answer.set(answer).is_err() {
            return;
        }
        let rung = std::mem::take(&mut *early);
        drop(early);
        rung.into_iter().for_each(|hop| self.ready(hop));
    }
}

impl Wake for Bell {
    fn ready(&self, hop: HopId) {
        if let Some(answer) = self.answer.get() {
            return answer(hop);
        }
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        match self.answer.get() {
            Some(answer) => {
                drop(early);
                answer(hop);
            }
            None => early.push(hop),
        }
    }

    fn due(&self) {
        self.due.notify_one();
    }
}
