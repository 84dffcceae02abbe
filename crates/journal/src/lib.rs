//! Owns an append-only log of records with group commit: segments, recovery, release, recycling.
//! Knows no mail, no sockets, no async runtime; futures are plain `std`.
//! Always holds: what a durable [`Commit`] confirmed survives a crash until it is released; a record never
//! appended never appears; a segment with live or pinned records is never freed; no commit succeeds after a failed sync.

mod batch;
mod canary;
mod commit;
pub mod copies;
mod ends;
mod error;
mod files;
mod journal;
mod keeper;
mod ledger;
mod meta;
mod opening;
mod position;
mod queue;
mod record;
mod recovery;
mod settings;
mod shared;
mod shelf;
mod spares;
mod stats;
mod walk;
mod when;
mod windows;
mod writer;

#[doc(hidden)]
pub use canary::Canary;

pub use batch::{BATCH_BYTES_MAX, Batch, Bytes, RECORD_HEADER_BYTES};
pub use commit::{Commit, Committed};
pub use ends::SegmentEnd;
pub use error::{AppendError, OpenError, RaiseError, ReadError};
pub use journal::{Journal, Mode, Seen};
pub use ledger::{Candidate, Pinned};
pub use meta::{Identity, identity};
pub use opening::found;
pub use position::{Extent, Position, SegmentNo};
pub use settings::Settings;
pub use stats::{Room, Stats};
pub use when::When;
