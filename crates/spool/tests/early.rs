//! Recipients that are settled before custody: their sender is told exactly if the message becomes ours.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use mail::{Enhanced, EventKind, Notify, Recipient, Reply, ReversePath};
use spool::*;

fn too_large(to: &str) -> Early {
    let reply = Reply::new(552, Enhanced::new(5, 3, 4), "message is too large for this recipient");
    Early { recipient: Recipient::new(mailbox(to)), outcome: Settled::Failed(reply) }
}

fn expanded(to: &str, notify: Notify) -> Early {
    Early { recipient: Recipient { notify, ..Recipient::new(mailbox(to)) }, outcome: Settled::Expanded }
}

fn offer(node: &Node, from: &str, body: &[u8], early: Vec<Early>) -> Accepting {
    let mut pending = node.spool.begin(&Source::default()).unwrap();
    for part in body.chunks(50_000) {
        if pending.push(part) == Push::Wait {
            node.pump();
            assert!(poll(&mut Box::pin(pending.room())).is_ready());
        }
    }
    let facts = Facts { received_from: "client.test".into(), early, ..Facts::default() };
    pending.accept(envelope(from, &["r@a.test"]), facts)
}

const BODY: &[u8] = b"Subject: hello\r\n\r\nbody\r\n";

#[test]
fn the_notification_is_ours_together_with_the_message() {
    let large: Vec<u8> = [BODY, &[b'x'; 400_000]].concat();
    for body in [BODY, &large] {
        let mut node = Node::new(settings());
        let success = Notify::On { success: true, failure: true, delay: false };
        let early = vec![
            too_large("small@a.test"),
            expanded("group@a.test", success),
            expanded("other@a.test", Notify::Default),
            Early {
                recipient: Recipient { notify: Notify::Never, ..too_large("mute@a.test").recipient },
                ..too_large("mute@a.test")
            },
        ];
        let receipt = node.taken(offer(&node, "s@here.test", body, early));
        assert_eq!(node.events(EventKind::Dsn).len(), 1);
        assert!(node.events(EventKind::Dsn)[0].contains(&format!("about {}", receipt.id())));
        // A power cut right behind the receipt: both are there, each once.
        node.die(true);
        assert_eq!(node.messages().len(), 2);
        assert_eq!(node.take_one("a.test").id(), receipt.id());
        let dsn = node.take_one("here.test");
        assert_eq!((dsn.envelope().from.clone(), dsn.envelope().recipients.len()), (ReversePath::Null, 1));
        let text = node.content(&dsn);
        for part in [
            "Final-Recipient: rfc822; small@a.test\r\nAction: failed\r\nStatus: 5.3.4",
            "Final-Recipient: rfc822; group@a.test\r\nAction: expanded\r\nStatus: 2.1.5",
            "Subject: hello",
            "client.test",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!text.contains("other@a.test") && !text.contains("mute@a.test"), "who wants no word gets none");
    }
}

#[test]
fn nothing_is_said_of_a_message_that_is_not_ours() {
    // The session went away before the sync.
    let node = Node::new(settings());
    drop(offer(&node, "s@here.test", BODY, vec![too_large("small@a.test")]));
    let mut accepting = offer(&node, "s@here.test", BODY, vec![too_large("small@a.test")]);
    assert!(poll(&mut accepting).is_pending());
    drop(accepting);
    node.rest();
    assert!(node.messages().is_empty() && node.events(EventKind::Dsn).is_empty());
    assert_eq!(node.spool.journal_stats().live_bytes, 0, "what was forgotten is released");

    // Nobody is told of a message from nobody, or where nobody wants to hear.
    let receipt = node.taken(offer(&node, "", BODY, vec![too_large("small@a.test")]));
    assert_eq!(node.messages(), [receipt.id()]);
}

#[test]
fn a_notification_with_all_that_it_may_hold_fits() {
    let node = Node::new(settings());
    let long = |n: usize| too_large(&format!("{n:04}{}@{}.test", "x".repeat(60), "d".repeat(63)));
    let header = format!("Subject: {}\r\n\r\n", "long\r\n ".repeat(20_000));
    let early = (0..EARLY_MAX).map(long).collect();
    node.taken(offer(&node, "s@here.test", header.as_bytes(), early));
    assert_eq!(node.messages().len(), 2);
}
