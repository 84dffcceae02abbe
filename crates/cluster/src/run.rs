//! A node in its cluster: the drivers that keep lease, view, announcement and seats going against etcd.
//!
//! Owns the tasks. Knows no protocol (that is `ownership`) and no journal. Always holds: a seat is stepped by one task only; its
//! effects come out in their order; a transaction of a seat is sent once per [`Effect::Try`].

mod announce;
mod seats;

use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use world::World;

use crate::etcd::{Access, Client, Follower, Keeper, LeaseState};
use crate::keys::Keys;
use crate::org::OrgStore;
use crate::ownership::{Local, Seat, Timing};
use crate::record::{JournalName, Member, NodeRecord, is_name};
use crate::view::View;

pub use announce::Announced;
pub use seats::SeatHandle;

/// What a cluster needs to be told.
#[derive(Clone)]
pub struct Settings {
    /// Where etcd is.
    pub access: Access,
    /// Prefix of all keys, for example `/posthouse/example.org`.
    pub prefix: String,
    /// How long the others wait for a node that is silent, in seconds.
    pub ttl_s: u64,
    /// Waits of the ownership protocol.
    pub timing: Timing,
}

/// A node's place in the cluster. Dropping it ends all of its tasks; the lease then ends by itself.
pub struct Cluster {
    client: Client,
    keys: Keys,
    me: Member,
    world: World,
    timing: Timing,
    keeper: Keeper,
    view: watch::Receiver<Arc<View>>,
    to_view: watch::Sender<Arc<View>>,
    record: watch::Sender<NodeRecord>,
    announced: watch::Receiver<Announced>,
    tasks: Vec<TaskGuard>,
}

impl Cluster {
    /// Begins: nothing is waited for. The error is for the operator (endpoints, TLS files, name).
    pub fn start(settings: Settings, world: World, me: Member, record: NodeRecord) -> Result<Cluster, String> {
        if !is_name(&me.node) {
            return Err(format!("'{}' is not a name for a node in a cluster: letters, digits, '.', '-', '_'", me.node));
        }
        let client = Client::new(settings.access)?;
        let keys = Keys::new(&settings.prefix);
        let keeper = Keeper::start(client.clone(), settings.ttl_s, Arc::clone(&world.clock));
        let look_ms = (settings.ttl_s * 500).clamp(500, 5_000);
        let follower = Follower::start(client.clone(), keys.all(), look_ms, Arc::clone(&world.chance));
        let (to_view, view) = watch::channel(Arc::new(View::default()));
        let (record, records) = watch::channel(NodeRecord { disk: me.disk, ..record });
        let (announcer, announced) =
            announce::Announcer::new(client.clone(), keys.clone(), me.clone(), keeper.state(), records);
        let tasks = [tokio::spawn(follow(follower, keys.clone(), to_view.clone())), tokio::spawn(announcer.run())];
        let tasks = tasks.into_iter().map(TaskGuard).collect();
        let timing = settings.timing;
        Ok(Cluster { client, keys, me, world, timing, keeper, view, to_view, record, announced, tasks })
    }

    /// Who we are.
    pub fn me(&self) -> &Member {
        &self.me
    }

    /// What is known of the cluster, now and later.
    pub fn view(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// What is known of our lease.
    pub fn lease(&self) -> watch::Receiver<LeaseState> {
        self.keeper.state()
    }

    /// Whether the others can see us.
    pub fn announced(&self) -> watch::Receiver<Announced> {
        self.announced.clone()
    }

    /// Changes what the others see of this node (health, versions, addresses). Name and disk stay.
    pub fn announce(&self, change: impl FnOnce(&mut NodeRecord)) {
        self.record.send_if_modified(|record| {
            let before = record.clone();
            change(record);
            record.disk = self.me.disk;
            *record != before
        });
    }

    /// Takes part in the ownership of a journal; `local` is what of it is on this node's disk. One seat per journal.
    pub fn seat(&self, name: JournalName, local: Local) -> SeatHandle {
        let seat = Seat::new(name, self.me.clone(), local, self.timing, self.world.clock.mono_ms());
        let driver = seats::Driver {
            client: self.client.clone(),
            keys: self.keys.clone(),
            me: self.me.clone(),
            clock: Arc::clone(&self.world.clock),
            view: self.view.clone(),
            to_view: self.to_view.clone(),
            lease: self.keeper.state(),
        };
        seats::start(driver, seat)
    }

    /// The organization document.
    pub fn org(&self) -> OrgStore {
        OrgStore::new(self.client.clone(), self.keys.clone())
    }

    /// etcd itself, for status pages and tools.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The keys of this organization.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Leaves at once, so that others need not wait for the lease to end. For a planned stop: seats must be gone before.
    pub async fn leave(self) {
        drop(self.tasks);
        self.keeper.release().await;
    }
}

impl Drop for TaskGuard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A task that ends with its owner.
struct TaskGuard(JoinHandle<()>);

/// Keeps the view in step with etcd.
async fn follow(mut follower: Follower, keys: Keys, to: watch::Sender<Arc<View>>) {
    while let Some(news) = follower.next().await {
        to.send_modify(|view| Arc::make_mut(view).apply(news, &keys));
    }
}
