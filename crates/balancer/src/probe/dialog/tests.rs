use super::super::target::{Kind, Target};
use super::*;
use directory::ldap::wire;
use proptest::prelude::*;

fn target(kind: Kind, starttls: bool) -> Target {
    Target { starttls, ..Target::new("192.0.2.1:2525".parse().unwrap(), kind) }
}

/// Plays a dialog: each answer is handed in whole, and behind it byte by byte to a second machine, which must say the same. Gives what we
/// said, `TLS` for the handshake, and the verdict.
fn play(target: &Target, answers: &[&[u8]]) -> (Vec<String>, Verdict) {
    let (mut whole, mut cut) = (Dialog::new(target, "lb.example.net"), Dialog::new(target, "lb.example.net"));
    let mut effect = whole.begin();
    assert_eq!(cut.begin(), effect);
    let mut answers = answers.iter();
    let mut said = Vec::new();
    loop {
        if !effect.send.is_empty() {
            said.push(effect.send.escape_ascii().to_string().replace("\\r\\n", ""));
        }
        match effect.next {
            Next::Over(verdict) => return (said, verdict),
            Next::StartTls => {
                said.push("TLS".into());
                effect = whole.secured();
                assert_eq!(cut.secured(), effect);
            }
            Next::Read => {
                let Some(answer) = answers.next() else { return (said, whole.end("the connection was closed")) };
                effect = whole.receive(answer);
                let mut last = Effect::read();
                for byte in answer.chunks(1) {
                    if last == Effect::read() {
                        last = cut.receive(byte);
                    }
                }
                assert_eq!(last, effect, "{}", answer.escape_ascii());
            }
        }
    }
}

fn texts(target: &Target, answers: &[&str]) -> (String, Verdict) {
    let answers: Vec<&[u8]> = answers.iter().map(|answer| answer.as_bytes()).collect();
    let (said, verdict) = play(target, &answers);
    (said.join("|"), verdict)
}

fn failed(why: &str) -> Verdict {
    Verdict::Failed(why.into())
}

const HELLO: &str = "250-mx\r\n250-SIZE 1\r\n250 STARTTLS\r\n";

#[test]
fn smtp() {
    let plain = target(Kind::Smtp, false);
    let full = ["220-mx\r\n220 ready\r\n", HELLO, "250 ok\r\n", "221 bye\r\n"];
    assert_eq!(texts(&plain, &full), ("EHLO lb.example.net|NOOP|QUIT".into(), Verdict::Ready));
    let without_goodbye = texts(&plain, &full[..3]);
    assert_eq!(without_goodbye.1, Verdict::Ready, "who closes at QUIT was ready all the same");
    for (answers, said, verdict) in [
        (vec!["421 4.3.2 busy, later\r\n"], "", failed("421 4.3.2 busy, later")),
        (vec!["421 4.3.2 not ready: draining\r\n"], "", Verdict::Draining("draining".into())),
        (vec!["421 4.3.2 not ready: stopping\r\n"], "", Verdict::Draining("stopping".into())),
        (vec!["421 4.3.2 not ready: back-pressure\r\n"], "", Verdict::NotReady("back-pressure".into())),
        (vec!["554 5.3.2 no\r\n", "221 bye\r\n"], "QUIT", failed("554 5.3.2 no")),
        (vec!["220 a\r\n", "452 4.3.1 full\r\n", "221\r\n"], "EHLO lb.example.net|QUIT", failed("452 4.3.1 full")),
        (vec!["220 a\r\n", "421 4.7.0 \x07bye\r\n"], "EHLO lb.example.net", failed("421 4.7.0  bye")),
        (vec!["220 a\r\n"], "EHLO lb.example.net", failed("at EHLO: the connection was closed")),
        (vec![], "", failed("at the greeting: the connection was closed")),
        (vec!["SSH-2.0-x\r\n"], "", failed("at the greeting: not SMTP: a line without a reply code")),
    ] {
        assert_eq!(texts(&plain, &answers), (said.into(), verdict), "{answers:?}");
    }
}

#[test]
fn smtp_goes_on_under_tls_where_that_is_wanted() {
    let tls = target(Kind::Smtp, true);
    let full = ["220 a\r\n", HELLO, "220 go\r\n", "250 mx\r\n", "250 ok\r\n", "221 bye\r\n"];
    let said = "EHLO lb.example.net|STARTTLS|TLS|EHLO lb.example.net|NOOP|QUIT";
    assert_eq!(texts(&tls, &full), (said.into(), Verdict::Ready));
    let without = texts(&tls, &["220 a\r\n", "250 mx\r\n", "221 bye\r\n"]);
    assert_eq!(without, ("EHLO lb.example.net|QUIT".into(), failed("STARTTLS is not offered")));
    let mut dialog = Dialog::new(&tls, "x");
    for answer in ["220 a\r\n", HELLO] {
        dialog.receive(answer.as_bytes());
    }
    assert_eq!(dialog.receive(b"220 go\r\n250 mx\r\n").next, Next::Over(failed(AHEAD_OF_TLS)));
}

#[test]
fn imap() {
    let plain = target(Kind::Imap, false);
    let capability = "* CAPABILITY IMAP4rev1 STARTTLS\r\np1 OK done\r\n";
    let full = ["* OK hi\r\n", capability, "p3 OK\r\n", "* BYE so long\r\np4 OK\r\n"];
    assert_eq!(texts(&plain, &full), ("p1 CAPABILITY|p3 NOOP|p4 LOGOUT".into(), Verdict::Ready));
    assert_eq!(texts(&plain, &["* BYE too busy\r\n"]).1, failed("* BYE too busy"));
    assert_eq!(texts(&plain, &["* OK hi\r\n", "* BYE shutting down\r\n"]).1, failed("* BYE shutting down"));
    assert_eq!(texts(&plain, &["* OK hi\r\n", "p1 BAD what\r\n", "p4 OK\r\n"]).1, failed("p1 BAD what"));
    assert_eq!(texts(&plain, &["220 a\r\n"]).1, failed("220 a"));
    let tls = target(Kind::Imap, true);
    let full = ["* PREAUTH hi\r\n", capability, "p2 OK go\r\n", "p3 OK\r\n", "* BYE\r\n", "p4 OK\r\n"];
    assert_eq!(texts(&tls, &full), ("p1 CAPABILITY|p2 STARTTLS|TLS|p3 NOOP|p4 LOGOUT".into(), Verdict::Ready));
    let without = texts(&tls, &["* OK\r\n", "* CAPABILITY IMAP4rev1\r\np1 OK\r\n", "p4 OK\r\n"]);
    assert_eq!(without.1, failed("STARTTLS is not offered"));
}

#[test]
fn pop3() {
    let plain = target(Kind::Pop3, false);
    assert_eq!(
        texts(&plain, &["+OK hi\r\n", "+OK\r\nSTLS\r\nUIDL\r\n.\r\n", "+OK bye\r\n"]),
        ("CAPA|QUIT".into(), Verdict::Ready)
    );
    assert_eq!(texts(&plain, &["+OK hi\r\n", "-ERR what\r\n", "+OK bye\r\n"]).1, Verdict::Ready, "RFC 1939 alone");
    assert_eq!(texts(&plain, &["-ERR [SYS/TEMP] later\r\n"]), (String::new(), failed("-ERR [SYS/TEMP] later")));
    assert_eq!(texts(&plain, &["+OK hi\r\n", "+OK\r\nSTLS\r\n"]).1, failed("at CAPA: the connection was closed"));
    let tls = target(Kind::Pop3, true);
    let full = ["+OK\r\n", "+OK\r\n.\r\n", "+OK go\r\n", "+OK\r\n.\r\n", "+OK\r\n"];
    assert_eq!(texts(&tls, &full), ("CAPA|STLS|TLS|CAPA|QUIT".into(), Verdict::Ready));
    assert_eq!(texts(&tls, &["+OK\r\n", "+OK\r\n.\r\n", "-ERR no\r\n", "+OK\r\n"]).1, failed("-ERR no"));
}

#[test]
fn http() {
    let plain = target(Kind::Http, false);
    let request = "GET / HTTP/1.1Host: 192.0.2.1:2525User-Agent: posthouse-probeAccept: */*Connection: close";
    assert_eq!(texts(&plain, &["HTTP/1.1 204 No Content\r\nServer: x\r\n\r\nbody"]), (request.into(), Verdict::Ready));
    assert_eq!(texts(&plain, &["HTTP/1.0 200\r\n"]).1, Verdict::Ready);
    let early = ["HTTP/1.1 103 Early Hints\r\nLink: HTTP/1.1 500\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"];
    assert_eq!(texts(&plain, &early).1, Verdict::Ready);
    let not_ready = "HTTP/1.1 503 Service Unavailable\r\n\r\n";
    assert_eq!(texts(&plain, &[not_ready]).1, failed("HTTP/1.1 503 Service Unavailable"));
    assert_eq!(texts(&plain, &["220 mx ESMTP\r\n"]).1, failed("not HTTP: 220 mx ESMTP"));
    assert_eq!(texts(&plain, &["HTTP/1.1 20x\r\n"]).1, failed("not HTTP: HTTP/1.1 20x"));
    let mut strict = target(Kind::Https, false);
    strict.http.status = (200, 200);
    strict.server_name = Some("www.example.org".into());
    let (said, verdict) = texts(&strict, &["HTTP/1.1 302 Found\r\n\r\n"]);
    assert!(said.contains("Host: www.example.org") && verdict == failed("HTTP/1.1 302 Found"), "{said} {verdict:?}");
}

/// A SearchResultDone (or another answer of that tag) with this id and code.
fn done(id: u8, tag: u8, code: u8) -> Vec<u8> {
    vec![0x30, 12, 2, 1, id, tag, 7, 10, 1, code, 4, 0, 4, 0]
}

#[test]
fn ldap() {
    let plain = target(Kind::Ldap, false);
    let entry = [0x30, 9, 2, 1, 2, 0x64, 4, 4, 0, 0x30, 0];
    let answer = [&entry[..], &done(2, 0x65, 0)].concat();
    let (said, verdict) = play(&plain, &[&answer]);
    assert_eq!((said.len(), verdict), (2, Verdict::Ready));
    assert_eq!(said[1], wire::unbind(3).escape_ascii().to_string());
    assert_eq!(play(&plain, &[&done(2, 0x65, 50)]).1, Verdict::Ready, "strangers may not read: it lives");
    assert_eq!(play(&plain, &[&done(2, 0x65, 51)]).1, failed("LDAP result 51"));
    assert_eq!(play(&plain, &[&done(0, 0x78, 52)]).1, failed("LDAP result 52"));
    assert_eq!(play(&plain, &[b"220 mx\r\n"]).1, failed("not LDAP"));
    let tls = target(Kind::Ldap, true);
    let (said, verdict) = play(&tls, &[&done(1, 0x78, 0), &done(2, 0x65, 0)]);
    assert_eq!((said.len(), said[1].as_str(), verdict), (4, "TLS", Verdict::Ready));
    assert_eq!(play(&tls, &[&done(1, 0x78, 2)]).1, failed("LDAP result 2"));
}

#[test]
fn what_a_server_says_is_bounded() {
    for kind in [Kind::Smtp, Kind::Imap, Kind::Pop3, Kind::Http, Kind::Ldap] {
        let mut dialog = Dialog::new(&target(kind, false), "x");
        dialog.begin();
        dialog.receive(b"* OK\r\n");
        let mut bytes = 0;
        while dialog.receive(&[b'x'; 1000]).next == Next::Read {
            bytes += 1000;
            assert!(bytes <= HEARD_BYTES_MAX, "{kind:?}");
        }
    }
}

proptest! {
    /// Whatever is said, and however it is cut: an effect, never a panic.
    #[test]
    fn nonsense_is_a_verdict(kind in 0usize..5, starttls: bool, said in prop::collection::vec(
        prop_oneof![
            Just(b"220 a\r\n".to_vec()), Just(HELLO.as_bytes().to_vec()), Just(b"* OK\r\n".to_vec()), Just(b"+OK\r\n".to_vec()),
            Just(b"p1 OK\r\n".to_vec()), Just(b".\r\n".to_vec()), Just(b"HTTP/1.1 200\r\n".to_vec()), Just(done(2, 0x65, 0)),
            prop::collection::vec(any::<u8>(), 0..40),
        ], 0..12))
    {
        let kind = [Kind::Smtp, Kind::Imap, Kind::Pop3, Kind::Http, Kind::Ldap][kind];
        let mut dialog = Dialog::new(&target(kind, starttls), "x");
        let mut effect = dialog.begin();
        for bytes in &said {
            match effect.next {
                Next::Read => effect = dialog.receive(bytes),
                Next::StartTls => effect = dialog.secured(),
                Next::Over(_) => break,
            }
        }
        dialog.end("over");
    }
}
