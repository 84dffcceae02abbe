//! The whole simulated cluster: nodes, connections, the register, and the rules by which nodes become owners.

use std::collections::{BTreeMap, BTreeSet};

use journal::copies::HeldCopy;
use journal::{Canary, SegmentNo, When};
use world::Chance;
use world::sim::{Faults, SimChance};

use crate::ledger::Ledger;
use crate::net::Net;
use crate::node::{Node, Role, SEGMENT, Then, WINDOW};
use crate::register::Register;

pub struct Cluster {
    pub nodes: Vec<Node>,
    pub net: Net,
    pub register: Register,
    pub ledger: Ledger,
    pub chance: SimChance,
    pub now_us: u64,
    pub canary: Canary,
    trace: bool,
    /// Since when a member of the level set has not been level.
    pub late: BTreeMap<usize, u64>,
    /// No more faults.
    pub quiet: bool,
}

impl Cluster {
    pub fn new(seed: u64, canary: Canary) -> Result<Cluster, String> {
        let chance = SimChance::new(seed ^ 0xC0B1E5);
        let count = 3 + chance.below(3);
        let nodes = (0..count).map(|n| Node::new(seed * 100 + n)).collect();
        let mut cluster = Cluster {
            nodes,
            net: Net::default(),
            register: Register::new(0),
            ledger: Ledger::default(),
            chance,
            now_us: 0,
            canary,
            trace: std::env::var_os("TRACE").is_some(),
            late: BTreeMap::new(),
            quiet: false,
        };
        let epoch = cluster.register.truth().epoch;
        cluster.own(0, epoch, true)?;
        for n in 1..cluster.nodes.len() {
            cluster.nodes[n].start(canary)?;
        }
        Ok(cluster)
    }

    pub fn below(&self, n: u64) -> u64 {
        self.chance.below(n)
    }

    /// Says what happens, when one seed is looked at (`TRACE=1`).
    pub fn tell(&self, what: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>9} {}", self.now_us / 1000, what());
        }
    }

    pub fn any(&self) -> usize {
        self.below(self.nodes.len() as u64) as usize
    }

    /// Whether a node is what it thinks: the owner.
    pub fn is_true_owner(&self, n: usize) -> bool {
        self.nodes[n].owner().is_some_and(|owner| self.register.is_true(n, owner.epoch))
    }

    /// A node's process ends, perhaps with the power.
    pub fn die(&mut self, n: usize, power_cut: bool) {
        self.tell(|| format!("{n} dies, power cut: {power_cut}, down: {}", self.nodes[n].is_down()));
        self.net.drop_conns(&self.chance, |c| c.owner == n || c.holder == n);
        self.nodes[n].die(power_cut);
    }

    /// One thing happens somewhere.
    pub fn step(&mut self) -> Result<(), String> {
        match self.below(100) {
            0..26 => self.owner_works()?,
            26..76 => self.net_works()?,
            76..82 => {
                self.advance(1 + self.below(40));
                // Another thread of a holder makes empty segments ahead.
                self.nodes[self.any()].copy().map(HeldCopy::prepare);
            }
            82..83 => self.advance(400 + self.below(1500)),
            83..93 => self.govern()?,
            93..98 => {
                self.check_copies()?;
                self.check_frozen()?;
            }
            _ if self.quiet => {}
            _ => self.fault()?,
        }
        for n in 0..self.nodes.len() {
            if self.nodes[n].is_down() {
                self.die(n, false);
            }
        }
        Ok(())
    }

    fn advance(&mut self, ms: u64) {
        self.now_us += ms * 1000;
        // No two clocks run at the same speed.
        let skew = |n: usize| 1000 * ms * (90 + 7 * n as u64) / 100;
        self.nodes.iter().enumerate().for_each(|(n, node)| node.sim.clock.advance_us(skew(n)));
    }

    pub fn net_works(&mut self) -> Result<(), String> {
        self.net.connect(&self.nodes, &self.chance);
        if !self.net.conns.is_empty() {
            let at = self.below(self.net.conns.len() as u64) as usize;
            let owner = self.net.conns[at].owner;
            let was_down = self.nodes[owner].is_down();
            self.net.work(at, &self.nodes, self.now_us, &self.chance);
            self.harvest(owner, was_down)?;
        }
        Ok(())
    }

    pub fn harvest(&mut self, n: usize, was_down: bool) -> Result<(), String> {
        let current = self.is_true_owner(n).then(|| self.register.truth().level.len());
        if let Role::Owner(owner) = &mut self.nodes[n].role {
            owner.harvest(&mut self.ledger, was_down, current)?;
            for state in owner.journal.copies().states() {
                if state.queued_bytes > WINDOW + SEGMENT {
                    return Err(format!("{} bytes wait in memory for copy {}", state.queued_bytes, state.holder));
                }
            }
        }
        Ok(())
    }

    /// Somebody who thinks that he is the owner does what a spool does.
    fn owner_works(&mut self) -> Result<(), String> {
        let n = if self.below(3) == 0 { self.any() } else { self.register.truth().owner };
        let (current, was_down) = (self.is_true_owner(n), self.nodes[n].is_down());
        let what = self.below(10);
        let live = self.ledger.live(true);
        let pick = (!live.is_empty() && current).then(|| live[self.below(live.len() as u64) as usize].0);
        let node = &mut self.nodes[n];
        let (Role::Owner(owner), sim) = (&mut node.role, &node.sim) else { return Ok(()) };
        // What settles and cleans does not wait for copies: the order of the stream has to be enough.
        let here = if sim.chance.below(3) == 0 { When::Durable } else { When::Here };
        match (what, pick) {
            (0..4, _) => {
                let len = [sim.chance.below(60), sim.chance.below(1500)][sim.chance.below(2) as usize] as usize;
                let records = (0..1 + sim.chance.below(2)).map(|_| self.ledger.new_record(len, None)).collect();
                let when = if sim.chance.below(10) < 6 { When::Durable } else { When::Soon };
                owner.append(sim, records, when, Then::Nothing);
            }
            (4, Some(id)) => drop(owner.release(&mut self.ledger, id)),
            (5, Some(target)) => {
                let tombstone = self.ledger.new_record(8, Some(target));
                owner.append(sim, vec![tombstone], here, Then::Cancel(target));
            }
            (6, Some(_)) => {
                let oldest = owner.journal.oldest_segment().unwrap_or(SegmentNo(0));
                let old = live.iter().find(|(_, extent)| owner.journal.segment_of(extent.position) == oldest);
                if let Some((id, extent)) = old {
                    let copy = self.ledger.new_record(extent.len as usize - 8, None);
                    owner.append(sim, vec![copy], here, Then::Replace(*id));
                }
            }
            _ => {
                for _ in 0..4 {
                    owner.journal.pump();
                }
            }
        }
        self.harvest(n, was_down)
    }

    fn fault(&mut self) -> Result<(), String> {
        let (n, other) = (self.any(), self.any());
        match self.below(40) {
            0..4 => self.die(n, true),
            4..7 => self.die(n, false),
            7..12 => drop(self.net.cut.insert((n, other))),
            12..20 => self.net.cut.clear(),
            20..24 => self.net.drop_conns(&self.chance, |c| c.owner == n || c.holder == n),
            24..26 => drop(self.register.cut.insert(n)),
            26..29 => self.register.cut.clear(),
            29 => self.lose_disk(n)?,
            30..33 => {
                let crash = Faults { crash_after_ops: Some(1 + self.below(60)), ..Faults::default() };
                self.nodes[n].sim.disk.set_faults(crash);
            }
            33 => self.nodes[n].sim.disk.change_faults(|f| f.sync_fails_after = Some(1 + n as u64 * 3)),
            34..36 => {
                let room = SEGMENT * (3 + self.below(4));
                self.nodes[n].sim.disk.change_faults(|f| f.capacity = Some(room));
            }
            _ => self.nodes[n].sim.disk.change_faults(|f| f.capacity = None),
        }
        Ok(())
    }

    /// A machine loses its disk, unless it is the last one that has everything.
    fn lose_disk(&mut self, n: usize) -> Result<(), String> {
        let truth = self.register.truth();
        let mut keepers: BTreeSet<usize> = truth.level.iter().copied().filter(|h| !self.nodes[*h].lost).collect();
        if !self.nodes[truth.owner].lost {
            keepers.insert(truth.owner);
        }
        keepers.remove(&n);
        if keepers.is_empty() {
            return Ok(());
        }
        self.die(n, true);
        let seed = self.chance.u64();
        self.nodes[n] = Node::new(seed);
        self.nodes[n].lost = true;
        self.tell(|| format!("{n} has lost its disk"));
        Ok(())
    }

    /// All is well again: everybody comes back, becomes level, and what was released is gone everywhere.
    pub fn epilogue(&mut self) -> Result<(), String> {
        self.quiet = true;
        self.net.cut.clear();
        self.register.cut.clear();
        for node in &self.nodes {
            node.sim.disk.set_faults(Faults::default());
        }
        for _ in 0..400 {
            for _ in 0..30 {
                self.step()?;
            }
            self.advance(300);
            if self.is_settled() {
                self.check_copies()?;
                return Ok(());
            }
        }
        let truth = self.register.truth();
        let owner = self.nodes[truth.owner].owner();
        Err(format!("never settled: {truth:?} {:#?}", owner.map(|o| o.journal.copies().states())))
    }

    fn is_settled(&self) -> bool {
        let truth = self.register.truth();
        if !self.is_true_owner(truth.owner) || truth.level.len() + 1 < self.nodes.len() {
            return false;
        }
        let names = |n: usize| self.nodes[n].segments().into_iter().map(|(start, _)| start).collect::<Vec<_>>();
        let ours = names(truth.owner);
        (0..self.nodes.len()).all(|n| names(n) == ours)
    }
}
