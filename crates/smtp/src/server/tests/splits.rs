//! How the input was cut changes nothing: not what the driver is told, not what the peer hears.

use super::driver::{Driver, limited};
use crate::server::{BareNewline, Settings, TlsOffer};
use alloc::string::String;
use alloc::vec::Vec;
use proptest::prelude::*;

fn settings(repair: bool) -> Settings {
    let mut settings = limited(|limits| {
        limits.errors_max = 20;
        limits.message_bytes_max = 60;
        limits.header_bytes_max = 40;
        limits.recipients_max = 3;
    });
    settings.tls = TlsOffer::Offer;
    settings.auth_without_tls = true;
    settings.auth_mechanisms.push("LOGIN".into());
    settings.bare_newline = if repair { BareNewline::Repair } else { BareNewline::Reject };
    settings
}

/// What was told and heard. Of a body that was refused, how much came before the refusal is left to the cut.
fn run(input: &[u8], cuts: &[usize], repair: bool) -> (Vec<String>, String) {
    let mut driver = Driver::new(settings(repair));
    let mut at = 0;
    for cut in cuts.iter().copied().chain([input.len()]) {
        let cut = cut.clamp(at, input.len());
        driver.feed(&input[at..cut]);
        at = cut;
    }
    let mut told: Vec<String> = Vec::new();
    for word in driver.told {
        if word.starts_with("body refused") && told.last().is_some_and(|last| last.starts_with("body ")) {
            told.pop();
        }
        told.push(word);
    }
    (told, driver.heard)
}

const SESSIONS: &[&str] = &[
    "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nS: x\r\n\r\n..a\r\n.b\r\n\r\n.\r\nMAIL FROM:<>\r\nQUIT\r\n",
    "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n\n.\n\r.\r\r\n.\r\r\n.\nx\n.\r\n.\r\nNOOP\r\n",
    "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 5\r\na\r\nb\rBDAT 0\r\nBDAT 3 LAST\r\n\n.\rBDAT 2 LAST\r\nxxRSET\r\n",
    "EHLO a\r\nBDAT 3 LAST\r\nQUIMAIL FROM:<a@b>\r\nRCPT TO:<no@d>\r\nBDAT 7 LAST\r\nRSET\r\n.QUIT x\r\nQUIT\r\nNOOP\r\n",
    "EHLO a\r\nAUTH LOGIN\r\nZ29\r\nAUTH LOGIN\r\n*\r\nAUTH LOGIN Z29vZA==\r\nNOOP\nNOOP\r\nNO\rOP\r\n\r\nNOOP\r\n",
    "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n0123456789012345678901234567890123456789\r\n\r\n.\r\nNOOP\r\n",
    "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n\r\n0123456789012345678901234567890123456789012345678901234567890\r\n.\r\nNOOP\r\n",
];

#[test]
fn every_cut_of_every_session() {
    for session in SESSIONS {
        for repair in [false, true] {
            let whole = run(session.as_bytes(), &[], repair);
            for first in 0..=session.len() {
                for second in first..=session.len() {
                    let cut = run(session.as_bytes(), &[first, second], repair);
                    assert_eq!(cut, whole, "cut at {first} and {second}: {}", session.escape_debug());
                }
            }
            let bytes: Vec<usize> = (1..session.len()).collect();
            assert_eq!(run(session.as_bytes(), &bytes, repair), whole, "byte by byte");
        }
    }
}

/// Starting TLS drops what is in the same read; a cut in the command itself does not matter.
#[test]
fn a_cut_starttls() {
    let input = b"EHLO a\r\nSTARTTLS\r\n";
    let whole = run(input, &[], false);
    assert_eq!(whole.0, ["hello a", "starttls", "handshake"]);
    for cut in 0..=input.len() {
        assert_eq!(run(input, &[cut], false), whole);
    }
}

fn line() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(
        &[
            "EHLO a\r\n",
            "MAIL FROM:<a@b>\r\n",
            "MAIL FROM:<no@b>\r\n",
            "RCPT TO:<c@d>\r\n",
            "RCPT TO:<no@d>\r\n",
            "DATA\r\n",
            "BDAT 4\r\n",
            "BDAT 3 LAST\r\n",
            "BDAT 0 LAST\r\n",
            "BDAT 70\r\n",
            "RSET\r\n",
            "NOOP\r\n",
            "QUIT\r\n",
            "AUTH LOGIN\r\n",
            "*\r\n",
            "Z29vZA==\r\n",
            "x: y\r\n",
            ".\r\n",
            "..\r\n",
            "\r\n",
            "\r",
            "\n",
            ".",
            "\r\n.\r\n",
            "text",
            "0123456789",
        ][..],
    )
}

proptest! {
    #[test]
    fn random_sessions_cut_anywhere(
        lines in proptest::collection::vec(line(), 0..30),
        cuts in proptest::collection::vec(0..300usize, 0..12),
        repair: bool,
    ) {
        let input = ["EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", &lines.concat()].concat();
        let mut cuts = cuts;
        cuts.sort_unstable();
        prop_assert_eq!(run(input.as_bytes(), &cuts, repair), run(input.as_bytes(), &[], repair));
    }
}

/// Ten thousand idle sessions must not cost more than a few megabytes.
#[test]
fn a_session_that_waits_is_small() {
    let mut driver = Driver::new(settings(false));
    driver.feed(b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n\r\nhalf a mess");
    let state = size_of_val(&driver.session);
    let (lines, output) = (driver.session.lines.capacity(), driver.session.output.capacity());
    assert!(state + lines + output <= 1536, "{state} + {lines} + {output} bytes");
}
