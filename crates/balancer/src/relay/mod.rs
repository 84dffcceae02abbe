//! The data path of services: clients' connections, relayed to members.
//!
//! Owns threads of its own with one epoll loop each, the listening sockets, and every byte between a client and its member. Refuses to know who
//! is a good member ([`crate::pool`] chooses) and how documents look. Always holds:
//!
//! * A client of a protocol whose server speaks first hears nothing before a member has greeted. A member that refuses, greets with
//!   4xx or 5xx, is silent or resets is followed by the next one, and the client does not notice.
//! * A session of SMTP that can be read goes on with another member when its own drains, goes out of service or dies between two commands.
//! * Nothing is read that cannot be written; an idle connection owns no buffer.
//! * Everything that a stranger can grow has a bound: connections ([`RelaySettings::connections_max`], the service's `connections_max` and
//!   `connections_per_source_max`), time ([`Timing`], the service's timeouts), bytes that wait (`tools::LEFT_BYTES_MAX`, the kernel's own socket
//!   buffers), a greeting (`greeting::GREETING_BYTES_MAX`), a TLS greeting (`hello::HELLO_BYTES_MAX`), a PROXY header.
//! * Who ends a service loses no connection: what the kernel has accepted is taken, what is under way goes on until its deadline.

mod accept;
mod admission;
mod change;
mod conn;
mod counts;
mod dial;
mod dialog;
mod drive;
mod greeting;
mod hand;
mod hello;
mod here;
mod life;
mod opening;
mod poll;
mod replay;
mod rounds;
mod secure;
mod settings;
mod slab;
mod sockets;
#[cfg(test)]
mod tests;
mod tools;
mod way;
mod words;
mod worker;

pub use counts::{GREETING_BOUNDS_US, Totals};
pub use settings::{Inherited, RelaySettings, ServiceSetup, Timing};
pub use words::{REASONS, Reason};

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::{fmt, io};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::mpsc;
use world::World;

use self::admission::{Admission, All};
use self::counts::Counts;
use self::hand::Hand;
use self::poll::{Poll, waker};
use self::sockets::Opened;
use self::tools::Tools;
use self::worker::{Inbox, Order, Worker};

/// The data path. Dropping it closes every connection.
pub struct Relay {
    inboxes: Vec<Arc<Inbox>>,
    threads: Vec<JoinHandle<()>>,
    all: Arc<All>,
    services: Mutex<BTreeMap<Arc<str>, Entry>>,
}

/// A service that is served.
struct Entry {
    counts: Vec<Arc<Counts>>,
    admission: Arc<Admission>,
    /// The same sockets as the threads have: for a hand-over, and to know what is listened on.
    sockets: Vec<Opened>,
}

/// An address that cannot be listened on.
#[derive(Debug)]
pub struct ServeError {
    /// Which.
    pub address: SocketAddr,
    source: io::Error,
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ServeError { address, source } = self;
        match source.kind() {
            io::ErrorKind::AddrInUse => write!(f, "{address}: in use by another program or a receive connector"),
            io::ErrorKind::PermissionDenied => {
                write!(
                    f,
                    "{address}: not permitted; ports below 1024 need CAP_NET_BIND_SERVICE (dist/posthouse.service)"
                )
            }
            _ => write!(f, "{address}: {source}"),
        }
    }
}

impl std::error::Error for ServeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl Relay {
    /// Starts the threads. Nothing is served yet.
    ///
    /// # Errors
    /// Without descriptors or threads.
    pub fn start(settings: &RelaySettings, world: &World) -> io::Result<Relay> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let count = if settings.threads == 0 { cores } else { settings.threads };
        let most = if settings.connections_max == 0 { connections_max() } else { settings.connections_max };
        let mut relay =
            Relay { inboxes: Vec::new(), threads: Vec::new(), all: All::new(most), services: Mutex::default() };
        counts::describe();
        let mut run = [0; 8];
        world.chance.fill(&mut run);
        for number in 0..count {
            let inbox = Arc::new(Inbox::new(waker()?));
            let hand = Hand {
                poll: Poll::new()?,
                tools: Tools::new(),
                clock: Arc::clone(&world.clock),
                timing: settings.timing,
                now_us: world.clock.mono_us(),
                now_ms: world.clock.mono_ms(),
                next_ms: u64::MAX,
                again: Vec::new(),
                drains: false,
                drain_within_ms: u64::MAX,
                id: u64::from_be_bytes(run).wrapping_add(number as u64),
                words: Vec::new(),
            };
            let inbox_of_thread = Arc::clone(&inbox);
            let name = format!("relay-{number}");
            // A connection's state stays with its thread, so the worker is made there.
            let work = move || match Worker::new(inbox_of_thread, hand) {
                Ok(worker) => worker.run(),
                Err(error) => tracing::error!(%error, "a thread of the balancer cannot start"),
            };
            relay.threads.push(std::thread::Builder::new().name(name).spawn(work)?);
            relay.inboxes.push(inbox);
        }
        Ok(relay)
    }

    /// Serves a service, or changes how it is served: connections that are there keep what they began with, those to come get the new. Addresses
    /// that it has no longer are closed, new ones are opened; `inherited` sockets stand in for those at their address. Returns where it listens.
    ///
    /// # Errors
    /// The first address that cannot be listened on; then nothing is changed.
    pub fn serve(&self, setup: ServiceSetup, inherited: Vec<Inherited>) -> Result<Vec<SocketAddr>, ServeError> {
        let mut services = self.services();
        let service = Arc::clone(&setup.service);
        let known = services.get(&service.name).map_or(&[][..], |entry| &entry.sockets);
        let opened = self.open(&setup, inherited, known)?;
        let entry = services.entry(Arc::clone(&service.name)).or_insert_with(|| Entry {
            counts: self.inboxes.iter().map(|_| Arc::default()).collect(),
            admission: Arc::new(Admission::new(Arc::clone(&self.all))),
            sockets: Vec::new(),
        });
        entry.admission.set(service.limits.connections_max, service.limits.connections_per_source_max);
        entry.sockets.retain(|socket| service.listen.contains(&socket.asked));
        let shares = sockets::share(&opened, self.inboxes.len())
            .map_err(|source| ServeError { address: service.listen.first().copied().unwrap_or(NOWHERE), source })?;
        entry.sockets.extend(opened);
        for ((inbox, counts), sockets) in self.inboxes.iter().zip(&entry.counts).zip(shares) {
            let (counts, admission) = (Arc::clone(counts), Arc::clone(&entry.admission));
            inbox.give(Order::Serve { setup: setup.clone(), counts, admission, sockets });
        }
        let mut addresses: Vec<SocketAddr> = entry.sockets.iter().map(|socket| socket.address).collect();
        addresses.dedup();
        Ok(addresses)
    }

    /// Sockets for the addresses that have none.
    fn open(
        &self,
        setup: &ServiceSetup,
        inherited: Vec<Inherited>,
        known: &[Opened],
    ) -> Result<Vec<Opened>, ServeError> {
        let mut opened: Vec<Opened> = inherited
            .into_iter()
            .filter(|given| setup.service.listen.contains(&given.address))
            .filter(|given| !known.iter().any(|socket| socket.asked == given.address))
            .map(|Inherited { address, socket }| Opened { asked: address, address, socket })
            .collect();
        for address in &setup.service.listen {
            let has = |sockets: &[Opened]| sockets.iter().any(|socket| socket.asked == *address);
            if !has(known) && !has(&opened) {
                let keepalive_ms = setup.service.limits.keepalive_ms;
                let more = sockets::listen(*address, self.inboxes.len(), keepalive_ms);
                opened.extend(more.map_err(|source| ServeError { address: *address, source })?);
            }
        }
        Ok(opened)
    }

    /// Serves it no longer: nothing more is accepted, and its connections end as in a drain.
    pub fn close(&self, service: &str) {
        let Some((name, entry)) = self.services().remove_entry(service) else { return };
        // The threads' sockets must be the last ones open: they take who waits before they close.
        drop(entry);
        self.tell(|| Order::Close { service: Arc::clone(&name) });
    }

    /// Another process accepts from now on: nothing more is accepted here, and what is under way goes on untouched. What waits in the kernel is
    /// the other's, if it has the same sockets.
    pub fn linger(&self) {
        self.tell(|| Order::Linger);
    }

    /// The process is about to end: nothing more is accepted, and connections end as in a drain, the last of them after `within_ms`. Whoever
    /// is to go on with the sockets takes them before ([`Relay::sockets`]).
    pub fn drain(&self, within_ms: u64) {
        for entry in self.services().values_mut() {
            entry.sockets.clear();
        }
        self.tell(|| Order::Drain { within_ms });
    }

    /// These addresses are about to leave the machine, and with them the connections to them: who is between two mails is told to connect
    /// again (421, `* BYE`), and its connection ends; the others go on. What is returned ends when all threads are done with it.
    pub fn part(&self, addresses: &[IpAddr]) -> mpsc::Receiver<()> {
        let (done, over) = mpsc::channel(1);
        let addresses: Arc<[IpAddr]> = addresses.into();
        self.tell(|| Order::Part { addresses: Arc::clone(&addresses), done: done.clone() });
        over
    }

    /// Connections that are there now, of all services.
    pub fn active(&self) -> u32 {
        self.all.active()
    }

    /// The listening sockets of all services, for the process that comes after this one. They stay open there when they are closed here.
    ///
    /// # Errors
    /// Without descriptors.
    pub fn sockets(&self) -> io::Result<Vec<(Arc<str>, Inherited)>> {
        let services = self.services();
        let all = services.iter().flat_map(|(name, entry)| entry.sockets.iter().map(move |socket| (name, socket)));
        all.map(|(name, socket)| {
            Ok((Arc::clone(name), Inherited { address: socket.asked, socket: socket.socket.try_clone()? }))
        })
        .collect()
    }

    /// What was counted since each service is served, in order of their names.
    pub fn totals(&self) -> Vec<(Arc<str>, Totals)> {
        let services = self.services();
        services.iter().map(|(name, entry)| (Arc::clone(name), entry.totals())).collect()
    }

    /// Writes what was counted to the metrics; to be called before they are read.
    pub fn publish(&self) {
        for (service, totals) in self.totals() {
            counts::publish(&service, &totals);
        }
    }

    fn services(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Entry>> {
        // No change leaves it half done.
        self.services.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, order: impl Fn() -> Order) {
        for inbox in &self.inboxes {
            inbox.give(order());
        }
    }
}

impl Entry {
    fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for counts in &self.counts {
            counts.add_to(&mut totals);
        }
        totals
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.tell(|| Order::End);
        for thread in self.threads.drain(..) {
            // A thread that panicked has nothing left to close.
            let _ = thread.join();
        }
    }
}

/// Three quarters of the process's descriptors, two for each connection; the rest is for the other roles. What the process may have without
/// asking anybody is taken first.
fn connections_max() -> u32 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // Without it there are fewer connections.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(DESCRIPTORS_MAX).min(DESCRIPTORS_MAX);
    (descriptors / 4 * 3 / DESCRIPTORS_PER_CONNECTION) as u32
}

/// More than this is no bound.
const DESCRIPTORS_MAX: u64 = 4_000_000;
const DESCRIPTORS_PER_CONNECTION: u64 = 2;
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);
