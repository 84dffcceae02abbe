//! What one message asks of the directory: which connector its connection meets, whether its recipient exists, where it goes.
//! With 1,000,000 recipients, 10,000 accepted domains, 200 receive and 200 send connectors, 50 sites. `bench/organization` judges it.
#![allow(clippy::unwrap_used)] // a bench

mod wide;

use criterion::{Criterion, criterion_group, criterion_main};
use directory::{Org, Principal, RecipientAnswer};
use mail::Mailbox;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use wide::{DOMAINS, Dice, RECEIVE_CONNECTORS, RECIPIENTS, SEND_CONNECTORS};

/// Messages that are asked about in turn: more than a cache holds of what they touch.
const MESSAGES: usize = 200_000;

/// One message: who connects, and whom it is for.
struct Message {
    peer: IpAddr,
    to: Mailbox,
}

fn messages() -> Vec<Message> {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut message = || {
        let network = dice.roll(RECEIVE_CONNECTORS) as u8;
        let peer = IpAddr::V4(Ipv4Addr::new(10, 0, network, 1 + dice.roll(250) as u8));
        // Two thirds for our own recipients, a third of these by an alias; the rest leaves through partners' connectors and the one for all.
        let number = dice.roll(RECIPIENTS);
        let text = match dice.roll(6) {
            0 | 1 => format!("User{number}@D{}.Ours.Example", number % DOMAINS),
            2 | 3 => format!("u{}@d{}.ours.example", number / 4 * 4, number / 4 * 4 % DOMAINS),
            4 => format!("x{number}@partner{}.example", dice.roll(SEND_CONNECTORS) / 2),
            _ => format!("x@host{number}.example.net"),
        };
        Message { peer, to: Mailbox::parse(&text, true).unwrap() }
    };
    (0..MESSAGES).map(|_| message()).collect()
}

/// All that a message with one recipient asks.
fn ask(org: &Org, local: SocketAddr, message: &Message) -> bool {
    let Some(connector) = org.choose_connector(local, message.peer) else { return false };
    let answer = org.recipient(connector, &Principal::Peer, &message.to);
    black_box(org.route(&message.to));
    answer == RecipientAnswer::Accept
}

fn one_message(criterion: &mut Criterion) {
    let org = wide::organization().with_recipients(&wide::recipients(RECIPIENTS));
    let (local, messages) = (SocketAddr::from(([10, 0, 0, 1], 25)), messages());
    let welcome = messages.iter().filter(|message| ask(&org, local, message)).count();
    assert!(welcome > MESSAGES * 9 / 10, "{welcome} of {MESSAGES} are welcome: this measures refusals");
    let mut next = messages.iter().cycle();
    criterion.bench_function("one message", |bencher| bencher.iter(|| ask(&org, local, next.next().unwrap())));
    let mut next = messages.iter().cycle();
    criterion.bench_function("choose a connector", |bencher| {
        bencher.iter(|| org.choose_connector(local, next.next().unwrap().peer).is_some())
    });
    let mut next = messages.iter().cycle();
    criterion.bench_function("find a recipient", |bencher| {
        bencher.iter(|| org.recipient_of(&next.next().unwrap().to).is_some())
    });
    let mut next = messages.iter().cycle();
    criterion.bench_function("route", |bencher| bencher.iter(|| org.route(&next.next().unwrap().to)));
}

criterion_group!(benches, one_message);
criterion_main!(benches);
