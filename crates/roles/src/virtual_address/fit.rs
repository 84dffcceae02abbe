//! Owns whether this node is fit for a virtual address: what that needs, its interface, our rights. Knows no lease.

use std::net::IpAddr;
use std::sync::Arc;

use balancer::address::{Fit, Link, NetError, Present};
use directory::{NEEDS_NODE, Org, Service, VirtualAddress};
use rustix::thread::CapabilitySet;
use tokio::sync::mpsc;
use transport::swap::Swap;

use crate::health::{Health, NotReady, Phase};
use crate::services::Services;

/// Whether services of this node would serve a client now.
pub trait ServicesReady: Send + Sync {
    /// The services that listen on one of these addresses, by name.
    fn listening_on(&self, addresses: &[IpAddr]) -> Vec<String>;
    /// Whether one is ready; the error is a word or two for people.
    fn ready(&self, service: &str) -> Result<(), String>;
    /// These addresses are about to leave: clients that can be told to connect again are. It ends when they all are; `None`: there are none.
    fn part(&self, addresses: &[IpAddr]) -> Option<mpsc::Receiver<()>>;
}

/// The services of this node, by the document that runs.
pub struct OwnServices {
    /// The document.
    pub org: Arc<Swap<Org>>,
    /// Those that run; none in a process that only tests.
    pub services: Option<Arc<Services>>,
}

impl ServicesReady for OwnServices {
    fn listening_on(&self, addresses: &[IpAddr]) -> Vec<String> {
        let org = self.org.load();
        // One that listens everywhere is not there for these addresses.
        let is_there = |service: &&Arc<Service>| service.listen.iter().any(|socket| addresses.contains(&socket.ip()));
        org.own_services().filter(is_there).map(|service| service.name.to_string()).collect()
    }

    fn ready(&self, service: &str) -> Result<(), String> {
        match &self.services {
            Some(services) => services.ready(service),
            None => Err("does not run on this node".into()),
        }
    }

    fn part(&self, addresses: &[IpAddr]) -> Option<mpsc::Receiver<()>> {
        self.services.as_ref()?.part(addresses)
    }
}

/// Looks at what a virtual address needs.
#[derive(Clone)]
pub struct Fitness {
    health: Arc<Health>,
    services: Arc<dyn ServicesReady>,
}

impl Fitness {
    /// By this node's health and its services.
    pub fn new(health: Arc<Health>, services: Arc<dyn ServicesReady>) -> Fitness {
        Fitness { health, services }
    }

    /// Whether the node is fit now. `is_kept`: for the process that comes after this one, so that it ends does not count.
    pub fn of(
        &self,
        spec: &VirtualAddress,
        link: &Result<Link, NetError>,
        fixed: Option<&Present>,
        is_kept: impl Fn() -> bool,
    ) -> Fit {
        if let Some(lacking) = lacking_capability() {
            return Fit::Unable(lacking);
        }
        match link {
            Err(NetError::Absent) => return Fit::Unable(format!("this machine has no interface {}", spec.interface)),
            Err(error) => return Fit::Unable(format!("{}: {error}", spec.interface)),
            Ok(link) if !link.carrier => {
                return Fit::Unable(format!("{} is down, or its cable is out", spec.interface));
            }
            Ok(_) => {}
        }
        if let Some(fixed) = fixed {
            let text = format!(
                "{} is configured on {} of this machine for good; remove it there: a virtual address is nobody's own",
                fixed.net, spec.interface
            );
            return Fit::Unable(text);
        }
        // In this order: it is kept before the node stops.
        if self.health.phase() == Phase::Stopping && !is_kept() {
            return Fit::Unable("the node is stopping".into());
        }
        match self.needs(spec).iter().try_for_each(|need| self.has(need)) {
            Ok(()) => Fit::Ready,
            Err(why) => Fit::NotReady(why),
        }
    }

    fn needs(&self, spec: &VirtualAddress) -> Vec<String> {
        if let Some(needs) = &spec.needs {
            return needs.iter().map(|need| need.to_string()).collect();
        }
        let addresses: Vec<IpAddr> = spec.addresses.iter().map(|net| net.addr()).collect();
        let listening = self.services.listening_on(&addresses);
        // A service sends clients to other nodes while this one takes no mail: what is under way here may finish.
        if listening.is_empty() { vec![NEEDS_NODE.into()] } else { listening }
    }

    fn has(&self, need: &str) -> Result<(), String> {
        if need == NEEDS_NODE {
            return self.health.ready().map_err(|reason: NotReady| format!("the node is {}", reason.word()));
        }
        self.services.ready(need).map_err(|why| format!("service {need}: {why}"))
    }
}

/// The right that we lack to change addresses and to speak to neighbours, and what gives it.
fn lacking_capability() -> Option<String> {
    // An error would mean a kernel without capabilities: then the attempts tell.
    let have = rustix::thread::capabilities(None).ok()?.effective;
    let needed = [("CAP_NET_ADMIN", CapabilitySet::NET_ADMIN), ("CAP_NET_RAW", CapabilitySet::NET_RAW)];
    let (name, _) = needed.into_iter().find(|(_, needed)| !have.contains(*needed))?;
    Some(format!(
        "{name} is missing: virtual addresses need it; dist/posthouse.service.d/virtual-address.conf is what the systemd unit needs besides"
    ))
}
