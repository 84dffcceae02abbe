//! Message content as it streams in: dot unstuffing, the two bench header fields, the body's digest.
//!
//! Keeps the header (bounded) and never the body.

use memchr::memmem::Finder;

use crate::letter::{DIGEST_FIELD, Digest, ID_FIELD};

/// The end of DATA found, or not yet.
#[derive(Debug, PartialEq, Eq)]
pub enum Dotted {
    /// All bytes belong to the content, which goes on.
    More,
    /// The content ended; so many bytes were used.
    Ended(usize),
}

/// One message's content.
#[derive(Debug, Default)]
pub struct Content {
    state: State,
    header: Vec<u8>,
    in_body: bool,
    body: Digest,
}

/// Where in a line the next byte of dot-stuffed content is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    LineStart,
    Inside,
    Cr,
    Dot,
    DotCr,
}

impl Content {
    /// Ready for another message.
    pub fn clear(&mut self) {
        self.header.clear();
        (self.state, self.in_body, self.body) = (State::LineStart, false, Digest::default());
    }

    /// Takes bytes of DATA, up to and with the final CRLF.CRLF.
    pub fn dotted(&mut self, bytes: &[u8], finder: &Finder<'_>) -> Dotted {
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            self.state = match (self.state, byte) {
                (State::LineStart, b'.') => State::Dot,
                (State::Dot, b'\r') => State::DotCr,
                (State::DotCr, b'\n') => return Dotted::Ended(at + 1),
                (State::Cr, b'\n') => {
                    self.plain(b"\n");
                    State::LineStart
                }
                (state, _) => {
                    if state == State::DotCr {
                        self.plain(b"\r");
                    }
                    // The bulk: all up to the next line that begins with a dot, or to the end.
                    let part = &bytes[at..];
                    let (len, next) = match finder.find(part) {
                        Some(found) => (found + 2, State::LineStart),
                        None => (part.len(), ending(part)),
                    };
                    self.plain(&part[..len]);
                    at += len;
                    self.state = next;
                    continue;
                }
            };
            at += 1;
        }
        Dotted::More
    }

    /// Takes bytes of content that are not dot-stuffed (BDAT).
    pub fn plain(&mut self, bytes: &[u8]) {
        if self.in_body {
            self.body = self.body.with(bytes);
            return;
        }
        let from = self.header.len().saturating_sub(3);
        self.header.extend_from_slice(bytes);
        let end = match self.header.starts_with(b"\r\n") {
            true => Some(2),
            false => memchr::memmem::find(&self.header[from..], b"\r\n\r\n").map(|found| from + found + 4),
        };
        if let Some(end) = end {
            self.body = Digest::default().with(&self.header[end..]);
            self.header.truncate(end);
            self.in_body = true;
        } else if self.header.len() > MOST_HEADER {
            self.in_body = true;
        }
    }

    /// The id in the header; `-` when there is none.
    pub fn id(&self) -> &str {
        self.field(ID_FIELD)
    }

    /// The digest in the header; `-` when there is none.
    pub fn promised(&self) -> &str {
        self.field(DIGEST_FIELD)
    }

    /// The digest of the body that came.
    pub fn body(&self) -> Digest {
        self.body
    }

    fn field(&self, name: &str) -> &str {
        let mut lines = self.header.split(|byte| *byte == b'\n');
        let value = lines.find_map(|line| {
            let (key, value) = line.split_at_checked(name.len())?;
            key.eq_ignore_ascii_case(name.as_bytes()).then_some(value.strip_prefix(b":")?)
        });
        let value = value.and_then(|value| std::str::from_utf8(value).ok()).map(str::trim);
        value.filter(|value| !value.is_empty() && !value.contains(' ')).unwrap_or("-")
    }
}

/// What the finder given to `dotted` looks for.
pub const LINE_THEN_DOT: &[u8] = b"\r\n.";

fn ending(part: &[u8]) -> State {
    match part {
        [.., b'\r', b'\n'] => State::LineStart,
        [.., b'\r'] => State::Cr,
        _ => State::Inside,
    }
}

const MOST_HEADER: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(wire: &[u8], step: usize) -> (Content, usize) {
        let finder = Finder::new(LINE_THEN_DOT);
        let mut content = Content::default();
        let mut used = 0;
        for part in wire.chunks(step) {
            match content.dotted(part, &finder) {
                Dotted::More => used += part.len(),
                Dotted::Ended(count) => return (content, used + count),
            }
        }
        panic!("no end in {wire:?} by {step}");
    }

    #[test]
    fn every_split_gives_the_same_body_and_the_same_end() {
        let wire =
            b"X-Bench-Id: a-1\r\nx-bench-digest: 00-1\r\n\r\n..one\r\n\r\n..\r\n..\rx\r\n\r.\r\n. \n.\r\n.\r\nQUIT\r\n";
        let body = b".one\r\n\r\n.\r\n.\rx\r\n\r.\r\n \n.\r\n";
        for step in 1..wire.len() {
            let (content, used) = fed(wire, step);
            assert_eq!(&wire[used..], b"QUIT\r\n", "by {step}");
            assert_eq!(content.body(), Digest::default().with(body), "by {step}");
            assert_eq!((content.id(), content.promised()), ("a-1", "00-1"));
        }
    }

    #[test]
    fn a_body_that_changed_has_another_digest() {
        let (content, _) = fed(b"\r\nabc\r\n.\r\n", 4);
        assert_eq!(content.body(), Digest::default().with(b"abc\r\n"));
        assert_ne!(content.body(), Digest::default().with(b"abd\r\n"));
        assert_eq!(content.id(), "-");
    }
}
