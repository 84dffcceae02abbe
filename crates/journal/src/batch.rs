//! Owns a batch on its way into the log, without copying bodies. Knows no files and no positions.
//! Always holds: a batch is never larger than [`BATCH_BYTES_MAX`]; checksums of payloads are made by the
//! appender's thread, not by the writer.

use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;

/// Records that are written next to each other in one segment, all or (after a crash before the sync) perhaps a part.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) entries: Vec<Entry>,
    /// Room for each record's header followed by the owner's small header, one after the other.
    pub(crate) small: Vec<u8>,
    pub(crate) bytes: usize,
    pub(crate) uses_reserve: bool,
}

/// One record of a batch; its headers are `Batch::small[small]`.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) kind: u8,
    pub(crate) small: Range<usize>,
    pub(crate) body: Bytes,
    pub(crate) payload_crc: u32,
    pub(crate) payload_len: u32,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Adds a record (see [`Batch::push`]) and returns the batch.
    #[must_use]
    pub fn record(mut self, kind: u8, header: &[u8], body: impl Into<Bytes>) -> Batch {
        self.push(kind, header, body);
        self
    }

    /// Adds a record whose payload is `header` (copied, meant to be small) followed by `body` (not copied).
    /// Returns its index for `Committed::extent`. `kind` is 1 to 239. Panics if the batch grows beyond [`BATCH_BYTES_MAX`].
    pub fn push(&mut self, kind: u8, header: &[u8], body: impl Into<Bytes>) -> usize {
        assert!((1..240).contains(&kind), "record kinds 0 and 240 on are the journal's");
        let body = body.into();
        let payload_len = header.len() + body.len();
        self.bytes += RECORD_HEADER_BYTES + payload_len;
        assert!(self.bytes <= BATCH_BYTES_MAX, "a batch is at most 1 MiB");
        let from = self.small.len();
        self.small.resize(from + RECORD_HEADER_BYTES, 0);
        self.small.extend_from_slice(header);
        let payload_crc = crc32c::crc32c_append(crc32c::crc32c(header), body.as_slice());
        self.entries.push(Entry {
            kind,
            small: from..self.small.len(),
            body,
            payload_crc,
            payload_len: payload_len as u32,
        });
        self.entries.len() - 1
    }

    /// Lets this batch use the reserve: for records that settle mail, never for those that take it.
    #[must_use]
    pub fn may_use_reserve(mut self) -> Batch {
        self.uses_reserve = true;
        self
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no record in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Its pieces in order; neighbours in `small` with no body between them are one piece.
    pub(crate) fn slices<'a>(&'a self, to: &mut Vec<IoSlice<'a>>) {
        let mut from = 0;
        for entry in &self.entries {
            let body = entry.body.as_slice();
            if !body.is_empty() {
                to.push(IoSlice::new(&self.small[from..entry.small.end]));
                to.push(IoSlice::new(body));
                from = entry.small.end;
            }
        }
        if from < self.small.len() {
            to.push(IoSlice::new(&self.small[from..]));
        }
    }

    /// Bytes it will take in the log, record headers included.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// A body that a batch owns or shares, so that nobody has to copy it.
#[derive(Clone, Debug, Default)]
pub enum Bytes {
    /// No body: the whole payload is in the header.
    #[default]
    None,
    /// Owned by the batch.
    Owned(Vec<u8>),
    /// Shared with the caller.
    Shared(Arc<[u8]>),
    /// A part of what is shared with the caller.
    Part(Arc<Vec<u8>>, Range<usize>),
}

impl Bytes {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Bytes::None => &[],
            Bytes::Owned(bytes) => bytes,
            Bytes::Shared(bytes) => bytes,
            Bytes::Part(bytes, range) => &bytes[range.clone()],
        }
    }

    /// Their number.
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }
}

impl From<()> for Bytes {
    fn from(_: ()) -> Bytes {
        Bytes::None
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes::Owned(bytes)
    }
}

impl From<Arc<[u8]>> for Bytes {
    fn from(bytes: Arc<[u8]>) -> Bytes {
        Bytes::Shared(bytes)
    }
}

impl From<Arc<Vec<u8>>> for Bytes {
    fn from(bytes: Arc<Vec<u8>>) -> Bytes {
        let all = 0..bytes.len();
        Bytes::Part(bytes, all)
    }
}

/// Largest batch in bytes, record headers included.
pub const BATCH_BYTES_MAX: usize = 1 << 20;

/// Bytes that the journal puts before each payload.
pub const RECORD_HEADER_BYTES: usize = 32;
