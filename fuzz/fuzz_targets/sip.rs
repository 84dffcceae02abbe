//! SIP: any bytes are read without a panic; what a service sends for them is again messages that are read as they were meant, goes to hosts
//! and back to the sender only, and the records of calls stay within their bounds.
#![no_main]

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use balancer::sip::{Frame, Message, Start, Transport, frame, named, uri, vias};
use balancer::voice::{Hop, Host, Hosts, Input, Listener, Mode, Offer, Settings, Trouble, Voice};
use fuzz::tape::{Tape, head};
use libfuzzer_sys::fuzz_target;

/// Two hosts that are always up.
struct Two;

fn host(number: u8) -> Arc<Host> {
    let address = SocketAddr::from(([10, 0, 0, number], 5060));
    Arc::new(Host { name: format!("m{number}").into(), address, shown: address.to_string().into() })
}

impl Hosts for Two {
    type Place = ();

    fn choose(&mut self, _: u64, _: IpAddr, tried: &[Arc<Host>]) -> Option<(Arc<Host>, ())> {
        [host(1), host(2)].into_iter().find(|host| !tried.contains(host)).map(|host| (host, ()))
    }

    fn offers(&self, _: u64) -> Vec<Offer> {
        [1, 2].map(|number| Offer { host: host(number), weight: 1, priority: 1 }).to_vec()
    }

    fn at(&self, ip: IpAddr) -> Option<Arc<Host>> {
        [host(1), host(2)].into_iter().find(|host| host.address.ip() == ip)
    }

    fn shown(&self, _: &[u8]) -> Option<Arc<Host>> {
        None
    }

    fn heard(&mut self, (): &(), _: u64, _: u64) {}

    fn failed(&mut self, (): &(), _: u64, _: Trouble) {}

    fn took(&mut self, (): &()) {}
}

fuzz_target!(|input: &[u8]| {
    let (choices, said) = head(input, 3);
    let &[flags, seed, cuts] = choices else { return };
    read(said);
    let mut tape = Tape::new(&[seed]);
    let mode = if flags & 1 == 0 { Mode::Forward } else { Mode::Redirect };
    let mut voice = service(mode);
    let gateway = SocketAddr::from(([198, 51, 100, 1], 5060));
    let (mut now_ms, mut packets, mut notes) = (0, Vec::new(), Vec::new());
    // The same bytes as datagrams of a gateway and of a host, whole and in parts, again and again.
    for piece in std::iter::once(said).chain(Tape::new(&[cuts]).cut(said)) {
        let address = if tape.one_in(2) { gateway } else { host(1 + tape.below(2) as u8).address };
        let from = Hop { transport: Transport::Udp, listener: 0, flow: 0, address };
        voice.step(now_ms, Input::Packet { from, bytes: piece }, &mut packets, &mut notes);
        let sent = std::mem::take(&mut packets);
        for packet in sent {
            check(&packet.hop, &packet.bytes, mode);
            // A host says something about what it was sent; so does the network.
            if tape.one_in(2) {
                let answer = [b"SIP/2.0 180 x\r\n", packet.bytes.split_inclusive(|b| *b == b'\n').skip(1).collect::<Vec<_>>().concat().as_slice()].concat();
                let from = Hop { address: packet.hop.address, ..packet.hop };
                voice.step(now_ms, Input::Packet { from, bytes: &answer }, &mut packets, &mut notes);
            } else if let Some(ticket) = packet.ticket {
                voice.step(now_ms, Input::Unreachable(ticket), &mut packets, &mut notes);
            }
        }
        packets.clear();
        now_ms += tape.below(4) as u64 * 700;
    }
    while let Some(due_ms) = voice.due_ms() {
        now_ms = now_ms.max(due_ms);
        voice.step(now_ms, Input::Time, &mut packets, &mut notes);
        assert!(now_ms < 3_600_000, "every record has its end");
    }
    assert_eq!(voice.held(), (0, 0));
});

fn read(said: &[u8]) {
    let Ok(message) = Message::parse(said) else { return };
    assert!(message.body.len() <= said.len());
    for header in &message.headers {
        if let Some(named) = named(header.value) {
            let _ = uri(named.uri);
        }
    }
    assert!(vias(&message).count() <= said.len());
    if let Frame::Message(bytes) = frame(said) {
        assert_eq!(Message::parse(&said[..bytes]).map(|again| again.start), Ok(message.start), "a stream sees the same message");
    }
}

/// What is sent makes sense, and goes where it may.
fn check(hop: &Hop, bytes: &[u8], mode: Mode) {
    let message = Message::parse(bytes).expect("what we send can be read");
    assert_eq!(frame(bytes), Frame::Message(bytes.len()), "and is one message on a stream too");
    let to_host = Two.at(hop.address.ip()).is_some();
    match message.start {
        Start::Request { .. } => assert!(mode == Mode::Forward && to_host, "requests go to hosts"),
        Start::Response { .. } => assert!(hop.address.port() > 0),
    }
}

fn service(mode: Mode) -> Voice<Two> {
    let local = SocketAddr::from(([192, 0, 2, 10], 5060));
    let listener = |transport| Listener { transport, local, own: local.ip() };
    let settings = Settings {
        mode,
        hostname: "voice.example".into(),
        greeting_timeout_ms: 2_000,
        answer_timeout_ms: 20_000,
        retries: 3,
        retry_after_s: 5,
    };
    Voice::new(settings, vec![listener(Transport::Udp), listener(Transport::Tcp)], Two, 1)
}
