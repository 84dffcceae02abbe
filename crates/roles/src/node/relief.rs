//! Owns looking at what the node may be short of, every few seconds, and doing what back pressure asks for. Decides nothing: `pressure` does.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;

use super::Node;
use crate::pressure::{Figures, Look, Looked, Places, Refused};

/// Looks again and again.
pub(super) async fn watch(node: Arc<Node>) {
    let settings = node.pressure.settings();
    if !settings.enabled {
        return;
    }
    let mut ticks = tokio::time::interval(Duration::from_millis(settings.poll_ms));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let looking = node.clone();
        // It fails only by a panic, which ends the process.
        let _ = spawn_blocking(move || look(&looking)).await;
    }
}

fn look(node: &Node) {
    let loaded = node.config.loaded();
    let journal = node.spool.journal_stats();
    let places = Places {
        journal: node.data.spool(),
        data: node.data.root().into(),
        keep_free_bytes: loaded.node.journal.keep_free_bytes,
    };
    let figures = Figures {
        segment_bytes: journal.segment_bytes,
        spare_segments: journal.spare,
        lag_ms: (journal.busy_us / 1000).max(copies_lag_ms(node)),
        messages: node.spools().messages_len(),
    };
    let look = Look::at(&node.world, node.pressure.settings(), &places, &figures);
    let looked = node.pressure.note(&look);
    node.pressure.tell(&looked);
    relieve(node, &looked);
}

/// How far behind the slowest copy is that commits wait for.
fn copies_lag_ms(node: &Node) -> u64 {
    let copies = node.copies.as_ref().map(|copies| copies.own.shown()).unwrap_or_default();
    copies.iter().filter(|copy| copy.counts).map(|copy| copy.lag_ms).max().unwrap_or(0)
}

fn relieve(node: &Node, looked: &Looked) {
    let effects = looked.effects;
    // A node that takes no mail of clients is not one to send them to.
    node.health.set_pressure(looked.refused >= Refused::Users);
    let budget = node.config.loaded().node.limits.body_memory_bytes;
    let bytes = if effects.dehydrate { 0 } else { usize::try_from(budget).unwrap_or(usize::MAX) };
    node.spools().each(|spool| spool.set_body_memory(bytes));
    if looked.flush_now {
        node.kit.resolver.forget();
    }
    if let Some(copies) = &node.copies {
        copies.held.take_new(!effects.refuse_copies);
    }
    node.kit.shaping.pause(effects.pause_delivery);
}
