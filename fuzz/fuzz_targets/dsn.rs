//! What we write about strangers' mail: whatever they said, a notification has its fields and parts and no others, and so has Received.
#![no_main]

use fuzz::tape::{Tape, head};
use libfuzzer_sys::fuzz_target;
use mail::dsn::{self, Action, Frame, Original, RecipientReport, Report};
use mail::header::{Scanner, block};
use mail::trace_header::{Protocol, Received, received};
use mail::{Enhanced, Mailbox, MessageId, Reply};

fuzz_target!(|input: &[u8]| {
    let (seed, rest) = head(input, 2);
    let mut tape = Tape::new(seed);
    let utf8 = tape.one_in(2);
    let text = String::from_utf8_lossy(rest);
    let mut words = text.splitn(6, '\n');
    let mut word = || words.next().unwrap_or_default();
    let (address, envid, orcpt, said, host) = (word(), word(), word(), word(), word());
    let original = word().as_bytes();
    check_received(host);
    let postmaster = Mailbox::parse("postmaster@mx.test", false).expect("a sound address");
    let address = Mailbox::parse(address, utf8).unwrap_or_else(|_| postmaster.clone());
    let reply = Reply::of(550, Enhanced::new(5, 1, 1), said);
    let recipient = RecipientReport {
        address: &address,
        orcpt: Some(orcpt),
        action: [Action::Failed, Action::Delayed, Action::Delivered, Action::Relayed][tape.below(4) as usize],
        status: Enhanced::new(5, tape.below(8) as u16, tape.below(12) as u16),
        remote_mta: Some(host),
        diagnostic: Some(&reply),
        last_attempt_ms: Some(tape.below(u64::MAX)),
        will_retry_until_ms: Some(1),
    };
    let report = Report {
        id: MessageId::new(7, [1; 10]),
        about: MessageId::new(6, [2; 10]),
        reporting_mta: "mx.test",
        from_display: "Mail Delivery System",
        from_address: "postmaster@mx.test",
        to: &postmaster,
        envid: Some(envid),
        received_from: Some(host),
        arrival_ms: 1,
        now_ms: 2,
        recipients: &[recipient],
        original: if tape.one_in(2) { Original::Headers(original) } else { Original::Whole(original) },
        utf8,
    };
    let Frame { head, tail } = dsn::frame(&report);
    check_lines(&head, utf8);
    check_lines(&tail, utf8);
    let boundary = format!("--=_{}", report.id);
    let parts =
        |bytes: &[u8]| bytes.split(|byte| *byte == b'\n').filter(|line| line.starts_with(boundary.as_bytes())).count();
    assert_eq!((parts(&head), parts(&tail)), (3, 1), "three parts");
    let fields = block(&head).split(|byte| *byte == b'\n').filter(|line| line.contains(&b':')).count();
    assert!((8..=9).contains(&fields), "fields of the notification: {fields}");
    let whole = dsn::build(&report);
    assert!(whole.starts_with(&head) && whole.ends_with(&tail));
});

/// One field, folded, and nothing else.
fn check_received(helo: &str) {
    for helo in [helo, helo.trim()] {
        let protocol = Protocol { lmtp: false, extended: true, tls: true, auth: false, utf8: false };
        let id = MessageId::new(1, [3; 10]);
        let peer = Some(core::net::Ipv4Addr::LOCALHOST.into());
        let field = received(&Received {
            helo,
            peer,
            by: "mx.test",
            protocol,
            tls: helo,
            id,
            copies: helo.len() as u8,
            recipient: None,
            unix_ms: 1,
        });
        check_lines(&field, false);
        let mut scanner = Scanner::new();
        scanner.feed(&field);
        let facts = scanner.finish();
        assert_eq!((facts.received_count, facts.header_bytes), (1, field.len() as u64));
        let starts = field.split_inclusive(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"\t")).count();
        assert_eq!(starts, 1, "{}", field.escape_ascii());
    }
}

/// Whole lines of at most 998 bytes, without controls.
fn check_lines(text: &[u8], utf8: bool) {
    assert!(text.ends_with(b"\r\n"));
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r\n").expect("CRLF ends a line");
        assert!(line.len() <= 998 || utf8, "{} bytes", line.len());
        assert!(!line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t'), "{}", line.escape_ascii());
        assert!(utf8 || line.is_ascii(), "{}", line.escape_ascii());
    }
}
