//! Mail in: joins a connection, an [`smtp::server`] session, the directory and the spool.
//!
//! Owns the order of things on a connection (PROXY header, choice of connector, limits, TLS, session) and the answers to a session's
//! moments. Knows no listener, no file and no queue behind the spool.
//! Always holds: a message is answered 250 by its [`mail::Receipt`] and by nothing else; a peer that is not trusted changes no address; a
//! session keeps the policy that it started with; one that waits for its peer holds no read buffer and no thread.

mod buffer;
mod socket;
mod stop;
#[cfg(test)]
pub(crate) mod testing;
mod wire;

use crate::auth::Passwords;
use crate::limits::Doors;
use crate::swap::Swap;
use crate::tls::Certificates;
use directory::Org;
use mail::{Recorder, Reply};
use spool::Spool;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use world::World;

/// What the receiving side needs. All of it may be in use elsewhere too.
pub struct Shared {
    /// Clock and chance.
    pub world: World,
    /// Where mail goes.
    pub spool: Spool,
    /// The organization that new sessions meet. Store a new one to reload.
    pub org: Arc<Swap<Org>>,
    /// The certificate that new TLS sessions get.
    pub certificates: Arc<Certificates>,
    /// Whether the node takes mail now.
    pub readiness: Arc<dyn Readiness>,
    /// Where RECEIVE and REFUSE events go.
    pub recorder: Arc<dyn Recorder>,
    /// Counters of connections and rates: `Doors::new(node.limits.connections_max, node.limits.connection_rate_per_minute)`.
    pub doors: Doors,
    /// Checks passwords: `Passwords::new(&*world.chance)`.
    pub passwords: Passwords,
}

/// The one health truth, as far as receiving asks for it.
pub trait Readiness: Send + Sync {
    /// Whether mail can be taken durably now. If not: what the peer hears in place of a greeting (a 421) and, in sessions that are open, at
    /// MAIL. Asked for each connection and each message: must be quick.
    fn can_accept(&self) -> Result<(), Reply>;
}

/// Serves connections. Cheap to clone. Make it after the metrics recorder was installed.
#[derive(Clone)]
pub struct Receiver {
    shared: Arc<Shared>,
}

impl Receiver {
    /// A receiver.
    pub fn new(shared: Arc<Shared>) -> Receiver {
        Receiver { shared }
    }

    /// Serves one connection to its end; run it as a task of its own. `local` and `peer` are those of the socket.
    pub async fn serve(&self, stream: TcpStream, local: SocketAddr, peer: SocketAddr) {
        let _ = (&self.shared, stream, local, peer);
        todo!()
    }

    /// Ends all sessions: those that are idle hear 421 4.3.2 now, those in the middle of a message have `grace` to finish it. Connections that
    /// come later are turned away.
    pub fn stop(&self, grace: Duration) {
        let _ = grace;
        todo!()
    }

    /// Completes when no session is open any more. After [`stop`](Self::stop) that is `grace` and a little later at the latest.
    pub async fn stopped(&self) {
        todo!()
    }
}
