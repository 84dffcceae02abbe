//! Owns the task of one virtual address: gathers the facts, asks the machine, and carries out what it says. Decides nothing.
//! Always holds: effects are carried out one after the other in their order; a lease is ended only when the address is gone; what was given
//! to the next process is touched no more.

mod passing;
mod strangers;

use std::sync::Arc;
use std::time::Duration;

use ::cluster::etcd::{Keeper, LeaseState};
use ::cluster::view::View;
use ::cluster::vip::{Claim, VipHolder};
use ::metrics::{counter, gauge};
use balancer::address::{
    Answer, Candidate, Effect, Facts, Fit, HolderSeen, Lease, Link, Machine, NetError, OrderSeen, Present, Rules,
    Taken, Why,
};
use directory::VirtualAddress;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use super::guard::Held;
use super::links::OnLink;
use super::said::Said;
use super::words::{reason, word, words_of};
use super::{Fitness, Shared};
use crate::health::Phase;
use crate::succession::HeldAddress;
use strangers::Strangers;

/// What a task is to do.
#[derive(Clone)]
pub enum Will {
    /// Have it whenever it should be ours, by this document.
    Hold(Arc<VirtualAddress>),
    /// Keep it for the process that comes after this one.
    Keep,
    /// Give it to that one, and end.
    Give,
    /// Drop it, and end.
    Leave,
}

/// One virtual address on this node.
pub struct Holder {
    shared: Arc<Shared>,
    spec: Arc<VirtualAddress>,
    will: watch::Receiver<Will>,
    said: Said,
    fitness: Fitness,
    machine: Machine,
    on_link: OnLink,
    link: Result<Link, NetError>,
    /// What of ours the interface had at the last look.
    present: Vec<Present>,
    looked_ms: u64,
    keeper: Option<Keeper>,
    claim: Option<JoinHandle<(i64, Claim)>>,
    end: Option<JoinHandle<()>>,
    /// The address could not be removed: its lease must not be ended early.
    stuck: bool,
    told_would_hold: bool,
    /// Why it cannot have it, as told last.
    told_unable: Option<String>,
    strangers: Strangers,
}

impl Holder {
    pub fn new(shared: Arc<Shared>, spec: Arc<VirtualAddress>, will: watch::Receiver<Will>, said: Said) -> Holder {
        let fitness = Fitness::new(shared.parts.health.clone(), shared.parts.services.clone());
        Holder {
            machine: Machine::new(rules(&shared, &spec)),
            on_link: OnLink::new(&spec),
            link: Err(NetError::Absent),
            present: Vec::new(),
            looked_ms: 0,
            keeper: None,
            claim: None,
            end: None,
            stuck: false,
            told_would_hold: false,
            told_unable: None,
            strangers: Strangers::default(),
            fitness,
            shared,
            spec,
            will,
            said,
        }
    }

    /// Runs until the document no longer has it, or the process ends. What is given to the next process comes back.
    pub async fn run(mut self) -> Option<HeldAddress> {
        let mut view = self.shared.parts.cluster.view();
        let mut is_followed = true;
        self.begin().await;
        loop {
            let known = view.borrow_and_update().clone();
            let facts = self.facts(&known).await;
            let effects = self.machine.step(self.now_ms(), &facts);
            self.carry_out(effects, &facts).await;
            self.tell(&facts);
            let wait_ms = self.machine.next_ms(self.now_ms()).saturating_sub(self.now_ms());
            let mut lease = self.keeper.as_ref().map(Keeper::state);
            tokio::select! {
                // A process that ends keeps an address longer than its view of the cluster.
                changed = view.changed(), if is_followed => is_followed = changed.is_ok(),
                () = lease_changed(&mut lease) => {}
                (lease, claim) = answered(&mut self.claim) => self.claimed(lease, claim, &view).await,
                () = ended(&mut self.end) => self.machine.left(),
                changed = self.will.changed() => {
                    let will = self.will.borrow_and_update().clone();
                    match if changed.is_ok() { will } else { Will::Leave } {
                        Will::Hold(spec) => {
                            self.machine.set_rules(rules(&self.shared, &spec));
                            self.spec = spec;
                        }
                        Will::Keep => self.keep(&facts).await,
                        Will::Give => return self.give().await,
                        Will::Leave => {
                            self.leave().await;
                            return None;
                        }
                    }
                }
                () = sleep(Duration::from_millis(wait_ms)) => {}
            }
        }
    }

    fn now_ms(&self) -> u64 {
        self.shared.parts.world.clock.mono_ms()
    }

    async fn begin(&mut self) {
        if self.machine.holds() {
            return;
        }
        self.link = self.on_link.link(&self.shared.interfaces).await;
        if let Ok(link) = &self.link
            && let Err(error) = self.on_link.clean(&self.shared.interfaces, link).await
        {
            warn!(address = &*self.spec.name, "what a former life has left cannot be looked at: {error}");
        }
    }

    /// Everything that the machine wants to know.
    async fn facts(&mut self, view: &View) -> Facts {
        let now_ms = self.now_ms();
        self.link = self.on_link.link(&self.shared.interfaces).await;
        if let (Ok(link), true) = (&self.link, now_ms >= self.looked_ms + LOOK_MS) {
            self.present = self.on_link.look(&self.shared.interfaces, link).await.unwrap_or_default();
            self.looked_ms = now_ms;
        }
        let fixed = self.present.iter().find(|present| present.permanent);
        let name = &*self.spec.name;
        let seen = view.vips.get(name).cloned().unwrap_or_default();
        let candidate = |(node, record): (&String, &::cluster::record::NodeRecord)| {
            let would = record.would_hold.iter().any(|held| held == name);
            let preference = self.spec.preference(node).filter(|_| would)?;
            Some(Candidate { node: node.clone(), preference })
        };
        let mut candidates: Vec<Candidate> = view.nodes.iter().filter_map(candidate).collect();
        candidates.sort_by(|a, b| (a.preference, &a.node).cmp(&(b.preference, &b.node)));
        let etcd = view.at > 0 && view.silent.is_none();
        let fit = self.fitness.of(&self.spec, &self.link, fixed, || self.shared.is_kept());
        let fit = self.alone(now_ms, fit, (etcd, seen.holder.is_some()));
        Facts {
            preference: self.spec.preference(self.me()),
            seen_at: view.at,
            etcd,
            holder: seen.holder.map(|(lease, holder)| HolderSeen { node: holder.node, lease }),
            order: seen.order.map(|order| OrderSeen { from: order.from, to: order.to }),
            candidates,
            lease: self.lease(),
            fit,
        }
    }

    fn lease(&self) -> Option<Lease> {
        match &*self.keeper.as_ref()?.state().borrow() {
            LeaseState::Held(held) if self.now_ms() < held.until_ms => {
                Some(Lease { id: held.id, until_ms: held.until_ms })
            }
            _ => None,
        }
    }

    async fn carry_out(&mut self, effects: Vec<Effect>, facts: &Facts) {
        for effect in effects {
            match effect {
                Effect::Lease => self.begin_lease(),
                Effect::Claim { lease, taken } => self.begin_claim(lease, &taken),
                Effect::Put { lifetime_s, before_ms, again } => {
                    if !self.put((lifetime_s, before_ms), again, facts).await {
                        let now_ms = self.now_ms();
                        let undone = self.machine.failed(now_ms);
                        return Box::pin(self.carry_out(undone, facts)).await;
                    }
                }
                Effect::Announce => self.announce(),
                Effect::Drop(why) => self.drop_it(&why).await,
                Effect::End => self.begin_end(),
            }
        }
    }

    fn begin_lease(&mut self) {
        let (client, clock) = (self.shared.client.clone(), self.shared.parts.world.clock.clone());
        self.keeper = Some(Keeper::start_with(client, self.spec.lease_ms.div_ceil(1_000), KEEP_ALIVES_PER_TTL, clock));
    }

    fn begin_claim(&mut self, lease: i64, taken: &Taken) {
        let holder = VipHolder {
            node: self.me().into(),
            process: self.shared.process,
            why: words_of(taken),
            since_ms: self.shared.parts.world.clock.wall_ms(),
            pinned: *taken == Taken::Ordered,
            addresses: self.spec.addresses.iter().map(ToString::to_string).collect(),
        };
        let (vips, name) = (self.shared.vips.clone(), self.spec.name.clone());
        let addresses: Vec<_> = self.spec.addresses.iter().map(|net| net.addr()).collect();
        self.claim = Some(tokio::spawn(async move {
            let claim = vips.claim(&name, &holder, &addresses, lease).await;
            if let Claim::Open(error) = &claim {
                warn!(address = &*name, "the claim is open: {error}; it is made again");
                sleep(AGAIN).await;
            }
            (lease, claim)
        }));
    }

    async fn claimed(&mut self, lease: i64, claim: Claim, view: &watch::Receiver<Arc<View>>) {
        self.claim = None;
        let answer = match claim {
            Claim::Done(at) => Answer::Done(at),
            Claim::Taken | Claim::LeaseGone => Answer::Taken,
            Claim::Open(_) => Answer::Open,
        };
        let view = view.borrow().clone();
        let facts = self.facts(&view).await;
        let effects = self.machine.claimed(self.now_ms(), lease, answer, &facts);
        self.carry_out(effects, &facts).await;
    }

    /// Adds the address, or makes it live longer. Says whether the kernel did.
    async fn put(&mut self, times: (u32, u64), again: bool, facts: &Facts) -> bool {
        let Ok(link) = self.link.clone() else { return false };
        let name = self.spec.name.to_string();
        let for_ms = times.1.saturating_sub(self.now_ms());
        match (again, facts.lease) {
            (true, _) => self.shared.watchman().renew(&name, for_ms),
            (false, Some(lease)) => {
                let nets = self.spec.addresses.iter().map(ToString::to_string).collect();
                // First the guard, then the address.
                let held = Held { name: name.clone(), index: link.index, nets, lease: lease.id, for_ms };
                self.shared.watchman().hold(held);
            }
            (false, None) => return false,
        }
        let clock = self.shared.parts.world.clock.clone();
        match self.on_link.put(&self.shared.interfaces, &link, &*clock, times).await {
            Ok(in_time) => {
                if !again {
                    self.took();
                }
                // Too late is what the next step finds; it drops the address.
                in_time || again
            }
            Err(error) => {
                error!(address = name, "cannot be put on {}: {error}", self.spec.interface);
                false
            }
        }
    }

    fn took(&mut self) {
        let (name, interface) = (&self.spec.name, &self.spec.interface);
        info!(address = &**name, "this node has the virtual address now, on {interface}");
        counter!("posthouse_virtual_address_taken_total", "address" => name.to_string()).increment(1);
        let now_ms = self.shared.parts.world.clock.wall_ms();
        self.said.note(name, |one| {
            one.taken += 1;
            one.conflict = None;
            one.last = Some((now_ms, "took it".into()));
        });
    }

    fn announce(&mut self) {
        let Ok(link) = self.link.clone() else { return };
        match self.on_link.announce(&link) {
            Ok(()) => {
                let name = self.spec.name.to_string();
                counter!("posthouse_virtual_address_announcements_total", "address" => name).increment(1);
            }
            Err(what) => warn!(address = &*self.spec.name, "{what}"),
        }
    }

    async fn drop_it(&mut self, why: &Why) {
        let name = self.spec.name.clone();
        if matches!(why, Why::Ordered(_) | Why::Failback(_) | Why::NotOurs | Why::Unfit(_)) {
            self.part().await;
        }
        let mut removed = Err(NetError::Absent);
        for _ in 0..REMOVALS {
            removed = match self.on_link.link(&self.shared.interfaces).await {
                Ok(link) => self.on_link.remove(&self.shared.interfaces, &link).await,
                // An interface that is gone has no address.
                Err(NetError::Absent) => Ok(()),
                Err(error) => Err(error),
            };
            if removed.is_ok() {
                break;
            }
        }
        self.on_link.part();
        self.stuck = removed.is_err();
        match removed {
            Ok(()) => self.shared.watchman().forget(&name),
            Err(error) => {
                error!(address = &*name, "cannot be removed: {error}; the kernel does when its lifetime ends")
            }
        }
        let said = reason(why);
        warn!(address = &*name, "this node has dropped the virtual address: {said}");
        counter!("posthouse_virtual_address_dropped_total", "address" => name.to_string(), "why" => word(why))
            .increment(1);
        let now_ms = self.shared.parts.world.clock.wall_ms();
        self.said.note(&name, |one| one.last = Some((now_ms, format!("dropped it: {said}"))));
    }

    /// It leaves by plan: clients between two mails hear so, before the connection ends under them.
    async fn part(&self) {
        let addresses: Vec<_> = self.spec.addresses.iter().map(|net| net.addr()).collect();
        if let Some(mut told) = self.shared.parts.services.part(&addresses) {
            // It takes milliseconds; the address waits for no thread that has more to do.
            let _ = timeout(PART_MAX, told.recv()).await;
        }
    }

    fn begin_end(&mut self) {
        self.claim = None;
        let (keeper, stuck) = (self.keeper.take(), self.stuck);
        self.end = Some(tokio::spawn(async move {
            if let (Some(keeper), false) = (keeper, stuck) {
                // If etcd is away, it ends by itself.
                let _ = timeout(END_MAX, keeper.release()).await;
            }
        }));
    }

    async fn leave(mut self) {
        let effects = self.machine.leave();
        let known = self.shared.parts.cluster.view().borrow().clone();
        let facts = self.facts(&known).await;
        self.carry_out(effects, &facts).await;
        self.tell_would_hold(false);
        if let Some(end) = self.end.take() {
            let _ = end.await;
        }
    }

    /// Shows how it stands: to people, to the other nodes, to Prometheus.
    fn tell(&mut self, facts: &Facts) {
        self.tell_would_hold(self.machine.would_hold());
        let (name, here) = (self.spec.name.clone(), self.machine.holds());
        gauge!("posthouse_virtual_address_held", "address" => name.to_string()).set(f64::from(u8::from(here)));
        let view = self.shared.parts.cluster.view().borrow().clone();
        let holder = view.vips.get(&*name).and_then(|vip| vip.holder.clone());
        self.said.note(&name, |one| {
            one.here = here;
            one.holder = holder.map(|(_, holder)| (holder.node, holder.why, holder.since_ms));
            one.candidates = facts.candidates.iter().map(|candidate| candidate.node.clone()).collect();
            one.unfit = match &facts.fit {
                Fit::Ready => None,
                Fit::NotReady(why) | Fit::Unable(why) => Some(why.clone()),
            };
            one.silent = !facts.etcd;
        });
        if here {
            self.look_for_conflicts();
        }
        self.tell_unable(&facts.fit);
    }

    /// What no waiting mends is told once.
    fn tell_unable(&mut self, fit: &Fit) {
        let now = match fit {
            Fit::Unable(why) if self.shared.parts.health.phase() != Phase::Stopping => Some(why.clone()),
            _ => None,
        };
        if let (Some(why), true) = (&now, self.told_unable != now) {
            warn!(address = &*self.spec.name, "this node cannot have the virtual address: {why}");
        }
        self.told_unable = now;
    }

    fn tell_would_hold(&mut self, now: bool) {
        if std::mem::replace(&mut self.told_would_hold, now) == now {
            return;
        }
        let name = self.spec.name.to_string();
        self.shared.parts.cluster.announce(|record| {
            record.would_hold.retain(|held| *held != name);
            if now {
                record.would_hold.push(name);
                record.would_hold.sort();
            }
        });
    }

    fn me(&self) -> &str {
        &self.shared.parts.cluster.me().node
    }
}

fn rules(shared: &Shared, spec: &VirtualAddress) -> Rules {
    Rules {
        me: shared.parts.cluster.me().node.clone(),
        failback: spec.failback,
        announce_count: spec.announce_count,
        announce_interval_ms: spec.announce_interval_ms,
        margin_ms: Rules::MARGIN_MS,
    }
}

async fn lease_changed(lease: &mut Option<watch::Receiver<LeaseState>>) {
    match lease {
        Some(lease) => match lease.changed().await {
            Ok(()) => {}
            Err(_) => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

async fn answered(claim: &mut Option<JoinHandle<(i64, Claim)>>) -> (i64, Claim) {
    match claim {
        // It fails only by a panic, which ends the process.
        Some(asked) => match asked.await {
            Ok(answer) => answer,
            Err(_) => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

async fn ended(end: &mut Option<JoinHandle<()>>) {
    match end {
        Some(task) => {
            let _ = task.await;
            *end = None;
        }
        None => std::future::pending().await,
    }
}

/// Keep-alives in a lease's time: what is left of it is then seldom less than nine tenths.
const KEEP_ALIVES_PER_TTL: u64 = 10;
/// Between two looks at all addresses of the interface.
const LOOK_MS: u64 = 1_000;
/// Tries to remove an address.
const REMOVALS: u32 = 3;
/// Longest wait for etcd to end a lease.
const END_MAX: Duration = Duration::from_secs(2);
/// Longest wait until clients between two mails are told that the address leaves.
const PART_MAX: Duration = Duration::from_millis(50);
/// Until an open claim is made again.
const AGAIN: Duration = Duration::from_millis(100);
