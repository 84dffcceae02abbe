//! Owns the end of a process whose place another one takes: first its mail, then its data directory, then what it relays.
//! Always holds: the data directory is another's only when nothing of this process can write to it any more: its runtime has ended.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::timeout;
use tracing::{info, warn};

use super::Node;
use super::run::{GRACE, GRACE_OVER, Signals};
use crate::succession::{Left, Succession};

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
        sockets.extend(self.kept.all().iter().filter_map(|socket| socket.try_clone().ok()));
        sockets
    }
}

/// The soft end of mail sessions: nobody new (who connects waits for the successor), a transaction is finished, and whoever has just come
/// may bring one message. Nobody hears that this node does not take mail: the next process does.
pub(super) async fn end_sessions(node: &Node) {
    node.listeners.stop();
    node.receiver.finish(GRACE);
    if timeout(GRACE + GRACE_OVER, node.receiver.stopped()).await.is_err() {
        warn!("some sessions did not end in time; what they were about was not accepted");
    }
}

/// The runtime that heard signals is gone, and nobody else of this process needs an orderly end: whoever tells it to end, ends it at once.
fn end_when_told() {
    let wait = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        runtime.block_on(async { Ok::<(), std::io::Error>(Signals::new()?.end().await) })
    };
    let ended = std::thread::Builder::new().name("signals".into()).spawn(move || match wait() {
        Ok(()) => std::process::exit(0),
        Err(error) => warn!("this process does not hear signals any more: {error}"),
    });
    if let Err(error) = ended {
        warn!("this process does not hear signals any more: {error}");
    }
}

/// What an old process relays may go on for so long; who ends the process ends it sooner.
const LINGER_MS: u64 = 24 * 3_600_000;

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
        let services = node.services.clone();
        drop(node);
        end_when_told();
        match succession.leave() {
            Left::To(process) => {
                info!("process {process} has taken the place of this one");
                services.iter().for_each(|services| services.end(LINGER_MS));
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
