//! Owns the key that shows this node to the others: written under each new lease and at each change. Knows no ownership.
//! Always holds: another live node with our name, but with another disk, is never overwritten.

use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::etcd::{Client, Error, LeaseState, Txn};
use crate::keys::Keys;
use crate::record::{Member, NodeRecord};

/// Whether the others can see this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announced {
    /// Not yet, or not any more.
    No,
    /// Under this lease.
    Under(i64),
    /// A live node has our name and another disk. One of the two must get another name; until then we are not in the cluster.
    Clash,
}

pub(super) struct Announcer {
    client: Client,
    keys: Keys,
    me: Member,
    lease: watch::Receiver<LeaseState>,
    record: watch::Receiver<NodeRecord>,
    announced: watch::Sender<Announced>,
}

impl Announcer {
    pub fn new(
        client: Client,
        keys: Keys,
        me: Member,
        lease: watch::Receiver<LeaseState>,
        record: watch::Receiver<NodeRecord>,
    ) -> (Announcer, watch::Receiver<Announced>) {
        let (announced, told) = watch::channel(Announced::No);
        (Announcer { client, keys, me, lease, record, announced }, told)
    }

    pub async fn run(mut self) {
        // What stands in etcd: the lease it is under and what it says.
        let mut there: Option<(i64, NodeRecord)> = None;
        loop {
            let lease = match &*self.lease.borrow_and_update() {
                LeaseState::Held(held) => Some(held.id),
                _ => None,
            };
            let record = self.record.borrow_and_update().clone();
            let mut again = false;
            match lease {
                None => {
                    there = None;
                    self.tell(Announced::No);
                }
                Some(lease) if there.as_ref() != Some(&(lease, record.clone())) => {
                    match self.write(lease, &record).await {
                        Ok(true) => {
                            there = Some((lease, record));
                            self.tell(Announced::Under(lease));
                        }
                        Ok(false) => {
                            self.tell(Announced::Clash);
                            again = true;
                        }
                        Err(_) => again = true,
                    }
                }
                Some(_) => {}
            }
            tokio::select! {
                changed = self.lease.changed() => if changed.is_err() { return },
                changed = self.record.changed() => if changed.is_err() { return },
                () = sleep(AGAIN), if again => {}
            }
        }
    }

    /// Writes our key; `false`: another node's is there.
    async fn write(&self, lease: i64, record: &NodeRecord) -> Result<bool, Error> {
        let key = self.keys.node(&self.me.node);
        let (_, there) = self.client.get(&key).await?;
        let at = there.as_ref().map_or(0, |kv| kv.mod_revision);
        if let Some(other) = there.and_then(|kv| serde_json::from_slice::<NodeRecord>(&kv.value).ok())
            && other.disk != self.me.disk
        {
            return Ok(false);
        }
        let value = serde_json::to_vec(record).map_err(|error| Error::Refused(error.to_string()))?;
        let decided = self.client.decide(&Txn::new().if_at(&key, at).put(&key, &value, lease)).await?;
        // Somebody was between: look again.
        if decided.done { Ok(true) } else { Err(Error::NoLeader("the key changed meanwhile".into())) }
    }

    fn tell(&self, now: Announced) {
        self.announced.send_if_modified(|before| {
            if *before == now {
                return false;
            }
            match &now {
                Announced::Under(_) => info!(node = %self.me, "this node is in the cluster"),
                Announced::No => warn!(node = %self.me, "this node's lease may be gone; the others may not see it"),
                Announced::Clash => warn!(
                    node = %self.me,
                    "another node with this name and another disk is in the cluster: give one of the two another name, \
                     or wait until its lease has ended"
                ),
            }
            *before = now;
            true
        });
    }
}

/// Until a failed or refused write is tried again.
const AGAIN: Duration = Duration::from_millis(500);
