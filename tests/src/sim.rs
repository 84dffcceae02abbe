//! What simulations share: which seeds to run, pieces of bytes as a link cuts them, and the records in a segment's file.

use std::ops::Range;

use journal::copies::Malformed;
use world::Chance;
use world::sim::SimChance;

/// A number from the environment.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// The seeds to run: `SEED` alone, or `SEEDS` of them, or `otherwise` many.
pub fn seeds(otherwise: u64) -> Range<u64> {
    number("SEED").map_or(0..number("SEEDS").unwrap_or(otherwise), |seed| seed..seed + 1)
}

/// Gives bytes in two pieces, cut anywhere.
pub fn in_pieces(
    bytes: &[u8],
    chance: &SimChance,
    mut give: impl FnMut(&[u8]) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let (first, second) = bytes.split_at(chance.below(bytes.len() as u64 + 1) as usize);
    give(first)?;
    give(second)
}

/// Bytes of the whole records of a segment that end before offset `until`.
pub fn records_before(bytes: &[u8], until: u64) -> usize {
    let mut at = 0;
    while let Some(header) = bytes.get(at..at + 32) {
        let len = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        if &header[8..10] != b"PH" || (at + 32 + len) as u64 > until {
            break;
        }
        at += 32 + len;
        if header[10] == 240 {
            break;
        }
    }
    at
}
