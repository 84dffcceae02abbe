//! The serials that zones had last, on disk: a serial that was answered once never comes again with other contents.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tracing::warn;
use world::World;

/// What is kept of one zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The serial of its last version.
    pub serial: u32,
    /// Of what that version contained.
    pub digest: String,
    /// When it was made, in seconds since 1970.
    pub made_s: u64,
}

/// Of all zones, by their names; those that are gone too: they may come back.
pub struct Serials {
    file: PathBuf,
    kept: BTreeMap<String, Kept>,
}

impl Serials {
    /// Reads the file. One that cannot be read counts as none: serials are made of the time, and grow all the same.
    pub fn read(world: &World, file: PathBuf) -> Serials {
        let kept = match world.disk.read_all(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| error.to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(error.to_string()),
        };
        let kept = kept.unwrap_or_else(|error| {
            warn!("{}: {error}; the serials of zones begin anew with the time", file.display());
            BTreeMap::new()
        });
        Serials { file, kept }
    }

    /// What is kept of a zone.
    pub fn get(&self, zone: &str) -> Option<&Kept> {
        self.kept.get(zone)
    }

    /// Keeps it, durably.
    pub fn keep(&mut self, world: &World, zone: &str, next: Kept) -> Result<(), String> {
        if self.kept.get(zone) == Some(&next) {
            return Ok(());
        }
        let mut kept = self.kept.clone();
        kept.insert(zone.to_string(), next);
        let written = serde_json::to_vec_pretty(&kept).map_err(io::Error::from);
        let done = written.and_then(|bytes| world.disk.replace_durable(&self.file, &bytes));
        done.map_err(|error| format!("{}: {error}", self.file.display()))?;
        self.kept = kept;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn what_was_kept_is_there_after_a_restart_and_rubbish_counts_as_nothing() {
        let (world, _) = World::simulated(3);
        let file = PathBuf::from("/data/dns-serials");
        world.disk.create_dir_all_durable(Path::new("/data")).unwrap();
        let kept = Kept { serial: 7, digest: "ab".into(), made_s: 5 };
        let mut serials = Serials::read(&world, file.clone());
        serials.keep(&world, "example.org", kept.clone()).unwrap();
        assert_eq!(Serials::read(&world, file.clone()).get("example.org"), Some(&kept));
        world.disk.replace_durable(&file, b"{\"example.org\":").unwrap();
        assert_eq!(Serials::read(&world, file).get("example.org"), None);
    }
}
