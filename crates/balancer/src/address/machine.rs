//! Owns when a node takes a virtual address and when it drops it, step by step. No I/O, no clock of its own.
//!
//! Knows neither etcd nor netlink: leases, claims and interfaces are facts and effects. Always holds, if effects are carried out in their
//! order and within the time they name: the address is on the interface only while the lease under which its key stands surely counts, and
//! every lifetime that the kernel is given ends [`Rules::margin_ms`] before that. Our own time for it, and that of whoever watches us, ends
//! [`Rules::LEAD_MS`] before the kernel's.

use super::gate::{Fit, Gate};

mod drops;
mod heir;
pub use heir::Inheritance;

/// What does not change from step to step.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Our node.
    pub me: String,
    /// It goes back to a better node.
    pub failback: bool,
    /// Announcements after it was taken.
    pub announce_count: u32,
    /// Between two of them, in milliseconds.
    pub announce_interval_ms: u64,
    /// From the end of a lifetime that the kernel was given to the end of the lease, in milliseconds: [`Rules::MARGIN_MS`].
    pub margin_ms: u64,
}

impl Rules {
    /// The kernel ends a lifetime up to 1.25 s late (it looks once a second, and rounds); the rest is for clocks that differ.
    pub const MARGIN_MS: u64 = 1_500;
    /// From the moment at which an address that is not renewed is to be removed, to the end of the lifetime that the kernel has. Who removes
    /// it tells its clients; the kernel tells nobody, and may be 20 ms early. The rest is for a guard that gets no processor at once.
    pub const LEAD_MS: u64 = 250;
}

/// A lease that surely counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Its number.
    pub id: i64,
    /// Until when, on our monotonic clock, in milliseconds.
    pub until_ms: u64,
}

/// Who has the address, as etcd says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HolderSeen {
    /// The node.
    pub node: String,
    /// Under which lease.
    pub lease: i64,
}

/// Somebody wants it to move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderSeen {
    /// Away from this node.
    pub from: String,
    /// To this one, or to whichever comes next.
    pub to: Option<String>,
}

/// A node that would have the address now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub node: String,
    /// Its place in the order of preference, 0 first.
    pub preference: usize,
}

/// What is known at a step.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Our place in the order of preference; `None`: we may not have it.
    pub preference: Option<usize>,
    /// What etcd says is of this revision.
    pub seen_at: u64,
    /// etcd answers: what it said last still counts.
    pub etcd: bool,
    /// Who has it.
    pub holder: Option<HolderSeen>,
    /// Who shall have it.
    pub order: Option<OrderSeen>,
    /// Nodes that would have it, perhaps with us.
    pub candidates: Vec<Candidate>,
    /// Our lease, if there is one.
    pub lease: Option<Lease>,
    /// Whether we are fit to have it.
    pub fit: Fit,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Begin to hold a lease.
    Lease,
    /// Claim the key under it.
    Claim {
        /// The lease.
        lease: i64,
        /// Why we may.
        taken: Taken,
    },
    /// Add the address, or make it live longer.
    Put {
        /// For so many seconds.
        lifetime_s: u32,
        /// Not after this moment: at it the address is removed, if it has not been made to live longer.
        before_ms: u64,
        /// It is there already.
        again: bool,
    },
    /// Tell the neighbours.
    Announce,
    /// Remove the address.
    Drop(Why),
    /// End the lease, once the address is gone; then say [`Machine::left`].
    End,
}

/// Why we took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Nobody had it.
    Free,
    /// This node had it, and has it no more.
    From(String),
    /// By order.
    Ordered,
}

/// Why we have it no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The lease cannot be kept: etcd is not reached, or has ended it.
    Lease,
    /// Our own time was over before we looked again: the process hung, or was stopped.
    Late,
    /// The key is not ours any more.
    Key,
    /// We are not fit.
    Unfit(String),
    /// By order.
    Ordered(Option<String>),
    /// A better node is there.
    Failback(String),
    /// The document no longer names us.
    NotOurs,
    /// It could not be added.
    Failed,
    /// It was kept for the process that comes after this one, and none has come in time.
    NoHeir,
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Ours since this revision.
    Done(u64),
    /// Somebody else's.
    Taken,
    /// Not known; ask again.
    Open,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Leasing,
    Claiming { lease: i64, taken: Taken, asked: bool },
    Holding(Holding),
    Leaving,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Holding {
    lease: i64,
    claimed_at: u64,
    pinned: bool,
    /// When it is to be removed: [`Rules::LEAD_MS`] before the end of the lifetime that the kernel has.
    lapses_ms: u64,
    renew_ms: u64,
    announce_ms: u64,
    announcements: u32,
    /// It is only kept for the next process, until then at most.
    kept_until_ms: Option<u64>,
    /// The process has just begun: that it is not ready counts from then on.
    settled_ms: u64,
}

/// One virtual address on one node.
#[derive(Clone, Debug)]
pub struct Machine {
    rules: Rules,
    gate: Gate,
    phase: Phase,
    would_hold: bool,
    last_holder: Option<String>,
    free_since_ms: Option<u64>,
    better_since_ms: Option<u64>,
    /// We have it, and are not ready.
    unready_since_ms: Option<u64>,
    /// This process ends: nothing is taken any more.
    ends: bool,
}

impl Machine {
    /// It has nothing yet.
    pub fn new(rules: Rules) -> Machine {
        Machine {
            rules,
            gate: Gate::default(),
            phase: Phase::Idle,
            would_hold: false,
            last_holder: None,
            free_since_ms: None,
            better_since_ms: None,
            unready_since_ms: None,
            ends: false,
        }
    }

    /// Other rules from now on; who we are stays.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// Whether the address is (to be) on the interface.
    pub fn holds(&self) -> bool {
        matches!(self.phase, Phase::Holding(_))
    }

    /// Nobody of ours is known to have had it, or to have it.
    pub fn is_first(&self) -> bool {
        self.last_holder.is_none()
    }

    /// Whether we would have it, or have it: for the others to know.
    pub fn would_hold(&self) -> bool {
        self.would_hold
    }

    /// When it must be looked at again, if nothing happens before.
    pub fn next_ms(&self, now_ms: u64) -> u64 {
        let by_phase = match &self.phase {
            Phase::Holding(held) => {
                let announce_ms = if held.announcements > 0 { held.announce_ms } else { u64::MAX };
                held.renew_ms.min(announce_ms).min(held.lapses_ms)
            }
            _ => u64::MAX,
        };
        by_phase.clamp(now_ms + 1, now_ms + LOOK_MS)
    }

    /// Takes the facts in, and says what is to be done. At the latest at [`Machine::next_ms`].
    pub fn step(&mut self, now_ms: u64, facts: &Facts) -> Vec<Effect> {
        let fit = self.gate.look(now_ms, &facts.fit);
        // Whoever ends takes nothing: the others need not wait for it.
        self.would_hold = fit && facts.preference.is_some() && (!self.ends || self.holds());
        if let Some(holder) = facts.holder.as_ref() {
            self.free_since_ms = None;
            self.last_holder = Some(holder.node.clone());
        }
        match self.phase.clone() {
            Phase::Idle => self.idle(now_ms, facts),
            Phase::Leasing => self.leasing(facts),
            Phase::Claiming { lease, taken, asked } => self.claiming(facts, lease, taken, asked),
            Phase::Holding(held) => self.holding(now_ms, facts, held),
            Phase::Leaving => Vec::new(),
        }
    }

    fn idle(&mut self, now_ms: u64, facts: &Facts) -> Vec<Effect> {
        if !self.may_take(facts) {
            self.free_since_ms = None;
            return Vec::new();
        }
        let since_ms = *self.free_since_ms.get_or_insert(now_ms);
        let Some(rank) = self.rank(facts) else { return Vec::new() };
        if now_ms < since_ms + rank * RANK_MS {
            return Vec::new();
        }
        self.phase = Phase::Leasing;
        vec![Effect::Lease]
    }

    fn may_take(&self, facts: &Facts) -> bool {
        self.wants(facts) && !self.ends && facts.etcd && facts.holder.is_none()
    }

    /// We would have it; or we gave it to another one that has not come: nobody is ready, and silence is worse than "not now".
    fn wants(&self, facts: &Facts) -> bool {
        let may = facts.preference.is_some() && matches!(facts.fit, Fit::NotReady(_));
        let was_ours = self.last_holder.as_ref() == Some(&self.rules.me);
        self.would_hold || may && was_ours && !self.has_other(facts, None)
    }

    /// How many others are to try before us; `None`: it is not for us now.
    fn rank(&self, facts: &Facts) -> Option<u64> {
        let me = self.rules.me.as_str();
        if let Some(order) = &facts.order {
            match &order.to {
                Some(to) if to == me => return Some(0),
                Some(_) => return None,
                None if order.from == me => return None,
                None => {}
            }
        }
        // Whoever had it last is dead, or has given it up.
        let ours = (facts.preference?, me);
        let before = |other: &&Candidate| {
            (other.preference, other.node.as_str()) < ours && Some(&other.node) != self.last_holder.as_ref()
        };
        Some(facts.candidates.iter().filter(|other| other.node != me).filter(before).count() as u64)
    }

    fn leasing(&mut self, facts: &Facts) -> Vec<Effect> {
        if !self.may_take(facts) {
            return self.end();
        }
        let Some(lease) = facts.lease else { return Vec::new() };
        let ordered = facts.order.as_ref().is_some_and(|order| order.to.as_deref() == Some(&self.rules.me));
        let taken = match &self.last_holder {
            _ if ordered => Taken::Ordered,
            Some(node) => Taken::From(node.clone()),
            None => Taken::Free,
        };
        self.phase = Phase::Claiming { lease: lease.id, taken: taken.clone(), asked: true };
        vec![Effect::Claim { lease: lease.id, taken }]
    }

    fn claiming(&mut self, facts: &Facts, lease: i64, taken: Taken, asked: bool) -> Vec<Effect> {
        if !self.wants(facts) || facts.lease.is_none_or(|now| now.id != lease) {
            return self.end();
        }
        if asked {
            return Vec::new();
        }
        self.phase = Phase::Claiming { lease, taken: taken.clone(), asked: true };
        vec![Effect::Claim { lease, taken }]
    }

    /// A claim under this lease was answered.
    pub fn claimed(&mut self, now_ms: u64, under: i64, answer: Answer, facts: &Facts) -> Vec<Effect> {
        let Phase::Claiming { lease, taken, .. } = self.phase.clone() else { return Vec::new() };
        if lease != under {
            return Vec::new();
        }
        let at = match answer {
            Answer::Done(at) => at,
            Answer::Taken => return self.end(),
            Answer::Open => {
                self.phase = Phase::Claiming { lease, taken, asked: false };
                return Vec::new();
            }
        };
        let lifetime_s = facts.lease.filter(|now| now.id == lease).map_or(0, |lease| self.lifetime_s(now_ms, lease));
        if lifetime_s == 0 || !self.wants(facts) {
            return self.end();
        }
        let lapses_ms = lapses_ms(now_ms, lifetime_s);
        (self.better_since_ms, self.unready_since_ms) = (None, None);
        self.phase = Phase::Holding(Holding {
            lease,
            claimed_at: at,
            pinned: taken == Taken::Ordered,
            lapses_ms,
            renew_ms: now_ms + RENEW_MS,
            announce_ms: now_ms + self.rules.announce_interval_ms,
            announcements: self.rules.announce_count.saturating_sub(1),
            kept_until_ms: None,
            settled_ms: now_ms,
        });
        vec![Effect::Put { lifetime_s, before_ms: lapses_ms, again: false }, Effect::Announce]
    }

    /// Whole seconds that the kernel may be given now.
    fn lifetime_s(&self, now_ms: u64, lease: Lease) -> u32 {
        let left_ms = lease.until_ms.saturating_sub(now_ms).saturating_sub(self.rules.margin_ms);
        u32::try_from(left_ms / 1_000).unwrap_or(0)
    }

    fn holding(&mut self, now_ms: u64, facts: &Facts, mut held: Holding) -> Vec<Effect> {
        if let Some(why) = self.must_drop(now_ms, facts, &held) {
            return self.drop_it(why);
        }
        let mut effects = Vec::new();
        if let Some(lease) = facts.lease.filter(|_| now_ms >= held.renew_ms) {
            let lifetime_s = self.lifetime_s(now_ms, lease);
            let lapses_ms = lapses_ms(now_ms, lifetime_s);
            // A shorter one than the kernel has would only bring its end nearer.
            if lapses_ms > held.lapses_ms {
                held.lapses_ms = lapses_ms;
                effects.push(Effect::Put { lifetime_s, before_ms: lapses_ms, again: true });
            }
            held.renew_ms = now_ms + RENEW_MS;
        }
        if held.announcements > 0 && now_ms >= held.announce_ms {
            held.announcements -= 1;
            held.announce_ms = now_ms + self.rules.announce_interval_ms;
            effects.push(Effect::Announce);
        }
        self.phase = Phase::Holding(held);
        effects
    }

    /// The address could not be added, or not be kept: we leave it to others for a while.
    pub fn failed(&mut self, now_ms: u64) -> Vec<Effect> {
        self.gate.shut(now_ms);
        self.would_hold = false;
        if self.holds() { self.drop_it(Why::Failed) } else { Vec::new() }
    }

    /// Drops everything, whatever the facts are: the node ends, or the document no longer has the address.
    pub fn leave(&mut self) -> Vec<Effect> {
        match self.phase {
            Phase::Idle | Phase::Leaving => Vec::new(),
            Phase::Holding(_) => self.drop_it(Why::NotOurs),
            Phase::Leasing | Phase::Claiming { .. } => self.end(),
        }
    }

    /// The lease has ended, or is left to end by itself.
    pub fn left(&mut self) {
        if self.phase == Phase::Leaving {
            self.phase = Phase::Idle;
        }
    }

    fn drop_it(&mut self, why: Why) -> Vec<Effect> {
        self.phase = Phase::Leaving;
        vec![Effect::Drop(why), Effect::End]
    }

    fn end(&mut self) -> Vec<Effect> {
        self.phase = Phase::Leaving;
        vec![Effect::End]
    }
}

/// When an address that the kernel was given now is to be removed.
fn lapses_ms(now_ms: u64, lifetime_s: u32) -> u64 {
    now_ms + (u64::from(lifetime_s) * 1_000).saturating_sub(Rules::LEAD_MS)
}

/// Between two renewals of the kernel's lifetime: several fall into the part of a second that the shortest lease has to spare.
const RENEW_MS: u64 = 250;
/// Between two looks when nothing happens.
const LOOK_MS: u64 = 250;
/// How long each candidate gives each one before it.
const RANK_MS: u64 = 300;

#[cfg(test)]
mod tests;
