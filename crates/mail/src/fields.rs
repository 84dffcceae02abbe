//! The fields of a header that is there as a whole: their names, their places, what they say to a person.
//!
//! Changes nothing. Bytes of strangers go in: what is no field is passed over, and nothing here panics or grows beyond its input.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

/// One field of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'h> {
    /// What stands before the colon, without white space.
    pub name: &'h [u8],
    /// What stands behind the colon, its line ends and the last one included.
    pub value: &'h [u8],
    /// Where the value stands in the header.
    pub at: Range<usize>,
}

impl Field<'_> {
    /// The field has this name; case does not count.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// What it says: unfolded, trimmed, encoded words (RFC 2047) of UTF-8, ASCII and ISO-8859-1 decoded, at most [`TEXT_MAX`] bytes looked at.
    pub fn text(&self) -> String {
        let value = &self.value[..self.value.len().min(TEXT_MAX)];
        let unfolded: Vec<u8> = value.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
        decode(String::from_utf8_lossy(&unfolded).trim())
    }
}

/// The fields of a header, as far as it is one.
pub fn fields(header: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut at = 0;
    core::iter::from_fn(move || {
        loop {
            let rest = header.get(at..).filter(|rest| !rest.is_empty())?;
            let len = field_len(rest);
            let (start, field) = (at, &rest[..len]);
            at += len;
            let Some(colon) = memchr::memchr(b':', field) else { continue };
            let name = field[..colon].trim_ascii_end();
            if name.is_empty() || name.iter().any(|b| !(33..=126).contains(b)) {
                continue;
            }
            return Some(Field { name, value: &field[colon + 1..], at: start + colon + 1..start + len });
        }
    })
}

/// Bytes of the first field: its line and those that go on with white space.
fn field_len(rest: &[u8]) -> usize {
    let mut end = 0;
    loop {
        end += memchr::memchr(b'\n', &rest[end..]).map_or(rest.len() - end, |lf| lf + 1);
        match rest.get(end) {
            Some(b' ' | b'\t') => {}
            _ => return end,
        }
    }
}

/// Decodes encoded words; what is none, or of another character set, stays as it is. White space between two of them goes (RFC 2047 6.2).
fn decode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut after_word = false;
    while let Some(at) = rest.find("=?") {
        let (before, from) = rest.split_at(at);
        let Some((decoded, used)) = word(from) else {
            out.push_str(before);
            out.push_str("=?");
            rest = &from[2..];
            after_word = false;
            continue;
        };
        if !(after_word && before.trim().is_empty()) {
            out.push_str(before);
        }
        out.push_str(&decoded);
        rest = &from[used..];
        after_word = true;
    }
    out.push_str(rest);
    out
}

/// `=?charset?encoding?text?=` at the front: what it says, and its length.
fn word(from: &str) -> Option<(String, usize)> {
    let mut parts = from.get(2..)?.splitn(3, '?');
    let (charset, encoding, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let end = rest.find("?=")?;
    let bytes = match encoding {
        "B" | "b" => base64(&rest[..end])?,
        "Q" | "q" => quoted(&rest[..end])?,
        _ => return None,
    };
    // RFC 2231 5: a language may stand behind the character set.
    let charset = charset.split('*').next().unwrap_or_default();
    let text = match () {
        () if charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("us-ascii") => {
            String::from_utf8_lossy(&bytes).into_owned()
        }
        () if charset.eq_ignore_ascii_case("iso-8859-1") => bytes.iter().map(|b| char::from(*b)).collect(),
        () => return None,
    };
    Some((text, from.len() - rest.len() + end + 2))
}

fn quoted(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'_' => b' ',
            b'=' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            33..=126 => byte,
            _ => return None,
        });
    }
    Some(out)
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.bytes().filter(|b| *b != b'=') {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    Some(out)
}

/// More of one field is not looked at.
pub const TEXT_MAX: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn all(header: &str) -> Vec<(String, String)> {
        let text = |field: Field<'_>| (String::from_utf8_lossy(field.name).into_owned(), field.text());
        fields(header.as_bytes()).map(text).collect()
    }

    #[test]
    fn fields_with_their_folds_and_encoded_words() {
        let header = "Subject: one\r\n two\r\nno field\r\nX-A :  a\nFROM: =?utf-8?q?J=C3=B6rg_B?= =?UTF-8?B?w7bDtg==?= <j@x>\r\n\r\n";
        let expected = [("Subject", "one two"), ("X-A", "a"), ("FROM", "Jörg Böö <j@x>")];
        assert_eq!(all(header), expected.map(|(name, text)| (String::from(name), String::from(text))));
    }

    #[test]
    fn what_is_no_encoded_word_stays() {
        for text in ["=?utf-8?q?=G1?=", "=?koi8-r?B?zz?=", "=?utf-8?x?a?=", "=?utf-8?q?a", "=?", "a =? b"] {
            assert_eq!(decode(text), text);
        }
        assert_eq!(decode("=?iso-8859-1*de?Q?=FC?= =?x"), "ü =?x");
    }

    #[test]
    fn places_are_those_of_the_values() {
        let header = b"A: 1\r\nSubject:x\r\n y\r\nB:\r\n";
        let subject = fields(header).find(|field| field.is("SUBJECT")).map(|field| field.at);
        assert_eq!(subject, Some(14..21));
        assert_eq!(&header[14..21], b"x\r\n y\r\n");
        assert_eq!(fields(b"").count() + fields(b"\r\n").count() + fields(b":").count(), 0);
        assert_eq!(fields(b"A").collect::<Vec<_>>(), vec![]);
    }
}
