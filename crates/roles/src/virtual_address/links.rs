//! Owns the addresses of one virtual address on their interface: add, renew, remove, announce, and what is heard of them. Knows no lease.
//! Always holds: nothing is sent to the kernel after the moment that it counts until, and if the kernel took longer, that is told.

use std::net::IpAddr;
use std::time::Duration;

use balancer::address::{Heard, Interfaces, Link, Neighbours, NetError, Present, end_connections};
use directory::VirtualAddress;
use ipnet::IpNet;
use tokio::time::timeout;
use tracing::{debug, warn};
use world::Clock;

/// The addresses on their interface.
pub struct OnLink {
    nets: Vec<IpNet>,
    interface: Box<str>,
    /// Other addresses of the interface, by which the subnet is routed already.
    others: Vec<IpNet>,
    neighbours: Option<(u32, Neighbours)>,
}

impl OnLink {
    /// Those of a virtual address; nothing is added yet.
    pub fn new(spec: &VirtualAddress) -> OnLink {
        let (nets, interface) = (spec.addresses.clone(), spec.interface.clone());
        OnLink { nets, interface, others: Vec::new(), neighbours: None }
    }

    /// The interface as it is now.
    pub async fn link(&self, interfaces: &Interfaces) -> Result<Link, NetError> {
        bounded(interfaces.link(&self.interface)).await
    }

    /// Which of ours the interface has, and the others for later.
    pub async fn look(&mut self, interfaces: &Interfaces, link: &Link) -> Result<Vec<Present>, NetError> {
        let all = bounded(interfaces.addresses(link.index)).await?;
        let is_ours = |present: &Present| self.nets.iter().any(|net| net.addr() == present.net.addr());
        let (ours, others): (Vec<Present>, Vec<Present>) = all.into_iter().partition(is_ours);
        self.others = others.into_iter().map(|present| present.net).collect();
        Ok(ours)
    }

    /// Adds them, or makes them live longer. `Ok(false)`: it took until after `before_ms`.
    pub async fn put(
        &self,
        interfaces: &Interfaces,
        link: &Link,
        clock: &dyn Clock,
        (lifetime_s, before_ms): (u32, u64),
    ) -> Result<bool, NetError> {
        for net in &self.nets {
            if clock.mono_ms() >= before_ms {
                return Ok(false);
            }
            let routed = !self.others.iter().any(|other| other.contains(&net.addr()));
            bounded(interfaces.put(link.index, *net, lifetime_s, routed)).await?;
        }
        Ok(clock.mono_ms() < before_ms)
    }

    /// Removes them; all are tried. Connections to them end with a reset: nobody else can go on with them, and nobody else would tell.
    pub async fn remove(&self, interfaces: &Interfaces, link: &Link) -> Result<(), NetError> {
        let mut done = Ok(());
        for net in &self.nets {
            // Without it a client may connect in the next millisecond, and wait; the address goes in any case.
            let _ = bounded(interfaces.shut(link.index, *net)).await;
            if let Err(error) = end_connections(net.addr()) {
                debug!("connections to {} cannot be ended: {error}; their clients find out by themselves", net.addr());
            }
            let removed = bounded(interfaces.remove(link.index, *net)).await;
            done = done.and(removed);
        }
        done
    }

    /// Tells the neighbours. The error says what to do.
    pub fn announce(&mut self, link: &Link) -> Result<(), String> {
        self.meet_neighbours(link)?;
        let Some((_, neighbours)) = &self.neighbours else { return Ok(()) };
        let told: Result<(), std::io::Error> = self.nets.iter().try_for_each(|net| neighbours.tell(net.addr()));
        told.map_err(|error| format!("{}: the neighbours cannot be told: {error}", self.interface))
    }

    /// Asks the neighbours whether one of them has them; [`OnLink::hear`] says who answered.
    pub fn ask(&mut self, link: &Link) -> Result<(), String> {
        self.meet_neighbours(link)?;
        let Some((_, neighbours)) = &self.neighbours else { return Ok(()) };
        // An interface without IPv6 has nobody to ask there.
        self.nets.iter().for_each(|net| drop(neighbours.ask(net.addr())));
        Ok(())
    }

    /// What is said of them from now on is another node's business: nothing is kept of it for when they come back.
    pub fn part(&mut self) {
        self.neighbours = None;
    }

    /// What others have said about our addresses since the last call.
    pub fn hear(&self) -> Vec<Heard> {
        let addresses: Vec<IpAddr> = self.nets.iter().map(IpNet::addr).collect();
        self.neighbours.as_ref().map(|(_, neighbours)| neighbours.hear(&addresses)).unwrap_or_default()
    }

    /// An interface without an Ethernet address has no neighbours to tell.
    fn meet_neighbours(&mut self, link: &Link) -> Result<(), String> {
        let Some(mac) = link.mac else { return Ok(()) };
        if self.neighbours.as_ref().is_none_or(|(index, _)| *index != link.index) {
            let opened = Neighbours::open(&self.interface, link.index, mac);
            let opened = opened.map_err(|error| format!("{}: no socket for announcements: {error}", self.interface))?;
            self.neighbours = Some((link.index, opened));
        }
        Ok(())
    }

    /// Removes what a former life has left. Whoever comes after a kill may find it there.
    pub async fn clean(&mut self, interfaces: &Interfaces, link: &Link) -> Result<(), NetError> {
        for present in self.look(interfaces, link).await?.iter().filter(|present| !present.permanent) {
            warn!("{} is still on {} from a former life of this node; it is removed", present.net, self.interface);
            bounded(interfaces.remove(link.index, present.net)).await?;
        }
        Ok(())
    }
}

async fn bounded<T>(asked: impl Future<Output = Result<T, NetError>>) -> Result<T, NetError> {
    timeout(KERNEL, asked).await.unwrap_or_else(|_| Err(NetError::Other("the kernel does not answer".into())))
}

/// The kernel answers at once, unless something holds its network lock.
const KERNEL: Duration = Duration::from_secs(2);
