//! From the spool to the next hops: pooled connections per hop, outcomes per recipient.
//!
//! Owns who talks to which next hop, how many connections it gets and what an answer means for a recipient. Keeps no message:
//! what it took from the spool it settles or gives back. One hop that hangs, refuses or is slow has its own tasks and its own
//! bound, so it never slows another.

mod bell;
mod border;
mod candidates;
mod center;
mod connect;
mod feed;
mod hop;
mod line;
mod link;
mod local;
mod metrics;
mod outbox;
mod parcel;
mod penalties;
mod plan;
mod remote;
mod servers;
mod session;
mod shaping;
mod slots;
mod store;
mod turns;
mod wire;

pub use bell::Bell;
pub use local::{Letter, LetterBody, LocalStore};
pub use shaping::{DestinationFigures, HeldBack, Shaping};

use self::center::Center;
use crate::dns::Resolver;
use crate::links::LinkCertificates;
use crate::swap::Swap;
use crate::tls_client::TlsClient;
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
    /// This node's certificate of the organization, for its other servers; `None`: it has none, and gives them nothing.
    pub links: Option<Arc<dyn LinkCertificates>>,
    /// Asks name servers.
    pub resolver: Resolver,
    /// Takes mail for Maildirs.
    pub store: Arc<dyn LocalStore>,
    /// Names of this node in lower case, the one that it goes by first: an MX host that bears one of them is ourselves (RFC 5321 5.1).
    pub own_names: Vec<String>,
    /// What all deliverers of the node share.
    pub shaping: Shaping,
    /// Most connections to all next hops together.
    pub connections_max: usize,
}

/// Delivers what the spool has. Cheap to clone.
#[derive(Clone)]
pub struct Deliverer {
    center: Arc<Center>,
}

impl Deliverer {
    /// Starts delivering what `bell` tells of. Call it inside a tokio runtime with several threads, after the metrics recorder was
    /// installed. An error is a fault of the TLS library as it was built.
    pub fn start(bell: &Bell, parts: Parts) -> Result<Deliverer, rustls::Error> {
        let center = Arc::new(Center::new(parts, TlsClient::new()?));
        let hearing = Arc::clone(&center);
        Center::follow_pauses(&center);
        bell.answer_with(Box::new(move |hop| hearing.ready(hop)));
        Ok(Deliverer { center })
    }

    /// Takes no more work, finishes what is in flight for at most `patience`, and gives the rest back to the spool.
    pub async fn stop(&self, patience: Duration) {
        self.center.stop(patience).await;
    }

    /// Connections to next hops that are open or being made now.
    pub fn connections(&self) -> usize {
        self.center.slots.taken()
    }
}
