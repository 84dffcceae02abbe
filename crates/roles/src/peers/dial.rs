//! Owns the attempts to reach one other node: when to dial, how long to wait after a failure, and when a link needs new certificates.
//!
//! The node with the smaller name dials. The other one dials only after the pair has had no link for [`PATIENCE_MS`]: so a link comes up
//! even where one direction is closed, and two dial at once only seldom.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use directory::{Host, HostPort};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use world::{Chance, World};

use super::Inner;
use super::book::Facts;
use super::meet::{Role, dialed};
use super::trouble::Trouble;

/// Why a link is wanted.
pub enum Need {
    /// There is none.
    Link,
    /// The certificates of the present one end, at these Unix milliseconds.
    Fresh(u64),
}

/// Keeps a link to `peer`, as long as the task lives.
pub async fn keep(inner: Arc<Inner>, peer: Arc<str>, address: HostPort) {
    let mut backoff = Backoff::default();
    loop {
        let need = need(&inner, &peer).await;
        // A link that came and went at once is a failure as well.
        sleep(backoff.wait(&*inner.world.chance)).await;
        if matches!(need, Need::Link) && inner.book.up(&peer).is_some() {
            continue;
        }
        let began_ms = inner.world.clock.mono_ms();
        let trouble = match attempt(&inner, &peer, &address, &need).await {
            Ok(()) => {
                lives(&inner, &peer).await;
                if inner.world.clock.mono_ms() - began_ms > STEADY_MS {
                    backoff = Backoff::default();
                }
                continue;
            }
            Err(trouble) => trouble,
        };
        inner.trouble(&peer, &format!("{peer} at {address}"), &trouble);
        if let Need::Fresh(_) = need {
            sleep(FRESH_AGAIN).await;
        }
    }
}

/// Waits until a link is wanted.
async fn need(inner: &Inner, peer: &str) -> Need {
    let mut changes = inner.book.changes();
    let dials_first = *inner.node < *peer;
    let mut patience = !dials_first;
    loop {
        changes.mark_unchanged();
        let up = inner.book.up(peer);
        let wait = match &up {
            None if patience => PATIENCE_MS + inner.world.chance.below(PATIENCE_MS / 2),
            None => return Need::Link,
            Some(up) if dials_first => match fresh_in_ms(&up.facts, &inner.world) {
                0 => return Need::Fresh(up.facts.valid_until_ms),
                ms => ms,
            },
            Some(_) => u64::MAX,
        };
        let waited = async {
            match wait {
                u64::MAX => pending().await,
                ms => sleep(Duration::from_millis(ms)).await,
            }
        };
        tokio::select! {
            () = waited => patience = patience && up.is_some(),
            // The book lives as long as we do.
            _ = changes.changed() => patience = !dials_first,
        }
    }
}

/// Waits while the pair has a link that needs nothing.
async fn lives(inner: &Inner, peer: &str) {
    let mut changes = inner.book.changes();
    while let Some(up) = inner.book.up(peer) {
        let fresh_in = Duration::from_millis(fresh_in_ms(&up.facts, &inner.world));
        if fresh_in.is_zero() {
            return;
        }
        tokio::select! { () = sleep(fresh_in) => return, _ = changes.changed() => {} }
    }
}

/// Milliseconds until a link should be made anew because a certificate of it ends; an hour before, or a quarter of a shorter life.
fn fresh_in_ms(facts: &Facts, world: &World) -> u64 {
    let margin_ms = (facts.valid_until_ms.saturating_sub(facts.since_ms) / 4).min(FRESH_MS_MAX);
    // A timer of months is of no use: the clock may be set meanwhile.
    (facts.valid_until_ms - margin_ms).saturating_sub(world.clock.wall_ms()).min(FRESH_MS_MAX)
}

/// One attempt; `Ok` when there is a link, this one or another.
pub async fn attempt(inner: &Arc<Inner>, peer: &Arc<str>, address: &HostPort, need: &Need) -> Result<(), Trouble> {
    let unreachable = |error: std::io::Error| Trouble::Unreachable(error.to_string());
    let connecting = async {
        match &address.host {
            Host::Ip(ip) => TcpStream::connect((*ip, address.port)).await,
            Host::Name(name) => TcpStream::connect((&**name, address.port)).await,
        }
    };
    let stream = timeout(CONNECT, connecting).await;
    let stream = stream.map_err(|_| Trouble::Unreachable("no answer".into()))?.map_err(unreachable)?;
    let after_ms = match need {
        Need::Link => 0,
        Need::Fresh(until_ms) => *until_ms,
    };
    dialed(inner, stream, Role::Dialer { wanted: peer.clone(), valid_after_ms: after_ms }).await
}

/// Longer and longer pauses, never the same for two nodes.
#[derive(Default)]
struct Backoff {
    tries: u32,
}

impl Backoff {
    fn wait(&mut self, chance: &dyn Chance) -> Duration {
        if self.tries == 0 {
            self.tries = 1;
            return Duration::ZERO;
        }
        let longest_ms = (BACKOFF_MS << (self.tries - 1).min(16)).min(BACKOFF_MS_MAX);
        self.tries += 1;
        Duration::from_millis(longest_ms / 2 + chance.below(longest_ms / 2 + 1))
    }
}

const CONNECT: Duration = Duration::from_secs(5);
const PATIENCE_MS: u64 = 1_500;
const BACKOFF_MS: u64 = 100;
const BACKOFF_MS_MAX: u64 = 5_000;
/// A link that lived so long was a good one.
const STEADY_MS: u64 = 5_000;
const FRESH_MS_MAX: u64 = 3_600_000;
const FRESH_AGAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_differ() {
        let (world, _) = World::simulated(3);
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..40).map(|_| backoff.wait(&*world.chance).as_millis() as u64).collect();
        assert_eq!(waits[0], 0);
        assert!((50..=100).contains(&waits[1]) && (100..=200).contains(&waits[2]), "{waits:?}");
        assert!(waits[8..].iter().all(|ms| (2_500..=5_000).contains(ms)), "{waits:?}");
        assert!(waits[8..].windows(2).any(|pair| pair[0] != pair[1]));
    }
}
