//! The header firewall: what is kept does not depend on cuts and is what the rule says, line by line.
#![no_main]

use fuzz::tape::{Tape, head};
use libfuzzer_sys::fuzz_target;
use mail::firewall::{Drops, Firewall, LEAD_MAX};

fuzz_target!(|input: &[u8]| {
    let (seed, message) = head(input, 3);
    let mut tape = Tape::new(seed);
    let drops = Drops { organization: tape.one_in(2), routing: tape.one_in(2) };
    let (mut firewall, mut kept, mut all) = (Firewall::new(drops), Vec::new(), Vec::new());
    for slice in tape.cut(message) {
        let mut rest = slice;
        while let Some(piece) = firewall.next(&mut rest) {
            assert!(!piece.is_empty() && piece.lead.len() <= LEAD_MAX);
            all.extend_from_slice(&piece.lead);
            all.extend_from_slice(piece.rest);
            if !piece.is_dropped {
                kept.extend_from_slice(&piece.lead);
                kept.extend_from_slice(piece.rest);
            }
        }
        assert!(rest.is_empty());
    }
    let lead = firewall.finish();
    all.extend_from_slice(&lead);
    kept.extend_from_slice(&lead);
    assert_eq!(all, message);
    assert_eq!(kept, by_lines(drops, message));
});

/// The rule in its plainest form.
fn by_lines(drops: Drops, message: &[u8]) -> Vec<u8> {
    let (mut kept, mut dropping, mut over) = (Vec::new(), false, drops == Drops::default());
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        let lower = line.to_ascii_lowercase();
        let named = |names: &[&str]| names.iter().any(|name| lower.starts_with(name.as_bytes()));
        over |= line == b"\n" || line == b"\r\n";
        let ours = drops.organization && named(&["x-posthouse-", "x-ms-exchange-organization-", "x-ms-exchange-forest-"]);
        let routing = drops.routing && named(&["received:", "received ", "received\t", "resent-"]);
        dropping = !over && (matches!(line[0], b' ' | b'\t') && dropping || ours || routing);
        if !dropping {
            kept.extend_from_slice(line);
        }
    }
    kept
}
