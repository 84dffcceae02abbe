use super::driver::{Driver, custody, limited, lmtp, smtp};
use crate::server::{Closing, Limits};
use alloc::format;
use alloc::string::String;
use mail::{Enhanced, Reply};

const HELLO: &str = "EHLO c.test\r\n";
const MAIL: &str = "MAIL FROM:<a@b.test>\r\n";
const RCPT: &str = "RCPT TO:<c@d.test>\r\n";

#[test]
fn a_message_in_one_pipelined_group() {
    let mut driver = Driver::new(smtp());
    let heard = driver.say(&format!("{HELLO}{MAIL}{RCPT}DATA\r\nSubject: x\r\n\r\n..y\r\n.\r\nQUIT\r\n"));
    let hello = "250-mx.test\r\n250-PIPELINING\r\n250-SIZE 37748736\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n\
        250-DSN\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250 LIMITS RCPTMAX=200\r\n";
    let replies = "250 2.1.0 sender ok\r\n250 2.1.5 recipient ok\r\n354 end with <CRLF>.<CRLF>\r\n";
    assert_eq!(heard, format!("{hello}{replies}{}221 2.0.0 closing connection\r\n", custody()));
    let told =
        ["hello c.test", "mail <a@b.test>", "rcpt c@d.test", "data Dot", "body Subject: x\r\n\r\n.y\r\n", "end 18"];
    assert_eq!(driver.told[..6], told);
    assert_eq!(driver.told[6..], ["close Quit"]);
    assert!(driver.session.is_over());
    assert_eq!(driver.say("NOOP\r\n"), "");
}

#[test]
fn commands_in_the_wrong_order() {
    let deep = format!("{HELLO}{MAIL}{RCPT}");
    for (before, line, code) in [
        ("", "MAIL FROM:<>", "503 5.5.1"),
        ("", "STARTTLS", "502 5.5.1"),
        (HELLO, "RCPT TO:<a@b>", "503 5.5.1"),
        (HELLO, "DATA", "503 5.5.1"),
        (&format!("{HELLO}{MAIL}"), "DATA", "503 5.5.1"),
        (&deep, "MAIL FROM:<>", "503 5.5.1"),
        (&deep, "RSET x", "501 5.5.4"),
        (&deep, "DATA x", "501 5.5.4"),
        (HELLO, "QUIT x", "501 5.5.4"),
        (HELLO, "EHLO", "501 5.5.4"),
        (HELLO, "LHLO x", "500 5.5.1"),
        (HELLO, "FOO", "500 5.5.1"),
        (HELLO, "STARTTLSX", "500 5.5.1"),
        (HELLO, "", "500 5.5.1"),
        (HELLO, "EXPN list", "502 5.5.1"),
        (HELLO, "TURN", "502 5.5.1"),
        (HELLO, "VRFY", "501 5.5.4"),
        (HELLO, "AUTH PLAIN", "502 5.5.1"),
        (HELLO, "XCLIENT ADDR=192.0.2.1", "550 5.7.1"),
        (HELLO, "NOOP \u{1}", "500 5.5.2"),
        (HELLO, "NOOP\nNOOP", "500 5.5.2"),
        (HELLO, "NOOP\rNOOP", "500 5.5.2"),
    ] {
        let mut driver = Driver::new(smtp());
        driver.say(before);
        assert_eq!(driver.codes(&format!("{line}\r\n")), [code], "{line:?} behind {before:?}");
        assert!(driver.told.last().unwrap().starts_with("error "), "{line:?}: {:?}", driver.told);
        assert_eq!(driver.codes("NOOP\r\n"), ["250 2.0.0"]);
    }
}

#[test]
fn commands_that_cost_nothing() {
    let mut driver = Driver::new(smtp());
    driver.say(HELLO);
    for (line, code) in [
        ("noop anything", "250 2.0.0"),
        ("HELP", "214 2.0.0"),
        ("vrfy <a@b>", "252 2.5.0"),
        ("RSET  ", "250 2.0.0"),
        ("mail FROM:<a@b.test>  ", "250 2.1.0"),
        ("rcpt to:<postmaster>", "250 2.1.5"),
        ("HELO x", "250-mx.test"),
    ] {
        let heard = driver.say(&format!("{line}\r\n"));
        assert!(heard.replace("250 mx.test", "250-mx.test").starts_with(code), "{line}: {heard}");
    }
    assert!(!driver.told.iter().any(|word| word.starts_with("error")));
    assert!(!driver.session.in_transaction(), "HELO ends a transaction");
    assert_eq!(driver.codes("MAIL FROM:<a@b> SIZE=1\r\n"), ["555 5.5.4"], "no parameters behind HELO");
}

#[test]
fn what_follows_a_refused_command_is_no_fault() {
    let mut driver = Driver::new(smtp());
    driver.say(HELLO);
    let group = format!("MAIL FROM:<no@b.test>\r\n{RCPT}{RCPT}{RCPT}{RCPT}{RCPT}{RCPT}DATA\r\n");
    assert_eq!(driver.codes(&group)[0], "550 5.7.1");
    assert_eq!(driver.codes(&format!("{MAIL}RCPT TO:<no@d.test>\r\nDATA\r\n"))[2], "554 5.5.1");
    assert_eq!(driver.codes("RSET\r\nMAIL FROM:<a@b.test> SIZE=99999999\r\n")[1], "552 5.3.4");
    assert_eq!(driver.codes(&format!("{RCPT}DATA\r\n")), ["503 5.5.1"; 2]);
    assert!(!driver.told.iter().any(|word| word.starts_with("error")), "{:?}", driver.told);
}

#[test]
fn the_last_error_ends_the_session() {
    let mut driver = Driver::new(smtp());
    assert_eq!(driver.codes("A\r\nB\r\nC\r\nD\r\n"), ["500 5.5.1"; 4]);
    assert_eq!(driver.codes("E\r\nNOOP\r\n"), ["421 4.7.0"]);
    assert_eq!(driver.told[4..], ["error Unknown 500", "close Errors"]);
    assert!(driver.session.is_over());
}

#[test]
fn recipients_are_bounded_and_the_accepted_ones_stand() {
    let mut driver = Driver::new(limited(|limits| limits.recipients_max = 2));
    driver.say(&format!("{HELLO}{MAIL}"));
    assert_eq!(driver.codes(&RCPT.repeat(4)), ["250 2.1.5", "250 2.1.5", "452 4.5.3", "452 4.5.3"]);
    assert_eq!(driver.say("DATA\r\n.\r\n"), format!("354 end with <CRLF>.<CRLF>\r\n{}", custody()));
}

#[test]
fn messages_are_bounded() {
    let mut driver = Driver::new(limited(|limits| limits.messages_max = Some(1)));
    assert!(driver.say(HELLO).ends_with("250 LIMITS RCPTMAX=200 MAILMAX=1\r\n"));
    driver.say(&format!("{MAIL}RSET\r\n"));
    assert_eq!(driver.codes(MAIL), ["421 4.7.0"]);
    assert_eq!(driver.told.last().unwrap(), &format!("close {:?}", Closing::Messages));
}

#[test]
fn limits_can_be_raised_for_a_principal() {
    let mut driver = Driver::new(limited(|limits| limits.message_bytes_max = 10));
    driver.say(HELLO);
    driver.session.set_limits(Limits { message_bytes_max: 20, ..Limits::default() });
    assert_eq!(driver.codes("MAIL FROM:<> SIZE=20\r\n"), ["250 2.1.0"]);
}

#[test]
fn long_lines_are_refused_and_skipped() {
    let mut driver = Driver::new(smtp());
    let long = "x".repeat(3000);
    assert_eq!(driver.codes(&format!("NOOP {long}\r\nNOOP\r\n")), ["500 5.5.2", "250 2.0.0"]);
    let flood = "x".repeat(80_000);
    assert_eq!(driver.codes(&flood), ["500 5.5.2", "421 4.7.0"]);
    assert_eq!(driver.told.last().unwrap(), "close Flood");
}

#[test]
fn output_is_bounded() {
    let mut driver = Driver::new(smtp());
    let group = "HELP\r\n".repeat(10_000);
    let (used, moment) = driver.session.receive(group.as_bytes());
    assert!(used < group.len() && moment.is_none());
    assert!(driver.session.output().len() < 17_000);
    let heard = driver.say(&group[used..]);
    assert_eq!(heard.lines().count(), 10_000);
}

#[test]
fn a_driver_closes_at_any_time() {
    let stop = Reply::new(421, Enhanced::new(4, 3, 2), "stopping");
    for before in ["", HELLO, &format!("{HELLO}{MAIL}{RCPT}DATA\r\nhalf a"), "EHLO half"] {
        let mut driver = Driver::new(smtp());
        driver.say(before);
        driver.session.close(stop.clone());
        assert_eq!(driver.say("NOOP\r\n"), "421 4.3.2 stopping\r\n");
        assert_eq!(driver.told.last().unwrap(), "close Driver");
        driver.session.close(stop.clone());
        assert_eq!(driver.say(""), "");
    }
}

#[test]
fn lmtp_speaks_for_each_recipient() {
    let mut driver = Driver::new(lmtp());
    assert_eq!(driver.codes("EHLO c.test\r\n"), ["500 5.5.1"]);
    assert!(driver.say("LHLO c.test\r\n").starts_with("250-mx.test\r\n250-PIPELINING\r\n"));
    assert_eq!(driver.codes(&format!("{MAIL}RCPT TO:<no@d.test>\r\nDATA\r\n"))[1..], ["550 5.7.1", "503 5.5.1"]);
    driver.say(&format!("{RCPT}{RCPT}{RCPT}"));
    assert_eq!(driver.say("DATA\r\nx\r\n.\r\nNOOP\r\n"), {
        let yes = custody();
        format!("354 end with <CRLF>.<CRLF>\r\n{yes}{yes}{yes}250 2.0.0 ok\r\n")
    });
    driver.say(&format!("{MAIL}{RCPT}{RCPT}"));
    let refused = driver.codes("DATA\r\na\nb\r\n.\r\n");
    assert_eq!(refused[1..], ["550 5.6.11", "550 5.6.11"].map(String::from));
}
