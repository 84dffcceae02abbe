//! Back pressure: a node that is short of disk, memory or time takes less mail, so that what it has promised can be delivered
//! (behaviours 4.6, docs/operating/back-pressure.md).
//!
//! Owns what a node can be short of, the level of each, and what follows. Knows no session, no queue and no HTTP: values come in at each
//! look, and whoever acts on the effects asks here. Always holds: what sessions ask at each MAIL costs two loads.

mod effect;
mod level;
mod look;
mod machine;
mod resource;
mod told;

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use directory::BackPressure;
use machine::Machine;
use mail::{Enhanced, Reply};

pub use effect::{Effects, Refused};
pub use look::{Figures, Look, Places};
pub use machine::Change;

/// The back pressure of a node, shared by all who ask.
pub struct Pressure {
    settings: BackPressure,
    machine: Mutex<Machine>,
    refused: AtomicU8,
    tarpit_ms: AtomicU64,
}

/// What a look has changed.
pub struct Looked {
    /// Levels that changed.
    pub changes: Vec<Change>,
    /// What is to be done now.
    pub effects: Effects,
    /// The flush of caches was not asked for before this look.
    pub flush_now: bool,
    /// Who is refused now.
    pub refused: Refused,
}

impl Pressure {
    /// Nobody looked yet: all is normal.
    pub fn new(settings: &BackPressure) -> Pressure {
        Pressure {
            machine: Mutex::new(Machine::new(settings)),
            settings: settings.clone(),
            refused: AtomicU8::new(0),
            tarpit_ms: AtomicU64::new(0),
        }
    }

    /// The settings that it looks by.
    pub fn settings(&self) -> &BackPressure {
        &self.settings
    }

    /// Takes a look into account.
    pub fn note(&self, look: &Look<'_>) -> Looked {
        let mut machine = self.machine();
        let before = machine.effects();
        let changes = machine.look(|resource| look.see(resource));
        let (effects, refused) = (machine.effects(), machine.refused());
        self.refused.store(refused as u8, Ordering::Relaxed);
        self.tarpit_ms.store(machine.tarpit_ms(), Ordering::Relaxed);
        Looked { changes, effects, flush_now: effects.flush && !before.flush, refused }
    }

    /// Who is refused now.
    pub fn refused(&self) -> Refused {
        Refused::of(self.refused.load(Ordering::Relaxed))
    }

    /// For how long answers to MAIL are held back, our own servers' apart.
    pub fn tarpit_ms(&self) -> u64 {
        self.tarpit_ms.load(Ordering::Relaxed)
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What those hear at MAIL who are refused.
pub fn refusal() -> Reply {
    Reply::new(452, Enhanced::new(4, 3, 1), "insufficient system resources, try later")
}
