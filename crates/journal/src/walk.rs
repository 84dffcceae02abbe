//! Owns the walk through one segment from record to record, and the search for records behind a bad one.
//! Knows no files and no segments but this one. Always holds: a record is shown only when header and payload are true.

use std::io;

use memchr::memmem;

use crate::batch::RECORD_HEADER_BYTES;
use crate::position::{Position, SegmentNo};
use crate::record::{self, Format, Header, MAGIC, MAGIC_OFFSET};
use crate::windows::Windows;

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// Offset of the seal, or of the first thing that is no record.
    pub(crate) at: u64,
    pub(crate) sealed: bool,
    /// Everything before was synced when the last record (or the seal) was written.
    pub(crate) durable: u64,
    /// Running checksum of the headers of the records walked over, without the seal's.
    pub(crate) chain: u32,
    /// The same with the seal's.
    pub(crate) chain_sealed: u32,
}

/// Shows the records of a segment from offset `from` on, where the windows begin, up to its seal or the first bad one.
pub(crate) fn walk(
    windows: &mut dyn Windows,
    format: &Format,
    segment: SegmentNo,
    from: u64,
    show: &mut dyn FnMut(&Header, &[u8]),
) -> io::Result<End> {
    let start = format.start(segment).0;
    let mut cursor = Cursor { windows, window: Vec::new(), used: 0, carry: Vec::new() };
    let mut end = End { at: from, sealed: false, durable: from, chain: 0, chain_sealed: 0 };
    loop {
        let Some(bytes) = cursor.peek(RECORD_HEADER_BYTES)? else { return Ok(end) };
        let position = Position(start + end.at);
        let Some(header) = Header::decode(format, position, bytes) else { return Ok(end) };
        let total = header.total();
        let Some(whole) = cursor.peek(total)? else { return Ok(end) };
        if !header.fits(&whole[RECORD_HEADER_BYTES..]) {
            return Ok(end);
        }
        end.durable = end.at - u64::from(header.durable_back);
        let chain = record::chain(end.chain, whole);
        if header.ends_segment() {
            (end.sealed, end.chain_sealed) = (true, chain);
            return Ok(end);
        }
        end.chain = chain;
        show(&header, &whole[RECORD_HEADER_BYTES..]);
        cursor.advance(total);
        end.at += total as u64;
    }
}

/// What stands behind a bad record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Behind {
    /// Offset of the next true header.
    pub(crate) next: Option<u64>,
    /// The highest offset up to which some true header says that all was synced.
    pub(crate) durable: u64,
}

/// Looks for true headers from offset `from` on, where the windows begin. `all` looks at every one, for their `durable`;
/// otherwise the first is enough.
pub(crate) fn search(
    windows: &mut dyn Windows,
    format: &Format,
    segment: SegmentNo,
    from: u64,
    all: bool,
) -> io::Result<Behind> {
    let start = format.start(segment).0;
    let finder = memmem::Finder::new(&MAGIC);
    let mut behind = Behind::default();
    let (mut window, mut text, mut text_at) = (Vec::new(), Vec::new(), from);
    while windows.next(&mut window)? {
        text.extend_from_slice(&window);
        for found in finder.find_iter(&text) {
            let Some(at) = found.checked_sub(MAGIC_OFFSET) else { continue };
            let offset = text_at + at as u64;
            let Some(header) = Header::decode(format, Position(start + offset), &text[at..]) else {
                continue;
            };
            behind.next.get_or_insert(offset);
            behind.durable = behind.durable.max(offset - u64::from(header.durable_back));
            if !all {
                return Ok(behind);
            }
        }
        // A header may stand across the edge of two windows. One that was whole is merely found again.
        let keep = text.len().min(RECORD_HEADER_BYTES - 1);
        text_at += (text.len() - keep) as u64;
        text.drain(..text.len() - keep);
    }
    Ok(behind)
}

/// A place in a row of windows. What stands across an edge is put together in `carry`.
struct Cursor<'a> {
    windows: &'a mut dyn Windows,
    window: Vec<u8>,
    used: usize,
    carry: Vec<u8>,
}

impl Cursor<'_> {
    /// The next `n` bytes, or `None` when there are fewer.
    fn peek(&mut self, n: usize) -> io::Result<Option<&[u8]>> {
        if self.carry.is_empty() && self.window.len() - self.used >= n {
            return Ok(Some(&self.window[self.used..self.used + n]));
        }
        while self.carry.len() < n {
            if self.used == self.window.len() {
                if !self.windows.next(&mut self.window)? {
                    return Ok(None);
                }
                self.used = 0;
                if self.carry.is_empty() && self.window.len() >= n {
                    return Ok(Some(&self.window[..n]));
                }
            }
            let step = (n - self.carry.len()).min(self.window.len() - self.used);
            self.carry.extend_from_slice(&self.window[self.used..self.used + step]);
            self.used += step;
        }
        Ok(Some(&self.carry[..n]))
    }

    /// Goes behind the bytes that the last `peek` showed.
    fn advance(&mut self, n: usize) {
        if self.carry.is_empty() {
            self.used += n;
        } else {
            self.carry.clear();
        }
    }
}
