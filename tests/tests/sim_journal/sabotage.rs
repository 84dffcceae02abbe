//! A disk that breaks one promise on purpose: what a broken journal would do, for the canaries.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use world::{DirEntry, Disk, File, Lock, Open, World};

/// Which promise is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// A sync that failed is taken for one that did not.
    SyncErrorIgnored,
    /// New names are never synced.
    NamesNotSynced,
    /// Each other sync is left out.
    HalfTheSyncs,
}

/// The same world with a broken disk.
pub fn sabotaged(world: &World, how: How) -> World {
    World { disk: Arc::new(Broken { disk: world.disk.clone(), how }), ..world.clone() }
}

struct Broken {
    disk: Arc<dyn Disk>,
    how: How,
}

impl Disk for Broken {
    fn create_dir_all_durable(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir_all_durable(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.disk.list(dir)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.disk.exists(path)
    }
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn File>> {
        let calls = std::sync::atomic::AtomicU64::new(0);
        Ok(Box::new(BrokenFile { file: self.disk.open(path, how)?, how: self.how, calls }))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        if self.how == How::NamesNotSynced { Ok(()) } else { self.disk.sync_dir(dir) }
    }
    fn read_all(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.disk.read_all(path)
    }
    fn replace_durable(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.disk.replace_durable(path, bytes)
    }
    fn modified_ms(&self, path: &Path) -> io::Result<u64> {
        self.disk.modified_ms(path)
    }
    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.disk.free_bytes(dir)
    }
    fn total_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.disk.total_bytes(dir)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.disk.lock(path)
    }
    fn abort(&self, reason: &str) {
        self.disk.abort(reason);
    }
    fn aborted(&self) -> bool {
        self.disk.aborted()
    }
}

struct BrokenFile {
    file: Box<dyn File>,
    how: How,
    calls: std::sync::atomic::AtomicU64,
}

impl File for BrokenFile {
    fn write_all_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        self.file.write_all_at(offset, parts)
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buf)
    }
    fn sync_data(&self) -> io::Result<()> {
        let call = self.calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        match self.how {
            How::SyncErrorIgnored => self.file.sync_data().or(Ok(())),
            How::HalfTheSyncs if call % 2 == 1 => Ok(()),
            How::HalfTheSyncs | How::NamesNotSynced => self.file.sync_data(),
        }
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn fill_zero(&self, len: u64) -> io::Result<()> {
        self.file.fill_zero(len)
    }
}
