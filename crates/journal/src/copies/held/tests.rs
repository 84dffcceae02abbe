use super::*;
use crate::copies::frame::tests::message;
use crate::copies::frame::{Hello, append_head};
use crate::position::SegmentNo;
use crate::record::{Format, Header, SEAL};
use proptest::prelude::*;

const FORMAT: Format = Format { segment_bytes: 8192, salt: 7, epoch: 3 };

fn hello(epoch: u32) -> Message {
    let (journal, tail) = ("a/spool".into(), Position(0));
    Message::Hello(Hello { journal, segment_bytes: 8192, salt: 7, epoch, first: SegmentNo(1), tail })
}

/// A true record at a position.
fn record(at: u64, kind: u8, payload: &[u8]) -> Vec<u8> {
    let (len, payload_crc) = (payload.len() as u32, crc32c::crc32c(payload));
    let header = Header { kind, len, payload_crc, epoch: 3, position: Position(at), durable_back: 0 };
    let mut bytes = vec![0; 32];
    header.encode(&FORMAT, &mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

fn open() -> (World, HeldCopy) {
    let (world, _) = World::simulated(3);
    let settings = Settings { keep_free_bytes: 0, ..Settings::default() };
    let copy = HeldCopy::open(&world, Path::new("/c"), "a/spool", settings).unwrap();
    (world, copy)
}

fn say(link: &HeldLink, session: u64, message: Message) -> Vec<Frame> {
    link.receive(&Frame { session, message }.encode()).unwrap();
    link.pump();
    let mut decoder = Decoder::default();
    while let Some(frame) = link.output() {
        decoder.push(&frame.to_vec());
    }
    std::iter::from_fn(|| decoder.next_frame().unwrap()).collect()
}

fn join(link: &HeldLink, epoch: u32) -> u64 {
    match say(link, 1, hello(epoch)).pop().unwrap().message {
        Message::Welcome { session, .. } => session,
        other => panic!("{other:?}"),
    }
}

/// Appends that are good, or nearly.
fn appends() -> impl Strategy<Value = Message> {
    let payload = proptest::collection::vec(any::<u8>(), 0..400);
    (1u64..4, 0u64..4, prop_oneof![Just(1u8), Just(SEAL)], payload).prop_map(|(segment, nth, kind, payload)| {
        let at = segment * 8192 + nth * 100;
        let payload = if kind == SEAL { Vec::new() } else { payload };
        Message::Append { position: Position(at), urgent: true, bytes: record(at, kind, &payload) }
    })
}

proptest! {
    #[test]
    fn a_holder_survives_any_owner(said in proptest::collection::vec(prop_oneof![message(), appends()], 1..40)) {
        let (world, copy) = open();
        let link = copy.link(Arc::new(|| ()));
        let mut session = join(&link, 3);
        for message in said {
            let message = match message {
                // Keep to one journal, or nothing else is ever listened to.
                Message::Hello(_) => hello(3),
                other => other,
            };
            for answer in say(&link, session, message) {
                match answer.message {
                    Message::Welcome { session: new, .. } => session = new,
                    Message::Trouble { .. } => session = join(&link, 3),
                    _ => {}
                }
            }
            prop_assert!(!world.disk.aborted());
        }
        let (tail, level) = (copy.state().tail, copy.state().level);
        copy.close();
        drop((link, copy));
        let again = HeldCopy::open(&world, Path::new("/c"), "a/spool", Settings::default()).unwrap();
        prop_assert_eq!(again.state().tail, tail);
        prop_assert!(again.state().level <= level);
    }
}

#[test]
fn a_newer_session_ends_the_older_and_a_higher_epoch_refuses_it() {
    let (_, copy) = open();
    let woken = Arc::new(AtomicBool::new(false));
    let flag = woken.clone();
    let first = copy.link(Arc::new(move || flag.store(true, Ordering::SeqCst)));
    let session = join(&first, 3);
    let second = copy.link(Arc::new(|| ()));
    join(&second, 4);
    assert!(first.is_over() && woken.load(Ordering::SeqCst) && !second.is_over());
    let append = Message::Append { position: Position(8192), urgent: true, bytes: record(8192, 1, b"late") };
    let answers = say(&first, session, append);
    let refused = Message::Refuse { why: Refusal::Epoch, epoch: 4 };
    assert_eq!(answers, [Frame { session, message: refused.clone() }]);
    assert_eq!(copy.state().segments, 0);
    assert_eq!(say(&first, 9, hello(3)), [Frame { session: 9, message: refused }]);
}

#[test]
fn what_an_owner_pours_in_has_a_bound() {
    let (_, copy) = open();
    let link = copy.link(Arc::new(|| ()));
    let mut frame = append_head(5, Position(8192), false, 1 << 20);
    frame.resize(frame.len() + (1 << 20), 0);
    let mut taken = 0;
    while link.wants_input() {
        link.receive(&frame).unwrap();
        taken += 1;
    }
    assert!(taken <= ARRIVED_BYTES_MAX / (1 << 20) + 1);
    let refused = (0..8).any(|_| link.receive(&frame).is_err());
    assert!(refused, "a driver that does not ask is not fed for ever");
}
