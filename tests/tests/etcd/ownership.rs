//! Ownership against a real etcd: claim, take-over, return, hand-over, races, and etcd that is away.

use crate::nodes::{Actor, BOUND, announced, copy, journal, member, node, node_with_disk, own, record};
use cluster::Announced;
use cluster::etcd::Txn;
use cluster::ownership::{Effect, Event, Input};
use cluster::record::{Holder, Member, Record, Taken, term};
use std::time::Duration;
use tests::etcd::Etcd;
use tokio::time::{sleep, timeout};
use world::{Clock, RealClock};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_dies_and_returns() {
    let etcd = Etcd::start(1);
    etcd.client().await;
    let (a, b) = (node(&etcd, "a"), node(&etcd, "b"));
    let mut owner = Actor::new(&a, own(0), 0);
    assert_eq!(owner.owns().await, 256);
    owner.handle.tell(Input::Level(vec![member("b")]));
    owner.level_is(1).await;
    let guards = owner.log.iter().filter_map(|effect| match effect {
        Effect::Guard { require, counted, .. } => Some((require.len(), *counted)),
        _ => None,
    });
    assert_eq!(guards.collect::<Vec<_>>(), [(0, 0), (1, 0)], "b is asked for before it counts");
    let mut taker = Actor::new(&b, copy(), 4_711);

    let died = RealClock.mono_ms();
    drop(owner);
    drop(a);
    assert_eq!(taker.owns().await, 512);
    let after_ms = RealClock.mono_ms() - died;
    println!("taken over {after_ms} ms after the owner's end, with a time to live of 2 s");
    assert!(after_ms < 4_000);
    let (now, holder) = record(&b).await;
    let now = now.unwrap();
    assert_eq!((&now.owner, now.epoch, now.level.len()), (&member("b"), 512, 0));
    assert!(holder.is_some());

    // Its old owner is back with the disk that it had, and with another journal on another disk at the same time.
    let a = node(&etcd, "a");
    let mut old = Actor::new(&a, own(256), 0);
    let lost = old.until("it learns what was taken", |e| matches!(e, Effect::Lost { .. })).await;
    let taken = Taken { at: 4_711, epoch: 256 };
    assert_eq!(lost, Effect::Lost { to: member("b"), epoch: 512, taken, handed_over: false });
    old.handle.tell(Input::Dropped);
    sleep(Duration::from_millis(200)).await;
    assert!(record(&b).await.0.is_some(), "the taker still needs it");
    taker.handle.tell(Input::Drained);
    taker.until("the taker is done", |e| *e == Effect::Delete).await;
    old.until("so is the old owner", |e| *e == Effect::Delete).await;
    assert_eq!(record(&b).await, (None, None), "nothing stays behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_candidates_race_100_times_and_one_wins() {
    let etcd = Etcd::start(1);
    let client = etcd.client().await;
    let (b, c) = (node(&etcd, "b"), node(&etcd, "c"));
    announced(&b, "b is there", |a| matches!(a, Announced::Under(_))).await;
    announced(&c, "c is there", |a| matches!(a, Announced::Under(_))).await;
    let (keys, mut epoch, mut wins) = (b.keys().clone(), 256, [0, 0]);
    for round in 0..100 {
        let mut orphan = Record::new(crate::nodes::ID, member("a"));
        (orphan.epoch, orphan.level) = (epoch, vec![member("b"), member("c")]);
        let value = serde_json::to_vec(&orphan).unwrap();
        let txn = Txn::new().put(&keys.journal(&journal()), &value, 0).delete(&keys.holder(&journal()));
        assert!(client.decide(&txn).await.unwrap().done);
        let (mut first, mut second) = (Actor::new(&b, copy(), 1), Actor::new(&c, copy(), 1));
        // Both are past the point of no return when one of them has closed its copy after the other; each must come to an end.
        // One that has not heard of this round's orphan yet is beaten by who wrote it, looks again, and goes on.
        let ended = |effect: &Effect| match effect {
            Effect::Own { .. } | Effect::Thaw => true,
            Effect::Say(Event::Beaten { by }) => by.node != "a",
            _ => false,
        };
        let (one, two) = timeout(BOUND, async {
            let mut ends = (None, None);
            while ends.0.is_none() || ends.1.is_none() {
                tokio::select! {
                    effect = first.next(), if ends.0.is_none() => if ended(&effect) { ends.0 = Some(effect) },
                    effect = second.next(), if ends.1.is_none() => if ended(&effect) { ends.1 = Some(effect) },
                    // One that had not closed its copy yet when the other won has nothing to tell.
                    () = sleep(Duration::from_millis(300)), if ends.0.is_some() || ends.1.is_some() => break,
                }
            }
            ends
        })
        .await
        .unwrap_or_else(|_| panic!("round {round} ends: {:?} {:?}", first.log, second.log));
        let won = |end: &Option<Effect>| matches!(end, Some(Effect::Own { .. }));
        assert!(won(&one) != won(&two), "round {round}: {one:?} {two:?}");
        wins[usize::from(won(&two))] += 1;
        let now = record(&b).await.0.unwrap();
        assert_eq!(now.owner, if won(&one) { member("b") } else { member("c") });
        assert_eq!(term(now.epoch), term(epoch) + 1, "one decision, one epoch");
        epoch = now.epoch;
    }
    println!("b won {}, c won {}", wins[0], wins[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_is_away_longer_than_the_lease() {
    let etcd = Etcd::start(1);
    etcd.client().await;
    let a = node(&etcd, "a");
    let mut owner = Actor::new(&a, own(0), 0);
    owner.owns().await;
    owner.handle.tell(Input::Level(vec![member("b")]));
    owner.level_is(1).await;
    let (_, before) = record(&a).await;
    etcd.signal(0, "STOP");
    owner.until("it is told", |e| *e == Effect::Say(Event::LeaseLost)).await;
    etcd.signal(0, "CONT");
    // Nobody has taken it: the same epoch goes on under a new lease.
    let start = RealClock.mono_ms();
    loop {
        let (now, holder) = record(&a).await;
        if holder.is_some() && holder != before {
            assert_eq!(now.unwrap().epoch, 256);
            break;
        }
        assert!(RealClock.mono_ms() - start < BOUND.as_millis() as u64, "the sign of life is back");
        sleep(Duration::from_millis(50)).await;
    }
    assert!(!owner.log.iter().any(|effect| matches!(effect, Effect::Lost { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_etcd_is_confirmed_later() {
    let etcd = Etcd::start(1);
    let a = node(&etcd, "a");
    etcd.client().await;
    let mut owner = Actor::new(&a, own(0), 0);
    owner.owns().await;
    drop((owner, a));
    etcd.signal(0, "STOP");
    let a = node(&etcd, "a");
    let mut owner = Actor::new(&a, own(256), 0);
    let alone = owner.until("it goes on", |e| matches!(e, Effect::Own { .. })).await;
    assert_eq!(
        alone,
        Effect::Own { epoch: 257, confirmed: false, taken: false, doubtful: false },
        "under an epoch of its own"
    );
    etcd.signal(0, "CONT");
    let confirmed = owner.until("it is confirmed", |e| matches!(e, Effect::Own { confirmed: true, .. })).await;
    assert_eq!(confirmed, Effect::Own { epoch: 512, confirmed: true, taken: false, doubtful: false });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planned_hand_over_waits_for_the_last_byte() {
    let etcd = Etcd::start(1);
    etcd.client().await;
    let (a, b) = (node(&etcd, "a"), node(&etcd, "b"));
    let mut owner = Actor::new(&a, own(0), 0);
    owner.owns().await;
    owner.handle.tell(Input::HandOver { to: "b".into(), at: 10 });
    owner.until("b is not level", |e| *e == Effect::Kept).await;
    owner.handle.tell(Input::Level(vec![member("b")]));
    owner.level_is(1).await;
    let mut taker = Actor::new(&b, copy(), 9);
    owner.handle.tell(Input::HandOver { to: "b".into(), at: 10 });
    taker.until("its copy ends too early", |e| *e == Effect::Thaw).await;
    taker.end.at = 10;
    assert_eq!(taker.owns().await, 512);
    let lost = owner.until("it was handed over", |e| matches!(e, Effect::Lost { .. })).await;
    assert!(matches!(lost, Effect::Lost { handed_over: true, taken: Taken { at: 10, .. }, .. }), "{lost:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_is_one_nodes() {
    let etcd = Etcd::start(1);
    etcd.client().await;
    let a = node(&etcd, "a");
    announced(&a, "a is there", |a| matches!(a, Announced::Under(_))).await;
    let other = node_with_disk(&etcd, Member { node: "a".into(), disk: 999 });
    announced(&other, "the name is in use", |a| *a == Announced::Clash).await;
    a.announce(|record| record.health = "draining".into());
    let mut view = other.view();
    let draining =
        timeout(BOUND, view.wait_for(|view| view.nodes.get("a").is_some_and(|n| n.health == "draining"))).await;
    draining.expect("the others see the change").unwrap();
    a.leave().await;
    announced(&other, "the name is free at once", |a| matches!(a, Announced::Under(_))).await;

    // A node whose disk was replaced does not get the journal of the old one, and does not keep it from those who may.
    let value = |holder: &Holder| serde_json::to_vec(holder).unwrap();
    let holder = Holder { member: member("a"), epoch: 256 };
    let mut there = Record::new(crate::nodes::ID, member("a"));
    (there.epoch, there.level) = (256, vec![member("b")]);
    let (client, keys) = (other.client(), other.keys());
    let txn = Txn::new().put(&keys.journal(&journal()), &serde_json::to_vec(&there).unwrap(), 0).put(
        &keys.holder(&journal()),
        &value(&holder),
        0,
    );
    client.decide(&txn).await.unwrap();
    let mut new = Actor {
        handle: other.seat(journal(), cluster::ownership::Local { id: 1, ..own(0) }),
        end: Taken::default(),
        log: vec![],
    };
    new.until("it needs another name", |e| *e == Effect::NameTaken).await;
    assert_eq!(record(&other).await.0, Some(there));
}
