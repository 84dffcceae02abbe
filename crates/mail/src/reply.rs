//! SMTP replies as values (RFC 5321 4.2) with enhanced status codes (RFC 3463).

use crate::decimal;
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// An enhanced status code, `class.subject.detail` (RFC 3463).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Enhanced {
    /// 2 success, 4 later, 5 never.
    pub class: u8,
    /// Subject, 0 to 999.
    pub subject: u16,
    /// Detail, 0 to 999.
    pub detail: u16,
}

impl Enhanced {
    /// Writes `5.1.1` as `Enhanced::new(5, 1, 1)`.
    pub const fn new(class: u8, subject: u16, detail: u16) -> Enhanced {
        Enhanced { class, subject, detail }
    }

    /// Reads `5.1.1` at the start of a reply's text; gives the code and the rest behind one space.
    pub fn split(text: &str) -> Option<(Enhanced, &str)> {
        let (code, rest) = text.split_once(' ').unwrap_or((text, ""));
        let mut parts = code.split('.');
        let class = parts.next()?;
        let (subject, detail) = (number(parts.next()?)?, number(parts.next()?)?);
        if parts.next().is_some() || !matches!(class, "2" | "4" | "5") {
            return None;
        }
        Some((Enhanced::new(class.as_bytes()[0] - b'0', subject, detail), rest))
    }
}

impl fmt::Display for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// One reply of one or more lines, ours or a peer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Three digits, 200 to 599.
    pub code: u16,
    /// The enhanced status code, where there is one.
    pub enhanced: Option<Enhanced>,
    /// The text; lines are separated by `\n`, and hold no CR, LF or NUL of their own.
    pub text: Cow<'static, str>,
}

impl Reply {
    /// A reply of one line with an enhanced status code.
    pub const fn new(code: u16, enhanced: Enhanced, text: &'static str) -> Reply {
        Reply { code, enhanced: Some(enhanced), text: Cow::Borrowed(text) }
    }

    /// The same with text made at run time; control characters in it become spaces, `\n` separates lines.
    pub fn of(code: u16, enhanced: Enhanced, text: impl Into<String>) -> Reply {
        let text = text.into().chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect::<String>();
        Reply { code, enhanced: Some(enhanced), text: Cow::Owned(text) }
    }

    /// A reply without an enhanced status code (greeting, EHLO, 334, 354).
    pub fn plain(code: u16, text: impl Into<Cow<'static, str>>) -> Reply {
        Reply { code, enhanced: None, text: text.into() }
    }

    /// 2xx.
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// 4xx: later.
    pub fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5xx: never.
    pub fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// Writes the reply as it goes over the wire, every line ended by CRLF; `enhanced` false leaves the enhanced code out.
    pub fn write_to(&self, out: &mut Vec<u8>, enhanced: bool) {
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            let separator = if lines.peek().is_some() { b'-' } else { b' ' };
            let digits = [
                b'0' + (self.code / 100 % 10) as u8,
                b'0' + (self.code / 10 % 10) as u8,
                b'0' + (self.code % 10) as u8,
            ];
            out.extend_from_slice(&digits);
            out.push(separator);
            if let (Some(code), true) = (self.enhanced, enhanced) {
                decimal::write(out, code.class.into());
                out.push(b'.');
                decimal::write(out, code.subject.into());
                out.push(b'.');
                decimal::write(out, code.detail.into());
                out.push(b' ');
            }
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

impl fmt::Display for Reply {
    /// One line, as an operator reads it in a log: `550 5.1.1 no such user`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        for line in self.text.split('\n') {
            write!(f, " {line}")?;
        }
        Ok(())
    }
}

fn number(text: &str) -> Option<u16> {
    let sound = !text.is_empty() && text.len() <= 3 && text.bytes().all(|b| b.is_ascii_digit());
    if sound { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_reply_of_two_lines_on_the_wire_and_in_a_log() {
        let reply = Reply::of(451, Enhanced::new(4, 3, 0), "one\ntwo\r");
        let mut wire = Vec::new();
        reply.write_to(&mut wire, true);
        assert_eq!(wire, b"451-4.3.0 one\r\n451 4.3.0 two \r\n");
        assert_eq!(reply.to_string(), "451 4.3.0 one two ");
    }

    #[test]
    fn enhanced_codes_are_read_strictly() {
        assert_eq!(Enhanced::split("5.1.1 gone"), Some((Enhanced::new(5, 1, 1), "gone")));
        assert_eq!(Enhanced::split("5.1.1"), Some((Enhanced::new(5, 1, 1), "")));
        for bad in ["3.1.1 x", "5.1 x", "5.1.1.1 x", "5.1000.1 x", "hello", "", "5..1 x"] {
            assert_eq!(Enhanced::split(bad), None, "{bad}");
        }
    }
}
