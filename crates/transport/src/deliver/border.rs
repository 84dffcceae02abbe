//! What of a body stays here when it leaves the organization: the header firewall on the way out (behaviours 2.7). A body is not
//! copied for it: whoever sends it leaves ranges out.
//!
//! Knows no next hop: whoever makes a plan says what is dropped. Always holds: what was looked at is a body's whole header; the sizes
//! that a peer is told are those of what is sent.

use mail::firewall::{Drops, Firewall};
use spool::Body;
use std::io;

/// The parts of a body that are left out, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Cuts {
    ranges: Vec<(u64, u64)>,
    bytes: u64,
}

impl Cuts {
    /// Looks at the header of `body`. Blocks if it is not in memory; [`is_quick`] says so.
    pub fn of(body: &Body, drops: Drops) -> io::Result<Cuts> {
        let mut look = Look { firewall: Firewall::new(drops), at: 0, cuts: Cuts::default() };
        if let Some(bytes) = body.in_memory() {
            look.feed(bytes);
            return Ok(look.cuts);
        }
        let mut part = vec![0; PART_BYTES];
        let mut offset = 0;
        while !look.firewall.is_done() && offset < body.len() {
            let count = body.read(offset, &mut part).map_err(|error| io::Error::other(error.to_string()))?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            look.feed(&part[..count]);
            offset += count as u64;
        }
        Ok(look.cuts)
    }

    /// Bytes that are left out.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// From `offset` on: where the next part that is sent starts and how long it is, in a body of `len` bytes. `None` at its end.
    /// `next` is the number of the cut to look at, 0 at first.
    pub fn kept(&self, next: &mut usize, offset: u64, len: u64) -> Option<(u64, u64)> {
        let mut start = offset;
        while let Some((from, to)) = self.ranges.get(*next) {
            if start < *from {
                return Some((start, from - start));
            }
            start = start.max(*to);
            *next += 1;
        }
        (start < len).then(|| (start, len - start))
    }
}

/// Looking at it needs no thread that may block.
pub(super) fn is_quick(body: &Body, drops: Drops) -> bool {
    drops.is_nothing() || body.in_memory().is_some()
}

struct Look {
    firewall: Firewall,
    /// Bytes decided so far.
    at: u64,
    cuts: Cuts,
}

impl Look {
    fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !self.firewall.is_done()
            && let Some(piece) = self.firewall.next(&mut rest)
        {
            let end = self.at + piece.len() as u64;
            if piece.is_dropped {
                self.cuts.bytes += piece.len() as u64;
                match self.cuts.ranges.last_mut() {
                    Some((_, last)) if *last == self.at => *last = end,
                    _ => self.cuts.ranges.push((self.at, end)),
                }
            }
            self.at = end;
        }
    }
}

/// Read at once; most headers are shorter.
const PART_BYTES: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_not_counted_and_not_walked_over() {
        let message = b"X-Posthouse-A: 1\r\nFrom: a@b\r\nX-Posthouse-B: 2\r\n 3\r\nX-MS-Exchange-Forest-C: 4\r\nTo: c@d\r\n\r\nbody";
        for size in [1, 7, 1000] {
            let drops = Drops { organization: true, routing: false };
            let mut look = Look { firewall: Firewall::new(drops), at: 0, cuts: Cuts::default() };
            message.chunks(size).for_each(|part| look.feed(part));
            let cuts = look.cuts;
            let (mut sent, mut next, mut at) = (Vec::new(), 0, 0);
            while let Some((start, len)) = cuts.kept(&mut next, at, message.len() as u64) {
                // In steps of 5, as a full outbox makes them.
                let end = start + len.min(5);
                sent.extend_from_slice(&message[start as usize..end as usize]);
                at = end;
            }
            assert_eq!(String::from_utf8_lossy(&sent), "From: a@b\r\nTo: c@d\r\n\r\nbody");
            assert_eq!(cuts.bytes(), (message.len() - sent.len()) as u64);
            assert_eq!(cuts.ranges.len(), 2, "neighbours are one");
        }
    }
}
