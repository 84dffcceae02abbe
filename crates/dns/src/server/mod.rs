//! The server: sockets, threads and tasks around the answers.
//!
//! Owns what is listened on and which zones are answered from; both change while it runs. Knows neither the document nor health.
//! Always holds: what is published is answered by the next message, whole; answers go out from the address that was asked.

mod count;
mod secondaries;
mod tcp;
mod tell;
mod udp;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::watch;
use world::World;

use crate::rate::{RateLimit, Rates};
use crate::zones::Zones;
pub use count::describe;
use secondaries::Secondaries;
pub use secondaries::Secondary;
pub use tcp::TcpBounds;
use tell::Teller;
use udp::UdpThreads;

/// What a server is made with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Threads that answer over UDP, for each address.
    pub threads: usize,
    /// How often the same answer goes out over UDP.
    pub rate: RateLimit,
    /// Bounds of connections.
    pub tcp: TcpBounds,
}

/// A server of zones. Dropped, it ends.
pub struct Server {
    shared: Arc<Shared>,
    open: Mutex<BTreeMap<SocketAddr, Listening>>,
    teller: Teller,
}

/// What all sockets answer from.
struct Shared {
    world: World,
    settings: Settings,
    zones: RwLock<Arc<Zones>>,
    /// Raised after each change of `zones`.
    version: AtomicU64,
    rates: Rates,
    secondaries: Secondaries,
    connections: tcp::Connections,
}

/// The sockets of one address. Dropped, they close.
struct Listening {
    _udp: UdpThreads,
    /// Dropped: no further connection is taken.
    _tcp: watch::Sender<()>,
}

impl Server {
    /// A server without zones that listens nowhere. Call it inside a tokio runtime.
    pub fn new(world: World, settings: Settings) -> Server {
        let rates = Rates::new(settings.rate.clone(), world.chance.u64());
        let connections = tcp::Connections::new(settings.tcp.clone());
        let shared = Shared {
            world,
            settings,
            zones: RwLock::default(),
            version: AtomicU64::new(0),
            rates,
            secondaries: Secondaries::default(),
            connections,
        };
        let shared = Arc::new(shared);
        Server { teller: Teller::new(shared.clone()), shared, open: Mutex::default() }
    }

    /// Listens on these addresses and no others. Says which cannot be had, and why; an address that the machine does not have yet
    /// can: it is answered on as soon as it comes. Call it inside a tokio runtime.
    pub fn listen(&self, addresses: &[SocketAddr]) -> Vec<(SocketAddr, io::Error)> {
        let mut open = self.open();
        open.retain(|address, _| addresses.contains(address));
        let mut missing = Vec::new();
        for &address in addresses {
            if open.contains_key(&address) {
                continue;
            }
            match Listening::start(address, &self.shared) {
                Ok(listening) => drop(open.insert(address, listening)),
                Err(error) => missing.push((address, error)),
            }
        }
        self.teller.send_from(&open.keys().map(SocketAddr::ip).collect::<Vec<IpAddr>>());
        missing
    }

    /// The addresses that it listens on.
    pub fn listening(&self) -> Vec<SocketAddr> {
        self.open().keys().copied().collect()
    }

    /// Answers from these zones from now on; the secondaries of those that have another serial are told.
    pub fn publish(&self, zones: Arc<Zones>) {
        let before = {
            let mut current = self.shared.zones.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *current, zones.clone())
        };
        self.shared.version.fetch_add(1, Ordering::Release);
        self.shared.secondaries.retain(&zones);
        self.teller.tell(&before, &zones);
    }

    /// The zones that are answered from.
    pub fn zones(&self) -> Arc<Zones> {
        self.shared.zones()
    }

    /// What is known of secondaries.
    pub fn secondaries(&self) -> Vec<Secondary> {
        self.shared.secondaries.all()
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Listening>> {
        // A map of whole values; nobody panics while holding it.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn zones(&self) -> Arc<Zones> {
        self.zones.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For signatures, seconds since 1970.
    fn now_s(&self) -> u64 {
        self.world.clock.wall_ms() / 1_000
    }
}

impl Listening {
    fn start(address: SocketAddr, shared: &Arc<Shared>) -> io::Result<Listening> {
        // TCP first: it says "in use" where another program has the address; UDP sockets that share a port do not.
        let tcp = tcp::listen(address, shared)?;
        Ok(Listening { _udp: UdpThreads::start(address, shared)?, _tcp: tcp })
    }
}

/// A socket of this kind for an address, that may be bound before the machine has the address.
fn socket(address: SocketAddr, kind: socket2::Type) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), kind, None)?;
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_freebind_v6(true)?;
        }
    }
    Ok(socket)
}
