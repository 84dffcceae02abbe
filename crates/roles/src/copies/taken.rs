//! Owns the journals of others (and former ones of ours) that this node delivers from: each until it is empty.
//! Always holds: no new mail comes into one; what is removed was empty, with all its outcomes synced.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use spool::{Spool, Taken};
use tokio::runtime::Handle;
use tracing::{error, info};
use world::World;

use super::spool_of;
use crate::dispatch::{Dispatch, Kit};
use crate::view;

/// The journals that are delivered from beside the node's own.
pub struct TakenJournals {
    kit: Kit,
    settings: spool::Settings,
    running: Mutex<BTreeMap<PathBuf, Running>>,
}

struct Running {
    dispatch: Dispatch,
    journal: String,
    epoch: u32,
    when_empty: WhenEmpty,
}

/// How a journal is opened.
pub struct OpenAs {
    /// Its name.
    pub journal: String,
    /// The epoch under which outcomes are written.
    pub epoch: u32,
    /// What of it is another node's.
    pub taken: Option<Taken>,
    /// Its owner went on without it: any of its messages may have been delivered since.
    pub doubtful: bool,
    /// What becomes of it in the end.
    pub when_empty: WhenEmpty,
}

/// What becomes of a journal that is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenEmpty {
    /// It is removed.
    Remove,
    /// Somebody else decides: [`TakenJournals::finish`].
    Stay,
}

impl TakenJournals {
    /// None yet.
    pub fn new(kit: Kit, settings: spool::Settings) -> TakenJournals {
        TakenJournals { kit, settings, running: Mutex::default() }
    }

    /// Delivers from the journal in `dir`. Blocks for reading it; call it inside a tokio runtime. The error is for people.
    pub fn open(&self, dir: &Path, as_: OpenAs) -> Result<Spool, String> {
        let OpenAs { journal, epoch, taken, doubtful, when_empty } = as_;
        let mut settings = self.settings.clone();
        (settings.journal.epoch, settings.taken, settings.doubtful) = (epoch, taken, doubtful);
        let dispatch = self.kit.open(dir, &journal, settings)?;
        let spool = dispatch.spool.clone();
        spool.stop_accepting();
        let messages = spool.totals().messages;
        let doubtful = spool.possible_duplicates().len();
        info!(
            journal,
            epoch,
            messages,
            doubtful,
            "{journal} is delivered from here: {messages} messages, {doubtful} of which may have been delivered before"
        );
        self.running().insert(dir.into(), Running { dispatch, journal, epoch, when_empty });
        Ok(spool)
    }

    /// Ends the work on one, and leaves it where it is.
    pub async fn close(&self, dir: &Path, patience: Duration) {
        let running = self.running().remove(dir);
        if let Some(running) = running {
            running.dispatch.stop(patience).await;
        }
    }

    /// Removes one that is empty and that nobody needs any more. Blocks; call it from a thread of a tokio runtime that may.
    pub fn finish(&self, dir: &Path) {
        let Some(Running { dispatch, journal, epoch, .. }) = self.running().remove(dir) else { return };
        Handle::current().block_on(dispatch.stop(Duration::ZERO));
        match remove(&self.kit.world, dir) {
            Ok(()) => info!(journal, epoch, "all mail of {journal} is delivered; it was removed"),
            // It is empty: the next start removes it.
            Err(error) => error!("{journal} is empty and cannot be removed: {error}"),
        }
    }

    /// Removes those that have become empty. Blocks; call it from a thread of a tokio runtime that may.
    pub fn look(&self) {
        let done = |running: &Running| running.when_empty == WhenEmpty::Remove && is_empty(&running.dispatch.spool);
        let dirs: Vec<PathBuf> =
            self.running().iter().filter(|(_, running)| done(running)).map(|(dir, _)| dir.clone()).collect();
        dirs.iter().for_each(|dir| self.finish(dir));
    }

    /// The organization has changed: mail is routed anew.
    pub fn reroute(&self) {
        self.running().values().for_each(|running| running.dispatch.spool.reroute());
    }

    /// Ends the work on them; what is left is gone on with at the next start.
    pub async fn stop(&self, patience: Duration) {
        let running = std::mem::take(&mut *self.running());
        for running in running.into_values() {
            running.dispatch.stop(patience).await;
        }
    }

    /// Their spools, with the names of the journals.
    pub fn spools(&self) -> Vec<(String, Spool)> {
        self.running().values().map(|running| (running.journal.clone(), running.dispatch.spool.clone())).collect()
    }

    /// For status.
    pub fn shown(&self) -> Vec<view::TakenJournal> {
        let shown = |running: &Running| {
            let totals = running.dispatch.spool.totals();
            view::TakenJournal {
                journal: running.journal.clone(),
                epoch: running.epoch,
                messages: totals.messages,
                bytes: totals.bytes,
                possible_duplicates: running.dispatch.spool.possible_duplicates().len() as u64,
            }
        };
        self.running().values().map(shown).collect()
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether nothing is left in it, and all outcomes are written.
pub fn is_empty(spool: &Spool) -> bool {
    let totals = spool.totals();
    totals.messages == 0 && totals.unwritten == 0
}

/// The journals under `root`, each as the node that it was made on and its own part of the name. Removals that a crash has cut off are
/// finished first.
pub fn found(world: &World, root: &Path) -> io::Result<Vec<(String, String)>> {
    let disk = world.disk.as_ref();
    disk.create_dir_all_durable(root)?;
    let mut found = Vec::new();
    for node in disk.list(root)? {
        for journal in disk.list(&root.join(&node.name))? {
            let dir = root.join(&node.name).join(&journal.name);
            if journal.name.ends_with(DONE) {
                clear(world, &dir)?;
                continue;
            }
            match journal::identity(world, &dir) {
                Ok(Some(_)) => found.push((node.name.clone(), journal.name)),
                Ok(None) => {}
                Err(error) => error!("{}: {error}; this journal is left alone until that is mended", dir.display()),
            }
        }
    }
    Ok(found)
}

/// Goes on with those that a person has had taken over (`NODE/EPOCH`).
pub fn go_on_alone(taken: &TakenJournals, world: &World, root: &Path) -> io::Result<()> {
    for (node, name) in found(world, root)? {
        let Ok(epoch) = name.parse() else { continue };
        let as_ =
            OpenAs { journal: spool_of(&node), epoch, taken: None, doubtful: false, when_empty: WhenEmpty::Remove };
        if let Err(what) = taken.open(&root.join(&node).join(&name), as_) {
            error!("the journal of {node} that was taken over is not delivered from: {what}");
        }
    }
    Ok(())
}

/// Renamed first, durably: half removed under its own name, a journal could show marks whose tombstones are gone.
pub fn remove(world: &World, dir: &Path) -> io::Result<()> {
    let mut name = dir.file_name().unwrap_or_default().to_os_string();
    name.push(DONE);
    let done = dir.with_file_name(name);
    world.disk.rename(dir, &done)?;
    world.disk.sync_dir(dir.parent().unwrap_or(dir))?;
    clear(world, &done)
}

fn clear(world: &World, done: &Path) -> io::Result<()> {
    let disk = world.disk.as_ref();
    disk.list(done)?.iter().try_for_each(|entry| disk.remove(&done.join(&entry.name)))
}

/// Behind the name of a journal that is empty and being removed.
const DONE: &str = ".done";
