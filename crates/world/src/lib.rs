//! Owns the only door to disk, clock and chance: a real one, and a simulated one with faults and a seed.
//! Knows nothing of mail, journals or networks.
//! Always holds: whoever goes through a [`World`] can be run on the simulated one without a change.

pub mod chance;
pub mod clock;
pub mod disk;
mod real_disk;
pub mod sim;
pub mod tools;

use std::sync::Arc;

pub use chance::{Chance, RealChance};
pub use clock::{Clock, RealClock};
pub use disk::{DirEntry, Disk, File, Lock, Open};
pub use real_disk::RealDisk;

/// What a part of Posthouse may ask of the machine. Cheap to clone.
#[derive(Clone)]
pub struct World {
    /// Files and directories.
    pub disk: Arc<dyn Disk>,
    /// Wall time and monotonic time.
    pub clock: Arc<dyn Clock>,
    /// Random numbers.
    pub chance: Arc<dyn Chance>,
}

impl World {
    /// The machine that we run on.
    pub fn real() -> World {
        World { disk: Arc::new(RealDisk), clock: Arc::new(RealClock), chance: Arc::new(RealChance) }
    }

    /// A simulated machine: the same seed gives the same faults and the same numbers.
    pub fn simulated(seed: u64) -> (World, sim::SimHandle) {
        sim::simulated(seed)
    }

    /// Ends the process because a promise about stored bytes cannot be kept (see [`Disk::abort`]).
    pub fn abort(&self, reason: &str) {
        abort(self.disk.as_ref(), reason);
    }
}

/// The one place which ends the process after a failed sync. On a real disk it does not return.
/// On a simulated disk it returns with [`Disk::aborted`] set, and the caller must promise nothing from then on.
pub fn abort(disk: &dyn Disk, reason: &str) {
    disk.abort(reason);
}
