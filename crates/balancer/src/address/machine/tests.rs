//! One machine, rule by rule. What several do together is in `crates/balancer/tests/virtual_address`.

use super::*;

const TTL_MS: u64 = 5_000;

/// What is different, and how.
type Case = (&'static str, fn(&mut Facts));

fn rules(failback: bool) -> Rules {
    Rules { me: "b".into(), failback, announce_count: 3, announce_interval_ms: 1_000, margin_ms: Rules::MARGIN_MS }
}

fn candidate(node: &str, preference: usize) -> Candidate {
    Candidate { node: node.into(), preference }
}

/// All is well, nobody has it, and we are second of three.
fn quiet() -> Facts {
    Facts {
        preference: Some(1),
        seen_at: 10,
        etcd: true,
        holder: None,
        order: None,
        candidates: vec![candidate("a", 0), candidate("b", 1), candidate("c", 2)],
        lease: None,
        fit: Fit::Ready,
    }
}

fn held_by(node: &str, lease: i64) -> Option<HolderSeen> {
    Some(HolderSeen { node: node.into(), lease })
}

/// A machine that has it since 10,000 under lease 7, and the facts of then.
fn holding(failback: bool, taken_by_order: bool) -> (Machine, Facts) {
    let mut facts = quiet();
    facts.candidates = vec![candidate("b", 1)];
    if taken_by_order {
        facts.order = Some(OrderSeen { from: "a".into(), to: Some("b".into()) });
    }
    let mut machine = Machine::new(rules(failback));
    machine.step(9_000, &facts);
    assert_eq!(machine.step(9_900, &facts), [Effect::Lease]);
    facts.lease = Some(Lease { id: 7, until_ms: 9_900 + TTL_MS });
    let effects = machine.step(9_950, &facts);
    assert!(matches!(effects[..], [Effect::Claim { lease: 7, .. }]), "{effects:?}");
    let effects = machine.claimed(10_000, 7, Answer::Done(11), &facts);
    assert_eq!(effects, [Effect::Put { lifetime_s: 3, before_ms: 12_750, again: false }, Effect::Announce]);
    (facts.holder, facts.seen_at, facts.order) = (held_by("b", 7), 11, None);
    (machine, facts)
}

fn drops(machine: &mut Machine, now_ms: u64, facts: &Facts) -> Why {
    match &machine.step(now_ms, facts)[..] {
        [Effect::Drop(why), Effect::End] => why.clone(),
        other => panic!("at {now_ms}: {other:?}"),
    }
}

#[test]
fn each_gives_those_before_it_their_time() {
    let cases: [(&str, Facts, u64); 5] = [
        ("one before us", quiet(), 300),
        ("it had it last: it is dead, or has given it up", quiet(), 0),
        ("nobody else is there", Facts { candidates: vec![candidate("b", 1)], ..quiet() }, 0),
        ("an order for us", Facts { order: Some(OrderSeen { from: "a".into(), to: Some("b".into()) }), ..quiet() }, 0),
        ("the order of names decides between equals", Facts { candidates: vec![candidate("a", 1)], ..quiet() }, 300),
    ];
    for (at, (what, facts, wait_ms)) in cases.into_iter().enumerate() {
        let mut machine = Machine::new(rules(false));
        let before = Facts { holder: held_by(if at == 1 { "a" } else { "x" }, 3), ..facts.clone() };
        machine.step(0, &before);
        assert_eq!(machine.step(5_000, &before), [], "{what}: somebody has it");
        if wait_ms > 0 {
            assert_eq!(machine.step(5_000, &facts), [], "{what}");
            assert_eq!(machine.step(5_000 + wait_ms - 1, &facts), [], "{what}");
        }
        assert_eq!(machine.step(5_000 + wait_ms, &facts), [Effect::Lease], "{what}");
    }
}

#[test]
fn it_takes_nothing_when_it_should_not() {
    let cases: [Case; 6] = [
        ("etcd is silent", |facts| facts.etcd = false),
        ("it may not", |facts| facts.preference = None),
        ("it is not ready", |facts| facts.fit = Fit::NotReady("drained".into())),
        ("it cannot", |facts| facts.fit = Fit::Unable("no interface".into())),
        ("an order for another one", |facts| {
            facts.order = Some(OrderSeen { from: "a".into(), to: Some("c".into()) });
        }),
        ("an order away from it", |facts| facts.order = Some(OrderSeen { from: "b".into(), to: None })),
    ];
    for (what, change) in cases {
        let (mut machine, mut facts) = (Machine::new(rules(false)), quiet());
        change(&mut facts);
        for now_ms in (0..60_000).step_by(250) {
            assert_eq!(machine.step(now_ms, &facts), [], "{what}");
        }
    }
}

#[test]
fn it_drops_at_once_and_says_why() {
    let order = |to: Option<&str>| Some(OrderSeen { from: "b".into(), to: to.map(String::from) });
    type Change<'c> = &'c dyn Fn(&mut Facts);
    let with_a = |facts: &mut Facts| facts.candidates.push(candidate("a", 0));
    let cases: [(&str, Change<'_>, Why); 9] = [
        ("the lease is lost", &|facts| facts.lease = None, Why::Lease),
        ("another lease", &|facts| facts.lease = Some(Lease { id: 8, until_ms: 90_000 }), Why::Lease),
        ("the key is gone", &|facts| facts.holder = None, Why::Key),
        ("the key is another's", &|facts| facts.holder = held_by("a", 9), Why::Key),
        ("the cable", &|facts| facts.fit = Fit::Unable("cable".into()), Why::Unfit("cable".into())),
        ("the document", &|facts| facts.preference = None, Why::NotOurs),
        (
            "an order",
            &|facts| {
                with_a(facts);
                facts.order = order(None);
            },
            Why::Ordered(None),
        ),
        (
            "an order to one",
            &|facts| {
                with_a(facts);
                facts.order = order(Some("a"));
            },
            Why::Ordered(Some("a".into())),
        ),
        ("nothing, but too late", &|_| {}, Why::Late),
    ];
    for (what, change, why) in cases {
        let (mut machine, mut facts) = holding(false, false);
        change(&mut facts);
        let now_ms = if why == Why::Late { 12_750 } else { 10_100 };
        assert_eq!(drops(&mut machine, now_ms, &facts), why, "{what}");
        assert_eq!(machine.step(now_ms + 1, &facts), [], "{what}: until its lease has ended it does nothing");
        machine.left();
    }
}

#[test]
fn it_keeps_what_it_need_not_drop() {
    let cases: [Case; 6] = [
        ("etcd is silent, and the lease still counts", |facts| facts.etcd = false),
        ("etcd has not shown our own claim yet", |facts| (facts.holder, facts.seen_at) = (None, 10)),
        ("an order to one that would not have it", |facts| {
            facts.order = Some(OrderSeen { from: "b".into(), to: Some("c".into()) });
        }),
        ("an order away, and nobody else is there", |facts| {
            facts.order = Some(OrderSeen { from: "b".into(), to: None });
        }),
        ("an order of long ago, away from another", |facts| {
            facts.candidates.push(candidate("a", 0));
            facts.order = Some(OrderSeen { from: "a".into(), to: None });
        }),
        ("a better one without failback", |facts| facts.candidates.push(candidate("a", 0))),
    ];
    for (what, change) in cases {
        let (mut machine, mut facts) = holding(false, false);
        change(&mut facts);
        for now_ms in (10_000..40_000).step_by(250) {
            facts.lease = Some(Lease { id: 7, until_ms: now_ms + TTL_MS });
            let effects = machine.step(now_ms, &facts);
            assert!(!effects.iter().any(|effect| matches!(effect, Effect::Drop(_))), "{what} at {now_ms}: {effects:?}");
        }
    }
}

#[test]
fn not_ready_it_gives_it_away_only_if_somebody_takes_it() {
    let (mut machine, mut facts) = holding(false, false);
    facts.fit = Fit::NotReady("drained".into());
    for now_ms in (10_000..20_000).step_by(250) {
        facts.lease = Some(Lease { id: 7, until_ms: now_ms + TTL_MS });
        machine.step(now_ms, &facts);
        assert!(machine.holds(), "an address that answers 421 is better than none");
    }
    facts.candidates.push(candidate("c", 2));
    assert_eq!(drops(&mut machine, 20_000, &facts), Why::Unfit("drained".into()));
}

#[test]
fn failback_waits_and_an_order_stays() {
    for (by_order, since_ms) in [(false, Some(20_000)), (true, None)] {
        let (mut machine, mut facts) = holding(true, by_order);
        facts.candidates.push(candidate("a", 0));
        let mut dropped = None;
        for now_ms in (10_000..40_000).step_by(500) {
            facts.lease = Some(Lease { id: 7, until_ms: now_ms + TTL_MS });
            if machine.step(now_ms, &facts).contains(&Effect::Drop(Why::Failback("a".into()))) {
                dropped = Some(now_ms);
                break;
            }
        }
        assert_eq!(dropped, since_ms);
    }
}

#[test]
fn the_kernel_is_given_no_more_than_the_lease_has() {
    let (mut machine, mut facts) = holding(false, false);
    // No keep-alive is answered any more: the lease ends at 14,900.
    let mut ends_ms = 12_750;
    for now_ms in 10_001..14_900 {
        for effect in machine.step(now_ms, &facts) {
            match effect {
                Effect::Put { lifetime_s, before_ms, again: true } => {
                    assert_eq!(
                        before_ms,
                        now_ms + u64::from(lifetime_s) * 1_000 - Rules::LEAD_MS,
                        "before the kernel does"
                    );
                    assert!(before_ms > ends_ms, "it only ever lives longer");
                    ends_ms = before_ms;
                }
                Effect::Drop(why) => {
                    assert_eq!((why, now_ms), (Why::Late, ends_ms));
                    assert!(ends_ms + Rules::LEAD_MS + Rules::MARGIN_MS <= 14_900);
                    return;
                }
                Effect::Announce => {}
                other => panic!("{other:?}"),
            }
        }
        facts.etcd = false;
    }
    panic!("it was never dropped");
}

#[test]
fn announcements_are_made_as_often_as_the_document_says() {
    let (mut machine, mut facts) = holding(false, false);
    let mut at = Vec::new();
    for now_ms in (10_000..20_000).step_by(100) {
        facts.lease = Some(Lease { id: 7, until_ms: now_ms + TTL_MS });
        at.extend(machine.step(now_ms, &facts).contains(&Effect::Announce).then_some(now_ms));
    }
    assert_eq!(at, [11_000, 12_000]);
}

#[test]
fn what_cannot_be_added_is_left_to_others() {
    let (mut machine, facts) = holding(false, false);
    assert_eq!(machine.failed(10_100), [Effect::Drop(Why::Failed), Effect::End]);
    machine.left();
    let free = Facts { holder: None, lease: None, ..facts };
    let again = (10_200u64..30_000).step_by(100).find(|now_ms| machine.step(*now_ms, &free) == [Effect::Lease]);
    assert_eq!(again, Some(12_200), "not at once");
}

/// Each step of a restart, and what may come between.
#[test]
fn what_is_kept_for_the_next_process_stays_until_it_comes_or_the_lease_does_not_count() {
    let unready = Fit::NotReady("stopping".into());
    let elsewhere = |facts: &mut Facts| facts.candidates.push(candidate("a", 0));
    type Change<'c> = &'c dyn Fn(&mut Facts);
    let cases: [(&str, Change<'_>, u64, Option<Why>); 8] = [
        ("nothing happens", &|_| {}, 10_500, None),
        ("it is not ready, and another would have it", &|facts| facts.fit = unready.clone(), 12_000, None),
        ("an order", &|facts| facts.order = Some(OrderSeen { from: "b".into(), to: Some("a".into()) }), 12_000, None),
        ("the lease is gone", &|facts| facts.lease = None, 10_500, Some(Why::Lease)),
        ("the key is another's", &|facts| facts.holder = held_by("a", 9), 10_500, Some(Why::Key)),
        ("the cable", &|facts| facts.fit = Fit::Unable("cable".into()), 10_500, Some(Why::Unfit("cable".into()))),
        ("this process looks too late", &|_| {}, 12_750, Some(Why::Late)),
        ("nobody comes", &|facts| facts.lease = Some(Lease { id: 7, until_ms: 90_000 }), 40_000, Some(Why::NoHeir)),
    ];
    for (what, change, at_ms, why) in cases {
        let (mut machine, mut facts) = holding(true, false);
        elsewhere(&mut facts);
        assert_eq!(machine.keep(40_000), []);
        if why == Some(Why::NoHeir) {
            for now_ms in (10_250..at_ms).step_by(250) {
                facts.lease = Some(Lease { id: 7, until_ms: now_ms + TTL_MS });
                machine.step(now_ms, &facts);
            }
        }
        change(&mut facts);
        match why {
            Some(why) => assert_eq!(drops(&mut machine, at_ms, &facts), why, "{what}"),
            None => {
                let effects = machine.step(at_ms, &facts);
                assert!(!effects.iter().any(|effect| matches!(effect, Effect::Drop(_))), "{what}: {effects:?}");
                assert!(machine.give().is_some(), "{what}");
            }
        }
    }
}

#[test]
fn whoever_has_given_does_nothing_any_more() {
    let (mut machine, facts) = holding(false, false);
    machine.keep(40_000);
    let given = machine.give();
    assert_eq!(given, Some(Inheritance { lease: 7, claimed_at: 11, pinned: false, lapses_ms: 12_750 }));
    assert_eq!((machine.give(), machine.leave(), machine.holds()), (None, vec![], false));
    for (what, facts) in [("as it was", facts.clone()), ("no lease", Facts { lease: None, ..facts })] {
        for now_ms in (10_000..60_000).step_by(250) {
            assert_eq!(machine.step(now_ms, &facts), [], "{what}");
        }
    }
    // One that has nothing yet gives up what it was about to take, and takes nothing.
    let mut machine = Machine::new(rules(false));
    let free = Facts { candidates: vec![candidate("b", 1)], ..quiet() };
    machine.step(0, &free);
    assert_eq!(machine.step(500, &free), [Effect::Lease]);
    assert_eq!((machine.keep(40_000), machine.give()), (vec![Effect::End], None));
    machine.left();
    assert!((1_000..10_000).step_by(250).all(|now_ms| machine.step(now_ms, &free).is_empty()));
    let mut machine = Machine::new(rules(false));
    assert_eq!(machine.keep(40_000), []);
    assert!((0..10_000).step_by(250).all(|now_ms| machine.step(now_ms, &free).is_empty()));
}

#[test]
fn the_next_process_goes_on_where_the_first_has_ended() {
    let given = Inheritance { lease: 7, claimed_at: 11, pinned: false, lapses_ms: 3_000 };
    let facts = Facts {
        holder: held_by("b", 7),
        seen_at: 0,
        lease: Some(Lease { id: 7, until_ms: 4_500 }),
        fit: Fit::NotReady("no copies yet".into()),
        ..quiet()
    };
    let mut heir = Machine::heir(rules(false), 100, given);
    assert!(heir.holds() && heir.would_hold() && heir.next_ms(100) <= 101, "it is looked at now");
    assert_eq!(heir.step(100, &facts), [], "the kernel has it for longer already");
    let kept = Facts { lease: Some(Lease { id: 7, until_ms: 5_150 }), ..facts.clone() };
    assert_eq!(heir.step(350, &kept), [Effect::Put { lifetime_s: 3, before_ms: 3_100, again: true }]);
    // It is given time to become ready, though another would have it, and no more.
    let mut dropped = None;
    for now_ms in (400..20_000).step_by(250) {
        let facts = Facts { lease: Some(Lease { id: 7, until_ms: now_ms + TTL_MS }), ..facts.clone() };
        if heir.step(now_ms, &facts).iter().any(|effect| matches!(effect, Effect::Drop(Why::Unfit(_)))) {
            dropped = Some(now_ms);
            break;
        }
    }
    assert_eq!(dropped, Some(10_650));
    // Too late, or without the lease, it drops what it was given and puts nothing.
    for (now_ms, lease, why) in [(3_000, facts.lease, Why::Late), (200, None, Why::Lease)] {
        let mut heir = Machine::heir(rules(false), now_ms, given);
        assert_eq!(drops(&mut heir, now_ms, &Facts { lease, ..facts.clone() }), why);
    }
}

/// It was given up for nodes that are not ready either by now: whoever had it last has it again. Of a node that has only not taken it yet nothing
/// is known that would make it better than silence.
#[test]
fn what_nobody_takes_comes_back() {
    let (mut machine, mut facts) = holding(false, false);
    facts.fit = Fit::NotReady("no member".into());
    facts.candidates.push(candidate("a", 0));
    let dropped = (10_100..20_000).step_by(100).find(|now_ms| {
        facts.lease = Some(Lease { id: 7, until_ms: now_ms + TTL_MS });
        machine.step(*now_ms, &facts).contains(&Effect::Drop(Why::Unfit("no member".into())))
    });
    assert_eq!(
        dropped,
        Some(11_600),
        "a second of hysteresis, and a moment for the others to say that they are not ready either"
    );
    machine.left();
    (facts.holder, facts.lease) = (None, None);
    let stranger = &mut Machine::new(rules(false));
    assert_eq!(machine.step(11_700, &facts), [], "another one is there");
    facts.candidates.clear();
    assert_eq!(machine.step(11_800, &facts), [Effect::Lease]);
    assert!((11_700..20_000).step_by(100).all(|now_ms| stranger.step(now_ms, &facts).is_empty()), "it never had it");
}
