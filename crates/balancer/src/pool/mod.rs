//! The members of one service and who of them gets a connection.
//!
//! Owns the choice (algorithm, weights, priorities, affinity), the counters of each member, and when a member is left alone for a while.
//! Refuses to know sockets, clocks and how health is found out: the time is an argument, health is a [`Health`] that somebody else writes.
//! Always holds: one short lock per choice and no allocation; a connection counts at its member from the choice until its [`Place`] is
//! dropped; an exchange of the document keeps the counters and the history of members that stay.

mod affinity;
mod algorithm;
mod budget;
mod ejection;
mod explained;
mod health;
mod member;
mod place;
mod shown;
mod slot;
#[cfg(test)]
mod tests;
mod times;
mod tried;

pub use explained::Explained;
pub use health::{Health, Watched};
pub use member::Member;
pub use place::{Place, Refused};
pub use shown::Shown;
pub use tried::Tried;

use self::affinity::Table;
use self::algorithm::Candidate;
use self::budget::Budget;
use self::member::Live;
use self::slot::Slot;
use directory::{Affinity, Algorithm, Ejection, Service, ServiceMember};
use metrics::{Counter, Unit, counter, describe_counter, describe_histogram};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The members of one service. One per service, shared by all that hand out its connections.
pub struct Pool {
    service: Arc<str>,
    state: Mutex<State>,
    /// The latest time that anybody told, in milliseconds.
    latest_ms: AtomicU64,
    nobody: [Counter; Nobody::ALL.len()],
    /// The same since the pool is there.
    unserved_count: AtomicU64,
    /// Failures of members that clients did not notice, those of members that are gone included.
    hidden_count: AtomicU64,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nobody {
    /// Each member that is up was tried for this connection.
    AllTried,
    /// No member is up, or those that are take no new connections.
    AllDown,
    /// Every member that is up has as many connections as it may have.
    AllFull,
    /// Too large a share of the recent connections were second tries.
    Budget,
}

/// One member as it should be: of the document, at one of its addresses.
pub struct Wanted {
    /// What the document says.
    pub member: Arc<ServiceMember>,
    /// Where it is.
    pub address: SocketAddr,
    /// How it is.
    pub health: Arc<dyn Watched>,
}

/// Says what the metrics mean. Once, after the recorder was installed.
pub fn describe() {
    describe_counter!("posthouse_service_connections_total", "Connections that a member of a service was chosen for.");
    describe_counter!(
        "posthouse_service_refused_total",
        "Connections that a member failed before the client heard anything, by reason."
    );
    describe_counter!(
        "posthouse_service_retries_hidden_total",
        "Connections or calls that a member failed, or that left it, and another one then served: clients noticed nothing."
    );
    describe_counter!(
        "posthouse_service_nobody_total",
        "Connections that no member could be found for (421), by reason."
    );
    describe_counter!(
        "posthouse_service_ejected_total",
        "Times that a member was left alone for a while because connections failed."
    );
    describe_counter!("posthouse_service_bytes_total", Unit::Bytes, "Bytes to a member (up) and from it (down).");
    describe_histogram!(
        "posthouse_service_greeting_seconds",
        Unit::Seconds,
        "From the choice of a member to its greeting."
    );
}

struct State {
    rules: Rules,
    slots: Vec<Slot>,
    table: Option<Table>,
    budget: Budget,
    /// Used by one choice; kept for its memory.
    candidates: Vec<Candidate>,
    next_id: u32,
}

/// What the document says of the choice.
struct Rules {
    algorithm: Algorithm,
    affinity: Affinity,
    ejection: Ejection,
    slow_start_ms: u64,
}

impl Pool {
    /// A pool of these members.
    pub fn new(now_ms: u64, service: &Service, wanted: Vec<Wanted>) -> Arc<Pool> {
        let name = &service.name;
        let state = State {
            rules: Rules::of(service),
            slots: Vec::new(),
            table: None,
            budget: Budget::new(service.limits.retry_budget_percent),
            candidates: Vec::new(),
            next_id: 0,
        };
        let nobody = Nobody::ALL.map(
            |why| counter!("posthouse_service_nobody_total", "service" => name.to_string(), "reason" => why.word()),
        );
        let pool = Pool {
            service: Arc::clone(name),
            state: Mutex::new(state),
            latest_ms: AtomicU64::new(0),
            nobody,
            unserved_count: AtomicU64::new(0),
            hidden_count: AtomicU64::new(0),
        };
        pool.exchange(now_ms, service, wanted);
        Arc::new(pool)
    }

    /// From now on these members and this service count. A member with the name and address of an earlier one is the same one: its
    /// connections, its counters and what is known of its failures stay. One that is gone counts as drained.
    pub fn exchange(&self, now_ms: u64, service: &Service, wanted: Vec<Wanted>) {
        let mut state = self.lock();
        let is_first = state.slots.is_empty();
        let mut earlier = std::mem::take(&mut state.slots);
        for one in wanted {
            let same = |slot: &Slot| slot.member.name == one.member.name && slot.member.address == one.address;
            let slot = match earlier.iter().position(same) {
                Some(at) => {
                    let mut slot = earlier.swap_remove(at);
                    let live = Arc::clone(&slot.member.live);
                    slot.member = Arc::new(Member::of(slot.member.id, &one, service, live));
                    slot
                }
                None => {
                    let id = state.next_id;
                    state.next_id += 1;
                    let live = Arc::new(Live::new(&service.name, &one.member.name));
                    let member = Arc::new(Member::of(id, &one, service, live));
                    Slot::new(member, (!is_first).then_some(now_ms))
                }
            };
            slot.member.live.set_drained(one.member.drain);
            state.slots.push(slot);
        }
        earlier.iter().for_each(|gone| gone.member.live.set_drained(true));
        state.slots.iter_mut().for_each(|slot| slot.turn = 0);
        state.rules = Rules::of(service);
        state.budget.set_percent(service.limits.retry_budget_percent);
        let (members, affinity) = (state.slots.len(), service.affinity);
        state.candidates.reserve(members);
        state.table = match state.table.take() {
            _ if affinity.timeout_ms == 0 => None,
            Some(table) if table.is_for(affinity.clients_max) => Some(table),
            _ => Some(Table::new(affinity.clients_max)),
        };
    }

    /// A place at a member for a client at `source`; none of `tried`. Counts the connection until the place is dropped.
    ///
    /// Who is up, not drained, not left alone and not full is asked by priority, then by affinity, then by the algorithm. If everybody who
    /// is up is left alone, they are asked all the same; if nobody is up, so are those who seem down: a client that waits for a greeting
    /// loses nothing by that, and probes may be wrong. Who drains, or is short of something, is never asked.
    pub fn choose(self: &Arc<Self>, now_ms: u64, source: IpAddr, tried: &Tried) -> Result<Place, Nobody> {
        self.choose_named(now_ms, source, tried, None)
    }

    /// The same for a client that named `server_name` in its TLS greeting: members that are for that name, then those for names above it,
    /// then those that are for all.
    pub fn choose_named(
        self: &Arc<Self>,
        now_ms: u64,
        source: IpAddr,
        tried: &Tried,
        server_name: Option<&str>,
    ) -> Result<Place, Nobody> {
        self.choose_until(now_ms, source, tried, server_name, Health::Down)
    }

    /// The same without those who seem down: for clients that are better off with a quick no.
    pub fn choose_up(self: &Arc<Self>, now_ms: u64, source: IpAddr, tried: &Tried) -> Result<Place, Nobody> {
        self.choose_until(now_ms, source, tried, None, Health::Unknown)
    }

    fn choose_until(
        self: &Arc<Self>,
        now_ms: u64,
        source: IpAddr,
        tried: &Tried,
        server_name: Option<&str>,
        last: Health,
    ) -> Result<Place, Nobody> {
        self.latest_ms.fetch_max(now_ms, Ordering::Relaxed);
        let mut state = self.lock();
        let client = state.rules.affinity.client(source);
        let found = state.choose(now_ms, client, tried, server_name, last);
        let member = match found {
            Ok(member) => member,
            Err(why) => {
                drop(state);
                self.nobody[why as usize].increment(1);
                self.unserved_count.fetch_add(1, Ordering::Relaxed);
                return Err(why);
            }
        };
        member.live.begin();
        let client = state.table.is_some().then_some(client);
        drop(state);
        Ok(Place::new(Arc::clone(self), member, client, tried))
    }

    /// Members of this name get no new connections any more, and those that they have may look; where nobody says what the document is.
    pub fn drain(&self, member: &str) {
        let state = self.lock();
        state
            .slots
            .iter()
            .filter(|slot| *slot.member.name == *member)
            .for_each(|slot| slot.member.live.set_drained(true));
    }

    /// The name of its service.
    pub fn service(&self) -> &Arc<str> {
        &self.service
    }

    /// Connections that no member could be found for.
    pub fn unserved(&self) -> u64 {
        self.unserved_count.load(Ordering::Relaxed)
    }

    /// Connections that a member failed and another one then served: each failure is one.
    pub fn retries_hidden(&self) -> u64 {
        self.hidden_count.load(Ordering::Relaxed)
    }

    /// Another member has served a connection that these failed.
    fn hidden(&self, tried: &Tried) {
        let state = self.lock();
        for slot in state.slots.iter().filter(|slot| tried.has(&slot.member)) {
            slot.member.live.hidden();
        }
        drop(state);
        self.hidden_count.fetch_add(tried.failures() as u64, Ordering::Relaxed);
    }

    /// Its members, in order of the document.
    pub fn members(&self) -> Vec<Arc<Member>> {
        self.lock().slots.iter().map(|slot| Arc::clone(&slot.member)).collect()
    }

    /// The members that would get a connection now, of all priorities.
    pub fn open(&self, now_ms: u64) -> Vec<Arc<Member>> {
        let mut guard = self.lock();
        let state = &mut *guard;
        match state.gather(now_ms, &Tried::new(), None, Health::Unknown) {
            Ok(()) => state.candidates.iter().map(|one| Arc::clone(&state.slots[one.slot].member)).collect(),
            Err(_) => Vec::new(),
        }
    }

    /// A connection to `member` failed: it may be left alone for a while now.
    fn failed(&self, now_ms: u64, member: &Member) {
        let state = self.lock();
        let (ejection, slots) = (&state.rules.ejection, &state.slots);
        if member.live.ejection.failed(ejection) && ejection::may_eject(ejection, now_ms, slots) {
            member.live.eject(now_ms, ejection);
        }
    }

    /// The client of a place that ends now was here until now.
    fn touch(&self, client: IpAddr, member: &Member) {
        let now_ms = self.latest_ms.load(Ordering::Relaxed);
        if let Some(table) = &mut self.lock().table {
            table.put(now_ms, client, member.id);
        }
    }

    /// Nothing that runs under the lock can panic; a poisoned one would be as good as any other.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn choose(
        &mut self,
        now_ms: u64,
        client: IpAddr,
        tried: &Tried,
        server_name: Option<&str>,
        last: Health,
    ) -> Result<Arc<Member>, Nobody> {
        if !tried.is_empty() && !self.budget.allows(now_ms) {
            return Err(Nobody::Budget);
        }
        self.gather(now_ms, tried, server_name, last)?;
        self.keep_first_group();
        let slot = self.sticky(now_ms, client).or_else(|| self.pick(client)).ok_or(Nobody::AllDown)?;
        let member = Arc::clone(&self.slots[slot].member);
        if let Some(table) = &mut self.table {
            table.put(now_ms, client, member.id);
        }
        match tried.is_empty() {
            true => self.budget.first_try(now_ms),
            false => self.budget.further_try(now_ms),
        }
        Ok(member)
    }

    /// Who may get the connection, of all priorities: of those who are up; if all of them were tried, of those whom nobody has looked at;
    /// and so on until `last`.
    fn gather(&mut self, now_ms: u64, tried: &Tried, server_name: Option<&str>, last: Health) -> Result<(), Nobody> {
        let of_name = slot::best_name(&self.slots, server_name);
        self.candidates.clear();
        let mut seen = false;
        for health in [Health::Up, Health::Unknown, Health::Down] {
            let mut untried = false;
            for with_ejected in [false, true] {
                for (number, slot) in self.slots.iter_mut().enumerate() {
                    let is_of_name = of_name > 0 && slot.member.name_rank(server_name) == of_name;
                    if !is_of_name || slot.look(now_ms) != Some(health) {
                        continue;
                    }
                    seen = true;
                    let is_out = slot.member.live.ejection.is_out(now_ms) && !with_ejected;
                    if tried.has(&slot.member) {
                        continue;
                    }
                    untried = true;
                    if !is_out && !slot.member.is_full() {
                        let weight = slot.weight(now_ms, self.rules.slow_start_ms);
                        self.candidates.push(Candidate { slot: number, weight });
                    }
                }
                if !self.candidates.is_empty() {
                    return Ok(());
                }
            }
            // Who is full is well; that is no reason to ask who is not.
            if untried {
                return Err(Nobody::AllFull);
            }
            if health == last {
                break;
            }
        }
        Err(if seen || !tried.is_empty() { Nobody::AllTried } else { Nobody::AllDown })
    }

    /// Of the candidates, those of the first group that has some.
    fn keep_first_group(&mut self) {
        let first = self.candidates.iter().map(|candidate| self.slots[candidate.slot].member.priority).min();
        let slots = &self.slots;
        self.candidates.retain(|candidate| Some(slots[candidate.slot].member.priority) == first);
    }

    /// The member that the client had, if it may have it again.
    fn sticky(&mut self, now_ms: u64, client: IpAddr) -> Option<usize> {
        let id = self.table.as_mut()?.get(now_ms, client, self.rules.affinity.timeout_ms)?;
        let mut slots = self.candidates.iter().map(|candidate| candidate.slot);
        slots.find(|slot| self.slots[*slot].member.id == id)
    }

    fn pick(&mut self, client: IpAddr) -> Option<usize> {
        match self.rules.algorithm {
            Algorithm::SourceHash => algorithm::by_hash(&self.slots, &self.candidates, client),
            Algorithm::RoundRobin => algorithm::in_turn(&mut self.slots, &self.candidates),
            Algorithm::LeastConnections => {
                algorithm::keep_least(&self.slots, &mut self.candidates);
                algorithm::in_turn(&mut self.slots, &self.candidates)
            }
        }
    }
}

impl Rules {
    fn of(service: &Service) -> Rules {
        Rules {
            algorithm: service.algorithm,
            affinity: service.affinity,
            ejection: service.ejection,
            slow_start_ms: service.limits.slow_start_ms,
        }
    }
}

impl Nobody {
    const ALL: [Nobody; 4] = [Nobody::AllTried, Nobody::AllDown, Nobody::AllFull, Nobody::Budget];

    /// One word for metrics.
    pub fn word(self) -> &'static str {
        match self {
            Nobody::AllTried => "tried",
            Nobody::AllDown => "down",
            Nobody::AllFull => "full",
            Nobody::Budget => "budget",
        }
    }
}

/// As a client may read it.
impl std::fmt::Display for Nobody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Nobody::AllTried => "no server answered",
            Nobody::AllDown => "no server is ready",
            Nobody::AllFull => "all servers are busy",
            Nobody::Budget => "too many servers failed lately",
        })
    }
}
