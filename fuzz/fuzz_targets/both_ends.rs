//! Our client talks to our server: what is accepted arrives byte for byte, by DATA and by BDAT, however the wire cuts it.
#![no_main]

use fuzz::letter::{self, Letter};
use fuzz::server::{self, Driver};
use fuzz::tape::{Tape, head};
use libfuzzer_sys::fuzz_target;
use smtp::client::{BodyEnd, Client, Ending, Event, Outcome, Output, Stage, Stuffer};

fuzz_target!(|input: &[u8]| {
    let (choices, text) = head(input, 4);
    let &[flags, client_flags, answers, cuts] = choices else { return };
    // What we hold has no bare CR or LF: the server took it in that way.
    let body = &with_crlf(text)[..];
    // Both speak the same protocol, and the server's bounds are wide.
    let settings = server::settings(flags & 0b01_0001, 0b0011_1111);
    let client_settings = letter::settings(client_flags & 0b0111_0000 | flags & 1);
    let mut server = Driver::new(settings, false, Tape::new(&[answers]));
    let mut client = Client::new(client_settings);
    let mut tape = Tape::new(&[cuts]);
    let mut said = server.feed(b"");
    let (mut handed, mut outcomes) = (0, Vec::new());
    loop {
        for piece in tape.cut(&said) {
            client.receive(piece);
        }
        while handed < MESSAGES_MAX && client.wants() > 0 {
            client.send(Letter::new(handed, 1 + tape.below(2) as usize, body.len() as u64));
            handed += 1;
        }
        while let Some(event) = client.poll_event() {
            match event {
                Event::Done(done) => outcomes.push(done.outcomes),
                Event::Over(Ending::Refused(Stage::Hello, _)) => {}
                Event::Over(ending) => panic!("the ends do not understand each other: {ending:?}"),
                Event::Ready | Event::StartTls | Event::Returned(_) => {}
            }
        }
        let wire = output(&mut client, body, &mut tape);
        if wire.is_empty() {
            break;
        }
        said = tape.cut(&wire).into_iter().flat_map(|piece| server.feed(piece)).collect();
    }
    assert_eq!(client.in_flight(), 0, "nobody waits for the other");
    let story = server.finish();
    let accepted = outcomes.iter().filter(|each| each.iter().any(|one| matches!(one, Outcome::Accepted(_)))).count();
    assert_eq!(accepted, story.accepted.len());
    for arrived in story.accepted {
        assert!(
            arrived == body || arrived.strip_suffix(b"\r\n") == Some(body),
            "DATA ends a last line that has no end"
        );
    }
});

/// All that the client has to say now, bodies stuffed in parts.
fn output(client: &mut Client<Letter>, body: &[u8], tape: &mut Tape) -> Vec<u8> {
    let mut wire = Vec::new();
    while let Some(output) = client.next_output() {
        match output {
            Output::Text(text) => wire.extend_from_slice(&text),
            Output::Exact => {
                wire.extend_from_slice(body);
                client.body_sent(BodyEnd::Line);
            }
            Output::Dotted => {
                let mut stuffer = Stuffer::new();
                for part in tape.cut(body) {
                    stuffer.part(part, |range| wire.extend_from_slice(&part[range]));
                }
                client.body_sent(stuffer.end());
            }
        }
    }
    wire
}

/// The text with every line end made CRLF.
fn with_crlf(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' if bytes.next_if_eq(&&b'\n').is_some() => out.extend_from_slice(b"\r\n"),
            b'\r' | b'\n' => out.extend_from_slice(b"\r\n"),
            other => out.push(*other),
        }
    }
    out
}

const MESSAGES_MAX: usize = 3;
