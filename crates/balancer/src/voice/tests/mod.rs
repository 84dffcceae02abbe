//! The machine against callers and hosts that are simulated with their own timers, over a network that loses, repeats and reorders.

mod network;
mod rules;
mod sides;

use super::*;
use crate::pool::{Health, Pool, Wanted, Watched};
use crate::sip::Transport;
use directory::{Loaded, Service, ServiceMember, Start};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use world::World;

/// Health that a test writes.
pub struct Told(AtomicU8);

impl Told {
    fn set(&self, health: Health) {
        self.0.store(health as u8, Ordering::Relaxed);
    }
}

impl Watched for Told {
    fn health(&self) -> Health {
        [Health::Unknown, Health::Up, Health::Down, Health::Draining][usize::from(self.0.load(Ordering::Relaxed))]
    }

    fn failed(&self) {}
}

/// A service of `count` members m0, m1, ... at 10.0.0.1:5060, 10.0.0.2:5060, ...
pub struct Plan {
    pub service: Service,
    pub told: Vec<Arc<Told>>,
    pub pool: Arc<Pool>,
}

impl Plan {
    pub fn new(settings: &str, count: usize) -> Plan {
        Plan::with(settings, "", count)
    }

    pub fn with(settings: &str, of_members: &str, count: usize) -> Plan {
        Plan::of("sip", settings, of_members, count)
    }

    pub fn of(protocol: &str, settings: &str, of_members: &str, count: usize) -> Plan {
        let mut text = format!(
            "[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:25\"]\n\
             [[service]]\nname = \"voice\"\nprotocol = \"{protocol}\"\nlisten = [\"192.0.2.10:5060\"]\nslow_start = \"0s\"\n{settings}\n"
        );
        for number in 0..count {
            let address = host_address(number);
            text += &format!(
                "[[member]]\nname = \"m{number}\"\nservice = \"voice\"\naddress = \"{address}\"\n{of_members}\n"
            );
        }
        let (world, _) = World::simulated(1);
        world.disk.replace_durable(Path::new("org.toml"), text.as_bytes()).unwrap();
        let start = Start { org: Some("org.toml".into()), ..Start::default() };
        let loaded =
            Loaded::load(world.disk.as_ref(), &start).unwrap_or_else(|problems| panic!("{problems}\nin\n{text}"));
        let service = Service::clone(&loaded.org.services[0]);
        let told: Vec<_> = (0..count).map(|_| Arc::new(Told(AtomicU8::new(1)))).collect();
        let pool = Pool::new(0, &service, wanted(&service, &told, None));
        Plan { service, told, pool }
    }

    /// Member `number` takes no new calls from now on, by the document.
    pub fn drain(&self, number: usize) {
        self.pool.exchange(0, &self.service, wanted(&self.service, &self.told, Some(number)));
    }

    pub fn machine(&self) -> Voice<DialPlan> {
        let listener = |(transport, local): (Transport, SocketAddr)| Listener { transport, local, own: local.ip() };
        let listeners = serve::wanted(&self.service).into_iter().map(listener).collect();
        Voice::new(serve::settings(&self.service), listeners, DialPlan::new(Arc::clone(&self.pool), 0), 7)
    }
}

fn wanted(service: &Service, told: &[Arc<Told>], drained: Option<usize>) -> Vec<Wanted> {
    let one = |(number, member): (usize, &Arc<ServiceMember>)| {
        let mut of = ServiceMember::clone(member);
        of.drain = Some(number) == drained;
        Wanted { member: Arc::new(of), address: host_address(number), health: told[number].clone() }
    };
    service.members.iter().enumerate().map(one).collect()
}

pub fn host_address(number: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, number as u8 + 1], 5060))
}

pub fn us() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 10], 5060))
}

/// A request of a gateway at 198.51.100.1, with its own mark.
pub fn request(method: &str, call: &str, further: &str) -> Vec<u8> {
    format!(
        "{method} sip:+1555@voice.example;user=phone SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bK{call}\r\n\
         From: <sip:gw@198.51.100.1>;tag=f{call}\r\nTo: <sip:+1555@voice.example>\r\nCall-ID: {call}\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:gw@198.51.100.1>\r\nMax-Forwards: 70\r\n{further}Content-Length: 0\r\n\r\n"
    )
    .into_bytes()
}
