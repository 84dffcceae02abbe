//! What a client hears first, and who says it.

use super::*;
use ServiceProtocol::{Imap, Pop3, Smtp, Tcp};
use std::sync::mpsc;

#[test]
fn whoever_fails_is_followed_by_the_next_and_nobody_notices() {
    let mut plan = plan(Smtp);
    (plan.service.limits.retries, plan.service.limits.greeting_timeout_ms) = (5, 100);
    let members = vec![
        dead("dead"),
        says("421", "421 4.3.2 not ready\r\n"),
        says("554", "220-wait\r\n554 5.7.1 no\r\n"),
        says("closed", ""),
        silent("silent"),
        smtp("good"),
    ];
    let fixture = plan.serve(members);
    for _ in 0..3 {
        let mut client = fixture.client();
        assert_eq!((client.line(), client.line()), ("220-good".into(), "220 ready".into()));
        assert_eq!(client.ask("EHLO x\r\n"), "250 good");
        assert_eq!((client.ask("QUIT\r\n"), client.rest()), ("221 bye".into(), Vec::new()));
    }
    fixture.until(|totals| totals.active == 0);
    let totals = fixture.totals();
    // In turn: the first client meets all of them, the second begins at the second one.
    assert_eq!((totals.accepted, totals.relayed), (3, 3));
    assert!(totals.greeting_us(1.0).is_some());
    let shown = fixture.setup.pool.shown(0);
    let failed: u64 = shown.iter().map(|shown| shown.refused).sum();
    assert!(failed >= 5, "{failed}");
    // Each failure was hidden from its client, and is said of the member that failed.
    assert!(shown.iter().all(|shown| shown.retries_hidden == shown.refused), "{shown:?}");
    assert_eq!(fixture.setup.pool.retries_hidden(), failed);
    let good = shown.iter().find(|shown| &*shown.name == "good").unwrap();
    assert!(good.up_bytes > 0 && good.down_bytes > 0);
}

#[test]
fn when_all_refuse_the_client_is_told_in_its_protocol() {
    let all = "mail.example no server can take mail now: each one that was asked refused or did not answer";
    for (protocol, is) in [
        (Smtp, format!("421 4.3.2 {all}")),
        (Imap, format!("* BYE {all}")),
        (Pop3, format!("-ERR {all}")),
        (Tcp, String::new()),
    ] {
        let fixture = plan(protocol).serve(vec![dead("a"), dead("b")]);
        let mut client = fixture.client();
        assert_eq!((client.line(), client.rest()), (is, Vec::new()), "{protocol:?}");
        drop(client);
        fixture.until(|totals| totals.active == 0);
    }
    // A greeting of another protocol is none.
    let fixture = plan(Imap).serve(vec![says("smtp", "220 hub\r\n")]);
    assert!(fixture.client().line().starts_with("* BYE "));
    // Nobody there at all.
    let fixture = plan(Smtp).serve(Vec::new());
    assert_eq!(fixture.client().line(), "421 4.3.2 mail.example no server can take mail now: none is up");
}

#[test]
fn retries_are_bounded() {
    let mut plan = plan(Smtp);
    plan.service.limits.retries = 1;
    let fixture = plan.serve(vec![dead("a"), dead("b"), smtp("c")]);
    assert!(fixture.client().line().starts_with("421 "));
}

#[test]
fn who_speaks_before_the_greeting_loses_nothing() {
    let (spoken, wait) = mpsc::channel::<()>();
    let wait = Arc::new(std::sync::Mutex::new(wait));
    let late = member("late", move |mut client| {
        // The client has spoken; we have not greeted: nothing may be here.
        wait.lock().unwrap().recv().unwrap();
        client.stream.get_mut().set_nonblocking(true).unwrap();
        let early = client.stream.get_mut().read(&mut [0; 1]);
        assert_eq!(early.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        client.stream.get_mut().set_nonblocking(false).unwrap();
        speak_smtp("late", client);
    });
    let fixture = plan(Smtp).serve(vec![dead("dead"), late]);
    let mut client = fixture.client();
    client.say("EHLO early\r\nNOOP\r\n");
    // It ends, too, and still wants its answers.
    client.end();
    spoken.send(()).unwrap();
    assert_eq!(String::from_utf8(client.rest()).unwrap(), "220-late\r\n220 ready\r\n250 late\r\n250 late\r\n");
}

#[test]
fn a_client_that_goes_stops_the_dialing() {
    let (seen, gone) = mpsc::channel::<usize>();
    let seen = Arc::new(std::sync::Mutex::new(seen));
    let silent = member("silent", move |mut client| {
        seen.lock().unwrap().send(usize::MAX).unwrap();
        let read = client.rest().len();
        seen.lock().unwrap().send(read).unwrap();
    });
    let fixture = plan(Smtp).serve(vec![silent]);
    let client = fixture.client();
    assert_eq!(gone.recv_timeout(PATIENCE).unwrap(), usize::MAX);
    drop(client);
    // Long before its greeting is too late.
    assert_eq!(gone.recv_timeout(PATIENCE).unwrap(), 0);
    fixture.until(|totals| totals.active == 0);
    assert_eq!((fixture.totals().relayed, fixture.totals().refused.iter().sum::<u64>()), (0, 0));
}
