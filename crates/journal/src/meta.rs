//! Owns `journal.meta`: the format's version, the journal's constants, the highest epoch ever used.
//! Knows no segments. Always holds: it is replaced whole and durably, before a record of a new epoch is written.

use std::io;
use std::path::{Path, PathBuf};

use world::{Disk, World};

use crate::error::OpenError;
use crate::record::Format;

/// Reads the meta file; `None` when there is none.
pub(crate) fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<Format>, OpenError> {
    let path = path(dir);
    let bytes = match disk.read_all(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(OpenError::Io { what: "reading", path, source }),
    };
    parse(&bytes, &path).map(Some)
}

/// Which journal is in a directory: the number that no other has, and the highest epoch ever used. `None` for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Made by chance when the journal was made.
    pub salt: u32,
    /// The highest epoch.
    pub epoch: u32,
}

/// Says which journal is in `dir`, without opening it.
pub fn identity(world: &World, dir: &Path) -> Result<Option<Identity>, OpenError> {
    let format = read(world.disk.as_ref(), dir)?;
    Ok(format.map(|Format { salt, epoch, .. }| Identity { salt, epoch }))
}

/// Replaces the meta file durably.
pub(crate) fn write(world: &World, dir: &Path, format: &Format) -> Result<(), OpenError> {
    let path = path(dir);
    let written = world.disk.replace_durable(&path, &render(format));
    written.map_err(|source| OpenError::Io { what: "writing", path, source })
}

fn path(dir: &Path) -> PathBuf {
    dir.join("journal.meta")
}

fn render(format: &Format) -> Vec<u8> {
    let text = format!(
        "posthouse-journal\nformat {VERSION}\nepoch {}\nsegment_bytes {}\nsalt {:08x}\n",
        format.epoch, format.segment_bytes, format.salt
    );
    format!("{text}check {:08x}\n", crc32c::crc32c(text.as_bytes())).into_bytes()
}

fn parse(bytes: &[u8], path: &Path) -> Result<Format, OpenError> {
    let bad = || OpenError::Meta(path.to_path_buf());
    let text = std::str::from_utf8(bytes).map_err(|_| bad())?;
    let body = text.strip_prefix("posthouse-journal\nformat ").ok_or_else(bad)?;
    // The version comes first, so that a later format can be named whatever its other lines are.
    let (version, _) = body.split_once('\n').ok_or_else(bad)?;
    let found: u32 = version.parse().map_err(|_| bad())?;
    if found != VERSION {
        return Err(OpenError::Version { found, ours: VERSION });
    }
    let line = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' ')).ok_or_else(bad);
    let format = Format {
        epoch: line("epoch")?.parse().map_err(|_| bad())?,
        segment_bytes: line("segment_bytes")?.parse().map_err(|_| bad())?,
        salt: u32::from_str_radix(line("salt")?, 16).map_err(|_| bad())?,
    };
    // Rendering it again compares the check line and every other byte.
    if render(&format) == bytes { Ok(format) } else { Err(bad()) }
}

/// Grows with every change that an older program would misread.
const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let format = Format { segment_bytes: 1 << 26, salt: 0xfeed, epoch: 7 };
        let path = Path::new("m");
        let bytes = render(&format);
        assert_eq!(parse(&bytes, path).unwrap(), format);
        let text = String::from_utf8(bytes.clone()).unwrap();
        for bent in [text.replace("epoch 7", "epoch 6"), text.replace("posthouse", "post"), text[..30].to_string()] {
            assert!(matches!(parse(bent.as_bytes(), path), Err(OpenError::Meta(_))), "{bent}");
        }
        let later = text.replace("format 1", "format 2");
        assert!(matches!(parse(later.as_bytes(), path), Err(OpenError::Version { found: 2, ours: 1 })));
    }
}
