//! How much one user may send, whatever connector and however many connections it comes over: messages in a minute, recipients in an hour.
//!
//! Always holds: users are known by the name under which they have authenticated, and at most [`USERS_KEPT_MAX`] are remembered.

use super::rate::{HOUR_S, MINUTE_S, Rate};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Users that are remembered for the sake of what they have sent.
pub const USERS_KEPT_MAX: usize = 65_536;

/// The bounds of each user; `None` is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserBounds {
    /// Messages in a minute.
    pub messages_per_minute: Option<u32>,
    /// Recipients in an hour.
    pub recipients_per_hour: Option<u32>,
}

/// All users who have sent something.
#[derive(Debug, Default)]
pub(super) struct Users {
    bounds: UserBounds,
    sent: Mutex<HashMap<Box<str>, Arc<Sent>>>,
}

#[derive(Debug, Default)]
struct Sent {
    messages: Rate,
    recipients: Rate,
}

/// What one user may still send.
#[derive(Clone, Debug, Default)]
pub struct Allowance {
    bounds: UserBounds,
    sent: Arc<Sent>,
}

impl Users {
    pub fn new(bounds: UserBounds) -> Users {
        Users { bounds, sent: Mutex::default() }
    }

    /// The allowance of a user, the same for all its sessions.
    pub fn allowance(&self, user: &str, now_ms: u64) -> Allowance {
        let mut all = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sent) = all.get(user) {
            return Allowance { bounds: self.bounds, sent: sent.clone() };
        }
        if all.len() >= USERS_KEPT_MAX {
            // One in whose name a session is open stays, or the session would count for itself.
            all.retain(|_, sent| Arc::strong_count(sent) > 1 || !sent.is_idle(now_ms));
        }
        let sent = Arc::<Sent>::default();
        // Beyond the bound a user is counted for its session alone.
        if all.len() < USERS_KEPT_MAX {
            all.insert(user.into(), sent.clone());
        }
        Allowance { bounds: self.bounds, sent }
    }
}

impl Sent {
    fn is_idle(&self, now_ms: u64) -> bool {
        self.messages.is_idle(now_ms, MINUTE_S) && self.recipients.is_idle(now_ms, HOUR_S)
    }
}

impl Allowance {
    /// Counts a message, unless it is one too many. `now_ms` is monotonic, here and below.
    pub fn message(&self, now_ms: u64) -> bool {
        self.sent.messages.take(now_ms, self.bounds.messages_per_minute)
    }

    /// Counts a recipient, unless it is one too many.
    pub fn recipient(&self, now_ms: u64) -> bool {
        self.sent.recipients.take_in(now_ms, self.bounds.recipients_per_hour, HOUR_S)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_one_allowance_over_all_sessions() {
        let bounds = UserBounds { messages_per_minute: Some(2), recipients_per_hour: Some(3) };
        let users = Users::new(bounds);
        let (one, two) = (users.allowance("bob", 0), users.allowance("bob", 0));
        assert!(one.message(0) && two.message(0) && !one.message(0) && !two.message(59_999));
        assert!(users.allowance("alice", 0).message(0), "others are not touched");
        assert!(two.message(60_000));
        let named = (0..5).filter(|i| if i % 2 == 0 { one.recipient(0) } else { two.recipient(0) }).count();
        assert_eq!(named, 3);
        assert!(!one.recipient(3_599_999) && one.recipient(3_600_000));
    }

    #[test]
    fn who_sent_nothing_lately_is_forgotten_first() {
        let users = Users::new(UserBounds { messages_per_minute: Some(1), recipients_per_hour: None });
        let busy = users.allowance("busy", 0);
        for i in 0..2 * USERS_KEPT_MAX {
            users.allowance(&format!("user{i}"), 0);
        }
        assert!(busy.message(7_200_000));
        for i in 0..USERS_KEPT_MAX {
            users.allowance(&format!("other{i}"), 7_200_000);
        }
        assert!(!users.allowance("busy", 7_200_000).message(7_200_000), "its count was kept");
        assert!(users.sent.lock().unwrap().len() <= USERS_KEPT_MAX);
    }
}
