//! Owns the data directory as a whole: whose it is, which version wrote it, where things are in it.
//! Knows nothing of what its parts hold. Always holds: a directory of another version or in use by another process is left as it is.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use world::{Lock, Open, World};

use crate::copies::Places;

/// The data directory, ours alone until this is dropped or [released](DataDir::release).
pub struct DataDir {
    root: PathBuf,
    lock: Mutex<Option<Box<dyn Lock>>>,
}

/// Why the data directory cannot be used. Nothing in it was changed.
#[derive(Debug)]
pub enum DataError {
    /// Another process has it.
    InUse {
        /// The lock file.
        lock: PathBuf,
        /// The process, where the lock file says so.
        pid: Option<u32>,
    },
    /// Another version of Posthouse wrote it.
    Version {
        /// The version file.
        file: PathBuf,
        /// What it says.
        found: String,
    },
    /// There is something else in it.
    NotOurs(PathBuf),
    /// The operating system refused.
    Io(PathBuf, io::Error),
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataError::InUse { lock, pid } => {
                let who = pid.map_or("another process".into(), |pid| format!("process {pid}"));
                write!(
                    f,
                    "{}: in use by {who}; stop that one first, or choose another directory with --data",
                    lock.display()
                )
            }
            DataError::Version { file, found } => write!(
                f,
                "{}: written by data version '{found}', this program reads version {VERSION}; \
                 start the program that wrote it, or see docs/operating/upgrade.md",
                file.display()
            ),
            DataError::NotOurs(dir) => write!(
                f,
                "{}: holds files but no Posthouse data (no file named 'version'); choose an empty directory with --data",
                dir.display()
            ),
            DataError::Io(path, error) => write!(f, "{}: {error}; the data directory must be writable", path.display()),
        }
    }
}

impl std::error::Error for DataError {}

impl DataDir {
    /// Takes the directory (made if missing), or says why not.
    pub fn open(world: &World, root: &Path) -> Result<DataDir, DataError> {
        let io = |path: &Path| {
            let path = path.to_path_buf();
            move |error| DataError::Io(path, error)
        };
        let (version, lock) = (root.join("version"), root.join("lock"));
        let known = world.disk.exists(&version).map_err(io(&version))?;
        if known {
            check_version(world, &version)?;
        } else if holds_strange_files(world, root).map_err(io(root))? {
            return Err(DataError::NotOurs(root.to_path_buf()));
        }
        world.disk.create_dir_all_durable(root).map_err(io(root))?;
        let held = match world.disk.lock(&lock) {
            Ok(held) => held,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let pid =
                    world.disk.read_all(&lock).ok().and_then(|text| String::from_utf8(text).ok()?.trim().parse().ok());
                return Err(DataError::InUse { lock, pid });
            }
            Err(error) => return Err(DataError::Io(lock, error)),
        };
        name_owner(world, &lock).map_err(io(&lock))?;
        if !known {
            world.disk.replace_durable(&version, format!("{VERSION}\n").as_bytes()).map_err(io(&version))?;
        }
        Ok(DataDir { root: root.to_path_buf(), lock: Mutex::new(Some(held)) })
    }

    /// Lets another process have it, though this one goes on. Nothing here may touch it any more.
    pub fn release(&self) {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The journal of accepted mail.
    pub fn spool(&self) -> PathBuf {
        self.root.join("spool")
    }

    /// The copies of other nodes' journals, by node.
    pub fn copies(&self) -> PathBuf {
        self.root.join("copies")
    }

    /// The journals that were taken over from other nodes, by node and epoch.
    pub fn taken(&self) -> PathBuf {
        self.root.join("taken")
    }

    /// The number of this disk, in a cluster.
    pub fn disk(&self) -> PathBuf {
        self.root.join("disk")
    }

    /// The journals that other nodes took over from this one, by the node that they were made on.
    pub fn former(&self) -> PathBuf {
        self.root.join("former")
    }

    /// Where journals of others, and former ones, are kept.
    pub fn places(&self) -> Places {
        Places { copies: self.copies(), taken: self.taken(), former: self.former() }
    }

    /// What LDAP directories told last.
    pub fn directories(&self) -> PathBuf {
        self.root.join("directories")
    }

    /// Maildirs, by domain and local part.
    pub fn mail(&self) -> PathBuf {
        self.root.join("mail")
    }

    /// The organization document that ran last, of the data directory at `root`: read before the directory is opened.
    pub fn org_cache(root: &Path) -> PathBuf {
        root.join("org.cache")
    }

    /// The audit log.
    pub fn audit(&self) -> PathBuf {
        self.root.join("audit")
    }

    /// The serials of zones.
    pub fn dns_serials(&self) -> PathBuf {
        self.root.join("dns-serials")
    }

    /// Trace files.
    pub fn trace(&self) -> PathBuf {
        self.root.join("trace")
    }

    /// The self-signed certificate and its key.
    pub fn tls(&self) -> PathBuf {
        self.root.join("tls")
    }
}

fn check_version(world: &World, file: &Path) -> Result<(), DataError> {
    let text = world.disk.read_all(file).map_err(|error| DataError::Io(file.to_path_buf(), error))?;
    let found = String::from_utf8_lossy(&text[..text.len().min(64)]).trim().to_string();
    match found == VERSION {
        true => Ok(()),
        false => Err(DataError::Version { file: file.to_path_buf(), found }),
    }
}

/// Somebody else's directory must not become a spool by a slip of the keyboard. A crash between the lock and the version file of
/// a first start leaves only the lock: that is ours.
fn holds_strange_files(world: &World, root: &Path) -> io::Result<bool> {
    match world.disk.list(root) {
        Ok(entries) => {
            Ok(entries.iter().any(|entry| !matches!(entry.name.as_str(), "lock" | "version.tmp" | "lost+found")))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The lock itself is the kernel's; the number inside is for people and for the message of a second start.
fn name_owner(world: &World, lock: &Path) -> io::Result<()> {
    let file = world.disk.open(lock, Open::CreateOrTruncate)?;
    file.write_all_at(0, &[io::IoSlice::new(format!("{}\n", std::process::id()).as_bytes())])
}

/// Version of the layout of the data directory and of the formats in it.
const VERSION: &str = "1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_owner_one_version_and_nobody_elses_files() {
        let (world, _) = World::simulated(1);
        let root = Path::new("/data");
        let first = DataDir::open(&world, root).unwrap();
        let second = DataDir::open(&world, root).map(drop).unwrap_err();
        assert!(second.to_string().contains(&format!("in use by process {}", std::process::id())), "{second}");
        drop(first);
        DataDir::open(&world, root).unwrap();

        world.disk.replace_durable(&root.join("version"), b"9\n").unwrap();
        let other = DataDir::open(&world, root).map(drop).unwrap_err();
        assert!(matches!(&other, DataError::Version { found, .. } if found == "9"), "{other}");
        assert_eq!(world.disk.read_all(&root.join("version")).unwrap(), b"9\n");

        world.disk.create_dir_all_durable(Path::new("/home/photos")).unwrap();
        assert!(matches!(DataDir::open(&world, Path::new("/home")), Err(DataError::NotOurs(_))));
        assert!(!world.disk.exists(Path::new("/home/lock")).unwrap());
    }
}
