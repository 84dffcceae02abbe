//! Owns the copies that this node keeps for others: one directory a journal, one thread a link.
//! Always holds: only the node at the other end of a link writes the copy of its journal.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use cluster::record::next_term;
use journal::OpenError;
use journal::copies::{HandOverError, HeldCopy};
use tracing::{error, info};

use super::drive::{drive, wake_of_this_thread};
use super::note::TakeNote;
use super::{CHANNEL, SPOOL, Shop, WINDOW_BYTES, gate, spool_of};
use crate::peers::{Channel, Peers};
use world::World;

/// The copies that this node keeps. Clones are the same.
#[derive(Clone)]
pub struct HeldCopies {
    shop: Shop,
    kept: Arc<Kept>,
}

struct Kept {
    root: PathBuf,
    settings: journal::Settings,
    copies: Mutex<BTreeMap<String, HeldCopy>>,
}

impl HeldCopies {
    /// Opens the copies under `root` and serves their owners. Blocks for reading them; call it inside a tokio runtime.
    /// A take-over that was not finished, because the node died in the middle of it, is finished first.
    pub fn start(
        world: &World,
        root: &Path,
        taken: &Path,
        settings: journal::Settings,
        peers: &Peers,
    ) -> io::Result<HeldCopies> {
        let kept = Kept { root: root.into(), settings, copies: Mutex::default() };
        let held = HeldCopies { shop: Shop::new(world, peers), kept: Arc::new(kept) };
        for node in nodes_in(world, root)? {
            held.finish_take_out(&node, taken)?;
        }
        for node in nodes_in(world, root)? {
            if let Err(error) = held.copy(&spool_of(&node)) {
                error!("the copy of {node}'s journal cannot be used: {error}; it is of no use until that is mended");
            }
        }
        let preparing = held.clone();
        thread::Builder::new().name("copies-spares".into()).spawn(move || preparing.prepare())?;
        let (mut channels, serving) = (peers.serve(CHANNEL), held.clone());
        tokio::spawn(async move {
            while let Some(channel) = channels.recv().await {
                serving.serve(channel);
            }
        });
        Ok(held)
    }

    /// Ends the copy of `node`'s journal, so that it can be owned here: from now on the old owner is refused, also after a crash. Gives the
    /// epoch under which to own it; it is moved to `taken/NODE/EPOCH`. Blocks. The error is for people.
    pub fn take_out(&self, node: &str, taken: &Path) -> Result<TakeNote, String> {
        let journal = spool_of(node);
        let mut copies = self.copies();
        let copy = copies.get(&journal).ok_or_else(|| format!("there is no copy of {node}'s journal here"))?;
        let dir = self.kept.root.join(&journal);
        let identity = journal::identity(&self.shop.world, &dir).map_err(|error| error.to_string())?;
        let identity = identity.ok_or_else(|| format!("the copy of {node}'s journal is empty"))?;
        let taken_at = copy.hand_over().map_err(|why| match why {
            HandOverError::NotLevel => {
                format!(
                    "the copy of {node}'s journal has never been level: mail would be lost; bring {node} back instead"
                )
            }
            HandOverError::Closed => format!("the copy of {node}'s journal is closed already"),
            HandOverError::Dead => String::from("the disk of the copy failed"),
        })?;
        copies.remove(&journal);
        // An owner that is cut off counts on within its term, each time it starts: the next term is above all of that.
        let epoch = next_term(identity.epoch, 0);
        let note = TakeNote { salt: identity.salt, epoch, copy_epoch: identity.epoch, taken_at: taken_at.0 };
        let moved =
            note.write(&self.shop.world, &self.kept.root.join(node)).and_then(|()| self.finish_take_out(node, taken));
        moved.map_err(|error| format!("{}: {error}; try again after a restart of this node", dir.display()))?;
        Ok(note)
    }

    /// Moves a copy of which the note says that it was taken to where taken journals are.
    fn finish_take_out(&self, node: &str, taken: &Path) -> io::Result<()> {
        let (world, home) = (&self.shop.world, self.kept.root.join(node));
        let Some(note) = TakeNote::read(world, &home)? else { return Ok(()) };
        let dir = home.join(SPOOL);
        let there = journal::identity(world, &dir).map_err(io::Error::other)?;
        if there.is_none_or(|there| there.salt != note.salt || there.epoch >= note.epoch) {
            return Ok(());
        }
        let to = taken.join(node);
        world.disk.create_dir_all_durable(&to)?;
        world.disk.rename(&dir, &to.join(note.epoch.to_string()))?;
        world.disk.sync_dir(&to)?;
        world.disk.sync_dir(&home)
    }

    /// Ends the work on them. What was acknowledged is synced.
    pub fn stop(&self) {
        self.shop.stop();
        self.copies().values().for_each(HeldCopy::close);
    }

    pub(super) fn copies(&self) -> MutexGuard<'_, BTreeMap<String, HeldCopy>> {
        self.kept.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, channel: Channel) {
        if channel.name() != spool_of(channel.peer()) {
            return channel.reset("a node may only send copies of its own journal");
        }
        let held = self.clone();
        let thread = thread::Builder::new().name(format!("copy-of-{}", channel.peer()));
        // Without a thread the channel is dropped, and the owner tries again.
        if let Err(error) = thread.spawn(move || held.keep(channel)) {
            error!("no thread for a copy: {error}");
        }
    }

    /// The life of one link from an owner.
    fn keep(&self, channel: Channel) {
        let owner = channel.peer().to_string();
        channel.accept(WINDOW_BYTES);
        let note = TakeNote::read(&self.shop.world, &self.kept.root.join(&owner));
        let ahead = match note {
            Ok(None) => Vec::new(),
            Ok(Some(note)) => match gate::admitted(&self.shop, &channel, note.epoch) {
                Some(ahead) => ahead,
                None => return,
            },
            Err(error) => {
                error!(
                    "the note of the take-over of {owner}'s journal cannot be read: {error}; its owner is not heard"
                );
                return;
            }
        };
        let copy = match self.copy(channel.name()) {
            Ok(copy) => copy,
            Err(error) => {
                error!("no copy of {owner}'s journal can be kept: {error}");
                return channel.reset("its copy cannot be opened on this node; see the log there");
            }
        };
        let link = copy.link(wake_of_this_thread());
        if link.receive(&ahead).is_err() {
            return;
        }
        info!(owner, "keeps a copy of {owner}'s journal");
        let why = drive(&self.shop, &link, &channel);
        info!(owner, "no link for the copy of {owner}'s journal any more: {why}");
    }

    /// The copy of a journal, opened (or made) when it is asked for first.
    fn copy(&self, journal: &str) -> Result<HeldCopy, OpenError> {
        let mut copies = self.copies();
        if let Some(copy) = copies.get(journal) {
            return Ok(copy.clone());
        }
        let dir = self.kept.root.join(journal);
        let copy = HeldCopy::open(&self.shop.world, &dir, journal, self.kept.settings.clone())?;
        copies.insert(journal.into(), copy.clone());
        Ok(copy)
    }

    /// The body of the thread that has empty segments ready, so that no owner waits for one.
    fn prepare(&self) {
        while !self.shop.is_stopping() {
            let copies: Vec<HeldCopy> = self.copies().values().cloned().collect();
            let made = copies.iter().filter(|copy| copy.prepare()).count();
            if made == 0 {
                thread::park_timeout(PREPARE_EVERY);
            }
        }
    }
}

/// The nodes of whose journal there is a copy.
fn nodes_in(world: &World, root: &Path) -> io::Result<Vec<String>> {
    let disk = world.disk.as_ref();
    disk.create_dir_all_durable(root)?;
    let mut nodes = Vec::new();
    for entry in disk.list(root)? {
        if disk.exists(&root.join(&entry.name).join(SPOOL))? {
            nodes.push(entry.name);
        }
    }
    Ok(nodes)
}

/// A segment takes an owner longer to fill than this.
const PREPARE_EVERY: Duration = Duration::from_millis(100);
