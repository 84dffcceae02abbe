//! Owns how an empty segment comes into being. Knows no records and not who uses it.
//! Always holds: a name `spare-N` stands for a whole file of synced zeros or of a segment's last life.

use std::io;
use std::path::Path;

use world::{Open, World};

use crate::files::{spare_path, unfinished_path};
use crate::settings::Settings;
use crate::shelf::Shelf;

/// Makes one empty segment of `len` bytes in `dir`; `false` when there is no room, and nobody tries again for a while.
pub(crate) fn make(world: &World, dir: &Path, len: u64, settings: &Settings, shelf: &Shelf) -> bool {
    match try_make(world, dir, len, settings, shelf) {
        Ok(true) => true,
        // A disk that cannot even take zeros gets no new mail; it may still be read from.
        Ok(false) | Err(_) => {
            shelf.block(world.clock.mono_ms() + RETRY_MS);
            false
        }
    }
}

fn try_make(world: &World, dir: &Path, len: u64, settings: &Settings, shelf: &Shelf) -> io::Result<bool> {
    let disk = world.disk.as_ref();
    let files = shelf.files() as u64;
    if settings.max_bytes.is_some_and(|max| (files + 1) * len > max)
        || disk.free_bytes(dir)? < len.saturating_add(settings.keep_free_bytes)
    {
        return Ok(false);
    }
    let spare = shelf.next();
    let unfinished = unfinished_path(dir, spare);
    let filled = disk.open(&unfinished, Open::CreateOrTruncate).and_then(|file| file.fill_zero(len));
    let named = filled.and_then(|()| disk.rename(&unfinished, &spare_path(dir, spare)));
    if let Err(error) = named {
        // If this fails too, the next opening removes it.
        let _ = disk.remove(&unfinished);
        return Err(error);
    }
    shelf.put_new(spare);
    Ok(true)
}

/// How long to wait before a new attempt when there was no space.
const RETRY_MS: u64 = 1000;
