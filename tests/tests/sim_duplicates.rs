//! An owner with one copy that counts: it takes mail, delivers, is refused and interrupted, and dies for good at any moment. The holder
//! takes over, and dies too, and opens again. Whatever somebody may get for the second time was named when the journal was opened.
//! `SEEDS=n` runs n of them (300 by default), `SEED=n` only that one.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use journal::copies::{HeldCopy, HeldLink, Link};
use mail::{BodyKind, Enhanced, Envelope, Event, Mailbox, MessageId, Protection, Recipient, Recorder, Reply};
use mail::{ReversePath, WhenShort};
use spool::{
    Accepting, Attempt, Canary, Facts, Filter, HopId, HopKey, Outcome, Route, Settings, Source, Spool, ToRoute, Wake,
    Work,
};
use world::sim::{SimChance, SimHandle};
use world::{Chance, World};

#[derive(Default)]
struct Outside {
    ready: Mutex<BTreeSet<HopId>>,
}

impl Recorder for Outside {
    fn record(&self, _: &Event<'_>) {}
}

impl Wake for Outside {
    fn ready(&self, hop: HopId) {
        self.ready.lock().unwrap().insert(hop);
    }
    fn due(&self) {}
}

impl Route for Outside {
    fn hops(&self, message: &ToRoute<'_>) -> Vec<HopKey> {
        message.envelope.recipients.iter().map(|to| hop(&to.address)).collect()
    }
}

fn hop(to: &Mailbox) -> HopKey {
    HopKey::Mx { connector: "out".into(), domain: to.domain().into() }
}

/// A node that has the journal open.
struct Owner {
    world: World,
    sim: SimHandle,
    spool: Spool,
    outside: Arc<Outside>,
    offers: Vec<Accepting>,
    hands: Vec<Work>,
}

/// What next hops have had, whoever sent it.
struct Story {
    chance: SimChance,
    /// Messages of which a next hop has, or may have, something whose outcome is not known to be there.
    sent: BTreeSet<MessageId>,
    promised: BTreeSet<MessageId>,
    arrived: BTreeMap<MessageId, u32>,
    log: Vec<String>,
}

const DIR: &str = "/copies/a/spool";
const JOURNAL: &str = "a/spool";
const ONE: Protection = Protection { copies: 1, when_short: WhenShort::Refuse };

fn settings(epoch: u32, canary: Canary) -> Settings {
    let mut settings = Settings::new("sim.test", Mailbox::parse("postmaster@sim.test", false).unwrap());
    settings.canary = canary;
    settings.journal.epoch = epoch;
    settings.journal.segment_bytes = 1 << 20;
    settings.journal.keep_free_bytes = 0;
    settings.poison_after = 100;
    settings
}

impl Owner {
    fn open(world: World, sim: SimHandle, epoch: u32, canary: Canary) -> Result<Owner, String> {
        let outside: Arc<Outside> = Arc::default();
        let wake = outside.clone();
        let spool =
            Spool::open_inline(&world, Path::new(DIR), settings(epoch, canary), wake.clone(), wake.clone(), wake);
        let spool = spool.map_err(|error| format!("the spool does not open: {error}"))?;
        Ok(Owner { world, sim, spool, outside, offers: Vec::new(), hands: Vec::new() })
    }

    /// What is in the spool.
    fn found(&self) -> BTreeSet<MessageId> {
        self.spool.messages(&Filter::default(), usize::MAX, None).iter().map(|view| view.id).collect()
    }

    /// One step of a deliverer: a hop fails, a message is sent and something comes of it, or nothing yet.
    fn deliver(&mut self, story: &mut Story) {
        let hop = self.outside.ready.lock().unwrap().pop_first();
        let Some(hop) = hop else { return };
        let max = 1 + story.chance.below(8) as usize;
        let works = self.spool.take(hop, max);
        if works.len() == max {
            self.outside.ready.lock().unwrap().insert(hop);
        }
        let reply = |code: u16, class: u8| Reply::new(code, Enhanced::new(class, 0, 0), "so it is");
        if story.chance.below(6) == 0 {
            story.log.push(format!("the hop fails with {} in hand", works.len()));
            return self.spool.hop_failed(hop, works, &Attempt::default(), &reply(421, 4));
        }
        for work in works {
            let id = work.id();
            match story.chance.below(8) {
                0 | 1 => {
                    story.log.push(format!("{id} is refused for now"));
                    self.spool.settle(work, &Attempt::default(), &[(0, Outcome::Deferred { reply: reply(450, 4) })]);
                }
                // Somewhere between the first command and the answer.
                2 => {
                    story.sent.insert(id);
                    self.hands.push(work);
                }
                _ => {
                    story.log.push(format!("{id} is delivered"));
                    story.sent.insert(id);
                    *story.arrived.entry(id).or_default() += 1;
                    self.spool.settle(
                        work,
                        &Attempt::default(),
                        &[(0, Outcome::Relayed { reply: reply(250, 2), dsn_offered: false })],
                    );
                }
            }
        }
    }

    fn offer(&mut self, story: &Story, protection: Protection) {
        let Ok(mut pending) = self.spool.begin(&Source { protection, ..Source::default() }) else { return };
        let _ = pending.push(b"Subject: x\r\n\r\nbody\r\n");
        let to = if story.chance.below(2) == 0 { "r@a.test" } else { "r@b.test" };
        let envelope = Envelope {
            from: ReversePath::Null,
            ret: None,
            envid: None,
            body: BodyKind::SevenBit,
            smtputf8: false,
            recipients: vec![Recipient::new(Mailbox::parse(to, false).unwrap())],
        };
        self.offers.push(pending.accept(envelope, Facts::default()));
    }

    fn answers(&mut self, story: &mut Story) {
        self.offers.retain_mut(|offer| match Pin::new(offer).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => true,
            Poll::Ready(answer) => {
                story.promised.extend(answer.ok().map(|receipt| receipt.id()));
                false
            }
        });
    }

    fn step(&mut self, story: &mut Story) {
        match story.chance.below(10) {
            0 | 1 => self.offer(story, ONE),
            2..=4 => self.deliver(story),
            5 => drop(self.hands.pop().map(|work| {
                let reply = Reply::new(250, Enhanced::new(2, 0, 0), "ok");
                *story.arrived.entry(work.id()).or_default() += 1;
                self.spool.settle(work, &Attempt::default(), &[(0, Outcome::Relayed { reply, dsn_offered: false })]);
            })),
            6 => {
                self.sim.clock.advance_ms([1, 20, 70_000, 310_000][story.chance.below(4) as usize]);
                self.spool.tick();
            }
            _ => drop(self.spool.pump()),
        }
        self.answers(story);
    }

    /// The process is gone; what it held does nothing more.
    fn die(self, power: bool) -> (World, SimHandle) {
        self.sim.disk.crash();
        let Owner { world, sim, spool, offers, hands, .. } = self;
        drop((spool, offers, hands));
        match power {
            true => sim.disk.reboot(),
            false => sim.disk.restart_process(),
        }
        (world, sim)
    }
}

impl Story {
    /// Right after opening: what is there again although somebody may have it, was named; how many were named.
    fn check(&mut self, owner: &Owner) -> Result<usize, String> {
        let found = owner.found();
        let named: BTreeSet<MessageId> = owner.spool.possible_duplicates().iter().copied().collect();
        if let Some(id) = found.iter().find(|id| self.sent.contains(id) && !named.contains(id)) {
            return Err(format!("{id} was sent, is there again, and was not named\n  {}", self.log.join("\n  ")));
        }
        let lost = self.promised.iter().find(|id| !found.contains(id) && !self.arrived.contains_key(id));
        match lost {
            Some(id) => Err(format!("{id} is LOST")),
            None => Ok(named.len()),
        }
    }
}

fn flow(owner: &Link, held: &HeldLink, copy: &HeldCopy, frames: u64) {
    owner.pump();
    copy.prepare();
    for _ in 0..frames {
        if let Some(frame) = owner.output() {
            held.receive(&frame.to_vec()).unwrap();
        }
        held.pump();
        if let Some(frame) = held.output() {
            owner.receive(&frame.to_vec()).unwrap();
        }
    }
}

/// One story. Gives how many messages were named, and how many were there again.
fn run(seed: u64, canary: Canary) -> Result<(usize, usize), String> {
    let mut story = Story {
        chance: SimChance::new(seed ^ 0xD0_0B1E),
        sent: BTreeSet::new(),
        promised: BTreeSet::new(),
        arrived: BTreeMap::new(),
        log: Vec::new(),
    };
    let (world, sim) = World::simulated(seed);
    let mut owner = Owner::open(world, sim, 1, canary)?;
    let (holder, holder_sim) = World::simulated(seed + 1_000_000);
    let copy = HeldCopy::open(&holder, Path::new(DIR), JOURNAL, settings(0, canary).journal).unwrap();
    let wake: Arc<dyn Fn() + Send + Sync> = Arc::new(|| {});
    let (link, held) = (owner.spool.copies().attach(JOURNAL, "b", wake.clone()), copy.link(wake));
    for _ in 0..200 {
        owner.spool.pump();
        flow(&link, &held, &copy, 4);
    }
    owner.spool.copies().set_level(&["b"], 1);
    for _ in 0..100 + story.chance.below(400) {
        if story.chance.below(3) == 0 {
            flow(&link, &held, &copy, 1 + story.chance.below(3));
        } else {
            owner.step(&mut story);
        }
    }
    // A 250 that the client may have had counts.
    owner.answers(&mut story);
    story.log.push("the owner is gone".into());
    drop(owner.die(true));
    drop((link, held));
    copy.hand_over().map_err(|error| format!("the copy is not handed over: {error:?}"))?;
    drop(copy);
    let again = |owner: &Owner, story: &Story| owner.found().iter().filter(|id| story.sent.contains(id)).count();
    holder_sim.disk.crash();
    holder_sim.disk.reboot();
    let mut taker = Owner::open(holder, holder_sim, 256, canary)?;
    let (mut named, mut repeated) = (story.check(&taker)?, again(&taker, &story));
    // It goes on alone, and dies with or without the power.
    for power in [false, true] {
        for _ in 0..story.chance.below(150) {
            taker.step(&mut story);
        }
        story.log.push("the taker dies".into());
        let (world, sim) = taker.die(power);
        taker = Owner::open(world, sim, 257, canary)?;
        named += story.check(&taker)?;
        repeated += again(&taker, &story);
    }
    Ok((named, repeated))
}

#[test]
fn what_a_taker_repeats_was_named() {
    let (mut named, mut repeated) = (0, 0);
    for seed in tests::sim::seeds(300) {
        let (n, r) = run(seed, Canary::None).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        (named, repeated) = (named + n, repeated + r);
    }
    println!("{named} named, {repeated} of them had been sent");
    assert!(repeated > 0 || tests::sim::seeds(300).count() == 1, "nothing was put to the test");
}

#[test]
fn a_spool_that_names_too_little_is_caught() {
    for canary in [Canary::StartsUnsynced, Canary::StartsHere, Canary::StartsUnnoted] {
        let caught = (0..300).find_map(|seed| run(seed, canary).err());
        println!("{canary:?}: {}", caught.as_deref().unwrap_or("-").lines().next().unwrap_or("-"));
        assert!(caught.is_some_and(|error| error.contains("was not named")), "{canary:?} went unnoticed");
    }
}
