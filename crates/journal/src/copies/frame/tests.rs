use super::*;
use proptest::prelude::*;

fn end() -> impl Strategy<Value = SegmentEnd> {
    (any::<u64>(), any::<u32>(), any::<bool>()).prop_map(|(at, chain, sealed)| SegmentEnd { at, chain, sealed })
}

/// Numbers that are likely to mean something, and any.
fn number(step: u64) -> impl Strategy<Value = u64> {
    prop_oneof![(0u64..5).prop_map(move |n| n * step), 8192u64..24576, any::<u64>(), Just(u64::MAX)]
}

pub(crate) fn message() -> impl Strategy<Value = Message> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..200);
    let no = || number(1).prop_map(SegmentNo);
    let position = || number(8192).prop_map(Position);
    let hello = ("[a-z0-9/.-]{0,40}", any::<u64>(), any::<u32>(), any::<u32>(), no(), position()).prop_map(
        |(journal, segment_bytes, salt, epoch, first, tail)| {
            Message::Hello(Hello { journal, segment_bytes, salt, epoch, first, tail })
        },
    );
    let refusal = prop_oneof![Just(Refusal::Epoch), Just(Refusal::OtherJournal)];
    let trouble = prop_oneof![
        Just(Trouble::Full),
        Just(Trouble::Misfit),
        Just(Trouble::Disk),
        Just(Trouble::Replaced),
        Just(Trouble::Again)
    ];
    prop_oneof![
        hello,
        (position(), any::<bool>(), bytes()).prop_map(|(position, urgent, bytes)| Message::Append {
            position,
            urgent,
            bytes
        }),
        (position(), proptest::collection::vec((no(), any::<u32>()), 0..9))
            .prop_map(|(tail, runs)| Message::Level { tail, runs }),
        proptest::collection::vec(no(), 0..9).prop_map(Message::Released),
        position().prop_map(|tail| Message::Beat { tail }),
        (no(), any::<u64>()).prop_map(|(segment, offset)| Message::Fetch { segment, offset }),
        (no(), any::<u64>(), end(), bytes()).prop_map(|(segment, offset, end, bytes)| Message::Piece {
            segment,
            offset,
            end,
            bytes
        }),
        (any::<u64>(), any::<u32>(), any::<bool>(), proptest::collection::vec((no(), end()), 0..9))
            .prop_map(|(session, epoch, more, held)| Message::Welcome { session, epoch, more, held }),
        (position(), any::<bool>()).prop_map(|(position, level)| Message::Ack { position, level }),
        (refusal, any::<u32>()).prop_map(|(why, epoch)| Message::Refuse { why, epoch }),
        (trouble, "[a-z ü]{0,60}").prop_map(|(kind, text)| Message::Trouble { kind, text }),
    ]
}

fn frames() -> impl Strategy<Value = Vec<Frame>> {
    let frame = (any::<u64>(), message()).prop_map(|(session, message)| Frame { session, message });
    proptest::collection::vec(frame, 1..6)
}

fn decode(decoder: &mut Decoder) -> Result<Vec<Frame>, Malformed> {
    let mut found = Vec::new();
    while let Some(frame) = decoder.next_frame()? {
        found.push(frame);
    }
    Ok(found)
}

proptest! {
    #[test]
    fn frames_come_back_however_the_bytes_are_cut(frames in frames(), cut in 1usize..50) {
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
        let mut decoder = Decoder::default();
        let mut found = Vec::new();
        for piece in bytes.chunks(cut) {
            decoder.push(piece);
            found.extend(decode(&mut decoder).unwrap());
        }
        prop_assert_eq!(found, frames);
    }

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut decoder = Decoder::default();
        decoder.push(&bytes);
        let _ = decode(&mut decoder);
        // Without the luck of a checksum: straight into the fields.
        let _ = take(&mut Fields(&bytes));
    }

    #[test]
    fn a_changed_bit_is_seen_unless_it_is_in_records(frame in frames(), bit in any::<prop::sample::Index>()) {
        let frame = &frame[0];
        let mut bytes = frame.encode();
        let records = match &frame.message {
            Message::Append { bytes, .. } | Message::Piece { bytes, .. } => bytes.len(),
            _ => 0,
        };
        // The length apart: with a longer one the decoder waits for more.
        let bit = 32 + bit.index((bytes.len() - records - 4) * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let mut decoder = Decoder::default();
        decoder.push(&bytes);
        prop_assert!(decoder.next_frame().is_err());
    }
}

#[test]
fn a_head_and_its_records_are_a_frame() {
    let mut bytes = append_head(7, Position(99), true, 3);
    assert_eq!(bytes.len(), APPEND_HEAD_BYTES);
    bytes.extend_from_slice(b"abc");
    let message = Message::Append { position: Position(99), urgent: true, bytes: b"abc".to_vec() };
    assert_eq!(bytes, Frame { session: 7, message }.encode());
    let long = (FRAME_BYTES_MAX as u32 + 1).to_le_bytes();
    let mut decoder = Decoder::default();
    decoder.push(&[long, [0; 4]].concat());
    assert_eq!(decoder.next_frame(), Err(Malformed("too long")));
}
