//! Owns what a tool does with the real machine and a node never does: throw a directory away, hand a log file to a child.
//! Knows no formats. Always holds: nothing here is part of a promise about mail, so it has no simulated twin.
#![allow(clippy::disallowed_methods)]

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Removes `dir` and all that is in it; links are removed, not followed. One that is not there is no error.
pub fn remove_tree(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A file to which a child process appends what it prints; made if missing.
pub fn output_file(path: &Path) -> io::Result<OwnedFd> {
    fs::OpenOptions::new().create(true).append(true).open(path).map(OwnedFd::from)
}
