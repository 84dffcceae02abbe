//! Delivery by MX with a real name server (bind) and real next hops (Postfix's smtp-sink) on several loopback addresses.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // a test of real processes

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tests::named::Named;
use tests::process::{Node, Process};
use tests::wire::Wire;
use tests::{dialog, eventually};

const ZONE: &str = "$TTL 60
@ IN SOA ns.example. root.example. 1 3600 600 86400 60
@ IN NS ns.example.
ns IN A 127.0.0.1
; the first choice does not answer, the second does
backup IN MX 10 dead
backup IN MX 20 alive
dead IN A 127.0.0.2
alive IN A 127.0.0.3
; no MX: the address itself
implicit IN A 127.0.0.3
; takes no mail (RFC 7505)
null IN MX 0 .
; an alias for a domain with an MX
alias IN CNAME backup
; an exchanger without any address
nowhere IN MX 10 unknown
; ourselves is the best exchanger: what is as far or farther is cut off
loop IN MX 10 relay.test.
loop IN MX 20 alive
; equal preferences; each domain under it is a next hop of its own, which chooses for itself
*.shared IN MX 10 alive
*.shared IN MX 10 alive2
alive2 IN A 127.0.0.4
";

struct Stage {
    node: Node,
    dump: tempfile::TempDir,
    _named: Named,
    _servers: Vec<Process>,
}

fn stage() -> Stage {
    let dump = tempfile::tempdir().unwrap();
    let dir = dump.path();
    Command::new("chmod").arg("777").arg(dir).status().unwrap();
    let named = Named::start(ZONE);
    let mut servers = Vec::new();
    let node = dialog::node_with("mx", named.port);
    // `@SUBMISSION@` of the node's document is the port of all next hops: the node itself does not listen there.
    for address in ["127.0.0.3", "127.0.0.4"] {
        let folder = dir.join(address);
        fs::create_dir(&folder).unwrap();
        Command::new("chmod").arg("777").arg(&folder).status().unwrap();
        let mut sink = Command::new("/usr/sbin/smtp-sink");
        sink.args(["-u", "postfix", "-R"]).arg(&folder).args(["-d", "%M."]);
        sink.args([&format!("{address}:{}", node.submission), "50"]);
        servers.push(Process::start(&mut sink, &dir.join(format!("{address}.log"))));
    }
    Stage { node, dump, _named: named, _servers: servers }
}

impl Stage {
    fn send(&self, to: &str) {
        let mut wire = Wire::connect(self.node.smtp);
        wire.reply();
        let rcpt = format!("RCPT TO:<{to}>");
        for command in [
            "EHLO application.example",
            "MAIL FROM:<alice@home.test>",
            &rcpt,
            "DATA",
            "Subject: by MX\r\n\r\nbody\r\n.",
        ] {
            let said = wire.command(command);
            assert!(said.starts_with('2') || said.starts_with('3'), "{command}: {said}");
        }
    }

    fn taken(&self, address: &str) -> usize {
        let folder: &Path = &self.dump.path().join(address);
        fs::read_dir(folder).unwrap().count()
    }

    fn trace_says(&self, to: &str, words: &[&str]) {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let said = self.node.verb(&["trace", "--to", to]).1;
            if words.iter().all(|word| said.contains(word)) {
                return;
            }
            assert!(Instant::now() < end, "the trace of {to} lacks one of {words:?}:\n{said}\n{}", self.node.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn mail_finds_its_exchangers() {
    let stage = stage();
    stage.send("one@backup.example");
    stage.trace_says("one@backup.example", &["SEND", "127.0.0.3"]);
    stage.send("two@implicit.example");
    stage.trace_says("two@implicit.example", &["SEND", "127.0.0.3"]);
    stage.send("three@alias.example");
    stage.trace_says("three@alias.example", &["SEND", "127.0.0.3"]);
    stage.send("four@[127.0.0.4]");
    stage.trace_says("four@[127.0.0.4]", &["SEND", "127.0.0.4"]);
    eventually("the messages are where the zone says", Duration::from_secs(10), || {
        stage.taken("127.0.0.3") == 3 && stage.taken("127.0.0.4") == 1
    });
}

#[test]
fn domains_without_mail_are_bounced_and_loops_are_cut() {
    let stage = stage();
    stage.send("one@null.example");
    stage.trace_says("one@null.example", &["FAIL", "5.1.10"]);
    stage.send("two@missing.example");
    stage.trace_says("two@missing.example", &["FAIL", "5.1.2"]);
    stage.send("three@loop.example");
    stage.trace_says("three@loop.example", &["FAIL", "5.4.6"]);
    stage.send("four@nowhere.example");
    stage.trace_says("four@nowhere.example", &["5.4.4"]);
    eventually("the sender is told", Duration::from_secs(10), || stage.node.mailbox("alice@home.test").len() >= 3);
    assert_eq!(stage.taken("127.0.0.3"), 0);
}

#[test]
fn equal_exchangers_share_the_load() {
    let stage = stage();
    for number in 0..40 {
        stage.send(&format!("user@d{number}.shared.example"));
    }
    eventually("all are delivered", Duration::from_secs(20), || {
        stage.taken("127.0.0.3") + stage.taken("127.0.0.4") == 40
    });
    // Forty choices that all fall on the same side are one chance in 2^39.
    assert!(stage.taken("127.0.0.3") > 0 && stage.taken("127.0.0.4") > 0, "one of two equal exchangers got everything");
}
