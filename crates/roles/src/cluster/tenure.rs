//! Owns the task of one journal of ours: what its seat, its copies and its spool say goes into [`cluster::tenure`], and what comes out
//! is done. Knows no rules.

use std::sync::Arc;
use std::time::Duration;

use cluster::SeatHandle;
use cluster::ownership;
use cluster::record::{JournalName, Member};
use cluster::tenure::{self, CopySeen, Effect, Ended, Input};
use journal::RaiseError;
use journal::copies::CopyState;
use spool::Spool;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};

use super::journals::Ground;
use super::say::say;
use crate::copies::lateness::lateness;
use crate::copies::owned::HolderAt;
use crate::copies::{OwnCopies, say_standing, taken};

/// A journal that this node owns.
pub struct Tenure {
    ground: Arc<Ground>,
    name: JournalName,
    seat: SeatHandle,
    spool: Spool,
    own: OwnCopies,
    machine: tenure::Tenure,
    /// Who is asked to keep a copy.
    asked: Vec<Member>,
    handing_over: Option<oneshot::Sender<Result<Member, String>>>,
    /// The epoch that could not be written to the journal yet, for want of space.
    unwritten: Option<u32>,
}

/// The wish to hand a journal over. Nothing is written to it any more.
pub struct HandOver {
    /// To whom; `None`: whoever comes first.
    pub to: Option<String>,
    /// Who has it now, or why nobody.
    pub done: oneshot::Sender<Result<Member, String>>,
}

impl Tenure {
    /// Of the journal behind `spool`, which is ours by `seat`.
    pub fn new(
        ground: &Arc<Ground>,
        name: JournalName,
        seat: SeatHandle,
        spool: &Spool,
        own: OwnCopies,
        drains: bool,
    ) -> Tenure {
        let record = ground.view().journals.get(&name).and_then(|journal| journal.record.clone());
        let before = record.map_or_else(Vec::new, |(_, record)| record.level);
        let machine = tenure::Tenure::new(ground.world.clock.mono_ms(), ground.choice(&name, &before), drains);
        let (ground, spool) = (ground.clone(), spool.clone());
        Tenure { ground, name, seat, spool, own, machine, asked: Vec::new(), handing_over: None, unwritten: None }
    }

    /// Goes on until the journal is not ours any more; `None` when the node ends first.
    pub async fn run(mut self, mut orders: mpsc::Receiver<HandOver>) -> Option<Ended> {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.own.is_stopping() {
            let ended = tokio::select! {
                effect = self.seat.effect() => self.seat_wants(effect?).await,
                Some(order) = orders.recv() => {
                    self.handing_over = Some(order.done);
                    let at = self.own.tail();
                    self.step(Input::HandOver { to: order.to, at }).await
                }
                _ = ticks.tick() => self.look().await,
            };
            if ended.is_some() {
                return ended;
            }
        }
        None
    }

    async fn seat_wants(&mut self, effect: ownership::Effect) -> Option<Ended> {
        if let ownership::Effect::Lost { to, epoch, handed_over, .. } = &effect {
            self.own.depose(*epoch);
            if let (true, Some(done)) = (handed_over, self.handing_over.take()) {
                // Whoever asked may have gone.
                let _ = done.send(Ok(to.clone()));
            }
        }
        self.step(Input::Seat(effect)).await
    }

    async fn look(&mut self) -> Option<Ended> {
        if let Some(epoch) = self.unwritten {
            self.raise(epoch).await;
        }
        let copies = self.seen();
        let (ground, spool) = (self.ground.clone(), self.spool.clone());
        let (nodes, empty) = (ground.candidates(), taken::is_empty(&spool));
        self.step(Input::Look { copies: &copies, nodes: &nodes, rules: ground.rules(), empty }).await
    }

    async fn step(&mut self, input: Input<'_>) -> Option<Ended> {
        let mut effects = self.machine.step(self.ground.world.clock.mono_ms(), input);
        let mut waits = false;
        loop {
            for effect in effects {
                match effect {
                    Effect::Ended(ended) => return Some(ended),
                    Effect::Wait { require, counted } => {
                        let keys: Vec<String> = require.iter().map(key).collect();
                        self.own.set_level(&keys.iter().map(String::as_str).collect::<Vec<_>>(), counted);
                        waits = true;
                    }
                    effect => self.act(effect).await,
                }
            }
            if !std::mem::take(&mut waits) {
                return None;
            }
            let (copies, nodes) = (self.seen(), self.ground.candidates());
            let (rules, empty) = (self.ground.rules(), taken::is_empty(&self.spool));
            let look = Input::Look { copies: &copies, nodes: &nodes, rules, empty };
            effects = self.machine.step(self.ground.world.clock.mono_ms(), look);
        }
    }

    async fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Tell(input) => {
                if input == ownership::Input::Drained {
                    info!(journal = %self.name, "all mail of {} is delivered", self.name);
                }
                self.seat.tell(input);
            }
            Effect::Raise(epoch) => self.raise(epoch).await,
            Effect::Follow(members) => self.follow(members),
            Effect::Say(event) => say(&self.name, &event),
            Effect::Standing(change) => say_standing(self.own.journal(), &change),
            Effect::HandedOver(result) => {
                if let Some(done) = self.handing_over.take() {
                    // Whoever asked may have gone.
                    let _ = done.send(result);
                }
            }
            Effect::Wait { .. } | Effect::Ended(_) => {}
        }
    }

    /// A running journal gets a higher epoch: etcd came back, or was restored. Tried again at each look while the disk is full: until then
    /// no copy counts.
    async fn raise(&mut self, epoch: u32) {
        let spool = self.spool.clone();
        let raised = tokio::task::spawn_blocking(move || spool.raise_epoch(epoch)).await;
        let before = std::mem::take(&mut self.unwritten);
        match raised {
            Ok(Err(error)) => {
                self.unwritten = (error == RaiseError::Full).then_some(epoch);
                if before.is_none() {
                    error!(journal = %self.name, "{}: epoch {epoch} cannot be written to the journal: {error}", self.name);
                }
            }
            // Otherwise only a panic, which ends the process.
            _ if before.is_some() => {
                info!(journal = %self.name, "{}: epoch {epoch} is written to the journal now", self.name)
            }
            _ => {}
        }
    }

    fn follow(&mut self, members: Vec<Member>) {
        let at = |member: &Member| HolderAt {
            holder: key(member).into(),
            node: member.node.clone(),
            channel: format!("{}@{:016x}", self.name, member.disk),
        };
        self.own.follow(&members.iter().map(at).collect::<Vec<_>>());
        let mut names: Vec<&str> = members.iter().map(|member| member.node.as_str()).collect();
        names.dedup();
        info!(journal = %self.name, "{}: copies are kept on {}", self.name, names.join(", "));
        self.asked = members;
    }

    fn seen(&self) -> Vec<CopySeen> {
        let states = self.own.states();
        let of = |member: &Member| {
            let holder = key(member);
            states.iter().find(|state| state.holder == holder).map(|state| seen(member, state))
        };
        self.asked.iter().filter_map(of).collect()
    }
}

fn seen(member: &Member, state: &CopyState) -> CopySeen {
    CopySeen {
        member: member.clone(),
        level: state.stage == journal::copies::CopyStage::Level,
        late: lateness(state),
        has_all: state.counts,
        acked: state.acked.0,
    }
}

/// The name of a holder among the copies: with another disk it is another holder.
fn key(member: &Member) -> String {
    format!("{}@{:016x}", member.node, member.disk)
}

const LOOK_EVERY: Duration = Duration::from_millis(100);
