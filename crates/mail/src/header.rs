//! The header of a message while it streams by: counts and a few fields, for limits, loop detection and missing headers.
//!
//! Keeps no copy of the message and changes nothing in it. Facts do not depend on how the bytes were cut into slices. Memory is
//! bounded whatever arrives; behind the end of the header a slice costs one comparison.

use alloc::string::String;
use alloc::vec::Vec;

/// Reads a message's header from slices as they arrive: [`feed`](Self::feed) all bytes, then [`finish`](Self::finish).
#[derive(Clone, Debug)]
pub struct Scanner {
    facts: HeaderFacts,
    at: At,
    line_bytes: u64,
    line_ends_in_cr: bool,
    line_starts_in_cr: bool,
    name: [u8; NAME_MAX],
    name_bytes: usize,
    name_has_space: bool,
    field: Field,
    text: Vec<u8>,
}

/// What the header said. Counts are final once `complete` is true or [`Scanner::finish`] was called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderFacts {
    /// The end of the header was seen: an empty line, or a line that is no header field (`malformed` is then true as well).
    pub complete: bool,
    /// A line that is no header field ended the header; what follows it is body (RFC 5322 2.1 wants an empty line between).
    pub malformed: bool,
    /// Bytes of the header so far, the empty line that ends it included.
    pub header_bytes: u64,
    /// `Received` fields: the hops that the message has behind it.
    pub received_count: u32,
    /// A `Date` field is there.
    pub has_date: bool,
    /// A `Message-ID` field is there.
    pub has_message_id: bool,
    /// A `From` field is there.
    pub has_from: bool,
    /// The first `Message-ID`, trimmed, unfolded, cut at [`TEXT_MAX`] bytes; bytes that are not UTF-8 are replaced.
    pub message_id: Option<String>,
    /// The first `Subject`, in the same form; encoded words are left encoded.
    pub subject: Option<String>,
    /// A byte above 127 stands in the header.
    pub eight_bit: bool,
    /// Bytes of the longest header line, its line end not counted.
    pub longest_line: u64,
}

impl Scanner {
    /// A scanner that has seen nothing.
    pub fn new() -> Scanner {
        Scanner {
            facts: HeaderFacts::default(),
            at: At::LineStart,
            line_bytes: 0,
            line_ends_in_cr: false,
            line_starts_in_cr: false,
            name: [0; NAME_MAX],
            name_bytes: 0,
            name_has_space: false,
            field: Field::None,
            text: Vec::new(),
        }
    }

    /// Takes the next bytes of the message.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while self.at != At::Body && !bytes.is_empty() {
            let Some(end) = memchr::memchr(b'\n', bytes) else {
                self.piece(bytes);
                return;
            };
            self.piece(&bytes[..end]);
            if self.at == At::Body {
                return;
            }
            self.line_end();
            bytes = &bytes[end + 1..];
        }
    }

    /// The message is over. Closes a header that had no empty line behind it (`complete` stays false then).
    pub fn finish(&mut self) -> &HeaderFacts {
        if self.at == At::LineStart {
            self.field_end();
        } else if self.at != At::Body {
            self.line_close();
            self.field_end();
        }
        self.at = At::Body;
        &self.facts
    }

    /// What is known so far.
    pub fn facts(&self) -> &HeaderFacts {
        &self.facts
    }

    /// The header is behind us: nothing that is fed from here on changes a fact.
    pub fn is_done(&self) -> bool {
        self.at == At::Body
    }

    /// Takes a part of a line, without its LF.
    fn piece(&mut self, mut piece: &[u8]) {
        let (Some(first), Some(last)) = (piece.first().copied(), piece.last().copied()) else { return };
        self.line_bytes += piece.len() as u64;
        self.facts.header_bytes += piece.len() as u64;
        self.line_ends_in_cr = last == b'\r';
        if self.at == At::LineStart {
            self.line_starts_in_cr = first == b'\r';
            if matches!(first, b' ' | b'\t') && self.field != Field::None {
                self.at = At::Value;
            } else {
                self.field_end();
                self.at = At::Name;
                self.name_bytes = 0;
                self.name_has_space = false;
            }
        }
        if self.at == At::Name {
            piece = self.name_piece(piece);
        }
        if self.at == At::Value {
            self.facts.eight_bit |= !piece.is_ascii();
            if matches!(self.field, Field::MessageId | Field::Subject) {
                let room = TEXT_MAX - self.text.len();
                self.text.extend(piece.iter().copied().filter(|b| *b != b'\r').take(room));
            }
        }
        // A lone CR may still become the empty line; anything else that is no field is body from its first byte on, however long.
        if self.at == At::NotAField && !(self.line_starts_in_cr && self.line_bytes == 1) {
            self.line_close();
        }
    }

    /// Takes what belongs to a field's name, gives back what stands behind the colon.
    fn name_piece<'i>(&mut self, piece: &'i [u8]) -> &'i [u8] {
        let colon = piece.iter().position(|b| *b == b':');
        for byte in &piece[..colon.unwrap_or(piece.len())] {
            match byte {
                b' ' | b'\t' => self.name_has_space = true,
                33..=126 if !self.name_has_space => {
                    if let Some(place) = self.name.get_mut(self.name_bytes) {
                        *place = byte.to_ascii_lowercase();
                    }
                    self.name_bytes += 1;
                }
                _ => {
                    self.at = At::NotAField;
                    return &[];
                }
            }
        }
        let Some(colon) = colon else { return &[] };
        if self.name_bytes == 0 {
            self.at = At::NotAField;
            return &[];
        }
        self.at = At::Value;
        self.field_start();
        &piece[colon + 1..]
    }

    fn field_start(&mut self) {
        let name = self.name.get(..self.name_bytes).unwrap_or_default();
        self.field = match name {
            b"received" => Field::Received,
            b"date" => Field::Date,
            b"from" => Field::From,
            b"message-id" if self.facts.message_id.is_none() => Field::MessageId,
            b"subject" if self.facts.subject.is_none() => Field::Subject,
            _ => Field::Other,
        };
        match self.field {
            Field::Received => self.facts.received_count = self.facts.received_count.saturating_add(1),
            Field::Date => self.facts.has_date = true,
            Field::From => self.facts.has_from = true,
            Field::MessageId => self.facts.has_message_id = true,
            Field::Subject | Field::Other | Field::None => {}
        }
    }

    /// A field is over when the next one starts or the header ends: only then is it known that no continuation follows.
    fn field_end(&mut self) {
        if matches!(self.field, Field::MessageId | Field::Subject) {
            let text = String::from(String::from_utf8_lossy(&self.text).trim());
            self.text.clear();
            if self.field == Field::MessageId {
                self.facts.message_id = Some(text);
            } else {
                self.facts.subject = Some(text);
            }
        }
        self.field = Field::None;
    }

    fn line_end(&mut self) {
        let empty = self.line_bytes == 0 || (self.line_bytes == 1 && self.line_starts_in_cr);
        if empty {
            self.facts.header_bytes += 1;
            self.field_end();
            self.facts.complete = true;
            self.at = At::Body;
        } else {
            self.line_close();
            self.facts.header_bytes += u64::from(self.at != At::Body);
            self.at = if self.at == At::Body { At::Body } else { At::LineStart };
        }
        self.line_bytes = 0;
        self.line_ends_in_cr = false;
        self.line_starts_in_cr = false;
    }

    /// Judges a line that is whole: a field (or its continuation), or the first line of a body.
    fn line_close(&mut self) {
        if self.at == At::Value {
            let bytes = self.line_bytes - u64::from(self.line_ends_in_cr);
            self.facts.longest_line = self.facts.longest_line.max(bytes);
        } else {
            self.facts.header_bytes -= self.line_bytes;
            self.facts.complete = true;
            self.facts.malformed = true;
            self.at = At::Body;
        }
    }
}

impl Default for Scanner {
    fn default() -> Scanner {
        Scanner::new()
    }
}

/// The header of a whole message: everything up to and including the empty line, or up to the first line that is no header field.
pub fn block(message: &[u8]) -> &[u8] {
    let mut scanner = Scanner::new();
    scanner.feed(message);
    let bytes = scanner.finish().header_bytes as usize;
    message.get(..bytes).unwrap_or(message)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    LineStart,
    Name,
    Value,
    NotAField,
    Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    None,
    Received,
    Date,
    From,
    MessageId,
    Subject,
    Other,
}

/// Kept of a Message-ID or Subject, in bytes: RFC 5322 2.1.1 allows no longer line.
pub const TEXT_MAX: usize = 998;

/// Longest field name that anybody asks for.
const NAME_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    fn scan(message: &[u8]) -> HeaderFacts {
        let mut scanner = Scanner::new();
        scanner.feed(message);
        scanner.finish().clone()
    }

    const USUAL: &[u8] =
        b"Received: from a\r\n\tby b\r\nRECEIVED : from c\r\nDate: today\r\nFrom: a@x\r\nSubject: one\r\n  two \r\n\
        Message-Id:\r\n <1@x>\r\nSubject: other\r\nX-Long-Name-Of-A-Field: z\r\n\r\nReceived: body\r\n";

    #[test]
    fn a_usual_message() {
        let facts = scan(USUAL);
        assert!(facts.complete && !facts.malformed && facts.has_date && facts.has_from && facts.has_message_id);
        assert_eq!(facts.received_count, 2);
        assert_eq!(facts.subject.as_deref(), Some("one  two"));
        assert_eq!(facts.message_id.as_deref(), Some("<1@x>"));
        assert_eq!(facts.header_bytes as usize, USUAL.len() - b"Received: body\r\n".len());
        assert_eq!(facts.longest_line as usize, b"X-Long-Name-Of-A-Field: z".len());
        assert!(!facts.eight_bit);
    }

    #[test]
    fn headers_that_end_in_other_ways() {
        let table: &[(&[u8], bool, bool, usize, u32)] = &[
            (b"", false, false, 0, 0),
            (b"\r\nReceived: x\r\n", true, false, 2, 0),
            (b"\nReceived: x\n", true, false, 1, 0),
            (b"Received: x\r\n", false, false, 13, 1),
            (b"Received: x", false, false, 11, 1),
            (b"Received: x\r\nno field here\r\nReceived: y\r\n", true, true, 13, 1),
            (b"Received: x\r\nhello", true, true, 13, 1),
            (b" continuation of nothing\r\n", true, true, 0, 0),
            (b": no name\r\n", true, true, 0, 0),
            (b"Received x: y\r\n", true, true, 0, 0),
            (b"Received\x80: y\r\n\r\n", true, true, 0, 0),
            (b"Received: x\r\n\r", true, true, 13, 1),
            (b"Received: x\r\n \r\n\r\n", true, false, 18, 1),
        ];
        for (message, complete, malformed, header_bytes, received) in table {
            let facts = scan(message);
            let text = String::from_utf8_lossy(message);
            assert_eq!((facts.complete, facts.malformed), (*complete, *malformed), "{text:?}");
            assert_eq!((facts.header_bytes as usize, facts.received_count), (*header_bytes, *received), "{text:?}");
        }
    }

    #[test]
    fn eight_bit_and_long_text_are_bounded() {
        let mut message = b"Subject: ".to_vec();
        message.extend(vec![b'x'; 5000]);
        message.extend(b"\xff\r\n\r\n");
        let facts = scan(&message);
        assert!(facts.eight_bit);
        assert_eq!(facts.subject.as_deref().map(str::len), Some(TEXT_MAX - 1));
        assert_eq!(facts.longest_line, 9 + 5001);
        assert_eq!(scan(b"Subject: \xff\r\n").subject, Some("\u{fffd}".to_string()));
    }

    #[test]
    fn cutting_anywhere_changes_nothing() {
        let odd: &[u8] = b"Subject : a\r\r\n b\nMessage-ID: <x>\r\n\x80\r\n";
        for message in [USUAL, odd, b"a:\r\n\r", b"Received: x\r\nhello"] {
            let whole = scan(message);
            for cut in 0..=message.len() {
                let mut scanner = Scanner::new();
                scanner.feed(&message[..cut]);
                scanner.feed(&message[cut..]);
                assert_eq!(scanner.finish(), &whole, "cut at {cut}");
            }
            let mut scanner = Scanner::new();
            message.iter().for_each(|byte| scanner.feed(&[*byte]));
            assert_eq!(scanner.finish(), &whole);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_cut_anywhere_give_the_same_facts(
            parts in proptest::collection::vec(proptest::sample::select(vec![
                &b"Received: x"[..], b"\r\n", b"\n", b"\r", b" ", b"Subject:", b"Message-ID: <a@b>", b"\xc3\xa4", b"x", b":", b"\t",
            ]), 0..24),
            cuts in proptest::collection::vec(0usize..200, 0..6),
        ) {
            let message = parts.concat();
            let whole = scan(&message);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(message.len())).collect();
            cuts.sort_unstable();
            let mut scanner = Scanner::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([message.len()]) {
                scanner.feed(&message[from..cut]);
                from = cut;
            }
            proptest::prop_assert_eq!(scanner.finish(), &whole);
            proptest::prop_assert!(whole.header_bytes as usize <= message.len());
            proptest::prop_assert!(block(&message).len() == whole.header_bytes as usize);
        }
    }
}
