//! From a connection to a link, at both ends: TLS, the first words, whether the other end is the right one, and then its life.
//! Always holds: nothing of a peer counts before its certificate, its name and its place in the book have been looked at; a refusal is
//! told to the other end in words wherever TLS lets us.

use std::sync::Arc;
use std::time::Duration;

use mux::{Event, Mux, Settings, Side};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::{IpAddr, ServerName};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use tracing::info;

use super::Inner;
use super::book::{Adopted, Facts, Up};
use super::channel::Channel;
use super::hello::{HAVE_ONE, Hello, PROTOCOL};
use super::link::{Driver, Shared, Socket};
use super::tls::Shown;
use super::trouble::Trouble;
use crate::pki::Identity;

/// Which end of a new connection we are.
#[derive(Clone)]
pub enum Role {
    /// We dialed.
    Dialer {
        /// Whom we want.
        wanted: Arc<str>,
        /// The link is of use only if its certificates end later than this, Unix milliseconds.
        valid_after_ms: u64,
    },
    /// We were called.
    Answerer,
}

/// Makes a link of a connection that we dialed; it then lives on its own.
pub async fn dialed(inner: &Arc<Inner>, stream: TcpStream, role: Role) -> Result<(), Trouble> {
    tune(&stream);
    let material = inner.tls.current();
    let shown = Arc::new(Shown::default());
    let config = material.client(&shown).map_err(|error| Trouble::Closed(error.to_string()))?;
    // The name is looked at after the handshake; rustls wants one all the same.
    let nobody = ServerName::IpAddress(IpAddr::V4([127, 0, 0, 1].into()));
    let remote = stream.peer_addr().map_err(|error| Trouble::Closed(error.to_string()))?;
    let connecting = TlsConnector::from(Arc::new(config)).connect(nobody, BufReader::with_capacity(READ_BYTES, stream));
    let socket = timeout(HANDSHAKE, connecting).await.map_err(|_| Trouble::Slow)?;
    let socket = socket.map_err(|error| Trouble::of(&error, shown.identity()))?;
    let theirs = shown.identity().ok_or(Trouble::NoCertificate)?;
    if let Role::Dialer { valid_after_ms, .. } = role
        && material.own.not_after_ms.min(theirs.not_after_ms) <= valid_after_ms
    {
        return Err(Trouble::Ended(
            "its certificate or ours ends soon and was not renewed: `posthouse pki list` says which",
        ));
    }
    let meeting = Meeting { inner, role, remote, theirs, own_until_ms: material.own.not_after_ms };
    meeting.introduce(TlsStream::Client(socket)).await
}

/// Makes a link of a connection that somebody made to us.
pub async fn answered(
    inner: &Arc<Inner>,
    stream: TcpStream,
    remote: std::net::SocketAddr,
) -> Result<(), (Option<String>, Trouble)> {
    tune(&stream);
    let material = inner.tls.current();
    let shown = Arc::new(Shown::default());
    let failed = |trouble: Trouble| (shown.identity().and_then(|identity| identity.node), trouble);
    let config = material.server(&shown).map_err(|error| failed(Trouble::Closed(error.to_string())))?;
    let accepting = TlsAcceptor::from(Arc::new(config)).accept(BufReader::with_capacity(READ_BYTES, stream));
    let socket = timeout(HANDSHAKE, accepting).await.map_err(|_| failed(Trouble::Slow))?;
    let socket = socket.map_err(|error| failed(Trouble::of(&error, shown.identity())))?;
    let theirs = shown.identity().ok_or_else(|| failed(Trouble::NoCertificate))?;
    let meeting = Meeting { inner, role: Role::Answerer, remote, theirs, own_until_ms: material.own.not_after_ms };
    meeting.introduce(TlsStream::Server(socket)).await.map_err(failed)
}

/// Heartbeats must not wait in the kernel behind megabytes of a copy.
fn tune(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    // None of this is needed for a link to work, so a kernel that refuses it is no trouble.
    let _ = stream.set_nodelay(true);
    let _ = socket.set_tcp_notsent_lowat(UNSENT_BYTES);
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(Duration::from_secs(30)));
}

/// A connection whose certificates are good, before the first words.
struct Meeting<'i> {
    inner: &'i Arc<Inner>,
    role: Role,
    remote: std::net::SocketAddr,
    theirs: Identity,
    own_until_ms: u64,
}

impl Meeting<'_> {
    async fn introduce(self, socket: Socket) -> Result<(), Trouble> {
        let inner = self.inner;
        let dialer = matches!(self.role, Role::Dialer { .. });
        let side = if dialer { Side::Dialer } else { Side::Answerer };
        let settings = Settings {
            side,
            heartbeat_us: inner.heartbeat_ms * 1000,
            missed_max: inner.missed_max,
            channels_max: CHANNELS_MAX,
            queue_max: QUEUE_MAX,
        };
        let shared = Shared::new(Mux::new(settings, inner.world.clock.mono_us()));
        let valid_until_ms = self.own_until_ms.min(self.theirs.not_after_ms);
        let mut driver = Driver::new(&inner.world, socket, shared.clone(), valid_until_ms);
        if let Role::Dialer { wanted, .. } = &self.role {
            let ours = inner.hello(Some(wanted.to_string()), None);
            shared.with(|state| state.mux.introduce(ours.bytes()));
        }
        let theirs = match timeout(HANDSHAKE, driver.next()).await.map_err(|_| Trouble::Slow)?? {
            Event::Hello(bytes) => Hello::parse(&bytes)?,
            _ => return Err(Trouble::Cut(mux::Cut::Hello)),
        };
        let (end, ended) = watch::channel(None);
        let up = Up { facts: self.facts(&theirs, valid_until_ms), shared: shared.clone(), end: Arc::new(end) };
        let judged = self.judge(&theirs, &up);
        if dialer {
            if let Err((_, words)) = &judged {
                driver.farewell(words).await;
            }
        } else {
            let refuses = judged.as_ref().err().map(|(_, words)| words.clone());
            let ours = inner.hello(None, refuses.clone());
            shared.with(|state| state.mux.introduce(ours.bytes()));
            if let Some(words) = refuses {
                driver.farewell(&words).await;
            }
        }
        let peer = match judged {
            Ok(peer) => peer,
            Err((Trouble::Ended(HAVE_ONE), _)) => return Ok(()),
            Err((trouble, _)) => return Err(trouble),
        };
        info!(peer = &*peer, address = %self.remote, "linked with {peer}");
        tokio::spawn(live(inner.clone(), peer, driver, shared, ended));
        Ok(())
    }

    fn facts(&self, theirs: &Hello, valid_until_ms: u64) -> Facts {
        let dialed_here = matches!(self.role, Role::Dialer { .. });
        let we_are_lower = *self.inner.node < *theirs.node;
        Facts {
            their_life: theirs.life,
            dialed_by_lower: dialed_here == we_are_lower,
            dialed_here,
            remote: self.remote,
            version: theirs.version.clone(),
            since_ms: self.inner.world.clock.wall_ms(),
            their_certificate_ms: self.theirs.not_after_ms,
            valid_until_ms,
        }
    }

    /// Whether the other end is the right one, and its link the one of the pair. If not: the trouble for us, and the words for the other end.
    fn judge(&self, hello: &Hello, up: &Up) -> Result<Arc<str>, (Trouble, String)> {
        let us = &self.inner.node;
        let Some(name) = &self.theirs.node else {
            return Err((Trouble::NoNode, format!("{us} links with nodes only, and your certificate names none")));
        };
        if hello.node != *name {
            let words = format!("you say that you are {}, and your certificate says {name}", hello.node);
            return Err((Trouble::WrongNode { wanted: hello.node.clone(), found: name.clone() }, words));
        }
        let wrong = |wanted: &str, found: &str| Trouble::WrongNode { wanted: wanted.into(), found: found.into() };
        match (&self.role, &hello.wants) {
            (Role::Dialer { wanted, .. }, _) if **wanted != **name => {
                return Err((wrong(wanted, name), format!("{us} wanted {wanted} here, and you are {name}")));
            }
            (Role::Answerer, Some(wanted)) if **wanted != **us => {
                let words = format!("I am {us} and not {wanted}: correct the address of [[peer]] {wanted}");
                return Err((Trouble::WantsAnother(wanted.clone()), words));
            }
            _ => {}
        }
        if hello.protocol != PROTOCOL {
            let words =
                format!("{us} speaks link protocol {PROTOCOL}, you speak {}: update the older node", hello.protocol);
            return Err((
                Trouble::Left(format!("it speaks link protocol {}, we speak {PROTOCOL}", hello.protocol)),
                words,
            ));
        }
        match &hello.refuses {
            Some(why) if why == HAVE_ONE => return Err((Trouble::Ended(HAVE_ONE), HAVE_ONE.into())),
            Some(why) => return Err((Trouble::Left(why.clone()), "understood".into())),
            None => {}
        }
        match self.inner.book.adopt(name, up) {
            Adopted::Yes(old) => {
                old.into_iter().for_each(|old| replace(old, up.facts.dialed_here));
                Ok(name.as_str().into())
            }
            Adopted::No => Err((Trouble::Ended(HAVE_ONE), HAVE_ONE.into())),
            Adopted::Unknown => {
                let words = format!("{us} does not know node {name}: add [[peer]] {name} to its posthouse.toml");
                Err((Trouble::Unknown(name.clone()), words))
            }
        }
    }
}

/// Ends a link that another one follows. The end that dialed has both now and ends the old one; the end that was called waits for
/// that, so that there is no moment without a link.
fn replace(old: Up, dialed_here: bool) {
    let wait = if dialed_here { Duration::ZERO } else { OVERLAP };
    tokio::spawn(async move {
        tokio::time::sleep(wait).await;
        old.end.send_replace(Some("a newer link takes its place"));
    });
}

/// The life of a link, to its end.
async fn live(
    inner: Arc<Inner>,
    peer: Arc<str>,
    mut driver: Driver,
    shared: Arc<Shared>,
    mut ended: watch::Receiver<Option<&'static str>>,
) {
    let trouble = loop {
        let event = tokio::select! {
            why = told_to_end(&mut ended) => {
                driver.farewell(why).await;
                break Trouble::Ended(why);
            }
            event = driver.next() => event,
        };
        match event {
            Ok(Event::Opened { channel, kind, name }) => {
                let channel = Channel::new(shared.clone(), channel, peer.clone(), kind, name);
                inner.opened(channel);
            }
            Ok(Event::Bye(why)) => break Trouble::Left(why),
            Ok(_) => {}
            Err(trouble) => {
                if let Trouble::Cut(_) | Trouble::Ended(_) = &trouble {
                    driver.farewell(&format!("{}: {}", inner.node, trouble.sentence(&inner.tls))).await;
                }
                break trouble;
            }
        }
    };
    shared.end(&trouble.sentence(&inner.tls));
    if inner.book.ended(&peer, &shared, inner.world.clock.wall_ms()) {
        inner.trouble(&peer, &peer, &trouble);
    }
}

/// Waits until the book wants the link to end. Its sender is in the book as long as this is the link of the pair.
async fn told_to_end(ended: &mut watch::Receiver<Option<&'static str>>) -> &'static str {
    let why = ended.wait_for(Option::is_some).await;
    why.ok().and_then(|why| *why).unwrap_or("the node has left the list")
}

/// A link that was followed by another one is ended here, if the other end has not done it.
const OVERLAP: Duration = Duration::from_secs(2);
const HANDSHAKE: Duration = Duration::from_secs(10);
const READ_BYTES: usize = 64 << 10;
/// Bytes that the kernel takes before they are on their way; more would stand before the next heartbeat.
const UNSENT_BYTES: u32 = 128 << 10;
/// Channels that each end of a link may have opened.
const CHANNELS_MAX: usize = 256;
/// Bytes that may wait on one channel.
const QUEUE_MAX: usize = 1 << 20;
