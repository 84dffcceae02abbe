//! Moves one body into the outbox, part by part: from memory as shared slices, from the journal through a thread that may block.
//!
//! Always holds: not more than one part waits beyond what the outbox holds, whatever the size of the message.

use super::border::Cuts;
use super::outbox::{OUTBOX_BYTES_MAX, Outbox};
use smtp::client::{BodyEnd, Output, Stuffer};
use spool::Body;
use std::io;
use std::sync::Arc;

/// A body on its way.
pub(super) struct Feed {
    body: Body,
    /// The whole body, if it is in memory.
    memory: Option<Arc<Vec<u8>>>,
    offset: u64,
    /// What is left out, and the number of the next one.
    cuts: Cuts,
    next_cut: usize,
    /// `None` for BDAT.
    stuffer: Option<Stuffer>,
}

impl Feed {
    /// For a body, without `cuts`, that the machine asked for in the form of `output`.
    pub fn new(body: &Body, cuts: &Cuts, output: &Output) -> Feed {
        Feed {
            body: body.clone(),
            memory: body.in_memory().cloned(),
            offset: 0,
            cuts: cuts.clone(),
            next_cut: 0,
            stuffer: (*output == Output::Dotted).then(Stuffer::new),
        }
    }

    /// Fills the outbox. `Some` once all of the body is in it.
    pub async fn pump(&mut self, outbox: &mut Outbox) -> io::Result<Option<BodyEnd>> {
        while let Some((start, len)) = self.cuts.kept(&mut self.next_cut, self.offset, self.body.len()) {
            self.offset = start;
            if outbox.bytes() >= OUTBOX_BYTES_MAX {
                return Ok(None);
            }
            match self.memory.clone() {
                Some(bytes) => {
                    let start = start as usize;
                    let end = bytes.len().min(start + OUTBOX_BYTES_MAX.min(len as usize));
                    self.add(&bytes, start, end, outbox);
                }
                None => {
                    let part = self.read(len).await?;
                    let end = part.len();
                    self.add(&Arc::new(part), 0, end, outbox);
                }
            }
        }
        Ok(Some(self.stuffer.as_ref().map_or(BodyEnd::Line, Stuffer::end)))
    }

    fn add(&mut self, bytes: &Arc<Vec<u8>>, start: usize, end: usize, outbox: &mut Outbox) {
        self.offset += (end - start) as u64;
        match &mut self.stuffer {
            Some(stuffer) => stuffer.part(&bytes[start..end], |range| {
                outbox.push_shared(bytes, start + range.start..start + range.end);
            }),
            None => outbox.push_shared(bytes, start..end),
        }
    }

    /// The next part, of at most `len` bytes.
    async fn read(&self, len: u64) -> io::Result<Vec<u8>> {
        let (body, offset) = (self.body.clone(), self.offset);
        let want = len.min(OUTBOX_BYTES_MAX as u64) as usize;
        let read = tokio::task::spawn_blocking(move || {
            let mut part = vec![0; want];
            body.read(offset, &mut part).map(|count| {
                part.truncate(count);
                part
            })
        });
        let part = read.await.map_err(io::Error::other)?.map_err(|error| io::Error::other(error.to_string()))?;
        // A body that is shorter than its length would make this go on for ever, and BDAT lie.
        if part.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(part) }
    }
}
