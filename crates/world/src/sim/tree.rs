//! Owns the names of the simulated disk: those programs see, those on the platter, and the operations between.
//! Knows no content. Always holds: after `sync_dir` the platter has every name of that directory as programs see it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use crate::chance::Chance;
use crate::sim::SimChance;

/// Names of files with their inode numbers, and directories.
#[derive(Default)]
pub(super) struct Tree {
    seen: BTreeMap<PathBuf, u64>,
    platter: BTreeMap<PathBuf, u64>,
    waiting: Vec<Op>,
    dirs: BTreeSet<PathBuf>,
}

enum Op {
    Create(PathBuf, u64),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl Tree {
    pub(super) fn create_dir_all_durable(&mut self, dir: &Path) {
        self.dirs.extend(dir.ancestors().map(Path::to_path_buf));
    }

    pub(super) fn file(&self, path: &Path) -> io::Result<u64> {
        self.seen.get(path).copied().ok_or(io::ErrorKind::NotFound.into())
    }

    pub(super) fn exists(&self, path: &Path) -> bool {
        self.seen.contains_key(path) || self.dirs.contains(path)
    }

    /// Names in `dir` in order; directories have no inode number.
    pub(super) fn list(&self, dir: &Path) -> io::Result<Vec<(String, Option<u64>)>> {
        if !self.dirs.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let name = |p: &Path| p.file_name().map(|n| n.to_string_lossy().into_owned());
        let files = self.seen.iter().map(|(p, ino)| (p, Some(*ino)));
        let dirs = self.dirs.iter().map(|p| (p, None));
        let mut found: Vec<_> = files
            .chain(dirs)
            .filter(|(p, _)| p.parent() == Some(dir))
            .filter_map(|(p, ino)| Some((name(p)?, ino)))
            .collect();
        found.sort();
        Ok(found)
    }

    pub(super) fn create(&mut self, path: &Path, ino: u64) -> io::Result<()> {
        match path.parent() {
            Some(dir) if dir.as_os_str().is_empty() || self.dirs.contains(dir) => {}
            _ => return Err(io::ErrorKind::NotFound.into()),
        }
        self.change(Op::Create(path.to_path_buf(), ino));
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.file(from)?;
        self.change(Op::Rename(from.to_path_buf(), to.to_path_buf()));
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.file(path)?;
        self.change(Op::Remove(path.to_path_buf()));
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, dir: &Path) {
        // A rename into the directory brings its source along: a file system never has the new name and not the file.
        let mut sources = BTreeSet::new();
        let (mut now, mut later) = (Vec::new(), Vec::new());
        for op in std::mem::take(&mut self.waiting).into_iter().rev() {
            if !op.touches(dir) && !sources.contains(op.target()) {
                later.push(op);
                continue;
            }
            if let Op::Rename(from, _) = &op {
                sources.insert(from.clone());
            }
            now.push(op);
        }
        later.reverse();
        self.waiting = later;
        now.iter().rev().for_each(|op| op.apply(&mut self.platter));
    }

    /// Power cut: any subset of the waiting operations has reached the platter.
    pub(super) fn lose_power(&mut self, chance: &SimChance) {
        for op in std::mem::take(&mut self.waiting) {
            if chance.below(2) == 0 {
                op.apply(&mut self.platter);
            }
        }
        self.seen = self.platter.clone();
    }

    /// Inode numbers that programs see.
    pub(super) fn files(&self) -> impl Iterator<Item = u64> + '_ {
        self.seen.values().copied()
    }

    /// Whether a name leads to an inode, or may after a power cut: one that was created and removed since the last sync can come back.
    pub(super) fn reaches(&self, ino: u64) -> bool {
        let waits = |op: &Op| matches!(op, Op::Create(_, i) if *i == ino);
        self.seen.values().any(|i| *i == ino)
            || self.platter.values().any(|i| *i == ino)
            || self.waiting.iter().any(waits)
    }

    fn change(&mut self, op: Op) {
        op.apply(&mut self.seen);
        self.waiting.push(op);
    }
}

impl Op {
    /// An operation whose source never reached the platter does nothing there.
    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Op::Create(path, ino) => {
                names.insert(path.clone(), *ino);
            }
            Op::Rename(from, to) => {
                if let Some(ino) = names.remove(from) {
                    names.insert(to.clone(), ino);
                }
            }
            Op::Remove(path) => {
                names.remove(path);
            }
        }
    }

    /// The name that it is about when it is done.
    fn target(&self) -> &Path {
        match self {
            Op::Create(path, _) | Op::Remove(path) | Op::Rename(_, path) => path,
        }
    }

    fn touches(&self, dir: &Path) -> bool {
        match self {
            Op::Create(path, _) | Op::Remove(path) => path.parent() == Some(dir),
            Op::Rename(from, to) => from.parent() == Some(dir) || to.parent() == Some(dir),
        }
    }
}
