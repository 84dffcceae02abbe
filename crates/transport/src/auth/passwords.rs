//! The check of a password that was sent: on a thread of its own, few at once, and not again for one that was right before.

use super::secret::Secret;
use aws_lc_rs::hmac;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;
use world::Chance;

/// Passwords that are checked at the same time: each takes a core for tens of milliseconds and 19 MiB of memory.
pub const CHECKS_AT_ONCE_MAX: usize = 2;

/// Right passwords that are remembered (twice this, while an older half is still in use), 32 bytes each.
pub const CACHE_MAX: usize = 8_192;

/// Checks passwords against stored secrets. Cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    shared: Arc<Shared>,
}

struct Shared {
    key: hmac::Key,
    at_once: Semaphore,
    right: Mutex<Right>,
}

/// Two generations: the older one goes when the younger one is full.
#[derive(Default)]
struct Right {
    young: HashSet<[u8; 32]>,
    old: HashSet<[u8; 32]>,
}

impl Passwords {
    /// A checker that has seen nothing. Its key is drawn now and dies with the process.
    pub fn new(chance: &dyn Chance) -> Passwords {
        let mut key = [0; 32];
        chance.fill(&mut key);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        Passwords { shared: Arc::new(Shared { key, at_once: Semaphore::new(CHECKS_AT_ONCE_MAX), right: Mutex::default() }) }
    }

    /// Whether `password` is the one behind `stored`. For a user that does not exist, hand in somebody else's secret as `stored` and
    /// false as `known`: the answer is no, after the same time.
    pub async fn check(&self, name: &str, stored: &str, known: bool, password: Vec<u8>) -> bool {
        let print = self.print(name, stored, &password);
        if known && self.shared.right().contains(&print) {
            return true;
        }
        let Ok(_permit) = self.shared.at_once.acquire().await else { return false };
        let stored = stored.to_owned();
        let check = move || Secret::parse(&stored).is_ok_and(|secret| secret.verify(&password));
        let right = tokio::task::spawn_blocking(check).await.unwrap_or(false) && known;
        if right {
            self.shared.right().insert(print);
        }
        right
    }

    /// 32 bytes that stand for a name, its stored secret and a password. Whoever reads them learns nothing without the key; a changed
    /// secret changes them, so an old password is forgotten with it.
    fn print(&self, name: &str, stored: &str, password: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.shared.key);
        for part in [name.as_bytes(), stored.as_bytes(), password] {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let mut print = [0; 32];
        print.copy_from_slice(context.sign().as_ref());
        print
    }

    /// A salt for a user that does not exist: the same one each time somebody asks.
    pub(super) fn decoy_salt(&self, name: &str) -> [u8; 16] {
        let mut salt = [0; 16];
        salt.copy_from_slice(&self.print("", name, b"salt")[..16]);
        salt
    }
}

impl Shared {
    fn right(&self) -> std::sync::MutexGuard<'_, Right> {
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Right {
    fn contains(&self, print: &[u8; 32]) -> bool {
        self.young.contains(print) || self.old.contains(print)
    }

    fn insert(&mut self, print: [u8; 32]) {
        if self.young.len() >= CACHE_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(print);
    }
}

#[cfg(test)]
mod tests {
    use super::super::secret::scram_sha_256;
    use super::*;
    use world::RealChance;

    #[tokio::test]
    async fn a_right_password_is_remembered_and_a_changed_secret_forgets_it() {
        let passwords = Passwords::new(&RealChance);
        let stored = scram_sha_256(b"pencil", [1; 16]);
        assert!(!passwords.check("bob", &stored, true, b"wrong".to_vec()).await);
        assert!(!passwords.check("bob", &stored, false, b"pencil".to_vec()).await, "an unknown user is never right");
        assert!(passwords.shared.right().young.is_empty());
        assert!(passwords.check("bob", &stored, true, b"pencil".to_vec()).await);
        assert!(passwords.shared.right().contains(&passwords.print("bob", &stored, b"pencil")));
        assert!(!passwords.check("bob", &scram_sha_256(b"crayon", [1; 16]), true, b"pencil".to_vec()).await);
        assert!(!passwords.check("bo", &format!("b{stored}"), true, b"pencil".to_vec()).await);
    }

    #[test]
    fn the_cache_is_bounded() {
        let mut right = Right::default();
        for i in 0..3 * CACHE_MAX as u64 {
            let mut print = [0; 32];
            print[..8].copy_from_slice(&i.to_le_bytes());
            right.insert(print);
        }
        assert!(right.young.len() <= CACHE_MAX && right.old.len() <= CACHE_MAX);
    }
}
