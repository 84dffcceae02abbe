//! The tasks of virtual addresses: one for each that the document has.
//! Always holds: an address has one task; what the document no longer has is dropped before its task ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use directory::VirtualAddress;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::holder::{Holder, Will};
use super::said::Said;
use super::{Inherited, Shared};
use crate::succession::{Bequest, HeldAddress};

/// Those that run.
pub struct Tasks {
    shared: Arc<Shared>,
    said: Said,
    running: BTreeMap<Arc<str>, Task>,
}

struct Task {
    spec: Arc<VirtualAddress>,
    will: watch::Sender<Will>,
    handle: JoinHandle<Option<HeldAddress>>,
}

impl Tasks {
    /// None yet.
    pub fn new(shared: Arc<Shared>, said: Said) -> Tasks {
        Tasks { shared, said, running: BTreeMap::new() }
    }

    /// Ends the tasks of those that are gone or are other addresses now, tells the others what has changed, and begins new ones, with
    /// what was `inherited`. What of that no task goes on with, the guard that comes with it removes, when its pipe closes here.
    pub async fn follow(&mut self, meant: &[Arc<VirtualAddress>], inherited: Option<Inherited>) {
        let mut ended = Vec::new();
        for (name, task) in &mut self.running {
            match meant.iter().find(|spec| spec.name == *name).filter(|spec| is_same(spec, &task.spec)) {
                Some(spec) if task.spec != *spec => {
                    task.spec = spec.clone();
                    task.will.send_replace(Will::Hold(spec.clone()));
                }
                Some(_) => {}
                None => {
                    task.will.send_replace(Will::Leave);
                    ended.push(name.clone());
                }
            }
        }
        // All at a time: a planned end should not wait for one after the other.
        for name in ended {
            if let Some(task) = self.running.remove(&name) {
                let _ = task.handle.await;
                self.said.forget(&name);
            }
        }
        for spec in meant.iter().filter(|spec| !self.running.contains_key(&spec.name)).cloned().collect::<Vec<_>>() {
            let task = self.begin(spec, inherited.as_ref()).await;
            self.running.insert(task.spec.name.clone(), task);
        }
    }

    async fn begin(&self, spec: Arc<VirtualAddress>, inherited: Option<&Inherited>) -> Task {
        let (will, told) = watch::channel(Will::Hold(spec.clone()));
        let mut holder = Holder::new(self.shared.clone(), spec.clone(), told, self.said.clone());
        if let Some(Inherited { bequest, asked_ms }) = inherited
            && let Some(held) = bequest.addresses.iter().find(|held| is_of(held, &spec))
        {
            holder.inherit(held, *asked_ms, bequest.guard.as_ref()).await;
        }
        Task { spec, will, handle: tokio::spawn(holder.run()) }
    }

    /// All of them keep what they have for the next process.
    pub fn keep(&self) {
        self.running.values().for_each(|task| drop(task.will.send_replace(Will::Keep)));
    }

    /// All of them end; what they have is the next process's.
    pub async fn give(self) -> Bequest {
        self.running.values().for_each(|task| drop(task.will.send_replace(Will::Give)));
        let mut addresses = Vec::new();
        for task in self.running.into_values() {
            // It fails only by a panic, which ends the process.
            addresses.extend(task.handle.await.ok().flatten());
        }
        // Only now: a task that could not give has had its guard forget.
        Bequest { addresses, guard: self.shared.watchman().give() }
    }
}

/// Whether what is on the wire and in the lease stays; all else changes while it is held.
fn is_same(spec: &VirtualAddress, before: &VirtualAddress) -> bool {
    (&before.addresses, &before.interface, before.lease_ms) == (&spec.addresses, &spec.interface, spec.lease_ms)
}

/// Whether what is held is what the document has.
fn is_of(held: &HeldAddress, spec: &VirtualAddress) -> bool {
    let nets = spec.addresses.iter().map(ToString::to_string);
    *held.name == *spec.name && *held.interface == *spec.interface && nets.eq(held.nets.iter().cloned())
}
