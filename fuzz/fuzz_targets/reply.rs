//! The reply reader: cuts change nothing, memory is bounded, and what it gives can be written again as a reply.
#![no_main]

use fuzz::reply_lines;
use fuzz::tape::{Tape, head};
use libfuzzer_sys::fuzz_target;
use mail::Reply;
use smtp::client::{Malformed, ReplyReader};

fn read(pieces: &[&[u8]]) -> (Vec<Reply>, Option<Malformed>) {
    let mut reader = ReplyReader::new();
    let mut replies = Vec::new();
    for mut piece in pieces.iter().copied() {
        loop {
            match reader.next(&mut piece) {
                Ok(Some(heard)) => {
                    assert!((200..600).contains(&heard.code));
                    assert_eq!(heard.is_positive(), heard.code / 100 == 2);
                    replies.push(heard.to_reply());
                }
                Ok(None) => break,
                Err(malformed) => return (replies, Some(malformed)),
            }
        }
        assert!(piece.is_empty());
    }
    (replies, None)
}

fuzz_target!(|input: &[u8]| {
    let (seed, bytes) = head(input, 2);
    let whole = read(&[bytes]);
    assert_eq!(read(&Tape::new(seed).cut(bytes)), whole);
    for reply in whole.0 {
        let mut written = Vec::new();
        reply.write_to(&mut written, true);
        assert_eq!(reply_lines::check(&written), 1, "{reply:?}");
    }
});
