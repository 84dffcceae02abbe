//! Reads replies (RFC 5321 4.2) from a peer's bytes, however they are cut.
//!
//! Owns the bounds of a reply. Knows no commands. Always holds: a whole reply of one line that came in one piece is not copied.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use mail::{Enhanced, Reply};
use memchr::memchr;

/// Longest line of a reply, CRLF included. RFC 5321 4.5.3.1.5 allows 512; there are peers that do not keep to it.
pub const REPLY_LINE_MAX: usize = 2048;
/// Most lines in one reply.
pub const REPLY_LINES_MAX: usize = 100;

/// Cuts a peer's bytes into replies.
#[derive(Default)]
pub struct ReplyReader {
    /// Lines and the part of a line that wait for the rest of their reply.
    held: Vec<u8>,
    /// Where the line that is not ended yet begins in `held`.
    line_start: usize,
    lines: usize,
    /// `held` is a reply that was handed out.
    spent: bool,
}

/// One whole reply, as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard<'a> {
    /// Three digits, 200 to 599.
    pub code: u16,
    lines: &'a [u8],
}

/// What came is not a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// A line does not begin with a code from 200 to 599 and a space or hyphen.
    Code,
    /// The lines of one reply have different codes.
    Mixed,
    /// A line is longer than [`REPLY_LINE_MAX`].
    LineTooLong,
    /// A reply has more lines than [`REPLY_LINES_MAX`].
    TooManyLines,
}

impl ReplyReader {
    /// Nothing read yet.
    pub fn new() -> ReplyReader {
        ReplyReader::default()
    }

    /// Takes the next whole reply from the front of `input`; `None` once `input` is used up.
    pub fn next<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Result<Option<Heard<'s>>, Malformed> {
        if self.spent {
            self.clear();
        }
        while let Some(end) = memchr(b'\n', input) {
            let (taken, rest) = input.split_at(end + 1);
            *input = rest;
            let alone = self.held.is_empty();
            if !alone {
                self.held.extend_from_slice(taken);
            }
            let line = if alone { taken } else { &self.held[self.line_start..] };
            if line.len() > REPLY_LINE_MAX {
                return Err(Malformed::LineTooLong);
            }
            let (code, last) = prefix(line)?;
            if alone && last {
                return Ok(Some(Heard { code, lines: taken }));
            }
            if alone {
                self.held.extend_from_slice(taken);
            }
            self.lines += 1;
            if self.line_start > 0 && prefix(&self.held)?.0 != code {
                return Err(Malformed::Mixed);
            }
            if last {
                self.spent = true;
                return Ok(Some(Heard { code, lines: &self.held }));
            }
            if self.lines >= REPLY_LINES_MAX {
                return Err(Malformed::TooManyLines);
            }
            self.line_start = self.held.len();
        }
        if self.held.len() - self.line_start + input.len() > REPLY_LINE_MAX {
            return Err(Malformed::LineTooLong);
        }
        self.held.extend_from_slice(input);
        *input = &[];
        Ok(None)
    }

    /// Forgets what was read and not handed out.
    pub fn clear(&mut self) {
        self.held.clear();
        (self.line_start, self.lines, self.spent) = (0, 0, false);
    }
}

impl<'a> Heard<'a> {
    /// 2xx.
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// The text of each line behind its code, line ends left out.
    pub fn texts(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.lines.split_inclusive(|b| *b == b'\n').map(|line| line.trim_ascii_end().get(4..).unwrap_or_default())
    }

    /// The reply as a value: control characters become spaces, what is not UTF-8 is replaced.
    pub fn to_reply(&self) -> Reply {
        let mut enhanced = None;
        let mut joined = String::new();
        for (number, line) in self.texts().enumerate() {
            let line = String::from_utf8_lossy(line);
            let (code, text) = match Enhanced::split(&line) {
                Some((code, text)) if u16::from(code.class) == self.code / 100 => (Some(code), text),
                _ => (None, &*line),
            };
            if number == 0 {
                enhanced = code;
            } else {
                joined.push('\n');
            }
            // A code that only a later line has is part of its text.
            let text = if code == enhanced { text } else { &line };
            joined.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
        }
        Reply { code: self.code, enhanced, text: Cow::Owned(joined) }
    }
}

/// The code of a line, and whether it is the last of its reply.
fn prefix(line: &[u8]) -> Result<(u16, bool), Malformed> {
    let (digits, rest) = line.split_first_chunk::<3>().ok_or(Malformed::Code)?;
    if !matches!(digits, [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9']) {
        return Err(Malformed::Code);
    }
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    match rest {
        [b'-', ..] => Ok((code, false)),
        [b' ' | b'\r' | b'\n', ..] => Ok((code, true)),
        _ => Err(Malformed::Code),
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::Code => f.write_str("a line without a reply code"),
            Malformed::Mixed => f.write_str("a reply with two codes"),
            Malformed::LineTooLong => write!(f, "a reply line longer than {REPLY_LINE_MAX} octets"),
            Malformed::TooManyLines => write!(f, "a reply of more than {REPLY_LINES_MAX} lines"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Replies, and how reading ended.
    fn read(parts: &[&[u8]]) -> (Vec<Reply>, Option<Malformed>) {
        let mut reader = ReplyReader::new();
        let mut replies = Vec::new();
        for part in parts {
            let mut rest = *part;
            loop {
                match reader.next(&mut rest) {
                    Ok(Some(heard)) => replies.push(heard.to_reply()),
                    Ok(None) => break,
                    Err(malformed) => return (replies, Some(malformed)),
                }
            }
        }
        (replies, None)
    }

    #[test]
    fn one_line_many_lines_and_enhanced_codes() {
        let (replies, end) =
            read(&[b"250 2.1.0 ok\r\n550-5.1.1 no\r\n550 5.1.1 such\x07 \xffuser\r\n354\r\n250 4.1.1 odd\n"]);
        assert_eq!(end, None);
        assert_eq!(replies[0], Reply::of(250, Enhanced::new(2, 1, 0), "ok"));
        assert_eq!(replies[1], Reply::of(550, Enhanced::new(5, 1, 1), "no\nsuch  \u{fffd}user"));
        assert_eq!(replies[2], Reply::plain(354, ""));
        assert_eq!(replies[3], Reply::plain(250, "4.1.1 odd"));
    }

    #[test]
    fn what_is_no_reply_ends_it() {
        assert_eq!(read(&[b"hello\r\n"]).1, Some(Malformed::Code));
        assert_eq!(read(&[b"199 x\r\n"]).1, Some(Malformed::Code));
        assert_eq!(read(&[b"25\r\n"]).1, Some(Malformed::Code));
        assert_eq!(read(&[b"250x\r\n"]).1, Some(Malformed::Code));
        assert_eq!(read(&[b"250-a\r\n251 b\r\n"]).1, Some(Malformed::Mixed));
        assert_eq!(read(&[&[b'2'; REPLY_LINE_MAX], b"22"]).1, Some(Malformed::LineTooLong));
        assert_eq!(read(&[&b"250-a\r\n".repeat(REPLY_LINES_MAX + 1)]).1, Some(Malformed::TooManyLines));
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(text in "(25[0-1][ -][a.5 ]{0,9}\r?\n){0,8}[2-5 -]{0,5}", cuts in proptest::collection::vec(0usize..99, 0..6)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).chain([0, bytes.len()]).collect();
            cuts.sort_unstable();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            prop_assert_eq!(read(&parts), read(&[bytes]));
        }
    }
}
