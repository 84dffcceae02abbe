//! Owns the note of a take-over: which journal was taken, from which epoch on, and where the copy ended. It stays: the old owner is
//! told by it, whenever he comes back.
//! Always holds: it is durable before the taken journal gets its first record of the new epoch.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use journal::Position;
use serde::{Deserialize, Serialize};
use spool::Taken;
use world::World;

/// What is known of a take-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakeNote {
    /// The journal's own number: a node that was given a new disk has another journal.
    pub salt: u32,
    /// The taker's epoch; owners of lower ones, and of this one, are refused.
    pub epoch: u32,
    /// What the old owner wrote under a higher epoch the taker does not have.
    pub copy_epoch: u32,
    /// Where the copy ended: what the old owner wrote behind it, the taker does not have.
    pub taken_at: u64,
}

impl TakeNote {
    /// What the taker has.
    pub fn taken(self) -> Taken {
        Taken { at: Position(self.taken_at), epoch: self.copy_epoch }
    }

    /// The note beside the copy of a node's journal, if there is one.
    pub fn read(world: &World, copies_of_node: &Path) -> io::Result<Option<TakeNote>> {
        match world.disk.read_all(&path(copies_of_node)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes it durably.
    pub fn write(self, world: &World, copies_of_node: &Path) -> io::Result<()> {
        world.disk.replace_durable(&path(copies_of_node), &self.bytes())
    }

    /// For the wire and the file.
    pub fn bytes(self) -> Bytes {
        // Numbers always serialize.
        serde_json::to_vec(&self).unwrap_or_default().into()
    }

    /// From the wire.
    pub fn parse(bytes: &[u8]) -> Option<TakeNote> {
        serde_json::from_slice(bytes).ok()
    }
}

fn path(copies_of_node: &Path) -> PathBuf {
    copies_of_node.join("taken")
}
