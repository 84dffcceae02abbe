//! Verbs on LDAP directories.

use super::{Control, Refusal};
use crate::directories::{Ask, NotAsked};
use crate::view;

/// What is done with a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectoryVerb {
    /// Read it whole now.
    Sync,
    /// Believe the result that is held.
    Accept,
}

impl Control {
    /// All directories.
    pub fn directories(&self) -> Vec<view::Directory> {
        self.node.directories.shown()
    }

    /// One directory.
    pub fn directory(&self, name: &str) -> Result<view::Directory, Refusal> {
        self.node.directories.show(name).ok_or_else(|| no_directory(name))
    }

    /// Has something done with a directory, soon, and shows it as it is.
    pub fn directory_verb(&self, name: &str, verb: DirectoryVerb, who: &str) -> Result<view::Directory, Refusal> {
        let (ask, word) = match verb {
            DirectoryVerb::Sync => (Ask::Sync, "sync"),
            DirectoryVerb::Accept => (Ask::Accept, "accept"),
        };
        self.node.directories.ask(name, ask).map_err(|error| match error {
            NotAsked::NoDirectory => no_directory(name),
            NotAsked::NothingHeld => Refusal::busy(
                format!("nothing of directory '{name}' is held"),
                "posthouse directory status shows what counts; there is nothing to accept",
            ),
        })?;
        tracing::info!(directory = name, who, "asked to {word}");
        self.directory(name)
    }
}

fn no_directory(name: &str) -> Refusal {
    Refusal::missing(format!("there is no directory '{name}'"), "posthouse directory status shows all")
}
