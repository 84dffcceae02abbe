//! Owns the trace files and their rotation: names by time, one that grows, the oldest removed. Knows no events.
//! Always holds: all files together have at most the configured bytes and one file more.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use world::{File, Open, World};

/// The writing end: one file that grows.
pub struct Files {
    world: World,
    dir: PathBuf,
    file_bytes_max: u64,
    files_max: usize,
    current: Option<(Box<dyn File>, u64)>,
}

impl Files {
    /// Goes on with the newest file, if there is one with room.
    pub fn open(world: &World, dir: &Path, keep_bytes: u64) -> io::Result<Files> {
        let file_bytes_max = (keep_bytes / 32).clamp(FILE_BYTES_MIN, FILE_BYTES_MAX);
        let files_max = (keep_bytes / file_bytes_max).max(1) as usize;
        let mut files =
            Files { world: world.clone(), dir: dir.to_path_buf(), file_bytes_max, files_max, current: None };
        if let Some(newest) = names(world, dir)?.pop() {
            let file = world.disk.open(&dir.join(newest), Open::Write)?;
            let len = file.len()?;
            if len < file_bytes_max {
                files.current = Some((file, len));
                // A crash may have torn the last line; the next one must start on its own.
                files.append(b"\n")?;
            }
        }
        Ok(files)
    }

    /// Appends whole lines. They are in the page cache when it returns: a power cut may take the last seconds.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.current.as_ref().is_none_or(|(_, len)| *len >= self.file_bytes_max) {
            self.current = None;
            self.current = Some((self.start_file()?, 0));
        }
        if let Some((file, len)) = &mut self.current {
            file.write_all_at(*len, &[IoSlice::new(lines)])?;
            *len += lines.len() as u64;
        }
        Ok(())
    }

    fn start_file(&self) -> io::Result<Box<dyn File>> {
        let mut names = names(&self.world, &self.dir)?;
        let newest_ms = names.last().and_then(|name| started_ms(name)).unwrap_or(0);
        // Later than the newest even when the clock went back: names stay in the order of writing.
        let name = file_name(self.world.clock.wall_ms().max(newest_ms + 1));
        let file = self.world.disk.open(&self.dir.join(&name), Open::CreateNew)?;
        names.push(name);
        let surplus = names.len().saturating_sub(self.files_max);
        for old in &names[..surplus] {
            self.world.disk.remove(&self.dir.join(old))?;
        }
        Ok(file)
    }
}

/// The trace files in `dir`, oldest first.
pub fn names(world: &World, dir: &Path) -> io::Result<Vec<String>> {
    let entries = world.disk.list(dir)?;
    Ok(entries.into_iter().map(|entry| entry.name).filter(|name| started_ms(name).is_some()).collect())
}

fn file_name(unix_ms: u64) -> String {
    format!("trace-{unix_ms:014}.tsv")
}

fn started_ms(name: &str) -> Option<u64> {
    name.strip_prefix("trace-")?.strip_suffix(".tsv")?.parse().ok()
}

const FILE_BYTES_MIN: u64 = 64 << 10;
/// A search holds one file in memory.
const FILE_BYTES_MAX: u64 = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_and_the_bound_holds() {
        let (world, _) = World::simulated(1);
        let dir = Path::new("/t");
        world.disk.create_dir_all_durable(dir).unwrap();
        let keep_bytes = 4 * FILE_BYTES_MIN;
        let mut files = Files::open(&world, dir, keep_bytes).unwrap();
        for n in 0..4000u32 {
            files.append(format!("{n:0199}\n").as_bytes()).unwrap();
        }
        let entries = world.disk.list(dir).unwrap();
        let total: u64 = entries.iter().map(|entry| entry.len).sum();
        assert!(total <= keep_bytes + FILE_BYTES_MIN && total > keep_bytes / 2, "{total}");
        let newest = world.disk.read_all(&dir.join(&entries.last().unwrap().name)).unwrap();
        assert!(newest.ends_with(b"3999\n"));
    }
}
