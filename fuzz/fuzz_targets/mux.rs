//! The end of a peer link against a peer that sends anything: it is cut or understood, never followed into unbounded memory, and how the
//! bytes were cut changes nothing.
#![no_main]

use fuzz::tape::{Tape, head};
use libfuzzer_sys::fuzz_target;
use mux::{Event, FIRST_CREDIT, Mux, Pieces, Received, Settings, Side};

fuzz_target!(|input: &[u8]| {
    let (choices, said) = head(input, 3);
    let &[flags, seed, cuts] = choices else { return };
    let side = if flags & 1 == 0 { Side::Answerer } else { Side::Dialer };
    let greeted = flags & 2 == 0;
    let mut one = start(side, greeted);
    let mut tape = Tape::new(&[seed]);
    let mut windows = 0;
    for piece in Tape::new(&[cuts, 1]).cut(said) {
        if one.receive(0, piece).is_err() {
            break;
        }
        while let Some(event) = one.poll_event() {
            windows += happened(&mut one, event, &mut tape);
        }
        assert!(one.channels() <= 2 * CHANNELS_MAX);
        assert!(one.unread_bytes() <= windows + one.channels() * FIRST_CREDIT as usize, "no more is kept than was granted");
        if tape.one_in(3) {
            let mut pieces = Pieces::default();
            one.output(&mut pieces, 1 << 20);
            pieces.advance(pieces.len());
        }
    }
    let (mut whole, mut cut) = (start(side, greeted), start(side, greeted));
    let at_once = whole.receive(0, said);
    let in_parts = Tape::new(&[cuts, 2]).cut(said).into_iter().try_for_each(|piece| cut.receive(0, piece));
    assert_eq!(at_once, in_parts, "cuts do not matter");
    assert_eq!(whole.unread_bytes(), cut.unread_bytes());
});

fn start(side: Side, greeted: bool) -> Mux {
    let settings = Settings { side, heartbeat_us: 1_000_000, missed_max: 3, channels_max: CHANNELS_MAX, queue_max: 4096 };
    let mut one = Mux::new(settings, 0);
    one.introduce(b"fuzz".to_vec());
    if greeted {
        assert!(one.receive(0, &[0, 0, 0, 0, 0, 0, 6, 0]).is_ok(), "an empty hello");
        let _ = one.open("ask", "where", 0);
    }
    one
}

/// Does what a user of the link might do; says how much more it granted.
fn happened(one: &mut Mux, event: Event, tape: &mut Tape) -> usize {
    match event {
        Event::Opened { channel, kind, name } => {
            assert!(!kind.is_empty() && kind.len() <= 32 && name.len() <= 255);
            match tape.below(4) {
                0 => one.reset(channel, "no"),
                1 => one.forget(channel),
                _ => {
                    one.accept(channel, 20_000);
                    while let Ok(Received::Bytes(bytes)) = one.read(channel) {
                        let _ = one.send(channel, &mut bytes.clone());
                    }
                    if tape.one_in(2) {
                        let _ = one.finish(channel);
                        one.forget(channel);
                    }
                    return 20_000;
                }
            }
        }
        Event::Readable(channel) => while let Ok(Received::Bytes(_)) = one.read(channel) {},
        Event::Over(channel) => one.forget(channel),
        Event::Writable(_) | Event::Hello(_) | Event::Bye(_) => {}
    }
    0
}

const CHANNELS_MAX: usize = 4;
