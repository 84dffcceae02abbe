//! A receiver on a loopback port with a spool on a simulated disk, and a client to talk to it.

use super::{Asker, NotNow, Readiness, Receiver, Shared};
use crate::auth::Passwords;
use crate::limits::Doors;
use crate::swap::Swap;
use crate::tls::Certificates;
use directory::{Loaded, Org, Problems, ReceiveConnector, Start};
use mail::{Event, EventKind, Mailbox, Recorder, Reply};
use spool::{HopId, HopKey, Route, Settings, Spool, ToRoute, Wake};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use world::World;
use world::sim::SimHandle;

/// An organization document, compiled.
pub fn org(document: &str) -> Arc<Org> {
    try_org(document).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The same, if the document is good.
fn try_org(document: &str) -> Result<Arc<Org>, Problems> {
    let (world, _) = World::simulated(1);
    world.disk.create_dir_all_durable(Path::new("/conf")).unwrap();
    let path = PathBuf::from("/conf/org.toml");
    world.disk.replace_durable(&path, document.as_bytes()).unwrap();
    let start = Start { org: Some(path), ..Start::default() };
    Loaded::load(&*world.disk, &start).map(|loaded| loaded.org)
}

/// A connector for strangers on a loopback port, with limits that no test meets by accident.
pub fn connector(name: &str) -> ReceiveConnector {
    let org = org(&format!("[[receive_connector]]\nname = \"{name}\"\nlisten = [\"127.0.0.1:25\"]\n"));
    (*org.receive_connectors[0]).clone()
}

/// Events as one line each.
#[derive(Default)]
pub struct Records(Mutex<Vec<String>>);

impl Recorder for Records {
    fn record(&self, event: &Event<'_>) {
        if !matches!(event.kind, EventKind::Receive | EventKind::Refuse) {
            return;
        }
        let Event { kind, sender, recipients, peer, via, reply, context, .. } = event;
        let sender = sender.map_or(String::new(), |sender| sender.to_string());
        let line = format!("{kind} {sender} {recipients:?} peer={peer} via={via} reply={reply} {context}");
        self.0.lock().unwrap().push(line);
    }
}

impl Records {
    /// All lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

struct Nowhere;

impl Route for Nowhere {
    fn hops(&self, _: &ToRoute<'_>) -> Vec<HopKey> {
        vec![HopKey::Unreachable { reason: "test".into() }]
    }
}

impl Wake for Nowhere {
    fn ready(&self, _: HopId) {}
    fn due(&self) {}
}

/// Readiness that a test sets: nobody is served; or only these askers and later ones are taken from, the answers to all but servers held
/// back so long.
#[derive(Default)]
pub struct Ready(pub Mutex<Option<Reply>>, pub Mutex<Option<(Asker, Duration)>>);

impl Readiness for Ready {
    fn can_serve(&self) -> Result<(), Reply> {
        self.0.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    fn for_probes(&self, asker: Asker) -> Result<(), &'static str> {
        match self.can_accept(asker) {
            Ok(_) => Ok(()),
            Err(refused) if refused.reason == "back_pressure" => Err("back-pressure"),
            Err(_) => Err("draining"),
        }
    }

    fn can_accept(&self, asker: Asker) -> Result<Duration, NotNow> {
        if let Some(reply) = self.0.lock().unwrap().clone() {
            return Err(NotNow { reason: "not_ready", reply });
        }
        match *self.1.lock().unwrap() {
            Some((from, _)) if asker < from => {
                let reply = Reply::new(452, mail::Enhanced::new(4, 3, 1), "short of something");
                Err(NotNow { reason: "back_pressure", reply })
            }
            Some((_, brake)) if asker < Asker::Server => Ok(brake),
            _ => Ok(Duration::ZERO),
        }
    }
}

/// A receiver that serves a loopback port.
pub struct Node {
    pub receiver: Receiver,
    pub address: SocketAddr,
    pub spool: Spool,
    pub records: Arc<Records>,
    pub ready: Arc<Ready>,
    pub sim: SimHandle,
    org: Arc<Swap<Org>>,
    certificate: rustls::pki_types::CertificateDer<'static>,
}

impl Node {
    /// Serves by `document`, in which `@LISTEN@` stands for the port.
    pub async fn start(document: &str) -> Node {
        Node::behind(document, Doors::new(100, None)).await
    }

    /// The same behind doors of other bounds.
    pub async fn behind(document: &str, doors: Doors) -> Node {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let org = org(&document.replace("@LISTEN@", &address.to_string()));
        let org = Arc::new(Swap::new(org));
        let (world, sim) = World::simulated(7);
        let (records, ready) = (Arc::new(Records::default()), Arc::new(Ready::default()));
        let spool = open_spool(&world, records.clone());
        let pair = rcgen::generate_simple_self_signed(["localhost".to_string()]).unwrap();
        let pem = (pair.cert.pem(), pair.signing_key.serialize_pem());
        let shared = Shared {
            spool: spool.clone(),
            copies_by_default: 0,
            org: org.clone(),
            certificates: Arc::new(Certificates::from_pem(pem.0.as_bytes(), pem.1.as_bytes()).unwrap()),
            links: None,
            readiness: ready.clone(),
            recorder: records.clone(),
            doors,
            passwords: Passwords::new(&*world.chance),
            world,
        };
        let receiver = Receiver::new(Arc::new(shared));
        let serving = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                let receiver = serving.clone();
                tokio::spawn(async move { receiver.serve(stream, address, peer).await });
            }
        });
        Node { receiver, address, spool, records, ready, sim, org, certificate: pair.cert.der().clone() }
    }

    /// A connection, before the greeting.
    pub async fn connect(&self) -> Client<TcpStream> {
        Client { stream: TcpStream::connect(self.address).await.unwrap(), read: Vec::new() }
    }

    /// Has new sessions meet another document, if it is a good one.
    pub fn reload(&self, document: &str) -> Option<Arc<Org>> {
        let org = try_org(document).ok()?;
        self.org.store(org.clone());
        Some(org)
    }

    /// A connection from `peer` to `local`, as far as the receiver can see.
    pub async fn connect_as(&self, local: SocketAddr, peer: SocketAddr) -> Client<TcpStream> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (served, _) = listener.accept().await.unwrap();
        let receiver = self.receiver.clone();
        tokio::spawn(async move { receiver.serve(served, local, peer).await });
        Client { stream, read: Vec::new() }
    }

    /// A connection that has been greeted and has said EHLO.
    pub async fn client(&self) -> Client<TcpStream> {
        let mut client = self.connect().await;
        client.hears("220 ").await;
        client.asks("EHLO client.example\r\n", "250").await;
        client
    }

    /// Makes the TLS handshake as a client that trusts the node's certificate.
    pub async fn tls(&self, client: Client<TcpStream>) -> Client<TlsStream<TcpStream>> {
        assert!(client.read.is_empty(), "nothing comes in the clear before TLS");
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream =
            TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), client.stream).await.unwrap();
        Client { stream, read: Vec::new() }
    }

    /// The content of the only message in the spool.
    pub fn only_message(&self) -> String {
        let messages = self.spool.messages(&spool::Filter::default(), 10, None);
        assert_eq!(messages.len(), 1, "messages in custody");
        String::from_utf8(self.spool.export(messages[0].id, 1 << 20).unwrap()).unwrap()
    }

    /// The content of all messages in the spool.
    pub fn all_messages(&self) -> Vec<String> {
        let messages = self.spool.messages(&spool::Filter::default(), 100, None);
        let content = |id| String::from_utf8(self.spool.export(id, 1 << 20).unwrap()).unwrap();
        messages.iter().map(|message| content(message.id)).collect()
    }

    /// Messages in custody.
    pub fn messages(&self) -> u64 {
        self.spool.totals().messages
    }
}

fn open_spool(world: &World, recorder: Arc<dyn Recorder>) -> Spool {
    let postmaster = Mailbox::parse("postmaster@posthouse.test", false).unwrap();
    let settings = Settings::new("mx.posthouse.test", postmaster);
    Spool::open(world, Path::new("/spool"), settings, recorder, Arc::new(Nowhere), Arc::new(Nowhere)).unwrap()
}

/// The other end of a session.
pub struct Client<S> {
    pub stream: S,
    read: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Sends text.
    pub async fn says(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Reads one reply, which must start with `expected`; gives all its lines.
    pub async fn hears(&mut self, expected: &str) -> String {
        let mut reply = String::new();
        loop {
            let line = self.line().await;
            let last = line.as_bytes().get(3) != Some(&b'-');
            reply.push_str(&line);
            if last {
                break;
            }
        }
        assert!(reply.starts_with(expected), "heard {reply:?}, expected {expected:?}");
        reply
    }

    /// Sends text and reads the reply to it.
    pub async fn asks(&mut self, text: &str, expected: &str) -> String {
        self.says(text).await;
        self.hears(expected).await
    }

    /// A whole message from a@client.example to `to`; `content` without its dot.
    pub async fn sends(&mut self, to: &str, content: &str, expected: &str) -> String {
        self.asks("MAIL FROM:<a@client.example>\r\n", "250 2.1.0").await;
        self.asks(&format!("RCPT TO:<{to}>\r\n"), "250 2.1.5").await;
        self.asks("DATA\r\n", "354").await;
        self.asks(&format!("{content}.\r\n"), expected).await
    }

    /// The connection is closed and nothing more was said.
    pub async fn is_closed(&mut self) {
        let mut rest = self.read.clone();
        let mut buffer = [0; 1024];
        // A reset is as closed as an end of file.
        while let Ok(count @ 1..) = self.stream.read(&mut buffer).await {
            rest.extend_from_slice(&buffer[..count]);
        }
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }

    async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.read.iter().position(|b| *b == b'\n') {
                return String::from_utf8(self.read.drain(..=end).collect()).unwrap();
            }
            let mut buffer = [0; 4096];
            let count = tokio::time::timeout(Duration::from_secs(600), self.stream.read(&mut buffer)).await;
            let count = count.expect("a reply comes").unwrap();
            assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&self.read));
            self.read.extend_from_slice(&buffer[..count]);
        }
    }
}
