//! Mail in: joins a connection, an [`smtp::server`] session, the directory and the spool.
//!
//! Owns the order of things on a connection (PROXY header, choice of connector, limits, TLS, session) and the answers to a session's
//! moments. Knows no listener, no file and no queue behind the spool.
//! Always holds: a message is answered 250 by its [`mail::Receipt`] and by nothing else; a peer that is not trusted changes no address; a
//! session keeps the policy that it started with; one that waits for its peer holds no read buffer and no thread.

mod buffer;
mod categorized;
mod handling;
mod incoming;
mod link;
mod logon;
mod probed;
mod proxy;
mod report;
mod session;
mod settings;
mod socket;
mod stop;
mod transaction;
mod visitor;
mod wire;

use self::proxy::{Front, NoHeader};
use self::session::Session;
use self::socket::Socket;
use self::stop::Stop;
use self::visitor::{TurnedAway, Visitor};
use self::wire::Wire;
use crate::auth::Passwords;
use crate::limits::Doors;
use crate::links::LinkCertificates;
use crate::swap::Swap;
use crate::tls::Certificates;
use directory::{Org, ReceiveTls};
use mail::{Recorder, Reply};
use spool::Spool;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use world::World;

/// What the receiving side needs. All of it may be in use elsewhere too.
pub struct Shared {
    /// Clock and chance.
    pub world: World,
    /// Where mail goes.
    pub spool: Spool,
    /// Copies that a message must have where its connector does not say.
    pub copies_by_default: u8,
    /// The organization that new sessions meet. Store a new one to reload.
    pub org: Arc<Swap<Org>>,
    /// The certificate that new TLS sessions get.
    pub certificates: Arc<Certificates>,
    /// This node's certificate of the organization, for connectors that are for its servers; `None`: it has none.
    pub links: Option<Arc<dyn LinkCertificates>>,
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
    /// Whether sessions are served now. If not: what the peer hears in place of a greeting (a 421). Asked for each connection: must be
    /// quick, as the other one.
    fn can_serve(&self) -> Result<(), Reply>;

    /// Whether mail of `asker` can be taken durably now, and for how long the answer to its MAIL is held back if it can. Asked at each
    /// MAIL, not at connect: who has not said anything cannot be told from others (behaviours 1.11).
    fn can_accept(&self, asker: Asker) -> Result<Duration, NotNow>;

    /// Whether a balancer should send clients here who are such askers, as far as the whole node is concerned. If not: why, in a word.
    fn for_probes(&self, asker: Asker) -> Result<(), &'static str>;
}

/// Who wants to hand mail in, in the order in which they are refused when the node is short of something: strangers first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Asker {
    /// Anybody.
    Stranger,
    /// A user who has authenticated, or an application that the connector lets relay.
    User,
    /// One of our own servers.
    Server,
}

/// Why mail is not taken now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotNow {
    /// The word in metrics and in the trace.
    pub reason: &'static str,
    /// What the peer hears.
    pub reply: Reply,
}

/// Serves connections. Cheap to clone. Make it after the metrics recorder was installed.
#[derive(Clone)]
pub struct Receiver {
    shared: Arc<Shared>,
    stop: Arc<Stop>,
}

/// How long a TLS handshake may take where TLS starts with the first byte.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(30);

impl Receiver {
    /// A receiver.
    pub fn new(shared: Arc<Shared>) -> Receiver {
        report::describe();
        Receiver { shared, stop: Arc::default() }
    }

    /// Serves one connection to its end; run it as a task of its own. `local` and `peer` are those of the socket.
    pub async fn serve(&self, mut stream: TcpStream, local: SocketAddr, peer: SocketAddr) {
        let _open = self.stop.session();
        let (local, peer) = (canonical(local), canonical(peer));
        // A reply is a small packet that somebody waits for. Without the option it works too, only later.
        let _ = stream.set_nodelay(true);
        let org = self.shared.org.load();
        let mut front = Front { client: None, is_probe: false, ahead: Vec::new() };
        if org.expects_proxy_header(local, peer.ip()) {
            front = match proxy::read_header(&mut stream).await {
                Ok(front) => front,
                Err(why) => return self.no_header(peer, why),
            };
        }
        if front.is_probe
            && let Some(connector) = org.connector_for_probe(local, peer.ip())
        {
            let connector = connector.clone();
            return self.probed(Socket::new(stream, front.ahead), local, peer, (org, connector)).await;
        }
        let client = front.client.map_or(peer, canonical);
        let now_ms = self.shared.world.clock.mono_ms();
        match Visitor::enter(org, &self.shared.doors, local, client, now_ms) {
            Ok(mut visitor) => {
                visitor.behind_proxy = front.client.is_some();
                self.welcome(Socket::new(stream, front.ahead), local, visitor).await;
            }
            Err(why) => self.turn_away(stream, client, why).await,
        }
    }

    /// Ends all sessions: those that are idle hear 421 4.3.2 now, those in the middle of a message have `grace` to finish it. Connections that
    /// come later are turned away.
    pub fn stop(&self, grace: Duration) {
        self.stop.begin(grace);
    }

    /// The same for a restart: whoever has not brought a message yet may bring one, and a transaction is finished, before the 421; and
    /// nobody who is silent meanwhile is waited for.
    pub fn finish(&self, grace: Duration) {
        self.stop.begin_softly(grace);
    }

    /// Completes when no session is open any more. After [`stop`](Self::stop) that is `grace` and a little later at the latest.
    pub async fn stopped(&self) {
        self.stop.sessions_over().await;
    }

    async fn welcome(&self, socket: Socket, local: SocketAddr, mut visitor: Visitor) {
        let limits = &visitor.connector.limits;
        let idle = Duration::from_millis(limits.idle_timeout_ms);
        let session = Duration::from_millis(limits.session_timeout_ms);
        let mut wire = Wire::new(socket, self.stop.clone(), idle.min(HANDSHAKE_TIME_MAX), session);
        if visitor.connector.tls == ReceiveTls::Implicit {
            if let Err(end) = wire.start_tls(self.shared.certificates.acceptor()).await {
                report::handshake_failed(&visitor.peer_text, &end);
                return;
            }
            visitor.under_tls(wire.tls().unwrap_or_default());
            report::handshake(&visitor.tls);
        }
        if visitor.connector.tls == ReceiveTls::Organization {
            let Some(admitted) = link::admit(&self.shared, wire, &mut visitor).await else { return };
            wire = admitted;
        }
        wire.set_timeouts(idle, session);
        Session::new(&self.shared, local, wire, visitor).run().await;
    }

    async fn turn_away(&self, mut stream: TcpStream, client: SocketAddr, why: TurnedAway) {
        let (reason, reply) = why.refusal();
        report::turned_away(&*self.shared.recorder, &client.to_string(), reason, &reply);
        let mut line = Vec::new();
        reply.write_to(&mut line, true);
        // One line fits into the socket's buffer: there is nothing to wait for, and nobody to tell if it does not.
        let _ = stream.try_write(&line);
        let _ = stream.shutdown().await;
    }

    /// A balancer without its header. It hears nothing: whatever is behind it could be anybody.
    fn no_header(&self, peer: SocketAddr, why: NoHeader) {
        let reply = session::stopping();
        let reason = match why {
            NoHeader::Bad => "proxy_header_bad",
            NoHeader::Late => "proxy_header_late",
        };
        report::turned_away(&*self.shared.recorder, &peer.to_string(), reason, &reply);
    }
}

/// IPv4 addresses are written as such, however the socket got them.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod proofs;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) mod testing;
