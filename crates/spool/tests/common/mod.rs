//! A spool on a simulated disk, run by hand.
#![allow(dead_code, clippy::unwrap_used)] // each test binary uses its part of it

use std::collections::BTreeSet;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use mail::{BodyKind, Enhanced, Envelope, Event, EventKind, Mailbox, MessageId, Receipt, Recipient, Recorder, Reply};
use mail::{Ret, ReversePath};
use spool::*;
use world::World;
use world::sim::SimHandle;

/// Hears events, knows ready hops, routes by domain.
#[derive(Default)]
pub struct Outside {
    pub events: Mutex<Vec<(EventKind, String)>>,
    pub ready: Mutex<BTreeSet<HopId>>,
    pub journeys: Mutex<Vec<Journey>>,
}

impl Recorder for Outside {
    fn record(&self, event: &Event<'_>) {
        self.events.lock().unwrap().push((event.kind, format!("{} {}", event.reply, event.context)));
    }
}

impl Wake for Outside {
    fn ready(&self, hop: HopId) {
        self.ready.lock().unwrap().insert(hop);
    }
    fn due(&self) {}
}

impl Route for Outside {
    fn hops(&self, message: &ToRoute<'_>) -> Vec<HopKey> {
        self.journeys.lock().unwrap().push(message.journey.clone());
        message.envelope.recipients.iter().map(|to| hop(&to.address)).collect()
    }
}

fn hop(to: &Mailbox) -> HopKey {
    match to.domain() {
        "nowhere.test" => HopKey::Unreachable { reason: "no connector".into() },
        domain => HopKey::Mx { connector: "out".into(), domain: domain.into() },
    }
}

pub struct Node {
    pub world: World,
    pub sim: SimHandle,
    pub spool: Spool,
    pub outside: Arc<Outside>,
    pub settings: Settings,
}

pub fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text, true).unwrap()
}

pub fn settings() -> Settings {
    let mut settings = Settings::new("mx.test", mailbox("postmaster@here.test"));
    settings.journal.segment_bytes = 4 << 20;
    settings.journal.keep_free_bytes = 0;
    settings.expire_grace_ms = 0;
    settings
}

pub fn envelope(from: &str, to: &[&str]) -> Envelope {
    Envelope {
        from: if from.is_empty() { ReversePath::Null } else { ReversePath::Mailbox(mailbox(from)) },
        ret: None,
        envid: None,
        body: BodyKind::SevenBit,
        smtputf8: false,
        recipients: to.iter().map(|to| Recipient::new(mailbox(to))).collect(),
    }
}

pub fn reply(code: u16, class: u8) -> Reply {
    Reply::new(code, Enhanced::new(class, 1, 1), "said the peer")
}

pub fn delivered() -> Outcome {
    Outcome::Relayed { reply: reply(250, 2), dsn_offered: false }
}

pub fn failed() -> Outcome {
    Outcome::Failed { reply: reply(550, 5) }
}

pub fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

impl Node {
    pub fn new(settings: Settings) -> Node {
        let (world, sim) = World::simulated(7);
        let outside: Arc<Outside> = Arc::default();
        let spool = open(&world, &settings, &outside).unwrap();
        Node { world, sim, spool, outside, settings }
    }

    /// The process dies and another one starts. `power`: the machine dies too.
    pub fn die(&mut self, power: bool) {
        self.sim.disk.crash();
        self.outside = Arc::default();
        match power {
            true => self.sim.disk.reboot(),
            false => self.sim.disk.restart_process(),
        }
        self.spool = open(&self.world, &self.settings, &self.outside).unwrap();
    }

    pub fn pump(&self) {
        (0..6).for_each(|_| {
            self.spool.pump();
        });
    }

    /// Long enough for settle records to be synced.
    pub fn rest(&self) {
        for _ in 0..3 {
            self.sim.clock.advance_ms(1100);
            self.spool.tick();
            self.pump();
        }
    }

    pub fn offer(&self, envelope: Envelope, body: &[u8]) -> Accepting {
        self.offer_after(envelope, body, Journey::default())
    }

    pub fn offer_after(&self, envelope: Envelope, body: &[u8], journey: Journey) -> Accepting {
        let mut pending = self.spool.begin(&Source::default()).unwrap();
        for part in body.chunks(50_000) {
            if pending.push(part) == Push::Wait {
                self.pump();
                assert!(poll(&mut Box::pin(pending.room())).is_ready());
            }
        }
        pending.accept(envelope, Facts { received_from: "client.test".into(), journey, ..Facts::default() })
    }

    pub fn accept(&self, envelope: Envelope, body: &[u8]) -> Receipt {
        self.taken(self.offer(envelope, body))
    }

    pub fn taken(&self, mut accepting: Accepting) -> Receipt {
        for _ in 0..20 {
            if let Poll::Ready(done) = poll(&mut accepting) {
                return done.unwrap();
            }
            self.spool.pump();
        }
        panic!("no receipt");
    }

    pub fn hop(&self, domain: &str) -> HopId {
        self.spool.queue_named(&format!("mx:out:{domain}")).unwrap()
    }

    /// What has waited comes when the journal says that it is under way.
    pub fn take(&self, domain: &str, max: usize) -> Vec<Work> {
        let mut works = self.spool.take(self.hop(domain), max);
        for _ in 0..6 {
            self.spool.pump();
            let left = max - works.len();
            works.extend(self.spool.take(self.hop(domain), left));
        }
        works
    }

    pub fn take_one(&self, domain: &str) -> Work {
        let mut works = self.take(domain, 10);
        assert_eq!(works.len(), 1);
        works.pop().unwrap()
    }

    pub fn content(&self, work: &Work) -> String {
        let mut bytes = vec![0; work.body().len() as usize];
        assert_eq!(work.body().read(0, &mut bytes).unwrap(), bytes.len());
        String::from_utf8(bytes).unwrap()
    }

    pub fn messages(&self) -> Vec<MessageId> {
        self.spool.messages(&Filter::default(), 1000, None).iter().map(|view| view.id).collect()
    }

    pub fn events(&self, kind: EventKind) -> Vec<String> {
        let events = self.outside.events.lock().unwrap();
        events.iter().filter(|(k, _)| *k == kind).map(|(_, text)| text.clone()).collect()
    }
}

pub fn open(world: &World, settings: &Settings, outside: &Arc<Outside>) -> Result<Spool, OpenError> {
    let outside = outside.clone();
    Spool::open_inline(world, Path::new("/spool"), settings.clone(), outside.clone(), outside.clone(), outside)
}

pub const BODY: &[u8] = b"Subject: hello\r\nMessage-ID: <1@client.test>\r\n\r\nbody text\r\n";

pub fn with_ret(mut envelope: Envelope, ret: Ret) -> Envelope {
    envelope.ret = Some(ret);
    envelope
}

/// An hour in milliseconds.
pub const HOUR_MS: u64 = 3_600_000;
