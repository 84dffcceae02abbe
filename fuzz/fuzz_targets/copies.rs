//! A copy against an owner that says anything: frames with true checksums and any fields, records true and false. It answers or ends the
//! session; it never panics, never gives up its process, and opens again where it ended.
#![no_main]

use std::path::Path;
use std::sync::Arc;

use journal::copies::{Decoder, Frame, HeldCopy, HeldLink, Hello, Message};
use journal::{Position, SegmentNo, Settings};
use libfuzzer_sys::fuzz_target;
use world::World;

fuzz_target!(|input: &[u8]| {
    let [epochs, said @ ..] = input else { return };
    let mut raw = Decoder::default();
    raw.push(said);
    while let Ok(Some(_)) = raw.next_frame() {}

    let (world, _) = World::simulated(1);
    let settings = || Settings { keep_free_bytes: 0, ..Settings::default() };
    let open = || HeldCopy::open(&world, Path::new("/c"), "a/spool", settings()).expect("a whole disk");
    let copy = open();
    let link = copy.link(Arc::new(|| ()));
    let mut session = join(&link, 1);
    let mut left = said;
    while let [len, rest @ ..] = left {
        let piece;
        (piece, left) = rest.split_at(rest.len().min(usize::from(*len)));
        if link.receive(&framed(session, piece)).is_err() {
            break;
        }
        if let Some(new) = answers(&link) {
            session = new;
        } else if epochs & 1 == 1 {
            session = join(&link, u32::from(*epochs >> 1));
        }
        assert!(!world.disk.aborted(), "nobody but the disk ends the process");
    }
    let tail = copy.state().tail;
    copy.close();
    drop((link, copy));
    assert_eq!(open().state().tail, tail);
});

/// Any bytes as a frame whose length and checksum are true. In kinds 2 and 7 the records are not under the checksum.
fn framed(session: u64, piece: &[u8]) -> Vec<u8> {
    let payload = [&session.to_le_bytes()[..], piece].concat();
    let checked = match piece.first() {
        Some(2) => payload.len().min(18),
        Some(7) => payload.len().min(38),
        _ => payload.len(),
    };
    let crc = crc32c::crc32c(&payload[..checked]);
    [&(payload.len() as u32).to_le_bytes()[..], &crc.to_le_bytes(), &payload].concat()
}

fn join(link: &HeldLink, epoch: u32) -> u64 {
    let (journal, tail) = ("a/spool".into(), Position(0));
    let hello = Hello { journal, segment_bytes: 8192, salt: 0, epoch, first: SegmentNo(1), tail };
    let hello = Frame { session: 1, message: Message::Hello(hello) };
    link.receive(&hello.encode()).expect("a true frame");
    answers(link).unwrap_or(1)
}

/// The session that a Welcome names.
fn answers(link: &HeldLink) -> Option<u64> {
    while link.pump() {}
    let mut session = None;
    let mut decoder = Decoder::default();
    while let Some(frame) = link.output() {
        decoder.push(&frame.to_vec());
    }
    while let Some(frame) = decoder.next_frame().expect("our own frames are true") {
        if let Message::Welcome { session: new, .. } = frame.message {
            session = Some(new);
        }
    }
    session
}
