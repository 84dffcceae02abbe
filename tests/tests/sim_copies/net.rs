//! The connections between nodes: they delay, break, and now and then bring a frame of an old connection into a new one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use journal::copies::{Decoder, HeldLink, Link, Malformed, refuse};
use world::Chance;
use world::sim::SimChance;

use crate::node::{NAME, Node, Role};

/// A connection from an owner to a holder.
pub struct Conn {
    pub owner: usize,
    pub holder: usize,
    pub link: Link,
    far: Far,
    there: VecDeque<(u64, Vec<u8>)>,
    back: VecDeque<(u64, Vec<u8>)>,
}

enum Far {
    Copy(HeldLink),
    /// The node there owns the journal itself.
    Owner(Decoder),
}

/// Whether it was on its way to the holder, and its bytes.
type Ghost = (bool, Vec<u8>);

#[derive(Default)]
pub struct Net {
    pub conns: Vec<Conn>,
    /// Directions in which nothing arrives.
    pub cut: BTreeSet<(usize, usize)>,
    /// Frames of ended connections, from owner to holder and back.
    ghosts: BTreeMap<(usize, usize), Vec<Ghost>>,
}

impl Net {
    /// Connects every owner with every other node that runs.
    pub fn connect(&mut self, nodes: &[Node], chance: &SimChance) {
        for (o, node) in nodes.iter().enumerate() {
            let Some(owner) = node.owner() else { continue };
            for (h, other) in nodes.iter().enumerate() {
                let there = self.conns.iter().any(|c| (c.owner, c.holder) == (o, h));
                let cut = self.cut.contains(&(o, h)) || self.cut.contains(&(h, o));
                if o == h || there || cut || chance.below(4) != 0 {
                    continue;
                }
                let far = match &other.role {
                    Role::Down => continue,
                    Role::Holder(copy) => Far::Copy(copy.link(Arc::new(|| ()))),
                    Role::Owner(_) => Far::Owner(Decoder::default()),
                };
                let link = owner.journal.copies().attach(NAME, &h.to_string(), Arc::new(|| ()));
                self.conns.push(Conn { owner: o, holder: h, link, far, there: VecDeque::new(), back: VecDeque::new() });
            }
        }
    }

    /// Ends all connections of a node, or those that `ends` says.
    pub fn drop_conns(&mut self, chance: &SimChance, ends: impl Fn(&Conn) -> bool) {
        let mut i = 0;
        while i < self.conns.len() {
            if !ends(&self.conns[i]) {
                i += 1;
                continue;
            }
            let conn = self.conns.remove(i);
            let ghosts = self.ghosts.entry((conn.owner, conn.holder)).or_default();
            let left = conn.there.into_iter().map(|f| (true, f.1)).chain(conn.back.into_iter().map(|f| (false, f.1)));
            ghosts.extend(left.filter(|_| chance.below(3) == 0));
            ghosts.truncate(20);
        }
    }

    /// Lets one connection work for a while: `now_us` is the time that all share.
    pub fn work(&mut self, at: usize, nodes: &[Node], now_us: u64, chance: &SimChance) {
        let conn = &mut self.conns[at];
        let (o, h) = (conn.owner, conn.holder);
        if nodes[o].is_down() || nodes[h].is_down() {
            return;
        }
        if let Some(ghosts) = self.ghosts.get_mut(&(o, h))
            && !ghosts.is_empty()
            && chance.below(3) == 0
        {
            let (there, frame) = ghosts.remove(chance.below(ghosts.len() as u64) as usize);
            if there { conn.there.push_front((now_us, frame)) } else { conn.back.push_front((now_us, frame)) }
        }
        let moved = conn.owner_works(nodes, now_us, chance, self.cut.contains(&(h, o)));
        let moved = moved.and_then(|()| conn.holder_works(nodes, now_us, chance, self.cut.contains(&(o, h))));
        if moved.is_err() {
            self.drop_conns(chance, |c| (c.owner, c.holder) == (o, h));
        }
    }
}

impl Conn {
    fn owner_works(&mut self, nodes: &[Node], now_us: u64, chance: &SimChance, deaf: bool) -> Result<(), Malformed> {
        while !deaf && self.back.front().is_some_and(|(at, _)| *at <= now_us) {
            let Some((_, bytes)) = self.back.pop_front() else { break };
            tests::sim::in_pieces(&bytes, chance, |piece| self.link.receive(piece))?;
        }
        let due = self.link.next_due_ms().ok_or(Malformed("of no use any more"))?;
        if nodes[self.owner].world.clock.mono_ms() >= due {
            self.link.tick();
        }
        for _ in 0..chance.below(6) {
            self.link.pump();
        }
        // A connection takes only so much.
        while self.there.len() < 8
            && let Some(frame) = self.link.output()
        {
            push(&mut self.there, frame.to_vec(), now_us, chance);
        }
        Ok(())
    }

    fn holder_works(&mut self, nodes: &[Node], now_us: u64, chance: &SimChance, deaf: bool) -> Result<(), Malformed> {
        while !deaf && self.there.front().is_some_and(|(at, _)| *at <= now_us) {
            let Some((_, bytes)) = self.there.pop_front() else { break };
            match &mut self.far {
                Far::Copy(link) => tests::sim::in_pieces(&bytes, chance, |piece| link.receive(piece))?,
                Far::Owner(decoder) => {
                    decoder.push(&bytes);
                    let epoch = nodes[self.holder].owner().map_or(0, |owner| owner.epoch);
                    while let Some(frame) = decoder.next_frame()? {
                        if let Some(answer) = refuse(&frame, epoch) {
                            push(&mut self.back, answer.encode(), now_us, chance);
                        }
                    }
                }
            }
            if chance.below(3) == 0 {
                break;
            }
        }
        if let Far::Copy(link) = &mut self.far {
            if chance.below(3) != 0 {
                link.pump();
            }
            while let Some(frame) = link.output() {
                push(&mut self.back, frame.to_vec(), now_us, chance);
            }
            if link.is_over() && self.back.is_empty() {
                return Err(Malformed("over"));
            }
        }
        Ok(())
    }
}

/// Frames of one connection keep their order, whatever their delay.
fn push(to: &mut VecDeque<(u64, Vec<u8>)>, bytes: Vec<u8>, now_us: u64, chance: &SimChance) {
    let delay_us = [0, 0, 500, 5_000, 80_000][chance.below(5) as usize];
    let at = (now_us + chance.below(delay_us + 1)).max(to.back().map_or(0, |(at, _)| *at));
    to.push_back((at, bytes));
}
