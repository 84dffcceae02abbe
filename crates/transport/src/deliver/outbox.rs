//! Owns what is to be written to one peer and is not written yet: commands, and slices of bodies that are shared and not copied.
//!
//! Always holds: bytes leave in the order in which they came; what waits here is bounded by [`OUTBOX_BYTES_MAX`] and one part.

use super::wire::Wire;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// No body part is added while more than this waits.
pub(super) const OUTBOX_BYTES_MAX: usize = 128 << 10;

#[derive(Default)]
pub(super) struct Outbox {
    pieces: VecDeque<Piece>,
    bytes: usize,
    unflushed: bool,
}

enum Piece {
    Text { bytes: Vec<u8>, written: usize },
    Shared { bytes: Arc<Vec<u8>>, range: Range<usize> },
}

impl Outbox {
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty() && !self.unflushed
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds bytes of our own.
    pub fn push_text(&mut self, bytes: Vec<u8>) {
        self.bytes += bytes.len();
        self.pieces.push_back(Piece::Text { bytes, written: 0 });
    }

    /// Adds a slice of a body. A short one is copied: a slice of its own would cost more.
    pub fn push_shared(&mut self, bytes: &Arc<Vec<u8>>, range: Range<usize>) {
        if range.len() <= COPY_BYTES_MAX {
            if let Some(Piece::Text { bytes: text, .. }) = self.pieces.back_mut() {
                self.bytes += range.len();
                text.extend_from_slice(&bytes[range]);
                return;
            }
            return self.push_text(bytes[range].to_vec());
        }
        self.bytes += range.len();
        self.pieces.push_back(Piece::Shared { bytes: Arc::clone(bytes), range });
    }

    /// Writes as much as the peer takes now. Ready once all is written.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, wire: &mut Wire) -> Poll<io::Result<Wrote>> {
        let mut wrote = Wrote(false);
        while !self.pieces.is_empty() {
            let empty: &[u8] = &[];
            let mut slices = [IoSlice::new(empty); SLICES_MAX];
            let mut count = 0;
            for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                *slice = IoSlice::new(piece.rest());
                count += 1;
            }
            let taken = match wire.poll_write(cx, &slices[..count]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(taken)) => taken,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if wrote.0 => return Poll::Ready(Ok(wrote)),
                Poll::Pending => return Poll::Pending,
            };
            wrote = Wrote(true);
            self.unflushed = true;
            self.remove(taken);
        }
        if self.unflushed {
            ready!(wire.poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(wrote))
    }

    fn remove(&mut self, mut count: usize) {
        self.bytes -= count;
        while let Some(front) = self.pieces.front_mut() {
            let len = front.rest().len();
            if count < len {
                front.advance(count);
                return;
            }
            count -= len;
            self.pieces.pop_front();
        }
    }
}

/// Whether anything went out.
pub(super) struct Wrote(pub bool);

impl Piece {
    fn rest(&self) -> &[u8] {
        match self {
            Piece::Text { bytes, written } => &bytes[*written..],
            Piece::Shared { bytes, range } => &bytes[range.clone()],
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Piece::Text { written, .. } => *written += count,
            Piece::Shared { range, .. } => range.start += count,
        }
    }
}

/// Slices in one gathered write.
const SLICES_MAX: usize = 32;
/// A slice up to this length is copied.
const COPY_BYTES_MAX: usize = 512;
