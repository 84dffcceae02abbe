//! Owns the journals that this node has taken over: each is delivered from until it is empty, and then removed.
//! Always holds: no new mail comes into one; what is removed was empty, with all its outcomes synced.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tracing::{error, info};

use super::spool_of;
use crate::dispatch::{Dispatch, Kit};
use crate::view;

/// The taken journals.
pub struct TakenJournals {
    kit: Kit,
    settings: spool::Settings,
    /// `NODE/EPOCH` below it are journals.
    root: PathBuf,
    running: Mutex<BTreeMap<(String, u32), Dispatch>>,
}

impl TakenJournals {
    /// Goes on with those under `root` that are not empty yet. Blocks for reading them; call it inside a tokio runtime.
    pub fn start(kit: Kit, settings: spool::Settings, root: &Path) -> io::Result<TakenJournals> {
        let taken = TakenJournals { kit, settings, root: root.into(), running: Mutex::default() };
        let disk = taken.kit.world.disk.as_ref();
        disk.create_dir_all_durable(root)?;
        for node in disk.list(root)? {
            for journal in disk.list(&root.join(&node.name))? {
                if journal.name.ends_with(DONE) {
                    // A removal that was not finished.
                    taken.clear(&root.join(&node.name).join(&journal.name))?;
                }
                let Ok(epoch) = journal.name.parse() else { continue };
                if disk.list(&taken.dir(&node.name, epoch))?.is_empty() {
                    continue;
                }
                if let Err(what) = taken.own(&node.name, epoch) {
                    error!("the journal of {} that was taken over is not delivered from: {what}", node.name);
                }
            }
        }
        Ok(taken)
    }

    /// Where the journal of `node` is kept once it was taken under `epoch`.
    pub fn dir(&self, node: &str, epoch: u32) -> PathBuf {
        self.root.join(node).join(epoch.to_string())
    }

    /// Delivers from the journal in [`TakenJournals::dir`]. Says how many messages are in it. Blocks.
    pub fn own(&self, node: &str, epoch: u32) -> Result<u64, String> {
        let mut settings = self.settings.clone();
        settings.journal.epoch = epoch;
        let dispatch = self.kit.open(&self.dir(node, epoch), settings)?;
        dispatch.spool.stop_accepting();
        let messages = dispatch.spool.totals().messages;
        let doubtful = dispatch.spool.possible_duplicates().len();
        info!(
            node,
            epoch,
            messages,
            doubtful,
            "{node}'s journal is delivered from here: {messages} messages, {doubtful} of which may have been delivered before"
        );
        self.running().insert((node.into(), epoch), dispatch);
        Ok(messages)
    }

    /// Removes those that have become empty. Blocks; call it from a thread of a tokio runtime that may.
    pub fn look(&self) {
        let empty = |dispatch: &Dispatch| {
            let totals = dispatch.spool.totals();
            totals.messages == 0 && totals.unwritten == 0
        };
        let done: Vec<((String, u32), Dispatch)> = {
            let mut running = self.running();
            let keys: Vec<_> =
                running.iter().filter(|(_, dispatch)| empty(dispatch)).map(|(key, _)| key.clone()).collect();
            keys.into_iter().filter_map(|key| running.remove_entry(&key)).collect()
        };
        for ((node, epoch), dispatch) in done {
            Handle::current().block_on(dispatch.stop(Duration::ZERO));
            match self.remove(&node, epoch) {
                Ok(()) => info!(node, epoch, "all mail of {node}'s journal is delivered; it was removed"),
                // It is empty: the next start removes it.
                Err(error) => error!("{node}'s journal is empty and cannot be removed: {error}"),
            }
        }
    }

    /// The organization has changed: mail is routed anew.
    pub fn reroute(&self) {
        self.running().values().for_each(|dispatch| dispatch.spool.reroute());
    }

    /// Ends the work on them; what is left is gone on with at the next start.
    pub async fn stop(&self, patience: Duration) {
        let running = std::mem::take(&mut *self.running());
        for dispatch in running.into_values() {
            dispatch.stop(patience).await;
        }
    }

    /// For status.
    pub fn shown(&self) -> Vec<view::TakenJournal> {
        let shown = |((node, epoch), dispatch): (&(String, u32), &Dispatch)| {
            let totals = dispatch.spool.totals();
            view::TakenJournal {
                journal: spool_of(node),
                epoch: *epoch,
                messages: totals.messages,
                bytes: totals.bytes,
                possible_duplicates: dispatch.spool.possible_duplicates().len() as u64,
            }
        };
        self.running().iter().map(shown).collect()
    }

    /// Renamed first, durably: half removed under its own name, a journal could show marks whose tombstones are gone.
    fn remove(&self, node: &str, epoch: u32) -> io::Result<()> {
        let (disk, home) = (self.kit.world.disk.as_ref(), self.root.join(node));
        let done = home.join(format!("{epoch}{DONE}"));
        disk.rename(&self.dir(node, epoch), &done)?;
        disk.sync_dir(&home)?;
        self.clear(&done)
    }

    fn clear(&self, done: &Path) -> io::Result<()> {
        let disk = self.kit.world.disk.as_ref();
        disk.list(done)?.iter().try_for_each(|entry| disk.remove(&done.join(&entry.name)))
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<(String, u32), Dispatch>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Behind the name of a journal that is empty and being removed.
const DONE: &str = ".done";
