//! Owns `copy.meta`: what a copy knows of itself that its segments do not tell. Knows no segments.
//! Always holds: it is replaced whole and durably.

use std::io;
use std::path::{Path, PathBuf};

use world::World;

use crate::error::OpenError;
use crate::position::Position;

/// What a copy knows of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Notes {
    /// The owner has said once that nothing is missing, and nothing got lost here since: it may be taken over.
    pub(super) level: bool,
    /// Everything that the copy holds below is known to be synced.
    pub(super) mark: Position,
    /// Up to the copy's end it has everything that its owner wrote under this epoch or a lower one. That may be lower than the highest epoch
    /// heard of: a new owner has introduced itself, and what it has in the place of an old owner's tail is not compared yet.
    pub(super) proven: u32,
}

/// Reads them; a copy without has nothing to know.
pub(super) fn read(world: &World, dir: &Path) -> Result<Notes, OpenError> {
    let path = path(dir);
    let bytes = match world.disk.read_all(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Notes::default()),
        Err(source) => return Err(OpenError::Io { what: "reading", path, source }),
    };
    parse(&bytes).ok_or(OpenError::Meta(path))
}

/// Replaces them durably.
pub(super) fn write(world: &World, dir: &Path, notes: &Notes) -> io::Result<()> {
    world.disk.replace_durable(&path(dir), &render(notes))
}

fn path(dir: &Path) -> PathBuf {
    dir.join("copy.meta")
}

fn render(notes: &Notes) -> Vec<u8> {
    let text =
        format!("posthouse-copy\nlevel {}\nmark {}\nepoch {}\n", u8::from(notes.level), notes.mark, notes.proven);
    format!("{text}check {:08x}\n", crc32c::crc32c(text.as_bytes())).into_bytes()
}

fn parse(bytes: &[u8]) -> Option<Notes> {
    let text = std::str::from_utf8(bytes).ok()?;
    let line = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' '));
    let mark = Position(u64::from_str_radix(line("mark")?, 16).ok()?);
    let notes = Notes { level: line("level")? == "1", mark, proven: line("epoch")?.parse().ok()? };
    // Rendering it again compares the check line and every other byte.
    (render(&notes) == bytes).then_some(notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let notes = Notes { level: true, mark: Position(0x1234), proven: 7 };
        let bytes = render(&notes);
        assert_eq!(parse(&bytes), Some(notes));
        for at in 0..bytes.len() {
            let mut bent = bytes.clone();
            bent[at] ^= 1;
            assert_eq!(parse(&bent), None, "byte {at}");
        }
    }
}
