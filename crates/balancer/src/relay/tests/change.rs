//! Sessions that go on with another member.

use super::*;
use ServiceProtocol::Smtp;
use std::sync::Mutex;

/// Serves until it hears one of these words, and then does what belongs to it.
fn falls(name: &'static str, at: &'static str, then: fn(&mut Client)) -> ServiceMember {
    member(name, move |mut client| {
        client.say(&format!("220 {name}\r\n"));
        loop {
            let line = client.line();
            match line.get(..line.len().min(4)).unwrap_or_default() {
                "" => return,
                word if word == at => return then(&mut client),
                "EHLO" => client.say(&format!("250-{name}\r\n250-SIZE 1000\r\n250 PIPELINING\r\n")),
                "DATA" => client.say("354 go\r\n"),
                _ => client.say(&format!("250 {name}\r\n")),
            }
        }
    })
}

/// The same, and never falls; writes down what it hears.
fn hears(name: &'static str, offer: &'static str, heard: &Arc<Mutex<Vec<String>>>) -> ServiceMember {
    let heard = Arc::clone(heard);
    member(name, move |mut client| {
        client.say(&format!("220-{name}\r\n220 ready\r\n"));
        loop {
            let line = client.line();
            heard.lock().unwrap().push(line.clone());
            match line.get(..4).unwrap_or_default() {
                "" => return,
                "EHLO" => client.say(&format!("250-{name}\r\n{offer}")),
                _ => client.say(&format!("250 {name}\r\n")),
            }
        }
    })
}

const OFFER: &str = "250-SIZE 1000\r\n250 PIPELINING\r\n";

/// A session at the first member, which falls; the other one is asked only then.
fn session(first: ServiceMember, other: ServiceMember) -> (Fixture, Client) {
    let other = ServiceMember { priority: 2, ..other };
    let fixture = plan(Smtp).serve(vec![first, other]);
    let mut client = fixture.client();
    assert_eq!(client.line(), "220 first");
    client.say("EHLO app\r\n");
    assert_eq!([client.line(), client.line(), client.line()], ["250-first", "250-SIZE 1000", "250 PIPELINING"]);
    (fixture, client)
}

fn reset(client: &mut Client) {
    // What is not read yet makes the end a reset.
    socket2::SockRef::from(client.stream.get_ref()).set_linger(Some(Duration::ZERO)).unwrap();
}

/// However the member goes, and however much the client has asked at once: the other one is told the same, once, and answers.
#[test]
fn the_client_does_not_notice() {
    let ways: [fn(&mut Client); 3] = [|_| {}, reset, |client| client.say("421 4.3.2 not ready: draining\r\n")];
    for then in ways {
        let heard = Arc::default();
        let (fixture, mut client) = session(falls("first", "MAIL", then), hears("other", OFFER, &heard));
        assert_eq!(client.ask("NOOP\r\n"), "250 first");
        client.say("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\n");
        assert_eq!([client.line(), client.line()], ["250 other", "250 other"]);
        assert_eq!(client.ask("RSET\r\n"), "250 other");
        assert_eq!(*heard.lock().unwrap(), ["EHLO app", "MAIL FROM:<a@x>", "RCPT TO:<b@y>", "RSET"]);
        assert_eq!(fixture.setup.pool.retries_hidden(), 1);
        let shown = fixture.setup.pool.shown(0);
        assert_eq!(
            shown.iter().map(|of| (&*of.name, of.retries_hidden)).collect::<Vec<_>>(),
            [("first", 1), ("other", 0)]
        );
    }
}

/// The farewell comes with the last answer, as from a hub that restarts: the client gets the answer alone.
#[test]
fn the_answer_passes_and_the_farewell_does_not() {
    let heard = Arc::default();
    let then = |client: &mut Client| client.say("250 first\r\n421 4.3.2 goes out of service\r\n");
    let (_fixture, mut client) = session(falls("first", "NOOP", then), hears("other", OFFER, &heard));
    assert_eq!(client.ask("NOOP\r\n"), "250 first");
    assert_eq!(client.ask("MAIL FROM:<a@x>\r\n"), "250 other");
    assert_eq!(*heard.lock().unwrap(), ["EHLO app", "MAIL FROM:<a@x>"]);
}

/// In the middle of an envelope: the other one is told all of it, and the client hears each answer once.
#[test]
fn an_envelope_goes_on_where_it_was() {
    for at in ["RCPT", "DATA"] {
        let heard = Arc::default();
        let then: fn(&mut Client) = |client| client.say("421 4.3.2 goes out of service\r\n");
        let (_fixture, mut client) = session(falls("first", at, then), hears("other", OFFER, &heard));
        let envelope = ["MAIL FROM:<a@x>", "RCPT TO:<b@y>", "DATA", "NOOP"];
        let mut by = "250 first";
        for line in envelope {
            if line.starts_with(at) {
                by = "250 other";
            }
            assert_eq!(client.ask(&format!("{line}\r\n")), by, "{line}");
        }
        let all = [&["EHLO app"], &envelope[..]].concat();
        assert_eq!(*heard.lock().unwrap(), all, "{at}");
    }
}

/// Content has begun: nobody else can know what of it there is.
#[test]
fn a_message_that_is_under_way_ends_with_its_member() {
    let heard = Arc::default();
    let (_fixture, mut client) = session(falls("first", ".", |_| {}), hears("other", OFFER, &heard));
    assert_eq!(client.ask("MAIL FROM:<a@x>\r\n"), "250 first");
    assert_eq!(client.ask("DATA\r\n"), "354 go");
    assert_eq!((client.ask(".\r\n"), heard.lock().unwrap().len()), (String::new(), 0));
}

/// What cannot be said again ends as it always did, and the other member hears no part of it.
#[test]
fn what_belongs_to_its_member_ends_with_it() {
    // What the client says before, the word at which the member goes, and the command with it.
    let cases: [(&[&str], &'static str, &str); 2] =
        [(&["AUTH PLAIN xyz"], "MAIL", "MAIL FROM:<a@x>"), (&["MAIL FROM:<a@x>", "XYZ"], "RCPT", "RCPT TO:<b@y>")];
    for (before, word, at) in cases {
        let heard = Arc::default();
        let (_fixture, mut client) = session(falls("first", word, |_| {}), hears("other", OFFER, &heard));
        for line in before {
            assert_eq!(client.ask(&format!("{line}\r\n")), "250 first", "{line}");
        }
        assert_eq!(client.ask(&format!("{at}\r\n")), "", "{at}: it ends");
        assert!(heard.lock().unwrap().is_empty(), "{at}");
    }
}

/// A member that offers something else is no substitute: the client may be using what it was offered.
#[test]
fn another_offer_is_another_session() {
    let heard = Arc::default();
    let other = hears("other", "250 SIZE 5\r\n", &heard);
    let (_fixture, mut client) = session(falls("first", "MAIL", |_| {}), other);
    assert!(client.ask("MAIL FROM:<a@x>\r\n").starts_with("421 4.3.2 mail.example "));
    assert_eq!(heard.lock().unwrap()[0], "EHLO app");
}
