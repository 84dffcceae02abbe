//! What all connections of a thread share: the buffer that bytes are read into, and places for what could not be written.
//!
//! Owns the bounds of memory. Always holds: a connection with nothing to write owns no buffer and no pipe.

use std::io;
use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

/// The shared things of one thread.
pub(super) struct Tools {
    pub(super) buffer: Box<[u8]>,
    spare: Vec<Vec<u8>>,
    /// Bytes that wait in [`Left`]s.
    left_bytes: usize,
    pipes: Vec<Pipe>,
}

/// Bytes that were read and could not be written.
#[derive(Debug)]
pub(super) struct Left {
    bytes: Vec<u8>,
    at: usize,
}

/// A pipe that bulk goes through without being copied. Empty while it is not in use.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) read: OwnedFd,
    pub(super) write: OwnedFd,
    /// Bytes in it.
    pub(super) filled: usize,
}

/// The thread's buffer.
pub(super) const BUFFER_BYTES: usize = 128 * 1024;
/// Read at once from a connection that has not shown that it carries bulk.
pub(super) const READ_BYTES: usize = 16 * 1024;
/// Read at once while [`LEFT_BYTES_MAX`] wait.
const READ_BYTES_SHORT: usize = 2 * 1024;
/// Bytes of one thread that may wait for slow readers before each gets smaller pieces.
pub(super) const LEFT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Buffers and pipes that are kept for the next one.
const SPARE_MAX: usize = 32;
/// What one pipe holds at most; asked for, the kernel may give less.
const PIPE_BYTES: usize = 1024 * 1024;

impl Tools {
    pub(super) fn new() -> Tools {
        let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        Tools { buffer, spare: Vec::new(), left_bytes: 0, pipes: Vec::new() }
    }

    /// How much is read at once.
    pub(super) fn read_bytes(&self, is_bulk: bool) -> usize {
        if self.left_bytes > LEFT_BYTES_MAX {
            READ_BYTES_SHORT
        } else if is_bulk {
            BUFFER_BYTES
        } else {
            READ_BYTES
        }
    }

    /// Keeps what could not be written of the buffer.
    pub(super) fn keep(&mut self, from: usize, to: usize) -> Left {
        let mut left = self.left();
        left.bytes.extend_from_slice(&self.buffer[from..to]);
        self.left_bytes += to - from;
        left
    }

    /// An empty one, to be written to with [`Left::put`].
    pub(super) fn left(&mut self) -> Left {
        Left { bytes: self.spare.pop().unwrap_or_default(), at: 0 }
    }

    /// Adds bytes of the buffer to what waits.
    pub(super) fn add(&mut self, left: &mut Left, count: usize) {
        left.bytes.extend_from_slice(&self.buffer[..count]);
        self.left_bytes += count;
    }

    /// Adds bytes that somebody else made.
    pub(super) fn fill(&mut self, left: &mut Left, make: impl FnOnce(&mut Vec<u8>)) {
        let before = left.bytes.len();
        make(&mut left.bytes);
        self.left_bytes += left.bytes.len() - before;
    }

    /// So many of its bytes are written.
    pub(super) fn written(&mut self, left: &mut Left, count: usize) {
        left.at += count;
        self.left_bytes = self.left_bytes.saturating_sub(count);
    }

    /// It is not needed any longer.
    pub(super) fn give_back(&mut self, mut left: Left) {
        self.left_bytes = self.left_bytes.saturating_sub(left.rest().len());
        if self.spare.len() < SPARE_MAX && left.bytes.capacity() <= BUFFER_BYTES {
            left.bytes.clear();
            self.spare.push(left.bytes);
        }
    }

    pub(super) fn pipe(&mut self) -> io::Result<Pipe> {
        if let Some(pipe) = self.pipes.pop() {
            return Ok(pipe);
        }
        let (read, write) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
        // Refused to users who have many large pipes: a small one carries as well.
        let _ = fcntl_setpipe_size(&write, PIPE_BYTES);
        Ok(Pipe { read, write, filled: 0 })
    }

    pub(super) fn give_back_pipe(&mut self, pipe: Pipe) {
        if pipe.filled == 0 && self.pipes.len() < SPARE_MAX {
            self.pipes.push(pipe);
        }
    }
}

impl Left {
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }
}
