//! Owns the real file system calls. Knows no formats.
//! Always holds: a call that says durable has synced the file and its directory before it returns `Ok`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fs;
use std::io::{self, IoSlice};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::disk::{DirEntry, Disk, File, Lock, Open};

/// The file systems of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create_dir_all_durable(&self, dir: &Path) -> io::Result<()> {
        if dir.as_os_str().is_empty() || dir.is_dir() {
            return Ok(());
        }
        let parent = parent_of(dir);
        self.create_dir_all_durable(&parent)?;
        match fs::create_dir(dir) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
            Err(error) => return Err(error),
        }
        self.sync_dir(dir)?;
        self.sync_dir(&parent)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let meta = match entry.metadata() {
                Ok(meta) => meta,
                // Removed by somebody between the two calls.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            entries.push(DirEntry {
                name: entry.file_name().to_string_lossy().into_owned(),
                is_dir: meta.is_dir(),
                len: if meta.is_dir() { 0 } else { meta.len() },
            });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(how != Open::Read);
        match how {
            Open::Read | Open::Write => {}
            Open::CreateNew => {
                options.create_new(true);
            }
            Open::CreateOrTruncate => {
                options.create(true).truncate(true);
            }
            Open::CreateOrKeep => {
                options.create(true);
            }
        }
        Ok(Box::new(RealFile(options.open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        fs::File::open(dir)?.sync_all()
    }

    fn read_all(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn replace_durable(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        replace_with_mode(path, bytes, 0o666)
    }

    fn replace_durable_private(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        replace_with_mode(path, bytes, 0o600)
    }

    fn replace_durable_alike(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let target = fs::canonicalize(path)?;
        let was = fs::metadata(&target)?;
        replace_with(&target, bytes, 0o600, |file| {
            let is = file.metadata()?;
            if (is.uid(), is.gid()) != (was.uid(), was.gid()) {
                fchown(file, Some(was.uid()), Some(was.gid()))?;
            }
            file.set_permissions(was.permissions())
        })
    }

    fn modified_ms(&self, path: &Path) -> io::Result<u64> {
        let modified = fs::metadata(path)?.modified()?;
        Ok(modified.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64))
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn total_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(stat.f_blocks.saturating_mul(stat.f_frsize))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(RealLock { _file: file })),
            Err(fs::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn abort(&self, reason: &str) {
        eprintln!("posthouse: {reason}; the process ends because nothing it promises could be kept");
        std::process::abort();
    }

    fn aborted(&self) -> bool {
        false
    }
}

struct RealFile(fs::File);

impl File for RealFile {
    fn write_all_at(&self, mut offset: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        let mut first = 0; // parts[..first] are written
        let mut skip = 0; // and so many bytes of parts[first]
        loop {
            while first < parts.len() && parts[first].len() == skip {
                first += 1;
                skip = 0;
            }
            if first == parts.len() {
                return Ok(());
            }
            let result = if skip > 0 {
                rustix::io::pwrite(&self.0, &parts[first][skip..], offset)
            } else {
                let last = parts.len().min(first + PARTS_MAX);
                rustix::io::pwritev(&self.0, &parts[first..last], offset)
            };
            let mut written = match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => n,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            offset += written as u64;
            while written > 0 {
                let step = written.min(parts[first].len() - skip);
                skip += step;
                written -= step;
                if skip == parts[first].len() {
                    first += 1;
                    skip = 0;
                }
            }
        }
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read_at(buf, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        // No retry, not even after EINTR: a second sync that succeeds proves nothing about the first.
        rustix::fs::fdatasync(&self.0).map_err(io::Error::from)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn fill_zero(&self, len: u64) -> io::Result<()> {
        // Reserving first gives a full disk a chance to say so before any zero is written, and one run of
        // blocks. File systems that cannot reserve are filled all the same.
        match rustix::fs::fallocate(&self.0, rustix::fs::FallocateFlags::empty(), 0, len) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
        let zeros = vec![0; ZERO_BLOCK];
        let mut offset = 0;
        while offset < len {
            let step = (len - offset).min(ZERO_BLOCK as u64) as usize;
            self.write_all_at(offset, &[IoSlice::new(&zeros[..step])])?;
            offset += step as u64;
            // Small syncs keep the device's queue short for those who wait for theirs.
            self.sync_data()?;
        }
        self.0.sync_all()
    }
}

/// `mode` is what a new file may have at most; the umask takes from it.
fn replace_with_mode(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    replace_with(path, bytes, mode, |_| Ok(()))
}

/// `dress` gives the new file what it needs before it takes the old one's place.
fn replace_with(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    dress: impl FnOnce(&fs::File) -> io::Result<()>,
) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let temporary = PathBuf::from(name);
    // One that a crash left may have another mode.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    if let Err(error) = dress(&file).and_then(|()| file.write_all_at(bytes, 0)) {
        // Nobody needs it; what it could not become is said.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    RealDisk.sync_dir(&parent_of(path))
}

/// The lock lives as long as the open file.
struct RealLock {
    _file: fs::File,
}

impl Lock for RealLock {}

fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// Linux takes at most 1024 parts in one call.
const PARTS_MAX: usize = 1024;
const ZERO_BLOCK: usize = 2 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("world-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        dir
    }

    #[test]
    fn gathered_write_of_more_parts_than_one_call_takes() {
        let dir = scratch("gather");
        RealDisk.create_dir_all_durable(&dir.join("a/b")).unwrap();
        let file = RealDisk.open(&dir.join("f"), Open::CreateNew).unwrap();
        let text: Vec<u8> = (0..3000u32).flat_map(|n| n.to_le_bytes()).collect();
        let parts: Vec<IoSlice> = text.chunks(3).map(IoSlice::new).collect();
        assert!(parts.len() > PARTS_MAX);
        file.write_all_at(7, &parts).unwrap();
        file.sync_data().unwrap();
        let back = RealDisk.read_all(&dir.join("f")).unwrap();
        assert_eq!(&back[7..], &text[..]);
        assert_eq!(file.len().unwrap(), 7 + text.len() as u64);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_file_that_is_replaced_alike_keeps_its_mode_and_the_link_to_it() {
        let dir = scratch("alike");
        RealDisk.create_dir_all_durable(&dir).unwrap();
        let (file, link) = (dir.join("f"), dir.join("l"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        RealDisk.replace_durable_alike(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!((fs::read(&file).unwrap(), fs::metadata(&file).unwrap().mode() & 0o777), (b"new".to_vec(), 0o640));
        assert_eq!(RealDisk.list(&dir).unwrap().len(), 2, "nothing else is left");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn lock_is_exclusive_until_dropped() {
        let dir = scratch("lock");
        RealDisk.create_dir_all_durable(&dir).unwrap();
        let held = RealDisk.lock(&dir.join("lock")).unwrap();
        let second = RealDisk.lock(&dir.join("lock")).map(drop).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::WouldBlock);
        drop(held);
        RealDisk.lock(&dir.join("lock")).unwrap();
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn replace_fill_and_list() {
        let dir = scratch("replace");
        RealDisk.create_dir_all_durable(&dir).unwrap();
        RealDisk.replace_durable(&dir.join("m"), b"one").unwrap();
        RealDisk.replace_durable(&dir.join("m"), b"second").unwrap();
        assert_eq!(RealDisk.read_all(&dir.join("m")).unwrap(), b"second");
        let file = RealDisk.open(&dir.join("z"), Open::CreateNew).unwrap();
        file.write_all_at(0, &[IoSlice::new(b"old")]).unwrap();
        file.fill_zero(5000).unwrap();
        assert_eq!(RealDisk.read_all(&dir.join("z")).unwrap(), vec![0; 5000]);
        let names: Vec<_> = RealDisk.list(&dir).unwrap().into_iter().map(|e| (e.name, e.len)).collect();
        assert_eq!(names, [("m".to_string(), 6), ("z".to_string(), 5000)]);
        assert!(RealDisk.open(&dir.join("z"), Open::CreateNew).is_err());
        assert!(RealDisk.free_bytes(&dir).unwrap() <= RealDisk.total_bytes(&dir).unwrap());
        assert!(RealDisk.modified_ms(&dir.join("m")).unwrap() > 1_577_836_800_000);
        fs::remove_dir_all(dir).unwrap();
    }
}
