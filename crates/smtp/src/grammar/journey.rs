//! The journey of a message as it stands behind MAIL between servers of one organization: `XPOSTHOUSE=1,FIRST,BYTES,KIND,SITE,SITE...`.
//!
//! `1` is the version of the text, FIRST Unix milliseconds, BYTES the original size, KIND `i` for a sender of the organization and `o`
//! for one from outside. Always holds: one text for one journey; what was read can be written again; both are bounded, so that MAIL
//! with everything fits into a command line of ours.

use alloc::boxed::Box;
use alloc::vec::Vec;
use mail::{Journey, decimal};

/// The keyword in the reply to EHLO, and of the parameter.
pub const KEYWORD: &str = "XPOSTHOUSE";

/// Longest value of the parameter in bytes: room for some fifty sites with names of twenty letters.
pub const JOURNEY_BYTES_MAX: usize = 1024;

/// Longest name of a site in bytes.
pub const SITE_BYTES_MAX: usize = 64;

/// Whether the journey can be written: its sites have proper names, and there are not too many of them.
pub fn fits(journey: &Journey) -> bool {
    let sites: usize = journey.sites.iter().map(|site| site.len() + 1).sum();
    sites <= JOURNEY_BYTES_MAX - HEAD_BYTES_MAX && journey.sites.iter().all(|site| is_site(site))
}

/// Appends the value of the parameter. Only for a journey that [`fits`].
pub fn write(journey: &Journey, out: &mut Vec<u8>) {
    out.extend_from_slice(b"1,");
    decimal::write(out, journey.first_ms);
    out.push(b',');
    decimal::write(out, journey.original_bytes);
    out.extend_from_slice(if journey.trusted { b",i" } else { b",o" });
    for site in &journey.sites {
        out.push(b',');
        out.extend_from_slice(site.as_bytes());
    }
}

/// Reads the value of the parameter; `None` for anything that [`write`] would not have written.
pub fn parse(value: &str) -> Option<Journey> {
    if value.len() > JOURNEY_BYTES_MAX {
        return None;
    }
    let mut parts = value.split(',');
    let version = parts.next()?;
    let (first_ms, original_bytes) = (number(parts.next()?)?, number(parts.next()?)?);
    let trusted = match parts.next()? {
        "i" => true,
        "o" => false,
        _ => return None,
    };
    let sites: Option<Vec<Box<str>>> = parts.map(|site| is_site(site).then(|| site.into())).collect();
    let journey = Journey { first_ms, original_bytes, sites: sites?, trusted };
    (version == "1" && fits(&journey)).then_some(journey)
}

/// The name of a site as it travels: lower case letters, digits, `-`, `_` and `.`.
pub fn is_site(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
    (1..=SITE_BYTES_MAX).contains(&name.len()) && name.bytes().all(plain)
}

/// Digits without a zero in front.
fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// Two numbers of 20 digits, version, kind and commas.
const HEAD_BYTES_MAX: usize = 46;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::{String, ToString};
    use alloc::vec;
    use proptest::prelude::*;

    fn text(journey: &Journey) -> String {
        let mut out = Vec::new();
        write(journey, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_no_journey_is_refused() {
        assert_eq!(parse("1,0,0,o"), Some(Journey::default()));
        for bad in [
            "",
            "1",
            "1,2,3",
            "1,2,3,x",
            "2,2,3,i",
            "01,2,3,i",
            "1,02,3,i",
            "1,+2,3,i",
            "1,-2,3,i",
            "1,,3,i",
            "1,2,3,i,",
            "1,2,3,i,a,,b",
            "1,2,3,i,A",
            "1,2,3,i,a b",
            "1,2,3,i,\u{e9}",
            "1,2,3,i,a=b",
            "1,18446744073709551616,3,i",
            "1,2,3,I",
            " 1,2,3,i",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(parse(&format!("1,2,3,i,{}", "a".repeat(SITE_BYTES_MAX + 1))), None);
    }

    #[test]
    fn a_journey_through_too_many_sites_does_not_fit() {
        let through = |count: usize| Journey {
            first_ms: u64::MAX,
            original_bytes: u64::MAX,
            sites: (0..count).map(|n| format!("{n:018}").into()).collect(),
            trusted: true,
        };
        let most = (0..100).take_while(|count| fits(&through(*count))).count() - 1;
        assert_eq!(most, 51);
        assert_eq!(parse(&text(&through(most))), Some(through(most)));
        assert!(text(&through(most)).len() <= JOURNEY_BYTES_MAX);
        assert_eq!(parse(&text(&through(most + 2))), None);
        let odd = Journey { sites: vec!["New York".into()], ..Journey::default() };
        assert!(!fits(&odd));
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            first_ms in any::<u64>(),
            original_bytes in any::<u64>(),
            sites in prop::collection::vec("[a-z0-9._-]{1,64}", 0..20),
            trusted in any::<bool>(),
        ) {
            let sites = sites.iter().map(|site| site.as_str().into()).collect();
            let journey = Journey { first_ms, original_bytes, sites, trusted };
            if fits(&journey) {
                prop_assert_eq!(parse(&text(&journey)), Some(journey));
            }
        }

        #[test]
        fn what_is_read_is_written_the_same(value in "1,[0-9]{1,3},[0-9]{1,3},[io](,[a-z.]{1,5}){0,3}|[1,io a-z]{0,20}") {
            if let Some(journey) = parse(&value) {
                prop_assert_eq!(text(&journey), value.to_string());
            }
        }
    }
}
