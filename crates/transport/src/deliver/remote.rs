//! One task of a hop that is reached over connections: opens one, lets the session run, opens another one if there is still work.
//!
//! Always holds: a hop whose connections open but bring nothing is treated like one that cannot be reached.

use super::connect::{self, NotOpened};
use super::hop::Hop;
use super::plan::Plan;
use super::session::{End, Session};
use mail::{Enhanced, Reply};
use spool::{Attempt, HopKey};
use std::sync::Arc;

pub(super) async fn run(hop: &Arc<Hop>) {
    let center = &hop.center;
    if let HopKey::TooLarge { what } = &hop.key {
        return hop.fail_all(&Reply::of(552, Enhanced::new(5, 3, 4), format!("message too large: {what}")));
    }
    let mut barren = 0;
    while hop.has_work() {
        let plan = match Plan::of(&hop.key, &center.parts.org.load(), center.hostname()) {
            Ok(plan) => Arc::new(plan),
            Err(reply) => return hop.failed(&Attempt::default(), &reply),
        };
        hop.set_limit_max(plan.connections_max);
        let opened = tokio::select! {
            opened = connect::open(center, &plan, hop.next_turn()) => opened,
            () = center.stopping() => return,
        };
        let opened = match opened {
            Ok(opened) => opened,
            Err(NotOpened::Never(reply)) => return hop.fail_all(&reply),
            Err(NotOpened::Later(peer, reply)) => {
                center.metrics.not_opened.increment(1);
                return hop.failed(&peer.attempt(), &reply);
            }
        };
        center.spool.hop_worked(hop.id);
        let barren_max = plan.barren_max();
        let peer = Arc::clone(&opened.peer);
        match Session::new(hop, plan, opened).run().await {
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
