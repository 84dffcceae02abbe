//! The pool of a service as the dial plan of the machine. Knows the machine's [`Hosts`] and the pool, and no packets.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::host::{Host, Hosts, Offer, Trouble};
use crate::pool::{Member, Place, Pool, Refused, Tried};

/// The hosts of one service.
pub struct DialPlan {
    pool: Arc<Pool>,
    /// Members as they were when last looked at, each with what the machine calls it.
    known: Vec<(Arc<Host>, Arc<Member>)>,
    looked_ms: u64,
}

/// The pool is asked again who its members are after so long.
const LOOK_AGAIN_MS: u64 = 250;

impl DialPlan {
    /// The members of `pool`.
    pub fn new(pool: Arc<Pool>, now_ms: u64) -> DialPlan {
        let mut plan = DialPlan { pool, known: Vec::new(), looked_ms: now_ms };
        plan.look();
        plan
    }

    /// Looks at who the members are now, if that is some time ago.
    pub fn refresh(&mut self, now_ms: u64) {
        if now_ms >= self.looked_ms + LOOK_AGAIN_MS {
            self.looked_ms = now_ms;
            self.look();
        }
    }

    /// The address of some host, to find out which of ours leads to it.
    pub fn some_address(&self) -> Option<SocketAddr> {
        self.known.first().map(|(host, _)| host.address)
    }

    /// So many bytes went to a host and came from it. One that connects from another port is known by its address.
    pub fn moved(&self, host: SocketAddr, up_bytes: u64, down_bytes: u64) {
        let exact = self.known.iter().find(|(known, _)| known.address == host);
        let found = exact.or_else(|| self.known.iter().find(|(known, _)| known.address.ip() == host.ip()));
        if let Some((_, member)) = found {
            member.moved(up_bytes, down_bytes);
        }
    }

    fn look(&mut self) {
        let members = self.pool.members();
        let is_same = self.known.len() == members.len()
            && self.known.iter().zip(&members).all(|((_, known), member)| Arc::ptr_eq(known, member));
        if !is_same {
            self.known = members.into_iter().map(|member| (Arc::new(host(&member)), member)).collect();
        }
    }

    fn host_of(&self, member: &Member) -> Arc<Host> {
        let known = self.known.iter().find(|(host, _)| host.name == member.name && host.address == member.address);
        known.map_or_else(|| Arc::new(host(member)), |(host, _)| Arc::clone(host))
    }
}

fn host(member: &Member) -> Host {
    let shown = match &member.host {
        Some(name) => format!("{name}:{}", member.address.port()),
        None => member.address.to_string(),
    };
    Host { name: Arc::clone(&member.name), address: member.address, shown: shown.into() }
}

impl Hosts for DialPlan {
    type Place = Place;

    fn choose(&mut self, now_ms: u64, source: IpAddr, tried: &[Arc<Host>]) -> Option<(Arc<Host>, Place)> {
        let mut members = Tried::new();
        let is_tried = |host: &Host| tried.iter().any(|one| **one == *host);
        self.known.iter().filter(|(host, _)| is_tried(host)).for_each(|(_, member)| members.add(member));
        // At a quick 503 a gateway goes on with its next way out.
        let place = self.pool.choose_up(now_ms, source, &members).ok()?;
        Some((self.host_of(place.member()), place))
    }

    fn offers(&self, now_ms: u64) -> Vec<Offer> {
        let offer = |member: Arc<Member>| Offer {
            host: self.host_of(&member),
            // Without slow start: a retransmission must get the same answer.
            weight: member.weight,
            priority: member.priority,
        };
        self.pool.open(now_ms).into_iter().map(offer).collect()
    }

    fn at(&self, ip: IpAddr) -> Option<Arc<Host>> {
        self.known.iter().find(|(host, _)| host.address.ip() == ip).map(|(host, _)| Arc::clone(host))
    }

    fn shown(&self, name: &[u8]) -> Option<Arc<Host>> {
        let is_named = |host: &Host| {
            host.shown.rsplit_once(':').is_some_and(|(shown, _)| shown.as_bytes().eq_ignore_ascii_case(name))
        };
        self.known.iter().find(|(host, _)| is_named(host)).map(|(host, _)| Arc::clone(host))
    }

    fn heard(&mut self, place: &Place, now_ms: u64, took_ms: u64) {
        place.spoke(now_ms, took_ms * 1000);
    }

    fn failed(&mut self, place: &Place, now_ms: u64, trouble: Trouble) {
        let why = match trouble {
            Trouble::Unreachable => Refused::Connect,
            Trouble::Silent => Refused::Silent,
            Trouble::Refused(code) => Refused::Greeting(code),
        };
        place.refused(now_ms, &why);
    }

    fn took(&mut self, place: &Place) {
        place.served();
    }
}
