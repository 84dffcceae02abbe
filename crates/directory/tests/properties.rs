//! What holds for every range, every document and every connection.
#![allow(clippy::unwrap_used)] // a test says so by failing

mod common;

use common::load;
use directory::{
    IpRange, bytes_text, duration_text, fill_passwords, hide_both, hide_passwords, parse_bytes, parse_duration_ms,
};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A small world, so that ranges meet often: 10.0.0.0 to 10.0.0.31.
fn peer(low: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, low % 32))
}

/// Connectors as (sockets, ranges): sockets by number, ranges as start and prefix length.
type Connectors = Vec<(Vec<usize>, Vec<(u8, u8)>)>;

const SOCKETS: [&str; 3] = ["0.0.0.0:25", "192.0.2.1:25", "192.0.2.2:25"];

fn connectors() -> impl Strategy<Value = Connectors> {
    let sockets = proptest::sample::subsequence(vec![0, 1, 2], 1..=3);
    let ranges = proptest::collection::vec((0_u8..32, 27_u8..=32), 1..4);
    proptest::collection::vec((sockets, ranges), 1..5)
}

fn document(connectors: &Connectors) -> String {
    let mut text = String::new();
    for (i, (sockets, ranges)) in connectors.iter().enumerate() {
        let listen: Vec<String> = sockets.iter().map(|s| format!("\"{}\"", SOCKETS[*s])).collect();
        let remote: Vec<String> = ranges.iter().map(|(low, bits)| format!("\"{}/{bits}\"", peer(*low))).collect();
        text.push_str(&format!(
            "[[receive_connector]]\nname = \"c{i}\"\nlisten = [{}]\nremote = [{}]\n",
            listen.join(", "),
            remote.join(", ")
        ));
    }
    text
}

/// The rule of behaviours 1.2 in its plainest form: smallest range, exact socket, name.
fn expected(connectors: &Connectors, local: &str, from: IpAddr) -> Option<String> {
    let mut fitting = Vec::new();
    for (i, (sockets, ranges)) in connectors.iter().enumerate() {
        for socket in sockets.iter().map(|s| SOCKETS[*s]).filter(|s| *s == local || *s == SOCKETS[0]) {
            for (low, bits) in ranges {
                if IpRange::parse(&format!("{}/{bits}", peer(*low))).unwrap().contains(from) {
                    fitting.push((32 - bits, socket != local, format!("c{i}")));
                }
            }
        }
    }
    fitting.into_iter().min().map(|(_, _, name)| name)
}

proptest! {
    #[test]
    fn connectors_are_chosen_by_the_rule(connectors in connectors(), low in 0_u8..32, socket in 1_usize..3) {
        let result = load(None, &document(&connectors));
        // Networks never cross, so the only problem that there can be is a range that is there twice.
        if let Err(problems) = &result {
            prop_assert!(problems.0.iter().all(|p| p.text.contains("taken by") || p.text.contains("twice")), "{problems}");
        }
        if let Ok(loaded) = result {
            let local: SocketAddr = SOCKETS[socket].parse().unwrap();
            let chosen = loaded.org.choose_connector(local, peer(low)).map(|c| c.name.to_string());
            prop_assert_eq!(chosen, expected(&connectors, SOCKETS[socket], peer(low)));
            for warning in &loaded.warnings.0 {
                prop_assert!(warning.text.contains("ever meets"), "{}", warning);
                let (line, _) = warning.at.unwrap();
                let name = format!("c{}", (line - 2) / 4);
                for low in 0..32 {
                    for local in SOCKETS.iter().skip(1) {
                        let chosen = expected(&connectors, local, peer(low));
                        prop_assert_ne!(chosen.as_deref(), Some(name.as_str()), "{}", document(&connectors));
                    }
                }
            }
        }
    }

    #[test]
    fn a_range_is_written_so_that_it_reads_the_same(a: u128, b: u128, v4: bool, bits in 0_u32..=128) {
        let ip = |n: u128| if v4 { IpAddr::V4(Ipv4Addr::from_bits(n as u32)) } else { IpAddr::V6(n.into()) };
        let (a, b) = (ip(a).min(ip(b)), ip(a).max(ip(b)));
        prop_assume!(!v4 || bits <= 32);
        for text in [format!("{a}-{b}"), format!("{a}/{bits}"), a.to_string()] {
            let Ok(range) = IpRange::parse(&text) else { continue };
            prop_assert_eq!(IpRange::parse(&range.to_string()), Ok(range), "{}", text);
            prop_assert!(range.contains(range.first()) && range.contains(range.last()) && range.covers(&range));
        }
    }

    #[test]
    fn sizes_and_durations_are_written_so_that_they_read_the_same(value: u64) {
        prop_assert_eq!(parse_bytes(&bytes_text(value)), Some(value));
        prop_assert_eq!(parse_duration_ms(&duration_text(value)), Some(value));
    }

    #[test]
    fn no_document_panics(parts in proptest::collection::vec(proptest::sample::select(vec![
        "[[receive_connector]]\n", "[[accepted_domain]]\n", "[[send_connector]]\n", "[[user]]\n", "[retry]\n", "[x]\n",
        "name = ", "listen = ", "remote = ", "domains = ", "recipients = ", "password = ", "smart_hosts = ", "deliver = ", "tls = ",
        "\"é\"", "\"127.0.0.1:25\"", "\"*.\"", "\"a-b\"", "\"::/0\"", "\"lmtp:\"", "\"$argon2id$\"", "\"SCRAM-SHA-256$:$:\"", "\"(hidden)\"",
        "[", "]", "{", "}", ",", "\n", "5", "-1", "true", "\"", "=", "\u{feff}",
    ]), 0..24)) {
        let text = parts.concat();
        let problems = load(Some(&text), &text).err().map(|p| p.to_string());
        prop_assert!(problems.is_none_or(|p| !p.is_empty() && p.lines().all(|l| l.starts_with("org.toml:") || l.starts_with("posthouse.toml:"))));
        let shown = hide_passwords(&text);
        prop_assert!(!shown.contains("$argon2") && !shown.contains("SCRAM-SHA-256$"), "{text}\n{shown}");
        let filled = fill_passwords(&shown, &text);
        prop_assert_eq!(hide_passwords(&filled), shown.clone());
        let (first, second) = hide_both(&text, &filled);
        prop_assert!(!first.contains("$argon2") && !second.contains("$argon2"));
    }
}

#[test]
fn units() {
    for (text, bytes) in
        [("0", None), ("1B", Some(1)), ("36MB", Some(36 << 20)), ("36 mib", Some(36 << 20)), ("4Kb", Some(4096))]
    {
        assert_eq!(parse_bytes(text), bytes, "{text}");
    }
    for bad in ["", "MB", "-1MB", "1.5MB", "99999999TB", "1 PB", "١MB"] {
        assert_eq!(parse_bytes(bad), None, "{bad}");
    }
    for (text, ms) in
        [("0", 0), ("500ms", 500), ("90s", 90_000), ("5m", 300_000), ("4h", 14_400_000), ("2d", 172_800_000)]
    {
        assert_eq!(parse_duration_ms(text), Some(ms), "{text}");
    }
    for bad in ["", "5", "m", "5 minutes", "-5m", "99999999999999999d"] {
        assert_eq!(parse_duration_ms(bad), None, "{bad}");
    }
}
