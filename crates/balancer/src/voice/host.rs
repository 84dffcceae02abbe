//! The hosts of a dial plan, as the machine sees them. Knows neither pools nor probes.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::sip::{mark, scatter};

/// One host of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The member's name, in logs and metrics.
    pub name: Arc<str>,
    /// Where calls are sent.
    pub address: SocketAddr,
    /// How a redirect names it: `host:port` as it is configured, so that gateways can check a certificate.
    pub shown: Arc<str>,
}

/// A host as it can be offered now.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Who.
    pub host: Arc<Host>,
    /// Its share among those of the same priority; not 0.
    pub weight: u32,
    /// Lower ones first.
    pub priority: u32,
}

/// Why a host did not take a call, as far as it says something about the host: it counts like a failed probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No way there.
    Unreachable,
    /// Not a word in time.
    Silent,
    /// It answered with this code of 500 and above, below 600.
    Refused(u16),
}

/// Who takes calls. The pool of the service is one.
pub trait Hosts {
    /// Counts a call that is being set up at a host, until it is dropped.
    type Place;

    /// A place for a call from `source`, at none of `tried`.
    fn choose(&mut self, now_ms: u64, source: IpAddr, tried: &[Arc<Host>]) -> Option<(Arc<Host>, Self::Place)>;

    /// All that take new calls now.
    fn offers(&self, now_ms: u64) -> Vec<Offer>;

    /// The host with that address, whether it takes calls or not.
    fn at(&self, ip: IpAddr) -> Option<Arc<Host>>;

    /// The host that a redirect calls so (without port), whether it takes calls or not.
    fn shown(&self, name: &[u8]) -> Option<Arc<Host>>;

    /// The host answered, whatever it was.
    fn heard(&mut self, place: &Self::Place, now_ms: u64, took_ms: u64);

    /// The host failed.
    fn failed(&mut self, place: &Self::Place, now_ms: u64, trouble: Trouble);

    /// The host took the call: of those that were asked before, the caller heard nothing.
    fn took(&mut self, place: &Self::Place);
}

/// The order in which a call that is known by `call` is offered: the same on every node and for each retransmission, spread by weight over
/// many calls, and without the host that leaves the others in their order (rendezvous hashing).
pub fn ranked(mut offers: Vec<Offer>, call: &[u8]) -> Vec<Offer> {
    let score = |offer: &Offer| {
        let drawn = scatter(mark(&[call, offer.host.name.as_bytes()])) >> 11;
        // In (0, 1): never 0, whose logarithm is no number.
        let share = (drawn as f64 + 0.5) / (1_u64 << 53) as f64;
        -f64::from(offer.weight.max(1)) / share.ln()
    };
    offers.sort_by(|a, b| {
        a.priority.cmp(&b.priority).then(score(b).total_cmp(&score(a))).then(a.host.name.cmp(&b.host.name))
    });
    offers
}
