use super::message::LegState;
use super::*;
use mail::{Mailbox, Recipient, ReversePath};

fn book() -> Book {
    let postmaster = Mailbox::parse("postmaster@here.test", false).unwrap();
    Book::new(Settings::new("mx.test", postmaster), 1000)
}

fn key(domain: &str) -> HopKey {
    HopKey::Mx { connector: "out".into(), domain: domain.into() }
}

fn arrival(n: u8, recipients: u16, priority: Priority) -> Arrival {
    let to = (0..recipients).map(|i| Recipient::new(Mailbox::parse(&format!("r{i}@a.test"), false).unwrap()));
    let envelope = mail::Envelope {
        from: ReversePath::Mailbox(Mailbox::parse("s@here.test", false).unwrap()),
        ret: None,
        envid: None,
        body: mail::BodyKind::SevenBit,
        smtputf8: false,
        recipients: to.collect(),
    };
    let mut packed = Vec::new();
    crate::packed::pack(&envelope, &mut packed);
    Arrival {
        id: MessageId::new(1000, [n; 10]),
        size_bytes: 10,
        priority,
        journey: Vec::new(),
        envelope: packed,
        recipients,
        accept: Extent::default(),
        last_chunk: None,
        chunks: Vec::new(),
        hot: None,
        at_once: true,
    }
}

fn names(taken: &[Taken]) -> Vec<u8> {
    taken.iter().map(|taken| taken.subject.id.to_bytes()[15]).collect()
}

/// Takes and gives what was taken and whether anybody was told before.
fn take(book: &mut Book, hop: HopId, max: usize) -> Vec<Taken> {
    let mut taken = Vec::new();
    book.take(hop, max, Purpose::Sending, &mut taken);
    taken
}

#[test]
fn higher_priority_first_then_order_of_acceptance() {
    let (mut book, mut effects) = (book(), Effects::default());
    for (n, priority) in [(1, Priority::Low), (2, Priority::Normal), (3, Priority::High), (4, Priority::Normal)] {
        book.enter(arrival(n, 1, priority), &[key("a.test")], 1000, &mut effects);
    }
    assert_eq!(effects.ready.len(), 1, "told once, not four times");
    let hop = effects.ready[0];
    let first = take(&mut book, hop, 3);
    assert_eq!(names(&first), [3, 2, 4]);
    book.put_back(first[1].leg, 1000, &mut effects);
    assert_eq!(names(&take(&mut book, hop, 9)), [2, 1], "what is put back goes first");
}

#[test]
fn told_again_only_after_somebody_found_it_empty() {
    let (mut book, mut effects) = (book(), Effects::default());
    let enter = |book: &mut Book, n| {
        let mut effects = Effects::default();
        book.enter(arrival(n, 1, Priority::Normal), &[key("a.test")], 1000, &mut effects);
        effects.ready
    };
    let hop = enter(&mut book, 1)[0];
    assert!(enter(&mut book, 2).is_empty());
    assert_eq!(take(&mut book, hop, 1).len(), 1);
    assert!(enter(&mut book, 3).is_empty(), "whoever took one knows that there may be more");
    assert_eq!(take(&mut book, hop, 9).len(), 2);
    assert_eq!(enter(&mut book, 4), [hop]);
    book.hop_failed(hop, "refused", 1000);
    assert!(enter(&mut book, 5).is_empty() && take(&mut book, hop, 9).is_empty());
    book.hop_worked(hop, &mut effects);
    assert_eq!(effects.ready, [hop]);
}

#[test]
fn an_idle_queue_is_forgotten_and_its_name_never_used_again() {
    let (mut book, mut effects) = (book(), Effects::default());
    book.enter(arrival(1, 1, Priority::Normal), &[key("a.test")], 1000, &mut effects);
    let hop = effects.ready[0];
    let taken = take(&mut book, hop, 1);
    assert!(matches!(book.settle(taken[0].leg, &[0], None, 1000, &mut effects), Settled::Finished(_)));
    let idle_ms = book.settings.queue_idle_ms;
    book.due(1000 + idle_ms, 9, &mut effects);
    assert_eq!((book.key(hop), book.totals().queues), (None, 0));
    let mut effects = Effects::default();
    book.enter(arrival(2, 1, Priority::Normal), &[key("b.test")], 9000, &mut effects);
    assert_ne!(effects.ready, [hop]);
    assert!(take(&mut book, hop, 9).is_empty(), "a deliverer with the old name gets nobody else's mail");
}

/// Each open recipient is in one leg, each leg in one list or in hand, and all counts agree.
fn check(book: &Book, in_hand: usize) {
    let mut legs = 0;
    for at in 0..book.messages.end() {
        let Some(message) = book.messages.get(at) else { continue };
        let mut open = 0;
        for (_, leg) in book.legs_of(at) {
            legs += 1;
            let mine = (0..message.recipients).filter(|i| message.leg_of(*i) == Some(leg.ordinal)).count();
            assert_eq!(mine, usize::from(leg.open));
            assert!(leg.open > 0);
            open += leg.open;
        }
        assert_eq!(open, message.open);
        assert_eq!(usize::from(message.recipients), message.settled().len() + usize::from(open));
        assert_eq!(book.find(message.id), Some(at));
    }
    let (mut listed, mut hands) = (0, 0);
    for hop in 0..book.queues.end() {
        let Some(queue) = book.queues.get(hop) else { continue };
        listed += queue.legs;
        hands += queue.in_hand;
        let waiting = queue.ready_len() + queue.deferred.len() + queue.held.len();
        assert_eq!(queue.legs, waiting + queue.in_hand);
    }
    assert_eq!((listed, hands), (legs, in_hand as u32));
}

#[test]
fn any_order_of_events_keeps_the_book_whole() {
    let mut x = 88_172_645_463_325_252u64;
    let mut below = |n: u64| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x % n
    };
    let (mut book, mut now_ms, mut n) = (book(), 1000, 0);
    let mut hands: Vec<Taken> = Vec::new();
    for _ in 0..20_000 {
        let mut effects = Effects::default();
        now_ms += below(2000);
        let domains = ["a.test", "b.test", "c.test"];
        match below(12) {
            0..=2 if book.totals().messages < 200 => {
                n = (n + 1) % 251;
                let mut arrival = arrival(n, 1 + below(4) as u16, Priority::Normal);
                let mut name = [n; 10];
                name[..8].copy_from_slice(&below(u64::MAX).to_le_bytes());
                arrival.id = MessageId::new(now_ms, name);
                let hops: Vec<HopKey> = (0..arrival.recipients).map(|_| key(domains[below(3) as usize])).collect();
                book.enter(arrival, &hops, now_ms, &mut effects);
            }
            3 | 4 => {
                for hop in book.hops() {
                    book.take(hop, hands.len() + below(4) as usize, Purpose::Failing, &mut hands);
                }
            }
            5..=7 if !hands.is_empty() => {
                let taken = hands.swap_remove(below(hands.len() as u64) as usize);
                let finals: Vec<u16> = taken.indexes.as_slice().iter().copied().filter(|_| below(3) > 0).collect();
                let deferred = (below(2) == 0).then_some("450 later");
                book.settle(taken.leg, &finals, deferred, now_ms, &mut effects);
            }
            8 if !hands.is_empty() => {
                let taken = hands.swap_remove(below(hands.len() as u64) as usize);
                book.put_back(taken.leg, now_ms, &mut effects);
            }
            9 => {
                for due in book.due(now_ms, 9, &mut effects) {
                    match due {
                        Due::Expire(claim) => drop(book.conclude(&claim, now_ms)),
                        Due::Notice(claim) => book.unclaim(&claim, now_ms, &mut effects),
                    }
                }
            }
            10 => {
                let at = below(u64::from(book.places_end().max(1))) as u32;
                let Some(id) = book.message(at).map(|message| message.id) else { continue };
                let _ = match below(4) {
                    0 => book.suspend(id, now_ms, &mut effects).map(|_| ()),
                    1 => book.resume(id, now_ms, &mut effects).map(|_| ()),
                    2 => book.retry(id, now_ms, &mut effects),
                    _ => book.redirect(id, &key(domains[below(3) as usize]), now_ms, &mut effects).map(|_| ()),
                };
            }
            _ => {
                let hops = book.hops();
                let Some(hop) = hops.get(below(hops.len().max(1) as u64) as usize).copied() else { continue };
                match below(2) {
                    0 => drop(book.hop_failed(hop, "421 no", now_ms)),
                    _ => book.hop_worked(hop, &mut effects),
                }
            }
        }
        check(&book, hands.len());
        assert!(hands.iter().all(|taken| book.legs[taken.leg].state == LegState::InHand));
    }
}
