//! One machine of the simulation: its disk, and what its process knows and does just now.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use cluster::etcd::LeaseClock;
use cluster::ownership::{Effect, Input, Local, Seat, Snapshot, Timing};
use cluster::record::{JournalName, Member};
use cluster::tenure::Tenure;
use cluster::view::{Answered, View};
use journal::copies::HeldCopy;
use world::sim::SimHandle;
use world::{Disk, World};

use crate::office::Office;
use crate::places::{Place, Places};

/// A journal, and what its directory is here.
pub type Key = (Place, JournalName);

pub struct Node {
    pub me: Member,
    pub world: World,
    pub sim: SimHandle,
    pub up: bool,
    pub process: u64,
    pub starts_at_us: u64,
    pub frozen_until_us: u64,
    /// Its clock runs so many per cent as fast as the true time.
    pub speed: u64,
    pub lease: LeaseClock,
    pub lease_asked: bool,
    /// What it has heard of etcd's history.
    pub heard: usize,
    pub view: Arc<View>,
    /// What etcd has answered beyond that.
    pub answered: Answered,
    pub places: Places,
    pub posts: BTreeMap<Key, Post>,
    pub formers: BTreeMap<JournalName, Office>,
    /// It has its own journal, and so all others run too.
    pub started: bool,
    /// The name of its own journal, for as long as the process runs.
    pub claimed: Option<JournalName>,
    pub handing: Option<Handing>,
}

/// The orderly end of a node that hands over.
pub struct Handing {
    pub until_ms: u64,
    pub left: BTreeSet<Key>,
    pub told: bool,
}

/// A journal's task.
pub struct Post {
    pub name: JournalName,
    pub seat: Seat,
    pub inputs: VecDeque<Input>,
    pub effects: VecDeque<Effect>,
    pub lease: Option<i64>,
    pub shown: (u32, Option<Snapshot>),
    pub role: Role,
}

pub enum Role {
    /// The own journal at start.
    Claiming,
    /// A copy that is kept.
    Keeping(HeldCopy),
    /// A journal that was taken over before this process began.
    GoingOn,
    Owning(Box<Reign>),
}

/// A journal that is ours.
pub struct Reign {
    pub office: Office,
    pub tenure: Tenure,
    pub asked: Vec<Member>,
    pub look_ms: u64,
    /// A demand that a broken driver has not put into force yet.
    pub late_demand: Option<(u64, Vec<String>, usize)>,
}

impl Post {
    pub fn new(name: JournalName, me: &Member, local: Local, role: Role, now_ms: u64) -> Post {
        let seat = Seat::new(name.clone(), me.clone(), local, Timing::default(), now_ms);
        let (inputs, effects) = (VecDeque::new(), VecDeque::new());
        Post { name, seat, inputs, effects, lease: None, shown: (0, None), role }
    }

    pub fn reign(&self) -> Option<&Reign> {
        match &self.role {
            Role::Owning(reign) => Some(reign),
            _ => None,
        }
    }
}

impl Node {
    pub fn new(name: &str, seed: u64, disk: u64, speed: u64) -> Node {
        let (world, sim) = World::simulated(seed);
        sim.clock.advance_ms(1_000_000);
        Node {
            me: Member { node: name.into(), disk },
            world,
            sim,
            up: false,
            process: 0,
            starts_at_us: 0,
            frozen_until_us: 0,
            speed,
            lease: LeaseClock::default(),
            lease_asked: false,
            heard: 0,
            view: Arc::new(View::default()),
            answered: Answered::default(),
            places: Places::default(),
            posts: BTreeMap::new(),
            formers: BTreeMap::new(),
            started: false,
            claimed: None,
            handing: None,
        }
    }

    pub fn now_ms(&self) -> u64 {
        self.world.clock.mono_ms()
    }

    pub fn is_broken(&self) -> bool {
        self.sim.disk.crashed() || self.sim.disk.aborted()
    }

    /// The process ends; with it, or not, the power.
    pub fn die(&mut self, power_cut: bool) {
        if power_cut {
            self.sim.disk.crash();
        }
        (self.up, self.started, self.handing) = (false, false, None);
        self.posts.clear();
        self.formers.clear();
        match self.sim.disk.crashed() {
            true => self.sim.disk.reboot(),
            false => self.sim.disk.restart_process(),
        }
    }

    /// The name of the directory of its own journal, whatever that is called.
    pub fn own(&self) -> JournalName {
        JournalName::new(&self.me.node, "spool").unwrap()
    }

    /// Where a journal's files are.
    pub fn dir(&self, key: &Key) -> Option<PathBuf> {
        match key.0 {
            Place::Own => self.places.dir(Place::Own, &self.own()),
            place => self.places.dir(place, &key.1),
        }
    }

    /// The files of a journal's segments, by position.
    pub fn segments(&self, key: &Key) -> BTreeMap<u64, Vec<u8>> {
        let Some(dir) = self.dir(key) else { return BTreeMap::new() };
        let names = self.sim.disk.list(&dir).unwrap_or_default();
        let position = |name: &str| u64::from_str_radix(name.strip_suffix(".seg")?, 16).ok();
        let read = |name: &str| Some((position(name)?, self.sim.disk.read_all(&dir.join(name)).ok()?));
        names.iter().filter_map(|entry| read(&entry.name)).collect()
    }
}

/// The name of a holder among the copies: with another disk it is another holder.
pub fn holder_key(member: &Member) -> String {
    format!("{}@{:016x}", member.node, member.disk)
}

/// The identity of a journal, which is in its name.
pub fn id(name: &JournalName) -> u64 {
    u64::from_str_radix(name.journal.strip_prefix("spool-").unwrap(), 16).unwrap()
}
