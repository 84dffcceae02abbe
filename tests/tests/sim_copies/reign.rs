//! The rules by which nodes become owners and stay it: what the ownership protocol does, as far as copies feel it.

use cluster::record::{next_term, term};
use journal::copies::CopyStage;

use crate::cluster::Cluster;
use crate::node::Role;
use crate::register::Entry;

impl Cluster {
    /// Opens the journal on a node, which is its owner by what the register says, or (`confirmed` is false) by what its disk says.
    pub fn own(&mut self, n: usize, epoch: u32, confirmed: bool) -> Result<(), String> {
        self.register.opens(n, epoch)?;
        let Some(shown) = self.nodes[n].own(epoch, self.canary)? else {
            self.die(n, false);
            return Ok(());
        };
        let ids = shown.iter().filter_map(|s| Some(u64::from_le_bytes(*s.payload.first_chunk()?)));
        self.tell(|| format!("{n} owns epoch {epoch}, {confirmed}, and sees {:?}", ids.collect::<Vec<_>>()));
        let (level, is_true) = (self.register.truth().level.clone(), self.is_true_owner(n));
        let Role::Owner(owner) = &mut self.nodes[n].role else { return Ok(()) };
        if confirmed {
            (owner.confirmed, owner.counted, owner.level) = (true, level.len(), level);
            owner.tell();
        }
        if is_true {
            self.ledger.opened(&shown, epoch, self.register.begun)?;
            self.register.begun = true;
            self.ledger.apply_tombstones(&owner.journal);
            self.late.clear();
        }
        Ok(())
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
        let Some(entry) = self.register.read(n) else { return self.alone(n) };
        let raises = !self.quiet && self.below(12) == 0;
        match &self.nodes[n].role {
            Role::Owner(owner) if !self.register.is_true(n, owner.epoch) => {
                // Somebody has taken over: from now on this is a copy of his journal.
                self.tell(|| format!("{n} steps down"));
                self.net.drop_conns(&self.chance, |c| c.owner == n || c.holder == n);
                self.nodes[n].role = Role::Down;
                self.nodes[n].start(self.canary)?;
            }
            Role::Owner(owner) if !owner.confirmed || owner.epoch < entry.epoch || raises => self.raise(n, entry)?,
            Role::Owner(_) => self.govern_level(n, &entry)?,
            Role::Holder(_) if entry.owner == n => self.resume(n, &entry)?,
            Role::Holder(_) if entry.level.contains(&n) => self.try_take_over(n, entry)?,
            Role::Holder(_) => self.thaw(n),
            Role::Down => {}
        }
        Ok(())
    }

    /// A node cannot reach the register. If it was the owner when it stopped, it goes on with the next number of its term.
    fn alone(&mut self, n: usize) -> Result<(), String> {
        if self.below(4) != 0 {
            return Ok(());
        }
        self.thaw(n);
        let Some(copy) = self.nodes[n].copy().cloned() else { return Ok(()) };
        let epoch = copy.state().epoch;
        if !self.register.is_of(n, epoch) || term(epoch) != term(epoch + 1) {
            return Ok(());
        }
        copy.close();
        self.reopen(n, epoch + 1, false)
    }

    /// An owner gets a higher epoch while it runs: it started without the register, or that was restored.
    fn raise(&mut self, n: usize, entry: Entry) -> Result<(), String> {
        let Some(before) = self.nodes[n].owner().map(|owner| owner.epoch) else { return Ok(()) };
        let epoch = next_term(entry.epoch, before);
        let mut new = entry.clone();
        if entry.epoch <= before || self.below(2) == 0 {
            new.epoch = epoch;
            if !self.register.swap(n, &entry, new.clone()) {
                return Ok(());
            }
        }
        self.register.opens(n, new.epoch)?;
        let Role::Owner(owner) = &mut self.nodes[n].role else { return Ok(()) };
        let raised = owner.journal.raise_epoch(new.epoch);
        if raised.is_ok() {
            owner.epoch = new.epoch;
            self.ledger.raises += 1;
        }
        if raised.is_ok() && !owner.confirmed {
            (owner.confirmed, owner.counted, owner.level) = (true, new.level.len(), new.level.clone());
            owner.tell();
        }
        self.tell(|| format!("{n} raises {before} to {}: {raised:?}", new.epoch));
        Ok(())
    }

    /// An owner decides which copies count: in here first and there later, out there first and here later.
    fn govern_level(&mut self, n: usize, entry: &Entry) -> Result<(), String> {
        let Role::Owner(owner) = &mut self.nodes[n].role else { return Ok(()) };
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
            return Ok(());
        }
        added.into_iter().for_each(|h| self.nodes[h].lost = false);
        // Whoever is not in the register and not level need not be waited for.
        local.retain(|h| wanted.contains(h) || state(*h).is_some_and(|s| s.stage == CopyStage::Level));
        if let Role::Owner(owner) = &mut self.nodes[n].role
            && (local != owner.level || owner.counted != wanted.len())
        {
            (owner.level, owner.counted) = (local, wanted.len());
            owner.tell();
            let level = owner.level.clone();
            self.tell(|| format!("{n} waits for {level:?}, the register says {wanted:?}"));
        }
        let was_down = self.nodes[n].is_down();
        self.harvest(n, was_down)
    }

    /// The register says that this node is the owner: it is back, or was about to open the journal when it died.
    fn resume(&mut self, n: usize, entry: &Entry) -> Result<(), String> {
        let Some(copy) = self.nodes[n].copy().cloned() else { return Ok(()) };
        let epoch = copy.state().epoch;
        let is_mine = self.register.is_of(n, epoch) && self.register.is_true(n, epoch);
        if !is_mine && copy.freeze().is_err() {
            return Ok(());
        }
        let new = Entry { epoch: next_term(entry.epoch, epoch), ..entry.clone() };
        if !self.register.swap(n, entry, new.clone()) || self.dies_between(n) {
            return Ok(());
        }
        if is_mine {
            copy.close();
        } else if copy.hand_over().is_err() {
            return Ok(());
        }
        self.reopen(n, new.epoch, true)
    }

    /// The copy was closed: the directory is a journal's from now on.
    fn reopen(&mut self, n: usize, epoch: u32, confirmed: bool) -> Result<(), String> {
        if self.nodes[n].is_down() {
            return Ok(());
        }
        self.net.drop_conns(&self.chance, |c| c.owner == n || c.holder == n);
        (self.nodes[n].role, self.nodes[n].frozen) = (Role::Down, None);
        self.own(n, epoch, confirmed)
    }

    /// Perhaps a node dies between the register and the disk.
    fn dies_between(&mut self, n: usize) -> bool {
        let dies = self.below(6) == 0 && !self.quiet;
        if dies {
            self.die(n, self.below(2) == 0);
        }
        dies
    }

    fn thaw(&mut self, n: usize) {
        if self.nodes[n].frozen.take().is_some() {
            self.tell(|| format!("{n} thaws"));
            self.nodes[n].copy().inspect(|copy| copy.thaw());
        }
    }

    /// First the copy is closed to its owner, then the register is asked, and both take their time.
    fn try_take_over(&mut self, n: usize, entry: Entry) -> Result<(), String> {
        let owner_is_up = self.is_true_owner(entry.owner);
        let Some(copy) = self.nodes[n].copy().cloned() else { return Ok(()) };
        if owner_is_up && (self.quiet || self.below(12) != 0) {
            self.thaw(n);
            return Ok(());
        }
        let Some(frozen) = self.nodes[n].frozen else {
            self.nodes[n].frozen = copy.freeze().ok();
            self.tell(|| format!("{n} closes its copy: {:?}", self.nodes[n].frozen));
            return Ok(());
        };
        let mut level = entry.level.clone();
        level.remove(&n);
        let new = Entry { owner: n, epoch: next_term(entry.epoch, frozen.heard), level };
        self.check_frozen()?;
        self.check_claim(n, frozen)?;
        if !self.register.swap(n, &entry, new.clone()) {
            return Ok(());
        }
        self.ledger.take_overs += 1;
        self.tell(|| format!("{n} takes over: {new:?}"));
        if self.dies_between(n) {
            return Ok(());
        }
        match copy.hand_over() {
            Ok(at) if at == frozen.at => self.reopen(n, new.epoch, true),
            Ok(at) => Err(format!("{n} was frozen as {frozen:?} and is handed over at {at}")),
            Err(_) => Ok(()),
        }
    }
}
