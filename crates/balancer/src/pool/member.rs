//! One member of a pool: what the document says of it now, and what lives on when the document changes.

use super::ejection::Record;
use super::health::{Health, Watched};
use super::place::Refused;
use super::times::Times;
use super::{Wanted, algorithm};
use directory::{Ejection, Host, ProxyHeader, Service};
use metrics::{Counter, Histogram, counter, histogram};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// One member at one address.
pub struct Member {
    /// Its name in the document. Members at several addresses of one host name have the same.
    pub name: Arc<str>,
    /// The name of its service.
    pub service: Arc<str>,
    /// Where to connect to.
    pub address: SocketAddr,
    /// Its host name, where the document says one.
    pub host: Option<Arc<str>>,
    /// What stands before the client's bytes.
    pub proxy: ProxyHeader,
    /// It is one of our own servers.
    pub is_own: bool,
    /// Its share against the others.
    pub weight: u32,
    /// 1 is asked first.
    pub priority: u32,
    /// Connections that it may have; `None` is no bound.
    pub connections_max: Option<u32>,
    /// How long it may take to accept a connection.
    pub connect_timeout_ms: u64,
    /// How long it may take from there to its greeting.
    pub greeting_timeout_ms: u64,
    pub(super) id: u32,
    /// What it is in the source hash, the same on every balancer.
    pub(super) hash: u64,
    pub(super) live: Arc<Live>,
    sni: Vec<Box<str>>,
    health: Arc<dyn Watched>,
}

/// What stays when the document changes.
pub(super) struct Live {
    pub ejection: Record,
    active: AtomicU32,
    busy: AtomicU32,
    drained: AtomicBool,
    totals: Totals,
    meters: Meters,
}

/// Since the member is known.
#[derive(Default)]
pub(super) struct Totals {
    pub connections: AtomicU64,
    pub greeted: AtomicU64,
    pub refused: AtomicU64,
    pub hidden: AtomicU64,
    pub up_bytes: AtomicU64,
    pub down_bytes: AtomicU64,
    pub greetings: Times,
}

/// The same for the metrics.
struct Meters {
    connections: Counter,
    refused: [Counter; Refused::WORDS.len()],
    hidden: Counter,
    ejected: Counter,
    up_bytes: Counter,
    down_bytes: Counter,
    greeting: Histogram,
}

impl Member {
    pub(super) fn of(id: u32, wanted: &Wanted, service: &Service, live: Arc<Live>) -> Member {
        let of = &wanted.member;
        Member {
            name: Arc::clone(&of.name),
            service: Arc::clone(&service.name),
            address: wanted.address,
            host: match &of.address.host {
                Host::Name(name) => Some(name.as_ref().into()),
                Host::Ip(_) => None,
            },
            proxy: of.proxy,
            is_own: of.is_own,
            weight: of.weight,
            priority: of.priority,
            connections_max: of.connections_max,
            connect_timeout_ms: service.limits.connect_timeout_ms,
            greeting_timeout_ms: service.limits.greeting_timeout_ms,
            id,
            hash: algorithm::member_hash(&of.name, wanted.address),
            live,
            sni: of.sni.clone(),
            health: Arc::clone(&wanted.health),
        }
    }

    /// It gets no new connections, by the document: it is drained, or no longer there. Connections that it has may look.
    pub fn is_drained(&self) -> bool {
        self.live.drained.load(Ordering::Relaxed)
    }

    /// Connections that it has now.
    pub fn active(&self) -> u32 {
        self.live.active.load(Ordering::Relaxed)
    }

    /// How it is.
    pub fn health(&self) -> Health {
        self.health.health()
    }

    /// Why it is not up; empty if it is.
    pub fn reason(&self) -> String {
        self.health.reason()
    }

    /// It has as many connections as it may have.
    pub(super) fn is_full(&self) -> bool {
        self.connections_max.is_some_and(|most| self.active() >= most)
    }

    /// How well it suits a name of a client's TLS greeting: 0 is not at all, then all names, a name above, the name itself.
    pub(super) fn name_rank(&self, server_name: Option<&str>) -> usize {
        let Some(name) = server_name else { return usize::from(self.sni.is_empty()) };
        let rank = |own: &str| match own.strip_prefix("*.") {
            Some(above) => {
                let rest = name.len().checked_sub(above.len() + 1).filter(|rest| *rest > 0);
                let (below, end) = rest.and_then(|rest| name.split_at_checked(rest)).unwrap_or_default();
                let is_below = !below.is_empty() && end[1..].eq_ignore_ascii_case(above) && end.starts_with('.');
                usize::from(is_below) * (1 + above.len())
            }
            None => usize::from(own.eq_ignore_ascii_case(name)) * usize::MAX,
        };
        let best = self.sni.iter().map(|own| rank(own)).max();
        best.unwrap_or(1)
    }

    /// So many bytes went to it and came from it, on no connection of its own.
    pub fn moved(&self, up_bytes: u64, down_bytes: u64) {
        self.live.moved(up_bytes, down_bytes);
    }

    /// Who watches it.
    pub(super) fn watched(&self) -> &dyn Watched {
        &*self.health
    }
}

impl Live {
    pub fn new(service: &str, member: &str) -> Live {
        Live {
            ejection: Record::default(),
            active: AtomicU32::new(0),
            busy: AtomicU32::new(0),
            drained: AtomicBool::new(false),
            totals: Totals::default(),
            meters: Meters::of(service, member),
        }
    }

    pub fn set_drained(&self, drained: bool) {
        self.drained.store(drained, Ordering::Relaxed);
    }

    /// One more connection.
    pub fn begin(&self) {
        self.active.fetch_add(1, Ordering::Relaxed);
        self.totals.connections.fetch_add(1, Ordering::Relaxed);
        self.meters.connections.increment(1);
    }

    /// One less.
    pub fn end(&self) {
        self.active.fetch_sub(1, Ordering::Relaxed);
    }

    /// One more is in the middle of a mail transaction, or one less.
    pub fn busy(&self, is_in: bool) {
        match is_in {
            true => self.busy.fetch_add(1, Ordering::Relaxed),
            false => self.busy.fetch_sub(1, Ordering::Relaxed),
        };
    }

    /// So many are.
    pub fn in_transaction(&self) -> u32 {
        self.busy.load(Ordering::Relaxed)
    }

    pub fn greeted(&self, now_ms: u64, took_us: u64) {
        self.ejection.worked(now_ms);
        self.totals.greeted.fetch_add(1, Ordering::Relaxed);
        self.totals.greetings.add(took_us);
        self.meters.greeting.record(took_us as f64 / 1e6);
    }

    pub fn refused(&self, why: &Refused) {
        self.totals.refused.fetch_add(1, Ordering::Relaxed);
        self.meters.refused[why.number()].increment(1);
    }

    /// Another member served what this one failed.
    pub fn hidden(&self) {
        self.totals.hidden.fetch_add(1, Ordering::Relaxed);
        self.meters.hidden.increment(1);
    }

    pub fn moved(&self, up_bytes: u64, down_bytes: u64) {
        self.totals.up_bytes.fetch_add(up_bytes, Ordering::Relaxed);
        self.totals.down_bytes.fetch_add(down_bytes, Ordering::Relaxed);
        self.meters.up_bytes.increment(up_bytes);
        self.meters.down_bytes.increment(down_bytes);
    }

    pub fn eject(&self, now_ms: u64, ejection: &Ejection) {
        if self.ejection.eject(now_ms, ejection) {
            self.meters.ejected.increment(1);
        }
    }

    pub fn totals(&self) -> &Totals {
        &self.totals
    }
}

impl Meters {
    fn of(service: &str, member: &str) -> Meters {
        let (s, m) = (|| service.to_string(), || member.to_string());
        Meters {
            connections: counter!("posthouse_service_connections_total", "service" => s(), "member" => m()),
            refused: Refused::WORDS.map(
                |why| counter!("posthouse_service_refused_total", "service" => s(), "member" => m(), "reason" => why),
            ),
            hidden: counter!("posthouse_service_retries_hidden_total", "service" => s(), "member" => m()),
            ejected: counter!("posthouse_service_ejected_total", "service" => s(), "member" => m()),
            up_bytes: counter!("posthouse_service_bytes_total", "service" => s(), "member" => m(), "direction" => "up"),
            down_bytes: counter!("posthouse_service_bytes_total", "service" => s(), "member" => m(), "direction" => "down"),
            greeting: histogram!("posthouse_service_greeting_seconds", "service" => s(), "member" => m()),
        }
    }
}
