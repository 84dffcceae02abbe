//! The world around the seats: etcd as one register with leases, nodes with disks, the wire between them, and what can go
//! wrong. All of it is one value, so that the checker can look at every order of events.

use cluster::ownership::{Answer, Effect, HolderChange, Input, Local, Seat, Snapshot, Timing, Transaction};
use cluster::record::{JournalName, Member, Record, Taken, term};
use std::collections::{BTreeMap, BTreeSet};

/// An entry of a log: its number and the epoch it was written under.
pub type Entry = (u8, u32);

/// Where the protocol is broken on purpose, so that the checker can show that it would see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    None,
    /// A demand counts as in force before its members have what was receipted.
    GuardAtOnce,
    /// Receipts do not wait for members that are down.
    ForgetTheDead,
    /// A copy that is a journal by now still acknowledges the old owner's appends.
    NoFence,
    /// A new disk is taken for the old one.
    DiskBlind,
    /// Members are level because they hold a copy, whatever etcd says.
    LevelBlind,
    /// A copy is not closed before the take-over.
    NeverFrozen,
    /// A crash does not cut off what was not synced, but the same epoch goes on.
    SameEpoch,
    /// What an owner takes alone counts as protected.
    AloneCounts,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub fault: Fault,
    pub etcd: Etcd,
    pub nodes: Vec<Node>,
    /// Transactions on their way to etcd, with the node and process that sent them.
    pub flying: Vec<(usize, u8, Transaction)>,
    /// Entries that somebody was promised.
    pub protected: BTreeSet<u8>,
    pub next_entry: u8,
    /// Which node got which term.
    pub terms: BTreeMap<u32, usize>,
    /// What has gone wrong that a single state does not show.
    pub wrong: Option<&'static str>,
    pub left: Budget,
    /// What has been reached, for the proof that the model does something.
    pub seen: Seen,
}

/// How often each trouble may still come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    pub entries: u8,
    pub crashes: u8,
    pub disks: u8,
    pub expiries: u8,
    pub lost_answers: u8,
    pub levels: u8,
    pub hand_overs: u8,
    pub lonely_starts: u8,
    pub alone: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seen {
    pub taken: u8,
    pub handed_over: bool,
    pub returned: bool,
    pub alone: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Etcd {
    pub revision: u64,
    pub record: Option<(u64, Record)>,
    pub holder: Option<i64>,
    pub leases: BTreeSet<i64>,
    pub next_lease: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    pub me: Member,
    pub up: bool,
    pub process: u8,
    pub disk: Option<Disk>,
    pub seat: Option<Seat>,
    pub lease: Option<i64>,
    /// An answer of etcd's that has not arrived yet.
    pub answer: Option<Answer>,
    /// The owner's newest entry, written and not synced.
    pub unsynced: Option<Entry>,
    /// The epoch it writes under.
    pub writing: Option<u32>,
    /// The copy acknowledges nothing.
    pub frozen: bool,
    /// The newest demand, and the one in force.
    pub demand: Option<(u64, Vec<Member>, u32)>,
    pub guard: (Vec<Member>, u32),
    /// How many entries each member has acknowledged to this process.
    pub acked: BTreeMap<Member, usize>,
    /// It writes nothing because it hands over.
    pub quiet: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Disk {
    pub local: Local,
    pub log: Vec<Entry>,
}

const JOURNAL: u64 = 77;

impl World {
    /// `count` nodes; the first one has a journal that etcd has never heard of, the others have nothing.
    pub fn new(count: usize, left: Budget, fault: Fault) -> World {
        let nodes = (0..count).map(|n| Node {
            me: Member { node: ["a", "b", "c"][n].into(), disk: n as u64 },
            up: false,
            process: 0,
            disk: (n == 0).then(|| Disk { local: Local { id: JOURNAL, epoch: 0, owner: true }, log: Vec::new() }),
            seat: None,
            lease: None,
            answer: None,
            unsynced: None,
            writing: None,
            frozen: false,
            demand: None,
            guard: (Vec::new(), 0),
            acked: BTreeMap::new(),
            quiet: false,
        });
        let mut world = World {
            fault,
            etcd: Etcd::default(),
            nodes: nodes.collect(),
            flying: Vec::new(),
            protected: BTreeSet::new(),
            next_entry: 0,
            terms: BTreeMap::new(),
            wrong: None,
            left,
            seen: Seen::default(),
        };
        for n in 0..count {
            world.start(n);
        }
        world
    }

    /// The same, brought to where the first node owns and all others are level, with one entry that is protected.
    pub fn settled(count: usize, left: Budget, fault: Fault) -> World {
        World::settled_with(count, count, left, fault)
    }

    /// The same with only the nodes before `level` in the set.
    pub fn settled_with(count: usize, level: usize, left: Budget, fault: Fault) -> World {
        let mut world = World::new(count, Budget { entries: 1, levels: 1, ..left }, fault);
        world.see(0);
        world.decide(0);
        world.arrive(0);
        world.write(0);
        world.sync(0);
        for n in 1..count {
            world.copy(0, n);
            world.copy(0, n);
        }
        world.step(0, Input::Level(world.nodes[1..level].iter().map(|node| node.me.clone()).collect()));
        world.guard(0);
        world.decide(0);
        world.arrive(0);
        world.guard(0);
        world.tidy();
        for n in 1..count {
            world.see(n);
        }
        assert_eq!(world.protected.len(), 1, "{world:#?}");
        world.left = left;
        world
    }

    /// A process starts: with a new lease, and a seat if there is something of the journal on the disk.
    pub fn start(&mut self, n: usize) {
        self.nodes[n].up = true;
        self.seat(n);
        self.grant(n);
    }

    fn seat(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        let Some(disk) = &node.disk else { return };
        let timing = Timing { stagger_ms: 0, retry_ms: 0, start_wait_ms: 1 };
        let name = JournalName::parse("a/spool").unwrap();
        node.seat = Some(Seat::new(name, node.me.clone(), disk.local.clone(), timing, 0));
        if let Some(lease) = node.lease {
            self.step(n, Input::Lease(Some(lease)));
        }
    }

    pub fn grant(&mut self, n: usize) {
        self.etcd.next_lease += 1;
        let lease = self.etcd.next_lease;
        self.etcd.leases.insert(lease);
        self.nodes[n].lease = Some(lease);
        self.step(n, Input::Lease(Some(lease)));
    }

    pub fn snapshot(&self) -> Snapshot {
        Snapshot { at: self.etcd.revision, record: self.etcd.record.clone(), holder: self.etcd.holder }
    }

    pub fn see(&mut self, n: usize) {
        let mut snapshot = self.snapshot();
        if self.fault == Fault::LevelBlind
            && let Some((_, record)) = &mut snapshot.record
            && !record.level.contains(&self.nodes[n].me)
            && record.owner != self.nodes[n].me
        {
            record.level.push(self.nodes[n].me.clone());
        }
        self.step(n, Input::Seen { snapshot, rank: 0, anew: false });
    }

    /// Time is up for a node that started and has not heard of etcd.
    pub fn start_alone(&mut self, n: usize) {
        self.step_at(n, 1, Input::Tick);
    }

    pub fn step(&mut self, n: usize, input: Input) {
        self.step_at(n, 0, input);
    }

    fn step_at(&mut self, n: usize, now_ms: u64, input: Input) {
        let Some(seat) = &mut self.nodes[n].seat else { return };
        for effect in seat.step(now_ms, input) {
            self.apply(n, effect);
        }
    }

    fn apply(&mut self, n: usize, effect: Effect) {
        let process = self.nodes[n].process;
        let node = &mut self.nodes[n];
        match effect {
            Effect::Try(txn) => self.flying.push((n, process, txn)),
            Effect::Own { epoch, taken, .. } => {
                let epoch = match (self.fault, &node.disk) {
                    (Fault::SameEpoch, Some(disk)) if !taken && disk.local.epoch > 0 => disk.local.epoch,
                    _ => epoch,
                };
                if *self.terms.entry(term(epoch)).or_insert(n) != n {
                    self.wrong = Some("two owners of one epoch");
                }
                self.seen.taken = (self.seen.taken + u8::from(taken)).min(2);
                node.writing = Some(epoch);
                (node.frozen, node.quiet) = (false, false);
                node.acked.clear();
                if let Some(disk) = &mut node.disk {
                    disk.local = Local { epoch, owner: true, ..disk.local };
                }
            }
            Effect::Guard { generation, require, counted } => node.demand = Some((generation, require, counted)),
            Effect::Lost { taken, handed_over, .. } => self.lost(n, taken, handed_over),
            Effect::Freeze { turn } => {
                node.frozen = self.fault != Fault::NeverFrozen;
                if let Some(disk) = &node.disk {
                    let end = Taken { at: disk.log.len() as u64, epoch: disk.local.epoch };
                    self.step(n, Input::Frozen { turn, end, wall_ms: 0 });
                }
            }
            Effect::Thaw => node.frozen = false,
            Effect::Kept => node.quiet = false,
            Effect::Delete => (node.disk, node.seat) = (None, None),
            Effect::NameTaken => self.wrong = Some("the name was taken"),
            Effect::Say(_) => {}
        }
    }

    /// The journal is another node's: what that one has is dropped here, and our part with it (it would be delivered here).
    fn lost(&mut self, n: usize, taken: Taken, handed_over: bool) {
        let node = &mut self.nodes[n];
        (node.writing, node.unsynced) = (None, None);
        let Some(disk) = node.disk.take() else { return };
        node.seat = None;
        self.seen.handed_over |= handed_over;
        self.seen.returned |= !handed_over;
        let Some((_, record)) = &self.etcd.record else { return };
        let owner = self.nodes.iter().find(|node| node.me == record.owner).and_then(|node| node.disk.as_ref());
        // Once the owner's disk is lost as well, nobody can compare.
        let Some(owner) = owner else { return };
        for (at, entry) in disk.log.iter().enumerate() {
            let theirs = taken.has(at as u64, entry.1);
            if theirs && !owner.log.contains(entry) {
                self.wrong = Some("an old owner dropped what the taker does not have");
            }
            // Without a crash the two parts are exact. A taker that crashes before it opens its copy may take more from the old
            // owner in between: a duplicate, told by its second claim.
            let exact = self.nodes.iter().all(|node| node.process == 0);
            if !theirs && exact && owner.log.contains(entry) {
                self.wrong = Some("an old owner keeps what the taker has");
            }
        }
        if handed_over && disk.log.iter().enumerate().any(|(at, entry)| !taken.has(at as u64, entry.1)) {
            self.wrong = Some("a hand-over left something behind");
        }
    }

    /// etcd decides a transaction; the answer sets out if its sender still waits for it.
    pub fn decide(&mut self, at: usize) {
        let (n, process, txn) = self.flying.remove(at);
        let answer = self.evaluate(&txn);
        let node = &mut self.nodes[n];
        if node.up && node.process == process && node.answer.is_none() {
            node.answer = Some(answer);
        }
    }

    fn evaluate(&mut self, txn: &Transaction) -> Answer {
        let etcd = &mut self.etcd;
        let record_at = etcd.record.as_ref().map_or(0, |(at, _)| *at);
        if record_at != txn.record_at || (txn.holder_gone && etcd.holder.is_some()) {
            return Answer::Refused(self.snapshot());
        }
        if let HolderChange::Under(lease) = txn.holder
            && !etcd.leases.contains(&lease)
        {
            return Answer::NotDone;
        }
        etcd.revision += 1;
        etcd.record = txn.record.clone().map(|record| (etcd.revision, record));
        match txn.holder {
            HolderChange::Leave => {}
            HolderChange::Under(lease) => etcd.holder = Some(lease),
            HolderChange::Drop => etcd.holder = None,
        }
        Answer::Done(etcd.revision)
    }

    pub fn arrive(&mut self, n: usize) {
        let Some(answer) = self.nodes[n].answer.take() else { return };
        self.step(n, Input::Answer(answer));
    }

    /// The answer is lost, or the sender's patience ends before etcd has decided.
    pub fn give_up(&mut self, n: usize) {
        self.nodes[n].answer = None;
        self.step(n, Input::Answer(Answer::Open));
    }

    pub fn expire(&mut self, lease: i64) {
        self.etcd.leases.remove(&lease);
        if self.etcd.holder == Some(lease) {
            self.etcd.holder = None;
            self.etcd.revision += 1;
        }
    }

    pub fn write(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        if let Some(epoch) = node.writing {
            node.unsynced = Some((self.next_entry, epoch));
            self.next_entry += 1;
        }
    }

    pub fn sync(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        if let (Some(entry), Some(disk)) = (node.unsynced.take(), &mut node.disk) {
            disk.log.push(entry);
        }
    }

    /// What the owner has written, synced or not.
    pub fn written(&self, n: usize) -> Vec<Entry> {
        let node = &self.nodes[n];
        let mut log = node.disk.as_ref().map_or(Vec::new(), |disk| disk.log.clone());
        log.extend(node.unsynced);
        log
    }

    /// Whether a copy would take something from an owner now.
    pub fn can_copy(&self, from: usize, to: usize) -> bool {
        let (owner, copy) = (&self.nodes[from], &self.nodes[to]);
        let Some(epoch) = owner.writing else { return false };
        let open = self.fault == Fault::NoFence;
        if from == to || !owner.up || !copy.up || copy.frozen || (copy.writing.is_some() && !open) {
            return false;
        }
        match &copy.disk {
            None => true,
            Some(disk) => {
                let log = self.written(from);
                let fenced = (disk.local.epoch > epoch || disk.local.owner) && !open;
                let behind = owner.acked.get(&copy.me) != Some(&log.len());
                let news = behind || (disk.log != log && !disk.local.owner);
                !fenced && news
            }
        }
    }

    /// The copy becomes equal to the owner's log and acknowledges it. A new copy begins empty.
    pub fn copy(&mut self, from: usize, to: usize) {
        let Some(epoch) = self.nodes[from].writing else { return };
        let log = self.written(from);
        if self.nodes[to].disk.is_none() {
            let local = Local { id: JOURNAL, epoch, owner: false };
            self.nodes[to].disk = Some(Disk { local, log: Vec::new() });
            self.seat(to);
            return;
        }
        let copy = &mut self.nodes[to];
        let (me, length) = (copy.me.clone(), log.len());
        if let Some(disk) = &mut copy.disk
            && !disk.local.owner
        {
            disk.local.epoch = epoch;
            disk.log = log;
        }
        self.nodes[from].acked.insert(me, length);
    }

    /// What follows by itself: what may be receipted is, and a transaction that can never be done is forgotten. Receipts at the
    /// first moment are the worst case: every later one promises less.
    pub fn tidy(&mut self) {
        for n in 0..self.nodes.len() {
            self.protected.extend(self.receiptable(n));
        }
        let record_at = self.etcd.record.as_ref().map_or(0, |(at, _)| *at);
        let nodes = &self.nodes;
        self.flying
            .retain(|(n, process, txn)| txn.record_at == record_at || (nodes[*n].process == *process && nodes[*n].up));
    }

    /// Members that have acknowledged everything that this owner has written.
    pub fn level_now(&self, n: usize) -> Vec<Member> {
        let length = self.written(n).len();
        let acked = self.nodes[n].acked.iter();
        acked.filter(|(_, acked)| **acked == length).map(|(member, _)| member.clone()).collect()
    }

    /// Puts the newest demand into force, if each new member of it has everything that was receipted.
    pub fn guard(&mut self, n: usize) -> bool {
        let Some((generation, require, counted)) = self.nodes[n].demand.clone() else { return false };
        let log = self.written(n);
        let last = log.iter().rposition(|(entry, _)| self.protected.contains(entry)).map_or(0, |at| at + 1);
        let node = &mut self.nodes[n];
        let has_all = |member: &Member| node.acked.get(member).is_some_and(|acked| *acked >= last);
        let ready = require.iter().all(|member| node.guard.0.contains(member) || has_all(member));
        // After a claim the demand is what etcd says: its members have everything by what always holds.
        let first = node.guard.0.is_empty() && node.guard.1 == 0 && counted as usize == require.len();
        if !(ready || first || self.fault == Fault::GuardAtOnce) {
            return false;
        }
        self.seen.alone |= require.is_empty() && self.etcd.record.as_ref().is_some_and(|(_, record)| record.alone);
        node.guard = (require, counted);
        node.demand = None;
        self.step(n, Input::Guarded(generation));
        true
    }

    /// Entries that may be receipted as protected now.
    fn receiptable(&self, n: usize) -> Vec<u8> {
        let node = &self.nodes[n];
        let alone =
            self.fault == Fault::AloneCounts && self.etcd.record.as_ref().is_some_and(|(_, record)| record.alone);
        let (Some(_), Some(disk), true) = (node.writing, &node.disk, node.guard.1 > 0 || alone) else {
            return Vec::new();
        };
        let dead = |member: &Member| {
            self.fault == Fault::ForgetTheDead && self.nodes.iter().any(|node| node.me == *member && !node.up)
        };
        let acked = |at: usize| {
            node.guard.0.iter().all(|member| dead(member) || node.acked.get(member).is_some_and(|acked| *acked > at))
        };
        let synced = disk.log.iter().enumerate();
        synced.filter(|(at, (entry, _))| acked(*at) && !self.protected.contains(entry)).map(|(_, e)| e.0).collect()
    }

    pub fn crash(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        node.up = false;
        node.process += 1;
        (node.seat, node.lease, node.answer) = (None, None, None);
        (node.unsynced, node.writing, node.frozen, node.quiet) = (None, None, false, false);
        (node.demand, node.guard) = (None, (Vec::new(), 0));
        node.acked.clear();
    }

    pub fn lose_disk(&mut self, n: usize) {
        self.nodes[n].disk = None;
        if self.fault != Fault::DiskBlind {
            self.nodes[n].me.disk += 10;
        }
    }

    /// Whether each disk of owner and level set that is not lost has everything that was ever protected.
    pub fn protected_is_kept(&self) -> bool {
        let Some((_, record)) = &self.etcd.record else { return true };
        let members = record.level.iter().chain([&record.owner]);
        members.filter_map(|member| self.nodes.iter().find(|node| node.me == *member)).all(|node| {
            let Some(disk) = &node.disk else { return self.fault != Fault::DiskBlind || self.protected.is_empty() };
            self.protected.iter().all(|entry| disk.log.iter().any(|(there, _)| there == entry))
        })
    }

    /// Whether the owner that writes under etcd's term has everything that was protected.
    pub fn writer_has_all(&self) -> bool {
        let Some((_, record)) = &self.etcd.record else { return true };
        self.nodes.iter().filter(|node| node.writing.is_some_and(|epoch| term(epoch) == term(record.epoch))).all(
            |node| {
                let Some(disk) = &node.disk else { return true };
                self.protected.iter().all(|entry| disk.log.iter().any(|(there, _)| there == entry))
            },
        )
    }
}
