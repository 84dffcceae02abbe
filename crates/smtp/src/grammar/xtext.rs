//! xtext of RFC 3461 4: `+XX` for what may not stand in a parameter.

use alloc::string::String;
use alloc::vec::Vec;

/// Decodes xtext; `None` if it is not xtext.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'+', [high, low, tail @ ..]) => {
                out.push(hex(*high)? << 4 | hex(*low)?);
                tail
            }
            (33..=126, _) if !matches!(first, b'+' | b'=') => {
                out.push(*first);
                tail
            }
            _ => return None,
        };
    }
    Some(out)
}

/// Appends `text` as xtext.
pub fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if matches!(byte, 33..=126) && !matches!(byte, b'+' | b'=') {
            out.push(char::from(byte));
        } else {
            out.push('+');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from(DIGITS[usize::from(digit)]));
            }
        }
    }
}

/// RFC 3461 4 takes upper case only.
fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

const DIGITS: &[u8; 16] = b"0123456789ABCDEF";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let text = "a+b=c d\u{e9}\r\n\"@x";
        let mut encoded = String::new();
        encode(text, &mut encoded);
        assert_eq!(encoded, "a+2Bb+3Dc+20d+C3+A9+0D+0A\"@x");
        assert_eq!(decode(encoded.as_bytes()).as_deref(), Some(text.as_bytes()));
    }

    #[test]
    fn what_is_not_xtext_is_refused() {
        for bad in ["a=b", "a b", "+", "+4", "+4g", "+2b", "a\u{7f}", "\u{e9}"] {
            assert_eq!(decode(bad.as_bytes()), None, "{bad}");
        }
    }
}
