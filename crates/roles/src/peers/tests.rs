//! Nodes on loopback with certificates of a real authority: they meet, are refused in words, and carry what channels carry.

use std::net::SocketAddr;
use std::path::PathBuf;

use bytes::Bytes;
use directory::{Host, HostPort, TlsFiles};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::pki::{Order, Pki};

/// A simulated disk and chance with the real clock: certificates are made in it, links live in real time.
struct Ground {
    world: World,
}

impl Ground {
    fn new() -> Ground {
        let (world, _) = World::simulated(1);
        let world = World { clock: World::real().clock, chance: World::real().chance, ..world };
        let ground = Ground { world };
        ground.pki("/pki").init("Example Ltd", None).unwrap();
        ground
    }

    fn pki(&self, dir: &str) -> Pki {
        Pki::in_world(self.world.clone(), dir.into())
    }

    fn issue(&self, dir: &str, node: &str) {
        self.pki(dir).issue(&Order { node: node.into(), ..Order::default() }).unwrap();
    }

    fn settings(&self, listen: SocketAddr, node: &str) -> directory::Peers {
        let file = |name: &str| PathBuf::from(format!("/pki/nodes/{node}/{name}.pem"));
        directory::Peers {
            listen,
            own: TlsFiles { certificate: file("certificate"), key: file("key") },
            ca: file("ca"),
            heartbeat_ms: 100,
            missed_heartbeats_max: 3,
            known: Vec::new(),
        }
    }

    /// A node that knows others by name and address.
    async fn node(&self, node: &str, others: &[(&str, SocketAddr)]) -> (Peers, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        (self.node_on(listener, node, others), at)
    }

    fn node_on(&self, listener: TcpListener, node: &str, others: &[(&str, SocketAddr)]) -> Peers {
        if !self.world.disk.exists(format!("/pki/nodes/{node}/key.pem").as_ref()).unwrap() {
            self.issue("/pki", node);
        }
        let mut settings = self.settings(listener.local_addr().unwrap(), node);
        settings.known = others.iter().map(|(name, at)| peer(name, *at)).collect();
        let tls = Arc::new(LinkTls::load(&self.world, &settings, node).unwrap());
        Peers::start(&self.world, node, &settings, tls, listener)
    }
}

const DAY_MS: i64 = 86_400_000;

fn peer(name: &str, at: SocketAddr) -> Peer {
    Peer { name: name.into(), address: HostPort { host: Host::Ip(at.ip()), port: at.port() }, keeps_copy: false }
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("within 10 s: {what}");
}

/// Two nodes that know each other, linked.
async fn pair(ground: &Ground) -> (Peers, Peers) {
    let (a, at_a) = ground.node("a.test", &[]).await;
    let (b, at_b) = ground.node("b.test", &[("a.test", at_a)]).await;
    a.follow(&[peer("b.test", at_b)]);
    eventually("they are linked", || a.is_up("b.test") && b.is_up("a.test")).await;
    (a, b)
}

fn error_of(peers: &Peers, name: &str) -> String {
    peers.states().into_iter().find(|state| state.name == name).and_then(|state| state.last_error).unwrap_or_default()
}

#[tokio::test]
async fn questions_are_answered_and_megabytes_arrive() {
    let ground = Ground::new();
    let (a, b) = pair(&ground).await;
    b.answer("where", |who, question| async move {
        Bytes::from(format!("{who} asked {}", String::from_utf8_lossy(&question)))
    });
    let answer = a.ask("b.test", "where", Bytes::from_static(b"b/spool"), Duration::from_secs(5)).await;
    assert_eq!(answer.unwrap(), "a.test asked b/spool");
    let nobody = a.ask("b.test", "weather", Bytes::new(), Duration::from_secs(5)).await.unwrap_err();
    assert_eq!(nobody.to_string(), "dropped");
    assert_eq!(a.ask("c.test", "where", Bytes::new(), Duration::from_secs(5)).await, Err(NoAnswer::NoLink));

    let mut copies = b.serve("copy");
    let channel = a.open("b.test", "copy", "a.test/spool", 0).unwrap();
    let total = 64 << 20;
    let sender = tokio::spawn(async move {
        let piece = Bytes::from((0..100_000u32).map(|i| (i % 251) as u8).collect::<Vec<u8>>());
        for _ in 0..total / piece.len() {
            channel.send(piece.clone()).await.unwrap();
        }
        channel.finish().unwrap();
        assert_eq!(channel.receive().await.unwrap().as_deref(), Some(&b"all of it"[..]));
    });
    let taken = copies.recv().await.unwrap();
    assert_eq!((taken.kind(), taken.name(), taken.peer()), ("copy", "a.test/spool", "a.test"));
    taken.accept(4 << 20);
    let mut at = 0usize;
    while let Some(bytes) = taken.receive().await.unwrap() {
        let whole = bytes.iter().enumerate().all(|(i, byte)| *byte == ((at + i) % 100_000 % 251) as u8);
        assert!(whole, "at {at}");
        at += bytes.len();
    }
    assert_eq!(at, total / 100_000 * 100_000);
    taken.send(Bytes::from_static(b"all of it")).await.unwrap();
    sender.await.unwrap();
    let state = &b.states()[0];
    assert!(state.in_bytes > total as u64 && state.round_trip_us.is_some() && state.links == 1, "{state:?}");
}

/// Both dial at the same moment, again and again: there is one link in the end, and it is the same one for both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_dial_each_other_at_once_agree_on_one_link() {
    let ground = Ground::new();
    let (a, b) = pair(&ground).await;
    let address = |of: &Peers| peer("x.test", of.states()[0].address.parse().unwrap()).address;
    let (at_a, at_b) = (address(&b), address(&a));
    let (name_a, name_b): (Arc<str>, Arc<str>) = ("a.test".into(), "b.test".into());
    for round in 0..20 {
        let (there, back) = tokio::join!(
            dial::attempt(&a.inner, &name_b, &at_b, &dial::Need::Link),
            dial::attempt(&b.inner, &name_a, &at_a, &dial::Need::Link)
        );
        assert_eq!((there, back), (Ok(()), Ok(())), "round {round}: neither is a trouble");
        let one = || {
            let (up_a, up_b) = (a.inner.book.up("b.test"), b.inner.book.up("a.test"));
            let (Some(up_a), Some(up_b)) = (up_a, up_b) else { return false };
            // Bytes that one wrote are the bytes that the other one read: it is the same connection.
            let (counts_a, counts_b) = (up_a.shared.measured().0, up_b.shared.measured().0);
            up_a.facts.dialed_here && !up_b.facts.dialed_here && counts_a.in_bytes.abs_diff(counts_b.out_bytes) < 500
        };
        eventually("both keep the link that a made", one).await;
    }
    b.answer("where", |_, question| async move { question });
    assert_eq!(a.ask("b.test", "where", Bytes::from_static(b"x"), Duration::from_secs(5)).await.unwrap(), "x");
    assert_eq!((a.troubles(), b.troubles()), (vec![], vec![]), "nobody was without a link for a moment");
}

/// A channel that nobody reads does not keep the next one, nor the heartbeats, from their turn.
#[tokio::test]
async fn a_reader_who_stops_stops_nobody_else() {
    let ground = Ground::new();
    let (a, b) = pair(&ground).await;
    let mut copies = b.serve("copy");
    let stuck = a.open("b.test", "copy", "stuck", 0).unwrap();
    let kept = tokio::spawn(async move {
        let sent = tokio::time::timeout(Duration::from_secs(2), stuck.send(Bytes::from(vec![1; 8 << 20]))).await;
        assert!(sent.is_err(), "nobody reads: the sender waits");
        stuck
    });
    let unread = copies.recv().await.unwrap();
    unread.accept(1 << 20);
    b.answer("where", |_, question| async move { question });
    for _ in 0..20 {
        let answer = a.ask("b.test", "where", Bytes::from_static(b"x"), Duration::from_secs(5)).await;
        assert_eq!(answer.unwrap(), "x");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let stuck = kept.await.unwrap();
    assert!(a.is_up("b.test") && b.states()[0].links == 1, "the link lives");
    drop(unread);
    let gone = stuck.send(Bytes::from_static(b"more")).await;
    let gone = match gone {
        Err(gone) => gone,
        Ok(()) => stuck.receive().await.unwrap_err(),
    };
    assert_eq!(gone.why, "dropped");
}

/// Three nodes, each linked with each; one goes and comes back in another life.
#[tokio::test]
async fn three_nodes_and_one_comes_back() {
    let ground = Ground::new();
    let (a, b) = pair(&ground).await;
    let at = |of: &Peers, name: &str| -> SocketAddr {
        of.states().into_iter().find(|state| state.name == name).unwrap().address.parse().unwrap()
    };
    let (at_a, at_b) = (at(&b, "a.test"), at(&a, "b.test"));
    let (c, at_c) = ground.node("c.test", &[("a.test", at_a), ("b.test", at_b)]).await;
    a.follow(&[peer("b.test", at_b), peer("c.test", at_c)]);
    b.follow(&[peer("a.test", at_a), peer("c.test", at_c)]);
    let linked = |of: &Peers| of.states().iter().filter(|state| state.connected).count();
    eventually("each with each", || linked(&a) == 2 && linked(&b) == 2 && linked(&c) == 2).await;
    assert!(a.states()[0].dialed && !b.states()[0].dialed, "the smaller name dials");
    c.stop().await;
    eventually("c has gone", || linked(&a) == 1 && linked(&b) == 1 && !error_of(&a, "c.test").is_empty()).await;
    assert!(error_of(&a, "c.test").contains("the node is going down"), "{}", error_of(&a, "c.test"));
    let mut listener = None;
    eventually("its port is free", || {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        listener = socket.bind(at_c).ok().and_then(|()| socket.listen(8).ok());
        listener.is_some()
    })
    .await;
    let c = ground.node_on(listener.unwrap(), "c.test", &[("a.test", at_a), ("b.test", at_b)]);
    eventually("each with each again", || linked(&a) == 2 && linked(&b) == 2 && linked(&c) == 2).await;
    b.follow(&[peer("a.test", at_a)]);
    eventually("b has dropped c", || linked(&b) == 1 && linked(&c) == 1).await;
    eventually("c hears why", || error_of(&c, "b.test").contains("does not know node c.test: add [[peer]] c.test"))
        .await;
}

/// Both ends say which file it is about, or who is where.
#[tokio::test]
async fn the_wrong_authority_is_told_at_both_ends() {
    let ground = Ground::new();
    let other = ground.pki("/other");
    other.init("Example Ltd", None).unwrap();
    ground.issue("/other", "b.test");
    let disk = &ground.world.disk;
    disk.create_dir_all_durable("/pki/nodes/b.test".as_ref()).unwrap();
    for file in ["certificate.pem", "key.pem", "ca.pem"] {
        let bytes = disk.read_all(format!("/other/nodes/b.test/{file}").as_ref()).unwrap();
        disk.replace_durable(format!("/pki/nodes/b.test/{file}").as_ref(), &bytes).unwrap();
    }
    let (a, at_a) = ground.node("a.test", &[]).await;
    let (b, at_b) = ground.node("b.test", &[("a.test", at_a)]).await;
    a.follow(&[peer("b.test", at_b)]);
    let signed = "was not signed by the authority in /pki/nodes/a.test/ca.pem";
    eventually("a says what it misses", || error_of(&a, "b.test").contains(signed)).await;
    let refused = || b.troubles().iter().any(|(word, _)| *word == "refuses-ours");
    let signed = "was not signed by the authority in /pki/nodes/b.test/ca.pem";
    eventually("b hears that a refused, and refuses a", || refused() && error_of(&b, "a.test").contains(signed)).await;
    assert!(!a.is_up("b.test") && !b.is_up("a.test"));
}

/// Issues b's certificate, valid for `days`, as if today were another day.
fn issued(ground: &Ground, days: u32, shift_ms: i64) {
    let (_, handle) = World::simulated(9);
    let now_ms = ground.world.clock.wall_ms() as i64;
    handle.clock.jump_wall_ms(now_ms - world::Clock::wall_ms(&handle.clock) as i64 + shift_ms);
    let world = World { clock: Arc::new(handle.clock), ..ground.world.clone() };
    let order = Order { node: "b.test".into(), days: Some(days), ..Order::default() };
    Pki::in_world(world, "/pki".into()).issue(&order).unwrap();
}

async fn not_valid_now(shift_ms: i64) -> String {
    let ground = Ground::new();
    issued(&ground, 10, shift_ms);
    let (a, at_a) = ground.node("a.test", &[]).await;
    let (b, at_b) = ground.node("b.test", &[("a.test", at_a)]).await;
    a.follow(&[peer("b.test", at_b)]);
    eventually("a says so", || error_of(&a, "b.test").contains("its certificate")).await;
    eventually("b hears of it", || b.troubles().iter().any(|(word, _)| *word == "refuses-ours")).await;
    error_of(&a, "b.test")
}

#[tokio::test]
async fn a_certificate_that_ended_or_has_not_begun_is_told_with_its_date() {
    let error = not_valid_now(-20 * DAY_MS).await;
    assert!(error.contains("its certificate ended at 20") && error.contains("posthouse pki renew b.test"), "{error}");
    let error = not_valid_now(5 * DAY_MS).await;
    assert!(error.contains("its certificate counts only from 20") && error.contains("clocks"), "{error}");
}

/// A live link gets a new certificate before the old one ends, without a moment without a link; without a new one it ends then.
#[tokio::test]
async fn a_link_follows_its_certificates() {
    let ground = Ground::new();
    // Three seconds are left of it.
    issued(&ground, 1, 3_000 - DAY_MS);
    let (a, b) = pair(&ground).await;
    let ends = a.states()[0].certificate_until.clone().unwrap();
    ground.pki("/pki").renew(&Order { node: "b.test".into(), ..Order::default() }, true).unwrap();
    b.renew_certificates();
    let mut always = true;
    eventually("the link is made anew", || {
        always &= a.is_up("b.test");
        a.states()[0].links == 2
    })
    .await;
    assert!(mail::date::parse_rfc3339(&ends).unwrap() > ground.world.clock.wall_ms(), "before the end");
    assert!(always && a.is_up("b.test") && a.states()[0].certificate_until.as_ref() > Some(&ends));
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    assert!(a.is_up("b.test") && a.states()[0].links == 2, "and goes on");

    let ground = Ground::new();
    issued(&ground, 1, 3_000 - DAY_MS);
    let (a, b) = pair(&ground).await;
    eventually("the link ends with its certificate", || !a.is_up("b.test") && !b.is_up("a.test")).await;
    eventually("and why is said", || error_of(&a, "b.test").contains("posthouse pki renew b.test")).await;
    assert!(a.troubles().iter().any(|(word, _)| *word == "ended"), "it was said before: {:?}", a.troubles());
}

#[tokio::test]
async fn who_is_somebody_else_or_unknown_is_told_in_words() {
    let ground = Ground::new();
    let (b, at_b) = ground.node("b.test", &[]).await;
    // a believes that c is where b is.
    let (a, at_a) = ground.node("a.test", &[("c.test", at_b)]).await;
    eventually("a hears who is there", || error_of(&a, "c.test").contains("b.test is there and not c.test")).await;
    eventually("so does b", || b.troubles().iter().any(|(word, _)| *word == "wrong-node")).await;
    // a knows b, b does not know a.
    a.follow(&[peer("b.test", at_b)]);
    eventually("a hears it", || error_of(&a, "b.test").contains("b.test does not know node a.test")).await;
    b.follow(&[peer("a.test", at_a)]);
    eventually("and then they are linked", || a.is_up("b.test") && b.is_up("a.test")).await;
}

/// Whatever connects is looked at for a moment, refused, counted and forgotten.
#[tokio::test]
async fn strangers_are_refused_and_counted() {
    let ground = Ground::new();
    let (a, at) = ground.node("a.test", &[]).await;
    let talks = |bytes: Vec<u8>| async move {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let _ = stream.write_all(&bytes).await;
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said).await;
    };
    talks(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()).await;
    talks(vec![0xff; 100_000]).await;
    tls_1_2(at).await;
    no_certificate(at).await;
    let count = |word: &str| a.troubles().iter().find(|(w, _)| *w == word).map_or(0, |(_, count)| *count);
    eventually("all are counted", || count("not-tls") == 2 && count("old-tls") == 1 && count("no-certificate") == 1)
        .await;
    // A node of ours that sends garbage inside TLS.
    ground.issue("/pki", "b.test");
    a.follow(&[peer("b.test", at)]);
    let tls = LinkTls::load(&ground.world, &ground.settings(at, "b.test"), "b.test").unwrap();
    let config = tls.current().client(&Arc::default()).unwrap();
    let name = rustls::pki_types::ServerName::try_from("a.test").unwrap();
    let stream = TcpStream::connect(at).await.unwrap();
    let mut socket = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    socket.write_all(&[7; 5_000]).await.unwrap();
    eventually("garbage is named", || count("garbage") == 1).await;
    assert!(!a.is_up("b.test"));
}

async fn tls_1_2(at: SocketAddr) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let stream = TcpStream::connect(at).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("a.test").unwrap();
    assert!(tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.is_err());
}

/// A client that believes our certificate and has none of its own.
async fn no_certificate(at: SocketAddr) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(BelievesAll))
        .with_no_client_auth();
    let stream = TcpStream::connect(at).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("a.test").unwrap();
    if let Ok(mut socket) = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await {
        let mut said = Vec::new();
        assert!(socket.read_to_end(&mut said).await.is_err() && said.is_empty());
    }
}

/// Takes every certificate: a stranger who does not care whom he talks to.
#[derive(Debug)]
struct BelievesAll;

impl rustls::client::danger::ServerCertVerifier for BelievesAll {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
