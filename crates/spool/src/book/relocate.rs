//! Owns how the book follows records that cleaning moves.

use journal::{Extent, SegmentNo};

use super::Book;
use crate::record::{Part, Survivor};

impl Book {
    /// Whether a record is the one that its message needs.
    pub fn needs(&self, survivor: &Survivor) -> bool {
        let Some(message) = self.find(survivor.id).and_then(|at| self.messages.get(at)) else { return false };
        let known = match survivor.part {
            Part::Chunk(ordinal) => Some(message.chunk(ordinal)),
            Part::Accept => Some(message.accept()),
            Part::State(_) => message.extra.as_ref().and_then(|extra| extra.state),
        };
        known == Some(survivor.extent)
    }

    /// A record of a claimed message was written again at `extent`; its old copy is in `segment`. Gives the copy that is not
    /// needed any more: the old one, or the new one if a newer state has landed meanwhile.
    pub fn moved(&mut self, survivor: &Survivor, extent: Extent, segment: SegmentNo) -> Extent {
        if !self.needs(survivor) {
            return extent;
        }
        let Some(at) = self.find(survivor.id) else { return extent };
        let message = &mut self.messages[at];
        match survivor.part {
            Part::Chunk(ordinal) => message.set_chunk(ordinal, extent),
            Part::Accept => {
                message.set_accept(extent);
                self.add_copy(survivor.id, segment);
            }
            Part::State(_) => message.extra_mut().state = Some(extent),
        }
        survivor.extent
    }
}
