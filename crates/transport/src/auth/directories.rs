//! Users of LDAP directories: found by their name, proved by a bind.
//!
//! Always holds: a password is believed no longer than the document says, then the server is asked again; no password is kept, only a
//! keyed hash of one that was right; an empty one never leaves this process; a name that nobody has costs the server the same requests.

use super::passwords::{CACHE_MAX, Verdict, digest};
use crate::ldap::{Bound, Session, Trouble};
use crate::tls_client::TlsClient;
use aws_lc_rs::hmac;
use directory::ldap::{Directory, Found, Logon, Server, Told};
use directory::{Org, Password, SenderPattern, User};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Logons that ask a directory at the same time: each has a connection.
pub const LOGONS_AT_ONCE_MAX: usize = 32;

/// How long a logon may take at all servers of a directory.
pub const LOGON_TIMEOUT: Duration = Duration::from_secs(15);

/// Checks passwords by binding.
pub(super) struct Directories {
    key: hmac::Key,
    /// None: this build has no TLS, and nothing can be asked.
    tls: Option<TlsClient>,
    at_once: Semaphore,
    right: Mutex<Right>,
}

/// Who was right, until when (monotonic milliseconds). Two generations: the older one goes when the younger one is full.
#[derive(Default)]
struct Right {
    young: HashMap<[u8; 32], (Arc<User>, u64)>,
    old: HashMap<[u8; 32], (Arc<User>, u64)>,
    /// The server of each directory that answered last.
    servers: HashMap<Arc<str>, usize>,
}

impl Directories {
    pub fn new(key: hmac::Key) -> Directories {
        Directories {
            key,
            tls: TlsClient::new().ok(),
            at_once: Semaphore::new(LOGONS_AT_ONCE_MAX),
            right: Mutex::default(),
        }
    }

    /// Asks each directory whose users may log on. `now_ms` is monotonic.
    pub async fn check(&self, org: &Org, now_ms: u64, name: &str, password: &[u8]) -> Verdict {
        if name.is_empty() || password.is_empty() {
            return Verdict::Wrong;
        }
        let mut answer = Verdict::Wrong;
        for directory in &org.directories {
            let Some(logon) = &directory.logon else { continue };
            let print = digest(&self.key, &[b"directory", directory.name.as_bytes(), name.as_bytes(), password]);
            if let Some(user) = self.right().get(&print, now_ms) {
                return Verdict::Right(user);
            }
            match timeout(LOGON_TIMEOUT, self.ask(directory, logon, name, password)).await {
                Ok(Verdict::Right(user)) => {
                    self.right().insert(print, user.clone(), now_ms + logon.cache_ms);
                    return Verdict::Right(user);
                }
                Ok(Verdict::Wrong) => {}
                Ok(Verdict::Later) | Err(_) => answer = Verdict::Later,
            }
        }
        answer
    }

    /// Asks one server after the other, beginning with the one that answered last.
    async fn ask(&self, directory: &Directory, logon: &Logon, name: &str, password: &[u8]) -> Verdict {
        let (Some(tls), Ok(_permit)) = (&self.tls, self.at_once.acquire().await) else { return Verdict::Later };
        let first = self.right().servers.get(&directory.name).copied().unwrap_or_default();
        for turn in 0..directory.servers.len() {
            let at = (first + turn) % directory.servers.len();
            match bind(tls, directory, &directory.servers[at], logon, name, password).await {
                Ok(found) => {
                    self.right().servers.insert(directory.name.clone(), at);
                    return found.and_then(|found| user(directory, &found)).map_or(Verdict::Wrong, Verdict::Right);
                }
                Err(trouble) => {
                    tracing::warn!("directory {}, server {}: {trouble}", directory.name, directory.servers[at]);
                }
            }
        }
        Verdict::Later
    }

    fn right(&self) -> MutexGuard<'_, Right> {
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds the user and binds with the password.
async fn bind(
    tls: &TlsClient,
    directory: &Directory,
    server: &Server,
    logon: &Logon,
    name: &str,
    password: &[u8],
) -> Result<Option<Found>, Trouble> {
    let mut session = Session::open(tls, directory, server).await?;
    let found = session.user(logon, name).await?;
    // A name that nobody has is tried as somebody who is not there: both take as long.
    let nobody = format!("cn=nobody,{}", directory.base);
    let dn = found.as_ref().map_or(&nobody, |found| &found.dn);
    let bound = session.bind(dn, password).await?;
    session.close().await;
    Ok(found.filter(|_| bound == Bound::Yes))
}

/// A user who may send as any of the addresses that the entry has.
fn user(directory: &Directory, found: &Found) -> Option<Arc<User>> {
    let entry = Told::of(directory, found)?.entry;
    let senders = std::iter::once(&entry.address).chain(&entry.aliases);
    Some(Arc::new(User {
        name: entry.address.as_str().into(),
        password: Password::Directory(directory.name.clone()),
        may_send_as: senders.cloned().map(SenderPattern::Mailbox).collect(),
    }))
}

impl Right {
    fn get(&self, print: &[u8; 32], now_ms: u64) -> Option<Arc<User>> {
        let known = self.young.get(print).or_else(|| self.old.get(print))?;
        (now_ms < known.1).then(|| known.0.clone())
    }

    fn insert(&mut self, print: [u8; 32], user: Arc<User>, until_ms: u64) {
        if self.young.len() >= CACHE_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(print, (user, until_ms));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_right_is_forgotten_in_time_and_the_memory_is_bounded() {
        let user = |name: &str| {
            let password = Password::Directory("corp".into());
            Arc::new(User { name: name.into(), password, may_send_as: Vec::new() })
        };
        let mut right = Right::default();
        right.insert([1; 32], user("ann"), 100);
        assert_eq!(right.get(&[1; 32], 99).map(|user| user.name.to_string()).as_deref(), Some("ann"));
        assert!(right.get(&[1; 32], 100).is_none() && right.get(&[2; 32], 0).is_none());
        for i in 0..3 * CACHE_MAX as u64 {
            let mut print = [0; 32];
            print[..8].copy_from_slice(&i.to_le_bytes());
            right.insert(print, user("x"), 9);
        }
        assert!(right.young.len() <= CACHE_MAX && right.old.len() <= CACHE_MAX);
        // A later right password stands before an older one of the same print.
        right.insert([1; 32], user("ann"), 500);
        assert!(right.get(&[1; 32], 499).is_some());
    }
}
