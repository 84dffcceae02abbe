//! Two nodes as real processes, each keeping a copy of the other's journal: what a 250 stands for, and what happens when one is gone.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // tests of real processes

use serde_json::Value;
use tests::eventually;
use tests::process::Node;
use tests::two::{SOON, Two};
use tests::wire::Wire;

/// The copy of `of`'s journal on the other node, as `of` shows it.
fn copy(of: &Node) -> Value {
    of.json(&["status"])["copies"][0].clone()
}

fn counts(of: &Node) -> bool {
    copy(of)["counts"] == true
}

/// Hands a message over; what was answered last.
fn send(to: &Node, recipient: &str) -> String {
    let mut wire = Wire::connect(to.smtp);
    wire.reply();
    for command in ["EHLO client.test", "MAIL FROM:<a@client.test>"] {
        let said = wire.command(command);
        if !said.starts_with("250") {
            return said;
        }
    }
    wire.command(&format!("RCPT TO:<{recipient}>"));
    wire.command("DATA");
    wire.command("Subject: copied\r\n\r\nbody\r\n.")
}

#[test]
fn a_250_stands_for_two_nodes_and_is_refused_while_there_is_one() {
    let Two { keep: _keep, a, mut b } = Two::started();
    eventually("both copies count", SOON, || counts(&a) && counts(&b));
    for _ in 0..20 {
        let said = send(&a, "bob@posthouse.test");
        assert!(said.starts_with("250"), "{said}");
    }
    eventually("all is delivered", SOON, || a.mailbox("bob@posthouse.test").len() == 20);
    let mail = String::from_utf8(a.mailbox("bob@posthouse.test").remove(0)).unwrap();
    assert!(mail.contains("(1 copy)"), "the header says so: {mail}");
    let events = a.json(&["trace", "--to", "bob@posthouse.test"]);
    let receives = events["events"].as_array().unwrap().iter().filter(|event| event["event"] == "RECEIVE");
    assert!(receives.clone().count() == 20 && receives.clone().all(|e| e["context"].to_string().contains("copies=1")));
    let (_, text, _) = a.verb(&["status"]);
    assert!(text.contains("COPY ON") && text.contains("b.test"), "{text}");
    let (_, text, _) = b.verb(&["status"]);
    assert!(text.contains("a.test/spool"), "{text}");

    b.kill();
    eventually("a refuses what it cannot protect", SOON, || send(&a, "bob@posthouse.test").starts_with("451 4.4.0"));
    assert!(a.log().contains("the copy on b.test counts no more: there is no link to it"), "{}", a.log());
    eventually("and is not ready", SOON, || {
        let (code, ready) = a.get("/health/ready");
        code == 503 && ready.contains("too few copies")
    });
    let before = a.mailbox("bob@posthouse.test").len();
    b.start();
    eventually("the copy counts again", SOON, || counts(&a));
    assert!(send(&a, "bob@posthouse.test").starts_with("250"));
    eventually("and only what had its 250 was kept", SOON, || a.mailbox("bob@posthouse.test").len() == before + 1);
}
