//! LDAP directories as they are shown.

use serde::{Deserialize, Serialize};

/// One directory of the organization document.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Directory {
    /// Its name.
    pub name: String,
    /// `ok`; `down`: no server answers; `held`: a result that shrank waits for a decision; `never-read`.
    pub state: String,
    /// The server that is asked.
    pub server: String,
    /// Recipients that count.
    pub recipients: usize,
    /// Changes since it was read whole.
    pub changed: usize,
    /// Memory that they take, in bytes.
    pub memory_bytes: usize,
    /// When it was read whole.
    pub read: Option<String>,
    /// When it answered last, since this node started.
    pub asked: Option<String>,
    /// A result that is not believed.
    pub held: Option<DirectoryHeld>,
    /// What went wrong last.
    pub error: Option<String>,
    /// Addresses that two recipients want, the first hundred.
    pub clashes: Vec<String>,
    /// What is wrong, and what to do.
    pub wrong: Vec<String>,
}

/// A result that is not believed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DirectoryHeld {
    /// Recipients in it.
    pub recipients: usize,
    /// Recipients who are known and not in it.
    pub missing: usize,
}
