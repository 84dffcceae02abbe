//! Why a verb of the authority was not done, and what to do.

use std::fmt;
use std::io;
use std::path::Path;

/// What is wrong, and the next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PkiError {
    what: String,
    what_to_do: String,
}

impl PkiError {
    /// Both parts in words.
    pub fn new(what: impl Into<String>, what_to_do: &str) -> PkiError {
        PkiError { what: what.into(), what_to_do: what_to_do.into() }
    }

    /// A file holds what it should not.
    pub fn file(file: &Path, what: &str) -> PkiError {
        PkiError::new(format!("{}: {what}", file.display()), "put back the right file, for example from a backup")
    }

    /// The system refused a file.
    pub fn io(file: &Path, error: &io::Error) -> PkiError {
        let what_to_do = match error.kind() {
            io::ErrorKind::PermissionDenied => "run this as the user who owns the directory",
            io::ErrorKind::NotFound => "put the file back, or name the right directory with --dir",
            _ => "look at the disk and try again",
        };
        PkiError::new(format!("{}: {error}", file.display()), what_to_do)
    }

    /// What is wrong, without the next step.
    pub fn what(&self) -> &str {
        &self.what
    }
}

impl fmt::Display for PkiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.what_to_do)
    }
}

impl std::error::Error for PkiError {}
