//! Owns the life of a node after its start: signals, housekeeping, and the orderly end.
//! Always holds: at the end no new mail is taken, what is in flight has a bounded time, everything is synced before exit 0.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use spool::Refused;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use super::hand_over::Wish;
use super::leaving::{Leaving, end_sessions};
use super::{Node, organization, relief};
use crate::cluster::InCluster;
use crate::health::Phase;
use crate::services::Services;
use crate::succession::Successor;
use crate::timers::Timers;

/// A node that serves.
pub struct Running {
    pub(crate) node: Arc<Node>,
    pub(super) timers: Timers,
    pub(super) http: Option<TcpListener>,
    pub(super) signals: Signals,
    pub(super) changes: organization::Asked,
    /// The process whose place this one takes.
    pub(super) successor: Option<Successor>,
}

/// How a node ended.
pub enum Ended {
    /// Everything in flight was finished and synced.
    Orderly,
    /// A second signal ended it at once. Nothing is lost: a crash would not lose anything either.
    AtOnce,
    /// Another node has taken this node's journal over. Started again, it delivers what that node cannot have, and takes mail again.
    Deposed,
    /// As planned, other nodes have all journals of this one: it may be switched off.
    HandedOver,
    /// It should have been handed over, and was not: started again, the node goes on.
    NotHandedOver,
    /// Another process takes the place of this one; what this one relays goes on, once its runtime has ended.
    Yielded(Leaving),
}

/// Those that a node listens to.
pub(super) struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    pub(super) async fn end(&mut self) {
        tokio::select! { _ = self.term.recv() => {}, _ = self.int.recv() => {} }
    }

    /// Waits for a reason to end; a HUP is none.
    async fn reason_to_end(&mut self, node: &Arc<Node>) -> Reason {
        loop {
            tokio::select! {
                wish = node.hand_over.wanted() => return Reason::HandOver(wish),
                () = deposed(node) => return Reason::Deposed,
                () = node.succession.wanted() => return Reason::Succession,
                _ = self.term.recv() => return Reason::Signal,
                _ = self.int.recv() => return Reason::Signal,
                _ = self.hup.recv() => {
                    let node = node.clone();
                    // A task that only reports: its end need not be awaited.
                    drop(spawn_blocking(move || {
                        if let Err(what) = node.reload() {
                            tracing::error!("the documents are not sound, nothing was changed: {what}");
                        }
                    }));
                }
            }
        }
    }
}

impl Running {
    /// The socket of the HTTP API, for whoever serves it. Once.
    pub fn take_http(&mut self) -> Option<TcpListener> {
        self.http.take()
    }

    /// Serves until SIGTERM or SIGINT, then ends in order; a second one ends at once.
    pub async fn run(self) -> Ended {
        let Running { node, timers, mut signals, changes, successor, http: _ } = self;
        match successor {
            Some(successor) => successor.serves(&node.succession.before),
            None => tell_manager(&[NotifyState::Ready]),
        }
        let housekeeping = tokio::spawn(housekeeping(node.clone()));
        let relief = tokio::spawn(relief::watch(node.clone()));
        let changes = tokio::spawn(organization::follow(node.clone(), changes));
        let people = tokio::spawn(organization::follow_directories(node.clone()));
        let zones = tokio::spawn(follow_zones(node.clone()));
        let pushes = tokio::spawn(follow_pushes(node.clone()));
        let reason = signals.reason_to_end(&node).await;
        changes.abort();
        if let Reason::Succession = reason {
            info!("another process takes the place of this one: mail in flight is finished, what is relayed goes on");
            // First, while the node still counts as one that serves.
            node.virtual_addresses.keep();
            end_sessions(&node).await;
        } else {
            info!("stopping: no new mail, what is in flight is finished");
            tell_manager(&[NotifyState::Stopping]);
        }
        people.abort();
        node.directories.stop();
        relief.abort();
        // What a pause keeps back may go while there is time.
        node.kit.shaping.pause(false);
        let handed_over = tokio::select! {
            handed_over = stop(node.clone(), timers, &reason) => handed_over,
            () = signals.end() => return Ended::AtOnce,
        };
        housekeeping.abort();
        zones.abort();
        pushes.abort();
        match (reason, handed_over) {
            (_, Some(true)) => Ended::HandedOver,
            (_, Some(false)) => Ended::NotHandedOver,
            (Reason::Deposed, None) => Ended::Deposed,
            (Reason::Succession, None) => Ended::Yielded(Leaving::of(node)),
            (Reason::Signal | Reason::HandOver(_), None) => Ended::Orderly,
        }
    }
}

/// Why a node ends.
enum Reason {
    Signal,
    Deposed,
    HandOver(Wish),
    Succession,
}

/// Waits until another node has taken this node's journal over; for ever, if none can.
async fn deposed(node: &Node) {
    match &node.copies {
        Some(copies) => copies.own.deposed().await,
        None => std::future::pending().await,
    }
}

/// The orderly end: first no new mail, then what is in flight, then the disk, and the journals if they shall go elsewhere: says whether
/// they went.
async fn stop(node: Arc<Node>, timers: Timers, reason: &Reason) -> Option<bool> {
    node.health.enter(Phase::Stopping);
    node.announce_health();
    // A successor takes services and addresses as they are.
    let services = match reason {
        Reason::Succession => None,
        // Before anybody is refused: new connections shall find another node.
        _ => {
            node.virtual_addresses.leave().await;
            node.services.clone()
        }
    };
    node.listeners.stop();
    node.kept.close();
    let relayed = tokio::spawn(end_services(services));
    node.receiver.stop(GRACE);
    let sessions = tokio::time::timeout(GRACE + GRACE_OVER, node.receiver.stopped());
    let deliveries = tokio::time::timeout(GRACE + GRACE_OVER, node.deliverer.stop(GRACE));
    let (sessions, deliveries) = tokio::join!(sessions, deliveries);
    // It fails only by a panic, which ends the process.
    let _ = relayed.await;
    if sessions.is_err() || deliveries.is_err() {
        warn!("some connections did not end in time; what they were about is tried again after the next start");
    }
    if let Some(copies) = &node.copies {
        copies.taken.stop(GRACE).await;
    }
    let stopping = node.clone();
    // It fails only by a panic, which ends the process.
    let _ = spawn_blocking(move || {
        timers.stop();
        stopping.spool.stop();
    })
    .await;
    let mut handed_over = None;
    if let Reason::HandOver(wish) = reason {
        handed_over = Some(node.give_journals(wish).await);
    }
    let peers = node.peers.clone();
    let ended = spawn_blocking(move || {
        if let Some(copies) = &node.copies {
            copies.stop();
        }
        let messages = node.spool.totals().messages;
        node.trace.close();
        info!(messages, "stopped; all accepted mail is synced");
    });
    let _ = ended.await;
    // Last, so that copies get what was written last.
    if let Some(peers) = peers {
        peers.stop().await;
    }
    handed_over
}

/// Nothing new is relayed; what is goes on until it ends by itself, or until its time is over.
async fn end_services(services: Option<Arc<Services>>) {
    let Some(services) = services else { return };
    services.drain(GRACE.as_millis() as u64);
    let ended = async {
        while services.active() > 0 {
            tokio::time::sleep(RELAYED_LOOK).await;
        }
    };
    if tokio::time::timeout(GRACE + GRACE_OVER, ended).await.is_err() {
        warn!("some connections that are relayed did not end in time; they are cut off");
    }
}

/// What must be looked at again and again.
async fn housekeeping(node: Arc<Node>) {
    let watchdog = sd_notify::watchdog_enabled().map(|interval| interval / 2);
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut room = true;
    for tick in 0u64.. {
        ticks.tick().await;
        let has_room = node.spool.can_accept() != Err(Refused::Full);
        node.health.set_room(has_room);
        node.health.set_copies(node.can_protect_any());
        node.health.set_clash(node.cluster.as_ref().is_some_and(InCluster::is_clash));
        node.announce_health();
        match (std::mem::replace(&mut room, has_room), has_room) {
            (true, false) => warn!("no room in the spool: new mail is refused with 452 4.3.1 until there is"),
            (false, true) => info!("there is room in the spool again: new mail is taken"),
            _ => {}
        }
        // A thread that hangs in a disk must not look alive.
        if watchdog.is_some() && node.alarm.beats(node.world.clock.mono_ms(), STUCK_MS) {
            tell_manager(&[NotifyState::Watchdog]);
        }
        let (node, tidied) = (node.clone(), node.clone());
        let look = spawn_blocking(move || {
            node.counted.upkeep();
            node.look_at_services();
            if let Some(copies) = &node.copies {
                copies.taken.look();
            }
            if tick % CERTIFICATE_TICKS == 0 {
                node.renew_certificates();
            }
        });
        let _ = look.await;
        if let (0, Some(place), Some(copies)) = (tick % TIDY_TICKS, &tidied.cluster, &tidied.copies) {
            place.tidy(&tidied.world, &tidied.places(), copies.own.journal()).await;
        }
    }
}

/// Without a service manager this does nothing; one that went away is not our trouble.
pub(super) fn tell_manager(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}

/// What is in the middle of a message has so long to finish it; less than the 90 s after which systemd kills.
pub(super) const GRACE: Duration = Duration::from_secs(20);
pub(super) const GRACE_OVER: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_secs(1);
const RELAYED_LOOK: Duration = Duration::from_millis(50);
const STUCK_MS: u64 = 30_000;
const CERTIFICATE_TICKS: u64 = 30;
const TIDY_TICKS: u64 = 60;

/// Keeps the zones as the document and the health of servers want them.
async fn follow_zones(node: Arc<Node>) {
    if let Some(zones) = node.zones.clone() {
        crate::zones::follow(zones, || node.org()).await;
    }
}

/// Writes zones to name servers of others whenever they change.
async fn follow_pushes(node: Arc<Node>) {
    if let Some(zones) = &node.zones {
        crate::pushes::follow(&node.world, &node.pushes, zones, || node.org()).await;
    }
}
