//! Mailboxes: what is taken is kept as it came, can be taken apart and put together, and cannot break a command line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::Mailbox;
use smtp::grammar::path;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let strict = Mailbox::parse(text, false);
    let Ok(mailbox) = Mailbox::parse(text, true) else {
        assert!(strict.is_err(), "SMTPUTF8 takes no address away");
        return;
    };
    assert_eq!(strict.is_ok(), text.is_ascii());
    assert_eq!(mailbox.as_str(), text);
    assert_eq!(format!("{}@{}", mailbox.local(), mailbox.domain()), text);
    assert_eq!(mailbox.needs_utf8(), !text.is_ascii());
    assert!(!text.chars().any(char::is_control), "a control in {text:?}");
    assert!(mailbox.same(&mailbox));
    let in_brackets = format!("<{text}> SIZE=1");
    assert_eq!(path::split(&in_brackets), Some(path::Path { address: text, rest: " SIZE=1" }));
});
