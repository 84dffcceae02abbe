//! A spool, a deliverer and a clock hand in one process, and peers that a test plays.

use mail::{BodyKind, Envelope, Event, Mailbox, Recipient, Recorder, Reply, ReversePath};
use spool::{Facts, Ladder, Source, Spool};
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use transport::categorize::Categorizer;
use transport::deliver::{Bell, Deliverer, Letter, LocalStore, Parts};
use transport::dns::{DnsSettings, Resolver};
use transport::swap::Swap;
use world::World;

/// What the trace got, as `KIND recipient reply`, and what the store got.
#[derive(Default)]
pub struct Seen {
    pub events: Mutex<Vec<String>>,
    pub letters: Mutex<Vec<String>>,
}

impl Recorder for Seen {
    fn record(&self, event: &Event<'_>) {
        let to = event.recipients.join(",");
        let line = format!("{} {to} {} {} [{}]", event.kind, event.reply, event.peer, event.context);
        self.events.lock().unwrap().push(line);
    }
}

impl LocalStore for Seen {
    fn deliver(&self, domain: &str, letters: &[Letter<'_>]) -> Vec<Reply> {
        let mut kept = self.letters.lock().unwrap();
        for letter in letters {
            let mut text = format!("{domain}: {}", String::from_utf8_lossy(letter.head));
            let mut size = 0;
            letter
                .body
                .read(&mut |part| {
                    size += part.len() as u64;
                    text.push_str(&String::from_utf8_lossy(part));
                    Ok(())
                })
                .unwrap();
            assert_eq!(size, letter.body.size_bytes());
            kept.push(text);
        }
        letters.iter().map(|_| Reply::plain(250, "kept")).collect()
    }
}

pub struct Stage {
    pub spool: Spool,
    pub deliverer: Deliverer,
    pub seen: Arc<Seen>,
    /// The organization that runs.
    pub org: Arc<Swap<directory::Org>>,
    _dir: tempfile::TempDir,
}

impl Stage {
    /// With this organization document; what stands in every one is put before it.
    pub async fn new(org: &str) -> Stage {
        Stage::with(org, &[]).await
    }

    /// The same, with files that the document names as `@DIR@/name`.
    pub async fn with(org: &str, files: &[(&str, &str)]) -> Stage {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let file = dir.path().join("org.toml");
        let org = org.replace("@DIR@", &dir.path().display().to_string());
        let head = "postmaster = \"postmaster@home.test\"\n[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:2525\"]\n\
                    remote = [\"127.0.0.0/8\"]\npermissions = [\"anonymous\"]\n";
        std::fs::write(&file, format!("{head}{org}")).unwrap();
        let world = World::real();
        let start = directory::Start { org: Some(file), ..directory::Start::default() };
        let loaded = directory::Loaded::load(&*world.disk, &start).unwrap_or_else(|problems| panic!("{problems}"));
        let org = Arc::new(Swap::new(loaded.org));
        let seen = Arc::new(Seen::default());
        let bell = Arc::new(Bell::new());
        let spool = open(&world, &dir.path().join("spool"), &seen, &org, &bell);
        let resolver = Resolver::new(&DnsSettings { servers: Vec::new(), timeout: Duration::from_secs(1) }).unwrap();
        let parts = Parts {
            shaping: transport::deliver::Shaping::new(world.clock.clone()),
            world,
            spool: spool.clone(),
            org: org.clone(),
            links: None,
            resolver,
            store: seen.clone(),
            own_names: vec!["relay.test".into()],
            connections_max: 100,
        };
        let deliverer = Deliverer::start(&bell, parts).unwrap();
        let ticking = spool.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(5)).await;
                ticking.tick();
            }
        });
        Stage { spool, deliverer, seen, org, _dir: dir }
    }

    /// A message is accepted.
    pub async fn send(&self, to: &[&str], body: &str) {
        let mut pending = self.spool.begin(&Source::default()).unwrap();
        for part in body.as_bytes().chunks(64 << 10) {
            if pending.push(part) == spool::Push::Wait {
                pending.room().await;
            }
        }
        let mailbox = |text: &str| Mailbox::parse(text, true).unwrap();
        let envelope = Envelope {
            from: ReversePath::Null,
            ret: None,
            envid: None,
            body: BodyKind::SevenBit,
            smtputf8: false,
            recipients: to.iter().map(|to| Recipient::new(mailbox(to))).collect(),
        };
        pending.accept(envelope, Facts::default()).await.unwrap();
    }

    /// Waits until the trace holds `count` lines that begin with `start`.
    pub async fn sees(&self, start: &str, count: usize) {
        eventually(&format!("{count} x {start}"), || {
            let events = self.seen.events.lock().unwrap();
            let found = events.iter().filter(|event| event.starts_with(start)).count();
            if found > count {
                panic!("{found} x {start}: {events:#?}");
            }
            found == count
        })
        .await;
    }
}

fn open(world: &World, dir: &Path, seen: &Arc<Seen>, org: &Arc<Swap<directory::Org>>, bell: &Arc<Bell>) -> Spool {
    let mut settings = spool::Settings::new("relay.test", Mailbox::parse("postmaster@home.test", false).unwrap());
    settings.journal.segment_bytes = 4 << 20;
    settings.ladder = Ladder {
        glitch_count: 100,
        glitch_interval_ms: 50,
        transient_count: 0,
        transient_interval_ms: 50,
        interval_ms: 50,
    };
    settings.message_retry_interval_ms = 50;
    let route = Arc::new(Categorizer::new(org.clone()));
    Spool::open(world, dir, settings, seen.clone(), route, bell.clone()).unwrap()
}

pub async fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("did not happen: {what}");
}

/// What a peer that a test plays does.
#[derive(Clone, Default)]
pub struct Manners {
    pub extensions: &'static [&'static str],
    /// Recipients that begin with this are answered 450.
    pub later: Option<&'static str>,
    /// So many connections are answered 421 in place of a greeting.
    pub busy: Arc<Mutex<u32>>,
    /// So many times it hangs up when the message is whole.
    pub dies_after_dot: Arc<Mutex<u32>>,
    /// Messages, each with its recipients before it.
    pub got: Arc<Mutex<Vec<String>>>,
    pub connections: Arc<Mutex<u32>>,
}

/// A next hop of these manners on a port of its own.
pub async fn peer(manners: &Manners) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let manners = manners.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(session(stream, manners.clone()));
        }
    });
    port
}

fn count_down(count: &Mutex<u32>) -> bool {
    let mut count = count.lock().unwrap();
    let some = *count > 0;
    *count = count.saturating_sub(1);
    some
}

/// One session, LMTP if the client says LHLO.
pub async fn session(stream: impl AsyncRead + AsyncWrite + Unpin, manners: Manners) -> Option<()> {
    *manners.connections.lock().unwrap() += 1;
    let mut io = BufReader::new(stream);
    if count_down(&manners.busy) {
        return io.write_all(b"421 4.3.2 too busy\r\n").await.ok();
    }
    io.write_all(b"220 peer.test\r\n").await.ok()?;
    commands(io, manners).await
}

/// A next hop that does everything under TLS, with this certificate.
pub async fn tls_peer(manners: &Manners, config: rustls::ServerConfig) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (manners, acceptor) = (manners.clone(), tokio_rustls::TlsAcceptor::from(Arc::new(config)));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (manners, acceptor) = (manners.clone(), acceptor.clone());
            tokio::spawn(async move {
                *manners.connections.lock().unwrap() += 1;
                for said in ["220 peer.test\r\n", "250-peer.test\r\n250 STARTTLS\r\n", "220 go\r\n"] {
                    stream.write_all(said.as_bytes()).await.ok()?;
                    if said != "220 go\r\n" {
                        tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 512]).await.ok()?;
                    }
                }
                commands(BufReader::new(acceptor.accept(stream).await.ok()?), manners).await
            });
        }
    });
    port
}

async fn commands(mut io: BufReader<impl AsyncRead + AsyncWrite + Unpin>, manners: Manners) -> Option<()> {
    let (mut to, mut lmtp) = (Vec::new(), false);
    loop {
        let mut line = String::new();
        if io.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let verb = line.split([' ', '\r']).next().unwrap_or_default().to_uppercase();
        let mut answer = String::from("250 ok\r\n");
        match verb.as_str() {
            "EHLO" | "LHLO" => {
                lmtp = verb == "LHLO";
                answer = manners.extensions.iter().map(|word| format!("250-{word}\r\n")).collect();
                answer.push_str("250 HELP\r\n");
            }
            "RCPT" => {
                let address = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                match manners.later.is_some_and(|later| address.starts_with(later)) {
                    true => answer = "450 4.2.1 not now\r\n".into(),
                    false => to.push(address),
                }
            }
            "DATA" | "BDAT" => {
                let message = match verb.as_str() {
                    "DATA" if to.is_empty() => {
                        io.write_all(b"554 5.5.1 nobody\r\n").await.ok()?;
                        continue;
                    }
                    "DATA" => dotted(&mut io).await?,
                    _ => counted(&mut io, &line).await?,
                };
                manners.got.lock().unwrap().push(format!("{}: {message}", to.join(",")));
                if count_down(&manners.dies_after_dot) {
                    return None;
                }
                let answers = if lmtp { to.len() } else { 1 };
                answer = "250 2.0.0 taken\r\n".repeat(answers);
                to.clear();
            }
            "RSET" => to.clear(),
            "QUIT" => return io.write_all(b"221 bye\r\n").await.ok(),
            _ => {}
        }
        io.write_all(answer.as_bytes()).await.ok()?;
    }
}

async fn dotted(io: &mut BufReader<impl AsyncRead + AsyncWrite + Unpin>) -> Option<String> {
    io.write_all(b"354 go\r\n").await.ok()?;
    let mut message = String::new();
    loop {
        let mut line = String::new();
        if io.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if line == ".\r\n" {
            return Some(message);
        }
        message.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}

async fn counted(io: &mut BufReader<impl AsyncRead + AsyncWrite + Unpin>, line: &str) -> Option<String> {
    let count = line.split(' ').nth(1)?.parse().ok()?;
    let mut bytes = vec![0; count];
    tokio::io::AsyncReadExt::read_exact(io, &mut bytes).await.ok()?;
    String::from_utf8(bytes).ok()
}

/// Runs a test on two threads, as the node does.
pub fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test);
}
