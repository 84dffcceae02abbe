//! Owns the driver that holds one lease for this process, for ever, whatever etcd does. Knows no keys.
//! Always holds: what is published as held surely counts (see [`super::lease`]); a lost lease is never taken up again, a new
//! one has a new number.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use world::Clock;

use super::client::Client;
use super::error::Error;
use super::lease::{Due, Held, LeaseClock, PER_TTL, Turn};

/// What is known of our lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseState {
    /// None yet; with the last error, if there was one.
    Never(Option<Error>),
    /// It counts.
    Held(Held),
    /// It may be gone since this moment of the monotonic clock.
    Lost {
        /// Milliseconds.
        since_ms: u64,
    },
}

impl LeaseState {
    /// The lease, if it counts at `now_ms`.
    pub fn id(&self, now_ms: u64) -> Option<i64> {
        match self {
            LeaseState::Held(held) if now_ms < held.until_ms => Some(held.id),
            _ => None,
        }
    }
}

/// Holds a lease until it is dropped or [released](Keeper::release). Dropped, the lease lives on for its time.
pub struct Keeper {
    client: Client,
    state: watch::Receiver<LeaseState>,
    driver: JoinHandle<()>,
}

impl Keeper {
    /// Begins to hold a lease of `ttl_s` seconds.
    pub fn start(client: Client, ttl_s: u64, clock: Arc<dyn Clock>) -> Keeper {
        Keeper::start_with(client, ttl_s, PER_TTL, clock)
    }

    /// The same with so many keep-alives in a time to live.
    pub fn start_with(client: Client, ttl_s: u64, per_ttl: u64, clock: Arc<dyn Clock>) -> Keeper {
        Keeper::begin(client, ttl_s, clock, LeaseState::Never(None), LeaseClock::with(per_ttl))
    }

    /// Holds a lease on that another process of this machine has held until now, and holds no more.
    pub fn resume(client: Client, held: Held, per_ttl: u64, clock: Arc<dyn Clock>) -> Keeper {
        let ttl_s = held.ttl_ms.div_ceil(1_000);
        Keeper::begin(client, ttl_s, clock, LeaseState::Held(held), LeaseClock::resume(held, per_ttl))
    }

    fn begin(client: Client, ttl_s: u64, clock: Arc<dyn Clock>, known: LeaseState, lease: LeaseClock) -> Keeper {
        let (to, state) = watch::channel(known);
        let hurried = client.hurried(ttl_s * 1_000 / ATTEMPTS_PER_TTL);
        let driver = Driver { client: hurried, ttl_s, clock, to, lease };
        Keeper { client, state, driver: tokio::spawn(driver.run()) }
    }

    /// What is known of the lease, now and later.
    pub fn state(&self) -> watch::Receiver<LeaseState> {
        self.state.clone()
    }

    /// Gives the lease back, so that others need not wait for its end. For a planned stop.
    pub async fn release(self) {
        self.driver.abort();
        let held = match &*self.state.borrow() {
            LeaseState::Held(held) => Some(held.id),
            _ => None,
        };
        if let Some(id) = held {
            // If it fails, the lease ends by itself.
            let _ = self.client.revoke(id).await;
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

struct Driver {
    client: Client,
    ttl_s: u64,
    clock: Arc<dyn Clock>,
    to: watch::Sender<LeaseState>,
    lease: LeaseClock,
}

impl Driver {
    async fn run(mut self) {
        loop {
            let now_ms = self.clock.mono_ms();
            if let Some(turn) = self.lease.expired(now_ms) {
                self.publish(turn);
            }
            match self.lease.due(now_ms) {
                Due::Wait { until_ms } => sleep(Duration::from_millis(until_ms.saturating_sub(now_ms).max(1))).await,
                Due::Grant => self.grant(now_ms).await,
                Due::KeepAlive { id, until_ms } => self.keep_alive(id, now_ms, until_ms).await,
            }
        }
    }

    async fn grant(&mut self, sent_ms: u64) {
        let answer = self.client.grant(self.ttl_s).await;
        let now_ms = self.clock.mono_ms();
        match answer {
            Ok(lease) => match self.lease.granted(now_ms, sent_ms, lease) {
                Some(turn) => self.publish(turn),
                None => drop(self.lease.failed(now_ms)),
            },
            Err(error) => {
                self.lease.failed(now_ms);
                self.to.send_if_modified(|state| match state {
                    LeaseState::Never(why) if why.as_ref() != Some(&error) => {
                        *why = Some(error);
                        true
                    }
                    _ => false,
                });
            }
        }
    }

    async fn keep_alive(&mut self, id: i64, sent_ms: u64, until_ms: u64) {
        // Not longer than the lease lives: its end is to be told at its time, not when an endpoint gives up.
        let bound = Duration::from_millis(until_ms.saturating_sub(sent_ms));
        let answer = timeout(bound, self.client.keep_alive(id)).await;
        let now_ms = self.clock.mono_ms();
        let turn = match answer {
            Ok(Ok(ttl_ms)) => self.lease.kept(now_ms, sent_ms, ttl_ms),
            Ok(Err(Error::LeaseGone)) => self.lease.gone(now_ms),
            Ok(Err(_)) | Err(_) => self.lease.failed(now_ms),
        };
        if let Some(turn) = turn {
            self.publish(turn);
        }
    }

    fn publish(&self, turn: Turn) {
        self.to.send_replace(match turn {
            Turn::Gained(held) | Turn::Kept(held) => LeaseState::Held(held),
            Turn::Lost { since_ms, .. } => LeaseState::Lost { since_ms },
        });
    }
}

/// Endpoints that may be silent, one after the other, before a keep-alive is too late. A frozen etcd takes connections and says nothing,
/// and a live one says nothing until it has elected another leader.
const ATTEMPTS_PER_TTL: u64 = 6;
