//! Owns the simulated disk: what programs see, what has reached the platter, and the faults between them.
//! Knows no formats. Always holds: what a sync confirmed survives a crash, unless the test asked for lies;
//! of everything else any subset of 512-byte sectors and any subset of directory operations may survive.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::inode::Inode;
use super::tree::Tree;
use crate::chance::Chance;
use crate::disk::{DirEntry, Disk, File, Lock, Open};
use crate::sim::SimChance;

/// A disk in memory. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

/// What goes wrong, and when. Everything off by default.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Bytes that all files together may take; more is `StorageFull`.
    pub capacity: Option<u64>,
    /// The machine dies in the middle of the n-th changing operation from now (1 = the next one).
    pub crash_after_ops: Option<u64>,
    /// The n-th `sync_data` from now fails with EIO (1 = the next one).
    pub sync_fails_after: Option<u64>,
    /// So many of a thousand `sync_data` calls fail with EIO.
    pub sync_fails_per_mille: u64,
    /// So many of a thousand writes end with EIO after a part of them.
    pub write_fails_per_mille: u64,
    /// So many of a thousand writes find no space after a part of them, though they overwrite what is there: file systems
    /// that copy on write do that.
    pub no_space_per_mille: u64,
    /// The n-th `sync_dir` from now fails with EIO (1 = the next one).
    pub dir_sync_fails_after: Option<u64>,
    /// `sync_data` answers `Ok` and does nothing: a canary which every checker must notice.
    pub sync_lies: bool,
}

struct State {
    chance: SimChance,
    faults: Faults,
    inodes: BTreeMap<u64, Inode>,
    inode_last: u64,
    tree: Tree,
    locks: BTreeMap<PathBuf, u64>,
    /// Grows with every death of the process: handles from before it are dead.
    life: u64,
    crashed: bool,
    aborted: bool,
    ops: u64,
    syncs: u64,
}

impl SimDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> SimDisk {
        SimDisk {
            state: Arc::new(Mutex::new(State {
                chance: SimChance::new(seed),
                faults: Faults::default(),
                inodes: BTreeMap::new(),
                inode_last: 0,
                tree: Tree::default(),
                locks: BTreeMap::new(),
                life: 0,
                crashed: false,
                aborted: false,
                ops: 0,
                syncs: 0,
            })),
        }
    }

    /// Sets what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.lock_state().faults = faults;
    }

    /// Changes what goes wrong from now on.
    pub fn change_faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.lock_state().faults);
    }

    /// Power cut: every operation fails until [`SimDisk::reboot`].
    pub fn crash(&self) {
        self.lock_state().crashed = true;
    }

    /// Whether a crash, asked for or scheduled, has happened since the last reboot.
    pub fn crashed(&self) -> bool {
        self.lock_state().crashed
    }

    /// The machine is back after a power cut: a random part of what was not synced is gone,
    /// old handles are dead, locks are free, faults are off except `capacity` and `sync_lies`.
    pub fn reboot(&self) {
        let mut state = self.lock_state();
        let state = &mut *state;
        state.tree.lose_power(&state.chance);
        // A removal that did not reach the platter brings a name back; its content was given up.
        for ino in state.tree.files() {
            state.inodes.entry(ino).or_default();
        }
        for inode in state.inodes.values_mut() {
            inode.lose_power(&state.chance);
        }
        state.new_life();
    }

    /// The process died (`kill -9`, or an abort) and the machine did not: everything written is still there.
    pub fn restart_process(&self) {
        self.lock_state().new_life();
    }

    /// Changing operations so far.
    pub fn ops(&self) -> u64 {
        self.lock_state().ops
    }

    /// Successful `sync_data` calls so far.
    pub fn syncs(&self) -> u64 {
        self.lock_state().syncs
    }

    /// Changes one byte on the platter and in the cache, as a rotten sector does.
    pub fn rot(&self, path: &Path, offset: u64) -> io::Result<()> {
        let mut state = self.lock_state();
        let ino = state.tree.file(path)?;
        state.inode(ino)?.rot(offset);
        Ok(())
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        // A test that panicked elsewhere does not make this state less true.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for SimDisk {
    fn create_dir_all_durable(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock_state();
        state.change()?;
        state.tree.create_dir_all_durable(dir);
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut state = self.lock_state();
        state.look()?;
        let found = state.tree.list(dir)?;
        let entry = |(name, ino): (String, Option<u64>)| {
            Ok(DirEntry {
                name,
                is_dir: ino.is_none(),
                len: ino.map_or(Ok(0), |ino| state.inode(ino).map(|i| i.len()))?,
            })
        };
        found.into_iter().map(entry).collect()
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let state = self.lock_state();
        state.look()?;
        Ok(state.tree.exists(path))
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn File>> {
        let mut state = self.lock_state();
        state.look()?;
        let found = state.tree.file(path);
        let ino = match (found, how) {
            (Ok(_), Open::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Ok(ino), Open::CreateOrTruncate) => {
                state.change()?;
                state.inode(ino)?.truncate();
                ino
            }
            (Ok(ino), _) => ino,
            (Err(error), Open::Read | Open::Write) => return Err(error),
            (Err(_), _) => {
                state.change()?;
                state.create(path)?
            }
        };
        Ok(Box::new(SimFile { disk: self.clone(), ino, life: state.life, writable: how != Open::Read }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock_state();
        state.change()?;
        state.tree.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock_state();
        state.change()?;
        state.tree.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock_state();
        state.change()?;
        if count_down(&mut state.faults.dir_sync_fails_after) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        state.tree.sync_dir(dir);
        Ok(())
    }

    fn read_all(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut state = self.lock_state();
        state.look()?;
        let ino = state.tree.file(path)?;
        Ok(state.inode(ino)?.content().to_vec())
    }

    fn replace_durable(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut name = path.as_os_str().to_owned();
        name.push(".tmp");
        let temporary = PathBuf::from(name);
        let file = self.open(&temporary, Open::CreateOrTruncate)?;
        file.write_all_at(0, &[IoSlice::new(bytes)])?;
        file.sync_data()?;
        self.rename(&temporary, path)?;
        self.sync_dir(path.parent().unwrap_or(Path::new("")))
    }

    fn modified_ms(&self, path: &Path) -> io::Result<u64> {
        let mut state = self.lock_state();
        state.look()?;
        let ino = state.tree.file(path)?;
        Ok(state.inode(ino)?.changes())
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        let mut state = self.lock_state();
        state.look()?;
        state.drop_unreachable();
        Ok(state.total().saturating_sub(state.used()))
    }

    fn total_bytes(&self, _dir: &Path) -> io::Result<u64> {
        let state = self.lock_state();
        state.look()?;
        Ok(state.total())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let mut state = self.lock_state();
        state.look()?;
        if state.locks.contains_key(path) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let life = state.life;
        state.locks.insert(path.to_path_buf(), life);
        Ok(Box::new(SimLock { disk: self.clone(), path: path.to_path_buf(), life }))
    }

    fn abort(&self, _reason: &str) {
        self.lock_state().aborted = true;
    }

    fn aborted(&self) -> bool {
        self.lock_state().aborted
    }
}

impl State {
    /// An operation that changes nothing: fails only when the machine is down.
    fn look(&self) -> io::Result<()> {
        if self.crashed {
            return Err(io::Error::other("the simulated machine is down"));
        }
        Ok(())
    }

    /// Counts an operation that changes something, and lets the machine die in it if that is due.
    fn change(&mut self) -> io::Result<()> {
        self.look()?;
        self.ops += 1;
        if count_down(&mut self.faults.crash_after_ops) {
            self.crashed = true;
        }
        self.look()
    }

    fn new_life(&mut self) {
        self.crashed = false;
        self.aborted = false;
        self.life += 1;
        self.locks.clear();
        self.faults = Faults { capacity: self.faults.capacity, sync_lies: self.faults.sync_lies, ..Faults::default() };
        self.drop_unreachable();
    }

    fn inode(&mut self, ino: u64) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&ino).ok_or(io::ErrorKind::NotFound.into())
    }

    fn create(&mut self, path: &Path) -> io::Result<u64> {
        self.inode_last += 1;
        self.tree.create(path, self.inode_last)?;
        self.inodes.insert(self.inode_last, Inode::default());
        Ok(self.inode_last)
    }

    fn total(&self) -> u64 {
        self.faults.capacity.unwrap_or(1 << 40)
    }

    fn used(&self) -> u64 {
        self.inodes.values().map(Inode::len).sum()
    }

    /// Forgets files which no name leads to. (Open handles to removed files die with it; nobody here keeps any.)
    fn drop_unreachable(&mut self) {
        let tree = &self.tree;
        self.inodes.retain(|ino, _| tree.reaches(*ino));
    }

    fn write(&mut self, ino: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let died = self.change().is_err();
        let failed = self.chance.one_in_thousand(self.faults.write_fails_per_mille);
        let no_space = self.chance.one_in_thousand(self.faults.no_space_per_mille);
        let grows = (offset + bytes.len() as u64).saturating_sub(self.inode(ino)?.len());
        if grows > 0 && self.used() + grows > self.total() {
            self.drop_unreachable();
        }
        let room = self.total().saturating_sub(self.used());
        let mut take = bytes.len() as u64;
        if grows > room {
            take -= grows - room;
        }
        if died || failed || no_space {
            take = self.chance.below(take + 1);
        }
        self.inode(ino)?.write(offset, &bytes[..take as usize]);
        self.look()?;
        if failed {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        if no_space || take < bytes.len() as u64 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn sync(&mut self, ino: u64) -> io::Result<()> {
        if self.change().is_err() {
            // The power went while the device was writing: any part may have arrived. reboot() decides.
            return self.look();
        }
        let chance = self.chance.clone();
        let scheduled = count_down(&mut self.faults.sync_fails_after);
        if scheduled || chance.one_in_thousand(self.faults.sync_fails_per_mille) {
            self.inode(ino)?.fail_sync(&chance);
            return Err(io::Error::from_raw_os_error(EIO));
        }
        if !self.faults.sync_lies {
            self.inode(ino)?.sync();
        }
        self.syncs += 1;
        Ok(())
    }
}

fn count_down(counter: &mut Option<u64>) -> bool {
    match counter {
        Some(0 | 1) => {
            *counter = None;
            true
        }
        Some(n) => {
            *n -= 1;
            false
        }
        None => false,
    }
}

struct SimFile {
    disk: SimDisk,
    ino: u64,
    life: u64,
    writable: bool,
}

impl SimFile {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.lock_state();
        state.look()?;
        if state.life != self.life {
            return Err(io::Error::other("a handle from before the restart"));
        }
        Ok(state)
    }
}

impl File for SimFile {
    fn write_all_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let bytes: Vec<u8> = parts.iter().flat_map(|p| p.iter().copied()).collect();
        self.state()?.write(self.ino, offset, &bytes)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state()?;
        let content = state.inode(self.ino)?.content();
        let from = content.len().min(offset as usize);
        let n = buf.len().min(content.len() - from);
        buf[..n].copy_from_slice(&content[from..from + n]);
        Ok(n)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.state()?.sync(self.ino)
    }

    fn len(&self) -> io::Result<u64> {
        let mut state = self.state()?;
        Ok(state.inode(self.ino)?.len())
    }

    fn fill_zero(&self, len: u64) -> io::Result<()> {
        let half = len / 2;
        for (offset, n) in [(0, half), (half, len - half)] {
            self.state()?.write(self.ino, offset, &vec![0; n as usize])?;
        }
        self.sync_data()
    }
}

struct SimLock {
    disk: SimDisk,
    path: PathBuf,
    life: u64,
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.disk.lock_state();
        if state.locks.get(&self.path) == Some(&self.life) {
            state.locks.remove(&self.path);
        }
    }
}

const EIO: i32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn disk_with(path: &Path, bytes: &[u8]) -> (SimDisk, Box<dyn File>) {
        let disk = SimDisk::new(1);
        disk.create_dir_all_durable(Path::new("/d")).unwrap();
        let file = disk.open(path, Open::CreateNew).unwrap();
        file.write_all_at(0, &[IoSlice::new(bytes)]).unwrap();
        (disk, file)
    }

    #[test]
    fn synced_content_and_names_survive_a_crash() {
        let path = Path::new("/d/f");
        let (disk, file) = disk_with(path, &[7; 3000]);
        file.sync_data().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        disk.crash();
        assert!(file.read_at(0, &mut [0; 4]).is_err());
        disk.reboot();
        assert!(file.read_at(0, &mut [0; 4]).is_err(), "an old handle is dead");
        assert_eq!(disk.read_all(path).unwrap(), [7; 3000]);
    }

    #[test]
    fn unsynced_sectors_are_kept_lost_and_torn_by_some_seed() {
        let path = Path::new("/d/f");
        let (mut whole, mut none, mut torn) = (0, 0, 0);
        for seed in 0..100 {
            let disk = SimDisk::new(seed);
            disk.create_dir_all_durable(Path::new("/d")).unwrap();
            let file = disk.open(path, Open::CreateNew).unwrap();
            file.fill_zero(1024).unwrap();
            disk.sync_dir(Path::new("/d")).unwrap();
            file.write_all_at(0, &[IoSlice::new(&[1; 1024])]).unwrap();
            disk.crash();
            disk.reboot();
            let back = disk.read_all(path).unwrap();
            match (back[0], back[1023]) {
                (1, 1) => whole += 1,
                (0, 0) => none += 1,
                _ => torn += 1,
            }
        }
        assert!(whole > 5 && none > 5 && torn > 5, "{whole} {none} {torn}");
    }

    #[test]
    fn unsynced_names_may_go() {
        let mut gone = 0;
        for seed in 0..50 {
            let disk = SimDisk::new(seed);
            disk.create_dir_all_durable(Path::new("/d")).unwrap();
            disk.open(Path::new("/d/f"), Open::CreateNew).unwrap();
            disk.crash();
            disk.reboot();
            gone += usize::from(!disk.exists(Path::new("/d/f")).unwrap());
        }
        assert!((5..45).contains(&gone), "{gone}");
    }

    #[test]
    fn a_failed_sync_is_not_healed_by_a_second_one() {
        let path = Path::new("/d/f");
        let mut lost = 0;
        for seed in 0..50 {
            let disk = SimDisk::new(seed);
            disk.create_dir_all_durable(Path::new("/d")).unwrap();
            let file = disk.open(path, Open::CreateNew).unwrap();
            file.fill_zero(512).unwrap();
            disk.sync_dir(Path::new("/d")).unwrap();
            file.write_all_at(0, &[IoSlice::new(&[1; 512])]).unwrap();
            disk.change_faults(|f| f.sync_fails_after = Some(1));
            assert!(file.sync_data().is_err());
            file.sync_data().unwrap();
            disk.crash();
            disk.reboot();
            lost += usize::from(disk.read_all(path).unwrap()[0] == 0);
        }
        assert!(lost > 5, "{lost}");
    }

    #[test]
    fn full_disk_and_scheduled_crash() {
        let (disk, file) = disk_with(Path::new("/d/f"), b"x");
        disk.change_faults(|f| f.capacity = Some(1000));
        let error = file.fill_zero(2000).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        disk.remove(Path::new("/d/f")).unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        assert_eq!(disk.free_bytes(Path::new("/d")).unwrap(), 1000);
        disk.change_faults(|f| f.crash_after_ops = Some(2));
        disk.sync_dir(Path::new("/d")).unwrap();
        assert!(disk.sync_dir(Path::new("/d")).is_err());
        assert!(disk.crashed());
    }

    #[test]
    fn locks_end_with_the_process() {
        let disk = SimDisk::new(1);
        let held = disk.lock(Path::new("/l")).unwrap();
        assert!(disk.lock(Path::new("/l")).is_err());
        disk.restart_process();
        let again = disk.lock(Path::new("/l")).unwrap();
        drop(held);
        assert!(disk.lock(Path::new("/l")).is_err(), "the dead holder's drop frees nothing");
        drop(again);
        assert!(disk.lock(Path::new("/l")).is_ok());
    }
}
