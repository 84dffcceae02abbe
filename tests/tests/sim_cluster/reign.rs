//! What a node does for a journal that is its own: the driver of `roles::cluster::tenure`, and what its spool does meanwhile.

use std::collections::BTreeMap;

use cluster::ownership;
use cluster::record::{Member, NodeRecord};
use cluster::tenure::{CopySeen, Effect, Ended, Input, Rules};
use journal::copies::{CopyStage, CopyState};

use crate::node::{Key, Post, Reign, Role, holder_key};
use crate::places::Place;
use crate::seats::Then;
use crate::sim::{Broken, Sim};

const LOOK_EVERY_MS: u64 = 100;

impl Sim {
    pub fn reign_wants(
        &mut self,
        n: usize,
        key: &Key,
        post: &mut Post,
        effect: ownership::Effect,
    ) -> Result<Then, String> {
        if let (ownership::Effect::Lost { epoch, .. }, Role::Owning(reign)) = (&effect, &mut post.role) {
            reign.office.journal.copies().depose(*epoch);
            self.harvest(n, key, post, false)?;
        }
        if matches!(effect, ownership::Effect::Kept) {
            self.tell(|| format!("{n} keeps {}", key.1));
        }
        match self.tenure_step(n, key, post, Input::Seat(effect))? {
            Some(ended) => self.ended(n, key, post, ended),
            None => Ok(Then::Stay),
        }
    }

    /// One step of the machine, and all that follows from it.
    pub fn tenure_step(
        &mut self,
        n: usize,
        key: &Key,
        post: &mut Post,
        input: Input<'_>,
    ) -> Result<Option<Ended>, String> {
        let now_ms = self.nodes[n].now_ms();
        let Role::Owning(reign) = &mut post.role else { return Ok(None) };
        let mut effects = reign.tenure.step(now_ms, input);
        loop {
            let mut waits = false;
            for effect in effects {
                match effect {
                    Effect::Ended(ended) => return Ok(Some(ended)),
                    Effect::Wait { require, counted } => {
                        self.wait_for(n, post, &require, counted);
                        waits = true;
                    }
                    effect => self.tenure_wants(n, key, post, effect)?,
                }
            }
            if !waits {
                return Ok(None);
            }
            effects = self.tenure_looks(n, post);
        }
    }

    fn wait_for(&mut self, n: usize, post: &mut Post, require: &[Member], counted: usize) {
        let Role::Owning(reign) = &mut post.role else { return };
        let keys: Vec<String> = require.iter().map(holder_key).collect();
        let now = format!("{n} waits for {keys:?} in {}, {counted} count", post.name);
        if self.broken == Broken::WaitsLate {
            let at_ms = self.nodes[n].now_ms() + 3_000;
            reign.late_demand = Some((at_ms, keys, counted));
        } else {
            let names: Vec<&str> = keys.iter().map(String::as_str).collect();
            reign.office.journal.copies().set_level(&names, counted);
        }
        self.tell(|| now);
    }

    fn tenure_wants(&mut self, n: usize, key: &Key, post: &mut Post, effect: Effect) -> Result<(), String> {
        match effect {
            Effect::Tell(input) => {
                self.tell(|| format!("{n} tells the seat of {}: {input:?}", key.1));
                post.inputs.push_back(input);
            }
            Effect::Raise(epoch) => {
                let process = self.nodes[n].process;
                let Some(reign) = post.reign() else { return Ok(()) };
                self.ledger.tally.raises += u64::from(epoch > reign.office.journal.epoch());
                // One that is deposed is told so by its seat.
                if reign.office.journal.raise_epoch(epoch).is_ok() {
                    self.ledger.writes(&key.1, epoch, n, process)?;
                }
            }
            Effect::Follow(members) => {
                let Role::Owning(reign) = &mut post.role else { return Ok(()) };
                let gone: Vec<Member> = reign.asked.iter().filter(|m| !members.contains(m)).cloned().collect();
                gone.iter().for_each(|member| reign.office.journal.copies().detach(&holder_key(member)));
                reign.asked = members;
                let gone: Vec<String> = gone.iter().map(holder_key).collect();
                self.drop_links(|conn| conn.owner.0 == n && conn.key == *key && gone.contains(&conn.holder_key));
            }
            Effect::HandedOver(result) => {
                self.tell(|| format!("{n} hands {} over: {result:?}", key.1));
                if let Some(handing) = &mut self.nodes[n].handing {
                    handing.left.remove(key);
                }
            }
            Effect::Say(_) | Effect::Standing(_) | Effect::Wait { .. } | Effect::Ended(_) => {}
        }
        Ok(())
    }

    fn tenure_looks(&mut self, n: usize, post: &mut Post) -> Vec<Effect> {
        let candidates = self.candidates(n);
        let (now_ms, rules) = (self.nodes[n].now_ms(), Rules { copies: self.wanted, may_go_alone: self.may_go_alone });
        let cheats = self.broken == Broken::WaitsLate;
        let Role::Owning(reign) = &mut post.role else { return Vec::new() };
        let states = reign.office.journal.copies().states();
        let of = |member: &Member| {
            let state = states.iter().find(|state| state.holder == holder_key(member))?;
            let mut seen = seen(member, state);
            seen.has_all |= cheats && seen.level;
            Some(seen)
        };
        let copies: Vec<CopySeen> = reign.asked.iter().filter_map(of).collect();
        let empty = reign.office.is_empty();
        reign.tenure.step(now_ms, Input::Look { copies: &copies, nodes: &candidates, rules, empty })
    }

    /// Nodes that are there, as this one sees them.
    fn candidates(&self, n: usize) -> BTreeMap<String, NodeRecord> {
        let node = &self.nodes[n];
        let others = node.view.nodes.iter().filter(|(name, _)| **name != node.me.node);
        others.map(|(name, record)| (name.clone(), record.clone())).collect()
    }

    /// What an owner does by itself: looks, clients, deliveries, the disk.
    pub fn reign_works(&mut self, n: usize, key: &Key) -> Result<(), String> {
        let Some(mut post) = self.nodes[n].posts.remove(key) else { return Ok(()) };
        let then = self.reign_turn(n, key, &mut post)?;
        if !matches!(then, Then::End) && self.nodes[n].up {
            self.nodes[n].posts.insert(key.clone(), post);
        }
        Ok(())
    }

    fn reign_turn(&mut self, n: usize, key: &Key, post: &mut Post) -> Result<Then, String> {
        let now_ms = self.nodes[n].now_ms();
        let Role::Owning(reign) = &mut post.role else { return Ok(Then::Stay) };
        if let Some((_, keys, counted)) = reign.late_demand.take_if(|(at_ms, ..)| now_ms >= *at_ms) {
            let names: Vec<&str> = keys.iter().map(String::as_str).collect();
            reign.office.journal.copies().set_level(&names, counted);
        }
        if now_ms >= reign.look_ms {
            reign.look_ms = now_ms + LOOK_EVERY_MS;
            let effects = self.tenure_looks(n, post);
            for effect in effects {
                match effect {
                    Effect::Wait { .. } | Effect::Ended(_) => return Err("a look ended it".into()),
                    effect => self.tenure_wants(n, key, post, effect)?,
                }
            }
        }
        let was_broken = self.nodes[n].is_broken();
        self.spool_works(n, key, post)?;
        self.harvest(n, key, post, was_broken)?;
        let deposed = post.reign().is_some_and(|reign| reign.office.journal.copies().deposed_by().is_some());
        if deposed && key.0 == Place::Own && self.nodes[n].handing.is_none() {
            self.tell(|| format!("{n} hears that it is deposed and starts again"));
            self.stop(n, 500);
        }
        Ok(Then::Stay)
    }

    fn spool_works(&mut self, n: usize, key: &Key, post: &mut Post) -> Result<(), String> {
        let (handing, quiet) = (self.nodes[n].handing.is_some(), self.quiet);
        let sim = self.nodes[n].sim.clone();
        let accepts = !handing && !quiet && key.0 == Place::Own && self.chance_of(1, 5);
        let delivers = !handing && self.chance_of(1, if quiet { 2 } else { self.delivery_in });
        let demand = u8::from(!self.chance_of(1, 12));
        let pumps = self.below(4);
        // Whoever cannot know that he is deposed goes on delivering: at least once is safe.
        let exact = self.etcd.record(&key.1).is_some_and(|record| record.owner == self.nodes[n].me);
        let Role::Owning(reign) = &mut post.role else { return Ok(()) };
        if accepts {
            reign.office.accept(&sim, &mut self.ledger, &key.1, demand);
        }
        if delivers {
            reign.office.deliver(&sim, &mut self.ledger, n, exact)?;
        }
        for _ in 0..pumps {
            reign.office.journal.pump();
        }
        Ok(())
    }

    /// Answers to clients. A receipt of somebody who is not the owner any more is a lie unless the taker has it.
    pub fn harvest(&mut self, n: usize, key: &Key, post: &mut Post, was_broken: bool) -> Result<(), String> {
        let Role::Owning(reign) = &mut post.role else { return Ok(()) };
        let receipts = reign.office.harvest(&mut self.ledger, was_broken)?;
        let me = &self.nodes[n].me;
        for receipt in receipts {
            let Some(record) = self.etcd.record(&key.1) else {
                return Err(format!("{n} gives a receipt for {}, of which etcd knows nothing", key.1));
            };
            let lies =
                record.owner != *me && !record.taken(receipt.epoch).is_some_and(|t| t.has(receipt.at, receipt.epoch));
            if lies {
                return Err(format!(
                    "{n} is deposed from {} ({record:?}) and gives a receipt for mail {} at {:x}",
                    key.1, receipt.id, receipt.at
                ));
            }
        }
        Ok(())
    }

    /// The orderly end of a node that hands all of its journals over.
    pub fn handing_works(&mut self, n: usize) -> Result<(), String> {
        let now_ms = self.nodes[n].now_ms();
        let Some(handing) = &self.nodes[n].handing else { return Ok(()) };
        let (told, over) = (handing.told, now_ms >= handing.until_ms);
        let left: Vec<Key> = handing.left.iter().filter(|key| self.nodes[n].posts.contains_key(key)).cloned().collect();
        if over || (told && left.is_empty()) {
            self.tell(|| format!("{n} ends after handing over; left: {left:?}"));
            let after_ms = 200 + self.below(4_000);
            self.stop(n, after_ms);
            return Ok(());
        }
        let reigns = |key: &Key| self.nodes[n].posts[key].reign();
        let ready = left.iter().filter_map(reigns).all(is_still);
        if told || !ready {
            return Ok(());
        }
        for key in &left {
            let Some(mut post) = self.nodes[n].posts.remove(key) else { continue };
            if let Role::Owning(reign) = &post.role {
                let at = reign.office.journal.copies().tail().0;
                self.tell(|| format!("{n} hands {} over at {at:x}", key.1));
                self.tenure_step(n, key, &mut post, Input::HandOver { to: None, at })?;
            }
            self.nodes[n].posts.insert(key.clone(), post);
        }
        if let Some(handing) = &mut self.nodes[n].handing {
            handing.told = true;
        }
        Ok(())
    }
}

/// Nothing is written any more, and all copies that count have everything.
fn is_still(reign: &Reign) -> bool {
    let lacks = |copy: &CopyState| copy.in_level_set && copy.lag_bytes > 0;
    reign.office.is_quiet() && !reign.office.journal.copies().states().iter().any(lacks)
}

fn seen(member: &Member, state: &CopyState) -> CopySeen {
    CopySeen {
        member: member.clone(),
        level: state.stage == CopyStage::Level,
        late: lateness(state),
        has_all: state.counts,
        acked: state.acked.0,
    }
}

/// The same as `roles::copies::lateness`.
fn lateness(state: &CopyState) -> Option<String> {
    match state.stage {
        CopyStage::Live | CopyStage::Level if state.lag_ms > 2_000 => Some("it lacks bytes".into()),
        CopyStage::Live | CopyStage::Level => None,
        stage => Some(format!("{stage:?}")),
    }
}
