//! Links between the nodes of an organization: one TLS 1.3 connection per pair, certificates at both ends, many channels on it.
//!
//! Owns who is linked, why not, and since when. Knows nothing of what channels carry: whoever has something to say to the same part of
//! another node opens a channel of its kind ([`Peers::open`]), serves those that others open ([`Peers::serve`]), or asks a question
//! ([`Peers::ask`]). Always holds: a pair has one link; only nodes that our authority signed for, and that the book names, are heard.

mod book;
mod channel;
mod dial;
mod hello;
mod link;
mod mail_links;
mod meet;
mod places;
mod refusals;
mod shown;
mod talk;
mod tls;
mod trouble;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use directory::Peer;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};
use world::World;

use crate::listen::accept_until;
use book::{Book, Entry};
pub use channel::Channel;
use hello::{Hello, PROTOCOL};
pub use mail_links::MailCertificates;
use places::Places;
use refusals::Refusals;
pub use talk::NoAnswer;
pub use tls::LinkTls;
use trouble::Trouble;

/// The links of this node. Cheap to clone.
#[derive(Clone)]
pub struct Peers {
    inner: Arc<Inner>,
}

/// What all links share.
struct Inner {
    world: World,
    /// Our own name, lower case.
    node: Arc<str>,
    /// A random number of this life of the process.
    life: u64,
    tls: Arc<LinkTls>,
    heartbeat_ms: u64,
    missed_max: u32,
    book: Book,
    refusals: Refusals,
    /// Who serves which kind of channel.
    served: Mutex<HashMap<&'static str, mpsc::Sender<Channel>>>,
    /// Strangers whose certificate is being looked at.
    places: Arc<Places>,
    stop: watch::Sender<bool>,
}

impl Peers {
    /// Listens for the links of others and dials those that `settings` names. Call it inside a tokio runtime.
    pub fn start(
        world: &World,
        node: &str,
        settings: &directory::Peers,
        tls: Arc<LinkTls>,
        listener: TcpListener,
    ) -> Peers {
        let (stop, stopped) = watch::channel(false);
        let inner = Arc::new(Inner {
            world: world.clone(),
            node: node.to_ascii_lowercase().into(),
            life: world.chance.u64(),
            tls,
            heartbeat_ms: settings.heartbeat_ms,
            missed_max: settings.missed_heartbeats_max,
            book: Book::default(),
            refusals: Refusals::default(),
            served: Mutex::default(),
            places: Arc::default(),
            stop,
        });
        let answering = inner.clone();
        tokio::spawn(accept_until(Arc::new(listener), stopped, move |stream, remote| {
            let inner = answering.clone();
            async move { inner.answer(stream, remote).await }
        }));
        let peers = Peers { inner };
        peers.follow(&settings.known);
        peers
    }

    /// Makes these the nodes that there are: dials new ones, ends the links of those that are not in the list any more.
    pub fn follow(&self, known: &[Peer]) {
        let inner = &self.inner;
        let mut entries = inner.book.entries();
        entries.retain(|name, entry| {
            let stays = known.iter().any(|peer| peer.name == **name && peer.address == entry.address);
            if !stays {
                entry.dialer.abort();
                entry.up.iter().for_each(|up| {
                    up.end.send_replace(Some("the node has left the list, or has another address"));
                });
            }
            stays
        });
        for peer in known.iter().filter(|peer| *peer.name != *inner.node) {
            let name: Arc<str> = peer.name.as_str().into();
            if entries.contains_key(&name) {
                continue;
            }
            let dialer = tokio::spawn(dial::keep(inner.clone(), name.clone(), peer.address.clone())).abort_handle();
            let (address, since_ms) = (peer.address.clone(), inner.world.clock.wall_ms());
            let entry = Entry { address, up: None, since_ms, last_error: None, links: 0, bytes: (0, 0), dialer };
            entries.insert(name, entry);
        }
        drop(entries);
        inner.book.changed();
    }

    /// Our own name, as certificates and the book have it.
    pub fn node(&self) -> &str {
        &self.inner.node
    }

    /// Whether there is a link to `peer` now.
    pub fn is_up(&self, peer: &str) -> bool {
        self.inner.book.up(peer).is_some()
    }

    /// Changes whenever a link comes or goes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.book.changes()
    }

    /// Uses the certificates as they are in their files now. Blocks for reading them.
    pub fn renew_certificates(&self) {
        match self.inner.tls.renew() {
            Ok(true) => info!("the certificates of peer links were loaded again"),
            Ok(false) => {}
            Err(error) => tracing::error!("{error}; links go on with the certificates of before"),
        }
    }

    /// Ends all links and makes no new ones; waits until the other ends have been told, or for [`FAREWELL_ALL`]. What is under way on
    /// channels is cut off.
    pub async fn stop(&self) {
        let mut changes = self.inner.book.changes();
        self.inner.stop.send_replace(true);
        for entry in self.inner.book.entries().values() {
            entry.dialer.abort();
            entry.up.iter().for_each(|up| {
                up.end.send_replace(Some("the node is going down"));
            });
        }
        let told = async {
            while self.inner.book.entries().values().any(|entry| entry.up.is_some()) {
                // The book lives as long as we do.
                let _ = changes.changed().await;
            }
        };
        // One who does not listen finds out by himself.
        let _ = tokio::time::timeout(FAREWELL_ALL, told).await;
    }
}

impl Inner {
    /// A connection that somebody made.
    async fn answer(self: Arc<Inner>, stream: tokio::net::TcpStream, remote: std::net::SocketAddr) {
        let Some(_place) = self.places.take(remote.ip()) else {
            self.trouble("", &remote.ip().to_string(), &Trouble::Busy);
            return;
        };
        if let Err((claimed, trouble)) = meet::answered(&self, stream, remote).await {
            // What a certificate says that was not believed is a hint and no more.
            let claimed = claimed.unwrap_or_default();
            let whom =
                if claimed.is_empty() { remote.ip().to_string() } else { format!("{claimed} from {}", remote.ip()) };
            self.trouble(&claimed, &whom, &trouble);
        }
    }

    /// Counts it, keeps it for `posthouse status`, and says it in the log, at most once a minute.
    fn trouble(&self, peer: &str, whom: &str, trouble: &Trouble) {
        let now_ms = self.world.clock.wall_ms();
        let sentence = trouble.sentence(&self.tls);
        self.book.went_wrong(peer, now_ms, &sentence);
        let Some(kept_back) = self.refusals.count(self.world.clock.mono_ms(), whom, trouble) else { return };
        let again =
            if kept_back == 0 { String::new() } else { format!(" ({kept_back} times more since this was said)") };
        match trouble.wants_a_person() {
            true => warn!(peer, reason = trouble.word(), "no link with {whom}: {sentence}{again}"),
            false => info!(peer, reason = trouble.word(), "no link with {whom}: {sentence}{again}"),
        }
    }

    fn hello(&self, wants: Option<String>, refuses: Option<String>) -> Hello {
        Hello {
            protocol: PROTOCOL,
            node: self.node.to_string(),
            life: self.life,
            version: env!("CARGO_PKG_VERSION").into(),
            wants,
            refuses,
        }
    }

    /// Somebody at the other end wants to talk to a part of ours.
    fn opened(&self, channel: Channel) {
        let served = self.served.lock().unwrap_or_else(PoisonError::into_inner).get(channel.kind()).cloned();
        match served.map(|to| to.try_send(channel)) {
            Some(Ok(())) => {}
            Some(Err(mpsc::error::TrySendError::Full(channel))) => channel.reset("busy: too many are waiting"),
            Some(Err(mpsc::error::TrySendError::Closed(channel))) => channel.reset("this node serves it no more"),
            None => {}
        }
    }
}

const FAREWELL_ALL: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
