//! A simulated etcd, network and kernel, with three machines over them.

mod restart;

use balancer::address::{Answer, Candidate, Effect, Facts, Fit, HolderSeen, Lease, Machine, OrderSeen, Rules};
use restart::{KEEP_MS, Restart};
use std::collections::BTreeMap;

pub const NODES: usize = 3;
pub const STEP_MS: u64 = 10;

/// What may go wrong.
#[derive(Clone, Copy, Debug)]
pub enum Trouble {
    /// No word between the node and etcd.
    Cut(usize),
    Heal(usize),
    /// SIGSTOP of the node, for so long.
    Freeze(usize, u64),
    /// kill -9, and a new process after a second.
    Kill(usize),
    /// A new process takes the place of the one that runs: it comes after so long, and needs so long to begin with what it is given.
    Restart(usize, u64, u64),
    /// The guard of the node dies with it, or freezes with it, from now on.
    NoGuard(usize),
    Unfit(usize, bool),
    Order(Option<usize>),
    EtcdAway(u64),
}

enum Ask {
    Grant,
    Keep(i64),
    Claim(i64),
    Revoke(i64),
    Would(bool),
}

enum Told {
    Granted(i64, u64),
    Kept(i64, u64),
    Claimed(i64, Answer),
    Gone(i64),
}

#[derive(Clone, Default)]
struct Seen {
    revision: u64,
    holder: Option<(usize, i64)>,
    order: Option<(usize, Option<usize>)>,
    would: [bool; NODES],
}

#[derive(Default)]
struct Etcd {
    leases: BTreeMap<i64, u64>,
    next: i64,
    seen: Seen,
    order_until_ms: u64,
    away_until_ms: u64,
}

pub struct Node {
    machine: Machine,
    /// Thousandths of a second of its clock in a second.
    rate: u64,
    dead_until_ms: u64,
    frozen_until_ms: u64,
    restart: Restart,
    guard: bool,
    pub cut: bool,
    pub fit: Fit,
    lease: Option<(i64, u64)>,
    wants_lease: bool,
    next_keep_ms: u64,
    leaving: bool,
    seen: Seen,
    heard_ms: u64,
    told_would: bool,
    /// Until when the kernel has the address.
    kernel_ms: Option<u64>,
    /// The guard's lease and when it acts, if it is not told more.
    guarded: Option<(i64, u64)>,
}

pub struct World {
    pub now_ms: u64,
    ttl_ms: u64,
    margin_ms: u64,
    failback: bool,
    /// One answer of so many is lost; 0: none.
    pub loss: u64,
    dice: u64,
    etcd: Etcd,
    pub nodes: Vec<Node>,
    /// Sender, its clock at the sending, when it arrives.
    asks: Vec<(u64, usize, u64, Ask)>,
    tells: Vec<(u64, usize, u64, Told)>,
    views: Vec<(u64, usize, Seen)>,
    pub moves: u32,
    /// The kernel ended an address that a living guard watched over.
    pub untold: bool,
}

impl World {
    pub fn new(seed: u64, ttl_ms: u64, margin_ms: u64, failback: bool) -> World {
        let mut world = World {
            now_ms: 1_000_000,
            ttl_ms,
            margin_ms,
            failback,
            loss: LOSS,
            dice: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            etcd: Etcd::default(),
            nodes: Vec::new(),
            asks: Vec::new(),
            tells: Vec::new(),
            views: Vec::new(),
            moves: 0,
            untold: false,
        };
        for number in 0..NODES {
            let rate = 999 + world.roll(3);
            let machine = world.machine(number);
            world.nodes.push(Node {
                machine,
                rate,
                dead_until_ms: 0,
                frozen_until_ms: 0,
                restart: Restart::None,
                guard: true,
                cut: false,
                fit: Fit::Ready,
                lease: None,
                wants_lease: false,
                next_keep_ms: 0,
                leaving: false,
                seen: Seen::default(),
                heard_ms: 0,
                told_would: false,
                kernel_ms: None,
                guarded: None,
            });
        }
        world
    }

    fn machine(&self, number: usize) -> Machine {
        Machine::new(self.rules(number))
    }

    fn rules(&self, number: usize) -> Rules {
        Rules {
            me: format!("n{number}"),
            failback: self.failback,
            announce_count: 2,
            announce_interval_ms: 1_000,
            margin_ms: self.margin_ms,
        }
    }

    fn roll(&mut self, below: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice >> 11) % below
    }

    /// A node's own clock.
    fn clock(&self, number: usize) -> u64 {
        self.now_ms * self.nodes[number].rate / 1_000
    }

    pub fn trouble(&mut self, trouble: Trouble) {
        let now_ms = self.now_ms;
        match trouble {
            Trouble::Cut(node) => self.nodes[node].cut = true,
            Trouble::Heal(node) => self.nodes[node].cut = false,
            Trouble::Freeze(node, ms) => self.nodes[node].frozen_until_ms = now_ms + ms,
            Trouble::NoGuard(node) => self.nodes[node].guard = false,
            Trouble::Unfit(node, unfit) => {
                self.nodes[node].fit = if unfit { Fit::NotReady("drained".into()) } else { Fit::Ready };
            }
            Trouble::Restart(node, comes_ms, needs_ms) => {
                if matches!(self.nodes[node].restart, Restart::None) && now_ms >= self.nodes[node].dead_until_ms {
                    self.nodes[node].restart = Restart::Keeps(now_ms + comes_ms, needs_ms);
                    let until_ms = self.clock(node) + KEEP_MS;
                    let effects = self.nodes[node].machine.keep(until_ms);
                    self.carry_out(node, effects);
                }
            }
            Trouble::Kill(node) => {
                self.nodes[node].restart = Restart::None;
                let machine = self.machine(node);
                let dead = &mut self.nodes[node];
                (dead.machine, dead.dead_until_ms, dead.lease) = (machine, now_ms + 1_000, None);
                (dead.wants_lease, dead.leaving, dead.seen, dead.told_would) = (false, false, Seen::default(), false);
                if let Some((_, at_ms)) = &mut dead.guarded {
                    *at_ms = now_ms;
                }
                self.tells.retain(|(_, to, _, _)| *to != node);
                self.views.retain(|(_, to, _)| *to != node);
            }
            Trouble::Order(to) => {
                if let Some((from, _)) = self.etcd.seen.holder {
                    self.etcd.seen.order = Some((from, to));
                    self.etcd.order_until_ms = now_ms + 10_000;
                    self.changed();
                }
            }
            Trouble::EtcdAway(ms) => self.etcd.away_until_ms = now_ms + ms,
        }
    }

    /// etcd has changed: all hear of it, some later than others.
    fn changed(&mut self) {
        self.etcd.seen.revision += 1;
        for node in 0..NODES {
            let at_ms = self.now_ms + 1 + self.roll(150);
            self.views.push((at_ms, node, self.etcd.seen.clone()));
        }
    }

    fn ask(&mut self, node: usize, ask: Ask) {
        let (at_ms, sent_ms) = (self.now_ms + 1 + self.roll(60), self.clock(node));
        self.asks.push((at_ms, node, sent_ms, ask));
    }

    pub fn step(&mut self) {
        self.now_ms += STEP_MS;
        self.etcd_step();
        for node in 0..NODES {
            self.kernel_and_guard(node);
            let one = &self.nodes[node];
            if self.now_ms >= one.dead_until_ms && self.now_ms >= one.frozen_until_ms && self.restart_step(node) {
                self.node_step(node);
            }
        }
    }

    fn etcd_step(&mut self) {
        let now_ms = self.now_ms;
        if now_ms < self.etcd.away_until_ms {
            // Nothing is lost: leases get a full life when it is back, as after a leader's change.
            let (until_ms, lease_ms) = (self.etcd.away_until_ms, self.ttl_ms);
            self.etcd.leases.values_mut().for_each(|until| *until = until_ms + lease_ms);
            return;
        }
        let over: Vec<i64> =
            self.etcd.leases.iter().filter(|(_, until)| **until <= now_ms).map(|(id, _)| *id).collect();
        over.into_iter().for_each(|lease| self.end_lease(lease));
        if self.etcd.seen.order.is_some() && now_ms >= self.etcd.order_until_ms {
            self.etcd.seen.order = None;
            self.changed();
        }
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.asks).into_iter().partition(|ask| ask.0 <= now_ms);
        self.asks = later;
        for (_, node, sent_ms, ask) in due {
            if self.nodes[node].cut {
                if let Ask::Claim(lease) = ask {
                    self.tells.push((now_ms + 1_000, node, sent_ms, Told::Claimed(lease, Answer::Open)));
                }
                continue;
            }
            if let Some(told) = self.answer(node, ask) {
                let at_ms = now_ms + 1 + self.roll(60);
                // Some answers are lost; whoever claimed is told that it is not known.
                match told {
                    told if self.loss == 0 || self.roll(self.loss) > 0 => self.tells.push((at_ms, node, sent_ms, told)),
                    Told::Claimed(lease, _) => {
                        self.tells.push((at_ms + 500, node, sent_ms, Told::Claimed(lease, Answer::Open)));
                    }
                    _ => {}
                }
            }
        }
    }

    fn answer(&mut self, node: usize, ask: Ask) -> Option<Told> {
        let until_ms = self.now_ms + self.ttl_ms;
        Some(match ask {
            Ask::Grant => {
                self.etcd.next += 1;
                self.etcd.leases.insert(self.etcd.next, until_ms);
                Told::Granted(self.etcd.next, self.ttl_ms)
            }
            Ask::Keep(lease) => match self.etcd.leases.get_mut(&lease) {
                Some(until) => {
                    *until = until_ms;
                    Told::Kept(lease, self.ttl_ms)
                }
                None => Told::Gone(lease),
            },
            Ask::Claim(lease) => {
                let answer = match self.etcd.seen.holder {
                    _ if !self.etcd.leases.contains_key(&lease) => Answer::Taken,
                    Some((_, ours)) if ours == lease => Answer::Done(self.etcd.seen.revision),
                    Some(_) => Answer::Taken,
                    None => {
                        (self.etcd.seen.holder, self.etcd.seen.order) = (Some((node, lease)), None);
                        self.moves += 1;
                        self.changed();
                        Answer::Done(self.etcd.seen.revision)
                    }
                };
                Told::Claimed(lease, answer)
            }
            Ask::Revoke(lease) => {
                self.end_lease(lease);
                return None;
            }
            Ask::Would(would) => {
                self.etcd.seen.would[node] = would;
                self.changed();
                return None;
            }
        })
    }

    fn end_lease(&mut self, lease: i64) {
        self.etcd.leases.remove(&lease);
        if self.etcd.seen.holder.is_some_and(|(_, held)| held == lease) {
            self.etcd.seen.holder = None;
            self.changed();
        }
    }

    fn kernel_and_guard(&mut self, node: usize) {
        let (now_ms, clock_ms) = (self.now_ms, self.clock(node));
        let one = &mut self.nodes[node];
        if one.kernel_ms.is_some_and(|until| until <= now_ms) {
            // Nobody tells the clients then.
            self.untold |= one.guard && one.guarded.is_some();
            one.kernel_ms = None;
        }
        let Some((lease, at_ms)) = one.guarded.filter(|_| one.guard) else { return };
        if clock_ms >= at_ms || one.dead_until_ms > now_ms {
            (one.kernel_ms, one.guarded) = (None, None);
            self.ask(node, Ask::Revoke(lease));
        }
    }

    fn node_step(&mut self, node: usize) {
        self.hear(node);
        let clock_ms = self.clock(node);
        self.keep_lease(node, clock_ms);
        if std::mem::take(&mut self.nodes[node].leaving) {
            self.nodes[node].machine.left();
        }
        let facts = self.facts(node);
        let effects = self.nodes[node].machine.step(clock_ms, &facts);
        self.carry_out(node, effects);
        let would = self.nodes[node].machine.would_hold();
        if std::mem::replace(&mut self.nodes[node].told_would, would) != would {
            self.ask(node, Ask::Would(would));
        }
    }

    fn hear(&mut self, node: usize) {
        let (now_ms, clock_ms) = (self.now_ms, self.clock(node));
        if now_ms >= self.etcd.away_until_ms && !self.nodes[node].cut {
            self.nodes[node].heard_ms = now_ms;
        }
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.views).into_iter().partition(|(at_ms, to, _)| *to == node && *at_ms <= now_ms);
        self.views = later;
        for (_, _, seen) in due {
            if !self.nodes[node].cut && seen.revision > self.nodes[node].seen.revision {
                self.nodes[node].seen = seen;
            }
        }
        // A watch that was cut off catches up.
        if !self.nodes[node].cut && now_ms >= self.etcd.away_until_ms && now_ms.is_multiple_of(500) {
            self.nodes[node].seen = self.etcd.seen.clone();
        }
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.tells).into_iter().partition(|(at_ms, to, _, _)| *to == node && *at_ms <= now_ms);
        self.tells = later;
        for (_, _, sent_ms, told) in due {
            let one = &mut self.nodes[node];
            match told {
                Told::Granted(lease, ttl_ms) if one.wants_lease && clock_ms < sent_ms + ttl_ms => {
                    if one.lease.is_none() {
                        one.lease = Some((lease, sent_ms + ttl_ms));
                    }
                }
                Told::Kept(lease, ttl_ms) => {
                    if let Some((ours, until)) = &mut one.lease
                        && *ours == lease
                        && clock_ms < *until
                    {
                        *until = (*until).max(sent_ms + ttl_ms);
                    }
                }
                Told::Gone(lease) if one.lease.is_some_and(|(ours, _)| ours == lease) => one.lease = None,
                Told::Claimed(lease, answer) => {
                    let facts = self.facts(node);
                    let effects = self.nodes[node].machine.claimed(clock_ms, lease, answer, &facts);
                    self.carry_out(node, effects);
                }
                Told::Granted(..) | Told::Gone(_) => {}
            }
        }
    }

    fn keep_lease(&mut self, node: usize, clock_ms: u64) {
        let ttl_ms = self.ttl_ms;
        let one = &mut self.nodes[node];
        if one.lease.is_some_and(|(_, until)| clock_ms >= until) {
            one.lease = None;
        }
        if !one.wants_lease || clock_ms < one.next_keep_ms {
            return;
        }
        one.next_keep_ms = clock_ms + ttl_ms / 10;
        let ask = one.lease.map_or(Ask::Grant, |(lease, _)| Ask::Keep(lease));
        self.ask(node, ask);
    }

    fn facts(&self, node: usize) -> Facts {
        let one = &self.nodes[node];
        let name = |number: usize| format!("n{number}");
        let would = |number: &usize| one.seen.would[*number];
        Facts {
            preference: Some(node),
            seen_at: one.seen.revision,
            etcd: self.now_ms < one.heard_ms + 1_000,
            holder: one.seen.holder.map(|(node, lease)| HolderSeen { node: name(node), lease }),
            order: one.seen.order.map(|(from, to)| OrderSeen { from: name(from), to: to.map(name) }),
            candidates: (0..NODES)
                .filter(would)
                .map(|number| Candidate { node: name(number), preference: number })
                .collect(),
            lease: one.lease.map(|(id, until_ms)| Lease { id, until_ms }),
            fit: one.fit.clone(),
        }
    }

    fn carry_out(&mut self, node: usize, effects: Vec<Effect>) {
        let clock_ms = self.clock(node);
        for effect in effects {
            match effect {
                Effect::Lease => (self.nodes[node].wants_lease, self.nodes[node].next_keep_ms) = (true, 0),
                Effect::Claim { lease, .. } => self.ask(node, Ask::Claim(lease)),
                Effect::Put { lifetime_s, before_ms, .. } => {
                    let late_ms = self.roll(EARLY_MS + 1_250);
                    let lifetime_ms = u64::from(lifetime_s) * 1_000 * 1_000 / self.nodes[node].rate;
                    let until_ms = self.now_ms + lifetime_ms + late_ms - EARLY_MS;
                    let one = &mut self.nodes[node];
                    assert!(clock_ms < before_ms, "nothing is added that is over");
                    one.kernel_ms = Some(until_ms);
                    one.guarded = one.lease.map(|(lease, _)| (lease, before_ms));
                }
                Effect::Announce => assert!(self.nodes[node].kernel_ms.is_some(), "what it has not is not announced"),
                Effect::Drop(_) => (self.nodes[node].kernel_ms, self.nodes[node].guarded) = (None, None),
                Effect::End => {
                    let one = &mut self.nodes[node];
                    (one.wants_lease, one.leaving) = (false, true);
                    if let Some((lease, _)) = one.lease.take() {
                        self.ask(node, Ask::Revoke(lease));
                    }
                }
            }
        }
    }

    pub fn have_it(&self) -> Vec<usize> {
        (0..NODES).filter(|node| self.nodes[*node].kernel_ms.is_some()).collect()
    }
}

/// The kernel rounds the age of an address up by so much.
const EARLY_MS: u64 = 20;
/// One answer of so many is lost.
const LOSS: u64 = 50;
