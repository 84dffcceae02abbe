//! How long a header is, while it streams by: bytes up to the first empty line.

use memchr::memmem;

/// Counts a header's bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeaderEnd {
    /// Bytes of CRLFCRLF that the input so far ends in, all four once the header is over.
    matched: usize,
    bytes: u64,
}

impl HeaderEnd {
    /// Before a message. Its start counts as a line end: a message may begin with the empty line.
    pub(super) fn new() -> HeaderEnd {
        HeaderEnd { matched: 2, bytes: 0 }
    }

    /// Takes the next bytes of a message, whose line ends are all CRLF; gives the bytes of the header so far.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> u64 {
        if self.matched == END.len() {
            return self.bytes;
        }
        let mut at = 0;
        while self.matched > 0 && self.matched < END.len() && at < bytes.len() {
            self.step(bytes[at]);
            at += 1;
        }
        if self.matched == 0 {
            match memmem::find(&bytes[at..], END) {
                Some(found) => (self.matched, at) = (END.len(), at + found + END.len()),
                None => {
                    let tail = at.max(bytes.len().saturating_sub(END.len() - 1));
                    bytes[tail..].iter().for_each(|byte| self.step(*byte));
                    at = bytes.len();
                }
            }
        }
        self.bytes += at as u64;
        self.bytes
    }

    fn step(&mut self, byte: u8) {
        self.matched = match byte {
            _ if END[self.matched] == byte => self.matched + 1,
            b'\r' => 1,
            _ => 0,
        };
    }
}

const END: &[u8] = b"\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_ends_at_its_empty_line_however_it_is_cut() {
        for (message, header) in [
            ("a: b\r\nc: d\r\n\r\nbody\r\n\r\nmore", 14),
            ("\r\nbody\r\n\r\n", 2),
            ("a: b\r\nno end\r\n", 14),
            ("\r\r\n\r\n\r\n", 5),
            ("", 0),
        ] {
            for size in 1..=message.len() {
                let mut end = HeaderEnd::new();
                let bytes = message.as_bytes().chunks(size).map(|piece| end.feed(piece)).last();
                assert_eq!(bytes, Some(header), "{} in pieces of {size}", message.escape_debug());
            }
        }
    }
}
