//! Owns the simulated world: a disk, a clock and chance that repeat with their seed.
//! Knows nothing of what runs on it. Always holds: what a sync confirmed survives [`SimDisk::crash`].

mod chance;
mod clock;
mod disk;
mod inode;
mod tree;

use std::sync::Arc;

pub use chance::SimChance;
pub use clock::SimClock;
pub use disk::{Faults, SimDisk};

use crate::World;

/// The test's side of a simulated world: what it breaks and moves.
#[derive(Clone)]
pub struct SimHandle {
    /// The disk behind `World::disk`.
    pub disk: SimDisk,
    /// The clock behind `World::clock`.
    pub clock: SimClock,
    /// The chance behind `World::chance`.
    pub chance: SimChance,
}

pub(crate) fn simulated(seed: u64) -> (World, SimHandle) {
    let handle = SimHandle { disk: SimDisk::new(seed ^ 0xD15C), clock: SimClock::new(), chance: SimChance::new(seed) };
    let world = World {
        disk: Arc::new(handle.disk.clone()),
        clock: Arc::new(handle.clock.clone()),
        chance: Arc::new(handle.chance.clone()),
    };
    (world, handle)
}
