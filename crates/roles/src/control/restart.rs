//! The restart without a gap: a new process of the same program and documents takes the place of this one. Knows no HTTP.

use super::{Control, Refusal};
use crate::view;

impl Control {
    /// Starts a process that takes the place of this one; [`Control::restarting`] tells how it goes. Blocks for a moment.
    pub fn restart(&self, who: &str) -> Result<view::Restart, Refusal> {
        let process = self.node.succession.start_one().map_err(|what| {
            Refusal::busy(what, "nothing was changed; GET /api/v1/restart and the log say how it goes")
        })?;
        tracing::info!("{who} has process {process} take the place of this one");
        Ok(self.restarting())
    }

    /// How a restart goes.
    pub fn restarting(&self) -> view::Restart {
        self.node.succession.shown()
    }
}
