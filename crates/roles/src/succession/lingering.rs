//! What processes that were succeeded still relay: asked of the last one, which asks the one before it.
//! Always holds: one that does not answer in time, or is gone, is not asked again: it has nothing left, or nobody can know.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::wire::Wire;
use super::{Answer, Ask, Relayed};

/// The way to the process that was succeeded, while it lingers.
#[derive(Default)]
pub struct Lingering(Mutex<Option<Wire>>);

impl Lingering {
    /// This one was succeeded.
    pub(super) fn begins(&self, wire: Wire) {
        *self.wire() = Some(wire);
    }

    /// What is left there; `drained` members go there too. Blocks for [`PATIENCE`] at most.
    pub fn look(&self, drained: &[(String, String)]) -> Vec<Relayed> {
        let mut wire = self.wire();
        let Some(open) = &*wire else { return Vec::new() };
        let asked = open.send(&Ask::Look { drained: drained.to_vec() }, &[]);
        match asked.and_then(|()| open.receive(PATIENCE)) {
            Ok((Answer::Left(left), _)) => left,
            // It has ended, or is frozen: then nothing of it moves.
            _ => {
                *wire = None;
                Vec::new()
            }
        }
    }

    fn wire(&self) -> MutexGuard<'_, Option<Wire>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const PATIENCE: Duration = Duration::from_secs(2);
