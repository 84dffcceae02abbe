//! A spool whose journal has a copy on another node: what a receipt waits for, what is refused, and what a taker finds.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::task::Poll;

use common::*;
use journal::copies::{HeldCopy, HeldLink, Link};
use mail::{Protection, WhenShort};
use spool::*;
use world::World;
use world::sim::SimHandle;

const DIR: &str = "/copies/a/spool";
const JOURNAL: &str = "a/spool";

/// The holder of a copy, and both ends of the link to it.
struct Holder {
    world: World,
    sim: SimHandle,
    copy: HeldCopy,
    ends: Option<(Link, HeldLink)>,
}

impl Holder {
    fn of(node: &Node) -> Holder {
        let (world, sim) = World::simulated(11);
        let copy = HeldCopy::open(&world, Path::new(DIR), JOURNAL, node.settings.journal.clone()).unwrap();
        let wake: Arc<dyn Fn() + Send + Sync> = Arc::new(|| {});
        let ends = (node.spool.copies().attach(JOURNAL, "b", wake.clone()), copy.link(wake));
        let holder = Holder { world, sim, copy, ends: Some(ends) };
        holder.run(node);
        node.spool.copies().set_level(&["b"], 1);
        holder
    }

    /// Lets both ends work until nothing moves.
    fn run(&self, node: &Node) {
        let Some((owner, held)) = &self.ends else { return };
        for _ in 0..200 {
            node.spool.pump();
            let mut moved = owner.pump() | self.copy.prepare();
            while let Some(frame) = owner.output() {
                held.receive(&frame.to_vec()).unwrap();
                moved = true;
            }
            moved |= held.pump();
            while let Some(frame) = held.output() {
                owner.receive(&frame.to_vec()).unwrap();
                moved = true;
            }
            if !moved {
                return;
            }
        }
        panic!("the link does not come to rest");
    }
}

fn offer(node: &Node, protection: Protection) -> Result<Accepting, Refused> {
    let mut pending = node.spool.begin(&Source { protection, ..Source::default() })?;
    assert_eq!(pending.push(BODY), Push::GoOn);
    let mut accepting = pending.accept(envelope("s@here.test", &["r@a.test"]), Facts::default());
    assert!(poll(&mut accepting).is_pending(), "the mark is on its way");
    Ok(accepting)
}

const ONE: Protection = Protection { copies: 1, when_short: WhenShort::Refuse };
const ONE_IF_POSSIBLE: Protection = Protection { copies: 1, when_short: WhenShort::Accept };

#[test]
fn g16_a_receipt_waits_for_the_copy_if_its_connector_asks_for_one() {
    let node = Node::new(settings());
    assert_eq!(offer(&node, ONE).err(), Some(Refused::Short), "nobody has a copy");
    let holder = Holder::of(&node);
    let mut protected = offer(&node, ONE).unwrap();
    let mut plain = offer(&node, Protection::default()).unwrap();
    node.pump();
    assert!(matches!(poll(&mut plain), Poll::Ready(Ok(receipt)) if receipt.copies() == 0));
    assert!(poll(&mut protected).is_pending(), "synced here, and not there");
    holder.run(&node);
    assert!(matches!(poll(&mut protected), Poll::Ready(Ok(receipt)) if receipt.copies() == 1));
}

#[test]
fn g16_what_is_refused_for_want_of_copies_is_not_kept() {
    let mut node = Node::new(settings());
    let holder = Holder::of(&node);
    node.pump();
    let mut accepting = offer(&node, ONE).unwrap();
    node.pump();
    assert!(poll(&mut accepting).is_pending());
    assert_eq!(accepting.stop_waiting(), Err(AcceptError::Short));
    // The copy goes while the mark is on its way: the commit is answered without it.
    let mut accepting = offer(&node, ONE).unwrap();
    node.pump();
    node.spool.copies().set_level(&[], 0);
    assert!(matches!(poll(&mut accepting), Poll::Ready(Err(AcceptError::Short))));
    assert!(node.messages().is_empty());
    drop(holder);
    node.rest();
    node.die(true);
    assert!(node.messages().is_empty(), "buried");
}

#[test]
fn g16_a_connector_may_take_mail_without_the_copies_it_asks_for() {
    let node = Node::new(settings());
    let holder = Holder::of(&node);
    let mut accepting = offer(&node, ONE_IF_POSSIBLE).unwrap();
    node.pump();
    assert!(poll(&mut accepting).is_pending());
    let receipt = accepting.stop_waiting().unwrap();
    assert_eq!((receipt.copies(), node.messages()), (0, vec![receipt.id()]));
    holder.run(&node);
    assert_eq!(node.messages().len(), 1, "the copy comes late, and nothing happens twice");
}

#[test]
fn g17_a_taker_finds_every_protected_message_and_the_old_owner_promises_nothing_more() {
    let node = Node::new(settings());
    let mut holder = Holder::of(&node);
    let mut kept = Vec::new();
    for _ in 0..20 {
        let mut accepting = offer(&node, ONE).unwrap();
        node.pump();
        holder.run(&node);
        let Poll::Ready(Ok(receipt)) = poll(&mut accepting) else { panic!("no receipt") };
        kept.push(receipt.id());
    }
    let done = node.spool.take(node.hop("a.test"), 1).pop().unwrap();
    kept.retain(|id| *id != done.id());
    node.spool.settle(done, &Attempt::default(), &[(0, delivered())]);
    node.rest();
    holder.run(&node);

    let taken_at = holder.copy.hand_over().unwrap();
    holder.ends = None;
    holder.sim.disk.crash();
    holder.sim.disk.reboot();
    let mut settings = node.settings.clone();
    settings.journal.epoch += 1;
    let outside: Arc<Outside> = Arc::default();
    let taken =
        Spool::open_inline(&holder.world, Path::new(DIR), settings, outside.clone(), outside.clone(), outside).unwrap();
    assert!(taken.copies().tail() >= taken_at);
    taken.stop_accepting();
    assert_eq!(taken.begin(&Source::default()).err(), Some(Refused::Stopping), "it is drained, and takes no mail");
    let mut found: Vec<_> = taken.messages(&Filter::default(), 100, None).iter().map(|view| view.id).collect();
    found.sort_unstable();
    kept.sort_unstable();
    assert_eq!(found, kept);
    let hop = taken.queue_named("mx:out:a.test").unwrap();
    assert_eq!(taken.take(hop, 100).len(), kept.len());

    let mut late = offer(&node, ONE).unwrap();
    node.pump();
    assert!(poll(&mut late).is_pending());
    assert_eq!(late.stop_waiting(), Err(AcceptError::Short), "the old owner waits for a copy that will not answer");
}

#[test]
fn g17_an_old_owner_that_comes_back_keeps_only_what_the_taker_cannot_have() {
    let mut node = Node::new(settings());
    let mut holder = Holder::of(&node);
    let mut accepting = offer(&node, ONE).unwrap();
    node.pump();
    holder.run(&node);
    assert!(matches!(poll(&mut accepting), Poll::Ready(Ok(_))));
    // The copy gets a part of one more, and nothing of another.
    let mut half = node.spool.begin(&Source { protection: ONE_IF_POSSIBLE, ..Source::default() }).unwrap();
    assert_eq!(half.push(&[b'x'; 200_000]), Push::GoOn);
    node.pump();
    holder.run(&node);
    let taken_at = holder.copy.hand_over().unwrap();
    holder.ends = None;
    let mut half = half.accept(envelope("s@here.test", &["r@a.test"]), Facts::default());
    assert!(poll(&mut half).is_pending());
    let late = offer(&node, ONE_IF_POSSIBLE).unwrap();
    node.pump();
    let mut ours = vec![half.stop_waiting().unwrap().id(), late.stop_waiting().unwrap().id()];
    ours.sort_unstable();
    node.die(true);
    assert_eq!(node.messages().len(), 3);
    node.settings.taken = Some(Taken { at: taken_at, epoch: 0 });
    node.die(false);
    assert_eq!(node.messages(), ours, "the one whose mark the taker has is the taker's");
    node.rest();
    node.settings.taken = None;
    node.die(true);
    assert_eq!(node.messages(), ours, "and stays so");
}

/// The owner loses what it had not synced, goes on alone, and writes over positions that the copy has filled with something else.
#[test]
fn g17_what_an_old_owner_wrote_under_a_higher_epoch_is_its_own_wherever_it_stands() {
    let mut settings = settings();
    // Without an empty segment at hand a restart goes on in the one that there is.
    settings.journal.max_bytes = Some(settings.journal.segment_bytes);
    settings.journal.reserve_segments = 0;
    let mut node = Node::new(settings);
    let mut holder = Holder::of(&node);
    let mut accepting = offer(&node, ONE).unwrap();
    node.pump();
    holder.run(&node);
    assert!(matches!(poll(&mut accepting), Poll::Ready(Ok(_))));
    // The copy gets, and syncs, far more than the owner's disk will have kept.
    let mut large = node.spool.begin(&Source { protection: ONE, ..Source::default() }).unwrap();
    for _ in 0..20 {
        let _ = large.push(&[b'x'; 100_000]);
        node.spool.pump();
        holder.run(&node);
        assert!(poll(&mut Box::pin(large.room())).is_ready());
    }
    let taken_at = holder.copy.hand_over().unwrap();
    holder.ends = None;
    drop((accepting, large));
    node.settings.journal.epoch = 1;
    node.die(true);
    let alone: Vec<_> = (0..3)
        .map(|_| {
            let accepting = offer(&node, ONE_IF_POSSIBLE).unwrap();
            node.pump();
            accepting.stop_waiting().unwrap().id()
        })
        .collect();
    assert!(node.spool.copies().tail() < taken_at, "the positions are those of the copy");
    node.settings.taken = Some(Taken { at: taken_at, epoch: 0 });
    node.settings.journal.epoch = 2;
    node.die(true);
    let mut kept = node.messages();
    kept.sort_unstable();
    let mut ours = alone;
    ours.sort_unstable();
    assert_eq!(kept, ours);
}
