//! What is to be written next, as slices that nobody copies.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// Bytes on their way to the socket.
#[derive(Debug, Default)]
pub struct Pieces {
    queue: VecDeque<Bytes>,
    bytes: usize,
}

impl Pieces {
    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Shows the first slices to a vectored write; says how many there are.
    pub fn slices<'p>(&'p self, out: &mut [IoSlice<'p>]) -> usize {
        let count = self.queue.len().min(out.len());
        for (slot, piece) in out.iter_mut().zip(&self.queue) {
            *slot = IoSlice::new(piece);
        }
        count
    }

    /// So many bytes were written.
    pub fn advance(&mut self, mut written: usize) {
        self.bytes -= written.min(self.bytes);
        while written > 0 {
            let Some(first) = self.queue.front_mut() else { return };
            if first.len() > written {
                first.advance(written);
                return;
            }
            written -= first.len();
            self.queue.pop_front();
        }
    }

    pub(crate) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.bytes += piece.len();
            self.queue.push_back(piece);
        }
    }
}
