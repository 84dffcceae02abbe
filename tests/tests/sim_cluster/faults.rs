//! What goes wrong, and the end of it.

use std::collections::BTreeSet;

use cluster::record::{JournalName, Member, Record};
use world::Chance;
use world::sim::Faults;

use crate::node::{Handing, Key, Node, Role};
use crate::places::Place;
use crate::sim::{Broken, Sim};

impl Sim {
    pub fn faults(&mut self) -> Result<(), String> {
        if !self.chance_of(1, 70) {
            return Ok(());
        }
        let n = self.below(self.nodes.len() as u64) as usize;
        let other = self.below(self.nodes.len() as u64) as usize;
        match self.below(60) {
            0..5 => {
                let after_ms = self.below(9_000);
                self.die(n, true, after_ms);
                self.ledger.tally.power_cuts += 1;
            }
            5..8 => {
                let after_ms = self.below(9_000);
                self.die(n, false, after_ms);
            }
            8..14 => {
                let crash = Faults { crash_after_ops: Some(1 + self.below(40)), ..Faults::default() };
                self.nodes[n].sim.disk.set_faults(crash);
            }
            14..18 => self.lose_disk(n)?,
            18..24 => self.cut(n, other),
            24..28 => self.net.cut.clear(),
            28..31 => drop(self.net.slow.insert((n, other))),
            31..33 => self.net.slow.clear(),
            33..36 => self.drop_links(|conn| conn.owner.0 == n || conn.holder.0 == n),
            36..41 => {
                self.tell(|| format!("{n} cannot reach etcd"));
                self.etcd.cut.insert(n);
            }
            41..46 => self.etcd.cut.clear(),
            46..48 => {
                self.etcd.down_until_us = self.now_us + self.below(12_000_000);
                self.tell(|| "etcd is down".into());
                self.etcd.restart(self.etcd.down_until_us, &self.chance);
            }
            48..50 => self.etcd.slow_us = [8_000, 400_000, 3_500_000][self.below(3) as usize],
            50..54 => {
                self.nodes[n].frozen_until_us = self.now_us + self.below(9_000_000);
                self.tell(|| format!("{n} stands still until {}", self.nodes[n].frozen_until_us / 1000));
            }
            54..58 => self.hand_over(n),
            _ => self.nodes[n].sim.disk.change_faults(|f| f.sync_fails_after = Some(1 + n as u64 * 3)),
        }
        Ok(())
    }

    fn cut(&mut self, n: usize, other: usize) {
        self.tell(|| format!("nothing of {n}'s comes to {other}"));
        self.net.cut.insert((n, other));
        if self.chance_of(1, 2) {
            self.net.cut.insert((other, n));
        }
        // A node may be cut off from all others, and not from etcd.
        if self.chance_of(1, 4) {
            self.net.cut.extend((0..self.nodes.len()).map(|o| (n, o)));
        }
    }

    /// A node hands all of its journals over, and ends.
    pub fn hand_over(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        let owns = |key: &Key| matches!(node.posts[key].role, Role::Owning(_));
        let left: BTreeSet<Key> = node.posts.keys().filter(|key| owns(key)).cloned().collect();
        if !node.up || !node.started || left.is_empty() || node.handing.is_some() {
            return;
        }
        node.handing = Some(Handing { until_ms: node.now_ms() + 15_000, left, told: false });
        self.tell(|| format!("{n} is about to hand over"));
    }

    /// A machine loses its disk, unless it is the last one that has everything of some journal.
    fn lose_disk(&mut self, n: usize) -> Result<(), String> {
        if !self.survives_without(n) {
            return Ok(());
        }
        let after_ms = self.below(8_000);
        self.die(n, true, after_ms);
        self.ledger.tally.disks_lost += 1;
        let (seed, before) = (self.chance.u64(), &self.nodes[n]);
        let disk = if self.broken == Broken::DiskBlind { before.me.disk } else { before.me.disk + 16 };
        let mut node = Node::new(&before.me.node, seed, disk, before.speed);
        (node.process, node.starts_at_us) = (before.process, before.starts_at_us);
        self.nodes[n] = node;
        self.etcd.members[n] = self.nodes[n].me.clone();
        self.tell(|| format!("{n} has lost its disk"));
        match self.survives_without(self.nodes.len()) {
            true => Ok(()),
            false => Err("the simulation has lost all disks of a journal".into()),
        }
    }

    /// Whether each journal has another disk that has everything.
    fn survives_without(&self, lost: usize) -> bool {
        let has = |member: &Member| self.nodes.iter().enumerate().any(|(n, node)| n != lost && node.me == *member);
        let members = |record: &Record| record.level.iter().chain([&record.owner]).any(has);
        // A claim on its way makes its sender the one that has everything.
        let mut records = self.etcd.records().chain(self.etcd.asked());
        records.all(|(name, record)| record.drained || members(record) || self.is_void(name, record))
    }

    /// Whether nobody ever had a receipt for something in a journal, and its disk is lost.
    fn is_void(&self, name: &JournalName, record: &Record) -> bool {
        let lost = |member: &Member| self.nodes.iter().all(|node| node.me != *member);
        let promised = || self.ledger.mails.values().any(|known| known.receipted && known.journal == *name);
        record.level.iter().chain([&record.owner]).all(lost) && !promised()
    }

    /// All is well again: everybody comes back, and everything is delivered.
    pub fn epilogue(&mut self) -> Result<(), String> {
        self.quiet = true;
        self.net.cut.clear();
        self.net.slow.clear();
        self.etcd.cut.clear();
        (self.etcd.down_until_us, self.etcd.slow_us) = (0, 8_000);
        for node in &mut self.nodes {
            node.sim.disk.set_faults(Faults::default());
            (node.starts_at_us, node.frozen_until_us) = (0, 0);
        }
        self.tell(|| "all is well again".into());
        let until_us = self.now_us + 120_000_000;
        while self.now_us < until_us {
            for _ in 0..30 {
                self.step()?;
            }
            if self.unsettled().is_none() {
                return self.check_end();
            }
        }
        Err(format!("never settled: {}", self.unsettled().unwrap_or_default()))
    }

    /// What is not yet as it shall be.
    fn unsettled(&self) -> Option<String> {
        for (n, node) in self.nodes.iter().enumerate() {
            if !node.started {
                return Some(format!("{n} has not started"));
            }
            for place in [Place::Taken, Place::Former] {
                if let Some(name) = node.places.all(place).first() {
                    return Some(format!("{n} still has {place:?} {name}: {:?}", self.etcd.record(name)));
                }
            }
            // A directory in which no copy was ever begun is nobody's.
            let drained = |name: &JournalName| {
                let dir = node.places.dir(Place::Copy, name).unwrap_or_default();
                let is_copy = journal::identity(&node.world, &dir).is_ok_and(|identity| identity.is_some());
                is_copy && self.etcd.record(name).is_none_or(|record| record.drained)
            };
            if let Some(name) = node.places.all(Place::Copy).iter().find(|name| drained(name)) {
                return Some(format!("{n} still has a copy of {name}: {:?}", self.etcd.record(name)));
            }
            for (key, post) in node.posts.iter().filter(|(key, _)| key.0 == Place::Own) {
                let Some(reign) = post.reign() else { return Some(format!("{n} does not own {}", key.1)) };
                if !reign.office.is_empty() {
                    return Some(format!("{n} has mail in {}", key.1));
                }
                let record = self.etcd.record(&key.1);
                if record.is_none_or(|record| record.owner != node.me || record.level.is_empty()) {
                    return Some(format!("{n} owns {}, and etcd says {record:?}", key.1));
                }
            }
        }
        let owned = |name: JournalName, record: &Record| {
            let is_it = |node: &Node| node.me == record.owner && node.posts.contains_key(&(Place::Own, name.clone()));
            self.nodes.iter().any(is_it)
        };
        let dead = |name: &JournalName, record: &Record| record.drained || self.is_void(name, record);
        let orphan = self.etcd.records().find(|(name, record)| !dead(name, record) && !owned((*name).clone(), record));
        orphan.map(|(name, record)| format!("nobody owns {name}: {record:?}"))
    }
}
