//! Owns the files of the audit log and their rotation. Knows no lines but that a line ends with a newline.
//! Always holds: a line that was appended is synced; the file that grows was filled with newlines when it was made, so that a disk that
//! is full later still takes its lines, and padding is no line.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use world::{File, Open, World};

/// The writing end.
pub struct Files {
    world: World,
    dir: PathBuf,
    current: Option<(Box<dyn File>, u64)>,
}

impl Files {
    /// Goes on with the newest file. Also gives the last number that was used: files are named by the next one.
    pub fn open(world: &World, dir: &Path) -> io::Result<(Files, u64)> {
        let mut files = Files { world: world.clone(), dir: dir.into(), current: None };
        let Some(newest) = names(world, dir)?.pop() else {
            files.start(1)?;
            return Ok((files, 0));
        };
        let bytes = world.disk.read_all(&dir.join(&newest))?;
        // One newline stays: the last line may be torn, and the next must not join it.
        let used = bytes.iter().rposition(|byte| *byte != b'\n').map_or(0, |last| last + 2);
        let numbers = bytes.split(|byte| *byte == b'\n').filter_map(super::Line::parse).map(|line| line.number);
        let before = first_number(&newest).map(|first| first.saturating_sub(1));
        let last = numbers.max().max(before);
        files.current = Some((world.disk.open(&dir.join(newest), Open::Write)?, used as u64));
        Ok((files, last.unwrap_or(0)))
    }

    /// Appends a line and syncs it. `next` is the next number to be used. After an error the file is left: the next line begins another one.
    pub fn append(&mut self, next: u64, line: &[u8]) -> io::Result<()> {
        let fits = |used: u64| used + line.len() as u64 <= FILE_BYTES;
        if !self.current.as_ref().is_some_and(|(_, used)| fits(*used)) {
            self.current = None;
            self.start(next)?;
        }
        let Some((file, used)) = &mut self.current else { return Err(io::ErrorKind::NotFound.into()) };
        let written = file.write_all_at(*used, &[IoSlice::new(line)]).and_then(|()| file.sync_data());
        *used += line.len() as u64;
        if written.is_err() {
            // A second sync that succeeds proves nothing.
            self.current = None;
        }
        written
    }

    /// Makes the next file, with room for all its lines.
    fn start(&mut self, next: u64) -> io::Result<()> {
        let mut names = names(&self.world, &self.dir)?;
        let newest = names.last().and_then(|name| first_number(name)).unwrap_or(0);
        let name = format!("audit-{:014}.jsonl", next.max(newest + 1));
        let path = self.dir.join(&name);
        let file = self.world.disk.open(&path, Open::CreateNew)?;
        let padding = vec![b'\n'; FILE_BYTES as usize];
        let filled = file.write_all_at(0, &[IoSlice::new(&padding)]).and_then(|()| file.sync_data());
        if let Err(error) = filled.and_then(|()| self.world.disk.sync_dir(&self.dir)) {
            // Empty as it is it would only be in the way.
            let _ = self.world.disk.remove(&path);
            return Err(error);
        }
        names.push(name);
        let surplus = names.len().saturating_sub((KEEP_BYTES / FILE_BYTES) as usize);
        for old in &names[..surplus] {
            self.world.disk.remove(&self.dir.join(old))?;
        }
        self.current = Some((file, 0));
        Ok(())
    }
}

/// The files in `dir`, oldest first.
pub fn names(world: &World, dir: &Path) -> io::Result<Vec<String>> {
    let entries = world.disk.list(dir)?;
    Ok(entries.into_iter().map(|entry| entry.name).filter(|name| first_number(name).is_some()).collect())
}

fn first_number(name: &str) -> Option<u64> {
    name.strip_prefix("audit-")?.strip_suffix(".jsonl")?.parse().ok()
}

/// A search holds one file in memory.
const FILE_BYTES: u64 = 1 << 20;
/// Of all files together.
pub const KEEP_BYTES: u64 = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_the_bound_holds_and_a_torn_line_stays_alone() {
        let (world, _) = World::simulated(1);
        let dir = Path::new("/audit");
        world.disk.create_dir_all_durable(dir).unwrap();
        let (mut files, last) = Files::open(&world, dir).unwrap();
        assert_eq!(last, 0);
        let line = |n: u64| format!("{{\"n\":{n},\"when\":\"{}\"}}\n", "x".repeat(60_000)).into_bytes();
        for n in 1..=800 {
            files.append(n, &line(n)).unwrap();
        }
        let total: u64 = world.disk.list(dir).unwrap().iter().map(|entry| entry.len).sum();
        assert_eq!(total, KEEP_BYTES);
        let (mut files, last) = Files::open(&world, dir).unwrap();
        assert_eq!(last, 800);
        files.append(801, b"{\"n\":801,\"wh").unwrap();
        let (mut files, last) = Files::open(&world, dir).unwrap();
        assert_eq!(last, 800, "it is torn");
        files.append(802, b"{\"n\":802}\n").unwrap();
        let newest = names(&world, dir).unwrap().pop().unwrap();
        let text = world.disk.read_all(&dir.join(newest)).unwrap();
        assert!(text.split(|byte| *byte == b'\n').any(|line| line == b"{\"n\":802}"));
    }
}
