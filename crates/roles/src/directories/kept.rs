//! What a directory told last, on disk: one file of the table that was read whole, one of what changed since. Each is replaced as a
//! whole, and says by its checksum whether it is whole; changes name the table that they belong to. So a power cut between any two
//! lines leaves what was told before, or what was told since.

use std::io;
use std::path::{Path, PathBuf};

use directory::recipients::{Kept, Recipients};
use tracing::warn;
use world::World;

/// What is known of the large file: its last bytes name it in the file of changes.
pub type Seal = Vec<u8>;

/// What was kept of a directory, when, and the seal of its large file.
pub fn read(world: &World, dir: &Path, name: &str) -> Option<(Recipients, u64, Seal)> {
    let file = base_file(dir, name);
    let base = match world.disk.read_all(&file) {
        Ok(base) => base,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            warn!("{}: {error}; the directory must be read anew", file.display());
            return None;
        }
    };
    let changes = world.disk.read_all(&changes_file(dir, name)).ok();
    let Some(known) = Kept::read(&base, changes.as_deref()) else {
        warn!("{}: it is damaged; the directory must be read anew", file.display());
        return None;
    };
    let when_ms = world.disk.modified_ms(&file).unwrap_or_default();
    Some((known, when_ms, seal(&base)))
}

/// Keeps a table that was read whole, durably.
pub fn keep_base(world: &World, dir: &Path, name: &str, known: &Recipients) -> io::Result<Seal> {
    let Some(table) = known.base() else { return Ok(Seal::new()) };
    let base = Kept::base(table);
    world.disk.create_dir_all_durable(dir)?;
    world.disk.replace_durable_private(&base_file(dir, name), &base)?;
    Ok(seal(&base))
}

/// Keeps what changed since, durably.
pub fn keep_changes(world: &World, dir: &Path, name: &str, known: &Recipients, seal: &Seal) -> io::Result<()> {
    let Some(changes) = known.kept_changes(seal) else { return Ok(()) };
    world.disk.replace_durable_private(&changes_file(dir, name), &changes)
}

fn seal(base: &[u8]) -> Seal {
    base[base.len().saturating_sub(SEAL_BYTES)..].to_vec()
}

fn base_file(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.recipients"))
}

fn changes_file(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.changes"))
}

/// Of the checksum at a file's end.
const SEAL_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use directory::recipients::{Change, Entry, Is, Senders};
    use mail::Mailbox;

    fn entry(address: &str) -> Entry {
        Entry {
            address: Mailbox::parse(address, true).unwrap(),
            aliases: Vec::new(),
            is: Is::Mailbox,
            forward: None,
            senders: Senders::Anybody,
            message_bytes_max: None,
            attributes: Vec::new(),
        }
    }

    #[test]
    fn what_was_told_last_is_read_again_and_damage_is_not() {
        let (world, _) = World::simulated(5);
        let dir = Path::new("/data/directories");
        assert!(read(&world, dir, "corp").is_none());
        let known = Recipients::of([entry("ann@x.example"), entry("bob@x.example")]).0;
        let seal = keep_base(&world, dir, "corp", &known).unwrap();
        let new = Change { key: "uid=eve".into(), entry: Some(entry("eve@x.example")) };
        let now = known.after(&[new]).unwrap();
        keep_changes(&world, dir, "corp", &now, &seal).unwrap();
        let count = || read(&world, dir, "corp").map(|(known, _, _)| known.len());
        assert_eq!(count(), Some(3));
        // Read whole again: changes of the table before do not count any more.
        keep_base(&world, dir, "corp", &Recipients::of([entry("ann@x.example")]).0).unwrap();
        assert_eq!(count(), Some(1));
        let bytes = world.disk.read_all(&base_file(dir, "corp")).unwrap();
        world.disk.replace_durable(&base_file(dir, "corp"), &bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(count(), None);
    }
}
