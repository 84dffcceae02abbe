//! Two nodes as real processes, each keeping a copy of the other's journal: what a 250 stands for, and what happens when one is gone.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // tests of real processes

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use serde_json::Value;
use tests::chaos::{CONNECTIONS, Sink, Source, all_arrive, configure_org};
use tests::eventually;
use tests::process::Node;
use tests::two::{SOON, Two};
use tests::wire::Wire;

/// The copy of `of`'s journal on the other node, as `of` shows it.
fn copy(of: &Node) -> Value {
    of.json(&["status"])["copies"][0].clone()
}

/// A node that starts again by itself does not answer for a moment.
fn counts(of: &Node) -> bool {
    let (code, said, _) = of.verb(&["status", "--json"]);
    code == 0 && serde_json::from_str::<Value>(&said).is_ok_and(|status| status["copies"][0]["counts"] == true)
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
        // On a busy machine the copy may count no more for a moment, and mail is refused then.
        eventually("a takes it", SOON, || send(&a, "bob@posthouse.test").starts_with("250"));
    }
    eventually("all is delivered", SOON, || a.mailbox("bob@posthouse.test").len() == 20);
    let mail = String::from_utf8(a.mailbox("bob@posthouse.test").remove(0)).unwrap();
    assert!(mail.contains("(1 copy)"), "the header says so: {mail}");
    let events = a.json(&["trace", "--to", "bob@posthouse.test"]);
    let receives = events["events"].as_array().unwrap().iter().filter(|event| event["event"] == "RECEIVE");
    assert!(receives.clone().count() == 20 && receives.clone().all(|e| e["context"].to_string().contains("copies=1")));
    let (_, text, _) = a.verb(&["status"]);
    assert!(text.contains("COPY ON") && text.contains("b.test"), "{text}");
    let (_, metrics) = a.get("/metrics");
    assert!(metrics.lines().any(|line| line == "posthouse_copy_counts{holder=\"b.test\"} 1"), "{metrics}");
    let (_, page) = a.get("/");
    assert!(page.contains("<h2>Journals</h2>") && page.contains("level, counts"), "{page}");
    let (_, text, _) = b.verb(&["status"]);
    assert!(text.contains("a.test/spool"), "{text}");

    b.kill();
    eventually("a refuses what it cannot protect", SOON, || send(&a, "bob@posthouse.test").starts_with("451 4.4.0"));
    // A client may have been told before, because its own patience was shorter.
    eventually("it says why", SOON, || a.log().contains("the copy on b.test counts no more: there is no link to it"));
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

/// Every node sends all mail to one port, where nobody listens at first.
fn relay_through(two: &Two, hop: u16) {
    for node in [&two.a, &two.b] {
        let org = format!(
            "postmaster = \"postmaster@relay.test\"\n[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:{}\"]\n\
             remote = [\"127.0.0.0/8\"]\npermissions = [\"anonymous\", \"relay\"]\n[[send_connector]]\nname = \"out\"\ndomains = [\"*\"]\n\
             smart_hosts = [\"127.0.0.1:{hop}\"]\n[retry]\nglitch_interval = \"1s\"\ntransient_interval = \"1s\"\n",
            node.smtp
        );
        fs::write(node.dir.join("org.toml"), org).unwrap();
    }
}

fn messages(of: &Node) -> Vec<String> {
    let listed = of.json(&["message", "list", "--limit", "1000"]);
    listed["messages"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap().to_string()).collect()
}

#[test]
fn a_person_takes_a_dead_nodes_journal_over_and_the_old_owner_comes_back() {
    let mut two = Two::with(&["--org", "org.toml"]);
    let mut sink = Sink::new(two.keep.path(), "sink");
    relay_through(&two, sink.port);
    two.start();
    let Two { keep: _keep, mut a, mut b } = two;
    eventually("both copies count", SOON, || counts(&a) && counts(&b));
    for n in 0..50 {
        // On a busy machine the copy may be late for once; a 451 keeps nothing.
        eventually("it is taken", SOON, || send(&a, &format!("r{n}@far.test")).starts_with("250"));
    }
    assert_eq!(messages(&a).len(), 50);
    let (code, _, error) = b.verb(&["journal", "take-over", "a.test"]);
    assert!(code == 1 && error.contains("may be delivered twice") && error.contains("--yes"), "{error}");
    let (code, _, error) = b.verb(&["journal", "take-over", "a.test", "--yes"]);
    assert!(code == 1 && error.contains("a.test is up"), "{error}");

    a.kill();
    eventually("b sees that a is gone", SOON, || b.json(&["status"])["peers"][0]["connected"] == false);
    let (code, said, error) = b.verb(&["journal", "take-over", "a.test", "--yes"]);
    assert!(code == 0 && said.contains("50 messages of a.test are delivered from here"), "{said} {error}");
    assert_eq!(b.json(&["journal", "list"])["taken"][0]["messages"], 50);
    verbs_reach_a_taken_journal(&b);
    // What an operator removed is settled some milliseconds after the answer (docs/decisions/settled-lazily.md).
    std::thread::sleep(Duration::from_millis(500));
    // The taker dies in the middle, and goes on.
    b.kill();
    b.start();
    assert_eq!(b.json(&["journal", "list"])["taken"][0]["messages"], 49);

    // The old owner comes back, drops what was taken, and is a node like any other again.
    a.start();
    assert!(a.log().contains("another node took this node's journal over (epoch 256)"), "{}", a.log());
    assert_eq!(messages(&a), Vec::<String>::new(), "the taker has them");
    eventually("both copies count again", SOON, || counts(&a) && counts(&b));
    assert!(send(&a, "new@far.test").starts_with("250"));

    sink.restart("accept");
    eventually("the taker delivers all", SOON, || b.json(&["journal", "list"])["taken"].as_array().unwrap().is_empty());
    eventually("and the old owner its new mail", SOON, || messages(&a).is_empty());
    let arrived = fs::read_to_string(&sink.ledger).unwrap().lines().count();
    assert_eq!(arrived, 50, "each message once, but the one that was removed");
    a.kill();
    a.start();
    assert_eq!(messages(&a), Vec::<String>::new());
    assert_eq!(a.json(&["journal", "list"])["copies"][0]["holder"], "b.test");
}

/// What operators can do to mail of a journal that was taken over; one message is removed.
fn verbs_reach_a_taken_journal(taker: &Node) {
    let listed = taker.json(&["message", "list", "--limit", "1000"]);
    let listed = listed["messages"].as_array().unwrap();
    assert!(listed.len() == 50 && listed.iter().all(|message| message["journal"] == "a.test/spool"), "{listed:?}");
    let id = listed[7]["id"].as_str().unwrap();
    assert_eq!(taker.verb(&["message", "suspend", id]).0, 0);
    let (_, shown, _) = taker.verb(&["message", "show", id]);
    assert!(shown.contains("journal a.test/spool") && shown.contains("held: suspended"), "{shown}");
    let (_, exported, _) = taker.verb(&["message", "export", id]);
    assert!(exported.contains("Subject: copied"), "{exported}");
    let (code, shown, error) = taker.verb(&["queue", "show", "smart-hosts:out"]);
    assert!(
        code == 0 && shown.contains("with mail of a.test/spool") && shown.contains("50 messages"),
        "{shown} {error}"
    );
    assert_eq!(taker.verb(&["queue", "retry", "smart-hosts:out"]).0, 0);
    assert_eq!(taker.verb(&["message", "remove", id, "--no-dsn"]).0, 0);
    assert_eq!(taker.verb(&["message", "resume", id]).0, 1, "it is gone");
}

/// The machine dies with its disk, under load: the other node delivers what had its 250, and the next machine of that name takes mail.
#[test]
fn nothing_is_lost_with_a_machine() {
    let mut two = Two::with(&["--org", "org.toml"]);
    let mut sink = Sink::new(two.keep.path(), "sink");
    sink.restart("accept");
    [&two.a, &two.b].iter().for_each(|node| configure_org(node, &[("*", &sink)]));
    two.start();
    let Two { keep, mut a, b } = two;
    let (mut promised, mut doubts) = (HashMap::new(), 0);
    for round in 0..ROUNDS {
        eventually("both copies count", SOON, || counts(&a) && counts(&b));
        // What waits, and what is on its way: both are in the copy only.
        sink.behave(if round % 2 == 0 { "accept" } else { "refuse" });
        let load = ["--messages", "1000000", "--sessions", "16", "--size", "3000", "--reconnect"];
        let mut source = Source::start(keep.path(), a.smtp, &format!("round{round}"), &load);
        std::thread::sleep(Duration::from_millis(1500 + 400 * round));
        a.kill();
        fs::remove_dir_all(a.data()).unwrap();
        source.kill();
        promised.extend(source.promised());
        doubts += source.doubts();
        sink.behave("accept");
        if round == 1 {
            // Somebody starts the new machine first.
            a.start();
            eventually("b refuses a journal that it does not know", SOON, || {
                copy(&a)["last_error"].as_str().is_some_and(|error| error.contains("a copy of another journal"))
            });
            assert!(send(&a, "bob@far.test").starts_with("451"));
            let (code, said, error) = b.verb(&["journal", "take-over", "a.test", "--yes", "--force"]);
            assert_eq!(code, 0, "{said} {error}");
            eventually("a has started again by itself", SOON, || counts(&a));
            continue;
        } else {
            eventually("b sees that a is gone", SOON, || b.json(&["status"])["peers"][0]["connected"] == false);
            let (code, said, error) = b.verb(&["journal", "take-over", "a.test", "--yes"]);
            assert_eq!(code, 0, "{said} {error}");
        }
        a.start();
    }
    let arrived = all_arrive(&promised, &sink, Duration::from_secs(120));
    println!(
        "{ROUNDS} machines with their disks: {} promised, 0 lost, {} arrived twice ({doubts} of them may be the client's)",
        promised.len(),
        arrived.duplicates()
    );
    // What was between dot and answer, on either side, when a machine died.
    let explained = doubts + ROUNDS as usize * CONNECTIONS * 2;
    assert!(arrived.duplicates() <= explained, "{} arrived twice, {explained} are explained", arrived.duplicates());
    let (_, metrics) = b.get("/metrics");
    let named = metrics.lines().find_map(|line| line.strip_prefix("posthouse_possible_duplicates_total "));
    let named: usize = named.and_then(|count| count.parse().ok()).unwrap();
    assert!(arrived.duplicates() <= doubts + named, "{} arrived twice, {named} were named", arrived.duplicates());
    println!("{named} were named as possible duplicates");
    assert!(promised.len() > 300, "there was load: {}", promised.len());
    eventually("what was taken is done", SOON, || b.json(&["journal", "list"])["taken"].as_array().unwrap().is_empty());
    let left = || -> usize {
        let journals = fs::read_dir(b.data().join("taken/a.test")).unwrap();
        journals.map(|journal| fs::read_dir(journal.unwrap().path()).unwrap().count()).sum()
    };
    eventually("and its files are gone", SOON, || left() == 0);
}

const ROUNDS: u64 = 4;
