//! Owns the copies that this node keeps for others: one directory a journal, one thread a link. Knows not who may send which copy: a
//! [`Doorkeeper`] does.
//! Always holds: only an owner that was let in writes the copy of its journal.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use journal::OpenError;
use journal::copies::HeldCopy;
use tracing::{error, info};

use super::drive::{drive, wake_of_this_thread};
use super::{CHANNEL, Shop, WINDOW_BYTES, gate};
use crate::peers::{Channel, Peers};
use world::World;

/// Decides which owners are let in.
pub trait Doorkeeper: Send + Sync {
    /// Whose copy a channel brings, and whether it may. Called on a thread that may block.
    fn admit(&self, channel: &Channel) -> Admission;

    /// A copy is here: it was found at start, or made for its owner.
    fn is_here(&self, journal: &str, copy: &HeldCopy) {
        let _ = (journal, copy);
    }
}

/// What becomes of a channel.
pub enum Admission {
    /// Its owner comes in, with the copy of this journal.
    Yes(String),
    /// It comes in only under a higher epoch than this one.
    Above {
        /// The journal.
        journal: String,
        /// The epoch of the owner that we know.
        epoch: u32,
    },
    /// The journal is this node's own to write, by what it knows: an owner of this epoch or a lower one is told so, a later one has to wait
    /// until that is laid down.
    Barred {
        /// Our epoch.
        epoch: u32,
    },
    /// It is ended; why, for the other end.
    No(String),
}

/// The copies that this node keeps. Clones are the same.
#[derive(Clone)]
pub struct HeldCopies {
    shop: Shop,
    kept: Arc<Kept>,
}

struct Kept {
    root: PathBuf,
    settings: journal::Settings,
    door: Arc<dyn Doorkeeper>,
    copies: Mutex<BTreeMap<String, HeldCopy>>,
    /// No journal that has no copy here gets one now.
    full: AtomicBool,
}

impl HeldCopies {
    /// Opens the copies of `journals` under `root` and serves the owners that `door` lets in. Blocks for reading them; call it inside a
    /// tokio runtime.
    pub fn start(
        world: &World,
        root: &Path,
        journals: &[String],
        settings: journal::Settings,
        peers: &Peers,
        door: Arc<dyn Doorkeeper>,
    ) -> io::Result<HeldCopies> {
        let kept = Kept { root: root.into(), settings, door, copies: Mutex::default(), full: AtomicBool::new(false) };
        let held = HeldCopies { shop: Shop::new(world, peers), kept: Arc::new(kept) };
        for journal in journals {
            if let Err(error) = held.copy(journal) {
                error!(journal, "the copy of {journal} cannot be used: {error}; it is of no use until that is mended");
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

    /// Whether journals that have no copy here may get one. Copies that are here go on: mail may wait for them.
    pub fn take_new(&self, yes: bool) {
        self.kept.full.store(!yes, Ordering::Relaxed);
    }

    /// The copy of a journal, if there is one.
    pub fn get(&self, journal: &str) -> Option<HeldCopy> {
        self.copies().get(journal).cloned()
    }

    /// Where the copy of a journal is kept.
    pub fn dir(&self, journal: &str) -> PathBuf {
        self.kept.root.join(journal)
    }

    /// The copy was handed over or closed, and its directory is somebody else's.
    pub fn forget(&self, journal: &str) {
        self.copies().remove(journal);
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
        let (journal, above) = match self.kept.door.admit(&channel) {
            Admission::Yes(journal) => (journal, None),
            Admission::Above { journal, epoch } => (journal, Some(epoch)),
            Admission::Barred { epoch } => {
                channel.accept(WINDOW_BYTES);
                if gate::admitted(&self.shop, &channel, epoch).is_some() {
                    channel.reset("this node still has the journal itself, and is about to lay it down");
                }
                return;
            }
            Admission::No(why) => return channel.reset(&why),
        };
        if self.kept.full.load(Ordering::Relaxed) && self.get(&journal).is_none() {
            return channel
                .reset("that node takes no new copies now: it is short of disk or memory (posthouse status there)");
        }
        channel.accept(WINDOW_BYTES);
        let ahead = match above {
            None => Vec::new(),
            Some(epoch) => match gate::admitted(&self.shop, &channel, epoch) {
                Some(ahead) => ahead,
                None => return,
            },
        };
        let copy = match self.copy(&journal) {
            Ok(copy) => copy,
            Err(error) => {
                error!(journal, "no copy of {journal} can be kept: {error}");
                return channel.reset("its copy cannot be opened on this node; see the log there");
            }
        };
        let link = copy.link(wake_of_this_thread());
        if link.receive(&ahead).is_err() {
            return;
        }
        info!(owner, journal, "keeps a copy of {journal} for {owner}");
        let why = drive(&self.shop, &link, &channel);
        info!(owner, journal, "no link for the copy of {journal} any more: {why}");
    }

    /// The copy of a journal, opened (or made) when it is asked for first.
    fn copy(&self, journal: &str) -> Result<HeldCopy, OpenError> {
        let mut copies = self.copies();
        if let Some(copy) = copies.get(journal) {
            return Ok(copy.clone());
        }
        let copy = HeldCopy::open(&self.shop.world, &self.dir(journal), journal, self.kept.settings.clone())?;
        copies.insert(journal.into(), copy.clone());
        drop(copies);
        self.kept.door.is_here(journal, &copy);
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

/// A segment takes an owner longer to fill than this.
const PREPARE_EVERY: Duration = Duration::from_millis(100);
