//! Owns what was delivered lately into the Maildirs of one root: a line for each letter, so that one which a reader has moved or removed
//! since is known when its message comes once more. Knows no letters and no queues.
//!
//! Each node writes files of its own, `ROOT/.delivered/NODE.TIME`, and reads those of all: a root may be shared, and nothing is locked.
//! A line is `ID DOMAIN/MAILBOX`. Always holds: what is not surely there is not found, and is delivered; a node's files are bounded by
//! [`FILE_BYTES_MAX`], [`KEPT_BYTES_MAX`] and [`FILES_MAX`]. What is needed are the letters whose outcome was not durable yet, those of the last seconds
//! before a node went down; while it is down it writes nothing, so nothing of that goes.

use std::collections::HashSet;
use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mail::MessageId;
use world::{File, Open, World};

/// The window of one root.
pub struct Window {
    world: World,
    dir: PathBuf,
    node: String,
    keep_ms: u64,
    current: Mutex<Option<Current>>,
}

/// The file that is written now.
struct Current {
    file: Arc<dyn File>,
    len: u64,
    /// When it was begun, by the wall clock.
    made_ms: u64,
}

/// A letter, as it stands in the window.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry(String);

impl Entry {
    /// For a mailbox as the store names it: no spaces and no line ends in it.
    pub fn new(id: MessageId, domain: &str, mailbox: &str) -> Entry {
        Entry(format!("{id} {domain}/{mailbox}"))
    }
}

impl Window {
    /// The window below `root`, as `node` writes it. `keep_ms` is how long a letter is found at least; 0 keeps and finds nothing.
    /// Nothing is read or made before it is needed.
    pub fn new(world: &World, root: &std::path::Path, node: &str, keep_ms: u64) -> Window {
        Window { world: world.clone(), dir: root.join(DIR), node: node.into(), keep_ms, current: Mutex::new(None) }
    }

    /// Which of these were delivered, by whatever node. What cannot be read was not.
    pub fn find(&self, wanted: &HashSet<Entry>) -> io::Result<HashSet<Entry>> {
        let mut found = HashSet::new();
        if wanted.is_empty() || self.keep_ms == 0 {
            return Ok(found);
        }
        let wanted: HashSet<&[u8]> = wanted.iter().map(|entry| entry.0.as_bytes()).collect();
        for (name, ..) in self.files("")? {
            let bytes = self.world.disk.read_all(&self.dir.join(name))?;
            let lines = bytes.split(|byte| *byte == b'\n').filter(|line| wanted.contains(line));
            found.extend(lines.map(|line| Entry(String::from_utf8_lossy(line).into_owned())));
        }
        Ok(found)
    }

    /// Notes letters that are about to be moved into their mailboxes, durably.
    pub fn note(&self, letters: &[Entry]) -> io::Result<()> {
        if letters.is_empty() || self.keep_ms == 0 {
            return Ok(());
        }
        // A line that was cut by a power failure ends here.
        let mut text = String::from("\n");
        for Entry(line) in letters {
            text.push_str(line);
            text.push('\n');
        }
        let (file, offset) = self.place(text.len() as u64)?;
        file.write_all_at(offset, &[IoSlice::new(text.as_bytes())])?;
        if let Err(error) = file.sync_data() {
            self.world.abort(&format!("{}: sync failed: {error}", self.dir.display()));
            return Err(error);
        }
        Ok(())
    }

    /// A file and a place in it for so many bytes.
    fn place(&self, len: u64) -> io::Result<(Arc<dyn File>, u64)> {
        let newest_ms = self.world.clock.wall_ms().saturating_sub(self.keep_ms / 4);
        if let Some(current) = self.current().as_mut().filter(|current| current.made_ms >= newest_ms)
            && let Some(place) = current.place(len)
        {
            return Ok(place);
        }
        // Not under the lock: it goes to the disk. Two at once make two files, and the later one is gone on with.
        let mut fresh = self.make()?;
        let place = fresh.place(len).unwrap_or_else(|| (fresh.file.clone(), 0));
        *self.current() = Some(fresh);
        Ok(place)
    }

    /// A new file of this node; those that are too many go.
    fn make(&self) -> io::Result<Current> {
        let disk = self.world.disk.as_ref();
        disk.create_dir_all_durable(&self.dir)?;
        let ours = format!("{}.", self.node);
        let files = self.files(&ours)?;
        let last_ms = files.last().map_or(0, |(_, made_ms, _)| *made_ms);
        let made_ms = self.world.clock.wall_ms().max(last_ms + 1);
        let file = disk.open(&self.dir.join(format!("{ours}{made_ms:013}")), Open::CreateNew)?;
        let mut kept_bytes = 0;
        for (n, (name, _, len)) in files.iter().rev().enumerate() {
            kept_bytes += len;
            if kept_bytes > KEPT_BYTES_MAX || n + 1 >= FILES_MAX {
                disk.remove(&self.dir.join(name))?;
            }
        }
        disk.sync_dir(&self.dir)?;
        Ok(Current { file: file.into(), len: 0, made_ms })
    }

    /// All files that are not too old, or those of a node; oldest first: name, the time in it, length.
    fn files(&self, prefix: &str) -> io::Result<Vec<(String, u64, u64)>> {
        let entries = match self.world.disk.list(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let now_ms = self.world.clock.wall_ms();
        let mut files = Vec::new();
        for entry in entries.into_iter().filter(|entry| !entry.is_dir && entry.name.starts_with(prefix)) {
            let Some(made_ms) = entry.name.rsplit('.').next().and_then(|time| time.parse::<u64>().ok()) else {
                continue;
            };
            if made_ms + self.keep_ms + self.keep_ms / 4 >= now_ms || !prefix.is_empty() {
                files.push((entry.name, made_ms, entry.len));
            }
        }
        files.sort_by_key(|(_, made_ms, _)| *made_ms);
        Ok(files)
    }

    fn current(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    fn place(&mut self, len: u64) -> Option<(Arc<dyn File>, u64)> {
        let offset = self.len;
        if offset > 0 && offset + len > FILE_BYTES_MAX {
            return None;
        }
        self.len += len;
        Some((self.file.clone(), offset))
    }
}

/// No domain has such a name: a dot in front is written otherwise.
const DIR: &str = ".delivered";
/// About 60,000 letters.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// What is kept beside the file that is written.
const KEPT_BYTES_MAX: u64 = 8 << 20;
/// Each start of a node begins a file: those that end in a moment do not push out what came before.
const FILES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn entry(n: u8, mailbox: &str) -> Entry {
        Entry::new(MessageId::new(1_795_237_200_123, [n; 10]), "a.test", mailbox)
    }

    fn found(window: &Window, entries: &[Entry]) -> Vec<bool> {
        let there = window.find(&entries.iter().cloned().collect()).unwrap();
        entries.iter().map(|entry| there.contains(entry)).collect()
    }

    #[test]
    fn what_was_noted_is_found_by_every_node_after_a_power_cut_and_not_for_ever() {
        let (world, sim) = World::simulated(1);
        let open = |node: &str| Window::new(&world, Path::new("/mail"), node, 1000);
        let (bob, eve) = (entry(1, "bob"), entry(1, "eve"));
        assert_eq!(found(&open("a"), std::slice::from_ref(&bob)), [false], "there is no window yet");
        open("a").note(std::slice::from_ref(&bob)).unwrap();
        open("b").note(&[entry(2, "bob")]).unwrap();
        sim.disk.crash();
        sim.disk.reboot();
        let wanted = [bob, eve, entry(2, "bob")];
        assert_eq!(found(&open("b"), &wanted), [true, false, true]);
        assert_eq!(found(&Window::new(&world, Path::new("/mail"), "a", 0), &wanted), [false; 3], "switched off");
        sim.clock.advance_ms(1500);
        assert_eq!(found(&open("b"), &wanted), [false; 3]);
    }

    #[test]
    fn its_files_are_bounded_and_the_latest_stay() {
        let (world, _) = World::simulated(2);
        let long = "x".repeat(200);
        let window = Window::new(&world, Path::new("/mail"), "a", 1 << 40);
        let many: Vec<Entry> = (0..10_000).map(|n| entry(n as u8, &format!("{long}{n}"))).collect();
        for _ in 0..12 {
            window.note(&many).unwrap();
        }
        window.note(&[entry(1, "last")]).unwrap();
        let files = world.disk.list(Path::new("/mail/.delivered")).unwrap();
        assert!(files.iter().map(|file| file.len).sum::<u64>() <= FILE_BYTES_MAX + KEPT_BYTES_MAX);
        assert!(files.len() > 1 && files.iter().all(|file| file.len <= FILE_BYTES_MAX));
        assert_eq!(found(&window, &[entry(1, "last")]), [true]);
    }
}
