//! Owns what can go wrong with a journal, and whose fault it is.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

use crate::position::Position;

/// Why a journal was not opened. Nothing was changed on the disk.
#[derive(Debug)]
pub enum OpenError {
    /// Another process (or another journal of this one) has the directory.
    InUse(PathBuf),
    /// Records that may have been confirmed are unreadable. Open with [`crate::Mode::Rescue`] to read the rest.
    Damaged {
        /// The positions that are lost.
        lost: Vec<Range<Position>>,
    },
    /// Somebody with a higher epoch owns this journal now.
    StaleEpoch {
        /// Highest epoch seen by the journal.
        stored: u32,
        /// Epoch of the caller.
        asked: u32,
    },
    /// Written in a format of another version.
    Version {
        /// What the file says.
        found: u32,
        /// What this program writes.
        ours: u32,
    },
    /// `journal.meta` is missing beside segments, or is not readable as such.
    Meta(PathBuf),
    /// A setting is out of its range.
    Setting(&'static str),
    /// The operating system refused.
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::InUse(path) => write!(f, "{}: in use by another process", path.display()),
            OpenError::Damaged { lost } => {
                write!(f, "journal damaged, unreadable positions:")?;
                for range in lost {
                    write!(f, " {}..{}", range.start, range.end)?;
                }
                write!(f, "; open it for rescue, or fetch it from a copy")
            }
            OpenError::StaleEpoch { stored, asked } => {
                write!(f, "journal belongs to epoch {stored}, ours is {asked}: somebody took it over")
            }
            OpenError::Version { found, ours } => {
                write!(f, "journal has format {found}, this program reads format {ours}")
            }
            OpenError::Meta(path) => write!(f, "{}: missing or not a journal's", path.display()),
            OpenError::Setting(what) => write!(f, "journal setting out of range: {what}"),
            OpenError::Io { what, path, source } => {
                write!(f, "{what} {}: {source}", path.display())
            }
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OpenError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Why a batch was not taken. Nothing of it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// No space: for an ordinary batch, none beside the reserve. Later it may work: answer 452.
    Full,
    /// The journal is closed, open for rescue only, or its disk failed. Answer 451 or 421.
    Stopped,
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AppendError::Full => "no space in the journal",
            AppendError::Stopped => "the journal has stopped",
        })
    }
}

impl std::error::Error for AppendError {}

/// Why a running journal did not get a higher epoch. It goes on under the one that it has, if it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaiseError {
    /// No space for `journal.meta`. Later it may work.
    Full,
    /// The journal is open for rescue only, its disk failed, or somebody owns it under a higher epoch. It never works.
    Stopped,
}

impl fmt::Display for RaiseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RaiseError::Full => "no space to write down the journal's new epoch; make space on its disk",
            RaiseError::Stopped => "the journal has stopped",
        })
    }
}

impl std::error::Error for RaiseError {}

/// Why a record could not be read back.
#[derive(Debug)]
pub enum ReadError {
    /// There is no such segment any more: the record was released.
    Gone(Position),
    /// What is on the disk there is not that record, or its checksum is wrong.
    Damaged(Position),
    /// The operating system refused.
    Io(io::Error),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Gone(position) => write!(f, "record {position} is gone"),
            ReadError::Damaged(position) => write!(f, "record {position} is damaged"),
            ReadError::Io(error) => write!(f, "reading a record: {error}"),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ReadError::Io(error) => Some(error),
            _ => None,
        }
    }
}
