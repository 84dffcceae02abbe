//! The guarantees of `docs/custody.md`, one test each, named after their numbers. The simulation (`tests/tests/sim_spool`) proves
//! them once more, all together and with everything going wrong.
#![allow(clippy::unwrap_used)]

mod common;

use std::task::Poll;

use common::*;
use mail::{Notify, Ret};
use spool::*;

#[test]
fn g1_no_receipt_before_the_sync() {
    let node = Node::new(settings());
    node.pump();
    let mut accepting = node.offer(envelope("s@here.test", &["r@a.test"]), BODY);
    assert!(poll(&mut accepting).is_pending(), "nothing was synced yet");
    node.sim.disk.change_faults(|faults| faults.sync_fails_after = Some(1));
    node.pump();
    assert!(matches!(poll(&mut accepting), Poll::Ready(Err(_))), "a failed sync is no custody");
    assert!(node.messages().is_empty() && node.world.disk.aborted());
}

#[test]
fn g2_what_has_a_receipt_survives_power_cut_whole() {
    let mut node = Node::new(settings());
    let large: Vec<u8> = (0..40_000).flat_map(|n| format!("line {n}\r\n").into_bytes()).collect();
    let small = node.accept(envelope("s@here.test", &["r@a.test"]), BODY).id();
    let big = node.accept(envelope("s@here.test", &["r@b.test"]), &large).id();
    let empty = node.accept(envelope("s@here.test", &["r@c.test"]), b"").id();
    node.die(true);
    assert_eq!(node.messages().len(), 3);
    for (domain, id, body) in [("a.test", small, BODY), ("b.test", big, &large), ("c.test", empty, b"")] {
        let work = node.take_one(domain);
        assert_eq!((work.id(), work.envelope().from.as_str()), (id, "s@here.test"));
        assert_eq!(node.content(&work).as_bytes(), body);
    }
}

#[test]
fn g3_nothing_half_accepted_is_delivered() {
    let mut node = Node::new(settings());
    let mut pending = node.spool.begin(&Source::default()).unwrap();
    for _ in 0..5 {
        let _ = pending.push(&[b'x'; 100_000]);
        node.pump();
        assert!(poll(&mut Box::pin(pending.room())).is_ready());
    }
    let abandoned = node.offer(envelope("s@here.test", &["r@a.test"]), BODY);
    drop(abandoned);
    drop(pending);
    node.rest();
    assert!(node.messages().is_empty());
    assert_eq!(node.spool.journal_stats().live_bytes, 0, "what was forgotten is released");
    node.die(true);
    assert!(node.messages().is_empty());
}

#[test]
fn g4_what_was_settled_and_synced_never_comes_back() {
    let mut node = Node::new(settings());
    node.accept(envelope("s@here.test", &["1@a.test", "2@a.test", "3@b.test"]), BODY);
    let work = node.take_one("a.test");
    assert_eq!(work.recipients().map(|(index, _)| index).collect::<Vec<_>>(), [0, 1]);
    let later = Outcome::Deferred { reply: reply(450, 4) };
    node.spool.settle(work, &Attempt::default(), &[(0, delivered()), (1, later)]);
    node.rest();
    node.die(true);
    let work = node.take_one("a.test");
    assert_eq!(work.recipients().map(|(index, _)| index).collect::<Vec<_>>(), [1]);
    node.spool.settle(work, &Attempt::default(), &[(1, delivered())]);
    let work = node.take_one("b.test");
    node.spool.settle(work, &Attempt::default(), &[(2, delivered())]);
    node.rest();
    assert_eq!(node.spool.journal_stats().live_bytes, 0);
    node.die(true);
    assert!(node.messages().is_empty());
}

#[test]
fn g5_a_crash_repeats_only_what_was_not_yet_written() {
    let mut node = Node::new(settings());
    node.accept(envelope("s@here.test", &["r@a.test"]), BODY);
    node.spool.settle(node.take_one("a.test"), &Attempt::default(), &[(0, delivered())]);
    // kill -9 within Settings::settle_delay_ms: the one window in which the process alone can repeat a delivery.
    node.die(false);
    node.spool.tick();
    node.spool.settle(node.take_one("a.test"), &Attempt::default(), &[(0, delivered())]);
    node.sim.clock.advance_ms(10);
    node.spool.tick();
    node.spool.pump();
    node.die(false);
    assert!(node.messages().is_empty(), "written, not synced: enough for kill -9");
}

#[test]
fn g6_a_failure_is_told_or_tried_again_at_every_instant() {
    for ops in 0..30 {
        let mut node = Node::new(settings());
        let id = node.accept(envelope("s@here.test", &["r@a.test"]), BODY).id();
        let work = node.take_one("a.test");
        node.sim.disk.change_faults(|faults| faults.crash_after_ops = (ops > 0).then_some(ops));
        node.spool.settle(work, &Attempt::default(), &[(0, failed())]);
        node.rest();
        node.die(true);
        let found = node.messages();
        let told = found.iter().filter(|found| **found != id).count();
        assert!(told >= 1 || found.contains(&id), "after {ops} operations both are gone");
        if ops == 0 {
            assert_eq!((found.contains(&id), told), (false, 1));
            let notice = node.take_one("here.test");
            assert!(notice.envelope().from.is_null());
            let text = node.content(&notice);
            for part in ["Status: 5.1.1", "Subject: hello", "client.test", "said the peer"] {
                assert!(text.contains(part), "{part} is missing in {text}");
            }
            assert!(!text.contains("body text"), "headers only, unless RET=FULL");
        }
    }
}

#[test]
fn g7_ret_and_notify_decide_and_the_null_sender_is_never_told() {
    let node = Node::new(Settings { postmaster_copy: vec![reply(550, 5).enhanced.unwrap()], ..settings() });
    let fail = |envelope: mail::Envelope, outcome: Outcome| {
        node.accept(envelope, BODY);
        node.spool.settle(node.take_one("a.test"), &Attempt::default(), &[(0, outcome)]);
        node.pump();
        node.spool.tick();
        let works = node.spool.queue_named("mx:out:here.test").map(|hop| node.spool.take(hop, 9)).unwrap_or_default();
        let texts: Vec<String> = works.iter().map(|work| node.content(work)).collect();
        for work in works {
            node.spool.settle(work, &Attempt::default(), &[(0, delivered())]);
        }
        texts
    };
    let with = |notify: Notify| {
        let mut envelope = envelope("s@here.test", &["r@a.test"]);
        envelope.recipients[0].notify = notify;
        envelope
    };
    let success = Notify::On { success: true, failure: false, delay: false };
    assert!(fail(envelope("", &["r@a.test"]), failed()).is_empty());
    assert_eq!(fail(with(Notify::Never), failed()).len(), 1, "only the postmaster's copy");
    assert_eq!(fail(with(success), failed()).len(), 1, "only the postmaster's copy");
    assert!(fail(with(success), delivered())[0].contains("Action: relayed"));
    let offered = Outcome::Relayed { reply: reply(250, 2), dsn_offered: true };
    assert!(fail(with(success), offered).is_empty(), "the next hop tells");
    let stored = Outcome::Delivered { reply: reply(250, 2) };
    assert!(fail(with(success), stored)[0].contains("Action: delivered"));
    let full = fail(with_ret(envelope("s@here.test", &["r@a.test"]), Ret::Full), failed());
    assert_eq!(full.iter().filter(|text| text.contains("body text")).count(), 1, "the sender's, not the postmaster's");
    assert_eq!(full.len(), 2);
}

#[test]
fn g8_a_full_disk_refuses_and_heals() {
    let node = Node::new(Settings {
        journal: journal::Settings { max_bytes: Some(16 << 20), ..settings().journal },
        ..settings()
    });
    let body = vec![b'x'; 100_000];
    let mut taken = 0;
    let refused = loop {
        if let Err(refused) = node.spool.begin(&Source::default()) {
            break refused;
        }
        let mut accepting = node.offer(envelope("s@here.test", &["r@a.test"]), &body);
        assert!(poll(&mut accepting).is_pending());
        node.pump();
        match poll(&mut accepting) {
            Poll::Ready(Ok(_)) => taken += 1,
            Poll::Ready(Err(error)) => assert_eq!(error, AcceptError::Full),
            Poll::Pending => panic!("neither taken nor refused"),
        }
        assert!(taken < 1000);
    };
    assert_eq!((refused, refused.reply().code), (Refused::Full, 452));
    assert!(taken > 10);
    for work in node.take("a.test", 1000) {
        node.spool.settle(work, &Attempt::default(), &[(0, delivered())]);
    }
    node.rest();
    node.accept(envelope("s@here.test", &["r@a.test"]), &body);
}

#[test]
fn g9_what_takes_the_process_down_is_set_aside() {
    let mut node = Node::new(settings());
    let bad = node.accept(envelope("s@here.test", &["bad@a.test"]), BODY).id();
    for crash in 0..2 {
        node.spool.tick();
        node.pump();
        let work = node.take_one("a.test");
        node.die(false);
        std::mem::forget(work); // the process died with it
        assert_eq!(node.spool.message(bad).unwrap().crashes, crash + 1);
    }
    node.sim.clock.advance_ms(10 * HOUR_MS);
    node.spool.tick();
    let view = node.spool.message(bad).unwrap();
    assert_eq!((view.held, view.recipients[0].state), (Some(Held::Poison), RecipientState::Poison));
    node.rest();
    node.die(true);
    assert_eq!(node.spool.message(bad).unwrap().held, Some(Held::Poison), "over a restart too");
    node.spool.resume(bad, "test").unwrap();
    assert_eq!(node.take_one("a.test").id(), bad);
}

#[test]
fn g9_kill_under_load_sets_nothing_aside() {
    let mut node = Node::new(settings());
    for n in 0..20 {
        node.accept(envelope("s@here.test", &[&format!("{n}@a.test")]), BODY);
    }
    for _ in 0..5 {
        let works = node.take("a.test", 100);
        node.die(false);
        works.into_iter().for_each(std::mem::forget);
    }
    // One at a time they come back.
    let mut seen = 0;
    for _ in 0..100 {
        node.spool.tick();
        for work in node.take("a.test", 100) {
            node.spool.settle(work, &Attempt::default(), &[(0, delivered())]);
            seen += 1;
        }
        node.sim.clock.advance_ms(10);
    }
    assert_eq!((seen, node.spool.totals().poison), (20, 0));
}

#[test]
fn g9_a_delivery_that_panics_is_counted_at_once() {
    let node = Node::new(settings());
    let id = node.accept(envelope("s@here.test", &["r@a.test"]), BODY).id();
    for _ in 0..2 {
        let work = node.take_one("a.test");
        let crash = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _in_hand = work;
            std::panic::resume_unwind(Box::new("a fault in the deliverer"));
        }));
        assert!(crash.is_err());
    }
    assert_eq!(node.spool.message(id).unwrap().held, Some(Held::Poison));
    assert!(node.take("a.test", 9).is_empty());
}

#[test]
fn g10_late_mail_is_told_once_and_expires_once() {
    let mut node = Node::new(settings());
    let id = node.accept(envelope("s@here.test", &["r@a.test"]), BODY).id();
    node.spool.hop_failed(node.hop("a.test"), Vec::new(), &Attempt::default(), &reply(421, 4));
    node.sim.clock.advance_ms(4 * HOUR_MS + 1);
    node.rest();
    let notice = node.take_one("here.test");
    assert!(node.content(&notice).contains("Action: delayed"));
    node.spool.settle(notice, &Attempt::default(), &[(0, delivered())]);
    node.rest();
    node.die(true);
    node.sim.clock.advance_ms(10 * HOUR_MS);
    node.rest();
    assert_eq!(node.messages(), [id], "the notice is not sent again");
    // A wall clock that jumps expires nothing.
    node.sim.clock.jump_wall_ms(100 * 24 * HOUR_MS as i64);
    node.rest();
    assert_eq!(node.messages(), [id]);
    node.sim.clock.jump_wall_ms(-100 * 24 * HOUR_MS as i64);
    node.sim.clock.advance_ms(40 * HOUR_MS);
    node.rest();
    let notice = node.take_one("here.test");
    let text = node.content(&notice);
    assert!(text.contains("Action: failed") && text.contains("Status: 4.4.7"), "{text}");
    assert!(node.spool.message(id).is_none());
}

#[test]
fn g22_a_journey_is_kept_and_age_counts_from_its_start() {
    let mut node = Node::new(settings());
    node.sim.clock.advance_ms(60 * HOUR_MS);
    let now_ms = node.world.clock.wall_ms();
    let sites: Vec<Box<str>> = vec!["berlin".into(), "bonn".into()];
    let journey =
        |ago_ms| Journey { first_ms: now_ms - ago_ms, original_bytes: 9, sites: sites.clone(), trusted: true };
    let offer = |node: &Node, ago_ms| {
        let accepting = node.offer_after(envelope("s@here.test", &["r@a.test"]), BODY, journey(ago_ms));
        node.taken(accepting).id()
    };
    let young = node.accept(envelope("s@here.test", &["r@a.test"]), BODY).id();
    let (old, hour) = (offer(&node, 47 * HOUR_MS), offer(&node, HOUR_MS));
    node.spool.hop_failed(node.hop("a.test"), Vec::new(), &Attempt::default(), &reply(421, 4));
    node.die(true);
    let asked = node.outside.journeys.lock().unwrap().clone();
    assert!(asked.contains(&journey(47 * HOUR_MS)) && asked.contains(&journey(HOUR_MS)), "{asked:?}");
    node.spool.reroute();
    assert_eq!(node.outside.journeys.lock().unwrap().len(), 6, "all three are asked for again");
    let mut works = node.take("a.test", 3);
    works.sort_by_key(|work| work.id());
    assert_eq!(works[1].journey(), &journey(47 * HOUR_MS));
    assert_eq!((works[0].journey().sites.len(), works[0].journey().trusted), (0, false));
    drop(works);
    node.spool.hop_failed(node.hop("a.test"), Vec::new(), &Attempt::default(), &reply(421, 4));
    // One was late elsewhere and was told of there; the other is late three hours from now.
    node.sim.clock.advance_ms(2 * HOUR_MS);
    node.rest();
    let notice = node.take_one("here.test");
    assert!(node.content(&notice).contains("Action: failed") && node.spool.message(old).is_none());
    node.spool.settle(notice, &Attempt::default(), &[(0, delivered())]);
    node.sim.clock.advance_ms(HOUR_MS);
    node.rest();
    let notice = node.take_one("here.test");
    assert!(node.content(&notice).contains("Action: delayed"));
    node.spool.settle(notice, &Attempt::default(), &[(0, delivered())]);
    assert_eq!(node.messages(), [young, hour]);
    node.sim.clock.advance_ms(44 * HOUR_MS);
    node.rest();
    assert_eq!(node.messages()[0], young, "it has an hour left");
    assert!(node.spool.message(hour).is_none());
}

#[test]
fn g11_cleaning_moves_what_lives_and_loses_nothing() {
    let mut settings = settings();
    settings.journal.segment_bytes = 256 << 10;
    settings.journal.clean_below_percent = 60;
    settings.journal.clean_behind_segments = 1;
    settings.body_memory_bytes = 0;
    let mut node = Node::new(settings);
    let mut kept = Vec::new();
    for n in 0..400 {
        let domain = if n % 20 == 0 { "dead.test" } else { "a.test" };
        let id = node.accept(envelope("s@here.test", &[&format!("r@{domain}"), "x@b.test"]), &vec![b'x'; 5000]).id();
        if n % 20 == 0 {
            kept.push(id);
        }
        for domain in ["a.test", "b.test"] {
            let Some(hop) = node.spool.queue_named(&format!("mx:out:{domain}")) else { continue };
            for work in node.spool.take(hop, 100) {
                let index = work.recipients().next().unwrap().0;
                node.spool.settle(work, &Attempt::default(), &[(index, delivered())]);
            }
        }
        if n % 10 == 0 {
            node.rest();
        }
    }
    for _ in 0..40 {
        node.sim.clock.advance_ms(11_000);
        node.rest();
    }
    let stats = node.spool.journal_stats();
    assert!(stats.segments <= 3, "20 messages of 5 KB live in {} segments of 256 KiB", stats.segments);
    node.die(true);
    assert_eq!(node.messages(), kept);
    let works = node.take("dead.test", 100);
    assert_eq!(works.len(), kept.len());
    for work in works {
        assert_eq!(work.recipients().map(|(index, _)| index).collect::<Vec<_>>(), [0]);
        assert_eq!(node.content(&work).len(), 5000);
    }
}

/// Half of the oldest segment waits for a dead hop: it is neither free nor worth cleaning, and the settle records of its other
/// half must outlive it. They must not keep the segments that they are in.
#[test]
fn g11_mail_that_waits_keeps_no_more_than_its_own_segments() {
    let mut settings = settings();
    settings.journal.segment_bytes = 256 << 10;
    settings.journal.clean_below_percent = 30;
    settings.journal.clean_behind_segments = 1;
    settings.body_memory_bytes = 0;
    let mut node = Node::new(settings);
    let mut waiting = Vec::new();
    for n in 0..1500 {
        let waits = n < 40 && n % 2 == 0;
        let domain = if waits { "dead.test" } else { "a.test" };
        let id = node.accept(envelope("s@here.test", &[&format!("r@{domain}")]), &vec![b'x'; 5000]).id();
        if waits {
            waiting.push(id);
        } else {
            node.spool.settle(node.take_one("a.test"), &Attempt::default(), &[(0, delivered())]);
        }
        if n % 20 == 0 {
            node.rest();
        }
    }
    for _ in 0..40 {
        node.sim.clock.advance_ms(11_000);
        node.rest();
    }
    let stats = node.spool.journal_stats();
    assert!(stats.segments <= 4, "20 messages that wait in one segment of 256 KiB keep {} segments", stats.segments);
    node.die(true);
    waiting.sort_unstable();
    assert_eq!(node.messages(), waiting, "what was settled stays settled");
    for mut work in node.take("dead.test", 100) {
        assert!(work.body().in_memory().is_none());
        assert_eq!(node.content(&work).len(), 5000);
        work.load_body().unwrap();
        assert_eq!(work.body().in_memory().map(|bytes| bytes[..] == vec![b'x'; 5000]), Some(true));
        node.spool.settle(work, &Attempt::default(), &[(0, delivered())]);
    }
    for _ in 0..10 {
        node.sim.clock.advance_ms(11_000);
        node.rest();
    }
    assert_eq!(node.spool.journal_stats().live_bytes, 0, "the hop has answered: nothing is kept any more");
}

#[test]
fn g12_one_hop_that_fails_waits_alone() {
    let node = Node::new(settings());
    node.accept(envelope("s@here.test", &["r@a.test"]), BODY);
    node.accept(envelope("s@here.test", &["r@b.test"]), BODY);
    let (a, b) = (node.hop("a.test"), node.hop("b.test"));
    let works = node.spool.take(a, 9);
    node.outside.ready.lock().unwrap().clear();
    node.spool.hop_failed(a, works, &Attempt::default(), &reply(421, 4));
    assert!(node.spool.take(a, 9).is_empty());
    assert_eq!(node.spool.take(b, 9).len(), 1);
    let view = node.spool.queue(a).unwrap();
    assert_eq!((view.state, view.failures, view.ready), (QueueState::Retry, 1, 1));
    assert!(view.last_error.unwrap().contains("said the peer"));
    assert!(!node.outside.ready.lock().unwrap().contains(&a));
    node.sim.clock.advance_ms(60_000);
    node.spool.tick();
    assert!(node.outside.ready.lock().unwrap().contains(&a), "the deliverer is told when the hop is to be tried");
    assert_eq!(node.take("a.test", 9).len(), 1);
}

/// What a timer that sleeps until `next_due` and then calls `tick` gets done, as the node's does, and nobody else does anything.
#[test]
fn the_timer_alone_brings_everything_forward() {
    let node = Node::new(settings());
    let run = |ms: u64| {
        let end = node.world.clock.mono_ms() + ms;
        for _ in 0..10_000 {
            node.pump();
            let now_ms = node.world.clock.mono_ms();
            match node.spool.next_due() {
                Some(due_ms) if due_ms <= now_ms => node.spool.tick(),
                due_ms if now_ms < end => {
                    node.sim.clock.advance_ms(due_ms.unwrap_or(end).min(end) - now_ms);
                }
                _ => return,
            }
        }
        panic!("the timer does not come to rest");
    };
    node.accept(envelope("s@here.test", &["r@a.test"]), BODY);
    node.spool.settle(node.take_one("a.test"), &Attempt::default(), &[(0, failed())]);
    run(100);
    let notice = node.take_one("here.test");
    node.spool.settle(notice, &Attempt::default(), &[(0, delivered())]);
    run(5000);
    assert_eq!((node.spool.totals().unwritten, node.spool.journal_stats().live_bytes), (0, 0));
    node.accept(envelope("s@here.test", &["r@nowhere.test"]), BODY);
    run(49 * HOUR_MS);
    let works = node.take("here.test", 9);
    assert_eq!(works.len(), 2, "a delay notice and a failure");
    drop(works);
    run(60 * HOUR_MS);
    assert_eq!(
        (node.messages().len(), node.spool.totals().queues),
        (0, 0),
        "notices expire too, and queues are forgotten"
    );
    assert_eq!(node.spool.next_due(), None);
}
