//! Whether clients of the services that run here would find a member. Knows no other node.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use balancer::pool::{Health, Member};

use super::Services;
use super::serving::Serving;

impl Services {
    /// Whether a client of a service would find a member now; the error is a few words for people.
    pub fn ready(&self, service: &str) -> Result<(), String> {
        let running = self.shared.running();
        let serving = running.get(service).ok_or("does not run on this node")?;
        self.takes(serving)
    }

    /// The same at one of its addresses; `None`: this machine does not have that address, or the service is not open there.
    pub fn ready_at(&self, service: &str, at: IpAddr) -> Option<Result<(), String>> {
        let is_open = self.shared.running().get(service)?.open.iter().any(|open| open.ip() == at);
        (is_open && is_here(at)).then(|| self.ready(service))
    }

    /// The services whose clients would find a member now, each with the addresses of this machine where it is open.
    pub fn serving(&self) -> BTreeMap<String, Vec<IpAddr>> {
        let open: Vec<(Arc<str>, Vec<SocketAddr>)> = {
            let running = self.shared.running();
            let serves = running.iter().filter(|(_, serving)| self.takes(serving).is_ok());
            serves.map(|(name, serving)| (name.clone(), serving.open.clone())).collect()
        };
        let here = |open: Vec<SocketAddr>| {
            let mut here: Vec<IpAddr> = open.iter().map(SocketAddr::ip).collect();
            here.sort();
            here.dedup();
            here.retain(|at| is_here(*at));
            here
        };
        open.into_iter().map(|(name, open)| (name.to_string(), here(open))).filter(|(_, at)| !at.is_empty()).collect()
    }

    /// One member would do: a service whose members are all full still says so to its clients. A node that drains goes on balancing, calls
    /// apart: gateways are told to go elsewhere.
    fn takes(&self, serving: &Serving) -> Result<(), String> {
        if serving.service.protocol.is_sip() && !*self.shared.ready.borrow() {
            return Err("this node takes no calls now".into());
        }
        let serves =
            |member: &Arc<Member>| !member.is_drained() && matches!(member.health(), Health::Up | Health::Unknown);
        if serving.pool.members().iter().any(serves) { Ok(()) } else { Err("no member takes connections".into()) }
    }
}

/// This machine has the address now. Sockets of services are bound ahead of their address, so they do not tell.
fn is_here(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}
