//! Owns reading a message's content: from memory, or from the journal a chunk at a time, each one checked.

use std::sync::{Arc, Mutex, PoisonError};

use journal::{Extent, Journal, ReadError};

use crate::book::Place;
use crate::record::CHUNK_HEAD;

/// The content of a message. Cheap to clone; may outlive the [`crate::Work`] only until that is settled.
#[derive(Clone)]
pub struct Body {
    from: From,
    len: u64,
}

#[derive(Clone)]
enum From {
    Memory(Arc<Vec<u8>>),
    Journal(Arc<OnDisk>),
}

struct OnDisk {
    journal: Journal,
    chunks: Box<[Extent]>,
    /// The chunk read last: who reads in small steps does not read (and check) it again at each.
    last: Mutex<Option<(usize, Vec<u8>)>>,
}

impl Body {
    pub(crate) fn new(journal: &Journal, place: Place<Arc<Vec<u8>>, Box<[Extent]>>, len: u64) -> Body {
        let from = match place {
            Place::Memory(bytes) => From::Memory(bytes),
            Place::Elsewhere(chunks) => {
                From::Journal(Arc::new(OnDisk { journal: journal.clone(), chunks, last: Mutex::new(None) }))
            }
        };
        Body { from, len }
    }

    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// There are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of it, if it is in memory: send from here without a copy.
    pub fn in_memory(&self) -> Option<&Arc<Vec<u8>>> {
        match &self.from {
            From::Memory(bytes) => Some(bytes),
            From::Journal(_) => None,
        }
    }

    /// The same, in memory. Blocks if it is not there yet.
    pub(crate) fn loaded(&self) -> Result<Body, ReadError> {
        let From::Journal(_) = &self.from else { return Ok(self.clone()) };
        let bytes = self.start(self.len as usize)?;
        // One that is shorter than it should be is left to who sends it: that ends with an error.
        let from = if bytes.len() as u64 == self.len { From::Memory(Arc::new(bytes)) } else { self.from.clone() };
        Ok(Body { from, len: self.len })
    }

    /// Reads from `offset` on until `buf` is full or the content ends; gives the number of bytes. Blocks if it is not in memory.
    pub fn read(&self, offset: u64, buf: &mut [u8]) -> Result<usize, ReadError> {
        match &self.from {
            From::Memory(bytes) => {
                let from = bytes.len().min(offset as usize);
                let n = buf.len().min(bytes.len() - from);
                buf[..n].copy_from_slice(&bytes[from..from + n]);
                Ok(n)
            }
            From::Journal(on_disk) => on_disk.read(offset, buf),
        }
    }

    /// Up to `max` bytes from the start. Blocks if they are not in memory.
    pub(crate) fn start(&self, max: usize) -> Result<Vec<u8>, ReadError> {
        let mut bytes = vec![0; self.len.min(max as u64) as usize];
        let n = self.read(0, &mut bytes)?;
        bytes.truncate(n);
        Ok(bytes)
    }
}

impl OnDisk {
    fn read(&self, offset: u64, buf: &mut [u8]) -> Result<usize, ReadError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut start, mut done) = (0, 0);
        for (at, extent) in self.chunks.iter().enumerate() {
            let len = extent.len as u64 - CHUNK_HEAD as u64;
            let wanted = offset + done as u64;
            if done < buf.len() && wanted < start + len {
                if last.as_ref().is_none_or(|(n, _)| *n != at) {
                    *last = Some((at, self.journal.read(*extent)?));
                }
                let Some((_, payload)) = last.as_ref() else { break };
                let from = CHUNK_HEAD + (wanted - start) as usize;
                let n = (payload.len() - from).min(buf.len() - done);
                buf[done..done + n].copy_from_slice(&payload[from..from + n]);
                done += n;
            }
            start += len;
        }
        Ok(done)
    }
}
