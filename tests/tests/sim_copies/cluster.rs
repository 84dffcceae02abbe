//! The whole simulated cluster: nodes, connections, the register, and the rules by which nodes become owners.

use std::collections::{BTreeMap, BTreeSet};

use journal::copies::{CopyStage, HeldCopy};
use journal::{Canary, SegmentNo, When};
use world::Chance;
use world::sim::{Faults, SimChance};

use crate::ledger::Ledger;
use crate::net::Net;
use crate::node::{Node, Role, SEGMENT, Then, WINDOW};
use crate::register::{Entry, Register};

pub struct Cluster {
    pub nodes: Vec<Node>,
    pub net: Net,
    pub register: Register,
    pub ledger: Ledger,
    pub chance: SimChance,
    pub now_us: u64,
    canary: Canary,
    trace: bool,
    /// Since when a member of the level set has not been level.
    late: BTreeMap<usize, u64>,
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
        cluster.own(0, 1)?;
        for n in 1..cluster.nodes.len() {
            cluster.nodes[n].start(canary)?;
        }
        Ok(cluster)
    }

    pub fn below(&self, n: u64) -> u64 {
        self.chance.below(n)
    }

    /// Says what happens, when one seed is looked at (`TRACE=1`).
    fn tell(&self, what: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>9} {}", self.now_us / 1000, what());
        }
    }

    fn any(&self) -> usize {
        self.below(self.nodes.len() as u64) as usize
    }

    /// Whether a node is what it thinks: the owner of the highest epoch.
    fn is_true_owner(&self, n: usize) -> bool {
        let truth = self.register.truth();
        self.nodes[n].owner().is_some_and(|owner| owner.epoch == truth.epoch && truth.owner == n)
    }

    /// Opens the journal on a node, which the register says is its owner.
    fn own(&mut self, n: usize, epoch: u32) -> Result<(), String> {
        let Some(shown) = self.nodes[n].own(epoch, self.canary)? else {
            self.die(n, false);
            return Ok(());
        };
        self.register.opened(n, epoch)?;
        let ids = shown.iter().filter_map(|s| Some(u64::from_le_bytes(*s.payload.first_chunk()?)));
        self.tell(|| format!("{n} owns epoch {epoch} and sees {:?}", ids.collect::<Vec<_>>()));
        let level = self.register.truth().level.clone();
        if let Role::Owner(owner) = &mut self.nodes[n].role {
            owner.level = level;
            owner.tell();
            self.ledger.opened(&shown, epoch)?;
            self.ledger.apply_tombstones(&owner.journal);
        }
        self.late.clear();
        Ok(())
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
            93..98 => self.check_copies()?,
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

    fn harvest(&mut self, n: usize, was_down: bool) -> Result<(), String> {
        let current = self.is_true_owner(n);
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

    /// A node looks at the register, and does what follows.
    pub fn govern(&mut self) -> Result<(), String> {
        let n = self.any();
        if matches!(self.nodes[n].role, Role::Down) {
            if self.quiet || self.below(3) == 0 {
                self.nodes[n].start(self.canary)?;
            }
            return Ok(());
        }
        let Some(entry) = self.register.read(n) else { return Ok(()) };
        match &self.nodes[n].role {
            Role::Owner(owner) if entry.owner != n || entry.epoch != owner.epoch => {
                // Somebody has taken over: from now on this is a copy of his journal.
                self.tell(|| format!("{n} steps down"));
                self.net.drop_conns(&self.chance, |c| c.owner == n || c.holder == n);
                self.nodes[n].role = Role::Down;
                self.nodes[n].start(self.canary)?;
            }
            Role::Owner(_) => self.govern_level(n, &entry),
            Role::Holder(_) if entry.owner == n => self.resume(n, &entry)?,
            Role::Holder(_) if entry.level.contains(&n) => self.try_take_over(n, entry)?,
            _ => {}
        }
        Ok(())
    }

    /// An owner decides which copies count: in here first and there later, out there first and here later.
    fn govern_level(&mut self, n: usize, entry: &Entry) {
        let Role::Owner(owner) = &mut self.nodes[n].role else { return };
        let mut wanted = entry.level.clone();
        let mut local = owner.level.clone();
        let states = owner.journal.copies().states();
        let state = |h: usize| states.iter().find(|s| s.holder == h.to_string());
        for h in (0..16).filter(|h| *h != n) {
            let state = state(h);
            let level = state.is_some_and(|s| s.stage == CopyStage::Level);
            match (local.contains(&h), level) {
                (false, true) => drop(local.insert(h)),
                (true, true) => {
                    self.late.remove(&h);
                    if state.is_some_and(|s| s.counts) {
                        wanted.insert(h);
                    }
                }
                (true, false) => {
                    let since = *self.late.entry(h).or_insert(self.now_us);
                    if self.now_us > since + 2_000_000 {
                        wanted.remove(&h);
                    }
                }
                (false, false) => {}
            }
        }
        let added: Vec<usize> = wanted.difference(&entry.level).copied().collect();
        if wanted != entry.level && !self.register.swap(n, entry, Entry { level: wanted.clone(), ..entry.clone() }) {
            return;
        }
        added.into_iter().for_each(|h| self.nodes[h].lost = false);
        // Whoever is not in the register and not level need not be waited for.
        local.retain(|h| wanted.contains(h) || state(*h).is_some_and(|s| s.stage == CopyStage::Level));
        if let Role::Owner(owner) = &mut self.nodes[n].role
            && local != owner.level
        {
            owner.level = local;
            owner.tell();
            let level = owner.level.clone();
            self.tell(|| format!("{n} waits for {level:?}, the register says {wanted:?}"));
        }
    }

    /// The register says that this node is the owner: it is back, or was about to open the journal when it died.
    fn resume(&mut self, n: usize, entry: &Entry) -> Result<(), String> {
        let Some(copy) = self.nodes[n].copy().cloned() else { return Ok(()) };
        let opened_before = copy.state().epoch == entry.epoch;
        if !opened_before && copy.hand_over().is_err() {
            return Ok(());
        }
        copy.close();
        if self.nodes[n].is_down() {
            return Ok(());
        }
        self.net.drop_conns(&self.chance, |c| c.owner == n || c.holder == n);
        drop(copy);
        self.nodes[n].role = Role::Down;
        self.own(n, entry.epoch)
    }

    fn try_take_over(&mut self, n: usize, entry: Entry) -> Result<(), String> {
        let owner_is_up = self.is_true_owner(entry.owner);
        if (owner_is_up && (self.quiet || self.below(12) != 0))
            || !self.nodes[n].copy().is_some_and(|c| c.state().level)
        {
            return Ok(());
        }
        let mut level = entry.level.clone();
        level.remove(&n);
        let new = Entry { owner: n, epoch: entry.epoch + 1, level };
        if !self.register.swap(n, &entry, new.clone()) {
            return Ok(());
        }
        self.ledger.take_overs += 1;
        self.tell(|| format!("{n} takes over: {new:?}"));
        if self.below(6) == 0 && !self.quiet {
            // It dies between the register and the disk.
            self.die(n, self.below(2) == 0);
            return Ok(());
        }
        self.resume(n, &new)
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

    /// Each copy is equal to its owner's log up to what it has acknowledged.
    pub fn check_copies(&mut self) -> Result<(), String> {
        let truth = self.register.truth().clone();
        let Some(owner) = self.nodes[truth.owner].owner() else { return Ok(()) };
        if !self.is_true_owner(truth.owner) || self.nodes[truth.owner].is_down() {
            return Ok(());
        }
        let states = owner.journal.copies().states();
        let ours = self.nodes[truth.owner].segments();
        for state in states.iter().filter(|s| matches!(s.stage, CopyStage::Live | CopyStage::Level)) {
            let h: usize = state.holder.parse().map_err(|_| "a holder's name")?;
            if self.nodes[h].copy().is_none() || self.nodes[h].is_down() {
                continue;
            }
            let theirs: BTreeMap<u64, Vec<u8>> = self.nodes[h].segments().into_iter().collect();
            for (start, bytes) in &ours {
                let len = records_before(bytes, state.acked.0.saturating_sub(*start));
                if len == 0 {
                    continue;
                }
                match theirs.get(start) {
                    Some(copy) if copy[..len] == bytes[..len] => {}
                    Some(copy) => {
                        let at = copy.iter().zip(bytes).take_while(|(a, b)| a == b).count();
                        return Err(format!(
                            "copy {h} differs from its owner at {start:x}+{at:x} of {len:x} in {state:?}"
                        ));
                    }
                    None => {
                        return Err(format!("copy {h} lacks segment {start:x} that it has acknowledged: {state:?}"));
                    }
                }
            }
        }
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

/// Bytes of the whole records of a segment that end before offset `until`.
fn records_before(bytes: &[u8], until: u64) -> usize {
    let mut at = 0;
    while let Some(header) = bytes.get(at..at + 32) {
        let len = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        if &header[8..10] != b"PH" || (at + 32 + len) as u64 > until {
            break;
        }
        at += 32 + len;
        if header[10] == 240 {
            break;
        }
    }
    at
}

impl crate::node::Owner {
    /// Tells the journal which copies count.
    pub fn tell(&self) {
        let names: Vec<String> = self.level.iter().map(usize::to_string).collect();
        self.journal.copies().set_level(&names.iter().map(String::as_str).collect::<Vec<_>>(), names.len());
    }
}
