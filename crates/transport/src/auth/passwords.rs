//! The check of a password that was sent: on a thread of its own, few at once, and not again for one that was right before.

use super::directories::Directories;
use super::hash;
use aws_lc_rs::hmac;
use directory::{Org, Password, User};
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
    directories: Directories,
}

/// What a check says.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The password is right: of this user.
    Right(Arc<User>),
    /// It is wrong, or there is no such user.
    Wrong,
    /// No directory that may know the user answers.
    Later,
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
        let at_once = Semaphore::new(CHECKS_AT_ONCE_MAX);
        let directories = Directories::new(key.clone());
        Passwords { shared: Arc::new(Shared { key, at_once, right: Mutex::default(), directories }) }
    }

    /// The user of that name, if `password` is the right one: of the document, and if it has none of that name, of the directories. A
    /// name that nobody has takes as long to be refused: its password is measured against that of some user. `now_ms` is monotonic.
    pub async fn check(&self, org: &Org, now_ms: u64, name: &str, password: Vec<u8>) -> Verdict {
        if org.user(name).is_none() {
            match self.shared.directories.check(org, now_ms, name, &password).await {
                Verdict::Wrong => {}
                told => return told,
            }
        }
        self.of_document(org, name, password).await.map_or(Verdict::Wrong, Verdict::Right)
    }

    async fn of_document(&self, org: &Org, name: &str, password: Vec<u8>) -> Option<Arc<User>> {
        let known = org.user(name);
        let measured = known.or_else(|| self.pick(name, &org.users))?.clone();
        let print = self.print(&measured, &password);
        if known.is_some() && self.shared.right().contains(&print) {
            return Some(measured);
        }
        let _permit = self.shared.at_once.acquire().await.ok()?;
        let stored = measured.clone();
        let check = move || hash::verify(&stored.password, &password);
        let right = tokio::task::spawn_blocking(check).await.unwrap_or(false) && known.is_some();
        right.then(|| {
            self.shared.right().insert(print);
            measured
        })
    }

    /// One of `among`, for a name the same one each time: names that nobody has cost as much as names that somebody has, whatever the
    /// mixture of costs is.
    pub(super) fn pick<'u, T>(&self, name: &str, among: &'u [T]) -> Option<&'u T> {
        let [a, b, c, d, ..] = self.shared.digest(&[b"pick", name.as_bytes()]);
        among.get((u32::from_le_bytes([a, b, c, d]) as usize).checked_rem(among.len())?)
    }

    /// 32 bytes that stand for a user, what is stored of the password, and a password. Whoever reads them learns nothing without the key;
    /// a changed password changes them, so the old one is forgotten with it.
    fn print(&self, user: &User, password: &[u8]) -> [u8; 32] {
        let stored = match &user.password {
            Password::Argon2id(hash) => hash.as_bytes(),
            Password::ScramSha256 { stored_key, .. } => stored_key,
            Password::Directory(name) => name.as_bytes(),
        };
        self.shared.digest(&[user.name.as_bytes(), stored, password])
    }

    /// A salt for a user that does not exist: the same one each time somebody asks.
    pub(super) fn decoy_salt(&self, name: &str) -> [u8; 16] {
        let mut salt = [0; 16];
        salt.copy_from_slice(&self.shared.digest(&[b"salt", name.as_bytes()])[..16]);
        salt
    }
}

impl Shared {
    fn digest(&self, parts: &[&[u8]]) -> [u8; 32] {
        digest(&self.key, parts)
    }

    fn right(&self) -> std::sync::MutexGuard<'_, Right> {
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// 32 bytes that stand for these parts, and for no others.
pub(super) fn digest(key: &hmac::Key, parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.sign().as_ref());
    digest
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
    use super::*;
    use world::RealChance;

    fn org(users: &[(&str, &str)]) -> Arc<Org> {
        let user = |(name, password): &(&str, &str)| {
            let stored = hash::scram_sha_256(password.as_bytes(), [1; 16]);
            format!("[[user]]\nname = \"{name}\"\npassword = \"{stored}\"\n")
        };
        let users: String = users.iter().map(user).collect();
        crate::receive::testing::org(&format!(
            "[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:25\"]\n{users}"
        ))
    }

    #[tokio::test]
    async fn a_right_password_is_remembered_and_a_changed_one_forgets_it() {
        let passwords = Passwords::new(&RealChance);
        let (before, after) = (org(&[("bob", "pencil")]), org(&[("bob", "crayon")]));
        let check = async |org: &Org, name: &str, password: &str| match passwords
            .check(org, 0, name, password.as_bytes().to_vec())
            .await
        {
            Verdict::Right(user) => Some(user.name.to_string()),
            Verdict::Wrong | Verdict::Later => None,
        };
        assert_eq!(check(&before, "bob", "wrong").await, None);
        assert_eq!(check(&before, "mallory", "pencil").await, None, "nobody is never right");
        assert_eq!(check(&org(&[]), "mallory", "pencil").await, None);
        assert!(passwords.shared.right().young.is_empty());
        assert_eq!(check(&before, "BOB", "pencil").await.as_deref(), Some("bob"));
        assert!(passwords.shared.right().contains(&passwords.print(before.user("bob").unwrap(), b"pencil")));
        assert_eq!(check(&before, "mallory", "pencil").await, None, "not even from memory");
        assert_eq!(check(&after, "bob", "pencil").await, None);
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
