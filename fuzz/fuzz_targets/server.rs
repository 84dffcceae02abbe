//! Whole sessions of the server machine: what it says and asks is well-formed, custody has a receipt, and cuts change nothing.
#![no_main]

use fuzz::server::{Driver, Story, settings};
use fuzz::tape::{Tape, head};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (choices, session) = head(input, 4);
    let &[flags, bounds, answers, cuts] = choices else { return };
    // What a TLS client sends behind STARTTLS is not in the same read; a cut there is another session.
    let starts_tls = session.windows(8).any(|word| word.eq_ignore_ascii_case(b"STARTTLS"));
    let run = |pieces: &[&[u8]]| -> Story {
        let mut driver = Driver::new(settings(flags, bounds), flags >> 6 & 1 == 1, Tape::new(&[answers]));
        driver.feed(b"");
        for piece in pieces {
            driver.feed(piece);
        }
        let story = driver.finish();
        for body in &story.accepted {
            check_line_ends(body);
        }
        story
    };
    let whole = run(&[session]);
    if !starts_tls {
        assert_eq!(run(&Tape::new(&[cuts, 1]).cut(session)), whole);
    } else {
        run(&Tape::new(&[cuts, 1]).cut(session));
    }
});

/// What we take custody of holds no bare CR or LF.
fn check_line_ends(body: &[u8]) {
    for (at, byte) in body.iter().enumerate() {
        match byte {
            b'\r' => assert_eq!(body.get(at + 1), Some(&b'\n'), "bare CR at {at}"),
            b'\n' => assert!(at > 0 && body[at - 1] == b'\r', "bare LF at {at}"),
            _ => {}
        }
    }
}
