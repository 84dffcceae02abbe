//! Every order of events that a few nodes, one etcd and some trouble can have, within a budget of trouble: checked by
//! stateright on the seats that run in production, not on a description of them.
//!
//! What must hold, and when: each disk of the owner and of the level set that is not lost has every protected entry. So an entry
//! is lost only with *all* of these disks. Two protocols broken on purpose per kind of promise show that the checker sees it.
//! `MODEL=deep` takes a larger budget where that ends (a million states, a minute); `./test --nightly` does.
#![allow(clippy::unwrap_used, missing_docs)] // a test

mod world;

use cluster::ownership::Input;
use cluster::record::Member;
use stateright::{Checker, Model, Property};
use std::collections::BTreeSet;
use std::time::Duration;
use world::{Budget, Fault, World};

/// One thing that happens.
#[derive(Clone, Debug, PartialEq)]
enum Act {
    See(usize),
    StartAlone(usize),
    Decide(usize),
    DecideLate(usize),
    Arrive(usize),
    GiveUp(usize),
    Expire(i64),
    Grant(usize),
    Write(usize),
    Sync(usize),
    Copy(usize, usize),
    Level(usize, Vec<Member>),
    MayGoAlone(usize),
    Guard(usize),
    Crash(usize),
    Start(usize),
    LoseDisk(usize),
    HandOver(usize, String),
    Keep(usize),
}

/// A model and the state that it begins in.
#[derive(Clone)]
struct Protocol {
    start: World,
}

impl Model for Protocol {
    type State = World;
    type Action = Act;

    fn init_states(&self) -> Vec<World> {
        vec![self.start.clone()]
    }

    fn actions(&self, world: &World, acts: &mut Vec<Act>) {
        if world.wrong.is_some() {
            return;
        }
        acts.extend((0..world.flying.len()).map(Act::Decide));
        if world.left.lost_answers > 0 {
            acts.extend((0..world.flying.len()).map(Act::DecideLate));
        }
        for n in 0..world.nodes.len() {
            if world.nodes[n].up { up(world, n, acts) } else { down(world, n, acts) }
        }
        // The lease of a process that is gone ends some day; that of a living one only when it is cut off.
        for lease in &world.etcd.leases {
            let lives = world.nodes.iter().any(|node| node.lease == Some(*lease));
            if world.etcd.holder == Some(*lease) && (!lives || world.left.expiries > 0) {
                acts.push(Act::Expire(*lease));
            }
        }
    }

    fn next_state(&self, last: &World, act: Act) -> Option<World> {
        let mut world = last.clone();
        match act {
            Act::See(n) => world.see(n),
            Act::StartAlone(n) => {
                world.left.lonely_starts -= 1;
                world.start_alone(n);
            }
            Act::Decide(at) => {
                let n = world.flying[at].0;
                world.decide(at);
                world.arrive(n);
            }
            Act::DecideLate(at) => {
                world.left.lost_answers -= 1;
                world.decide(at);
            }
            Act::Arrive(n) => world.arrive(n),
            Act::GiveUp(n) => {
                // An answer that is late has been paid for.
                world.left.lost_answers -= u8::from(world.nodes[n].answer.is_none());
                world.give_up(n);
            }
            Act::Expire(lease) => {
                let lives = world.nodes.iter().any(|node| node.lease == Some(lease));
                world.left.expiries -= u8::from(lives);
                world.expire(lease);
            }
            Act::Grant(n) => world.grant(n),
            Act::Write(n) => {
                world.left.entries -= 1;
                world.write(n);
            }
            Act::Sync(n) => world.sync(n),
            Act::Copy(from, to) => world.copy(from, to),
            Act::Level(n, level) => {
                world.left.levels -= 1;
                world.step(n, Input::Level(level));
            }
            Act::MayGoAlone(n) => {
                world.left.alone -= 1;
                world.step(n, Input::MayGoAlone(true));
            }
            Act::Guard(n) => drop(world.guard(n)),
            Act::Crash(n) => {
                world.left.crashes -= 1;
                world.crash(n);
            }
            Act::Start(n) => world.start(n),
            Act::LoseDisk(n) => {
                world.left.disks -= 1;
                world.lose_disk(n);
            }
            Act::HandOver(n, to) => {
                world.left.hand_overs -= 1;
                world.nodes[n].quiet = true;
                let at = world.written(n).len() as u64;
                world.step(n, Input::HandOver { to, at });
            }
            Act::Keep(n) => world.step(n, Input::Keep),
        }
        world.tidy();
        (world != *last).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Protocol>> {
        vec![
            Property::always("nothing forbidden happened", |_, world: &World| world.wrong.is_none()),
            Property::always("what is protected is on each disk that counts", |_, world: &World| {
                world.protected_is_kept()
            }),
            Property::always("who owns has what is protected", |_, world: &World| world.writer_has_all()),
            Property::sometimes(TAKEN, |_, world: &World| world.seen.taken > 0),
            Property::sometimes(TAKEN_TWICE, |_, world: &World| world.seen.taken > 1),
            Property::sometimes(HANDED_OVER, |_, world: &World| world.seen.handed_over),
            Property::sometimes(RETURNED, |_, world: &World| world.seen.returned),
            Property::sometimes(ALONE, |_, world: &World| world.seen.alone),
            Property::sometimes(NOT_ALONE, |_, world: &World| {
                let is_alone = world.etcd.record.as_ref().is_some_and(|(_, record)| record.alone);
                world.seen.alone && !is_alone && world.protected.len() > 1
            }),
        ]
    }
}

/// What a model must reach, or it shows nothing.
const TAKEN: &str = "a journal is taken over";
const TAKEN_TWICE: &str = "and taken over again";
const HANDED_OVER: &str = "a journal is handed over";
const RETURNED: &str = "an old owner learns what was taken";
const ALONE: &str = "an owner goes on alone";
const NOT_ALONE: &str = "and what comes after that is protected again";
const REACHED: [&str; 6] = [TAKEN, TAKEN_TWICE, HANDED_OVER, RETURNED, ALONE, NOT_ALONE];

/// What a running node may do or meet.
fn up(world: &World, n: usize, acts: &mut Vec<Act>) {
    let (node, left) = (&world.nodes[n], &world.left);
    let owns = node.writing.is_some();
    acts.push(Act::See(n));
    if node.answer.is_some() {
        acts.push(Act::Arrive(n));
    }
    let asked = world.flying.iter().any(|(from, process, _)| (*from, *process) == (n, node.process));
    if left.lost_answers > 0 && asked || node.answer.is_some() {
        acts.push(Act::GiveUp(n));
    }
    if node.lease.is_none_or(|lease| !world.etcd.leases.contains(&lease)) {
        acts.push(Act::Grant(n));
    }
    if left.lonely_starts > 0 && !owns && node.disk.as_ref().is_some_and(|disk| disk.local.owner) {
        acts.push(Act::StartAlone(n));
    }
    if owns {
        if left.entries > 0 && node.unsynced.is_none() && !node.quiet {
            acts.push(Act::Write(n));
        }
        if node.unsynced.is_some() {
            acts.push(Act::Sync(n));
        }
        acts.extend((0..world.nodes.len()).filter(|to| world.can_copy(n, *to)).map(|to| Act::Copy(n, to)));
        if node.demand.is_some() {
            acts.push(Act::Guard(n));
        }
        if left.levels > 0 {
            let level = world.level_now(n);
            for some in 0..1_usize << level.len() {
                let chosen = level.iter().enumerate().filter(|(i, _)| some >> i & 1 == 1);
                acts.push(Act::Level(n, chosen.map(|(_, member)| member.clone()).collect()));
            }
        }
        if left.alone > 0 {
            acts.push(Act::MayGoAlone(n));
        }
        if left.hand_overs > 0 && node.unsynced.is_none() && !node.quiet {
            let others = world.nodes.iter().filter(|other| other.me.node != node.me.node);
            acts.extend(others.map(|other| Act::HandOver(n, other.me.node.clone())));
        }
        if node.quiet {
            acts.push(Act::Keep(n));
        }
    }
    if left.crashes > 0 && node.seat.is_some() {
        acts.push(Act::Crash(n));
    }
}

fn down(world: &World, n: usize, acts: &mut Vec<Act>) {
    acts.push(Act::Start(n));
    if world.left.disks > 0 && world.nodes[n].disk.is_some() {
        acts.push(Act::LoseDisk(n));
    }
}

const CALM: Budget = Budget {
    entries: 0,
    crashes: 0,
    disks: 0,
    expiries: 0,
    lost_answers: 0,
    levels: 0,
    hand_overs: 0,
    lonely_starts: 0,
    alone: 0,
};

/// Looks at every state within the budget. Returns what was reached, or what does not hold and the way there.
fn explore(start: World) -> Result<BTreeSet<&'static str>, String> {
    let checker = Protocol { start }
        .checker()
        .threads(2)
        .timeout(Duration::from_secs(if deep_wanted() { 1_800 } else { 120 }))
        .spawn_bfs()
        .join();
    let (reached, broken): (Vec<_>, Vec<_>) =
        checker.discoveries().into_iter().partition(|(name, _)| REACHED.contains(name));
    if let Some((name, path)) = broken.into_iter().next() {
        let last = path.last_state().clone();
        let acts: Vec<Act> = path.into_actions();
        return Err(format!("'{name}' does not hold ({:?}) after {acts:?}\n{last:#?}", last.wrong));
    }
    assert!(checker.is_done(), "not all states were seen: make the budget smaller");
    println!("{} states", checker.unique_state_count());
    Ok(reached.into_iter().map(|(name, _)| name).collect())
}

fn check(start: World, must_reach: &[&str]) {
    let reached = explore(start).unwrap_or_else(|why| panic!("{why}"));
    for what in must_reach {
        assert!(reached.contains(what), "never: {what}");
    }
}

/// A protocol that is broken on purpose must be seen to be broken.
fn must_be_caught(start: World) {
    let fault = start.fault;
    match explore(start) {
        Ok(_) => panic!("{fault:?} went unnoticed"),
        Err(why) => println!("{fault:?}: {}", why.lines().next().unwrap_or_default()),
    }
}

fn deep_wanted() -> bool {
    std::env::var("MODEL").is_ok_and(|depth| depth == "deep")
}

fn deep(deep: Budget, quick: Budget) -> Budget {
    if deep_wanted() { deep } else { quick }
}

#[test]
fn two_nodes_from_nothing() {
    let quick = Budget { entries: 1, crashes: 1, levels: 1, ..CALM };
    let large = Budget { entries: 1, crashes: 1, expiries: 1, levels: 1, lost_answers: 1, ..CALM };
    check(World::new(2, deep(large, quick), Fault::None), &[TAKEN, RETURNED]);
}

#[test]
fn an_owner_dies_is_cut_off_and_returns() {
    let budget = Budget { entries: 1, crashes: 2, expiries: 1, ..CALM };
    check(World::settled(2, budget, Fault::None), &[TAKEN, RETURNED]);
}

#[test]
fn answers_are_lost_or_late() {
    let budget = Budget { entries: 1, crashes: 1, expiries: 1, lost_answers: 1, ..CALM };
    check(World::settled(2, budget, Fault::None), &[TAKEN, RETURNED]);
}

#[test]
fn a_disk_is_lost_and_the_set_changes() {
    let budget = Budget { entries: 1, crashes: 2, disks: 1, levels: 2, ..CALM };
    check(World::settled(2, budget, Fault::None), &[TAKEN, TAKEN_TWICE, RETURNED]);
}

#[test]
fn two_candidates_and_the_taker_dies_too() {
    let budget = Budget { crashes: 2, disks: 1, ..CALM };
    check(World::settled(3, budget, Fault::None), &[TAKEN, TAKEN_TWICE, RETURNED]);
}

#[test]
fn a_hand_over_with_trouble() {
    let budget = Budget { entries: 1, crashes: 1, lost_answers: 1, hand_overs: 1, ..CALM };
    check(World::settled(2, budget, Fault::None), &[TAKEN, HANDED_OVER]);
}

#[test]
fn a_start_without_etcd() {
    let budget = Budget { entries: 2, crashes: 2, lonely_starts: 1, ..CALM };
    check(World::settled(2, budget, Fault::None), &[TAKEN, RETURNED]);
}

#[test]
fn an_owner_goes_on_alone_and_its_copy_returns() {
    let budget = Budget { entries: 1, crashes: 1, levels: 2, alone: 1, ..CALM };
    check(World::settled(2, budget, Fault::None), &[TAKEN, RETURNED, ALONE, NOT_ALONE]);
}

#[test]
fn broken_protocols_are_caught() {
    let budget = Budget { entries: 1, crashes: 1, levels: 1, ..CALM };
    must_be_caught(World::settled(2, Budget { levels: 0, ..budget }, Fault::ForgetTheDead));
    must_be_caught(World::settled(2, Budget { crashes: 2, disks: 1, ..budget }, Fault::DiskBlind));
    must_be_caught(World::settled(2, Budget { crashes: 0, expiries: 1, ..budget }, Fault::NoFence));
    must_be_caught(World::settled(2, Budget { crashes: 2, disks: 1, ..budget }, Fault::LevelBlind));
    must_be_caught(World::settled(2, Budget { crashes: 0, expiries: 1, ..budget }, Fault::NeverFrozen));
    must_be_caught(World::settled(2, Budget { entries: 2, crashes: 2, levels: 0, ..budget }, Fault::SameEpoch));
    must_be_caught(World::settled(2, Budget { alone: 1, ..budget }, Fault::AloneCounts));
    must_be_caught(World::settled_with(3, 2, Budget { crashes: 0, ..budget }, Fault::GuardAtOnce));
}
