//! From the spool to the next hops: pooled connections per hop, outcomes per recipient.
//!
//! Owns who talks to which next hop, how many connections it gets and what an answer means for a recipient. Keeps no message:
//! what it took from the spool it settles or gives back. One hop that hangs, refuses or is slow has its own tasks and its own
//! bound, so it never slows another.

mod bell;
mod local;

pub use bell::Bell;
pub use local::{Letter, LetterBody, LocalStore};

use crate::dns::Resolver;
use crate::swap::Swap;
use directory::Org;
use spool::Spool;
use std::sync::Arc;
use std::time::Duration;
use world::World;

/// What deliveries need.
pub struct Parts {
    /// Clock and chance.
    pub world: World,
    /// Where work comes from and outcomes go to.
    pub spool: Spool,
    /// The send connectors. A connector that changed counts for connections made from then on.
    pub org: Arc<Swap<Org>>,
    /// Asks name servers.
    pub resolver: Resolver,
    /// Takes mail for Maildirs.
    pub store: Arc<dyn LocalStore>,
    /// Names of this node in lower case: an MX host that bears one of them is ourselves (RFC 5321 5.1).
    pub own_names: Vec<String>,
    /// Most connections to all next hops together.
    pub connections_max: usize,
}

/// Delivers what the spool has. Cheap to clone.
#[derive(Clone)]
pub struct Deliverer {}

impl Deliverer {
    /// Starts delivering what `bell` tells of. Call it inside a tokio runtime, after the metrics recorder was installed.
    pub fn start(bell: &Bell, parts: Parts) -> Deliverer {
        let _ = (bell, parts);
        todo!()
    }

    /// Takes no more work, finishes what is in flight for at most `patience`, and gives the rest back to the spool.
    pub async fn stop(&self, patience: Duration) {
        let _ = patience;
        todo!()
    }

    /// Connections to next hops that are open now.
    pub fn connections(&self) -> usize {
        todo!()
    }
}
