use super::driver::{Driver, lmtp, smtp};
use crate::server::{Session, Settings, TlsOffer};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

fn with_tls(tls: TlsOffer) -> Settings {
    let mut settings = smtp();
    settings.tls = tls;
    settings.auth_mechanisms = ["PLAIN", "LOGIN"].map(String::from).to_vec();
    settings
}

#[test]
fn clear_text_behind_starttls_is_dropped() {
    let mut driver = Driver::new(with_tls(TlsOffer::Offer));
    let hello = driver.say("EHLO c.test\r\n");
    assert!(hello.contains("250-STARTTLS\r\n") && !hello.contains("AUTH"), "{hello}");
    let heard = driver.say("STARTTLS\r\nEHLO evil.test\r\nMAIL FROM:<evil@x.test>\r\nhalf a li");
    assert_eq!(heard, "220 2.0.0 ready to start TLS\r\n");
    assert_eq!(driver.told, ["hello c.test", "starttls", "handshake"]);
    assert_eq!(driver.codes("MAIL FROM:<a@b.test>\r\n"), ["503 5.5.1"], "hello counts no more");
    let hello = driver.say("EHLO c.test\r\n");
    assert!(!hello.contains("STARTTLS") && hello.contains("250-AUTH PLAIN LOGIN\r\n"), "{hello}");
    assert_eq!(driver.codes("STARTTLS\r\n"), ["503 5.5.1"]);
}

#[test]
fn starttls_in_its_place_only() {
    let mut driver = Driver::new(with_tls(TlsOffer::Offer));
    assert_eq!(driver.codes("STARTTLS\r\nHELO x\r\nSTARTTLS\r\n")[2], "503 5.5.1");
    assert_eq!(driver.codes("STARTTLS now\r\n"), ["501 5.5.4"]);
    driver.say("EHLO x\r\nMAIL FROM:<>\r\n");
    assert_eq!(driver.codes("STARTTLS\r\n"), ["503 5.5.1"]);
}

#[test]
fn required_tls_comes_first() {
    let mut driver = Driver::new(with_tls(TlsOffer::Require));
    driver.say("EHLO x\r\n");
    let group = "MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\nBDAT 4 LAST\r\nQUITAUTH PLAIN\r\nVRFY a\r\nNOOP\r\n";
    let codes = driver.codes(group);
    assert_eq!(codes[..6], ["530 5.7.0"; 6]);
    assert_eq!(codes[6], "250 2.0.0");
    driver.say("STARTTLS\r\n");
    assert_eq!(driver.codes("EHLO x\r\nMAIL FROM:<>\r\n").last().unwrap(), "250 2.1.0");
}

#[test]
fn implicit_tls_counts() {
    let mut driver = Driver::with(Session::new(Arc::new(with_tls(TlsOffer::Require))).under_tls());
    assert_eq!(driver.codes("EHLO x\r\nMAIL FROM:<>\r\n").last().unwrap(), "250 2.1.0");
}

#[test]
fn auth_waits_for_tls() {
    let mut driver = Driver::new(with_tls(TlsOffer::Offer));
    driver.say("EHLO x\r\n");
    assert_eq!(driver.codes("AUTH PLAIN Z29vZA==\r\n"), ["538 5.7.11"]);
    let mut settings = with_tls(TlsOffer::Off);
    settings.auth_without_tls = true;
    let mut driver = Driver::new(settings);
    assert!(driver.say("EHLO x\r\n").contains("250-AUTH PLAIN LOGIN\r\n"));
    assert_eq!(driver.codes("AUTH PLAIN Z29vZA==\r\n"), ["235 2.7.0"]);
}

fn under_tls() -> Driver {
    let mut driver = Driver::with(Session::new(Arc::new(with_tls(TlsOffer::Offer))).under_tls());
    driver.say("EHLO x\r\n");
    driver.told.clear();
    driver
}

#[test]
fn auth_with_and_without_initial_response() {
    for (lines, heard, told) in [
        ("AUTH plain Z29vZA==\r\n", "235 2.7.0", "auth PLAIN Some([103, 111, 111, 100])"),
        ("AUTH LOGIN =\r\n", "550 5.7.1", "auth LOGIN Some([])"),
        ("AUTH LOGIN\r\nZ29vZA==\r\n", "334 d2hhdA==\r\n235 2.7.0", "response good"),
        ("AUTH LOGIN\r\n\r\n", "334 d2hhdA==\r\n550 5.7.1", "response "),
        ("AUTH LOGIN\r\n*\r\n", "334 d2hhdA==\r\n501 5.7.0", "auth cancelled"),
        ("AUTH LOGIN\r\nZ29v*\r\n", "334 d2hhdA==\r\n501 5.5.2", "auth cancelled"),
        ("AUTH LOGIN\r\nZ29v\nZA==\r\n", "334 d2hhdA==\r\n500 5.5.2", "auth cancelled"),
        ("AUTH PLAIN Z29vZA\r\n", "501 5.5.2", "error Auth 501"),
        ("AUTH PLAIN Z29v ZA==\r\n", "501 5.5.4", "error Auth 501"),
        ("AUTH\r\n", "501 5.5.4", "error Auth 501"),
        ("AUTH CRAM-MD5\r\n", "504 5.5.4", "error Auth 504"),
    ] {
        let mut driver = under_tls();
        let said = driver.say(lines);
        assert!(said.starts_with(heard), "{lines:?}: {said}");
        assert_eq!(driver.told.last().unwrap(), told);
        assert_eq!(driver.codes("NOOP\r\n"), ["250 2.0.0"], "{lines:?}");
    }
}

#[test]
fn auth_once_and_not_within_a_transaction() {
    let mut driver = under_tls();
    assert_eq!(driver.codes("MAIL FROM:<>\r\nAUTH PLAIN Z29vZA==\r\nRSET\r\n")[1], "503 5.5.1");
    assert_eq!(driver.codes("AUTH PLAIN Z29vZA==\r\nAUTH PLAIN Z29vZA==\r\n"), ["235 2.7.0", "503 5.5.1"]);
    assert!(!driver.say("EHLO x\r\n").contains("AUTH"));
    assert_eq!(driver.codes("MAIL FROM:<> AUTH=<>\r\n"), ["250 2.1.0"]);
}

#[test]
fn auth_lines_are_bounded() {
    let mut driver = under_tls();
    let long = "A".repeat(12_284);
    let fits = driver.codes(&format!("AUTH LOGIN\r\n{long}AA\r\n"));
    assert_eq!(fits[1], "501 5.5.2", "12286 characters are no base 64, but they fit");
    let over = driver.codes(&format!("AUTH LOGIN\r\n{long}AAAA\r\nNOOP\r\n"));
    assert_eq!(over[1..], ["500 5.5.6", "250 2.0.0"]);
}

#[test]
fn xclient_starts_the_session_again() {
    let mut driver = Driver::with(Session::new(Arc::new(lmtp())).trust_xclient());
    assert!(driver.say("LHLO x\r\n").contains("250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT\r\n"));
    assert_eq!(driver.codes("XCLIENT ADDR=x\r\nXCLIENT\r\n"), ["501 5.5.4"; 2]);
    assert_eq!(driver.say("XCLIENT ADDR=192.0.2.7\r\n"), "220 mx.test LMTP Posthouse\r\n");
    assert!(driver.told.last().unwrap().contains("192.0.2.7"));
    assert_eq!(driver.codes("MAIL FROM:<>\r\n"), ["503 5.5.1"]);
    driver.say("LHLO x\r\nMAIL FROM:<>\r\n");
    assert_eq!(driver.codes("XCLIENT ADDR=192.0.2.7\r\n"), ["503 5.5.1"]);
}

#[test]
fn an_extension_that_is_off_is_not_taken() {
    let mut settings = smtp();
    settings.offers.dsn = false;
    settings.offers.chunking = false;
    settings.offers.enhanced_status_codes = false;
    settings.banner = "mx.test at your service".into();
    let mut driver = Driver::new(settings);
    let hello = driver.say("EHLO x\r\n");
    assert!(!hello.contains("DSN") && !hello.contains("CHUNKING") && !hello.contains("ENHANCED"));
    assert_eq!(driver.say("MAIL FROM:<> RET=FULL\r\n"), "555 parameter not recognized\r\n");
    assert_eq!(driver.say("BDAT 4 LAST\r\nQUITNOOP\r\n"), "502 command not implemented\r\n250 ok\r\n");
}

#[test]
fn a_journey_is_taken_from_servers_alone() {
    let mail = "MAIL FROM:<a@b.test> XPOSTHOUSE=1,2,3,i,berlin\r\n";
    let mut stranger = Driver::new(smtp());
    assert!(!stranger.say("EHLO c.test\r\n").contains("XPOSTHOUSE"));
    assert_eq!(stranger.codes(mail), ["555 5.5.4"]);
    let mut server = Driver::with(Session::new(Arc::new(smtp())).trust_server());
    assert!(server.say("EHLO c.test\r\n").contains("250-XPOSTHOUSE\r\n"));
    assert_eq!(server.codes("MAIL FROM:<a@b.test> XPOSTHOUSE=1,2,3,i,Berlin\r\n"), ["501 5.5.4"]);
    assert_eq!(server.codes(mail), ["250 2.1.0"]);
}
