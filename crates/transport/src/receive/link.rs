//! Servers of the organization at our door: who they are by their certificates, and the rule that they come by themselves.
//!
//! Owns the handshake on connectors with `tls = "organization"`, and what is said to a server that came another way. Always holds: nobody
//! is a server here who has not shown a certificate of our authority with the name of a `[[server]]` of the document.

use super::report::{self, Reason};
use super::visitor::Visitor;
use super::wire::Wire;
use super::{Shared, session};
use crate::links::Seldom;
use directory::{Org, Protocol};
use mail::{Enhanced, Reply};
use tokio_rustls::TlsAcceptor;

/// Makes the handshake and finds out which server it is. `None`: it was refused, and the connection is closed.
pub async fn admit(shared: &Shared, mut wire: Wire, visitor: &mut Visitor) -> Option<Wire> {
    let side = match shared.links.as_ref().map(|links| links.server()) {
        Some(Ok(side)) => side,
        Some(Err(why)) => return no_link(shared, visitor, "", &why),
        None => return no_link(shared, visitor, "", "this node has no [peers]"),
    };
    match wire.handshake(TlsAcceptor::from(side.config)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            let claimed = side.other.node().unwrap_or_default();
            return no_link(shared, visitor, &claimed, &side.other.sentence(&error));
        }
        Err(end) => {
            report::handshake_failed(&visitor.peer_text, &end);
            return None;
        }
    }
    visitor.under_tls(wire.tls().unwrap_or_default());
    report::handshake(&visitor.tls);
    let name = side.other.node().unwrap_or_default();
    let (reason, reply) = match refusal(visitor, &name) {
        None => {
            visitor.prove_server(name.into());
            return Some(wire);
        }
        Some(refusal) => refusal,
    };
    report::server_refused(&*shared.recorder, visitor, &name, reason, &reply);
    if reason == BALANCER {
        shout(shared, visitor, &name);
    }
    let mut line = Vec::new();
    reply.write_to(&mut line, true);
    // Whoever does not hear it finds the connection closed.
    let _ = wire.send(&line).await;
    wire.close().await;
    None
}

/// Why a server whose certificate is good is not let in.
fn refusal(visitor: &Visitor, name: &str) -> Option<(Reason, Reply)> {
    if name.is_empty() {
        let reply = Reply::new(550, Enhanced::new(5, 7, 1), "your certificate names no server of this organization");
        return Some(("link_nobody", reply));
    }
    if visitor.behind_proxy {
        return Some((BALANCER, through_balancer()));
    }
    if !is_server(&visitor.org, name) {
        let text = format!("{name} is no server of this organization: there is no [[server]] of that name");
        return Some(("link_unknown_server", Reply::of(550, Enhanced::new(5, 7, 1), text)));
    }
    None
}

/// There is no handshake. A peer without TLS could not even be told why.
fn no_link(shared: &Shared, visitor: &Visitor, claimed: &str, why: &str) -> Option<Wire> {
    tracing::debug!(peer = visitor.peer_text, claimed, why, "no link");
    report::no_handshake(&*shared.recorder, visitor, claimed, why);
    None
}

impl session::Session<'_> {
    /// Who calls itself a server of the organization, and came another way than servers do, hears so (behaviours 3.9). True: it was told.
    pub(super) fn refuses_server(&mut self, name: &str) -> bool {
        if !came_the_wrong_way(&self.visitor, name) {
            return false;
        }
        let reply = through_balancer();
        shout(self.shared, &self.visitor, name);
        self.refuse(BALANCER, &reply);
        self.say_no(reply);
        true
    }
}

/// Whether `name` is a server of the organization that should have come by itself, with its certificate.
fn came_the_wrong_way(visitor: &Visitor, name: &str) -> bool {
    if visitor.is_server() || !is_server(&visitor.org, name) {
        return false;
    }
    // What runs on this machine often goes by its name; and a server may hand mail to another one that only keeps it.
    let at_home = visitor.peer.ip().is_loopback() && name.eq_ignore_ascii_case(visitor.org.server());
    visitor.behind_proxy || !(at_home || visitor.connector.protocol == Protocol::Lmtp)
}

fn is_server(org: &Org, name: &str) -> bool {
    org.topology().servers.iter().any(|server| server.name.eq_ignore_ascii_case(name))
}

fn through_balancer() -> Reply {
    Reply::new(550, Enhanced::new(5, 7, 1), "servers of the organization do not come through a balancer")
}

/// Says it where operators look first.
fn shout(shared: &Shared, visitor: &Visitor, name: &str) {
    if SHOUTED.may_say(shared.world.clock.mono_ms()) {
        tracing::warn!(
            server = name,
            peer = visitor.peer_text,
            connector = &*visitor.connector.name,
            "server {name} came through a balancer, or by the address that clients use: servers of the organization find each other by \
             [[server]] address and tls = \"organization\"; look at where {name} sends this mail (its send connectors, MX)"
        );
    }
}

/// The rule's name in metrics and events.
const BALANCER: Reason = "server_through_balancer";

/// All connectors share one voice.
static SHOUTED: Seldom = Seldom::new();
