//! LDAP directories while a node runs: who they know, kept on disk and renewed; what is wrong with them, in plain words.
//!
//! Owns the task of each directory, the copy on disk of what it told last, and the orders of operators. Knows no bytes of LDAP and no
//! meaning of an entry: `transport::ldap` asks, `directory::ldap` says when and what it means. Always holds: what a directory told last
//! counts until something else was told and believed, over outages and starts; a result that shrank is believed only by order.

mod drive;
mod kept;
mod source;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use directory::Org;
use directory::recipients::Recipients;
use tokio::sync::Notify;
use transport::tls_client::TlsClient;
use world::World;

use crate::view;
use source::Source;
pub use source::{Ask, NotAsked};

/// All directories of the organization document that runs.
pub struct Directories {
    shared: Arc<Shared>,
    sources: Mutex<Vec<Arc<Source>>>,
}

/// What the tasks have in common.
struct Shared {
    world: World,
    /// Where copies are kept.
    dir: PathBuf,
    /// None: this build has no TLS.
    tls: Option<TlsClient>,
    /// Somebody knows others than before.
    changed: Notify,
}

impl Directories {
    /// Those of `org`, with what they told last. Call it inside a runtime; blocks for reading.
    pub fn open(world: &World, dir: &Path, org: &Org) -> Directories {
        let tls = TlsClient::new().map_err(|error| tracing::error!("TLS: {error}")).ok();
        let shared = Shared { world: world.clone(), dir: dir.to_path_buf(), tls, changed: Notify::new() };
        let directories = Directories { shared: Arc::new(shared), sources: Mutex::default() };
        directories.follow(org);
        directories
    }

    /// The document changed: directories that are as they were go on, others begin anew with what is known of them. Blocks for reading.
    pub fn follow(&self, org: &Org) {
        let before = std::mem::take(&mut *self.sources());
        let source = |directory: &Arc<directory::ldap::Directory>| {
            let known = before.iter().find(|source| source.directory().name == directory.name);
            match known {
                Some(known) if known.directory() == directory => known.clone(),
                Some(known) => known.changed_to(directory.clone()),
                None => {
                    Source::new(directory.clone(), kept::read(&self.shared.world, &self.shared.dir, &directory.name))
                }
            }
        };
        let now: Vec<Arc<Source>> = org.directories.iter().map(source).collect();
        for source in before.iter().filter(|source| !now.iter().any(|kept| Arc::ptr_eq(kept, source))) {
            source.stop();
        }
        for source in &now {
            source.start(|| tokio::spawn(drive::run(source.clone(), self.shared.clone())));
        }
        *self.sources() = now;
    }

    /// The organization with what its directories know.
    pub fn with(&self, org: &Arc<Org>) -> Arc<Org> {
        let sources = self.sources();
        if sources.is_empty() {
            return org.clone();
        }
        let all = sources.iter().fold(Recipients::default(), |all, source| all.and(&source.known()));
        Arc::new(org.with_recipients(&all))
    }

    /// Waits until somebody knows others than before.
    pub async fn changed(&self) {
        self.shared.changed.notified().await;
    }

    /// All of them as an operator sees them.
    pub fn shown(&self) -> Vec<view::Directory> {
        self.sources().iter().map(|source| source.shown()).collect()
    }

    /// One of them as an operator sees it.
    pub fn show(&self, name: &str) -> Option<view::Directory> {
        self.find(name).map(|source| source.shown())
    }

    /// Has something done soon.
    pub fn ask(&self, name: &str, ask: Ask) -> Result<(), NotAsked> {
        self.find(name).ok_or(NotAsked::NoDirectory)?.ask(ask)
    }

    /// Asks nobody any more.
    pub fn stop(&self) {
        self.sources().iter().for_each(|source| source.stop());
    }

    fn find(&self, name: &str) -> Option<Arc<Source>> {
        self.sources().iter().find(|source| source.directory().name.eq_ignore_ascii_case(name)).cloned()
    }

    fn sources(&self) -> MutexGuard<'_, Vec<Arc<Source>>> {
        // Only whole values are stored in it.
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
