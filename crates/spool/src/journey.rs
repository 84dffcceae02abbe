//! Owns what the organization knows of a message from before it came to this server, and its packed form: in the accept record, and in
//! memory while the message waits. Knows no topology.
//! Always holds: what [`pack`] wrote, [`unpack`] reads back equal; other bytes are an error, never a panic; of a
//! message that begins here and is nothing special, nothing is kept.

use mail::Journey;

use crate::packed::floor_char;

/// The packed form; empty if it says nothing that `accepted_ms` and `size_bytes` do not say.
pub(crate) fn pack(journey: &Journey, accepted_ms: u64, size_bytes: u64) -> Vec<u8> {
    let plain = journey.first_ms == accepted_ms && journey.original_bytes == size_bytes;
    if plain && journey.sites.is_empty() && !journey.trusted {
        return Vec::new();
    }
    let sites = &journey.sites[journey.sites.len().saturating_sub(SITES_MAX)..];
    let mut out = Vec::with_capacity(HEAD_BYTES + sites.len() * 16);
    out.extend_from_slice(&journey.first_ms.to_le_bytes());
    out.extend_from_slice(&journey.original_bytes.to_le_bytes());
    out.push(u8::from(journey.trusted));
    for site in sites {
        let site = &site[..floor_char(site, SITE_BYTES_MAX)];
        out.push(site.len() as u8);
        out.extend_from_slice(site.as_bytes());
    }
    out
}

/// Reads back what [`pack`] wrote of a message that was accepted at `accepted_ms` with `size_bytes`.
pub(crate) fn unpack(packed: &[u8], accepted_ms: u64, size_bytes: u64) -> Option<Journey> {
    if packed.is_empty() {
        return Some(Journey { first_ms: accepted_ms, original_bytes: size_bytes, ..Journey::default() });
    }
    let (first_ms, rest) = packed.split_first_chunk()?;
    let (original_bytes, rest) = rest.split_first_chunk()?;
    let (trusted, mut rest) = rest.split_first()?;
    let mut sites = Vec::new();
    while let Some((len, behind)) = rest.split_first() {
        let (site, behind) = behind.split_at_checked(usize::from(*len))?;
        sites.push(std::str::from_utf8(site).ok()?.into());
        rest = behind;
    }
    let (first_ms, original_bytes) = (u64::from_le_bytes(*first_ms), u64::from_le_bytes(*original_bytes));
    Some(Journey { first_ms, original_bytes, sites, trusted: *trusted & 1 != 0 })
}

/// When the organization took it first, of a packed form.
pub(crate) fn first_ms(packed: &[u8]) -> Option<u64> {
    packed.first_chunk().map(|first_ms| u64::from_le_bytes(*first_ms))
}

/// Sites that are kept, the last ones: more than a message may have `Received` fields.
const SITES_MAX: usize = 200;
/// Of a site's name.
const SITE_BYTES_MAX: usize = 255;
const HEAD_BYTES: usize = 17;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_comes_back_and_what_says_nothing_takes_no_room() {
        let plain = Journey::default().from(7, 1000);
        assert!(pack(&plain, 7, 1000).is_empty());
        assert_eq!(unpack(&[], 7, 1000), Some(plain));
        let far =
            Journey { first_ms: 9, original_bytes: 800, sites: vec!["köln".into(), "berlin".into()], trusted: true };
        assert_eq!(far.clone().from(8, 1000).first_ms, 8, "not in the future");
        assert_eq!((far.limited_bytes(1000), far.limited_bytes(10)), (800, 10));
        let bytes = pack(&far, 10, 1000);
        assert_eq!(unpack(&bytes, 10, 1000), Some(far.clone()));
        assert_eq!(first_ms(&bytes), Some(9));
        let cut = |end: usize| unpack(&bytes[..end], 10, 1000);
        assert!((1..bytes.len()).all(|end| cut(end).is_none_or(|read| read.sites.len() < far.sites.len())));
        let many = Journey { sites: vec!["x".into(); 500], ..far };
        assert_eq!(unpack(&pack(&many, 10, 1000), 10, 1000).map(|read| read.sites.len()), Some(SITES_MAX));
    }
}
