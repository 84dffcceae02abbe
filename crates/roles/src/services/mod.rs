//! The services that this node does, by the organization document: their members watched, their listeners open, changed while they run.
//!
//! Owns which services run here, their pools, and what is wrong with their addresses. Knows no bytes of a connection
//! (`balancer::relay`, `balancer::voice`) and no choice of a member (`balancer::pool`). Always holds: a change of the document drops no
//! connection: listeners that stay stay open, what is not there any more takes nothing new; an address that cannot be had keeps nobody
//! from the others, is told of, and is tried again ([`Services::try_again`]).

mod names;
mod ready;
mod serving;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use balancer::pool::{self, Pool, Shown, Wanted};
use balancer::probe::{Probers, Target};
use balancer::relay::{Relay, RelaySettings};
use directory::{Host, Org, Service};
use tokio::sync::{mpsc, watch};
use tracing::{error, info};
use transport::dns::Resolver;
use transport::tls::Certificates;
use world::World;

use crate::succession::Relayed;
use names::Names;
use serving::Serving;

/// The services of a node. Nothing of it costs anything until the document has one for this node.
pub struct Services {
    shared: Arc<Shared>,
}

/// What services need of their node.
pub struct Around {
    /// Clock and chance.
    pub world: World,
    /// Who looks after members.
    pub probers: Probers,
    /// For members that are written by name.
    pub resolver: Resolver,
    /// What clients are shown where TLS ends here.
    pub certificates: Arc<Certificates>,
}

struct Shared {
    around: Around,
    /// The data path; started for the first service that needs it.
    relay: OnceLock<Relay>,
    running: Mutex<BTreeMap<Arc<str>, Serving>>,
    names: Names,
    /// Where our own servers are, who do not pass a service (behaviours 3.9).
    own_servers: Mutex<Vec<Host>>,
    /// Whether new calls are taken: a node that ends says no.
    ready: watch::Sender<bool>,
    /// Another process takes calls.
    calls_ended: AtomicBool,
}

impl Services {
    /// None yet.
    pub fn new(around: Around) -> Services {
        pool::describe();
        let shared = Arc::new(Shared {
            around,
            relay: OnceLock::new(),
            running: Mutex::default(),
            names: Names::default(),
            own_servers: Mutex::default(),
            ready: watch::Sender::new(true),
            calls_ended: AtomicBool::new(false),
        });
        Services { shared }
    }

    /// Does what `org` says: opens what is new, changes what is other than before, and ends what is not there any more. Call it inside a
    /// runtime; blocks for sockets.
    pub fn follow(&self, org: &Org) {
        let shared = &self.shared;
        let wanted: Vec<&Arc<Service>> = org.own_services().collect();
        let members = wanted.iter().flat_map(|service| &service.members).map(|member| &member.address.host);
        let servers = org.topology().servers.iter().map(|server| &server.address.host);
        let hosts: Vec<&Host> = match wanted.is_empty() {
            true => Vec::new(),
            false => members.chain(servers.clone()).collect(),
        };
        if shared.names.want(&hosts) {
            tokio::spawn(names::renew(shared.clone()));
        }
        let mut running = shared.running();
        let stays = |name: &Arc<str>, serving: &Serving| {
            wanted.iter().any(|service| service.name == *name && serving.may_become(service))
        };
        let gone: Vec<Arc<str>> =
            running.iter().filter(|(name, serving)| !stays(name, serving)).map(|(name, _)| name.clone()).collect();
        for name in gone {
            info!(service = &*name, "is not done here any more");
            drop(running.remove(&name));
            if let Some(relay) = shared.relay.get() {
                relay.close(&name);
            }
        }
        *shared.own_servers.lock().unwrap_or_else(PoisonError::into_inner) = servers.cloned().collect();
        for service in wanted {
            let earlier = running.remove(&service.name);
            running.insert(service.name.clone(), shared.begin(service, earlier));
        }
    }

    /// Has the members of these services looked after before they are done; as long as what is returned lives.
    pub fn watch(&self, org: &Org) -> Vec<Wanted> {
        org.own_services().flat_map(|service| self.shared.members(service)).collect()
    }

    /// Some address could not be had.
    pub fn is_short(&self) -> bool {
        self.shared.running().values().any(|serving| serving.wrong.is_some())
    }

    /// Tries again to have the addresses that could not be had. Call it inside a runtime; blocks for sockets.
    pub fn try_again(&self) {
        self.shared.again(|serving| serving.wrong.is_some());
    }

    /// Whether new calls are taken: a node that drains says no, to gateways that ask (OPTIONS) too, and they go to another one.
    pub fn take_calls(&self, takes: bool) {
        self.shared.ready.send_if_modified(|now| std::mem::replace(now, takes) != takes);
    }

    /// Nothing new is taken from now on; what is under way has so long to end. Who comes after this process has the sockets before.
    pub fn drain(&self, within_ms: u64) {
        self.shared.ready.send_replace(false);
        if let Some(relay) = self.shared.relay.get() {
            relay.drain(within_ms);
        }
    }

    /// These addresses are about to leave this machine: who is between two mails there is told. It ends when they all are.
    pub fn part(&self, addresses: &[IpAddr]) -> Option<mpsc::Receiver<()>> {
        Some(self.shared.relay.get()?.part(addresses))
    }

    /// Another process takes new connections from now on: what is under way here goes on untouched.
    pub fn linger(&self) {
        if let Some(relay) = self.shared.relay.get() {
            relay.linger();
        }
    }

    /// What is relayed now, by member; those that are named (service, member) are drained.
    pub fn relayed(&self, drained: &[(String, String)]) -> Vec<Relayed> {
        let now_ms = self.shared.around.world.clock.mono_ms();
        let mut all = Vec::new();
        for (pool, _) in self.pools() {
            let service = pool.service();
            drained.iter().filter(|(of, _)| *of == **service).for_each(|(_, member)| pool.drain(member));
            let left = |member: Shown| Relayed {
                service: service.to_string(),
                member: member.name.to_string(),
                address: member.address.to_string(),
                connections: member.active,
                in_transaction: member.in_transaction,
            };
            all.extend(pool.shown(now_ms).into_iter().filter(|member| member.active > 0).map(left));
        }
        all
    }

    /// Connections that are relayed now.
    pub fn active(&self) -> u32 {
        self.shared.relay.get().map_or(0, Relay::active)
    }

    /// Duplicates of the sockets that listen here, for the process that comes after this one.
    pub fn duplicates(&self) -> Vec<OwnedFd> {
        let sockets = self.shared.relay.get().map(Relay::sockets);
        let mut all: Vec<OwnedFd> = match sockets {
            Some(Ok(sockets)) => sockets.into_iter().map(|(_, inherited)| inherited.socket).collect(),
            // Out of descriptors: a successor makes its own.
            Some(Err(_)) | None => Vec::new(),
        };
        all.extend(self.shared.running().values().flat_map(Serving::duplicates));
        all
    }

    /// Another process takes calls from now on: what was read of them is done with, and nothing more is read here.
    pub async fn end_calls(&self) {
        self.shared.calls_ended.store(true, Ordering::Release);
        let calls: Vec<_> = self.shared.running().values_mut().filter_map(Serving::take_calls).collect();
        for service in calls {
            service.end().await;
        }
    }

    /// The pools of the services that run here, with what is wrong with each of them, in order of their names.
    pub fn pools(&self) -> Vec<(Arc<Pool>, Option<String>)> {
        self.shared.running().values().map(|serving| (serving.pool.clone(), serving.wrong.clone())).collect()
    }

    /// Writes what the data path counted to the metrics.
    pub fn publish(&self) {
        if let Some(relay) = self.shared.relay.get() {
            relay.publish();
        }
    }
}

impl Shared {
    /// Does `service` from now on, as it is or as it becomes.
    fn begin(self: &Arc<Shared>, service: &Arc<Service>, earlier: Option<Serving>) -> Serving {
        let now_ms = self.around.world.clock.mono_ms();
        let members = self.members(service);
        let mut serving = match earlier {
            Some(mut earlier) => {
                earlier.pool.exchange(now_ms, service, members);
                earlier.service = service.clone();
                earlier
            }
            None => Serving::new(service.clone(), Pool::new(now_ms, service, members)),
        };
        let wrong = match (service.protocol.is_sip(), self.relay()) {
            (true, _) => serving.call(self),
            (false, Some(relay)) => serving.relay(self, relay),
            (false, None) => Some("the data path cannot start; the log says why".into()),
        };
        serving.tell(wrong);
        serving
    }

    /// The members of a service at all of their addresses, each with who looks after it.
    fn members(&self, service: &Service) -> Vec<Wanted> {
        let at = |member: &Arc<directory::ServiceMember>, ip: IpAddr| {
            let address = SocketAddr::new(ip, member.address.port);
            let health = self.around.probers.watch(Target::of_member(service, member, address));
            Wanted { member: member.clone(), address, health }
        };
        let all = service.members.iter().flat_map(|member| {
            let addresses = self.names.addresses(&member.address.host);
            addresses.into_iter().map(move |ip| at(member, ip))
        });
        all.collect()
    }

    /// Does all of these services as they are, with what is known now.
    fn again(self: &Arc<Shared>, is_meant: impl Fn(&Serving) -> bool) {
        let mut running = self.running();
        let meant: Vec<Arc<str>> =
            running.iter().filter(|(_, serving)| is_meant(serving)).map(|(name, _)| name.clone()).collect();
        for name in meant {
            let Some(serving) = running.remove(&name) else { continue };
            let service = serving.service.clone();
            running.insert(name, self.begin(&service, Some(serving)));
        }
    }

    /// The addresses of our own servers, as far as they are known.
    fn own_servers(&self) -> Arc<[IpAddr]> {
        let hosts = self.own_servers.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.iter().flat_map(|host| self.names.addresses(host)).collect()
    }

    /// The data path, started if it does not run.
    fn relay(&self) -> Option<&Relay> {
        if self.relay.get().is_none() {
            match Relay::start(&RelaySettings::default(), &self.around.world) {
                // Whoever comes here has the lock of what runs.
                Ok(relay) => drop(self.relay.set(relay)),
                Err(error) => error!("the data path of services cannot start: {error}; raise LimitNOFILE or TasksMax"),
            }
        }
        self.relay.get()
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Serving>> {
        // A map of whole values.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
