//! One task of a hop that is reached over connections: opens one, lets the session run, opens another one if there is still work.
//!
//! Always holds: a hop whose connections open but bring nothing is treated like one that cannot be reached.

use super::connect::{self, NotOpened};
use super::hop::Hop;
use super::plan::{Plan, To};
use super::session::{End, Session};
use super::shaping::{Permit, asks_for_less};
use directory::{Destination, Host, HostPort, Org};
use mail::{Enhanced, Reply};
use spool::{Attempt, HopKey};
use std::sync::Arc;

pub(super) async fn run(hop: &Arc<Hop>) {
    let center = &hop.center;
    if let HopKey::TooLarge { what } = &hop.key {
        return hop.fail_all(&Reply::of(552, Enhanced::new(5, 3, 4), format!("message too large: {what}")));
    }
    let mut barren = 0;
    let mut call = hop.take_call();
    while hop.has_work() {
        let org = center.parts.org.load();
        let mut plan = match Plan::of(&hop.key, &org, center.hostname()) {
            Ok(plan) => plan,
            Err(reply) => return hop.failed(&Attempt::default(), &reply),
        };
        hop.set_limit_max(plan.connections_max);
        let hosts = tokio::select! {
            hosts = connect::hosts(center, &plan) => hosts,
            () = center.stopping() => return,
        };
        let hosts = match hosts {
            Ok(hosts) => hosts,
            Err(not_opened) => return failed(hop, not_opened, None),
        };
        let mut permit = None;
        if let Some(to) = destination(&org, &plan, &hosts) {
            plan.narrow(to);
            permit = center.parts.shaping.enter(hop, to, call.take());
            if permit.is_none() {
                return hop.held_back();
            }
        }
        let opened = tokio::select! {
            opened = connect::open(center, &plan, hosts, hop.next_turn()) => opened,
            () = center.stopping() => return,
        };
        let opened = match opened {
            Ok(opened) => opened,
            Err(not_opened) => return failed(hop, not_opened, permit),
        };
        center.spool.hop_worked(hop.id);
        let barren_max = plan.barren_max();
        let peer = Arc::clone(&opened.peer);
        match Session::new(hop, Arc::new(plan), opened, permit).run().await {
            End::Left => return,
            End::Broken { taken, reply } => {
                tracing::debug!(hop = %hop.key, peer = peer.label, taken, %reply, "connection ended early");
                barren = if taken == 0 { barren + 1 } else { 0 };
                if barren >= barren_max {
                    return hop.failed(&peer.attempt(), &reply);
                }
            }
        }
    }
}

/// The destination whose bounds count, if mail goes by MX.
fn destination<'o>(org: &'o Org, plan: &Plan, hosts: &[HostPort]) -> Option<&'o Destination> {
    let To::Exchangers { domain, .. } = &plan.to else { return None };
    let names = hosts.iter().filter_map(|host| match &host.host {
        Host::Name(name) => Some(&**name),
        Host::Ip(_) => None,
    });
    org.destinations.matching(domain, names).map(|found| &**found)
}

fn failed(hop: &Arc<Hop>, why: NotOpened, permit: Option<Permit>) {
    match why {
        NotOpened::Never(reply) => hop.fail_all(&reply),
        NotOpened::Later(peer, reply) => {
            hop.center.metrics.not_opened.increment(1);
            permit.iter().filter(|_| asks_for_less(&reply)).for_each(Permit::asked_for_less);
            hop.failed(&peer.attempt(), &reply);
            go_round_stores(hop);
        }
    }
}

/// What waits for a store that other servers deliver to as well may go to them, and what waits for those may come back.
fn go_round_stores(hop: &Arc<Hop>) {
    let is_shared = match &hop.key {
        HopKey::Lmtp { target } => hop.center.parts.org.load().is_shared_store(target),
        HopKey::Servers { of } => of.starts_with("domain:"),
        _ => false,
    };
    if is_shared {
        let spool = hop.center.spool.clone();
        // It asks for every message that waits.
        tokio::task::spawn_blocking(move || spool.reroute());
    }
}
