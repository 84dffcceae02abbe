//! Dot-stuffing (RFC 5321 4.5.2) without copying: a dot at the start of a line is sent twice by letting two ranges overlap on it.
//!
//! Knows no sockets. Always holds: the ranges, joined, are the stuffed body, for every way to cut the body into parts.

use core::ops::Range;
use memchr::memmem::Finder;

/// Stuffs one body that comes in parts.
pub struct Stuffer {
    line_dot: Finder<'static>,
    last: [u8; 2],
}

/// How a body ended, which decides what must stand before the final dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEnd {
    /// With CRLF, or it was empty.
    Line,
    /// Within a line: CRLF is put before the dot.
    MidLine,
}

impl Stuffer {
    /// For a new body.
    pub fn new() -> Stuffer {
        // A dot behind a bare LF is stuffed too: mail with a bare LF does not leave us, and if it did, no peer may take
        // LF.CRLF for the end of the message.
        Stuffer { line_dot: Finder::new(b"\n."), last: *b"\r\n" }
    }

    /// The next part: `each` gets the ranges of `part` that are to be sent, in order. One range when nothing needs stuffing.
    pub fn part(&mut self, part: &[u8], mut each: impl FnMut(Range<usize>)) {
        let mut start = 0;
        if self.last[1] == b'\n' && part.first() == Some(&b'.') {
            each(0..1);
        }
        let mut searched = 0;
        while let Some(found) = self.line_dot.find(&part[searched..]) {
            let dot = searched + found + 1;
            each(start..dot + 1);
            start = dot;
            searched = dot + 1;
        }
        if start < part.len() {
            each(start..part.len());
        }
        match *part {
            [] => {}
            [only] => self.last = [self.last[1], only],
            [.., before, last] => self.last = [before, last],
        }
    }

    /// How the body ended.
    pub fn end(&self) -> BodyEnd {
        if self.last == *b"\r\n" { BodyEnd::Line } else { BodyEnd::MidLine }
    }
}

impl Default for Stuffer {
    fn default() -> Stuffer {
        Stuffer::new()
    }
}

impl BodyEnd {
    /// What ends DATA behind this body.
    pub(super) fn terminator(self) -> &'static [u8] {
        match self {
            BodyEnd::Line => b".\r\n",
            BodyEnd::MidLine => b"\r\n.\r\n",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn stuffed(parts: &[&[u8]]) -> (Vec<u8>, BodyEnd) {
        let mut stuffer = Stuffer::new();
        let mut out = Vec::new();
        for part in parts {
            stuffer.part(part, |range| out.extend_from_slice(&part[range]));
        }
        (out, stuffer.end())
    }

    #[test]
    fn dots_at_line_starts_are_doubled_and_no_others() {
        let (out, end) = stuffed(&[b".\r\n..a.\r\nb.\r\n."]);
        assert_eq!(out, b"..\r\n...a.\r\nb.\r\n..");
        assert_eq!(end, BodyEnd::MidLine);
        assert_eq!(stuffed(&[]), (Vec::new(), BodyEnd::Line));
        assert_eq!(stuffed(&[b"a\r", b"\n"]).1, BodyEnd::Line);
        let mut pieces = 0;
        Stuffer::new().part(b"nothing.\r\nto stuff\r\n", |_| pieces += 1);
        assert_eq!(pieces, 1);
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(body in "[a.\r\n]{0,40}", cuts in proptest::collection::vec(0usize..40, 0..4)) {
            let body = body.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(body.len())).chain([0, body.len()]).collect();
            cuts.sort_unstable();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|w| &body[w[0]..w[1]]).collect();
            prop_assert_eq!(stuffed(&parts), stuffed(&[body]));
        }
    }
}
