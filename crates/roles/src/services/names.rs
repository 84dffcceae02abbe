//! Host names of members and servers as addresses, looked up again and again. Always holds: what was known last counts until something else
//! is known; names that nobody wants any more are forgotten; a name has at most [`ADDRESSES_MAX`] addresses.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use directory::Host;
use tokio::sync::Notify;
use tokio::task::{JoinSet, spawn_blocking};
use tracing::{info, warn};

use super::Shared;

/// The names that are wanted, and what is known of them.
#[derive(Default)]
pub struct Names {
    known: Mutex<BTreeMap<Box<str>, Known>>,
    /// There is a task that looks them up.
    is_renewed: AtomicBool,
    wanted: Notify,
}

#[derive(Default)]
struct Known {
    addresses: Vec<IpAddr>,
    /// Said already that it cannot be looked up.
    is_told: bool,
}

impl Names {
    /// These are wanted from now on, and no others. True: somebody must begin to [renew] them.
    pub fn want(&self, hosts: &[&Host]) -> bool {
        let names: Vec<&str> =
            hosts.iter().filter_map(|host| if let Host::Name(name) = host { Some(&**name) } else { None }).collect();
        let mut known = self.known();
        known.retain(|name, _| names.contains(&&**name));
        let mut has_new = false;
        for name in names {
            has_new |= !known.contains_key(name);
            known.entry(name.into()).or_default();
        }
        if has_new {
            self.wanted.notify_one();
        }
        !known.is_empty() && !self.is_renewed.swap(true, Ordering::Relaxed)
    }

    /// The addresses of a host, as far as they are known.
    pub fn addresses(&self, host: &Host) -> Vec<IpAddr> {
        match host {
            Host::Ip(ip) => vec![*ip],
            Host::Name(name) => self.known().get(name).map(|known| known.addresses.clone()).unwrap_or_default(),
        }
    }

    /// What was found of a name. True: it is something else than before.
    fn found(&self, name: &str, found: Result<Vec<IpAddr>, String>) -> bool {
        let mut all = self.known();
        let Some(known) = all.get_mut(name) else { return false };
        match found {
            Ok(mut addresses) => {
                addresses.sort();
                addresses.dedup();
                addresses.truncate(ADDRESSES_MAX);
                if std::mem::take(&mut known.is_told) {
                    info!(member = name, "can be looked up again");
                }
                let is_other = known.addresses != addresses;
                known.addresses = addresses;
                is_other
            }
            Err(why) => {
                if !std::mem::replace(&mut known.is_told, true) {
                    let before = if known.addresses.is_empty() {
                        "it has no address so far"
                    } else {
                        "its addresses of before are used"
                    };
                    warn!(member = name, "{why}; {before}; check the name in the document and the name servers");
                }
                false
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Box<str>, Known>> {
        // A map of whole values.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks all names up, now and then and when there are new ones, until it is aborted.
pub async fn renew(services: Arc<Shared>) {
    loop {
        let names: Vec<Box<str>> = services.names.known().keys().cloned().collect();
        let mut is_other = false;
        for some in names.chunks(AT_ONCE_MAX) {
            let mut asked = JoinSet::new();
            for name in some.iter().cloned() {
                let resolver = services.around.resolver.clone();
                asked.spawn(async move { (resolver.addresses(&name).await.map_err(|reply| reply.to_string()), name) });
            }
            while let Some(answer) = asked.join_next().await {
                // A panic ends the process before this is seen.
                let Ok((found, name)) = answer else { continue };
                is_other |= services.names.found(&name, found);
            }
        }
        if is_other {
            let of_task = services.clone();
            // It fails only by a panic, which ends the process.
            let _ = spawn_blocking(move || of_task.again(|_| true)).await;
        }
        let _ = tokio::time::timeout(AGAIN, services.names.wanted.notified()).await;
    }
}

/// Addresses of one name that count.
const ADDRESSES_MAX: usize = 16;
/// Names that are looked up at the same time.
const AT_ONCE_MAX: usize = 32;
/// A member that moved is found within this time.
const AGAIN: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_known_counts_until_something_else_is() {
        let names = Names::default();
        let (a, b) = (Host::Name("a.example".into()), Host::Name("b.example".into()));
        let ip = |last: u8| IpAddr::from([192, 0, 2, last]);
        assert!(!names.want(&[&Host::Ip(ip(1))]), "there is nothing to look up");
        assert!(names.want(&[&a, &b]), "somebody must begin");
        assert!(!names.want(&[&a, &b]), "somebody has begun");
        assert_eq!((names.addresses(&a), names.addresses(&Host::Ip(ip(1)))), (vec![], vec![ip(1)]));
        assert!(names.found("a.example", Ok(vec![ip(2), ip(1), ip(2)])));
        assert!(!names.found("a.example", Ok(vec![ip(1), ip(2)])), "the same in another order");
        assert!(!names.found("a.example", Err("no answer".into())));
        assert_eq!(names.addresses(&a), [ip(1), ip(2)]);
        assert!(names.found("a.example", Ok((0..100).map(ip).collect())));
        assert_eq!(names.addresses(&a).len(), ADDRESSES_MAX);
        names.want(&[&b]);
        assert!(!names.found("a.example", Ok(vec![ip(9)])), "nobody wants it any more");
        assert!(names.addresses(&a).is_empty());
    }
}
