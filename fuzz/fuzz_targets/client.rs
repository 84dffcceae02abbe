//! The client machine against a peer that says anything: every message comes out exactly once, with an outcome for each recipient,
//! and nothing is accepted that the peer did not say yes to.
#![no_main]

use fuzz::letter::{Letter, settings};
use fuzz::tape::{Tape, head};
use libfuzzer_sys::fuzz_target;
use smtp::client::{BodyEnd, Client, Event, Loss, Outcome, Output};

fuzz_target!(|input: &[u8]| {
    let (choices, said) = head(input, 3);
    let &[flags, seed, cuts] = choices else { return };
    let mut tape = Tape::new(&[seed]);
    let mut session = Driver { client: Client::new(settings(flags)), handed: 0, back: Vec::new(), over: false };
    session.work(&mut tape);
    for piece in Tape::new(&[cuts, 1]).cut(said) {
        session.client.receive(piece);
        session.work(&mut tape);
    }
    session.client.lost(Loss::Closed);
    session.work(&mut tape);
    assert!(session.over, "a lost session is over");
    session.back.sort_unstable();
    assert_eq!(session.back, (0..session.handed).collect::<Vec<_>>(), "each message comes out once");
    assert_eq!(session.client.in_flight(), 0);
});

struct Driver {
    client: Client<Letter>,
    handed: usize,
    back: Vec<usize>,
    over: bool,
}

impl Driver {
    fn work(&mut self, tape: &mut Tape) {
        let mut moved = true;
        while moved {
            moved = false;
            while self.handed < MESSAGES_MAX && self.client.wants() > 0 && !self.over {
                self.client.send(Letter::new(self.handed, 1 + tape.below(3) as usize, tape.below(3000)));
                self.handed += 1;
                moved = true;
            }
            while let Some(event) = self.client.poll_event() {
                moved = true;
                self.happened(event);
            }
            while let Some(output) = self.client.next_output() {
                moved = true;
                match output {
                    Output::Text(text) => check_commands(&text),
                    Output::Dotted | Output::Exact => {
                        assert!(self.client.sending().is_some());
                        self.client.body_sent(BodyEnd::Line);
                    }
                }
            }
        }
    }

    fn happened(&mut self, event: Event<Letter>) {
        assert!(!self.over, "nothing follows Over: {event:?}");
        match event {
            Event::Done(done) => {
                assert_eq!(done.outcomes.len(), done.message.recipients.len());
                for outcome in &done.outcomes {
                    match outcome {
                        Outcome::Accepted(reply) => assert!(reply.is_positive(), "{reply}"),
                        Outcome::Never(reply) => assert!(reply.is_permanent(), "{reply}"),
                        Outcome::Later(_) | Outcome::Uncertain(_) => {}
                    }
                }
                self.back.push(done.message.number);
            }
            Event::Returned(letter) => self.back.push(letter.number),
            Event::StartTls => self.client.tls_started(),
            Event::Ready => {}
            Event::Over(_) => self.over = true,
        }
    }
}

/// Whole lines, no bare CR or LF, no control characters: nothing that a peer said may become a command.
fn check_commands(text: &[u8]) {
    assert!(text.ends_with(b"\r\n"));
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r\n").expect("CRLF ends a command");
        assert!(!line.iter().any(u8::is_ascii_control), "{}", line.escape_ascii());
    }
}

const MESSAGES_MAX: usize = 6;
