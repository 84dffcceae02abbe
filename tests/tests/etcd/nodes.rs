//! Nodes in a cluster, without their journals: seats against a real etcd.

use cluster::ownership::{Effect, Event, Input, Local, Timing};
use cluster::record::{JournalName, Member, NodeRecord, Record, Taken};
use cluster::{Announced, Cluster, SeatHandle, Settings};
use std::time::Duration;
use tests::etcd::Etcd;
use tokio::time::timeout;
use world::World;

pub const BOUND: Duration = Duration::from_secs(15);
pub const PREFIX: &str = "/posthouse/test";
pub const ID: u64 = 0xbeef;

pub fn member(node: &str) -> Member {
    Member { node: node.into(), disk: u64::from(node.as_bytes()[0]) }
}

pub fn journal() -> JournalName {
    JournalName::own("a", ID).unwrap()
}

pub fn copy() -> Local {
    Local { id: ID, epoch: 256, owner: false }
}

pub fn own(epoch: u32) -> Local {
    Local { id: ID, epoch, owner: true }
}

/// A node of the cluster, with a time to live of 2 s.
pub fn node(etcd: &Etcd, name: &str) -> Cluster {
    node_with_disk(etcd, member(name))
}

pub fn node_with_disk(etcd: &Etcd, me: Member) -> Cluster {
    let timing = Timing { stagger_ms: 0, retry_ms: 100, start_wait_ms: 1_000 };
    let settings = Settings { access: etcd.access(), prefix: PREFIX.into(), ttl_s: 2, timing };
    Cluster::start(settings, World::real(), me, NodeRecord { version: "test".into(), ..NodeRecord::default() }).unwrap()
}

/// A seat with a journal that does what it is told: demands are in force at once, a copy is closed at once.
pub struct Actor {
    pub handle: SeatHandle,
    pub end: Taken,
    pub log: Vec<Effect>,
}

impl Actor {
    pub fn new(cluster: &Cluster, local: Local, at: u64) -> Actor {
        let end = Taken { at, epoch: local.epoch };
        Actor { handle: cluster.seat(journal(), local), end, log: Vec::new() }
    }

    /// The next effect, answered as a node would.
    pub async fn next(&mut self) -> Effect {
        let effect = self.handle.effect().await.expect("the seat runs");
        match &effect {
            Effect::Guard { generation, .. } => self.handle.tell(Input::Guarded(*generation)),
            Effect::Freeze { turn } => {
                self.handle.tell(Input::Frozen { turn: *turn, end: self.end, wall_ms: 1 });
            }
            _ => {}
        }
        self.log.push(effect.clone());
        effect
    }

    pub async fn until(&mut self, what: &str, holds: impl Fn(&Effect) -> bool) -> Effect {
        let found = timeout(BOUND, async {
            loop {
                let effect = self.next().await;
                if holds(&effect) {
                    return effect;
                }
            }
        });
        found.await.unwrap_or_else(|_| panic!("in time: {what}; effects: {:#?}", self.log))
    }

    pub async fn owns(&mut self) -> u32 {
        let Effect::Own { epoch, .. } = self.until("it owns", |e| matches!(e, Effect::Own { .. })).await else {
            unreachable!()
        };
        epoch
    }

    pub async fn level_is(&mut self, count: usize) {
        let at = |effect: &Effect| matches!(effect, Effect::Say(Event::LevelNow { level }) if level.len() == count);
        self.until("the level set is confirmed", at).await;
    }
}

/// The record and whether there is a sign of life, by consensus.
pub async fn record(cluster: &Cluster) -> (Option<Record>, Option<i64>) {
    let (client, keys) = (cluster.client(), cluster.keys());
    let record = client.get(&keys.journal(&journal())).await.unwrap().1;
    let holder = client.get(&keys.holder(&journal())).await.unwrap().1;
    (record.map(|kv| serde_json::from_slice(&kv.value).unwrap()), holder.map(|kv| kv.lease))
}

pub async fn announced(cluster: &Cluster, what: &str, holds: impl FnMut(&Announced) -> bool) {
    let mut announced = cluster.announced();
    let found = timeout(BOUND, announced.wait_for(holds)).await;
    found.unwrap_or_else(|_| panic!("in time: {what}")).unwrap();
}
