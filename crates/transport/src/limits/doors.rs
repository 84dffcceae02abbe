//! Who may come in: one count of connections in all, one per connector, one per source on a connector.

use super::rate::{MINUTE_S, Rate};
use super::users::{Allowance, UserBounds, Users};
use directory::{Limits, ReceiveConnector};
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Sources without a connection that one connector remembers for the sake of their message rate.
pub const SOURCES_KEPT_MAX: usize = 65_536;

/// Why a connection is not let in; each answers 421.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The node has as many connections as it may have.
    Node,
    /// The node had as many new connections in this minute as it may have.
    NodeRate,
    /// The connector has as many connections as it may have.
    Connector,
    /// The source has as many connections as it may have.
    Source,
}

impl Refusal {
    /// The word in metrics and in the trace.
    pub fn word(self) -> &'static str {
        match self {
            Refusal::Node => "connections",
            Refusal::NodeRate => "connection_rate",
            Refusal::Connector => "connector_connections",
            Refusal::Source => "source_connections",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Node => "too many connections, try again later",
            Refusal::NodeRate => "too many new connections, try again later",
            Refusal::Connector => "too many connections here, try again later",
            Refusal::Source => "too many connections from your address",
        })
    }
}

/// All counters of a node's receiving side. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Doors {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    connections_max: u32,
    connections_per_minute: Option<u32>,
    arrivals: Rate,
    users: Users,
    probes: AtomicU32,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    open: u32,
    connectors: HashMap<Arc<str>, Connector>,
}

#[derive(Debug, Default)]
struct Connector {
    open: u32,
    sources: HashMap<IpAddr, Source>,
    users: HashMap<Box<str>, Arc<Rate>>,
}

#[derive(Debug, Default)]
struct Source {
    open: u32,
    messages: Arc<Rate>,
}

/// A connection that was let in. It is counted until this is dropped.
#[derive(Debug)]
pub struct Pass {
    shared: Arc<Shared>,
    connector: Arc<str>,
    source: IpAddr,
    messages: Arc<Rate>,
    is_probe: bool,
}

/// Probes of balancers at the same time. They count in no other bound: a node that is full still says so.
pub const PROBES_MAX: u32 = 64;

impl Doors {
    /// Counters for a node that may have `connections_max` connections at once and `connections_per_minute` new ones.
    pub fn new(connections_max: u32, connections_per_minute: Option<u32>) -> Doors {
        Doors::with_user_bounds(connections_max, connections_per_minute, UserBounds::default())
    }

    /// The same where users have bounds of their own.
    pub fn with_user_bounds(connections_max: u32, connections_per_minute: Option<u32>, users: UserBounds) -> Doors {
        let (arrivals, counts, users) = (Rate::default(), Mutex::default(), Users::new(users));
        let probes = AtomicU32::new(0);
        Doors { shared: Arc::new(Shared { connections_max, connections_per_minute, arrivals, users, probes, counts }) }
    }

    /// Lets a connection from `peer` in on `connector`, or says why not. `now_ms` is monotonic.
    pub fn enter(&self, connector: &ReceiveConnector, peer: IpAddr, now_ms: u64) -> Result<Pass, Refusal> {
        let mut counts = self.shared.counts();
        if counts.open >= self.shared.connections_max {
            return Err(Refusal::Node);
        }
        let name = &connector.name;
        if !counts.connectors.contains_key(name) {
            counts.connectors.insert(name.clone(), Connector::default());
        }
        let Some(door) = counts.connectors.get_mut(name) else { return Err(Refusal::Node) };
        let source = source_of(peer);
        door.may_enter(source, &connector.limits)?;
        if !self.shared.arrivals.take(now_ms, self.shared.connections_per_minute) {
            return Err(Refusal::NodeRate);
        }
        let messages = door.enter(source, now_ms);
        counts.open += 1;
        Ok(Pass { shared: self.shared.clone(), connector: name.clone(), source, messages, is_probe: false })
    }

    /// Lets a probe in, unless [`PROBES_MAX`] are here.
    pub fn enter_probe(&self, connector: &ReceiveConnector, peer: IpAddr) -> Option<Pass> {
        let more = |probes| (probes < PROBES_MAX).then_some(probes + 1);
        self.shared.probes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        let (shared, connector, source) = (self.shared.clone(), connector.name.clone(), source_of(peer));
        Some(Pass { shared, connector, source, messages: Arc::default(), is_probe: true })
    }

    /// Connections at this moment.
    pub fn open(&self) -> u32 {
        self.shared.counts().open
    }
}

impl Shared {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connector {
    fn may_enter(&self, source: IpAddr, limits: &Limits) -> Result<(), Refusal> {
        if self.open >= limits.connections_max {
            return Err(Refusal::Connector);
        }
        let has = self.sources.get(&source).map_or(0, |source| source.open);
        if has < limits.connections_from_one_source(self.open) { Ok(()) } else { Err(Refusal::Source) }
    }

    fn enter(&mut self, source: IpAddr, now_ms: u64) -> Arc<Rate> {
        if self.sources.len() >= SOURCES_KEPT_MAX {
            self.forget(now_ms);
        }
        self.open += 1;
        let entry = self.sources.entry(source).or_default();
        entry.open += 1;
        entry.messages.clone()
    }

    /// Makes room: first those whose minute is over, and if that was not enough, all that have no connection.
    fn forget(&mut self, now_ms: u64) {
        self.sources.retain(|_, source| source.open > 0 || !source.messages.is_idle(now_ms, MINUTE_S));
        if self.sources.len() >= SOURCES_KEPT_MAX {
            self.sources.retain(|_, source| source.open > 0);
        }
    }
}

impl Pass {
    /// The message rate of the connection's source on this connector.
    pub fn source_rate(&self) -> Arc<Rate> {
        self.messages.clone()
    }

    /// The message rate of an authenticated user on this connector. Users are known by name: their number is bounded by the directory.
    pub fn user_rate(&self, user: &str) -> Arc<Rate> {
        let mut counts = self.shared.counts();
        let Some(door) = counts.connectors.get_mut(&self.connector) else { return Arc::default() };
        if let Some(rate) = door.users.get(user) {
            return rate.clone();
        }
        door.users.entry(user.into()).or_default().clone()
    }
}

impl Pass {
    /// What a user may still send, over all connectors together. `now_ms` is monotonic.
    pub fn allowance(&self, user: &str, now_ms: u64) -> Allowance {
        self.shared.users.allowance(user, now_ms)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.is_probe {
            self.shared.probes.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let mut counts = self.shared.counts();
        counts.open = counts.open.saturating_sub(1);
        let Some(door) = counts.connectors.get_mut(&self.connector) else { return };
        door.open = door.open.saturating_sub(1);
        let Some(source) = door.sources.get_mut(&self.source) else { return };
        source.open = source.open.saturating_sub(1);
        // A source that never counted a message need not be remembered.
        if source.open == 0 && source.messages.is_untouched() {
            door.sources.remove(&self.source);
        }
    }
}

/// What counts as one source: an IPv4 address, or an IPv6 network of 64 bits (its holder has all addresses in it).
fn source_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn connector(name: &str, connections: u32, per_source: u32, percent: u32) -> ReceiveConnector {
        let mut connector = crate::receive::testing::connector(name);
        connector.limits.connections_max = connections;
        connector.limits.connections_per_source_max = Some(per_source);
        connector.limits.connections_per_source_percent_max = percent;
        connector
    }

    #[test]
    fn each_limit_refuses_and_a_dropped_pass_makes_room() {
        let doors = Doors::new(4, None);
        let enter = |name: &str, peer: &str| doors.enter(&connector(name, 3, 2, 100), ip(peer), 0);
        let first = enter("in", "192.0.2.1").unwrap();
        let _second = enter("in", "::ffff:192.0.2.1").unwrap();
        assert_eq!(enter("in", "192.0.2.1").err(), Some(Refusal::Source));
        let _third = enter("in", "192.0.2.2").unwrap();
        assert_eq!(enter("in", "192.0.2.3").err(), Some(Refusal::Connector));
        let _fourth = enter("other", "192.0.2.3").unwrap();
        assert_eq!(enter("other", "192.0.2.4").err(), Some(Refusal::Node));
        drop(first);
        assert_eq!(doors.open(), 3);
        assert!(enter("in", "192.0.2.3").is_ok());
    }

    #[test]
    fn the_share_of_a_source_shrinks_as_the_room_does() {
        let doors = Doors::new(1000, None);
        let enter = |peer: &str| doors.enter(&connector("in", 100, 20, 2), ip(peer), 0);
        let _two = [enter("192.0.2.1").unwrap(), enter("192.0.2.1").unwrap()];
        assert_eq!(enter("192.0.2.1").err(), Some(Refusal::Source), "2 % of 98, rounded up, is 2");
        let _many: Vec<Pass> = (0..48).map(|i| enter(&format!("198.51.100.{i}")).unwrap()).collect();
        let _one = enter("192.0.2.2").unwrap();
        assert_eq!(enter("192.0.2.2").err(), Some(Refusal::Source), "2 % of 49 is 1");
    }

    #[test]
    fn a_network_of_64_bits_is_one_source() {
        let doors = Doors::new(10, None);
        let one = connector("in", 10, 1, 100);
        let _first = doors.enter(&one, ip("2001:db8::1"), 0).unwrap();
        assert!(doors.enter(&one, ip("2001:db8::2"), 0).is_err());
        assert!(doors.enter(&one, ip("2001:db8:0:1::2"), 0).is_ok());
    }

    #[test]
    fn a_source_cannot_lose_its_rate_by_coming_again() {
        let doors = Doors::new(10, None);
        let pass = doors.enter(&connector("in", 10, 10, 100), ip("192.0.2.1"), 0).unwrap();
        assert!(pass.source_rate().take(0, Some(1)));
        drop(pass);
        let pass = doors.enter(&connector("in", 10, 10, 100), ip("192.0.2.1"), 0).unwrap();
        assert!(!pass.source_rate().take(0, Some(1)));
        let quiet = doors.enter(&connector("in", 10, 10, 100), ip("192.0.2.2"), 0).unwrap();
        drop(quiet);
        assert_eq!(
            doors.shared.counts().connectors[&Arc::from("in")].sources.len(),
            1,
            "who sent nothing is forgotten"
        );
    }

    #[test]
    fn probes_have_a_bound_of_their_own() {
        let doors = Doors::new(0, Some(0));
        let one = connector("in", 1, 1, 100);
        assert_eq!(doors.enter(&one, ip("192.0.2.1"), 0).err(), Some(Refusal::Node));
        let mut probes: Vec<Pass> = (0..PROBES_MAX).map_while(|_| doors.enter_probe(&one, ip("192.0.2.1"))).collect();
        assert_eq!((probes.len(), doors.open()), (PROBES_MAX as usize, 0));
        assert!(doors.enter_probe(&one, ip("192.0.2.1")).is_none());
        probes.pop();
        assert!(doors.enter_probe(&one, ip("192.0.2.1")).is_some());
    }

    #[test]
    fn new_connections_in_a_minute() {
        let doors = Doors::new(10, Some(1));
        drop(doors.enter(&connector("in", 10, 10, 100), ip("192.0.2.1"), 0).unwrap());
        let second = doors.enter(&connector("in", 10, 10, 100), ip("192.0.2.1"), 1);
        assert_eq!(second.err(), Some(Refusal::NodeRate));
        assert!(doors.enter(&connector("in", 10, 10, 100), ip("192.0.2.1"), 60_000).is_ok());
    }
}
