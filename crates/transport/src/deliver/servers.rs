//! A session with a server of the organization: the candidates in their order, TLS with certificates of the organization at both ends, the
//! right name, the right extension.
//!
//! Always holds: nothing of a message is told to anybody who has not shown the certificate of the very server that was wanted; while one
//! of the candidates takes mail the hop has not failed.

use super::candidates::{Candidates, Server, Turn};
use super::center::Center;
use super::connect::{self, NotOpened, Opened, Peer, Trouble};
use super::line::Line;
use super::plan::Plan;
use super::wire::Wire;
use crate::links::{LinkCertificates, OtherEnd, Seldom};
use directory::Host;
use mail::{Enhanced, Reply};
use rustls::pki_types::ServerName;
use smtp::client::StartTls;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Opens a session with the first server that will have one. `attempt` turns the rotation.
pub(super) async fn open(
    center: &Center,
    plan: &Plan,
    candidates: &Candidates,
    attempt: usize,
) -> Result<Opened, NotOpened> {
    let now_ms = center.world.clock.mono_ms();
    let order = candidates.order(attempt, |server| center.server_penalties.has(&server.name, now_ms));
    let mut last: Option<(Peer, Reply)> = None;
    let mut asked: Vec<&str> = Vec::new();
    for turn in order.into_iter().take(SERVERS_TRIED_MAX) {
        let server = turn.server;
        match open_server(center, plan, turn).await {
            Ok(mut opened) => {
                center.server_penalties.forgive(&server.name);
                if *turn.stop.site != *candidates.target() {
                    note_back_off(&mut opened, candidates, turn);
                }
                return Ok(opened);
            }
            Err((peer, reply)) => {
                tracing::debug!(server = &*server.name, site = &*turn.stop.site, %reply, "no session");
                center.metrics.servers_passed_over.increment(1);
                center.server_penalties.add(server.name.clone(), center.world.clock.mono_ms());
                asked.push(&server.name);
                last = Some((peer, reply));
            }
        }
    }
    let (target, own) = (candidates.target(), &candidates.own_site);
    let Some((peer, reply)) = last else {
        let text = format!("no server of site {target} is in the document: its mail waits in site {own}");
        return Err(NotOpened::Later(Peer::default(), Reply::of(451, Enhanced::new(4, 4, 4), text)));
    };
    let text = format!(
        "no server of site {target} takes mail, it waits in site {own}; asked: {}; last: {reply}",
        list(&asked)
    );
    Err(NotOpened::Later(peer, Reply::of(451, reply.enhanced.unwrap_or(Enhanced::new(4, 4, 1)), text)))
}

/// The first few names.
fn list(names: &[&str]) -> String {
    let shown = names.iter().take(NAMES_SHOWN_MAX).copied().collect::<Vec<_>>().join(", ");
    if names.len() > NAMES_SHOWN_MAX { format!("{shown} and {} more", names.len() - NAMES_SHOWN_MAX) } else { shown }
}

fn note_back_off(opened: &mut Opened, candidates: &Candidates, turn: Turn<'_>) {
    if let Some(peer) = Arc::get_mut(&mut opened.peer) {
        let (site, target) = (&turn.stop.site, candidates.target());
        peer.context.push_str(&format!(" back-off to site {site}: no server of {target} takes mail"));
    }
}

/// One server, at each of its addresses.
async fn open_server(center: &Center, plan: &Plan, turn: Turn<'_>) -> Result<Opened, (Peer, Reply)> {
    let Server { name, address } = turn.server;
    let addresses = match &address.host {
        Host::Ip(ip) => vec![*ip],
        Host::Name(host) => match center.parts.resolver.addresses(host).await {
            Ok(addresses) => addresses,
            Err(reply) => {
                return Err((Peer { label: name.to_string(), name: name.to_string(), ..Peer::default() }, reply));
            }
        },
    };
    let mut last = None;
    for ip in addresses.into_iter().take(ADDRESSES_PER_SERVER_MAX) {
        let mut peer = Peer::new(name, SocketAddr::new(ip, address.port));
        peer.server = Some(Arc::clone(name));
        match open_address(center, plan, turn.server, &mut peer).await {
            Ok((line, client)) => {
                connect::note_tls(center, &line, &client, &mut peer);
                peer.site = Some(Arc::clone(&turn.stop.site));
                return Ok(Opened { line, client, peer: Arc::new(peer) });
            }
            Err(Trouble::Reply(reply) | Trouble::Broken(_, reply)) => last = Some((peer, reply)),
            Err(Trouble::Tls(why)) => last = Some((peer, Reply::of(451, Enhanced::new(4, 7, 5), why))),
        }
    }
    let nowhere = || Reply::of(451, Enhanced::new(4, 4, 4), format!("{} has no address", address.host));
    Err(last.unwrap_or_else(|| (Peer { label: name.to_string(), ..Peer::default() }, nowhere())))
}

async fn open_address(
    center: &Center,
    plan: &Plan,
    server: &Server,
    peer: &mut Peer,
) -> Result<connect::Greeted, Trouble> {
    let Some(links) = &center.parts.links else {
        let text = "this node has no certificate of the organization: add [peers] to its posthouse.toml";
        return Err(Trouble::Tls(text.into()));
    };
    let address = peer.address.unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
    let stream = connect::connect(plan, address).await.map_err(|error| Trouble::Reply(connect::unreachable(&error)))?;
    let secured = connect::within(plan.timeouts.command_ms, async { Ok(handshake(&**links, stream).await) }).await;
    let Secured { stream, other } = match secured {
        Ok(done) => done.map_err(Trouble::Tls)?,
        Err(_) => return Err(Trouble::Tls(format!("{} did not finish the TLS handshake in time", server.name))),
    };
    let found = other.node();
    if found.as_deref() != Some(&*server.name) {
        return Err(Trouble::Tls(wrong_end(center, server, address, found.as_deref())));
    }
    let line = Line::new(Wire::Tls(Box::new(stream)), Arc::clone(&center.world.clock));
    let greeted = connect::greet(center, plan, StartTls::Never, &server.name, line).await;
    let (line, client) = greeted.map_err(|trouble| match trouble {
        Trouble::Broken(error, reply) if is_alert(&error) => {
            Trouble::Tls(format!("{}; {}", other.sentence(&error), reply.text))
        }
        trouble => trouble,
    })?;
    if !client.capabilities().journey {
        let text = "it does not offer XPOSTHOUSE: is its [[server]] address its connector with tls = \"organization\"?";
        return Err(Trouble::Reply(Reply::of(451, Enhanced::new(4, 7, 0), text)));
    }
    Ok((line, client))
}

/// A stream to whoever has that certificate.
struct Secured {
    stream: TlsStream<TcpStream>,
    other: Arc<dyn OtherEnd>,
}

fn is_alert(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::AlertReceived(_)))
}

async fn handshake(links: &dyn LinkCertificates, stream: TcpStream) -> Result<Secured, String> {
    let side = links.client()?;
    // The name is looked at after the handshake; rustls wants one all the same.
    let nobody = ServerName::from(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST));
    match TlsConnector::from(side.config).connect(nobody, stream).await {
        Ok(stream) => Ok(Secured { stream, other: side.other }),
        Err(error) => Err(side.other.sentence(&error)),
    }
}

/// Another end than the one that was wanted. Said in the log too: no retry makes it better.
fn wrong_end(center: &Center, server: &Server, address: SocketAddr, found: Option<&str>) -> String {
    let wanted = &server.name;
    let who = found.unwrap_or("somebody whose certificate names no node");
    let text = format!(
        "{who} answers at {address} and not {wanted}: a balancer stands between servers, or the address of [[server]] {wanted} is wrong"
    );
    center.metrics.wrong_servers.increment(1);
    if WRONG_SERVER.may_say(center.world.clock.mono_ms()) {
        tracing::warn!(server = &**wanted, found = who, %address, "{text}");
    }
    text
}

static WRONG_SERVER: Seldom = Seldom::new();
/// Servers that one attempt asks.
const SERVERS_TRIED_MAX: usize = 64;
/// Addresses of one server that are tried.
const ADDRESSES_PER_SERVER_MAX: usize = 4;
/// Names in one line of the log.
const NAMES_SHOWN_MAX: usize = 6;
