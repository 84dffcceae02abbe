//! The effective configuration as documents again: every setting, defaults included.

use crate::load::Loaded;

/// Whether password hashes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// As `(hidden)`.
    Hide,
    /// As they are, so that the documents can be loaded again.
    Show,
}

impl Loaded {
    /// The node document and the organization document that say what runs.
    pub fn to_toml(&self, secrets: Secrets) -> (String, String) {
        let _ = secrets;
        todo!()
    }
}
