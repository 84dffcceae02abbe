//! The messages: numbered, each with its own digest, made without copying the body per message.
//!
//! A message is a head (header, and a first body line that carries the id, so that two bodies are never
//! equal) and a rest that all messages of a run share. Some lines of the rest begin with a dot, so a server
//! that stuffs or unstuffs wrongly is caught by the digest.

use std::io::IoSlice;

/// Header field with the message's id.
pub const ID_FIELD: &str = "X-Bench-Id";
/// Header field with the digest of the body: CRC-32C in hex, a dash, the length in bytes.
pub const DIGEST_FIELD: &str = "X-Bench-Digest";

/// A digest of a body, in the course of being made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest {
    crc: u32,
    len: u64,
}

impl Digest {
    /// The same digest with `bytes` behind it.
    #[must_use]
    pub fn with(self, bytes: &[u8]) -> Digest {
        Digest { crc: crc32c::crc32c_append(self.crc, bytes), len: self.len + bytes.len() as u64 }
    }
}

/// A digest that is put behind many others. What that does to their checksums is linear, so it is worked out once, bit by
/// bit: combining two checksums from scratch takes longer than sending the message.
#[derive(Debug)]
struct Ending {
    digest: Digest,
    bits: [u32; 32],
}

impl Ending {
    fn new(digest: Digest) -> Ending {
        Ending { digest, bits: std::array::from_fn(|bit| crc32c::crc32c_combine(1 << bit, 0, digest.len as usize)) }
    }

    /// The digest of `first`'s body with this one's behind it.
    fn behind(&self, first: Digest) -> Digest {
        let set = self.bits.iter().enumerate().filter(|(bit, _)| first.crc >> bit & 1 == 1);
        let crc = set.fold(self.digest.crc, |crc, (_, moved)| crc ^ moved);
        Digest { crc, len: first.len + self.digest.len }
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "{:08x}-{}", self.crc, self.len)
    }
}

/// What all messages of a run share.
#[derive(Debug)]
pub struct Template {
    size: usize,
    block: Vec<u8>,
    blocks: usize,
    last: Vec<u8>,
    rest: Ending,
}

impl Template {
    /// A template for bodies of `size` bytes (before dot stuffing; a few more when the first line needs them).
    pub fn new(size: usize, id_len: usize) -> Template {
        let rest_bytes = size.saturating_sub(first_line_len(id_len));
        let rest_bytes = if rest_bytes < 2 { 0 } else { rest_bytes };
        let plain_block = lines(BLOCK_LINES * LINE);
        let blocks = rest_bytes / plain_block.len();
        let left = rest_bytes % plain_block.len();
        // A rest of one byte is no line: one block less leaves enough for a line's end.
        let (blocks, left) = if left == 1 { (blocks - 1, left + plain_block.len()) } else { (blocks, left) };
        let plain_last = lines(left);
        let mut rest = Digest::default();
        for _ in 0..blocks {
            rest = rest.with(&plain_block);
        }
        rest = rest.with(&plain_last);
        Template { size, block: stuffed(&plain_block), blocks, last: stuffed(&plain_last), rest: Ending::new(rest) }
    }

    /// Puts header and first body line of message `id` into `head`; gives the digest of the whole body.
    pub fn head(&self, id: &str, from: &str, to: &str, head: &mut Vec<u8>) -> Digest {
        let mut line = String::with_capacity(FIRST_LINE.len() + id.len() + 2);
        line.push_str(FIRST_LINE);
        line.push_str(id);
        let short = self.size.saturating_sub(self.rest.digest.len as usize + line.len() + 2);
        line.extend(std::iter::repeat_n('.', short));
        line.push_str("\r\n");
        let digest = self.rest.behind(Digest::default().with(line.as_bytes()));
        let header = format!(
            "From: <{from}>\r\nTo: <{to}>\r\nSubject: bench {id}\r\nMessage-ID: <{id}@bench.example>\r\n\
             Date: Thu, 01 Jan 2026 00:00:00 +0000\r\n{ID_FIELD}: {id}\r\n{DIGEST_FIELD}: {digest}\r\n\r\n"
        );
        head.extend_from_slice(header.as_bytes());
        head.extend_from_slice(line.as_bytes());
        digest
    }

    /// Bytes of the rest as they go over the wire, without the final dot.
    pub fn wire_len(&self) -> usize {
        self.block.len() * self.blocks + self.last.len()
    }

    /// Adds what comes after `offset` of the rest, in at most `most` slices; true when that is all of it.
    pub fn slices<'a>(&'a self, offset: usize, most: usize, to: &mut Vec<IoSlice<'a>>) -> bool {
        let in_blocks = self.block.len() * self.blocks;
        let mut at = offset;
        for _ in 0..most {
            if at < in_blocks {
                let part = &self.block[at % self.block.len()..];
                to.push(IoSlice::new(part));
                at += part.len();
            } else if at < self.wire_len() {
                to.push(IoSlice::new(&self.last[at - in_blocks..]));
                return true;
            } else {
                return true;
            }
        }
        at >= self.wire_len()
    }
}

const FIRST_LINE: &str = "This is message ";
const LINE: usize = 80;
const BLOCK_LINES: usize = 800;

fn first_line_len(id_len: usize) -> usize {
    FIRST_LINE.len() + id_len + 2
}

/// `len` bytes of text in lines of 80 bytes with their CRLF; `len` is 0 or at least 2.
fn lines(len: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(len);
    let mut seed: u32 = 0x2545_f491;
    while text.len() < len {
        let left = len - text.len();
        let line = if left == LINE + 1 { LINE - 1 } else { left.min(LINE) };
        let dotted = (text.len() / LINE) % 25 == 7;
        for column in 0..line - 2 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let letter = b"abcdefghijklmnopqrstuvwxyz ETAOINS"[(seed >> 16) as usize % 34];
            text.push(if dotted && column == 0 { b'.' } else { letter });
        }
        text.extend_from_slice(b"\r\n");
    }
    text
}

fn stuffed(plain: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(plain.len() + plain.len() / LINE);
    for line in plain.split_inclusive(|byte| *byte == b'\n') {
        if line.first() == Some(&b'.') {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
    }
    wire
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(template: &Template, id: &str) -> (Vec<u8>, Digest) {
        let mut bytes = Vec::new();
        let digest = template.head(id, "a@b", "c@d", &mut bytes);
        let mut at = 0;
        loop {
            let mut slices = Vec::new();
            let all = template.slices(at, 3, &mut slices);
            for slice in slices {
                at += slice.len();
                bytes.extend_from_slice(&slice);
            }
            if all {
                return (bytes, digest);
            }
        }
    }

    #[test]
    fn bodies_have_the_size_asked_for_and_the_digest_named() {
        for size in [0, 1, 33, 34, 35, 36, 114, 115, 116, 1024, 10_240, 64_000, 64_034, 64_035, 300_000] {
            let template = Template::new(size, 16);
            let (bytes, digest) = whole(&template, "abc-000000000001");
            let text = String::from_utf8(bytes).expect("ASCII");
            let (header, wire) = text.split_once("\r\n\r\n").expect("an empty line");
            assert!(header.ends_with(&format!("{DIGEST_FIELD}: {digest}")), "{header}");
            let body: String = wire.split_inclusive('\n').map(|line| line.strip_prefix('.').unwrap_or(line)).collect();
            assert!(body.ends_with("\r\n") && !body.replace("\r\n", "").contains(['\r', '\n']));
            assert_eq!(body.len(), size.max(34), "size {size}");
            assert_eq!(Digest::default().with(body.as_bytes()), digest, "size {size}");
        }
    }

    #[test]
    fn two_messages_never_have_the_same_body() {
        let template = Template::new(1024, 3);
        assert_ne!(whole(&template, "a-1").1, whole(&template, "a-2").1);
    }
}
