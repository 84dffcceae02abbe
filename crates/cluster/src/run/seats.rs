//! Owns the task that steps one seat: what etcd shows, the lease, time and the node's own inputs go in, transactions go to etcd,
//! all other effects go to the node. Knows no rules. Always holds: one transaction at a time, its answer told once.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use world::Clock;

use super::TaskGuard;
use crate::etcd::{Client, KeyValue, LeaseState, Revision, Txn};
use crate::keys::Keys;
use crate::ownership::{Answer, Effect, HolderChange, Input, Said, Seat, Snapshot, Transaction};
use crate::record::{Holder, JournalName, Member};
use crate::view::View;

/// A seat that runs. Dropping it ends the task; what was owned stays owned until the lease ends.
pub struct SeatHandle {
    inputs: mpsc::UnboundedSender<Input>,
    effects: mpsc::UnboundedReceiver<Effect>,
    _task: TaskGuard,
}

impl SeatHandle {
    /// Tells the seat something. Inputs come from this node only, a few per event; so they are not bounded.
    pub fn tell(&self, input: Input) {
        // The task ends only with this handle.
        let _ = self.inputs.send(input);
    }

    /// A way to tell it something from elsewhere.
    pub fn teller(&self) -> mpsc::UnboundedSender<Input> {
        self.inputs.clone()
    }

    /// What the seat wants done next; never [`Effect::Try`]. Safe to be dropped and called again.
    pub async fn effect(&mut self) -> Option<Effect> {
        self.effects.recv().await
    }
}

pub(super) struct Driver {
    pub client: Client,
    pub keys: Keys,
    pub me: Member,
    pub clock: Arc<dyn Clock>,
    pub view: watch::Receiver<Arc<View>>,
    /// Where what etcd has answered is written.
    pub to_view: watch::Sender<Arc<View>>,
    pub lease: watch::Receiver<LeaseState>,
}

pub(super) fn start(driver: Driver, seat: Seat) -> SeatHandle {
    let (inputs, to_seat) = mpsc::unbounded_channel();
    let (from_seat, effects) = mpsc::unbounded_channel();
    let task = TaskGuard(tokio::spawn(driver.run(seat, to_seat, from_seat)));
    SeatHandle { inputs, effects, _task: task }
}

type Asking = Pin<Box<dyn Future<Output = (Answer, Option<Said>)> + Send>>;

/// What the seat was shown last.
#[derive(Default)]
struct Shown {
    snapshot: Option<Snapshot>,
    rank: u32,
    went_back: u64,
    lease: Option<i64>,
}

impl Driver {
    async fn run(
        mut self,
        mut seat: Seat,
        mut inputs: mpsc::UnboundedReceiver<Input>,
        effects: mpsc::UnboundedSender<Effect>,
    ) {
        let mut asking: Option<Asking> = None;
        let mut shown = Shown::default();
        self.view.mark_changed();
        self.lease.mark_changed();
        loop {
            let now_ms = self.clock.mono_ms();
            let wait_ms = seat.wake_ms().map(|at| at.saturating_sub(now_ms).max(1));
            let input = tokio::select! {
                input = inputs.recv() => match input {
                    Some(input) => Some(input),
                    None => return,
                },
                (answer, said) = async { asking.as_mut().expect("only polled when there is one").await }, if asking.is_some() => {
                    asking = None;
                    // Before the seat: whoever does what it wants then finds it there.
                    if let Some((at, record)) = said {
                        self.to_view.send_if_modified(|view| {
                            Arc::make_mut(view).answered.learn(seat.name(), at, record);
                            // Nobody waits for it: who lets owners in looks when one comes.
                            false
                        });
                    }
                    Some(Input::Answer(answer))
                }
                changed = self.lease.changed() => match changed {
                    Ok(()) => self.lease_input(&mut shown),
                    Err(_) => return,
                },
                changed = self.view.changed() => match changed {
                    Ok(()) => self.view_input(seat.name(), &mut shown),
                    Err(_) => return,
                },
                () = sleep(Duration::from_millis(wait_ms.unwrap_or(0))), if wait_ms.is_some() => Some(Input::Tick),
            };
            let Some(input) = input else { continue };
            for effect in seat.step(self.clock.mono_ms(), input) {
                match effect {
                    Effect::Try(txn) => asking = Some(self.ask(seat.name(), txn)),
                    // Nobody listens any more: the handle is gone, and this task with it.
                    effect => drop(effects.send(effect)),
                }
            }
        }
    }

    fn lease_input(&mut self, shown: &mut Shown) -> Option<Input> {
        let lease = self.lease.borrow_and_update().id(self.clock.mono_ms());
        (shown.lease != lease).then(|| {
            shown.lease = lease;
            Input::Lease(lease)
        })
    }

    /// What the view says of this journal, if that is news.
    fn view_input(&mut self, name: &JournalName, shown: &mut Shown) -> Option<Input> {
        let view = self.view.borrow_and_update();
        let snapshot = view.snapshot(name, &self.keys)?;
        let (rank, anew) = (view.rank(name, &self.me), view.went_back != shown.went_back);
        let same = |before: &Snapshot| (&before.record, before.holder) == (&snapshot.record, snapshot.holder);
        if !anew && rank == shown.rank && shown.snapshot.as_ref().is_some_and(same) {
            return None;
        }
        (shown.rank, shown.went_back, shown.snapshot) = (rank, view.went_back, Some(snapshot.clone()));
        Some(Input::Seen { snapshot, rank, anew })
    }

    /// Sends a transaction of the seat's.
    fn ask(&self, name: &JournalName, txn: Transaction) -> Asking {
        let (record_key, holder_key) = (self.keys.journal(name), self.keys.holder(name));
        let client = self.client.clone();
        let record = txn.record.clone();
        let wire = self.wire(&record_key, &holder_key, txn);
        Box::pin(async move {
            let answer = match client.decide(&wire).await {
                Ok(decided) if decided.done => Answer::Done(decided.at),
                Ok(decided) => refused(decided.at, &decided.read),
                Err(error) if error.certainly_not_done() => Answer::NotDone,
                Err(_) => Answer::Open,
            };
            let said = answer.said(record);
            (answer, said)
        })
    }

    fn wire(&self, record_key: &str, holder_key: &str, txn: Transaction) -> Txn {
        let mut wire = Txn::new().if_at(record_key, txn.record_at);
        if txn.holder_gone {
            wire = wire.if_at(holder_key, 0);
        }
        let epoch = txn.record.as_ref().map_or(0, |record| record.epoch);
        wire = match &txn.record {
            Some(record) => wire.put(record_key, &json(record), 0),
            None => wire.delete(record_key),
        };
        wire = match txn.holder {
            HolderChange::Leave => wire,
            HolderChange::Under(lease) => {
                wire.put(holder_key, &json(&Holder { member: self.me.clone(), epoch }), lease)
            }
            HolderChange::Drop => wire.delete(holder_key),
        };
        wire.else_read(record_key).else_read(holder_key)
    }
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("records have text keys and plain values")
}

/// What a refused transaction has read. A record that cannot be read is tried again later: somebody must mend it.
fn refused(at: Revision, read: &[Vec<KeyValue>]) -> Answer {
    let first = |n: usize| read.get(n).and_then(|kvs| kvs.first());
    let record = match first(0) {
        None => None,
        Some(kv) => match serde_json::from_slice(&kv.value) {
            Ok(record) => Some((kv.mod_revision, record)),
            Err(_) => return Answer::NotDone,
        },
    };
    Answer::Refused(Snapshot { at, record, holder: first(1).map(|kv| kv.lease) })
}
