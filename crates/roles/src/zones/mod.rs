//! The zones of the organization on this node: what they contain by how servers, services and virtual addresses stand, and the server that
//! answers for them.
//!
//! Owns when a zone gets a new version: as soon as its contents change, not more often than once a second. Knows no wire and no probe.
//! Always holds: what is answered follows the document and health; the serial only grows, and is kept on disk before it is answered.

mod kept;
mod nodes;
mod shown;
mod standings;
mod version;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use directory::zone::Naming;
use directory::{DnsServer, Org};
use dns::contents::Contents;
use dns::octets;
use dns::server::{Inherited, Server, Settings, TcpBounds};
use dns::zones::{Rules, Served};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{info, warn};
use world::World;

use crate::succession;
use kept::Serials;
pub use standings::Sources;
use standings::Standings;
use version::Version;

/// The zones, and the server if this node has one.
pub struct Zones {
    world: World,
    me: String,
    written: Option<DnsServer>,
    server: Option<Server>,
    state: Mutex<State>,
    changed: Notify,
}

/// What was found at the last look.
struct State {
    serials: Serials,
    standings: Standings,
    /// By their names.
    versions: HashMap<Arc<str>, Version>,
    /// Addresses that cannot be listened on, and why.
    unbound: Vec<(SocketAddr, String)>,
    looks: u64,
}

impl Zones {
    /// Begins; nothing is answered before the first look. `serials` is the file that serials are kept in. Call it inside a tokio runtime.
    pub fn new(world: &World, node: &directory::Node, serials: PathBuf, sources: Sources) -> Zones {
        let (me, written) = (node.name.to_ascii_lowercase(), node.dns_server.clone());
        dns::server::describe();
        let server = written.as_ref().map(|written| Server::new(world.clone(), settings(written)));
        let state = State {
            serials: Serials::read(world, serials),
            standings: Standings::new(&me, sources),
            versions: HashMap::new(),
            unbound: Vec::new(),
            looks: 0,
        };
        Zones { world: world.clone(), me, written, server, state: Mutex::new(state), changed: Notify::new() }
    }

    /// The organization has changed: it is looked at now.
    pub fn look_now(&self) {
        self.changed.notify_one();
    }

    /// What stands in a zone of the document now.
    pub fn contents(&self, org: &Org, name: &str) -> Option<Contents> {
        let zone = org.naming.zone(name)?;
        let state = self.state();
        Some(Contents::of(&org.naming, zone, &|subject| state.standings.of(subject)))
    }

    /// How something stands.
    pub fn standing(&self, subject: &directory::zone::Subject) -> dns::contents::Standing {
        self.state().standings.of(subject)
    }

    /// The serial that a zone is answered with, if it is answered here.
    pub fn serial(&self, name: &str) -> Option<u32> {
        self.state().versions.get(name).map(|version| version.zone.serial())
    }

    /// Has the servers looked after that names hang on.
    pub fn watch(&self, org: &Org) {
        self.state().standings.follow(org);
    }

    /// Begins to answer, with the sockets that came with this process. Call it inside a tokio runtime; blocks.
    pub fn open(&self, org: &Org) {
        self.look(org);
    }

    /// Duplicates of the sockets that are answered at, for the process that comes after this one.
    pub fn duplicates(&self) -> Vec<OwnedFd> {
        self.server.as_ref().map(Server::duplicates).unwrap_or_default()
    }

    /// That process takes connections from now on; datagrams are answered here until this is dropped.
    pub async fn end_connections(&self) {
        if let Some(server) = &self.server {
            server.end_connections().await;
        }
    }

    /// Looks at health and document, and answers by them. Blocks for the disk.
    fn look(&self, org: &Org) {
        let mut state = self.state();
        state.standings.follow(org);
        let Some(server) = &self.server else { return };
        let is_changed = self.renew(&mut state, &org.naming);
        if is_changed {
            let served = state.versions.values().map(Version::served).collect::<Vec<Served>>();
            server.publish(Arc::new(dns::zones::Zones::new(served)));
        }
        // Last: who asks first shall not hear that there is no such zone.
        if state.looks.is_multiple_of(BIND_LOOKS) {
            self.bind(server, &mut state);
        }
        state.looks += 1;
    }

    /// Gives each zone that has changed its next version. Says whether any has, or came, or went.
    fn renew(&self, state: &mut State, naming: &Naming) -> bool {
        let State { serials, standings, versions, .. } = state;
        let before = versions.len();
        versions.retain(|name, _| naming.zone(name).is_some_and(|zone| self.answers_for(zone)));
        let mut is_changed = versions.len() != before;
        for zone in naming.zones().iter().filter(|zone| self.answers_for(zone)) {
            let contents = Contents::of(naming, zone, &|subject| standings.of(subject));
            let seat = version::seat(&self.me, zone, standings.servers());
            let now_s = self.world.clock.wall_ms() / 1_000;
            let known = versions.get(&zone.name);
            let Some(next) = Version::next(known, contents, seat, now_s, serials.get(&zone.name)) else { continue };
            if let Err(error) = serials.keep(&self.world, &zone.name, next.kept()) {
                // A version whose serial is forgotten might come again with other contents.
                warn!("{error}; zone {} stays as it was until that works", zone.name);
                continue;
            }
            next.say(known);
            versions.insert(Arc::clone(&zone.name), next);
            is_changed = true;
        }
        is_changed
    }

    fn answers_for(&self, zone: &directory::zone::Zone) -> bool {
        zone.servers.as_ref().is_none_or(|servers| servers.iter().any(|server| **server == *self.me))
    }

    /// Tries to have all addresses of the document.
    fn bind(&self, server: &Server, state: &mut State) {
        let Some(written) = &self.written else { return };
        let missing = server.listen_with(&written.listen, |address| Inherited {
            tcp: succession::tcp(address).pop(),
            udp: succession::udp(address),
        });
        let unbound: Vec<(SocketAddr, String)> = missing.into_iter().map(|(at, why)| (at, unbound(&why))).collect();
        for (address, why) in unbound.iter().filter(|one| !state.unbound.contains(one)) {
            warn!("dns_server cannot listen on {address}: {why}; it is tried again until it can");
        }
        for (address, _) in state.unbound.iter().filter(|(at, _)| unbound.iter().all(|(now, _)| now != at)) {
            info!("dns_server listens on {address} now");
        }
        state.unbound = unbound;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each look replaces whole values; nobody panics while holding it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks once a second, and at once after a change of the document (`org` gives the one of the moment), until it is aborted.
pub async fn follow(zones: Arc<Zones>, org: impl Fn() -> Arc<Org>) {
    loop {
        let (of_task, org) = (zones.clone(), org());
        // It fails only by a panic, which ends the process.
        let _ = spawn_blocking(move || of_task.look(&org)).await;
        // Either way it is looked at.
        let _ = timeout(LOOK, zones.changed.notified()).await;
    }
}

fn unbound(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => "another program has it (systemd-resolved, dnsmasq, named?)".into(),
        std::io::ErrorKind::PermissionDenied => {
            "not allowed; a port below 1024 needs CAP_NET_BIND_SERVICE, as in dist/posthouse.service".into()
        }
        _ => error.to_string(),
    }
}

fn settings(written: &DnsServer) -> Settings {
    let processors = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    Settings {
        threads: written.threads.map_or(processors, |threads| threads as usize),
        rate: dns::rate::RateLimit {
            answers_per_second: written.rate_limit,
            slip: written.rate_limit_slip,
            exempt: written.rate_limit_exempt.clone(),
        },
        tcp: TcpBounds {
            connections_max: written.connections_max as usize,
            connections_per_source_max: written.connections_per_source_max as usize,
            idle_timeout_ms: written.idle_timeout_ms,
        },
    }
}

/// Who may copy a zone.
fn rules(zone: &directory::zone::Zone) -> Rules {
    Rules {
        secondaries: zone.secondaries.clone(),
        transfer_allowed: zone.transfer_allowed.clone(),
        keys: zone.tsig_keys.iter().map(|key| octets::key(key)).collect(),
        notify: zone.notify,
    }
}

const LOOK: Duration = Duration::from_secs(1);
/// Addresses that could not be had are tried again after so many looks.
const BIND_LOOKS: u64 = 15;
const THREADS_MAX: usize = 16;
