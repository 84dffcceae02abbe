//! Copies of journals: ours on other nodes, theirs on this one, and the journals that are delivered from here instead of there.
//!
//! Owns which links carry copies, and the tasks and threads that work on them. Knows no mail. Who decides which copies count and who takes over
//! is [`alone`] where there is no etcd, and `crate::cluster` where there is.
//! Always holds: a copy counts only while it is level and answers; a node writes only copies of journals whose owner is at the other
//! end of the link.

pub mod alone;
mod carry;
mod drive;
pub mod former;
mod gate;
pub mod held;
pub mod lateness;
mod moves;
mod note;
pub mod owned;
mod say;
mod shown;
pub mod taken;

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
pub use say::say_standing;
pub use taken::TakenJournals;
use taken::{OpenAs, WhenEmpty};

/// What all that work on copies share.
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
    /// Those that are delivered from here now.
    pub taken: Arc<TakenJournals>,
}

/// Where journals of others, and former ones, are kept.
#[derive(Clone)]
pub struct Places {
    /// Copies, by node.
    pub copies: PathBuf,
    /// Taken journals, by node.
    pub taken: PathBuf,
    /// Journals that others have taken from this node, by node.
    pub former: PathBuf,
}

impl NodeCopies {
    /// Without etcd: keeps copies for others, goes on with journals that were taken over, and has `holders` keep copies of the journal
    /// behind `copies`. Blocks for reading; call it inside a tokio runtime.
    pub fn alone(
        kit: Kit,
        places: &Places,
        settings: spool::Settings,
        copies: Copies,
        holders: &[String],
        peers: &Peers,
    ) -> io::Result<NodeCopies> {
        let world = kit.world.clone();
        let (journals, door) = (alone::journals(&world, places)?, alone::Gatekeeper::new(&world, &places.copies));
        let held = HeldCopies::start(&world, &places.copies, &journals, settings.journal.clone(), peers, door)?;
        former::answer(&world, places.copies.clone(), peers);
        let taken = Arc::new(TakenJournals::new(kit, settings));
        taken::go_on_alone(&taken, &world, &places.taken)?;
        let own = OwnCopies::new(&world, copies, &spool_of(peers.node()), peers);
        alone::keep_level(&own, holders)?;
        Ok(NodeCopies { own, held, taken })
    }

    /// Takes over the journal of `node` from the copy on this node, because a person says so. Says how many messages are in it. Blocks.
    /// The error is for people.
    pub fn take_over_alone(&self, world: &World, node: &str, places: &Places) -> Result<u64, String> {
        let note = alone::take_out(world, &self.held, node, places)?;
        let as_ = OpenAs {
            journal: spool_of(node),
            epoch: note.epoch,
            taken: None,
            doubtful: false,
            when_empty: WhenEmpty::Remove,
        };
        let spool = self.taken.open(&places.taken.join(node).join(note.epoch.to_string()), as_)?;
        Ok(spool.totals().messages)
    }

    /// Ends the work on them. Blocks.
    pub fn stop(&self) {
        self.own.settle(SETTLE_MAX);
        self.own.stop();
        self.held.stop();
    }
}

/// The name of a node's journal of accepted mail where there is no etcd, on links and in `copies/`.
pub fn spool_of(node: &str) -> String {
    format!("{node}/{SPOOL}")
}

/// How long a node that ends waits for the copies of what it wrote last.
const SETTLE_MAX: Duration = Duration::from_secs(2);
/// The last part of that name.
const SPOOL: &str = "spool";
/// The kind of channel that carries a copy; its name says which journal's.
const CHANNEL: &str = "copy";
/// Bytes that may be under way to one end. A slower end is sent segments later, so this bounds memory and costs no mail.
const WINDOW_BYTES: u32 = 4 << 20;
