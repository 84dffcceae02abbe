//! The whole simulated cluster: nodes, links, etcd, and what goes wrong. One step is a few milliseconds of true time.

use cluster::etcd::{Due, Turn};
use cluster::keys::Keys;
use cluster::record::{JournalName, NodeRecord};
use journal::Canary;
use world::Chance;
use world::sim::SimChance;

use crate::etcd::{Etcd, Question, Reply};
use crate::ledger::Ledger;
use crate::net::Net;
use crate::node::{Key, Node, Role};

/// What is broken on purpose, to prove that the checkers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    Nothing,
    /// The journals.
    Journal(Canary),
    /// A candidate does not close its copy before it asks etcd.
    NeverFreezes,
    /// Receipts wait for a new copy only some time after etcd was told that it counts.
    WaitsLate,
    /// A node with a new disk is taken for the one with the old disk.
    DiskBlind,
    /// A node that has taken a journal over lets its old owner write a copy until etcd's news have come.
    DoorBlind,
    /// A node that is done with a journal that it took forgets so until etcd's news have come.
    DoorForgets,
}

pub struct Sim {
    pub nodes: Vec<Node>,
    pub net: Net,
    pub etcd: Etcd,
    pub ledger: Ledger,
    pub chance: SimChance,
    pub keys: Keys,
    pub now_us: u64,
    pub broken: Broken,
    /// How many copies the rules ask for.
    pub wanted: usize,
    /// They let an owner go on without any.
    pub may_go_alone: bool,
    /// One in so many turns delivers something.
    pub delivery_in: u64,
    /// No more faults.
    pub quiet: bool,
    trace: bool,
}

impl Sim {
    pub fn new(seed: u64, broken: Broken) -> Result<Sim, String> {
        let chance = SimChance::new(seed ^ 0xC1_05_7E_12);
        let count = 3 + chance.below(3);
        let speed = || 90 + chance.below(21);
        let name = |n: u64| ["a", "b", "c", "d", "e"][n as usize];
        let nodes = (0..count).map(|n| Node::new(name(n), seed * 1000 + n, n + 1, speed())).collect();
        let mut sim = Sim {
            nodes,
            net: Net::default(),
            etcd: Etcd::default(),
            ledger: Ledger::default(),
            wanted: 1 + chance.below(2) as usize,
            may_go_alone: seed.is_multiple_of(3),
            delivery_in: [4, 12, 60][chance.below(3) as usize],
            keys: Keys::new("/sim"),
            chance,
            now_us: 0,
            broken,
            quiet: false,
            trace: std::env::var_os("TRACE").is_some(),
        };
        sim.etcd.slow_us = 400_000;
        sim.etcd.members = sim.nodes.iter().map(|node| node.me.clone()).collect();
        for n in 0..sim.nodes.len() {
            sim.start(n)?;
        }
        Ok(sim)
    }

    pub fn below(&self, n: u64) -> u64 {
        self.chance.below(n)
    }

    pub fn chance_of(&self, so_many: u64, of: u64) -> bool {
        self.below(of) < so_many
    }

    pub fn journal_canary(&self) -> Canary {
        match self.broken {
            Broken::Journal(canary) => canary,
            _ => Canary::None,
        }
    }

    /// Says what happens, when one seed is looked at (`TRACE=1`).
    pub fn tell(&self, what: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>9} {}", self.now_us / 1000, what());
        }
    }

    /// Its process stands still.
    pub fn is_stopped(&self, n: usize) -> bool {
        self.nodes[n].frozen_until_us > self.now_us
    }

    /// A process ends in order, and comes again later.
    pub fn stop(&mut self, n: usize, after_ms: u64) {
        self.die(n, false, after_ms);
    }

    pub fn die(&mut self, n: usize, power_cut: bool, after_ms: u64) {
        self.tell(|| format!("{n} dies, power cut: {power_cut}"));
        self.drop_links(|conn| conn.owner.0 == n || conn.holder.0 == n);
        self.nodes[n].die(power_cut);
        self.nodes[n].starts_at_us = self.now_us + after_ms * 1000;
    }

    /// A few milliseconds.
    pub fn step(&mut self) -> Result<(), String> {
        let us = 2_000 + self.below(30_000);
        self.now_us += us;
        self.nodes.iter().for_each(|node| node.sim.clock.advance_us(us * node.speed / 100));
        if !self.quiet {
            self.faults()?;
        }
        for (n, process, reply) in self.etcd.work(self.now_us, &self.chance) {
            if self.nodes[n].up && self.nodes[n].process == process {
                self.hears(n, reply);
            }
        }
        for n in 0..self.nodes.len() {
            if self.nodes[n].up && !self.is_stopped(n) {
                self.node_works(n)?;
            }
        }
        self.net_works()?;
        if self.chance_of(1, 60) {
            self.check_copies()?;
        }
        for n in 0..self.nodes.len() {
            if self.nodes[n].is_broken() {
                let after_ms = self.below(4_000);
                self.die(n, false, after_ms);
            } else if !self.nodes[n].up && self.now_us >= self.nodes[n].starts_at_us {
                self.start(n)?;
            }
        }
        Ok(())
    }

    fn hears(&mut self, n: usize, reply: Reply) {
        let node = &mut self.nodes[n];
        let now_ms = node.now_ms();
        let is_lease = !matches!(reply, Reply::Txn { .. });
        let turn = match reply {
            Reply::Granted { lease, sent_ms } => node.lease.granted(now_ms, sent_ms, lease),
            Reply::Kept { ttl_ms, sent_ms } => node.lease.kept(now_ms, sent_ms, ttl_ms),
            Reply::LeaseGone => node.lease.gone(now_ms),
            Reply::Silence => None,
            Reply::Txn { key, answer, said } => {
                if let Some((at, record)) = said {
                    node.answered.learn(&key.1, at, record);
                }
                // Its seat may have moved with the directory.
                let moved = (crate::places::Place::Taken, key.1.clone());
                let key = if node.posts.contains_key(&key) { key } else { moved };
                if let Some(post) = node.posts.get_mut(&key) {
                    post.inputs.push_back(cluster::ownership::Input::Answer(*answer));
                }
                None
            }
        };
        node.lease_asked &= !is_lease;
        if let Some(Turn::Lost { id, .. }) = turn {
            self.tell(|| format!("{n} has lost lease {id}"));
        }
    }

    fn node_works(&mut self, n: usize) -> Result<(), String> {
        self.lease_works(n);
        self.view_works(n);
        let keys: Vec<Key> = self.nodes[n].posts.keys().cloned().collect();
        for key in keys {
            self.seat_works(n, &key)?;
            self.effects_work(n, &key)?;
            if !self.nodes[n].up || self.nodes[n].is_broken() {
                return Ok(());
            }
            if self.nodes[n].posts.get(&key).is_some_and(|post| matches!(post.role, Role::Owning(_))) {
                self.reign_works(n, &key)?;
                self.connect(n, &key)?;
            } else if let Some(Role::Keeping(copy)) = self.nodes[n].posts.get(&key).map(|post| &post.role)
                && self.chance_of(1, 8)
            {
                copy.prepare();
            }
            if !self.nodes[n].up || self.nodes[n].is_broken() {
                return Ok(());
            }
        }
        self.formers_work(n)?;
        self.handing_works(n)
    }

    fn lease_works(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        let now_ms = node.now_ms();
        // A loss is seen by those who ask for the lease.
        let _ = node.lease.expired(now_ms);
        if node.lease_asked {
            return;
        }
        let record = NodeRecord { disk: node.me.disk, ..NodeRecord::default() };
        let question = match node.lease.due(now_ms) {
            Due::Grant => Question::Grant { record, sent_ms: now_ms },
            Due::KeepAlive { id, .. } => Question::KeepAlive { id, sent_ms: now_ms },
            Due::Wait { .. } => return,
        };
        node.lease_asked = true;
        self.etcd.ask(n, node.process, question, self.now_us, &self.chance);
    }

    /// News of etcd's come late.
    fn view_works(&mut self, n: usize) {
        let latest = self.etcd.history.len();
        let node = &mut self.nodes[n];
        if node.heard == latest || !self.etcd.is_reachable(n, self.now_us) || self.chance.below(12) != 0 {
            return;
        }
        let news = (latest - node.heard) as u64;
        // The first look is a read of its own, which shows everything that was decided before.
        let step = if node.heard > 0 && self.chance.below(3) == 0 { 1 + self.chance.below(news) } else { news };
        node.heard += step as usize;
        node.view = self.etcd.history[node.heard - 1].clone();
        node.answered.overtaken(node.view.at);
    }

    /// What is left of journals that others have taken is delivered.
    fn formers_work(&mut self, n: usize) -> Result<(), String> {
        let names: Vec<JournalName> = self.nodes[n].formers.keys().cloned().collect();
        for name in names {
            let Some(mut office) = self.nodes[n].formers.remove(&name) else { continue };
            let sim = self.nodes[n].sim.clone();
            let was_broken = self.nodes[n].is_broken();
            if self.nodes[n].handing.is_none() && self.chance_of(1, 6) {
                let exact = !self.etcd.inexact.contains(&name);
                let id = office.deliver(&sim, &mut self.ledger, n, exact)?;
                if let Some(id) = id {
                    self.ledger.tally.rests += 1;
                    self.check_rest(n, &name, id)?;
                }
            }
            for _ in 0..self.below(4) {
                office.journal.pump();
            }
            office.harvest(&mut self.ledger, was_broken)?;
            if !office.is_empty() || self.nodes[n].is_broken() {
                self.nodes[n].formers.insert(name, office);
                continue;
            }
            drop(office);
            let node = &mut self.nodes[n];
            if let Err(error) = node.places.remove(&node.world, crate::places::Place::Former, &name) {
                return self.mends(n, &error);
            }
        }
        Ok(())
    }
}
