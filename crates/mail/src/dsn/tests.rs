use super::*;
use alloc::string::ToString;
use alloc::vec;

const ORIGINAL: &[u8] =
    b"Received: from a\r\nSubject: Minutes of Tuesday\r\nMessage-ID: <1@example.org>\r\n\r\nHello\r\n--=_x\r\nno end";

fn id(byte: u8) -> MessageId {
    MessageId::new(1_795_238_220_123, [byte; 10])
}

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text, true).expect("valid address")
}

fn failed<'a>(address: &'a Mailbox, reply: &'a Reply) -> RecipientReport<'a> {
    RecipientReport {
        address,
        orcpt: None,
        action: Action::Failed,
        status: Enhanced::new(5, 1, 1),
        remote_mta: Some("mx.example.net"),
        diagnostic: Some(reply),
        last_attempt_ms: Some(1_795_238_220_000),
        will_retry_until_ms: Some(1_795_411_020_000),
    }
}

fn report<'a>(to: &'a Mailbox, recipients: &'a [RecipientReport<'a>]) -> Report<'a> {
    Report {
        id: id(1),
        about: id(2),
        reporting_mta: "mx1.example.org",
        from_display: "Mail Delivery System",
        from_address: "postmaster@mx1.example.org",
        to,
        envid: None,
        received_from: Some("client.example.org"),
        arrival_ms: 1_795_238_220_123,
        now_ms: 1_795_238_221_123,
        recipients,
        original: Original::Headers(ORIGINAL),
        utf8: false,
    }
}

fn text(report: &Report<'_>) -> String {
    String::from_utf8(build(report)).expect("a notification is text here")
}

fn no_such_user() -> Reply {
    Reply::new(550, Enhanced::new(5, 1, 1), "No such user here")
}

#[test]
fn a_failure_to_the_letter() {
    let (alice, bob, reply) = (mailbox("alice@example.org"), mailbox("bob@example.net"), no_such_user());
    let (own, about) = (id(1), id(2));
    let expected = format!(
        "From: \"Mail Delivery System\" <postmaster@mx1.example.org>
To: <alice@example.org>
Subject: Mail not delivered: bob@example.net
Date: Sat, 21 Nov 2026 05:17:01 +0000
Message-ID: <{own}@mx1.example.org>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary=\"=_{own}\"

This is a delivery status notification in MIME format.

--=_{own}
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 7bit
Content-Description: Notification

This is the mail system at mx1.example.org.

Your message could not be delivered to the recipients below. We have
given up; nothing more will be tried.

  <bob@example.net>
    There is no such mailbox. Check the address for a typing error and
    send the message again.
    The server mx.example.net said:
      550 5.1.1 No such user here

The message:
  Subject: Minutes of Tuesday
  Message-ID: <1@example.org>
  Received here: Sat, 21 Nov 2026 05:17:00 +0000

Its headers are attached. If you ask your postmaster for help, name this
message: {about}

--=_{own}
Content-Type: message/delivery-status
Content-Description: Delivery report

Reporting-MTA: dns; mx1.example.org
Received-From-MTA: dns; client.example.org
Arrival-Date: Sat, 21 Nov 2026 05:17:00 +0000
X-Posthouse-Message: {about}

Final-Recipient: rfc822; bob@example.net
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.example.net
Diagnostic-Code: smtp; 550 5.1.1 No such user here
Last-Attempt-Date: Sat, 21 Nov 2026 05:17:00 +0000

--=_{own}
Content-Type: text/rfc822-headers
Content-Description: Headers of the message

Received: from a
Subject: Minutes of Tuesday
Message-ID: <1@example.org>


--=_{own}--
"
    );
    assert_eq!(text(&report(&alice, &[failed(&bob, &reply)])), expected.replace('\n', "\r\n"));
}

#[test]
fn actions_of_several_recipients() {
    let (alice, bob, carol, reply) =
        (mailbox("alice@example.org"), mailbox("bob@example.net"), mailbox("carol@example.net"), no_such_user());
    let later = Reply::new(450, Enhanced::new(4, 2, 0), "Come back later");
    let recipients = [
        RecipientReport { action: Action::Delivered, status: Enhanced::new(2, 1, 5), ..failed(&carol, &reply) },
        RecipientReport { action: Action::Delayed, status: Enhanced::new(4, 2, 0), ..failed(&bob, &later) },
    ];
    let out = text(&report(&alice, &recipients));
    assert!(out.contains("Subject: Mail delayed: 2 recipients\r\n"));
    assert!(out.replace("\r\n", " ").contains("You need not send it again"));
    assert!(out.contains("We try until Mon, 23 Nov 2026 05:17:00 +0000."));
    assert!(out.contains("Action: delayed\r\nStatus: 4.2.0\r\n"));
    assert!(out.contains("Action: delivered\r\nStatus: 2.1.5\r\n"));
    assert_eq!(out.matches("Will-Retry-Until").count(), 1, "only a delay is retried");
    let at = |what: &str| out.find(what).expect("both are named");
    assert!(at("<bob@example.net>") < at("<carol@example.net>"), "the worst comes first");
}

#[test]
fn what_the_organization_says_of_the_original_stays_inside() {
    let (alice, bob, reply) = (mailbox("alice@example.org"), mailbox("bob@example.net"), no_such_user());
    let recipients = [failed(&bob, &reply)];
    let original =
        b"Subject: s\r\nX-Posthouse-Note: inside\r\n folded\r\nx-ms-exchange-organization-scl: 9\r\nTo: b\r\n\r\nX-Posthouse-Note: body\r\n";
    for (original, left) in [
        (Original::Headers(original), "\r\n\r\nSubject: s\r\nTo: b\r\n\r\n\r\n--=_"),
        (Original::Whole(original), "\r\n\r\nSubject: s\r\nTo: b\r\n\r\nX-Posthouse-Note: body\r\n\r\n--=_"),
    ] {
        let told = text(&Report { original, ..report(&alice, &recipients) });
        assert!(told.contains(left) && !told.contains("inside") && !told.contains("scl"), "{told}");
    }
}

#[test]
fn a_whole_original_is_given_back_as_it_was() {
    let (alice, bob, reply) = (mailbox("alice@example.org"), mailbox("bob@example.net"), no_such_user());
    let recipients = [failed(&bob, &reply)];
    let whole = Report { original: Original::Whole(ORIGINAL), ..report(&alice, &recipients) };
    let out = build(&whole);
    let head = frame(&whole).head;
    assert!(needs_8bit(&whole));
    assert!(String::from_utf8_lossy(&head).ends_with(
        "Content-Type: message/rfc822\r\nContent-Description: The message\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    ));
    assert_eq!(&out[head.len()..head.len() + ORIGINAL.len()], ORIGINAL);
    assert_eq!(&out[head.len() + ORIGINAL.len()..], format!("\r\n\r\n--=_{}--\r\n", id(1)).as_bytes());
}

#[test]
fn utf8_uses_the_types_of_rfc_6533() {
    let (alice, bob, reply) = (mailbox("älice@example.org"), mailbox("bøb@example.net"), no_such_user());
    let recipients = [RecipientReport { orcpt: Some("utf-8;bøb@old.example"), ..failed(&bob, &reply) }];
    let utf8 = Report { utf8: true, ..report(&alice, &recipients) };
    let out = text(&utf8);
    for expected in [
        "Content-Type: message/global-delivery-status\r\n",
        "Content-Type: message/global-headers\r\n",
        "Original-Recipient: utf-8; bøb@old.example\r\n",
        "Final-Recipient: utf-8; bøb@example.net\r\n",
        "Subject: Mail not delivered: bøb@example.net\r\n",
        "Content-Transfer-Encoding: 8bit\r\n",
    ] {
        assert!(out.contains(expected), "{expected} in\n{out}");
    }
}

#[test]
fn what_strangers_said_breaks_nothing() {
    let (alice, bob) = (mailbox("alice@example.org"), mailbox("bob@example.net"));
    let forged = format!("x\r\n\r\n--=_{}--\r\nSubject: forged\0 {}", id(1), "w ".repeat(3000));
    let reply = Reply::of(550, Enhanced::new(5, 7, 1), forged.clone());
    let long = "y".repeat(5000);
    let original = format!("Subject: \u{1}{long} ä\r\n\r\n");
    let recipients = [RecipientReport { orcpt: Some(&forged), remote_mta: Some(&forged), ..failed(&bob, &reply) }];
    let hostile = Report {
        envid: Some(&forged),
        received_from: Some(&forged),
        from_display: "a \"b\"\r\nX: y",
        original: Original::Headers(original.as_bytes()),
        ..report(&alice, &recipients)
    };
    let out = text(&hostile);
    assert_eq!(out.matches(&format!("\r\n--=_{}", id(1))).count(), 4, "three parts and an end");
    assert!(!out.contains("\r\nSubject: forged") && !out.contains("\r\nX: y"));
    let (frame, _) = out.split_at(frame(&hostile).head.len());
    assert!(frame.is_ascii() && frame.split("\r\n").all(|l| l.len() <= 998 && !l.contains(['\r', '\n', '\0'])));
    assert!(frame.split("\r\n").all(|l| l.is_empty() || !l.trim().is_empty()), "no line of white space only");
}

#[test]
fn every_status_has_a_sentence_for_both_outcomes() {
    let (alice, bob, reply) = (mailbox("alice@example.org"), mailbox("bob@example.net"), no_such_user());
    let mut told = vec![];
    for (subject, detail) in [(1, 1), (1, 2), (2, 2), (3, 4), (4, 4), (4, 6), (4, 7), (4, 1), (6, 7), (7, 1), (0, 0)] {
        for action in [Action::Failed, Action::Delayed] {
            let status = Enhanced::new(5, subject, detail);
            let one = RecipientReport { action, status, diagnostic: None, ..failed(&bob, &reply) };
            let out = text(&report(&alice, &[one]));
            let sentence = out.split("<bob@example.net>\r\n").nth(1).and_then(|s| s.split("\r\n\r\n").next());
            told.push(sentence.map(ToString::to_string).expect("a sentence follows the address"));
        }
    }
    told.sort();
    told.dedup();
    assert!(told.len() >= 14, "{told:#?}");
}
