//! Owns which bodies stay in memory: the latest, within the budget.

use super::{Book, Hot};

impl Book {
    /// Keeps the body of a message that has just come, and drops older ones beyond the budget.
    pub(super) fn keep_hot(&mut self, at: u32, mut hot: Hot) {
        self.hot_turn += 1;
        hot.turn = self.hot_turn;
        self.hot.push_back((at, hot.turn));
        self.hot_bytes += cost(&hot);
        self.hot_live += 1;
        self.messages[at].hot = Some(Box::new(hot));
        self.trim_hot();
        // Entries of messages that left long ago pile up behind one that stays.
        if self.hot.len() > 64 + 2 * self.hot_live {
            let messages = &self.messages;
            let is_live = |at: u32, turn| messages.get(at).and_then(|m| m.hot.as_ref()).is_some_and(|h| h.turn == turn);
            self.hot.retain(|(at, turn)| is_live(*at, *turn));
        }
    }

    /// The budget is another one from now on; bodies beyond it are dropped, the oldest first.
    pub fn set_body_memory(&mut self, bytes: usize) {
        self.settings.body_memory_bytes = bytes;
        self.trim_hot();
    }

    fn trim_hot(&mut self) {
        while self.hot_bytes > self.settings.body_memory_bytes {
            let Some((oldest, turn)) = self.hot.pop_front() else { break };
            if self.messages.get(oldest).and_then(|m| m.hot.as_ref()).is_some_and(|h| h.turn == turn) {
                self.drop_hot(oldest);
            }
        }
    }

    /// Forgets the body of a message.
    pub(super) fn drop_hot(&mut self, at: u32) {
        if let Some(hot) = self.messages[at].hot.take() {
            self.hot_bytes -= cost(&hot);
            self.hot_live -= 1;
        }
    }
}

/// Bytes that a kept body takes, roughly.
fn cost(hot: &Hot) -> usize {
    hot.body.capacity() + 512
}
