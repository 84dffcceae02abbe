//! Line ends and dots of a body on its way: the one place that decides where a message ends (RFC 5321 4.1.1.4, 4.5.2).
//!
//! Only CRLF.CRLF ends DATA, whatever else looks like it. Runs are handed out as they stand in the input, as long as they are whole;
//! what must be written otherwise (a repaired line end, a CRLF cut in two) comes as a constant. Keeps no bytes.

use super::BareNewline;
use memchr::memchr2;

/// Reads a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text {
    at: At,
    dots: bool,
    bare: BareNewline,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Behind a true CRLF, or at the start.
    LineStart,
    /// Behind CRLF and a dot.
    Dot,
    /// Behind CRLF, a dot and a CR.
    DotCr,
    /// In a line, or behind a line end that was repaired: a dot means nothing here.
    Line,
    /// Behind a CR that was not handed out yet.
    Cr,
}

/// What comes next in a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'i> {
    /// Text.
    Bytes(&'i [u8]),
    /// A CR or LF of its own, where that is refused. It is not handed out.
    Bare,
    /// CRLF.CRLF was read to its last byte.
    End,
    /// All input was used.
    More,
}

impl Text {
    /// A body behind DATA: dots are unstuffed, CRLF.CRLF ends it.
    pub(super) fn dotted(bare: BareNewline) -> Text {
        Text { at: At::LineStart, dots: true, bare }
    }

    /// A body in chunks: its framing is not in the text.
    pub(super) fn chunked(bare: BareNewline) -> Text {
        Text { at: At::LineStart, dots: false, bare }
    }

    /// Reads on: bytes used, and what they say.
    pub(super) fn next<'i>(&mut self, input: &'i [u8]) -> (usize, Piece<'i>) {
        let mut used = 0;
        while let Some(byte) = input.get(used) {
            match (self.at, byte) {
                (At::LineStart, b'.') if self.dots => (self.at, used) = (At::Dot, used + 1),
                (At::Dot, b'\r') => (self.at, used) = (At::DotCr, used + 1),
                (At::DotCr, b'\n') => {
                    self.at = At::LineStart;
                    return (used + 1, Piece::End);
                }
                (At::Cr, b'\n') => {
                    self.at = At::LineStart;
                    return (used + 1, Piece::Bytes(CRLF));
                }
                (At::DotCr | At::Cr, _) => return (used, self.bare_line_end()),
                (At::LineStart | At::Dot | At::Line, _) => {
                    let (run, piece) = self.run(&input[used..]);
                    return (used + run, piece);
                }
            }
        }
        (used, Piece::More)
    }

    /// The last chunk is over: what a CR at the very end of it still has to say.
    pub(super) fn finish(&mut self) -> Option<Piece<'static>> {
        (self.at == At::Cr).then(|| self.bare_line_end())
    }

    /// Reads a run in a line. `input` is not empty and a dot at its start is text.
    fn run<'i>(&mut self, input: &'i [u8]) -> (usize, Piece<'i>) {
        let mut at = 0;
        self.at = At::Line;
        while let Some(found) = memchr2(b'\r', b'\n', &input[at..]) {
            let end = at + found;
            match (input[end], input.get(end + 1)) {
                (b'\r', Some(b'\n')) => {
                    at = end + 2;
                    if at == input.len() || (self.dots && input[at] == b'.') {
                        self.at = At::LineStart;
                        return (at, Piece::Bytes(&input[..at]));
                    }
                }
                (b'\r', None) => {
                    self.at = At::Cr;
                    return (end + 1, if end == 0 { Piece::More } else { Piece::Bytes(&input[..end]) });
                }
                _ if end > 0 => return (end, Piece::Bytes(&input[..end])),
                _ => return (1, self.bare_line_end()),
            }
        }
        (input.len(), Piece::Bytes(input))
    }

    fn bare_line_end(&mut self) -> Piece<'static> {
        self.at = At::Line;
        match self.bare {
            BareNewline::Reject => Piece::Bare,
            BareNewline::Repair => Piece::Bytes(CRLF),
        }
    }
}

const CRLF: &[u8] = b"\r\n";

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec::Vec;

    /// The text that came out, what was refused, and how many bytes the message took (`None`: it goes on).
    fn read(bare: BareNewline, input: &[u8], size: usize) -> (String, usize, Option<usize>) {
        let mut text = Text::dotted(bare);
        let (mut out, mut refused, mut taken) = (Vec::new(), 0, 0);
        for mut piece in input.chunks(size) {
            loop {
                let (used, found) = text.next(piece);
                piece = &piece[used..];
                taken += used;
                match found {
                    Piece::Bytes(bytes) => {
                        assert!(!bytes.is_empty());
                        out.extend_from_slice(bytes);
                    }
                    Piece::Bare => refused += 1,
                    Piece::End => return (String::from_utf8(out).unwrap(), refused, Some(taken)),
                    Piece::More => break,
                }
            }
            assert!(piece.is_empty());
        }
        (String::from_utf8(out).unwrap(), refused, None)
    }

    /// What was sent, what comes out when bare line ends are repaired, and how many of them there were. The first is not refused.
    const SMUGGLING: &[(&str, &str, usize)] = &[
        ("a\r\n", "a\r\n", 0),
        ("a\n.\nb\r\n", "a\r\n.\r\nb\r\n", 2),
        ("a\r.\rb\r\n", "a\r\n.\r\nb\r\n", 2),
        ("a\n.\r\nb\r\n", "a\r\n.\r\nb\r\n", 1),
        ("a\r.\r\nb\r\n", "a\r\n.\r\nb\r\n", 1),
        ("a\r\n.\nb\r\n", "a\r\n\r\nb\r\n", 1),
        ("a\r\n.\rb\r\n", "a\r\n\r\nb\r\n", 1),
        ("a\r\n.\r\r\nb\r\n", "a\r\n\r\n\r\nb\r\n", 1),
        ("a\r\r\n.\r\r\nb\r\n", "a\r\n\r\n\r\n\r\nb\r\n", 2),
        ("a\n\r\nb\r\n", "a\r\n\r\nb\r\n", 1),
        ("a\n\r.\n\rb\r\n", "a\r\n\r\n.\r\n\r\nb\r\n", 4),
        ("\n.\r\n", "\r\n.\r\n", 1),
        ("\r.\r\n", "\r\n.\r\n", 1),
        ("..\r\n...\r\n.x\r\n", ".\r\n..\r\nx\r\n", 0),
        ("", "", 0),
        ("\r\n", "\r\n", 0),
        ("a\0b\r\n", "a\0b\r\n", 0),
        ("a.\r\n", "a.\r\n", 0),
    ];

    #[test]
    fn only_crlf_dot_crlf_ends_a_message() {
        for (sent, repaired, bare) in SMUGGLING {
            let input = alloc::format!("{sent}.\r\nNOOP\r\n");
            for size in 1..=input.len() {
                let label = alloc::format!("{} in pieces of {size}", sent.escape_debug());
                let end = Some(sent.len() + 3);
                let (text, _, taken) = read(BareNewline::Repair, input.as_bytes(), size);
                assert_eq!((text.as_str(), taken), (*repaired, end), "{label}");
                let (text, refused, taken) = read(BareNewline::Reject, input.as_bytes(), size);
                assert_eq!((refused, taken), (*bare, end), "{label}");
                assert!(*bare > 0 || text == *repaired, "{label}");
            }
        }
    }

    #[test]
    fn a_message_without_its_end_goes_on() {
        for open in ["", ".", ".\r", "a\r\n.", "a\r\n.\r", "a.\r\n", "a\r\n.\r\r", "a\r\n.\n", "a\n.\n"] {
            assert_eq!(read(BareNewline::Repair, open.as_bytes(), 1).2, None, "{}", open.escape_debug());
        }
    }

    #[test]
    fn a_clean_body_is_one_run() {
        let mut body = b"Subject: x\r\n\r\n".to_vec();
        for _ in 0..1000 {
            body.extend_from_slice(b"some text without a dot at the start of a line.\r\n");
        }
        let length = body.len();
        body.extend_from_slice(b".\r\n");
        let mut text = Text::dotted(BareNewline::Reject);
        assert_eq!(text.next(&body), (length, Piece::Bytes(&body[..length])));
        assert_eq!(text.next(&body[length..]), (3, Piece::End));
    }

    #[test]
    fn the_last_cr_of_the_last_chunk_is_bare() {
        for (bare, piece) in [(BareNewline::Reject, Piece::Bare), (BareNewline::Repair, Piece::Bytes(CRLF))] {
            let mut text = Text::chunked(bare);
            assert_eq!(text.next(b".\r"), (2, Piece::Bytes(b".")));
            assert_eq!(text.finish(), Some(piece));
            assert_eq!(text.finish(), None);
        }
    }
}
