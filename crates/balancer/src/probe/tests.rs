//! Probers against servers on loopback that change their mind.

use super::*;
use directory::ProxyHeader;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use world::World;

/// A server that greets with what it is told to, and answers everything else with 250. Counts connections, and those that said goodbye.
#[derive(Default)]
struct Server {
    greeting: Mutex<String>,
    connections: AtomicUsize,
    goodbyes: AtomicUsize,
}

impl Server {
    async fn start(greeting: &str) -> (Arc<Server>, SocketAddr) {
        let server = Arc::new(Server { greeting: Mutex::new(greeting.into()), ..Server::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, serving) = (listener.local_addr().unwrap(), server.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let server = serving.clone();
                server.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let greeting = server.greeting.lock().unwrap().clone();
                    let _ = stream.write_all(greeting.as_bytes()).await;
                    let mut said = [0; 512];
                    while let Ok(count @ 1..) = stream.read(&mut said).await {
                        let _ = stream.write_all(b"250 ok\r\n").await;
                        if said[..count].starts_with(b"QUIT") {
                            server.goodbyes.fetch_add(1, Ordering::SeqCst);
                            return;
                        }
                    }
                });
            }
        });
        (server, address)
    }

    fn greets(&self, greeting: &str) {
        *self.greeting.lock().unwrap() = greeting.into();
    }
}

fn target(address: SocketAddr, interval_ms: u64) -> Target {
    let settings = Settings { interval_ms, fast_interval_ms: 5, ..Settings::default() };
    Target { settings, ..Target::new(address, Kind::Smtp) }
}

fn probers(known: Arc<dyn Known>) -> Probers {
    Probers::new(World::real(), "lb.example.net", known).unwrap()
}

async fn until(watch: &Watch, word: Word) -> Report {
    let mut changed = watch.changed();
    let report = changed.wait_for(|report| report.standing.word() == word).await.unwrap().clone();
    assert_eq!(watch.word(), word);
    report
}

#[tokio::test]
async fn a_server_falls_rises_and_is_left_alone_when_nobody_watches() {
    let (server, address) = Server::start("220 hello\r\n").await;
    let probers = probers(Arc::new(()));
    let (watch, same) = (probers.watch(target(address, 10)), probers.watch(target(address, 10)));
    assert!(Arc::ptr_eq(&watch, &same), "one prober for one target");
    let up = until(&watch, Word::Up).await;
    assert!(up.since_ms > 0);
    server.greets("421 4.3.2 too busy\r\n");
    assert_eq!(until(&watch, Word::Down).await.standing, Standing::Down("421 4.3.2 too busy".into()));
    server.greets("220 hello\r\n");
    until(&watch, Word::Up).await;
    server.greets("421 4.3.2 not ready: draining\r\n");
    assert_eq!(until(&watch, Word::Draining).await.standing, Standing::Draining("draining".into()));
    assert!(server.goodbyes.load(Ordering::SeqCst) >= 3);
    drop((watch, same));
    assert_eq!(probers.watched(), 0);
    let before = server.connections.load(Ordering::SeqCst);
    let again = probers.watch(target(address, 3_600_000));
    until(&again, Word::Draining).await;
    assert!(server.connections.load(Ordering::SeqCst) > before, "who watches again hears what is true now");
}

#[tokio::test]
async fn failures_of_the_data_path_take_a_server_out_and_call_for_a_probe() {
    let (server, address) = Server::start("220 hello\r\n").await;
    let probers = probers(Arc::new(()));
    let watch = probers.watch(target(address, 3_600_000));
    until(&watch, Word::Up).await;
    let before = server.connections.load(Ordering::SeqCst);
    (0..3).for_each(|_| watch.report_failure());
    assert_eq!(watch.word(), Word::Down);
    // An hour is not waited for: probes at the short interval bring it back.
    until(&watch, Word::Up).await;
    assert!(server.connections.load(Ordering::SeqCst) >= before + 2);
    watch.report_failure();
    watch.report_success();
    (0..2).for_each(|_| watch.report_failure());
    assert_eq!(watch.word(), Word::Up, "not three in a row");
}

/// What the cluster knows, as a test says it.
#[derive(Default)]
struct Cluster(Mutex<Option<Standing>>);

impl Known for Cluster {
    fn standing(&self, server: &str) -> Option<Standing> {
        assert_eq!(server, "hub1");
        self.0.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn the_word_of_the_cluster_counts_before_the_next_probe() {
    let (_server, address) = Server::start("220 hello\r\n").await;
    let cluster = Arc::new(Cluster::default());
    let probers = probers(cluster.clone());
    let watch = probers.watch(Target { server: Some("hub1".into()), ..target(address, 3_600_000) });
    until(&watch, Word::Up).await;
    *cluster.0.lock().unwrap() = Some(Standing::Draining("draining".into()));
    probers.look_again();
    assert_eq!(watch.standing(), Standing::Draining("draining".into()));
    *cluster.0.lock().unwrap() = None;
    probers.look_again();
    assert_eq!(watch.word(), Word::Up);
}

#[tokio::test]
async fn whoever_says_nothing_or_nobody_there_is_down_with_a_reason() {
    let probers = probers(Arc::new(()));
    let (_server, silent) = Server::start("").await;
    let mut quick = target(silent, 10);
    quick.settings.timeout_ms = 50;
    let watch = probers.watch(quick);
    assert_eq!(until(&watch, Word::Down).await.standing.reason(), "at the greeting: no answer in 50 ms");
    // Bound, so that nobody else gets it, and not listening.
    let nobody = TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let watch = probers.watch(Target::new(nobody.local_addr().unwrap(), Kind::Tcp));
    assert_eq!(until(&watch, Word::Down).await.standing.reason(), "no connection: Connection refused");
    let tcp = probers.watch(Target::new(silent, Kind::Tcp));
    until(&tcp, Word::Up).await;
}

/// A server of POP3 under TLS, with a certificate for mx.example.net that ends in this year.
async fn pop3s(last_year: i32) -> SocketAddr {
    let mut params = rcgen::CertificateParams::new(["mx.example.net".to_string()]).unwrap();
    params.not_after = rcgen::date_time_ymd(last_year, 1, 1);
    let own_key = rcgen::KeyPair::generate().unwrap();
    let made = params.self_signed(&own_key).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(own_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.write_all(b"+OK hi\r\n").await;
            let mut said = [0; 64];
            while let Ok(1..) = stream.read(&mut said).await {
                let _ = stream.write_all(b"+OK\r\n.\r\n").await;
            }
        }
    });
    address
}

#[tokio::test]
async fn the_certificate_of_a_server_is_noted_and_takes_it_out_only_where_the_document_says_so() {
    let probers = probers(Arc::new(()));
    let strict = |address| {
        let settings = Settings { expired_is_down: true, ..Settings::default() };
        Target { server_name: Some("mx.example.net".into()), settings, ..Target::new(address, Kind::Pop3s) }
    };
    let good = until(&probers.watch(strict(pop3s(2999).await)), Word::Up).await.certificate.unwrap();
    assert_eq!(good.names, ["mx.example.net"]);
    assert!(good.is_for("mx.example.net") && good.not_after_ms > 0);
    let expired = strict(pop3s(2001).await);
    let down = until(&probers.watch(expired.clone()), Word::Down).await;
    assert_eq!(down.standing.reason(), "its certificate for mx.example.net has ended");
    assert!(down.certificate.is_some(), "what was seen is noted all the same");
    let mild = Target { settings: Settings::default(), ..expired };
    until(&probers.watch(mild), Word::Up).await;
}

/// Two probes of one address that differ in anything but their times have series of their own.
#[test]
fn no_two_probes_share_their_figures() {
    let plain = Target::new("192.0.2.1:443".parse().unwrap(), Kind::Https);
    let name = |name: &str| Target { server_name: Some(name.into()), ..plain.clone() };
    let http = HttpCheck { path: "/health".into(), status: (204, 204), ..HttpCheck::default() };
    let all = [
        plain.clone(),
        name("a.example"),
        name("b.example"),
        Target { kind: Kind::Tcp, ..plain.clone() },
        Target { http, ..plain.clone() },
        Target { starttls: true, ..plain.clone() },
        Target { proxy: ProxyHeader::V2, ..plain.clone() },
    ];
    let labels = |of: &Target| (of.to_string(), of.server_name.clone(), of.how());
    let distinct: std::collections::HashSet<_> = all.iter().map(labels).collect();
    assert_eq!(distinct.len(), all.len());
    assert_eq!(all[4].how(), "/health 204");
}

#[tokio::test]
async fn a_voice_server_is_asked_over_udp_or_else_over_tcp() {
    use crate::sip::{Answer, Message};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let code = Arc::new(AtomicUsize::new(200));
    let answers = code.clone();
    let answer = move |question: &[u8], from| {
        let code = answers.load(Ordering::SeqCst) as u16;
        Answer::new(&Message::parse(question).unwrap(), from, code).finish()
    };
    let by_tcp = answer.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, from)) = listener.accept().await {
            let mut question = vec![0; 4096];
            let Ok(bytes) = stream.read(&mut question).await else { continue };
            let _ = stream.write_all(&by_tcp(&question[..bytes], from)).await;
        }
    });
    let probers = probers(Arc::new(()));
    let voice = |interval_ms| Target { kind: Kind::Sip, ..target(address, interval_ms) };
    until(&probers.watch(voice(3_600_000)), Word::Up).await;
    let socket = tokio::net::UdpSocket::bind(address).await.unwrap();
    tokio::spawn(async move {
        let mut question = vec![0; 4096];
        while let Ok((bytes, from)) = socket.recv_from(&mut question).await {
            let _ = socket.send_to(&answer(&question[..bytes], from), from).await;
        }
    });
    let watch = probers.watch(voice(10));
    until(&watch, Word::Up).await;
    code.store(503, Ordering::SeqCst);
    let draining = until(&watch, Word::Draining).await;
    assert_eq!(draining.standing.reason(), "OPTIONS answered 503 Service Unavailable");
}
