//! The server: sockets, threads and tasks around the answers.
//!
//! Owns what is listened on and which zones are answered from; both change while it runs. Knows neither the document nor health.
//! Always holds: what is published is answered by the next message, whole; answers go out from the address that was asked; sockets that
//! another process has had are used with what waits in them.

mod count;
mod secondaries;
mod tcp;
mod tell;
mod udp;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use world::World;

use crate::rate::{RateLimit, Rates};
use crate::zones::Zones;
pub use count::describe;
use secondaries::Secondaries;
pub use secondaries::Secondary;
use tcp::Door;
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
    /// Connections end once they are answered.
    ends: watch::Sender<bool>,
}

/// The sockets of one address. Dropped, they close.
struct Listening {
    udp: UdpThreads,
    tcp: Door,
}

/// Sockets of an address that another process has listened on until now.
#[derive(Debug, Default)]
pub struct Inherited {
    /// For connections.
    pub tcp: Option<OwnedFd>,
    /// For datagrams: all that there are, for the kernel spreads over all of them.
    pub udp: Vec<OwnedFd>,
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
            ends: watch::Sender::new(false),
        };
        let shared = Arc::new(shared);
        Server { teller: Teller::new(shared.clone()), shared, open: Mutex::default() }
    }

    /// Listens on these addresses and no others. Says which cannot be had, and why; an address that the machine does not have yet
    /// can: it is answered on as soon as it comes. Call it inside a tokio runtime.
    pub fn listen(&self, addresses: &[SocketAddr]) -> Vec<(SocketAddr, io::Error)> {
        self.listen_with(addresses, |_| Inherited::default())
    }

    /// The same with sockets that another process has had.
    pub fn listen_with(
        &self,
        addresses: &[SocketAddr],
        inherited: impl Fn(SocketAddr) -> Inherited,
    ) -> Vec<(SocketAddr, io::Error)> {
        let mut open = self.open();
        open.retain(|address, _| addresses.contains(address));
        let mut missing = Vec::new();
        for &address in addresses {
            if open.contains_key(&address) {
                continue;
            }
            match Listening::start(address, inherited(address), &self.shared) {
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

    /// Duplicates of all sockets, for another process. Out of descriptors: it makes its own.
    pub fn duplicates(&self) -> Vec<OwnedFd> {
        let open = self.open();
        open.values().flat_map(|listening| listening.udp.duplicates().chain(listening.tcp.duplicate())).collect()
    }

    /// Another process takes connections from now on: those that are open here get what they have asked for, and are closed. Datagrams are
    /// answered on. Waits a moment at most.
    pub async fn end_connections(&self) {
        self.shared.ends.send_replace(true);
        self.open().values().for_each(|listening| listening.tcp.close());
        let over = async {
            while !self.shared.connections.is_empty() {
                sleep(LOOK).await;
            }
        };
        // A transfer that takes longer is asked for again.
        let _ = timeout(CONNECTIONS_END_MAX, over).await;
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
    fn start(address: SocketAddr, inherited: Inherited, shared: &Arc<Shared>) -> io::Result<Listening> {
        // TCP first: it says "in use" where another program has the address; UDP sockets that share a port do not.
        let tcp = Door::open(address, inherited.tcp, shared)?;
        Ok(Listening { udp: UdpThreads::start(address, inherited.udp, shared)?, tcp })
    }
}

const LOOK: Duration = Duration::from_millis(10);
/// Longer than an ordinary transfer.
const CONNECTIONS_END_MAX: Duration = Duration::from_secs(2);

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
