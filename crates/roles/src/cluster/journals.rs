//! Owns all journals of a node in its cluster: its own, the copies that it keeps, those that it took over, those that were taken from
//! it; a task for each. Knows no protocol: seats do.
//! Always holds: a journal has one seat at a time; where a directory is says what this node is to its journal.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cluster::ownership::{Effect, Input, Local};
use cluster::record::{JournalName, Member, NodeRecord, Taken};
use cluster::tenure::{Choice, Ended, Rules, Spread};
use cluster::view::View;
use cluster::{Cluster, SeatHandle};
use tokio::sync::{mpsc, oneshot};
use tracing::error;
use world::World;

use super::claim::Claimed;
use super::door::Door;
use super::former;
use super::say::say;
use super::tenure::{HandOver, Tenure};
use crate::copies::taken::{OpenAs, WhenEmpty, found, go_on_alone, remove};
use crate::copies::{HeldCopies, NodeCopies, OwnCopies, Places, TakenJournals};
use crate::dispatch::Kit;
use crate::peers::Peers;
use crate::view;

/// What the tasks of all journals share.
pub struct Ground {
    pub(super) world: World,
    cluster: Arc<Cluster>,
    peers: Peers,
    places: Places,
    taken: Arc<TakenJournals>,
    /// Nodes that may not keep copies of this node's journals.
    never: Vec<String>,
    /// What the organization's rules ask for.
    rules: Box<dyn Fn() -> Rules + Send + Sync>,
    site: String,
    rack: String,
    spread: Spread,
    runtime: tokio::runtime::Handle,
    /// Where each journal that is ours takes orders.
    offices: Mutex<BTreeMap<JournalName, Office>>,
}

/// Where a journal that is ours can be spoken to.
struct Office {
    orders: mpsc::Sender<HandOver>,
    own: OwnCopies,
}

/// What a node brings along to have its journals in a cluster.
pub struct Parts {
    /// What spools are delivered with.
    pub kit: Kit,
    /// Where journals are.
    pub places: Places,
    /// How spools are opened.
    pub settings: spool::Settings,
    /// The links.
    pub peers: Peers,
    /// What the organization's rules ask for.
    pub rules: Box<dyn Fn() -> Rules + Send + Sync>,
    /// The node document.
    pub node: directory::Node,
}

/// The journals of a node in a cluster, running.
pub struct Journals {
    ground: Arc<Ground>,
}

impl Journals {
    /// Gives each journal its task. Blocks for reading copies; call it inside a tokio runtime.
    pub fn start(
        cluster: &Arc<Cluster>,
        parts: Parts,
        claimed: Claimed,
        spool: &spool::Spool,
    ) -> std::io::Result<(Journals, NodeCopies)> {
        let Parts { kit, places, settings, peers, rules, node } = parts;
        let (world, cluster) = (kit.world.clone(), cluster.clone());
        let known = node.peers.iter().flat_map(|peers| &peers.known);
        let never = known.filter(|peer| !peer.keeps_copy).map(|peer| peer.name.clone()).collect();
        let (here, mut found_here) = mpsc::unbounded_channel();
        let on_disk = {
            let (world, copies) = (world.clone(), places.copies.clone());
            move |journal: &str| world.disk.exists(&copies.join(journal)).unwrap_or(false)
        };
        let ours = {
            let (world, taken) = (world.clone(), places.taken.clone());
            let (own, epoch) = (claimed.name.to_string(), claimed.epoch);
            move |journal: &str| match journal == own {
                true => Some(epoch),
                false => journal::identity(&world, &taken.join(journal)).ok().flatten().map(|there| there.epoch),
            }
        };
        let door = Arc::new(Door::new(cluster.me().clone(), cluster.view(), here, on_disk, ours));
        let taken = Arc::new(TakenJournals::new(kit, settings.clone()));
        go_on_alone(&taken, &world, &places.taken)?;
        former::go_on(&taken, &world, &places)?;
        let written = node.cluster.as_ref();
        let ground = Arc::new(Ground {
            world: world.clone(),
            cluster,
            peers: peers.clone(),
            taken: taken.clone(),
            never,
            rules,
            site: written.map(|cluster| cluster.site.clone()).unwrap_or_default(),
            rack: written.map(|cluster| cluster.rack.clone()).unwrap_or_default(),
            spread: written.map_or(Spread::Any, |cluster| spread(cluster.spread)),
            runtime: tokio::runtime::Handle::current(),
            offices: Mutex::default(),
            places: places.clone(),
        });
        let journals: Vec<String> = found(&world, &places.copies)?
            .into_iter()
            .map(|(node, journal)| format!("{node}/{journal}"))
            .filter(|name| JournalName::parse(name).is_some_and(|name| id(&name).is_some()))
            .collect();
        let held = HeldCopies::start(&world, &places.copies, &journals, settings.journal, &peers, door)?;
        for (node, journal) in found(&world, &places.taken)? {
            if let Some(name) = JournalName::new(&node, &journal).filter(|name| id(name).is_some()) {
                ground.go_on(name)?;
            }
        }
        let (keeping, keepers) = (held.clone(), ground.clone());
        tokio::spawn(async move {
            while let Some((name, epoch)) = found_here.recv().await {
                tokio::spawn(keep(keepers.clone(), keeping.clone(), name, epoch));
            }
        });
        let Claimed { name, seat, .. } = claimed;
        let own = OwnCopies::new(&world, spool.copies(), &name.to_string(), &peers);
        let orders = ground.office(&name, &own);
        tokio::spawn(keep_own(Tenure::new(&ground, name, seat, spool, own.clone(), false).run(orders), own.clone()));
        Ok((Journals { ground }, NodeCopies { own, held, taken }))
    }

    /// The journals that are this node's now, each with its copies.
    pub fn shown(&self) -> Vec<(String, Vec<view::OwnCopy>)> {
        self.ground.offices().iter().map(|(name, office)| (name.to_string(), office.own.shown())).collect()
    }

    /// Hands all journals of this node over, once nothing is written to them any more. Says for each who has it now, or why nobody; for
    /// people.
    pub async fn hand_over(&self, to: Option<&str>) -> Result<Vec<String>, String> {
        let offices: Vec<(JournalName, mpsc::Sender<HandOver>)> =
            self.ground.offices().iter().map(|(name, office)| (name.clone(), office.orders.clone())).collect();
        let mut said = Vec::new();
        let mut failed = Vec::new();
        for (name, office) in offices {
            match ask(&office, to).await {
                Ok(member) => said.push(format!("{name} is {member}'s now")),
                Err(what) => failed.push(format!("{name} is still here: {what}")),
            }
        }
        if failed.is_empty() { Ok(said) } else { Err(failed.join("; ")) }
    }
}

/// Asks for one journal's hand-over.
async fn ask(office: &mpsc::Sender<HandOver>, to: Option<&str>) -> Result<Member, String> {
    let (done, answer) = oneshot::channel();
    let gone = || String::from("it is not this node's any more");
    office.send(HandOver { to: to.map(String::from), done }).await.map_err(|_| gone())?;
    match tokio::time::timeout(HAND_OVER_MAX, answer).await {
        Ok(answer) => answer.unwrap_or_else(|_| Err(gone())),
        Err(_) => Err(String::from("nobody has taken it in time; it is taken over when this node's lease ends")),
    }
}

impl Ground {
    /// What is known of the cluster.
    pub(super) fn view(&self) -> Arc<View> {
        self.cluster.view().borrow().clone()
    }

    pub(super) fn choice(&self, name: &JournalName, before: &[Member]) -> Choice {
        Choice::new(&self.site, &self.rack, self.spread, id(name).unwrap_or(0), before)
    }

    pub(super) fn rules(&self) -> Rules {
        (self.rules)()
    }

    /// Nodes that are there and may keep a copy of ours.
    pub(super) fn candidates(&self) -> BTreeMap<String, NodeRecord> {
        let (view, me) = (self.view(), &self.cluster.me().node);
        let may = |name: &String| name != me && !self.never.contains(name);
        view.nodes.iter().filter(|(name, _)| may(name)).map(|(name, node)| (name.clone(), node.clone())).collect()
    }

    fn taken_dir(&self, name: &JournalName) -> PathBuf {
        self.places.taken.join(&name.node).join(&name.journal)
    }

    /// A journal of ours takes orders from now on.
    fn office(&self, name: &JournalName, own: &OwnCopies) -> mpsc::Receiver<HandOver> {
        let (office, orders) = mpsc::channel(1);
        self.offices().insert(name.clone(), Office { orders: office, own: own.clone() });
        orders
    }

    fn offices(&self) -> MutexGuard<'_, BTreeMap<JournalName, Office>> {
        self.offices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on with a journal that was taken over before this process began.
    fn go_on(self: &Arc<Ground>, name: JournalName) -> std::io::Result<()> {
        let identity = journal::identity(&self.world, &self.taken_dir(&name)).map_err(std::io::Error::other)?;
        let (Some(identity), Some(id)) = (identity, id(&name)) else { return Ok(()) };
        let mut seat = self.cluster.seat(name.clone(), Local { id, epoch: identity.epoch, owner: true });
        let ground = self.clone();
        tokio::spawn(async move {
            while let Some(effect) = seat.effect().await {
                match effect {
                    Effect::Own { epoch, doubtful, .. } => {
                        return ground.own_taken(name, seat, epoch, doubtful).await;
                    }
                    Effect::Lost { epoch, taken, .. } => return ground.lay_down(name, epoch, taken).await,
                    Effect::Delete => return ground.clone().blocking(move |ground| ground.drop_taken(&name)).await,
                    Effect::Say(event) => say(&name, &event),
                    other => error!("{name}: etcd says what cannot be for a journal that was taken over: {other:?}"),
                }
            }
        });
        Ok(())
    }

    /// Delivers from a journal that was taken over, until it is empty or another node's.
    async fn own_taken(self: Arc<Ground>, name: JournalName, seat: SeatHandle, epoch: u32, doubtful: bool) {
        let opened = {
            let (ground, name) = (self.clone(), name.clone());
            let as_ = OpenAs { journal: name.to_string(), epoch, taken: None, doubtful, when_empty: WhenEmpty::Stay };
            let open = move || {
                let _runtime = ground.runtime.enter();
                ground.taken.open(&ground.taken_dir(&name), as_)
            };
            tokio::task::spawn_blocking(open).await
        };
        let spool = match opened {
            Ok(Ok(spool)) => spool,
            Ok(Err(what)) => return error!("{name} was taken over and cannot be delivered from: {what}"),
            // Only a panic, which ends the process.
            Err(_) => return,
        };
        let own = OwnCopies::new(&self.world, spool.copies(), &name.to_string(), &self.peers);
        let orders = self.office(&name, &own);
        let ended = Tenure::new(&self, name.clone(), seat, &spool, own.clone(), true).run(orders).await;
        own.stop();
        self.offices().remove(&name);
        match ended {
            // All of it is there, and nothing was written since.
            Some(Ended::Lost { handed_over: true, .. }) => self.blocking(move |ground| ground.drop_taken(&name)).await,
            Some(Ended::Lost { epoch, taken, .. }) => self.lay_down(name, epoch, taken).await,
            Some(Ended::Finished) => self.blocking(move |ground| ground.taken.finish(&ground.taken_dir(&name))).await,
            None => {}
        }
    }

    /// A journal that was taken over from us in turn: what is left is delivered.
    async fn lay_down(self: Arc<Ground>, name: JournalName, epoch: u32, taken: Taken) {
        self.taken.close(&self.taken_dir(&name), CLOSE_MAX).await;
        self.blocking(move |ground| {
            let dir = ground.taken_dir(&name);
            let moved = former::lay_down(&ground.world, &ground.places, &name, &dir, epoch, taken);
            let opened = moved
                .map_err(|error| error.to_string())
                .and_then(|dir| former::open(&ground.taken, &ground.world, &dir, &name.to_string()));
            if let Err(what) = opened {
                error!("{name}: what is left of it is not delivered before the next start: {what}");
            }
        })
        .await;
    }

    /// etcd says that this journal is finished everywhere.
    fn drop_taken(&self, name: &JournalName) {
        if let Err(error) = remove(&self.world, &self.taken_dir(name)) {
            error!("{name} is finished, and cannot be removed: {error}");
        }
    }

    /// Runs what works with the disk where it may.
    async fn blocking(self: Arc<Ground>, work: impl FnOnce(&Arc<Ground>) + Send + 'static) {
        let work = move || {
            let _runtime = self.runtime.enter();
            work(&self);
        };
        // Only a panic fails it, and that ends the process.
        let _ = tokio::task::spawn_blocking(work).await;
    }
}

/// The life of a node's own journal. It never finishes by itself: somebody has given it up while this node was away. What is on this disk
/// is this node's to deliver all the same, so it starts again and claims it anew.
async fn keep_own(tenure: impl Future<Output = Option<Ended>>, own: OwnCopies) {
    if let Some(Ended::Finished) = tenure.await {
        error!(
            "{} was given up by an order while this node was away; this node starts again and takes it up anew",
            own.journal()
        );
        own.depose(u32::MAX);
    }
}

/// The life of a copy that this node keeps: closed when its owner is gone, and owned when etcd says so.
async fn keep(ground: Arc<Ground>, held: HeldCopies, name: JournalName, epoch: u32) {
    let Some(id) = id(&name) else { return };
    let mut seat = ground.cluster.seat(name.clone(), Local { id, epoch, owner: false });
    while let Some(effect) = seat.effect().await {
        match effect {
            Effect::Freeze { turn } => seat.tell(freeze(&ground, &held, &name, turn).await),
            Effect::Thaw => {
                if let Some(copy) = held.get(&name.to_string()) {
                    copy.thaw();
                }
            }
            Effect::Own { epoch, doubtful, .. } => {
                if let Err(what) = take_out(&ground, &held, &name, epoch).await {
                    return error!(
                        "{name} is this node's now, and its copy cannot be owned: {what}; start this node again once that is mended"
                    );
                }
                return ground.own_taken(name, seat, epoch, doubtful).await;
            }
            Effect::Delete => {
                let (held, name) = (held.clone(), name.clone());
                return ground.blocking(move |ground| drop_copy(ground, &held, &name)).await;
            }
            Effect::Say(event) => say(&name, &event),
            other => error!("{name}: etcd says what cannot be for a copy: {other:?}"),
        }
    }
}

/// Closes a copy to its owner.
async fn freeze(ground: &Ground, held: &HeldCopies, name: &JournalName, turn: u32) -> Input {
    let Some(copy) = held.get(&name.to_string()) else { return Input::NoCopy };
    match tokio::task::spawn_blocking(move || copy.freeze()).await {
        Ok(Ok(frozen)) => Input::Frozen {
            turn,
            end: Taken { at: frozen.at.0, epoch: frozen.epoch },
            wall_ms: ground.world.clock.wall_ms(),
        },
        _ => Input::NoCopy,
    }
}

/// Moves a copy to where taken journals are. From then on it is one of ours, of `epoch`.
async fn take_out(ground: &Arc<Ground>, held: &HeldCopies, name: &JournalName, epoch: u32) -> Result<(), String> {
    let (ground, held, name) = (ground.clone(), held.clone(), name.clone());
    let moved = tokio::task::spawn_blocking(move || {
        let journal = name.to_string();
        let copy = held.get(&journal).ok_or("there is none")?;
        copy.hand_over_under(epoch).map_err(|why| format!("{why:?}"))?;
        let (from, to) = (held.dir(&journal), ground.taken_dir(&name));
        let disk = ground.world.disk.as_ref();
        let home = ground.places.taken.join(&name.node);
        let moved = disk
            .create_dir_all_durable(&home)
            .and_then(|()| disk.rename(&from, &to))
            .and_then(|()| disk.sync_dir(&home))
            .and_then(|()| disk.sync_dir(&ground.places.copies.join(&name.node)));
        // Not before it has moved: a link of the old owner's would open it once more.
        held.forget(&journal);
        moved.map_err(|error| format!("{}: {error}", from.display()))
    });
    moved.await.unwrap_or_else(|_| Err(String::from("the node is ending")))
}

/// The journal is finished everywhere: its copy goes.
fn drop_copy(ground: &Ground, held: &HeldCopies, name: &JournalName) {
    let journal = name.to_string();
    if let Some(copy) = held.get(&journal) {
        copy.close();
        held.forget(&journal);
    }
    if let Err(error) = remove(&ground.world, &held.dir(&journal)) {
        error!("{name} is finished, and its copy cannot be removed: {error}");
    }
}

fn spread(written: directory::Spread) -> Spread {
    match written {
        directory::Spread::Any => Spread::Any,
        directory::Spread::Rack => Spread::Rack,
        directory::Spread::Site => Spread::Site,
    }
}

/// The identity of a journal that has it in its name.
fn id(name: &JournalName) -> Option<u64> {
    let id = name.journal.strip_prefix("spool-")?;
    (id.len() == 8).then(|| u64::from_str_radix(id, 16).ok()).flatten()
}

/// Deliveries of a journal that was taken from us get so long to end.
const CLOSE_MAX: Duration = Duration::from_secs(5);
/// A hand-over takes a transaction or two.
const HAND_OVER_MAX: Duration = Duration::from_secs(15);
