//! One service that runs here.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use balancer::pool::Pool;
use balancer::relay::{Inherited, Relay, ServiceSetup};
use balancer::sip::Transport;
use balancer::voice;
use directory::Service;
use tracing::{info, warn};

use super::Shared;
use crate::succession;

/// A service that runs.
pub struct Serving {
    /// As the document has it.
    pub service: Arc<Service>,
    /// Its members.
    pub pool: Arc<Pool>,
    /// What is wrong with its addresses, and what to do.
    pub wrong: Option<String>,
    /// Those that are had; the machine need not have them yet.
    pub open: Vec<SocketAddr>,
    /// SIP is spoken by a task of its own.
    calls: Option<voice::Serving>,
}

impl Serving {
    /// Nothing is open yet.
    pub fn new(service: Arc<Service>, pool: Arc<Pool>) -> Serving {
        Serving { service, pool, wrong: None, open: Vec::new(), calls: None }
    }

    /// What it is can go on as `other`.
    pub fn may_become(&self, other: &Service) -> bool {
        let now = &*self.service;
        match now.protocol.is_sip() || other.protocol.is_sip() {
            false => true,
            true => {
                now.protocol == other.protocol
                    && now.listen == other.listen
                    && now.sip.transports == other.sip.transports
            }
        }
    }

    /// Has the data path serve it at every address that can be had; says what is wrong with the others.
    pub fn relay(&mut self, shared: &Shared, relay: &Relay) -> Option<String> {
        let mut service = Service::clone(&self.service);
        let own_servers = shared.own_servers();
        let tls = self.service.terminates_tls.then(|| shared.around.certificates.server_config());
        let inherited = |service: &Service| -> Vec<Inherited> {
            let of = |address: &SocketAddr| {
                let address = *address;
                succession::tcp(address).into_iter().map(move |socket| Inherited { address, socket })
            };
            service.listen.iter().flat_map(of).collect()
        };
        let mut wrong = Vec::new();
        self.open.clear();
        loop {
            let setup = ServiceSetup {
                service: Arc::new(service.clone()),
                pool: self.pool.clone(),
                own_servers: own_servers.clone(),
                trusted_proxies: Arc::new(service.trusted_proxies.clone()),
                tls: tls.clone(),
            };
            let Err(error) = relay.serve(setup, inherited(&service)) else {
                self.open = service.listen;
                break;
            };
            wrong.push(error.to_string());
            let before = service.listen.len();
            service.listen.retain(|address| *address != error.address);
            if service.listen.len() == before {
                break;
            }
        }
        (!wrong.is_empty()).then(|| {
            format!("{}; service '{}' listens there, its 'listen' chooses another", wrong.join("; "), self.service.name)
        })
    }

    /// Has its calls taken; says what is wrong with its addresses.
    pub fn call(&mut self, shared: &Shared) -> Option<String> {
        let tls = shared.around.certificates.server_config();
        if let Some(calls) = &self.calls {
            calls.change(&self.service, tls);
            return None;
        }
        if shared.calls_ended.load(Ordering::Acquire) {
            return None;
        }
        let world = &shared.around.world;
        let (clock, chance, ready) = (world.clock.clone(), world.chance.clone(), shared.ready.subscribe());
        let around = voice::Around { clock, chance, ready, tls };
        let inherited = |transport: Transport, address| match transport {
            Transport::Udp => succession::udp(address).pop(),
            Transport::Tcp | Transport::Tls => succession::tcp(address).pop(),
        };
        match voice::Serving::start(&self.service, self.pool.clone(), around, inherited) {
            Ok(calls) => {
                self.open.clone_from(&self.service.listen);
                self.calls = Some(calls);
                None
            }
            Err(error) => Some(format!(
                "{error}; service '{}' listens at {}, its 'listen' chooses another",
                self.service.name,
                self.service.listen.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            )),
        }
    }

    /// Duplicates of the sockets on which calls come.
    pub fn duplicates(&self) -> Vec<OwnedFd> {
        self.calls.as_ref().map(voice::Serving::duplicates).unwrap_or_default()
    }

    /// Takes no calls any more: who ends them gets them.
    pub fn take_calls(&mut self) -> Option<voice::Serving> {
        self.calls.take()
    }

    /// Remembers what is wrong, and says it once.
    pub fn tell(&mut self, wrong: Option<String>) {
        let service = &*self.service.name;
        match (&self.wrong, &wrong) {
            (before, Some(why)) if before.as_ref() != Some(why) => {
                warn!(service, "{why}; it is tried again until it can be had");
            }
            (Some(_), None) => info!(service, "all its addresses can be had now"),
            _ => {}
        }
        self.wrong = wrong;
    }
}
