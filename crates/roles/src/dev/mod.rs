//! Owns a cluster for trying things out on one machine: its plan, its directory, its processes. `posthouse dev` works on it.
//!
//! Knows no terminal and no API. Always holds: it works in a directory only that it made itself, and it signals a process only
//! after it has seen that it is one of that directory's.

mod etcd;
mod place;
mod plan;
mod process;

use std::fmt;
use std::io;
use std::path::Path;

pub use etcd::{etcd_answers, etcd_command, etcd_is_installed};
pub use place::{Foreground, NodeState, Place, State};
pub use plan::{LATER, NODES_MAX, NODES_MIN, Plan};
pub use process::{Living, node_command, spawn};

/// What is wrong, and the next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevError {
    what: String,
    what_to_do: String,
}

impl DevError {
    /// Both parts in words.
    pub fn new(what: impl Into<String>, what_to_do: impl Into<String>) -> DevError {
        DevError { what: what.into(), what_to_do: what_to_do.into() }
    }

    /// The system refused a file.
    fn io(file: &Path, error: &io::Error) -> DevError {
        DevError::new(
            format!("{}: {error}", file.display()),
            "look at that path, or choose another directory with --dir",
        )
    }
}

impl fmt::Display for DevError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.what_to_do)
    }
}

impl std::error::Error for DevError {}

impl From<crate::pki::PkiError> for DevError {
    fn from(error: crate::pki::PkiError) -> DevError {
        DevError::new(error.what(), "remove the directory if it is not needed, or choose another one with --dir")
    }
}
