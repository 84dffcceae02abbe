//! Owns what a node does for as long as it owns a journal: have copies kept, tell etcd which of them count, put in force whom receipts
//! wait for, hand it over. One task a journal. Knows no protocol: the seat does.
//! Always holds: a copy is waited for before etcd may count it, and until etcd no longer does.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cluster::SeatHandle;
use cluster::ownership::{Effect, Event, Input};
use cluster::record::{JournalName, Member, Taken};
use journal::copies::CopyState;
use spool::Spool;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};

use super::choice::{Choice, Seen};
use super::journals::Ground;
use super::say::say;
use crate::copies::owned::HolderAt;
use crate::copies::standing::Standing;
use crate::copies::{OwnCopies, taken};

/// A journal that this node owns.
pub struct Tenure {
    ground: Arc<Ground>,
    name: JournalName,
    seat: SeatHandle,
    spool: Spool,
    own: OwnCopies,
    standing: Standing,
    choice: Choice,
    /// Who is asked to keep a copy.
    asked: Vec<Member>,
    /// Whose copies etcd counts, as it has confirmed them last: they have everything that was ever protected.
    confirmed: Option<BTreeSet<Member>>,
    /// A demand that is in force, but not yet filled by those who are new in it.
    guard: Option<(u64, Vec<Member>)>,
    told: Option<Vec<Member>>,
    started_ms: u64,
    /// No new mail comes in: it ends when it is empty.
    drains: bool,
    drained: bool,
    handing_over: Option<oneshot::Sender<Result<Member, String>>>,
}

/// How a tenure ends.
pub enum Ended {
    /// Another node owns the journal.
    Lost {
        /// Its epoch.
        epoch: u32,
        /// What it has.
        taken: Taken,
        /// It was handed over by us.
        handed_over: bool,
    },
    /// It was empty, and etcd knows that.
    Finished,
    /// The node ends.
    Stopped,
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
        let choice = ground.choice(&name, &before);
        Tenure {
            ground: ground.clone(),
            name,
            seat,
            spool: spool.clone(),
            own,
            standing: Standing::default(),
            choice,
            asked: Vec::new(),
            confirmed: None,
            guard: None,
            told: None,
            started_ms: ground.world.clock.mono_ms(),
            drains,
            drained: false,
            handing_over: None,
        }
    }

    /// Goes on until the journal is not ours any more.
    pub async fn run(mut self, mut orders: mpsc::Receiver<HandOver>) -> Ended {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ended = loop {
            tokio::select! {
                effect = self.seat.effect() => match effect {
                    None => break Ended::Stopped,
                    Some(effect) => if let Some(ended) = self.act(effect).await { break ended },
                },
                Some(order) = orders.recv() => self.hand_over(order),
                _ = ticks.tick() => self.look(),
            }
            if self.own.is_stopping() {
                break Ended::Stopped;
            }
        };
        if let (Ended::Lost { handed_over: false, .. } | Ended::Finished | Ended::Stopped, Some(done)) =
            (&ended, self.handing_over.take())
        {
            let _ = done.send(Err(format!("{} is not this node's any more", self.name)));
        }
        ended
    }

    async fn act(&mut self, effect: Effect) -> Option<Ended> {
        match effect {
            Effect::Own { epoch, .. } => self.raise(epoch).await,
            Effect::Guard { generation, require, counted } => self.demand(generation, require, counted),
            Effect::Lost { to, epoch, taken, handed_over } => {
                self.own.depose(epoch);
                if let (true, Some(done)) = (handed_over, self.handing_over.take()) {
                    let _ = done.send(Ok(to));
                }
                return Some(Ended::Lost { epoch, taken, handed_over });
            }
            Effect::Delete => return Some(Ended::Finished),
            Effect::Kept => {
                if let Some(done) = self.handing_over.take() {
                    let _ = done.send(Err(String::from("no level copy of it is where it could go")));
                }
            }
            Effect::Say(event) => {
                if let Event::LevelNow { level } = &event {
                    self.confirmed = Some(level.iter().cloned().collect());
                }
                say(&self.name, &event);
            }
            Effect::NameTaken => error!("{}: etcd has another journal under this name", self.name),
            // Only who has a copy is told these, and a transaction never comes here.
            Effect::Freeze { .. } | Effect::Thaw | Effect::Try(_) => {}
        }
        None
    }

    /// A running journal gets a higher epoch: etcd came back, or was restored.
    async fn raise(&self, epoch: u32) {
        let (spool, name) = (self.spool.clone(), self.name.clone());
        let raised = tokio::task::spawn_blocking(move || spool.raise_epoch(epoch)).await;
        if let Ok(Err(error)) = raised {
            error!(journal = %name, "{name}: epoch {epoch} cannot be written to the journal: {error}");
        }
    }

    /// Puts in force whom receipts wait for.
    fn demand(&mut self, generation: u64, require: Vec<Member>, counted: u32) {
        let keys: Vec<String> = require.iter().map(key).collect();
        self.own.set_level(&keys.iter().map(String::as_str).collect::<Vec<_>>(), counted as usize);
        if self.confirmed.is_none() {
            self.confirmed = Some(require.iter().cloned().collect());
        }
        self.guard = Some((generation, require));
        self.look_at_guard(&self.own.states());
    }

    /// Those who are new in a demand must have everything that was receipted before it.
    fn look_at_guard(&mut self, states: &[CopyState]) {
        let Some((generation, require)) = &self.guard else { return };
        let old = |member: &&Member| self.confirmed.as_ref().is_some_and(|confirmed| confirmed.contains(*member));
        let has_all = |member: &Member| states.iter().any(|state| state.holder == key(member) && state.counts);
        if require.iter().filter(|member| !old(member)).all(has_all) {
            self.seat.tell(Input::Guarded(*generation));
            self.guard = None;
        }
    }

    /// What is to be looked at again and again.
    fn look(&mut self) {
        let now_ms = self.ground.world.clock.mono_ms();
        let states = self.own.states();
        self.choose(now_ms, &states);
        for change in self.standing.step(now_ms, &states) {
            change.say();
        }
        let counting = self.standing.counting();
        let level: Vec<Member> =
            self.asked.iter().filter(|member| counting.contains(&key(member).as_str())).cloned().collect();
        let is_new = self.told.as_ref() != Some(&level);
        // After a start the copies of before get the time to be linked: etcd counts them until then.
        if is_new && (self.told.is_some() || now_ms - self.started_ms >= LINK_MS || level.len() >= self.asked.len()) {
            self.seat.tell(Input::Level(level.clone()));
            self.told = Some(level);
        }
        self.look_at_guard(&states);
        if self.drains && !self.drained && taken::is_empty(&self.spool) {
            info!(journal = %self.name, "all mail of {} is delivered", self.name);
            self.drained = true;
            self.seat.tell(Input::Drained);
        }
    }

    fn choose(&mut self, now_ms: u64, states: &[CopyState]) {
        let counting: BTreeSet<&str> = self.standing.counting().into_iter().collect();
        let seen = |member: &Member| {
            let key = key(member);
            let state = states.iter().find(|state| state.holder == key);
            Seen { counts: counting.contains(key.as_str()), acked: state.map_or(0, |state| state.acked.0) }
        };
        let wanted = self.ground.copies_wanted();
        let chosen = self.choice.step(now_ms, &self.ground.candidates(), wanted, seen);
        if chosen == self.asked {
            return;
        }
        let at = |member: &Member| HolderAt {
            holder: key(member).into(),
            node: member.node.clone(),
            channel: format!("{}@{:016x}", self.name, member.disk),
        };
        self.own.follow(&chosen.iter().map(at).collect::<Vec<_>>());
        let names: Vec<&str> = chosen.iter().map(|member| member.node.as_str()).collect();
        info!(journal = %self.name, "{}: copies are kept on {}", self.name, names.join(", "));
        self.asked = chosen;
    }

    fn hand_over(&mut self, order: HandOver) {
        let level = self.confirmed.iter().flatten();
        let standing = self.standing.counting();
        let mut takers = level.filter(|member| standing.contains(&key(member).as_str()));
        let to = match &order.to {
            Some(node) => takers.find(|member| member.node == *node),
            None => takers.next(),
        };
        let Some(to) = to else {
            let whom = order.to.unwrap_or_else(|| "any other node".into());
            let _ = order.done.send(Err(format!("no copy of {} that counts is on {whom}", self.name)));
            return;
        };
        self.seat.tell(Input::HandOver { to: to.node.clone(), at: self.own.tail() });
        self.handing_over = Some(order.done);
    }
}

/// The name of a holder among the copies: with another disk it is another holder.
pub fn key(member: &Member) -> String {
    format!("{}@{:016x}", member.node, member.disk)
}

const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Links of copies are made within this time after a start.
const LINK_MS: u64 = 6_000;
