//! Copies of journals: ours on other nodes, theirs on this one.
//!
//! Owns which links carry copies, the threads that work on them, and which copies count where no etcd says so. Knows no mail.
//! Always holds: a copy counts only while it is level and answers; a node writes only copies of the journals of the node at the other
//! end of the link.

mod drive;
pub mod former;
mod gate;
mod held;
mod note;
mod owned;
mod shown;
mod standing;
mod taken;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use journal::copies::Copies;
use world::World;

use crate::dispatch::Kit;
use crate::peers::Peers;
pub use held::HeldCopies;
pub use note::TakeNote;
pub use owned::OwnCopies;
pub use taken::TakenJournals;

/// What all threads that work on copies share.
#[derive(Clone)]
struct Shop {
    world: World,
    peers: Peers,
    stopping: Arc<AtomicBool>,
}

impl Shop {
    fn new(world: &World, peers: &Peers) -> Shop {
        Shop { world: world.clone(), peers: peers.clone(), stopping: Arc::default() }
    }

    fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

/// All copies that a node has to do with.
pub struct NodeCopies {
    /// Of its own journal.
    pub own: OwnCopies,
    /// Of the journals of others.
    pub held: HeldCopies,
    /// Those that are owned here now.
    pub taken: TakenJournals,
}

/// Where copies and taken journals are kept.
pub struct Places {
    /// Copies, by node.
    pub copies: PathBuf,
    /// Taken journals, by node and epoch.
    pub taken: PathBuf,
}

impl NodeCopies {
    /// Keeps copies for others, goes on with journals that were taken over, and has `holders` keep copies of the journal behind `copies`.
    /// Blocks for reading; call it inside a tokio runtime.
    pub fn start(
        kit: Kit,
        places: &Places,
        settings: spool::Settings,
        copies: Copies,
        holders: &[String],
        peers: &Peers,
    ) -> io::Result<NodeCopies> {
        let world = kit.world.clone();
        let held = HeldCopies::start(&world, &places.copies, &places.taken, settings.journal.clone(), peers)?;
        former::answer(&world, places.copies.clone(), peers);
        let taken = TakenJournals::start(kit, settings, &places.taken)?;
        let own = OwnCopies::start(&world, copies, holders, peers)?;
        Ok(NodeCopies { own, held, taken })
    }

    /// Takes over the journal of `node` from the copy on this node. Says how many messages are in it. Blocks. The error is for people.
    pub fn take_over(&self, node: &str, places: &Places) -> Result<u64, String> {
        let note = self.held.take_out(node, &places.taken)?;
        self.taken.own(node, note.epoch)
    }

    /// Ends the work on all of them. Blocks.
    pub fn stop(&self) {
        self.own.settle(SETTLE_MAX);
        self.own.stop();
        self.held.stop();
    }
}

/// The name of a node's journal of accepted mail, on links and in `copies/`.
pub fn spool_of(node: &str) -> String {
    format!("{node}/{SPOOL}")
}

/// How long a node that ends waits for the copies of what it wrote last.
const SETTLE_MAX: Duration = Duration::from_secs(2);
/// The last part of that name.
const SPOOL: &str = "spool";
/// The kind of channel that carries a copy; its name is the journal's.
const CHANNEL: &str = "copy";
/// Bytes that may be under way to one end. A slower end is sent segments later, so this bounds memory and costs no mail.
const WINDOW_BYTES: u32 = 4 << 20;
