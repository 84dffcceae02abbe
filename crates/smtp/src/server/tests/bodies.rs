use super::driver::{Driver, custody, limited, lmtp, no, receipt, smtp};
use crate::server::{Answer, BareNewline, Framing, Moment, SWALLOW_BYTES_MAX};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use mail::{Enhanced, Reply};

const READY: &str = "EHLO c.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n";

fn ready(settings: crate::server::Settings) -> Driver {
    let mut driver = Driver::new(settings);
    let hello = driver.session.settings.protocol;
    driver.say(&if hello == crate::server::Protocol::Lmtp { READY.replacen("EHLO", "LHLO", 1) } else { READY.into() });
    driver.told.clear();
    driver
}

#[test]
fn a_bare_newline_is_refused_at_the_true_end() {
    let mut driver = ready(smtp());
    let codes = driver.codes("DATA\r\na\n.\r\nMAIL FROM:<evil@x.test>\r\n.\r\nNOOP\r\n");
    assert_eq!(codes[1..], ["550 5.6.11", "250 2.0.0"]);
    assert_eq!(
        driver.told.last().unwrap(),
        "body refused 550 5.6.11 bare CR or LF in the message is not allowed, lines end in CRLF"
    );
    assert!(!driver.session.in_transaction());
}

#[test]
fn a_bare_newline_is_repaired() {
    let mut settings = smtp();
    settings.bare_newline = BareNewline::Repair;
    let mut driver = ready(settings);
    let heard = driver.say("DATA\r\na\n.\r\nMAIL FROM:<evil@x.test>\r.\r\n.\r\n");
    assert!(heard.ends_with(&custody()));
    assert_eq!(driver.told, ["data Dot", "body a\r\n.\r\nMAIL FROM:<evil@x.test>\r\n.\r\n", "end 34"]);
}

#[test]
fn size_is_bounded_while_the_body_arrives() {
    for (body, code) in [("12345678\r\n", "250 2.0.0"), ("123456789\r\n", "552 5.3.4")] {
        let mut driver = ready(limited(|limits| limits.message_bytes_max = 10));
        assert_eq!(driver.codes(&format!("DATA\r\n{body}.\r\n"))[1], code);
        let mut driver = ready(limited(|limits| limits.message_bytes_max = 10));
        let size = body.len();
        assert_eq!(driver.codes(&format!("BDAT {size} LAST\r\n{body}NOOP\r\n")), [code, "250 2.0.0"]);
    }
}

#[test]
fn a_header_is_bounded() {
    for (header, code) in [("a: 56\r\n\r\n", "250 2.0.0"), ("a: 567\r\n\r\n", "552 5.3.4")] {
        let mut driver = ready(limited(|limits| limits.header_bytes_max = 9));
        assert_eq!(driver.codes(&format!("DATA\r\n{header}a long body\r\n.\r\n"))[1], code);
    }
}

#[test]
fn a_refused_body_is_swallowed_within_a_bound() {
    let mut driver = ready(limited(|limits| limits.message_bytes_max = 10));
    driver.say("DATA\r\n");
    let megabyte = "x".repeat(1 << 20);
    let mut megabytes = 0;
    while !driver.session.is_over() {
        driver.feed(megabyte.as_bytes());
        megabytes += 1;
    }
    assert!((SWALLOW_BYTES_MAX >> 20..=(SWALLOW_BYTES_MAX >> 20) + 2).contains(&megabytes));
    assert_eq!(driver.codes(""), ["552 5.3.4"]);
}

#[test]
fn chunks() {
    let mut driver = ready(smtp());
    let heard = driver.say("BDAT 5\r\n.a\r\n.BDAT 0\r\nBDAT 3 LAST\r\n\r\n.NOOP\r\n");
    let first = "250 2.0.0 5 octets received\r\n250 2.0.0 0 octets received\r\n";
    assert_eq!(heard, format!("{first}{}250 2.0.0 ok\r\n", custody()));
    assert_eq!(driver.told, ["data Chunks", "body .a\r\n.\r\n.", "end 8"]);
    driver.say("MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n");
    assert_eq!(driver.say("BDAT 0 LAST\r\n"), custody());
}

#[test]
fn chunks_out_of_place_are_swallowed() {
    let chunk = "BDAT 10 LAST\r\nRSET\r\nQUITNOOP\r\n";
    let mut driver = Driver::new(smtp());
    assert_eq!(driver.codes(chunk), ["503 5.5.1", "250 2.0.0"]);
    assert_eq!(
        driver.codes(&format!("EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<no@d.test>\r\n{chunk}"))[11..],
        ["554 5.5.1", "250 2.0.0"]
    );
    assert_eq!(driver.codes("BDAT x\r\nBDAT\r\nBDAT 6 FIRST\r\nQUIT\r\n"), ["501 5.5.4"; 3]);
}

#[test]
fn data_and_bdat_do_not_mix() {
    let mut driver = ready(smtp());
    driver.say("BDAT 3\r\na\r\n");
    assert_eq!(driver.codes("DATA\r\nRCPT TO:<e@d.test>\r\nMAIL FROM:<>\r\n"), ["503 5.5.1"; 3]);
    assert_eq!(driver.say("BDAT 0 LAST\r\n"), custody());
}

#[test]
fn a_bare_newline_in_chunks_is_refused() {
    let mut driver = ready(smtp());
    let group = "BDAT 4\r\na\n.\nBDAT 1\r\nxBDAT 1 LAST\r\nxNOOP\r\n";
    assert_eq!(driver.codes(group), ["550 5.6.11", "503 5.5.1", "503 5.5.1", "250 2.0.0"]);
    assert!(!driver.told.iter().any(|word| word.starts_with("error") || word.starts_with("end")));
    let mut driver = ready(smtp());
    assert_eq!(
        driver.codes("BDAT 2\r\na\rBDAT 1 LAST\r\n\n"),
        ["250 2.0.0", "250 2.0.0"],
        "a CRLF may be cut by chunks"
    );
    let mut driver = ready(smtp());
    assert_eq!(driver.codes("BDAT 2 LAST\r\na\r"), ["550 5.6.11"]);
}

#[test]
fn a_driver_refuses_a_body_on_its_way() {
    let full = Reply::new(452, Enhanced::new(4, 3, 1), "no room");
    for (start, rest, codes) in [
        ("DATA\r\na\r\n", "b\r\n.\r\nNOOP\r\n", ["452 4.3.1", "250 2.0.0"].as_slice()),
        ("BDAT 6\r\na\r\n", "b\r\nNOOP\r\n", &["452 4.3.1", "250 2.0.0"]),
        ("BDAT 3\r\na\r\n", "BDAT 3 LAST\r\nb\r\nNOOP\r\n", &["452 4.3.1", "250 2.0.0"]),
    ] {
        let mut driver = ready(smtp());
        driver.say(start);
        driver.session.refuse_body(full.clone());
        driver.session.refuse_body(no("matter"));
        assert_eq!(driver.codes(rest), codes, "{start:?}");
        assert!(!driver.told.iter().any(|word| word.starts_with("end")));
        assert!(!driver.session.in_transaction());
    }
}

#[test]
fn a_driver_refuses_data() {
    for (input, codes) in
        [("DATA\r\n", ["550 5.7.1", "250 2.0.0"].as_slice()), ("BDAT 10\r\nRSET\r\nQUIT", &["550 5.7.1", "250 2.0.0"])]
    {
        let mut driver = ready(smtp());
        let (used, moment) = driver.session.receive(input.as_bytes());
        assert!(matches!(moment, Some(Moment::Data(_))));
        driver.session.answer(Answer::reply(no("room")));
        driver.feed(&input.as_bytes()[used..]);
        assert_eq!(driver.codes("NOOP\r\n"), codes);
    }
}

#[test]
fn nothing_but_a_receipt_takes_custody() {
    let ok = Reply::new(250, Enhanced::new(2, 0, 0), "ok");
    let go_on = Reply::plain(354, "go on");
    let each = [Ok(receipt()), Err(ok.clone()), Err(no("recipient"))];
    let answers = [
        (Answer::accept(), ["451 4.3.0"; 4]),
        (Answer::authenticated(), ["451 4.3.0"; 4]),
        (Answer::challenge(Vec::new()), ["451 4.3.0"; 4]),
        (Answer::reply(ok), ["451 4.3.0"; 4]),
        (Answer::reply(go_on), ["451 4.3.0"; 4]),
        (Answer::reply(no("room")), ["550 5.7.1"; 4]),
        (Answer::custody(&receipt()), ["250 2.0.0"; 4]),
        (Answer::custody_each(&each), ["250 2.0.0", "451 4.3.0", "550 5.7.1", "451 4.3.0"]),
    ];
    for (answer, codes) in answers {
        let mut driver = ready(lmtp());
        driver.say(&"RCPT TO:<c@d.test>\r\n".repeat(3));
        driver.say("DATA\r\n");
        let (_, moment) = driver.session.receive(b".\r\n");
        assert_eq!(moment, Some(Moment::EndOfMessage { bytes: 0 }));
        driver.session.answer(answer);
        let heard: Vec<String> = driver.codes("");
        assert_eq!(heard, codes);
    }
}

#[test]
fn custody_at_another_moment_is_no_yes() {
    let mut driver = ready(smtp());
    let (_, moment) = driver.session.receive(b"DATA\r\n");
    assert_eq!(moment, Some(Moment::Data(Framing::Dot)));
    driver.session.answer(Answer::custody(&receipt()));
    assert_eq!(driver.codes(""), ["451 4.3.0"]);
}
