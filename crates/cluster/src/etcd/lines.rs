//! Owns the cutting of a stream of bytes into lines. Knows no JSON.
//! Always holds: at most `limit` bytes are kept, whatever the other end sends.

/// Bytes that are not yet a whole line.
pub(super) struct Lines {
    kept: Vec<u8>,
    limit: usize,
    /// Up to here there is no line end in `kept`.
    searched: usize,
}

/// A line is longer than the limit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl Lines {
    pub fn new(limit: usize) -> Lines {
        Lines { kept: Vec::new(), limit, searched: 0 }
    }

    /// Adds what came.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        if self.kept.len() + bytes.len() > self.limit {
            return Err(TooLong);
        }
        self.kept.extend_from_slice(bytes);
        Ok(())
    }

    /// The next whole line, without its end; empty lines are skipped.
    pub fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let Some(found) = self.kept[self.searched..].iter().position(|byte| *byte == b'\n') else {
                self.searched = self.kept.len();
                return None;
            };
            let rest = self.kept.split_off(self.searched + found + 1);
            let mut line = std::mem::replace(&mut self.kept, rest);
            self.searched = 0;
            line.pop();
            if !line.is_empty() {
                return Some(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_wherever_the_stream_is_cut() {
        let text = b"{\"a\":1}\n\n{\"b\":2}\n{\"c\"";
        for cut in 0..text.len() {
            let mut lines = Lines::new(100);
            let mut all = Vec::new();
            for part in [&text[..cut], &text[cut..]] {
                lines.push(part).unwrap();
                all.extend(std::iter::from_fn(|| lines.next()));
            }
            assert_eq!(all, [b"{\"a\":1}".to_vec(), b"{\"b\":2}".to_vec()], "cut at {cut}");
        }
    }

    #[test]
    fn what_has_no_end_is_bounded() {
        let mut lines = Lines::new(10);
        lines.push(b"123456789").unwrap();
        assert_eq!(lines.next(), None);
        assert_eq!(lines.push(b"01"), Err(TooLong));
    }
}
