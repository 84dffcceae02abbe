//! The header scanner: facts do not depend on cuts, and agree with the header block.
#![no_main]

use fuzz::tape::{Tape, head};
use libfuzzer_sys::fuzz_target;
use mail::header::{Scanner, TEXT_MAX, block};

fuzz_target!(|input: &[u8]| {
    let (seed, message) = head(input, 2);
    let mut whole = Scanner::new();
    whole.feed(message);
    let whole = whole.finish().clone();
    let mut cut = Scanner::new();
    for piece in Tape::new(seed).cut(message) {
        cut.feed(piece);
    }
    assert_eq!(*cut.finish(), whole);
    assert!(whole.header_bytes <= message.len() as u64);
    assert_eq!(block(message).len() as u64, whole.header_bytes);
    assert!(whole.longest_line <= whole.header_bytes);
    // Replacing a byte that is not UTF-8 makes three of it.
    assert!(whole.subject.is_none_or(|subject| subject.len() <= 3 * TEXT_MAX));
});
