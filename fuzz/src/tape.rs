//! Decisions out of a few bytes of the input: the same bytes, the same decisions.

/// A stream of small numbers (splitmix64).
#[derive(Clone, Debug)]
pub struct Tape(u64);

impl Tape {
    /// Starts at `seed`.
    pub fn new(seed: &[u8]) -> Tape {
        let mut bytes = [0; 8];
        let length = seed.len().min(8);
        bytes[..length].copy_from_slice(&seed[..length]);
        Tape(u64::from_le_bytes(bytes))
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    /// True once in `times`.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Cuts `input` into pieces, short ones more often; none is empty.
    pub fn cut<'i>(&mut self, mut input: &'i [u8]) -> Vec<&'i [u8]> {
        let mut pieces = Vec::new();
        while !input.is_empty() {
            let longest = if self.one_in(4) { input.len() } else { input.len().min(8) };
            let (piece, rest) = input.split_at(1 + self.below(longest as u64) as usize);
            pieces.push(piece);
            input = rest;
        }
        pieces
    }
}

/// Splits the first `bytes` off an input; what is missing is nothing.
pub fn head(input: &[u8], bytes: usize) -> (&[u8], &[u8]) {
    input.split_at(bytes.min(input.len()))
}
