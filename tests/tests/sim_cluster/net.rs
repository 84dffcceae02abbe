//! The links between owners and holders: they delay, break, and now and then bring a frame of an old connection into a new one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cluster::record::{JournalName, Member};
use cluster::view::Answered;
use journal::copies::{Decoder, HeldLink, Link, Malformed, Message, refuse};
use world::Chance;
use world::sim::SimChance;

use crate::node::{Key, holder_key};
use crate::places::Place;
use crate::sim::{Broken, Sim};

/// A connection from an owner to a holder. Nodes with the number of their process.
pub struct Conn {
    pub owner: (usize, u64),
    pub key: Key,
    pub holder: (usize, u64),
    pub holder_key: String,
    link: Link,
    far: Far,
    there: VecDeque<(u64, Vec<u8>)>,
    back: VecDeque<(u64, Vec<u8>)>,
    woken: Arc<AtomicBool>,
    /// Nothing has come through for so long.
    deaf_since_us: Option<u64>,
}

enum Far {
    Copy(HeldLink),
    /// At the door: the owner is let in under a higher epoch than this one.
    Gate {
        decoder: Decoder,
        ahead: Vec<u8>,
        epoch: u32,
        barred: bool,
    },
}

/// Whose frames, whether they were on their way to the holder, and their bytes.
type Ghosts = BTreeMap<(JournalName, usize, usize), Vec<(bool, Vec<u8>)>>;

/// An owner's next attempt to link a holder.
type Attempts = BTreeMap<(usize, Key, String), u64>;

#[derive(Default)]
pub struct Net {
    pub conns: Vec<Conn>,
    /// Directions in which nothing arrives.
    pub cut: BTreeSet<(usize, usize)>,
    /// Directions in which everything is slow.
    pub slow: BTreeSet<(usize, usize)>,
    ghosts: Ghosts,
    attempts: Attempts,
}

/// Whether an owner is let in.
enum Admission {
    Yes,
    Above(u32),
    Barred(u32),
    No,
}

impl Sim {
    /// Ends the connections that `ends` says.
    pub fn drop_links(&mut self, ends: impl Fn(&Conn) -> bool) {
        let mut i = 0;
        while i < self.net.conns.len() {
            if !ends(&self.net.conns[i]) {
                i += 1;
                continue;
            }
            let conn = self.net.conns.remove(i);
            let again_us = self.now_us + 300_000;
            self.net.attempts.insert((conn.owner.0, conn.key.clone(), conn.holder_key.clone()), again_us);
            let ghosts = self.net.ghosts.entry((conn.key.1.clone(), conn.owner.0, conn.holder.0)).or_default();
            let left = conn.there.into_iter().map(|f| (true, f.1)).chain(conn.back.into_iter().map(|f| (false, f.1)));
            let chance = &self.chance;
            ghosts.extend(left.filter(|_| chance.below(3) == 0));
            ghosts.truncate(20);
        }
    }

    /// An owner links those whom it has asked to keep a copy.
    pub fn connect(&mut self, n: usize, key: &Key) -> Result<(), String> {
        let Some(reign) = self.nodes[n].posts.get(key).and_then(|post| post.reign()) else { return Ok(()) };
        if reign.office.journal.copies().deposed_by().is_some() {
            return Ok(());
        }
        for member in reign.asked.clone() {
            let holder = holder_key(&member);
            let is_it = |conn: &Conn| conn.owner.0 == n && conn.key == *key && conn.holder_key == holder;
            let attempt = (n, key.clone(), holder.clone());
            let early = self.net.attempts.get(&attempt).is_some_and(|at| *at > self.now_us);
            if early || self.net.conns.iter().any(is_it) {
                continue;
            }
            self.net.attempts.insert(attempt, self.now_us + 300_000);
            self.link(n, key, &member, holder)?;
        }
        Ok(())
    }

    fn link(&mut self, n: usize, key: &Key, member: &Member, holder_key: String) -> Result<(), String> {
        let Some(h) = self.nodes.iter().position(|node| node.me.node == member.node) else { return Ok(()) };
        let cut = self.net.cut.contains(&(n, h)) || self.net.cut.contains(&(h, n));
        let there = self.nodes[h].up && self.nodes[h].started && !self.is_stopped(h) && !self.nodes[h].is_broken();
        if cut || !there || h == n {
            return Ok(());
        }
        let far = match self.admit(h, n, &key.1, member) {
            Admission::No => return Ok(()),
            Admission::Above(epoch) => {
                Far::Gate { decoder: Decoder::default(), ahead: Vec::new(), epoch, barred: false }
            }
            Admission::Barred(epoch) => {
                Far::Gate { decoder: Decoder::default(), ahead: Vec::new(), epoch, barred: true }
            }
            Admission::Yes => match self.held(h, &key.1)? {
                Some(copy) => Far::Copy(copy.link(Arc::new(|| ()))),
                None => return Ok(()),
            },
        };
        let woken = Arc::new(AtomicBool::new(true));
        let bell = woken.clone();
        let Some(reign) = self.nodes[n].posts.get(key).and_then(|post| post.reign()) else { return Ok(()) };
        let wake = Arc::new(move || bell.store(true, Ordering::SeqCst));
        let link = reign.office.journal.copies().attach(&key.1.to_string(), &holder_key, wake);
        let (owner, holder) = ((n, self.nodes[n].process), (h, self.nodes[h].process));
        let (there, back, deaf_since_us) = (VecDeque::new(), VecDeque::new(), None);
        let key = key.clone();
        self.net.conns.push(Conn { owner, key, holder, holder_key, link, far, there, back, woken, deaf_since_us });
        Ok(())
    }

    /// The same as `roles::cluster::door`.
    fn admit(&self, h: usize, owner: usize, name: &JournalName, member: &Member) -> Admission {
        let (node, peer) = (&self.nodes[h], &self.nodes[owner].me.node);
        if member.disk != node.me.disk {
            return Admission::No;
        }
        let place = if node.claimed.as_ref() == Some(name) { Place::Own } else { Place::Taken };
        let ours = node.dir(&(place, name.clone())).filter(|_| self.broken != Broken::DoorBlind);
        if let Some(dir) = ours
            && let Ok(Some(identity)) = journal::identity(&node.world, &dir)
        {
            return Admission::Barred(identity.epoch);
        }
        let by_news = Answered::default();
        let answered = if self.broken == Broken::DoorForgets { &by_news } else { &node.answered };
        match answered.newest(name, &node.view) {
            Some(record) if record.drained => Admission::No,
            Some(record) if record.owner.node == *peer => Admission::Yes,
            Some(record) => Admission::Above(record.epoch),
            None if node.dir(&(Place::Copy, name.clone())).is_some() => Admission::Yes,
            None => Admission::No,
        }
    }

    pub fn net_works(&mut self) -> Result<(), String> {
        let mut i = 0;
        while i < self.net.conns.len() {
            let mut conn = self.net.conns.remove(i);
            match self.conn_works(&mut conn)? {
                Ok(()) => {
                    self.net.conns.insert(i, conn);
                    i += 1;
                }
                Err(_) => {
                    self.net.conns.insert(i, conn);
                    let (owner, key, holder) = self.id_of(i);
                    self.drop_links(|c| c.owner.0 == owner && c.key == key && c.holder_key == holder);
                }
            }
        }
        Ok(())
    }

    fn id_of(&self, i: usize) -> (usize, Key, String) {
        let conn = &self.net.conns[i];
        (conn.owner.0, conn.key.clone(), conn.holder_key.clone())
    }

    /// Lets one connection work for a while. The inner error: it ends.
    fn conn_works(&mut self, conn: &mut Conn) -> Result<Result<(), Malformed>, String> {
        let ((o, process), (h, held_by)) = (conn.owner, conn.holder);
        let gone = |n: usize, process: u64| !self.nodes[n].up || self.nodes[n].process != process;
        if gone(o, process) || gone(h, held_by) {
            return Ok(Err(Malformed("gone")));
        }
        let cuts = (self.net.cut.contains(&(o, h)), self.net.cut.contains(&(h, o)));
        let deaf = cuts.0 || cuts.1;
        let since_us = conn.deaf_since_us.filter(|_| deaf).unwrap_or(self.now_us);
        conn.deaf_since_us = deaf.then_some(since_us);
        if deaf && self.now_us > since_us + 6_000_000 {
            return Ok(Err(Malformed("silence")));
        }
        self.haunt(conn);
        if !self.is_stopped(o)
            && !self.nodes[o].is_broken()
            && let Err(over) = self.owner_end(conn, cuts.1)
        {
            return Ok(Err(over));
        }
        if !self.is_stopped(h) && !self.nodes[h].is_broken() {
            return self.holder_end(conn, cuts.0);
        }
        Ok(Ok(()))
    }

    fn haunt(&mut self, conn: &mut Conn) {
        let ghosts = self.net.ghosts.get_mut(&(conn.key.1.clone(), conn.owner.0, conn.holder.0));
        if let Some(ghosts) = ghosts.filter(|ghosts| !ghosts.is_empty())
            && self.chance.below(6) == 0
        {
            let (there, frame) = ghosts.remove(self.chance.below(ghosts.len() as u64) as usize);
            if there { conn.there.push_front((self.now_us, frame)) } else { conn.back.push_front((self.now_us, frame)) }
        }
    }

    fn owner_end(&mut self, conn: &mut Conn, deaf: bool) -> Result<(), Malformed> {
        let (now_us, chance) = (self.now_us, &self.chance);
        let mut busy = conn.woken.swap(false, Ordering::SeqCst) || chance.below(16) == 0;
        while !deaf && conn.back.front().is_some_and(|(at, _)| *at <= now_us) {
            let Some((_, bytes)) = conn.back.pop_front() else { break };
            tests::sim::in_pieces(&bytes, chance, |piece| conn.link.receive(piece))?;
            busy = true;
        }
        let due = conn.link.next_due_ms().ok_or(Malformed("of no use any more"))?;
        if self.nodes[conn.owner.0].now_ms() >= due {
            conn.link.tick();
            busy = true;
        }
        if !busy {
            return Ok(());
        }
        for _ in 0..chance.below(8) {
            conn.woken.fetch_or(conn.link.pump(), Ordering::SeqCst);
        }
        let slow = self.net.slow.contains(&(conn.owner.0, conn.holder.0));
        // A connection takes only so much.
        while conn.there.len() < 8 {
            let Some(frame) = conn.link.output() else { return Ok(()) };
            push(&mut conn.there, frame.to_vec(), now_us, chance, slow);
        }
        conn.woken.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn holder_end(&mut self, conn: &mut Conn, deaf: bool) -> Result<Result<(), Malformed>, String> {
        let slow = self.net.slow.contains(&(conn.holder.0, conn.owner.0));
        let mut worked = self.chance.below(16) == 0;
        while !deaf && conn.there.front().is_some_and(|(at, _)| *at <= self.now_us) {
            let Some((_, bytes)) = conn.there.pop_front() else { break };
            worked = true;
            match &mut conn.far {
                Far::Copy(link) => {
                    if let Err(over) = tests::sim::in_pieces(&bytes, &self.chance, |piece| link.receive(piece)) {
                        return Ok(Err(over));
                    }
                }
                Far::Gate { decoder, ahead, epoch, barred } => {
                    decoder.push(&bytes);
                    ahead.extend_from_slice(&bytes);
                    let frame = match decoder.next_frame() {
                        Ok(Some(frame)) => frame,
                        Ok(None) => continue,
                        Err(over) => return Ok(Err(over)),
                    };
                    if matches!(&frame.message, Message::Hello(hello) if hello.epoch > *epoch) {
                        if *barred {
                            return Ok(Err(Malformed("barred")));
                        }
                        let ahead = std::mem::take(ahead);
                        let Some(copy) = self.held(conn.holder.0, &conn.key.1)? else {
                            return Ok(Err(Malformed("none")));
                        };
                        let link = copy.link(Arc::new(|| ()));
                        if let Err(over) = link.receive(&ahead) {
                            return Ok(Err(over));
                        }
                        conn.far = Far::Copy(link);
                    } else if let Some(answer) = refuse(&frame, *epoch) {
                        push(&mut conn.back, answer.encode(), self.now_us, &self.chance, slow);
                    }
                }
            }
            if self.chance.below(4) == 0 {
                break;
            }
        }
        if let Far::Copy(link) = &mut conn.far {
            if worked || !link.is_over() && self.chance.below(8) == 0 {
                link.pump();
            }
            while let Some(frame) = link.output() {
                push(&mut conn.back, frame.to_vec(), self.now_us, &self.chance, slow);
            }
            if link.is_over() {
                link.pump();
                while let Some(frame) = link.output() {
                    push(&mut conn.back, frame.to_vec(), self.now_us, &self.chance, slow);
                }
                if conn.back.is_empty() {
                    return Ok(Err(Malformed("over")));
                }
            }
        }
        Ok(Ok(()))
    }
}

/// Frames of one connection keep their order, whatever their delay.
fn push(to: &mut VecDeque<(u64, Vec<u8>)>, bytes: Vec<u8>, now_us: u64, chance: &SimChance, slow: bool) {
    let delay_us = match slow {
        true => 50_000 + chance.below(600_000),
        false => chance.below([1, 1, 500, 5_000, 40_000][chance.below(5) as usize]),
    };
    let at = (now_us + delay_us).max(to.back().map_or(0, |(at, _)| *at));
    to.push_back((at, bytes));
}
