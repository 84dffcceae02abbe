//! Command lines out of bytes. A line ends in CRLF and nowhere else; one that holds a CR or LF of its own is never handed out.
//!
//! Keeps only the part of a line that came without its end, within a bound; a line that is whole in the input is not copied.

use alloc::vec::Vec;
use memchr::memchr;

/// Collects command lines.
#[derive(Debug, Default)]
pub(super) struct LineReader {
    kept: Vec<u8>,
    /// The rest of a bad line is being skipped, up to its CRLF; so many bytes so far.
    skipped: Option<usize>,
    skipped_cr: bool,
}

/// What [`LineReader::next`] found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// A line, without its CRLF.
    Whole(&'a [u8]),
    /// A line with a CR or LF of its own: told once, at its first LF. The rest is skipped.
    Bare,
    /// A line longer than its bound: told once. The rest is skipped.
    TooLong,
    /// A bad line that goes on for more than [`SKIP_BYTES_MAX`].
    Flood,
    /// All input was used; the line goes on.
    More,
}

impl LineReader {
    /// Looks for the next line, of at most `bytes_max` with its CRLF; one that starts with AUTH may always have [`AUTH_LINE_BYTES_MAX`].
    pub(super) fn next<'a>(&'a mut self, input: &'a [u8], bytes_max: usize) -> (usize, Line<'a>) {
        if let Some(skipped) = self.skipped {
            return self.skip(input, skipped);
        }
        if !self.kept.is_empty() && self.kept.ends_with(b"\r\n") {
            self.forget(); // the line that was handed out last
        }
        let bytes_max = if self.starts_with_auth(input) { AUTH_LINE_BYTES_MAX } else { bytes_max };
        let end = memchr(b'\n', input).map(|at| at + 1);
        if self.kept.len() + end.unwrap_or(input.len()) > bytes_max {
            let fits = bytes_max - self.kept.len();
            let ends_in_cr = input[..fits].last().or(self.kept.last()) == Some(&b'\r');
            self.start_skip(ends_in_cr);
            return (fits, Line::TooLong);
        }
        let Some(end) = end else {
            self.kept.extend_from_slice(input);
            return (input.len(), Line::More);
        };
        let ends_well = input[..end - 1].last().or(self.kept.last()) == Some(&b'\r');
        if !ends_well {
            self.start_skip(false);
            return (end, Line::Bare);
        }
        let line = if self.kept.is_empty() {
            &input[..end]
        } else {
            self.kept.extend_from_slice(&input[..end]);
            &self.kept[..]
        };
        let line = &line[..line.len() - 2];
        (end, if memchr(b'\r', line).is_some() { Line::Bare } else { Line::Whole(line) })
    }

    /// Drops what is kept: nothing that came before counts.
    pub(super) fn clear(&mut self) {
        *self = LineReader::default();
    }

    /// Bytes that are held for lines.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.kept.capacity()
    }

    fn forget(&mut self) {
        self.kept.clear();
        if self.kept.capacity() > LINE_BYTES_MAX {
            self.kept = Vec::new();
        }
    }

    fn start_skip(&mut self, ends_in_cr: bool) {
        self.forget();
        self.skipped = Some(0);
        self.skipped_cr = ends_in_cr;
    }

    fn skip(&mut self, input: &[u8], mut skipped: usize) -> (usize, Line<'static>) {
        let mut at = 0;
        while let Some(lf) = memchr(b'\n', &input[at..]).map(|found| at + found) {
            let ends_well = if lf == 0 { self.skipped_cr } else { input[lf - 1] == b'\r' };
            if ends_well && skipped + lf < SKIP_BYTES_MAX {
                self.skipped = None;
                return (lf + 1, Line::More);
            }
            at = lf + 1;
        }
        skipped += input.len();
        self.skipped = Some(skipped);
        if let Some(last) = input.last() {
            self.skipped_cr = *last == b'\r';
        }
        (input.len(), if skipped >= SKIP_BYTES_MAX { Line::Flood } else { Line::More })
    }

    fn starts_with_auth(&self, input: &[u8]) -> bool {
        let start = self.kept.iter().chain(input).take(5).map(u8::to_ascii_uppercase);
        start.eq(*b"AUTH ")
    }
}

/// A command line with its CRLF: 512 of RFC 5321 4.5.3.1.4 and what the extensions that we offer add to it.
pub const LINE_BYTES_MAX: usize = 2048;

/// A line of AUTH or of its exchange with its CRLF (RFC 4954 4).
pub const AUTH_LINE_BYTES_MAX: usize = 12288;

/// A bad line is skipped for so long before the session is ended.
pub const SKIP_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    /// What a reader says of `input` when it comes in pieces of `size`.
    fn read(input: &[u8], size: usize) -> Vec<String> {
        let mut reader = LineReader::default();
        let mut said = vec![];
        for mut piece in input.chunks(size) {
            while !piece.is_empty() {
                let (used, line) = reader.next(piece, LINE_BYTES_MAX);
                match line {
                    Line::Whole(line) => said.push(String::from_utf8_lossy(line).into_owned()),
                    Line::More => {}
                    other => said.push(alloc::format!("{other:?}")),
                }
                piece = &piece[used..];
            }
        }
        said
    }
    use alloc::string::String;

    #[test]
    fn only_crlf_ends_a_line() {
        let table: &[(&[u8], &[&str])] = &[
            (b"NOOP\r\nQUIT\r\n", &["NOOP", "QUIT"]),
            (b"NOOP\nQUIT\r\nRSET\r\n", &["Bare", "RSET"]),
            (b"NOOP\rQUIT\r\nRSET\r\n", &["Bare", "RSET"]),
            (b"NOOP\r\r\nRSET\r\n", &["Bare", "RSET"]),
            (b"\n\nNOOP\n\r\nRSET\r\n", &["Bare", "RSET"]),
            (b"\r\nRSET\r\n", &["", "RSET"]),
        ];
        for (input, lines) in table {
            for size in 1..=input.len() {
                assert_eq!(read(input, size), *lines, "{} in pieces of {size}", input.escape_ascii());
            }
        }
    }

    #[test]
    fn a_long_line_is_told_once_and_skipped() {
        let line =
            |verb: &str, bytes: usize| [verb.as_bytes(), &vec![b'x'; bytes - verb.len() - 2][..], b"\r\n"].concat();
        for (verb, bytes_max) in [("NOOP ", LINE_BYTES_MAX), ("auth ", AUTH_LINE_BYTES_MAX)] {
            let fits = [&line(verb, bytes_max)[..], b"RSET\r\n"].concat();
            let over = [&line(verb, bytes_max + 1)[..], b"RSET\r\n"].concat();
            for size in [1, 2, 3, 1000, 2047, 2048, 2049, 4096, 1 << 20] {
                assert_eq!(read(&fits, size).len(), 2);
                assert_eq!(read(&over, size), ["TooLong", "RSET"]);
            }
        }
    }

    #[test]
    fn a_line_without_end_is_a_flood() {
        let mut input = vec![b'x'; LINE_BYTES_MAX + 1 + SKIP_BYTES_MAX];
        input.extend_from_slice(b"\r\n");
        for size in [1, 1000, LINE_BYTES_MAX + 1] {
            assert_eq!(read(&input, size)[..2], ["TooLong", "Flood"], "{size}");
        }
    }
}
