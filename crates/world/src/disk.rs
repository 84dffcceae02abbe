//! Owns the words for files and directories, and what "durable" means for each.
//! Knows no formats. Always holds: nothing is durable before the sync that says so has returned `Ok`.

use std::io::{self, IoSlice};
use std::path::Path;

/// Directory and file operations. Paths are absolute or relative to the process.
pub trait Disk: Send + Sync + 'static {
    /// Makes `dir` and every level above it that is missing; each new level and its parent are synced.
    fn create_dir_all_durable(&self, dir: &Path) -> io::Result<()>;
    /// What is in `dir`, in order of name.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;
    /// Whether there is something at `path`.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Opens a file.
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn File>>;
    /// Renames, replacing what was at `to`. Durable after [`Disk::sync_dir`] of the directory.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file. Durable after [`Disk::sync_dir`] of its directory.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// The whole content of a file.
    fn read_all(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Replaces the content of `path` so that after a crash the old or the new content is there, whole.
    /// Durable when it returns `Ok`.
    fn replace_durable(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// The same for a secret: nobody but our user can read the file (mode 0600), not even for a moment.
    fn replace_durable_private(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.replace_durable(path, bytes)
    }
    /// The same for a file of somebody else's that is there: through links, and its owner and mode stay what they are.
    fn replace_durable_alike(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.replace_durable(path, bytes)
    }
    /// When the file was changed last, in milliseconds since 1970.
    fn modified_ms(&self, path: &Path) -> io::Result<u64>;
    /// Bytes that an ordinary user can still write to the file system of `dir`.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;
    /// Size of the file system of `dir` in bytes.
    fn total_bytes(&self, dir: &Path) -> io::Result<u64>;
    /// Takes the exclusive lock on `path` (made if missing); `WouldBlock` if somebody else has it.
    /// Released when the returned value is dropped, and when the process ends.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>>;
    /// Ends the process with `reason` on stderr, because a sync failed: a second sync that succeeds proves nothing.
    /// Use [`crate::abort`]. A simulated disk only remembers it, see [`Disk::aborted`].
    fn abort(&self, reason: &str);
    /// Whether [`Disk::abort`] was called. Always `false` on a real disk, where nobody is left to ask.
    fn aborted(&self) -> bool;
}

/// One open file. All offsets in bytes.
pub trait File: Send + Sync {
    /// Writes `parts` one after the other from `offset` on, whole or with an error.
    fn write_all_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<()>;
    /// Reads up to `buf.len()` bytes; 0 at the end of the file.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;
    /// Makes all that was written to this file, through any handle, durable (`fdatasync`).
    fn sync_data(&self) -> io::Result<()>;
    /// Length of the file.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file has no content.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Really writes zeros over `0..len` and syncs them, so that later syncs of writes in that range
    /// change no metadata. After an error the caller removes the file.
    fn fill_zero(&self, len: u64) -> io::Result<()>;

    /// Reads exactly `buf.len()` bytes; `UnexpectedEof` when the file is shorter.
    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < buf.len() {
            match self.read_at(offset + done as u64, &mut buf[done..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => done += n,
            }
        }
        Ok(())
    }
}

/// A held lock; dropped = released.
pub trait Lock: Send + Sync {}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// The name without its directory. Names that are not UTF-8 are shown with replacement characters.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Length in bytes; 0 for a directory.
    pub len: u64,
}

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// Read an existing file.
    Read,
    /// Read and write an existing file.
    Write,
    /// Read and write a new file; `AlreadyExists` if there is one.
    CreateNew,
    /// Read and write; made if missing, emptied if not.
    CreateOrTruncate,
    /// Read and write; made if missing, kept if not.
    CreateOrKeep,
}
