//! Cuts what a server says into lines.

/// Bytes of one line, its end included.
const LINE_BYTES_MAX: usize = 4096;

/// The part of a line that waits for its end.
#[derive(Default)]
pub struct Lines {
    held: Vec<u8>,
}

/// A line is longer than it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl Lines {
    /// The next whole line from the front of `input`, without its end; `None` once `input` is used up.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<String>, TooLong> {
        let end = input.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(input.len(), |end| end + 1);
        if self.held.len() + taken > LINE_BYTES_MAX {
            return Err(TooLong);
        }
        let (line, rest) = input.split_at(taken);
        self.held.extend_from_slice(line);
        *input = rest;
        if end.is_none() {
            return Ok(None);
        }
        let whole = String::from_utf8_lossy(self.held.trim_ascii_end()).into_owned();
        self.held.clear();
        Ok(Some(whole))
    }
}
