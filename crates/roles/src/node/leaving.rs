//! Owns the end of a process whose place another one takes: first its mail, then its data directory, then what it relays.
//! Always holds: the data directory is another's only when nothing of this process can write to it any more: its runtime has ended.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::timeout;
use tracing::{info, warn};

use super::Node;
use super::run::{GRACE, GRACE_OVER, Signals};
use crate::services::Services;
use crate::succession::{Left, Rest, Succession};

/// Listening sockets that somebody else accepts from, for a successor.
#[derive(Default)]
pub(super) struct Kept(Mutex<Vec<OwnedFd>>);

impl Kept {
    /// Keeps a duplicate.
    pub fn keep(&self, socket: &impl AsFd) {
        // Out of descriptors: a successor makes its own.
        self.all().extend(socket.as_fd().try_clone_to_owned());
    }

    /// Nobody gets them any more.
    pub fn close(&self) {
        self.all().clear();
    }

    fn all(&self) -> std::sync::MutexGuard<'_, Vec<OwnedFd>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Node {
    /// Duplicates of all sockets that listen here, for a successor.
    pub(super) fn sockets(&self) -> Vec<OwnedFd> {
        let mut sockets = self.listeners.duplicates();
        sockets.extend(self.services.iter().flat_map(|services| services.duplicates()));
        sockets.extend(self.zones.iter().flat_map(|zones| zones.duplicates()));
        sockets.extend(self.kept.all().iter().filter_map(|socket| socket.try_clone().ok()));
        sockets
    }
}

/// The soft end of mail sessions: nobody new (who connects waits for the successor), a transaction is finished, and whoever has just come
/// may bring one message. Nobody hears that this node does not take mail: the next process does.
pub(super) async fn end_sessions(node: &Node) {
    node.listeners.stop();
    node.receiver.finish(GRACE);
    let sessions = timeout(GRACE + GRACE_OVER, node.receiver.stopped());
    let (sessions, (), ()) = tokio::join!(sessions, end_calls(node), end_questions(node));
    if sessions.is_err() {
        warn!("some sessions did not end in time; what they were about was not accepted");
    }
}

/// Voice reads nothing more: datagrams wait in the sockets, which the successor has.
async fn end_calls(node: &Node) {
    if let Some(services) = &node.services {
        services.end_calls().await;
    }
}

/// Questions over TCP that have come are answered; further ones wait in the sockets, which the successor has. Those over UDP are answered
/// until it serves.
async fn end_questions(node: &Node) {
    if let Some(zones) = &node.zones {
        zones.end_connections().await;
    }
}

/// The runtime that heard signals is gone, and nobody else of this process needs an orderly end: whoever tells it to end, ends it at once.
fn end_when_told() {
    let wait = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        runtime.block_on(async {
            Signals::new()?.end().await;
            Ok::<(), std::io::Error>(())
        })
    };
    let ended = std::thread::Builder::new().name("signals".into()).spawn(move || match wait() {
        Ok(()) => std::process::exit(0),
        Err(error) => warn!("this process does not hear signals any more: {error}"),
    });
    if let Err(error) = ended {
        warn!("this process does not hear signals any more: {error}");
    }
}

/// A process whose mail has ended. Its runtime has to end before it is [concluded](Leaving::conclude).
pub struct Leaving {
    node: Arc<Node>,
}

impl Leaving {
    pub(super) fn of(node: Arc<Node>) -> Leaving {
        Leaving { node }
    }

    /// Gives the data directory away, waits until the successor serves, and then for what is still relayed. Comes back when the process may
    /// end. If no successor can run, this very program starts again in the place of this process. Blocks.
    pub fn conclude(self) -> Result<(), String> {
        let Leaving { node } = self;
        let succession: Arc<Succession> = node.succession.clone();
        node.data.release();
        let linger_ms = node.config.loaded().node.limits.linger_ms;
        let (services, zones, addresses) = (node.services.clone(), node.zones.clone(), node.virtual_addresses.clone());
        drop(node);
        end_when_told();
        let of_services = services.clone();
        let relayed = move |drained: &[(String, String)]| {
            of_services.as_ref().map(|services| services.relayed(drained)).unwrap_or_default()
        };
        let rest = Rest { relayed: Box::new(relayed), give_addresses: Box::new(move || addresses.give()) };
        match succession.leave(rest) {
            Left::To(process) => {
                info!("process {process} has taken the place of this one");
                // Its threads have answered questions until now.
                drop(zones);
                if let Some(services) = services {
                    linger(&services, linger_ms);
                }
                Ok(())
            }
            Left::ToNobody(sockets) => {
                tracing::error!(
                    "no new process could take the place of this one: this program starts again, what it relays is cut off"
                );
                Err(format!("this program cannot start again by itself: {}", succession.start_again(&sockets)))
            }
        }
    }
}

/// Waits for what is relayed, `linger_ms` at most; then it is ended as in a drain. Blocks.
fn linger(services: &Services, linger_ms: u64) {
    services.linger();
    let mut waited_ms = 0;
    let is_over = |until_ms: u64, waited_ms: &mut u64| {
        while services.active() > 0 && *waited_ms < until_ms {
            std::thread::park_timeout(LOOK);
            *waited_ms += LOOK.as_millis() as u64;
        }
        services.active() == 0
    };
    // What waits in the sockets at this moment is accepted here or there.
    std::thread::park_timeout(LOOK);
    if services.active() > 0 {
        info!(
            "{} connections are relayed still: this process stays for them, for {} s at most",
            services.active(),
            linger_ms / 1000
        );
    }
    if is_over(linger_ms, &mut waited_ms) {
        return info!("nothing is relayed here any more; this process ends");
    }
    warn!("{} connections are relayed still after the time of 'linger': they are ended now", services.active());
    services.drain(PARTING_MS);
    is_over(linger_ms + PARTING_MS, &mut waited_ms);
}

const LOOK: Duration = Duration::from_millis(100);
/// A session that is between two messages hears 421 in this time; then all are closed.
const PARTING_MS: u64 = 10_000;
