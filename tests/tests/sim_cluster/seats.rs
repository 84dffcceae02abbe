//! What a node does for each of its journals: the drivers of `roles::cluster` (claim, journals, former) in one thread.

use std::collections::BTreeSet;
use std::io;

use cluster::ownership::{Effect, Input, Local};
use cluster::record::{JournalName, Taken};
use cluster::tenure::{Choice, Ended, Spread, Tenure};
use journal::OpenError;
use journal::copies::HeldCopy;

use crate::etcd::Question;
use crate::node::{Key, Post, Reign, Role, holder_key, id};
use crate::office::{Office, settings};
use crate::places::{Place, note, write_note};
use crate::sim::{Broken, Sim};

/// What becomes of a post after an effect.
pub enum Then {
    Stay,
    /// It goes on as this.
    Go(Key),
    /// Its task ends.
    End,
}

impl Sim {
    /// A process begins: what is on its disk says what it is to which journal.
    pub fn start(&mut self, n: usize) -> Result<(), String> {
        let node = &mut self.nodes[n];
        node.process += 1;
        (node.up, node.started, node.lease_asked) = (true, false, false);
        (node.lease, node.view, node.heard) = (Default::default(), Default::default(), 0);
        node.answered = Default::default();
        match crate::places::Places::read(&node.world) {
            Ok(places) => node.places = places,
            Err(_) => return Ok(()),
        }
        self.tell(|| format!("{n} starts as {}", holder_key(&self.nodes[n].me)));
        self.claim(n)
    }

    /// Its own journal: found or made, and given a seat.
    fn claim(&mut self, n: usize) -> Result<(), String> {
        match self.try_claim(n) {
            Ok(()) => Ok(()),
            Err(error) => self.mends(n, &error),
        }
    }

    fn try_claim(&mut self, n: usize) -> io::Result<()> {
        let canary = self.journal_canary();
        loop {
            let node = &mut self.nodes[n];
            let own = node.own();
            let dir = match node.places.dir(Place::Own, &own) {
                Some(dir) => dir,
                None => node.places.add(&node.world, Place::Own, &own)?,
            };
            let identity = journal::found(&node.world, &dir, &settings(0, canary)).map_err(io::Error::other)?;
            let name = JournalName::own(&node.me.node, u64::from(identity.salt)).unwrap();
            if note(&node.world, &dir)?.is_some() {
                self.finish_own(n, &name)?;
                continue;
            }
            let local = Local { id: u64::from(identity.salt), epoch: identity.epoch, owner: true };
            let post = Post::new(name.clone(), &node.me, local, Role::Claiming, node.now_ms());
            node.claimed = Some(name.clone());
            node.posts.insert((Place::Own, name), post);
            return Ok(());
        }
    }

    fn finish_own(&mut self, n: usize, name: &JournalName) -> io::Result<()> {
        let node = &mut self.nodes[n];
        let (from, to) = ((Place::Own, node.own()), (Place::Former, name.clone()));
        match node.places.rename(&node.world, from, to)? {
            true => Ok(()),
            false => Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{name} is laid down already"))),
        }
    }

    /// All other journals, once the own one is there.
    fn start_others(&mut self, n: usize) -> Result<(), String> {
        self.nodes[n].started = true;
        for name in self.nodes[n].places.all(Place::Former) {
            if !self.nodes[n].up {
                return Ok(());
            }
            self.open_former(n, &name)?;
        }
        for name in self.nodes[n].places.all(Place::Copy) {
            if !self.nodes[n].up {
                return Ok(());
            }
            let node = &self.nodes[n];
            let Some(dir) = node.places.dir(Place::Copy, &name) else { continue };
            if journal::identity(&node.world, &dir).is_ok_and(|identity| identity.is_some()) {
                self.held(n, &name)?;
            }
        }
        for name in self.nodes[n].places.all(Place::Taken) {
            if !self.nodes[n].up {
                return Ok(());
            }
            let node = &mut self.nodes[n];
            let Some(dir) = node.places.dir(Place::Taken, &name) else { continue };
            let Ok(Some(identity)) = journal::identity(&node.world, &dir) else { continue };
            let local = Local { id: id(&name), epoch: identity.epoch, owner: true };
            let post = Post::new(name.clone(), &node.me, local, Role::GoingOn, node.now_ms());
            node.posts.insert((Place::Taken, name), post);
        }
        Ok(())
    }

    /// The copy of a journal, opened (or made) when it is asked for first.
    pub fn held(&mut self, n: usize, name: &JournalName) -> Result<Option<HeldCopy>, String> {
        let canary = self.journal_canary();
        let node = &mut self.nodes[n];
        if let Some(post) = node.posts.get(&(Place::Copy, name.clone())) {
            return Ok(match &post.role {
                Role::Keeping(copy) => Some(copy.clone()),
                _ => None,
            });
        }
        let dir = match node.places.dir(Place::Copy, name) {
            Some(dir) => dir,
            None => match node.places.add(&node.world, Place::Copy, name) {
                Ok(dir) => dir,
                Err(_) => return Ok(None),
            },
        };
        let copy = match HeldCopy::open(&node.world, &dir, &name.to_string(), settings(0, canary)) {
            Ok(copy) => copy,
            // It is of no use until the next start.
            Err(OpenError::Io { source, .. }) => return self.mends(n, &source).map(|()| None),
            Err(error) => return Err(format!("{n} opens its copy of {name}: {error}")),
        };
        let local = Local { id: id(name), epoch: copy.state().epoch, owner: false };
        let role = Role::Keeping(copy.clone());
        let post = Post::new(name.clone(), &node.me, local, role, node.now_ms());
        node.posts.insert((Place::Copy, name.clone()), post);
        Ok(Some(copy))
    }

    /// A seat is shown what there is, and says what it wants.
    pub fn seat_works(&mut self, n: usize, key: &Key) -> Result<(), String> {
        let node = &mut self.nodes[n];
        let (now_ms, lease) = (node.now_ms(), node.lease.held(node.now_ms()).map(|held| held.id));
        let (view, me) = (node.view.clone(), node.me.clone());
        let Some(post) = node.posts.get_mut(key) else { return Ok(()) };
        if post.lease != lease {
            post.lease = lease;
            post.inputs.push_back(Input::Lease(lease));
        }
        if let Some(snapshot) = view.snapshot(&post.name, &self.keys) {
            let rank = view.rank(&post.name, &me);
            let before = post.shown.1.as_ref();
            let same = before.is_some_and(|b| (&b.record, b.holder) == (&snapshot.record, snapshot.holder));
            if !same || rank != post.shown.0 {
                post.shown = (rank, Some(snapshot.clone()));
                post.inputs.push_back(Input::Seen { snapshot, rank, anew: false });
            }
        }
        if post.seat.wake_ms().is_some_and(|at| now_ms >= at) {
            post.inputs.push_back(Input::Tick);
        }
        while let Some(input) = post.inputs.pop_front() {
            for effect in post.seat.step(now_ms, input) {
                match effect {
                    Effect::Try(txn) => {
                        let question = Question::Txn { key: key.clone(), txn };
                        self.etcd.ask(n, node.process, question, self.now_us, &self.chance);
                    }
                    effect => post.effects.push_back(effect),
                }
            }
        }
        Ok(())
    }

    /// Does what a seat wanted, in its order, now or later.
    pub fn effects_work(&mut self, n: usize, key: &Key) -> Result<(), String> {
        let mut key = key.clone();
        while self.chance_of(3, 4) && self.nodes[n].up && !self.nodes[n].is_broken() {
            let Some(mut post) = self.nodes[n].posts.remove(&key) else { return Ok(()) };
            let Some(effect) = post.effects.pop_front() else {
                self.nodes[n].posts.insert(key, post);
                return Ok(());
            };
            match self.act(n, &key, &mut post, effect)? {
                Then::Stay => drop(self.nodes[n].posts.insert(key.clone(), post)),
                Then::Go(next) => {
                    key = next;
                    self.nodes[n].posts.insert(key.clone(), post);
                }
                Then::End => return Ok(()),
            }
        }
        Ok(())
    }

    fn act(&mut self, n: usize, key: &Key, post: &mut Post, effect: Effect) -> Result<Then, String> {
        if !matches!(effect, Effect::Say(_)) {
            self.tell(|| format!("{n} {:?} {}: {effect:?}", key.0, key.1));
        } else if let Effect::Say(event) = &effect {
            self.tell(|| format!("{n} {:?} {}: {event}", key.0, key.1));
        }
        if matches!(post.role, Role::Owning(_)) {
            return self.reign_wants(n, key, post, effect);
        }
        match (&post.role, effect) {
            (_, Effect::Say(_)) => Ok(Then::Stay),
            (Role::Claiming | Role::GoingOn, Effect::Own { epoch, confirmed, .. }) => {
                self.ledger.tally.alone += u64::from(!confirmed);
                self.own(n, key, post, epoch)
            }
            (Role::Claiming, Effect::Lost { taken, .. }) => {
                let node = &self.nodes[n];
                let done = node.dir(key).ok_or(io::ErrorKind::NotFound.into());
                let done = done.and_then(|dir| write_note(&node.world, &dir, taken));
                match done.and_then(|()| self.finish_own(n, &key.1)) {
                    Ok(()) => self.claim(n)?,
                    Err(error) => self.mends(n, &error)?,
                }
                Ok(Then::End)
            }
            (Role::GoingOn, Effect::Lost { taken, .. }) => self.lay_down(n, &key.1, taken),
            (Role::GoingOn, Effect::Delete) => self.drop_journal(n, Place::Taken, &key.1),
            (Role::Keeping(copy), Effect::Freeze { turn }) => {
                let frozen = match self.broken {
                    Broken::NeverFreezes => copy.freeze().inspect(|_| copy.thaw()),
                    _ => copy.freeze(),
                };
                post.inputs.push_back(match frozen {
                    Ok(frozen) => {
                        if frozen.epoch < frozen.heard {
                            self.etcd.inexact.insert(key.1.clone());
                        }
                        let end = Taken { at: frozen.at.0, epoch: frozen.epoch };
                        Input::Frozen { turn, end, wall_ms: self.nodes[n].world.clock.wall_ms() }
                    }
                    Err(_) => Input::NoCopy,
                });
                Ok(Then::Stay)
            }
            (Role::Keeping(copy), Effect::Thaw) => {
                copy.thaw();
                Ok(Then::Stay)
            }
            (Role::Keeping(copy), Effect::Own { epoch, .. }) => {
                let copy = copy.clone();
                self.take_out(n, key, post, &copy, epoch)
            }
            (Role::Keeping(copy), Effect::Delete) => {
                copy.close();
                self.drop_journal(n, Place::Copy, &key.1)
            }
            (_, other) => Err(format!("{n}: {} gets what cannot be: {other:?}", key.1)),
        }
    }

    /// A copy becomes a journal of ours.
    fn take_out(&mut self, n: usize, key: &Key, post: &mut Post, copy: &HeldCopy, epoch: u32) -> Result<Then, String> {
        self.ledger.tally.take_overs += 1;
        if self.dies_between(n) {
            return Ok(Then::End);
        }
        if let Err(why) = copy.hand_over_under(epoch) {
            let broken = self.nodes[n].is_broken();
            return if broken { Ok(Then::End) } else { Err(format!("{n} owns {} and has no copy: {why:?}", key.1)) };
        }
        let node = &mut self.nodes[n];
        match node.places.shift(&node.world, &key.1, Place::Copy, Place::Taken) {
            Ok(true) => {}
            Ok(false) => return Err(format!("{n} takes {} over, and has taken it already", key.1)),
            Err(error) => return self.mends(n, &error).map(|()| Then::End),
        }
        if self.dies_between(n) {
            return Ok(Then::End);
        }
        let key = (Place::Taken, key.1.clone());
        self.own(n, &key, post, epoch)
    }

    /// Perhaps a node dies between etcd and its disk, or between two steps there.
    fn dies_between(&mut self, n: usize) -> bool {
        let dies = !self.quiet && self.chance_of(1, 8);
        if dies {
            let (power_cut, after_ms) = (self.chance_of(1, 2), self.below(3_000));
            self.die(n, power_cut, after_ms);
        }
        dies
    }

    /// Opens a journal that is ours.
    fn own(&mut self, n: usize, key: &Key, post: &mut Post, epoch: u32) -> Result<Then, String> {
        let (canary, process) = (self.journal_canary(), self.nodes[n].process);
        let node = &self.nodes[n];
        let dir = node.dir(key).ok_or("no directory")?;
        let opened = Office::open(&node.world, &dir, settings(epoch, canary), |_, _| false)
            .map_err(|what| format!("{n} owns {:?} {}: {what}", key.0, key.1))?;
        let Some((office, shown)) = opened else {
            self.stop(n, 300);
            return Ok(Then::End);
        };
        self.ledger.writes(&key.1, epoch, n, process)?;
        self.tell(|| {
            format!("{n} owns {} under epoch {epoch} with {:?}", key.1, office.mails.keys().collect::<Vec<_>>())
        });
        self.ledger.opened(&key.1, &shown, &format!("{n} (epoch {epoch})"))?;
        let record = node.view.journals.get(&key.1).and_then(|journal| journal.record.clone());
        let before = record.map_or_else(Vec::new, |(_, record)| record.level);
        let choice = Choice::new("", "", Spread::Any, id(&key.1), &before);
        let drains = key.0 == Place::Taken;
        let reign = Reign {
            office,
            tenure: Tenure::new(node.now_ms(), choice, drains),
            asked: Vec::new(),
            look_ms: 0,
            late_demand: None,
        };
        post.role = Role::Owning(Box::new(reign));
        if key.0 == Place::Own {
            self.start_others(n)?;
        }
        Ok(Then::Go(key.clone()))
    }

    /// What becomes of a journal that was ours.
    pub fn ended(&mut self, n: usize, key: &Key, post: &mut Post, ended: Ended) -> Result<Then, String> {
        self.drop_links(|conn| conn.owner.0 == n && conn.key == *key);
        if let Ended::Lost { handed_over: true, .. } = ended {
            self.handed_over(n, key, post)?;
        }
        let done = std::mem::replace(&mut post.role, Role::GoingOn);
        drop(done);
        match (key.0, ended) {
            (Place::Own, Ended::Lost { .. }) => {
                if self.nodes[n].handing.is_none() {
                    self.tell(|| format!("{n} has lost its own journal and starts again"));
                    self.stop(n, 500);
                }
                Ok(Then::End)
            }
            (_, Ended::Lost { handed_over: true, .. }) => self.drop_journal(n, Place::Taken, &key.1),
            (_, Ended::Lost { taken, .. }) => self.lay_down(n, &key.1, taken),
            (_, Ended::Finished) => {
                self.ledger.tally.drained += 1;
                self.drop_journal(n, key.0, &key.1)
            }
        }
    }

    /// A hand-over was planned: nothing stays behind, and nothing is delivered twice.
    fn handed_over(&mut self, n: usize, key: &Key, post: &Post) -> Result<(), String> {
        let Some(reign) = post.reign() else { return Ok(()) };
        self.ledger.tally.hand_overs += 1;
        let settled: BTreeSet<_> = reign.office.settled.iter().copied().collect();
        settled.into_iter().for_each(|id| self.ledger.done(id));
        if !reign.office.is_quiet() {
            return Err(format!("{n} has handed {} over and still waits for answers", key.1));
        }
        let taken = self.etcd.record(&key.1).and_then(|record| record.ends.last()).map(|end| end.taken);
        let left = taken.and_then(|taken| reign.office.outside(taken).next());
        match left {
            Some(id) => Err(format!("{n} has handed {} over, and mail {id} is not in it", key.1)),
            None => Ok(()),
        }
    }

    fn drop_journal(&mut self, n: usize, place: Place, name: &JournalName) -> Result<Then, String> {
        let node = &mut self.nodes[n];
        if let Err(error) = node.places.remove(&node.world, place, name) {
            self.mends(n, &error)?;
        }
        Ok(Then::End)
    }

    /// The disk has failed once. What could not be done is left alone until the next start.
    pub fn mends(&mut self, n: usize, error: &io::Error) -> Result<(), String> {
        if error.kind() == io::ErrorKind::AlreadyExists {
            return Err(error.to_string());
        }
        if !self.nodes[n].is_broken() {
            self.stop(n, 500);
        }
        Ok(())
    }

    /// A journal that was taken over from us in turn: what is left is delivered.
    fn lay_down(&mut self, n: usize, name: &JournalName, taken: Taken) -> Result<Then, String> {
        let node = &mut self.nodes[n];
        let Some(dir) = node.places.dir(Place::Taken, name) else { return Ok(Then::End) };
        let noted = write_note(&node.world, &dir, taken);
        match noted.and_then(|()| node.places.shift(&node.world, name, Place::Taken, Place::Former)) {
            Ok(true) => self.open_former(n, name)?,
            Ok(false) => self.tell(|| format!("{n} cannot lay {name} down: it has done so before")),
            Err(error) => self.mends(n, &error)?,
        }
        Ok(Then::End)
    }

    /// Delivers what is left in a former journal.
    fn open_former(&mut self, n: usize, name: &JournalName) -> Result<(), String> {
        let canary = self.journal_canary();
        let node = &mut self.nodes[n];
        let Some(dir) = node.places.dir(Place::Former, name) else { return Ok(()) };
        let read = || Some((note(&node.world, &dir).ok()??, journal::identity(&node.world, &dir).ok()??));
        let Some((taken, identity)) = read() else {
            let broken = node.is_broken();
            return if broken { Ok(()) } else { Err(format!("{n}: the former {name} has no note")) };
        };
        let theirs = |at: u64, epoch: u32| taken.has(at, epoch);
        let opened = Office::open(&node.world, &dir, settings(identity.epoch, canary), theirs);
        if let Some((office, _)) = opened.map_err(|what| format!("{n}, former {name}: {what}"))? {
            let left: Vec<_> = office.mails.keys().copied().collect();
            node.formers.insert(name.clone(), office);
            self.tell(|| format!("{n} delivers what is left of {name} ({taken:?}): {left:?}"));
        } else {
            // It is left alone until the next start.
            self.stop(n, 500);
        }
        Ok(())
    }
}
