//! One way of a connection: bytes from one socket to the other.
//!
//! Owns reading, writing, what could not be written, and the end of the way. Knows not who is at either end and what is said.
//! Always holds: nothing is read while something waits to be written; what was read is written in its order, once; while nothing waits the
//! way owns no memory.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::pipe::{SpliceFlags, splice};

use super::poll::Ready;
use super::tools::{Left, Pipe, Tools};

/// The state of one way.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// The source may have something.
    readable: bool,
    /// The source has said that it ends: it is read until it does.
    ending: bool,
    /// The end of the source was read.
    ended: bool,
    /// The sink takes nothing more: what comes is thrown away.
    sink_gone: bool,
    /// The sink did not take all.
    blocked: bool,
    /// Full reads in a row.
    bulk: u8,
    left: Option<Left>,
    pipe: Option<Pipe>,
    /// Bytes that were written.
    bytes: u64,
}

/// How a turn of a way ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// Nothing can be done until somebody is ready.
    Waits,
    /// More can be done; it is the turn of others first.
    Again,
    /// The source has ended and all of it is written.
    Ended,
    /// The source is broken.
    SourceLost,
    /// The sink is broken; from now on what the source sends is thrown away.
    SinkLost,
    /// The looker does not want these bytes to pass; they are gone.
    Stopped,
}

/// Full reads in a row after which a way carries bulk.
const BULK_AFTER: u8 = 2;
/// Reads of one connection in one turn.
const ROUNDS_MAX: usize = 8;
/// A splice of less than this is no bulk any longer.
const SPLICE_BYTES_MIN: usize = 16 * 1024;

impl Way {
    /// Takes what epoll said of the source.
    pub(super) fn source_is(&mut self, ready: Ready) {
        self.readable |= ready.readable;
        self.ending |= ready.ending;
    }

    /// Takes what epoll said of the sink.
    pub(super) fn sink_is(&mut self, ready: Ready) {
        if ready.writable {
            self.blocked = false;
        }
    }

    pub(super) fn is_readable(&self) -> bool {
        self.readable
    }

    /// The source said that it ends.
    pub(super) fn is_ending(&self) -> bool {
        self.ending
    }

    /// The sink has to be waited for.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The source has nothing more now, as somebody else has found.
    pub(super) fn drained_all(&mut self) {
        self.readable = false;
    }

    /// The sink did not take all from somebody else.
    pub(super) fn block(&mut self) {
        self.blocked = true;
    }

    /// Another sink takes its place; what waited for the first is forgotten.
    pub(super) fn new_sink(&mut self, tools: &mut Tools) {
        self.release(tools);
        (self.sink_gone, self.blocked) = (false, false);
    }

    /// Another source takes its place; what waits of the first is forgotten.
    pub(super) fn new_source(&mut self, tools: &mut Tools) {
        self.release(tools);
        (self.readable, self.ending, self.ended, self.bulk) = (false, false, false, 0);
    }

    /// The source has ended, as somebody else has found.
    pub(super) fn end(&mut self) {
        (self.ended, self.readable) = (true, false);
    }

    /// Written by somebody else.
    pub(super) fn count(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Bytes that go first. There must be none yet.
    pub(super) fn put(&mut self, tools: &mut Tools, make: impl FnOnce(&mut Vec<u8>)) {
        let mut left = self.left.take().unwrap_or_else(|| tools.left());
        tools.fill(&mut left, make);
        self.left = Some(left);
    }

    /// What waits to be written.
    pub(super) fn waiting(&self) -> &[u8] {
        self.left.as_ref().map_or(&[], Left::rest)
    }

    /// Reads once and keeps it, without writing. `None`: nothing there. Some(0): the end.
    pub(super) fn hold(
        &mut self,
        from: BorrowedFd<'_>,
        tools: &mut Tools,
        most: usize,
    ) -> Result<Option<usize>, Moved> {
        let most = most.min(tools.buffer.len());
        let Some(count) = self.read(from, tools, most)? else { return Ok(None) };
        if count > 0 {
            let mut left = self.left.take().unwrap_or_else(|| tools.left());
            tools.add(&mut left, count);
            self.left = Some(left);
        }
        Ok(Some(count))
    }

    /// Moves what can be moved. `look` sees everything that is copied and says how much of it may pass: the rest is gone, and the way stops
    /// there. Where `splices` nothing has to be seen.
    pub(super) fn pump(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        tools: &mut Tools,
        splices: bool,
        mut look: impl FnMut(&[u8]) -> usize,
    ) -> Moved {
        for _ in 0..ROUNDS_MAX {
            match self.flush(to, tools) {
                Moved::Ended => {}
                other => return other,
            }
            if self.ended {
                return Moved::Ended;
            }
            if !self.readable {
                return Moved::Waits;
            }
            if splices && self.bulk >= BULK_AFTER && !self.sink_gone {
                match self.splice_in(from, tools) {
                    Moved::Again => continue,
                    other => return other,
                }
            }
            let most = tools.read_bytes(self.bulk >= BULK_AFTER);
            let count = match self.read(from, tools, most) {
                Ok(Some(0)) => return Moved::Ended,
                Ok(Some(count)) => count,
                Ok(None) => return Moved::Waits,
                Err(lost) => return lost,
            };
            if self.sink_gone {
                continue;
            }
            let passes = look(&tools.buffer[..count]);
            let stops = passes < count;
            if stops && passes == 0 {
                return Moved::Stopped;
            }
            match self.write(to, tools, passes, self.ending && count < most && !stops) {
                Moved::Ended if stops => return Moved::Stopped,
                Moved::Ended => {}
                // What may not pass is gone; what stopped it is found again at the end of its source.
                other => return other,
            }
        }
        Moved::Again
    }

    /// One read into the thread's buffer. An end is remembered.
    pub(super) fn read(
        &mut self,
        from: BorrowedFd<'_>,
        tools: &mut Tools,
        most: usize,
    ) -> Result<Option<usize>, Moved> {
        loop {
            return match recv(from, &mut tools.buffer[..most], RecvFlags::empty()) {
                Ok((0, _)) => {
                    (self.ended, self.readable) = (true, false);
                    Ok(Some(0))
                }
                Ok((count, _)) => {
                    if count < most {
                        // All of it is read; more, or the end, is a new edge.
                        self.readable = self.ending;
                        self.bulk = 0;
                    } else {
                        self.bulk = self.bulk.saturating_add(1);
                    }
                    Ok(Some(count))
                }
                Err(Errno::AGAIN) => {
                    self.readable = false;
                    Ok(None)
                }
                Err(Errno::INTR) => continue,
                Err(_) => Err(Moved::SourceLost),
            };
        }
    }

    /// Writes the beginning of the buffer and keeps what the sink does not take. `last`: the end comes right after it, in the same packet.
    pub(super) fn write(&mut self, to: BorrowedFd<'_>, tools: &mut Tools, count: usize, last: bool) -> Moved {
        let flags = if last { SendFlags::NOSIGNAL | SendFlags::MORE } else { SendFlags::NOSIGNAL };
        loop {
            match send(to, &tools.buffer[..count], flags) {
                Ok(written) => {
                    self.bytes += written as u64;
                    if written == count {
                        return Moved::Ended;
                    }
                    self.left = Some(tools.keep(written, count));
                }
                Err(Errno::AGAIN) => self.left = Some(tools.keep(0, count)),
                Err(Errno::INTR) => continue,
                Err(_) => return self.lose_sink(tools),
            }
            (self.blocked, self.bulk) = (true, 0);
            return Moved::Waits;
        }
    }

    /// Writes what waits. `Ended`: nothing waits any longer.
    pub(super) fn flush(&mut self, to: BorrowedFd<'_>, tools: &mut Tools) -> Moved {
        if self.left.is_some() {
            match self.flush_left(to, tools) {
                Moved::Ended => {}
                other => return other,
            }
        }
        if self.pipe.is_some() { self.splice_out(to, tools) } else { Moved::Ended }
    }

    fn flush_left(&mut self, to: BorrowedFd<'_>, tools: &mut Tools) -> Moved {
        let Some(mut left) = self.left.take() else { return Moved::Ended };
        while !self.blocked && !left.rest().is_empty() {
            match send(to, left.rest(), SendFlags::NOSIGNAL) {
                Ok(count) => {
                    self.bytes += count as u64;
                    tools.written(&mut left, count);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.blocked = true,
                Err(_) => {
                    tools.give_back(left);
                    return self.lose_sink(tools);
                }
            }
        }
        if left.rest().is_empty() {
            tools.give_back(left);
            return Moved::Ended;
        }
        self.left = Some(left);
        Moved::Waits
    }

    fn lose_sink(&mut self, tools: &mut Tools) -> Moved {
        self.sink_gone = true;
        self.release(tools);
        Moved::SinkLost
    }

    /// From the source into a pipe that is empty. `Again`: the pipe holds something, or the way goes on by copying.
    fn splice_in(&mut self, from: BorrowedFd<'_>, tools: &mut Tools) -> Moved {
        // Without a pipe it goes on by copying.
        let Ok(mut pipe) = tools.pipe() else {
            self.bulk = 0;
            return Moved::Again;
        };
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let moved = splice(from, None, &pipe.write, None, PIECE_BYTES, flags);
        match moved {
            Ok(0) => {
                (self.ended, self.readable) = (true, false);
                tools.give_back_pipe(pipe);
                Moved::Again
            }
            Ok(count) => {
                if count < SPLICE_BYTES_MIN {
                    self.bulk = 0;
                }
                pipe.filled = count;
                self.pipe = Some(pipe);
                Moved::Again
            }
            Err(Errno::AGAIN) => {
                self.readable = false;
                tools.give_back_pipe(pipe);
                Moved::Waits
            }
            Err(Errno::INTR) => {
                tools.give_back_pipe(pipe);
                Moved::Again
            }
            // A socket that cannot splice says so with EINVAL; what is wrong otherwise is told by the next read.
            Err(_) => {
                self.bulk = 0;
                tools.give_back_pipe(pipe);
                Moved::Again
            }
        }
    }

    fn splice_out(&mut self, to: BorrowedFd<'_>, tools: &mut Tools) -> Moved {
        let Some(mut pipe) = self.pipe.take() else { return Moved::Ended };
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        while !self.blocked && pipe.filled > 0 {
            match splice(&pipe.read, None, to, None, pipe.filled, flags) {
                Ok(count) => {
                    self.bytes += count as u64;
                    pipe.filled = pipe.filled.saturating_sub(count.max(1));
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.blocked = true,
                Err(_) => return self.lose_sink(tools),
            }
        }
        if pipe.filled == 0 {
            tools.give_back_pipe(pipe);
            return Moved::Ended;
        }
        self.pipe = Some(pipe);
        Moved::Waits
    }

    /// Gives back what it holds; nothing that waits is written any longer.
    pub(super) fn release(&mut self, tools: &mut Tools) {
        if let Some(left) = self.left.take() {
            tools.give_back(left);
        }
        if let Some(pipe) = self.pipe.take() {
            tools.give_back_pipe(pipe);
        }
    }
}

/// Moved into a pipe at once.
const PIECE_BYTES: usize = 1024 * 1024;
