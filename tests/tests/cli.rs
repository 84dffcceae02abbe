//! A running node as its operator meets it: verbs, trace, health, metrics, page, signals. All of it against real processes.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // a test of a real process

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::process::Node;
use tests::wire::Wire;
use tests::{binary, eventually, free_port, root};

const SOON: Duration = Duration::from_secs(15);

/// A session that has greeted.
fn session(port: u16) -> Wire {
    let mut wire = Wire::connect(port);
    assert!(wire.reply()[0].starts_with("220 "));
    assert!(wire.command("EHLO client.example").starts_with("250"));
    wire
}

/// Hands over one message and gives its id.
fn send(node: &Node, from: &str, to: &str, text: &str) -> String {
    let mut wire = session(node.smtp);
    begin(&mut wire, from, to);
    let said = wire.command(&format!("Subject: {text}\r\n\r\n{text}\r\n."));
    id_of(&said)
}

fn begin(wire: &mut Wire, from: &str, to: &str) {
    for (command, code) in
        [(format!("MAIL FROM:<{from}>"), "250"), (format!("RCPT TO:<{to}>"), "250"), ("DATA".into(), "354")]
    {
        let said = wire.command(&command);
        assert!(said.starts_with(code), "{command}: {said}");
    }
}

fn id_of(said: &str) -> String {
    let id = said.strip_prefix("250 2.0.0 ").and_then(|rest| rest.split(' ').next());
    id.unwrap_or_else(|| panic!("no id in {said}")).to_string()
}

/// A relay whose next hop refuses connections, so that mail waits.
fn relay_to_nobody() -> Node {
    Node::started(&["--relay-to", &format!("127.0.0.1:{}", free_port())])
}

fn says(node: &Node, arguments: &[&str]) -> String {
    let (code, out, err) = node.verb(arguments);
    assert_eq!(code, 0, "{arguments:?}: {out}{err}");
    out
}

/// A raw HTTP request; status line and the rest.
fn http(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_message_is_kept_traced_and_counted() {
    let node = Node::started(&[]);
    let id = send(&node, "alice@client.example", "Bob@posthouse.test", "hello");
    eventually("it is in bob's Maildir", SOON, || node.mailbox("bob@posthouse.test").len() == 1);
    let kept = String::from_utf8(node.mailbox("bob@posthouse.test").remove(0)).unwrap();
    assert!(kept.starts_with("Return-Path: <alice@client.example>\nDelivered-To: "), "{kept}");
    assert!(kept.ends_with("Subject: hello\n\nhello\n") && kept.contains(&id), "{kept}");

    let mut events = Vec::new();
    eventually("the trace has both events", SOON, || {
        let found = node.json(&["trace", "--to", "bob@posthouse.test", "--since", "1h"]);
        events = found["events"].as_array().unwrap().clone();
        events.len() == 2
    });
    assert_eq!([&events[0]["event"], &events[1]["event"]], ["DELIVER", "RECEIVE"], "newest first");
    assert!(events.iter().all(|event| event["id"] == *id && event["sender"] == "alice@client.example"));
    assert!(says(&node, &["trace", "--id", &id]).contains("DELIVER"));
    assert_eq!(node.json(&["trace", "--to", "nobody@posthouse.test"])["events"], Value::Array(vec![]));

    let status = node.json(&["status"]);
    assert_eq!((&status["phase"], &status["ready"]), (&"serving".into(), &true.into()));
    assert_eq!((&status["spool"]["accepted"], &status["spool"]["messages"]), (&1.into(), &0.into()));
    let (_, metrics) = node.get("/metrics");
    for line in ["posthouse_ready 1", "posthouse_events_total{event=\"deliver\"} 1", "posthouse_accepted_total 1"] {
        assert!(metrics.lines().any(|l| l == line), "{line} in\n{metrics}");
    }
    metrics_are_well_formed(&metrics);
}

/// Each sample has a type, each family one, and each value is a number.
fn metrics_are_well_formed(text: &str) {
    let mut types = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let name = rest.split(' ').next().unwrap();
            assert!(!types.contains(&name), "{name} has two types");
            types.push(name);
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let name = series.split('{').next().unwrap();
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
            assert!(
                types.contains(&name) || family.is_some_and(|family| types.contains(&family)),
                "{line} has no type"
            );
        }
    }
    assert!(types.iter().all(|name| name.starts_with("posthouse_")), "{types:?}");
}

#[test]
fn what_waits_says_why_and_verbs_move_it() {
    let node = relay_to_nobody();
    let id = send(&node, "alice@client.example", "bob@away.example", "first");
    let gone = send(&node, "alice@client.example", "carol@away.example", "second");
    let queue = || node.json(&["queue", "list"])["queues"][0].clone();
    eventually("the hop is on its ladder", SOON, || queue()["state"] == "retry");
    let name = queue()["name"].as_str().unwrap().to_string();
    assert!(queue()["next_retry"].is_string() && queue()["failures"].as_u64() >= Some(1), "{}", queue());
    assert!(
        says(&node, &["queue", "list"]).contains("refused"),
        "the list says why: {}",
        says(&node, &["queue", "list"])
    );

    let found = node.json(&["message", "list", "--recipient", "BOB@away"]);
    assert_eq!(found["messages"].as_array().unwrap().len(), 1);
    assert_eq!(found["messages"][0]["id"], *id);
    assert_eq!(says(&node, &["message", "list", "--sender", "alice", "--ids"]), format!("{id}\n{gone}\n"));
    assert_eq!(node.json(&["message", "list", "--older", "1h"])["messages"], Value::Array(vec![]));
    assert!(says(&node, &["message", "show", &id]).contains("bob@away.example"));

    says(&node, &["message", "suspend", &id]);
    assert_eq!(node.json(&["message", "show", &id])["held"], "suspended");
    says(&node, &["message", "resume", &id]);
    assert_eq!(node.json(&["message", "show", &id])["held"], Value::Null);
    let exported = says(&node, &["message", "export", &id]);
    assert!(exported.contains("Subject: first") && exported.contains("bob@away.example"), "{exported}");

    says(&node, &["message", "remove", "--no-dsn", &gone]);
    let (code, _, err) = node.verb(&["message", "show", &gone]);
    assert!(code == 1 && err.contains("no such message") && err.contains("posthouse trace"), "{err}");
    eventually("the removal is in the trace, with its author", SOON, || {
        says(&node, &["trace", "--id", &gone]).contains("command line")
    });
    assert_eq!(node.json(&["trace", "--event", "DSN"])["events"], Value::Array(vec![]), "nobody was told");

    says(&node, &["queue", "suspend", &name]);
    assert_eq!(queue()["state"], "suspended");
    assert!(says(&node, &["queue", "show", &name]).contains(&id));
    says(&node, &["queue", "resume", &name]);
    says(&node, &["queue", "retry", &name]);
    eventually("it was tried again", SOON, || queue()["failures"].as_u64() >= Some(1) && queue()["state"] == "retry");
}

#[test]
fn a_message_goes_elsewhere_when_told_to() {
    let mut node = Node::new(&["--config", "posthouse.toml", "--org", "org.toml"]);
    let document = format!(
        "[[accepted_domain]]\nname = \"home.test\"\ndeliver = \"maildir\"\n[[receive_connector]]\nname = \"in\"\n\
         listen = [\"127.0.0.1:{}\"]\nremote = [\"127.0.0.0/8\"]\npermissions = [\"relay\"]\n\
         [[send_connector]]\nname = \"out\"\ndomains = [\"*\"]\nsmart_hosts = [\"127.0.0.1:{}\"]\n",
        node.smtp,
        free_port()
    );
    fs::write(node.dir.join("posthouse.toml"), "name = \"mx.home.test\"\n").unwrap();
    fs::write(node.dir.join("org.toml"), document).unwrap();
    node.start();
    let id = send(&node, "alice@home.test", "bob@away.example", "moved");
    let (code, _, err) = node.verb(&["message", "redirect", &id, "smart-hosts:nowhere"]);
    assert!(code == 1 && err.contains("no send connector 'nowhere'"), "{err}");
    says(&node, &["message", "redirect", &id, "maildir:home.test"]);
    eventually("it is in a Maildir of the domain that was named", SOON, || {
        fs::read_dir(node.data().join("mail/home.test/bob/new")).is_ok_and(|dir| dir.count() == 1)
    });
}

#[test]
fn verbs_say_what_is_wrong_and_end_with_a_code() {
    let run = |arguments: &[&str]| {
        let url = format!("http://127.0.0.1:{}", free_port());
        let out =
            std::process::Command::new(binary("posthouse")).args(arguments).env("POSTHOUSE_URL", url).output().unwrap();
        (
            out.status.code(),
            String::from_utf8_lossy(&out.stdout).into_owned(),
            String::from_utf8_lossy(&out.stderr).into_owned(),
        )
    };
    let (code, _, err) = run(&["status"]);
    assert!(code == Some(3) && err.contains("no node answers at http://127.0.0.1:") && err.contains("--url"), "{err}");
    assert_eq!(run(&["quue", "list"]).0, Some(2));
    let (code, _, err) = run(&["--url", "https://x", "status"]);
    assert!(code == Some(2) && err.contains("http://127.0.0.1:8025"), "{err}");
    let (code, help, _) = run(&["--help"]);
    assert!(code == Some(0) && help.contains("posthouse trace --to") && help.contains("Exit codes"), "{help}");
    assert_eq!(run(&["version"]).1, format!("posthouse {}\n", env!("CARGO_PKG_VERSION")));

    let node = Node::started(&[]);
    for (arguments, text) in [
        (&["message", "show", "xyz"][..], "'xyz' is not a message id"),
        (&["message", "retry", "01M7Z9WYR90MT9QKMJ39X00VA5"], "no such message"),
        (&["queue", "show", "mx:out:away.example"], "there is no queue 'mx:out:away.example'"),
        (&["message", "list", "--older", "yesterday"], "'yesterday' is not a duration; write 30s"),
        (&["trace", "--since", "noon"], "'noon' is no time; write 30m"),
    ] {
        let (code, out, err) = node.verb(arguments);
        assert!(code == 1 && err.contains(text), "{arguments:?}: {code} {out}{err}");
    }
    let to = format!("127.0.0.1:{}", node.smtp);
    assert!(says(&node, &["explain", "--from", "192.0.2.1", "--to", &to]).contains("in"));
    let org = root().join("examples/gateway/org.toml");
    let asked = ["explain", "--json", "--from", "192.0.2.1", "--to", ":25", "--org", org.to_str().unwrap()];
    let explained: Value = serde_json::from_str(&run(&asked).1).unwrap();
    assert!(explained["text"].as_str().unwrap().starts_with("A connection from 192.0.2.1"), "{explained}");
    assert!(says(&node, &["config"]).contains("posthouse.test"));
}

#[test]
fn passwords_are_hashed_and_different_each_time() {
    let hash = |arguments: &[&str]| {
        let mut command = std::process::Command::new(binary("posthouse"));
        command.args(arguments).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"correct horse\n").unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    };
    assert!(hash(&["hash-password"]).starts_with("$argon2id$"));
    assert!(hash(&["hash-password", "--scram"]).starts_with("SCRAM-SHA-256$"));
    assert_ne!(hash(&["hash-password"]), hash(&["hash-password"]));
}

#[test]
fn a_drained_node_takes_no_mail_and_says_so() {
    let node = Node::started(&[]);
    let mut open = session(node.smtp);
    assert_eq!(node.get("/health/ready").0, 200);
    says(&node, &["node", "drain"]);
    let (code, body) = node.get("/health/ready");
    assert!(code == 503 && body.contains("draining"), "{body}");
    assert_eq!(node.get("/health/live").0, 200);
    assert!(open.command("MAIL FROM:<a@client.example>").starts_with("4"));
    assert!(Wire::connect(node.smtp).reply()[0].starts_with("421 4.3.2"));
    let listed = says(&node, &["node", "list"]);
    assert!(listed.contains("NO: draining"), "{listed}");
    says(&node, &["node", "resume"]);
    send(&node, "a@client.example", "bob@posthouse.test", "again");
}

#[test]
fn sigterm_finishes_what_is_in_flight_and_the_next_start_serves_at_once() {
    let mut node = relay_to_nobody();
    let waiting = send(&node, "alice@client.example", "bob@away.example", "waits");
    let mut idle = session(node.smtp);
    let mut busy = session(node.smtp);
    begin(&mut busy, "alice@client.example", "carol@away.example");
    busy.send(b"Subject: half\r\n\r\nfirst half\r\n").unwrap();
    node.process().signal("TERM");
    assert!(idle.reply()[0].starts_with("421 4.3.2"), "who is idle is told at once");
    eventually("the port is closed", SOON, || TcpStream::connect(("127.0.0.1", node.smtp)).is_err());
    let taken = id_of(&busy.command("second half\r\n."));
    let status = node.process().wait(Duration::from_secs(30));
    assert_eq!(status.code(), Some(0), "{}", node.log());
    assert!(node.log().contains("all accepted mail is synced"));

    let began = Instant::now();
    node.start();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let ids = says(&node, &["message", "list", "--ids"]);
    assert_eq!(ids, format!("{waiting}\n{taken}\n"));
    assert_eq!(node.stop().code(), Some(0));
}

#[test]
fn a_second_sigterm_ends_at_once() {
    let mut node = Node::started(&[]);
    let mut busy = session(node.smtp);
    begin(&mut busy, "alice@client.example", "bob@posthouse.test");
    node.process().signal("TERM");
    eventually("it stops", SOON, || node.log().contains("stopping"));
    std::thread::sleep(Duration::from_millis(300));
    assert!(node.process().is_running(), "it waits for the message in flight");
    node.process().signal("TERM");
    let began = Instant::now();
    assert_eq!(node.process().wait(SOON).code(), Some(1));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_sound_document_is_taken_and_any_other_is_told() {
    let mut node = Node::new(&["--config", "posthouse.toml", "--org", "org.toml"]);
    let (smtp, extra) = (node.smtp, free_port());
    let org = |domain: &str, listen: &str, more: &str| {
        format!(
            "postmaster = \"pm@one.test\"\n[[accepted_domain]]\nname = \"{domain}\"\ndeliver = \"maildir\"\n[[receive_connector]]\nname = \"in\"\nlisten = [{listen}]\n{more}"
        )
    };
    let first_port = format!("\"127.0.0.1:{smtp}\"");
    fs::write(node.dir.join("posthouse.toml"), "name = \"mx.home.test\"\n").unwrap();
    fs::write(node.dir.join("org.toml"), org("one.test", &first_port, "")).unwrap();
    node.start();
    let mut before = session(smtp);
    let config = node.json(&["status"])["config"].clone();
    assert_eq!(config["as_written"], true, "{config}");

    fs::write(node.dir.join("org.toml"), org("two.test", &first_port, "tarpit = 5\n")).unwrap();
    let (code, _, err) = node.verb(&["reload"]);
    assert!(
        code == 1 && err.contains("org.toml:8:1: unknown key \"tarpit\"") && err.contains("nothing was changed"),
        "{err}"
    );
    let config = node.json(&["status"])["config"].clone();
    assert!(config["as_written"] == false && config["difference"].to_string().contains("tarpit"), "{config}");
    send(&node, "a@client.example", "bob@one.test", "as before");

    let both_ports = format!("{first_port}, \"127.0.0.1:{extra}\"");
    fs::write(node.dir.join("org.toml"), org("two.test", &both_ports, "")).unwrap();
    node.process().signal("HUP");
    eventually("the new port greets", SOON, || tests::process::greets(extra));
    send(&node, "a@client.example", "bob@two.test", "after");
    assert!(before.command("MAIL FROM:<a@client.example>").starts_with("250"), "no connection was dropped");
    let config = node.json(&["status"])["config"].clone();
    assert_eq!(config["as_written"], true, "{config}");

    fs::write(node.dir.join("org.toml"), org("two.test", &first_port, "[retry]\nexpire_after = \"1h\"\n")).unwrap();
    let said = says(&node, &["reload"]);
    assert!(said.contains("+ [retry] expire_after"), "what counts from the next start on is shown: {said}");
    eventually("the old port closes", SOON, || TcpStream::connect(("127.0.0.1", extra)).is_err());
}

#[test]
fn no_page_of_a_stranger_reaches_the_api() {
    let node = Node::started(&[]);
    let port = node.http;
    let rebound = http(port, "GET /api/v1/status HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    assert!(rebound.starts_with("HTTP/1.1 403") && rebound.contains("what_to_do"), "{rebound}");
    let name = node.json(&["status"])["name"].as_str().unwrap().to_string();
    let post = |headers: &str| {
        http(
            port,
            &format!(
                "POST /api/v1/nodes/{name}/drain HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Length: 0\r\n{headers}\r\n"
            ),
        )
    };
    assert!(post("Origin: http://evil.example\r\n").starts_with("HTTP/1.1 403"));
    assert_eq!(node.json(&["status"])["phase"], "serving");
    assert!(post(&format!("Origin: http://127.0.0.1:{port}\r\n")).starts_with("HTTP/1.1 200"));
    let nothing = http(port, &format!("GET /nothing HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"));
    assert!(nothing.starts_with("HTTP/1.1 404") && nothing.contains("/api/v1"), "{nothing}");
}

#[test]
fn the_page_stands_alone_and_shows_what_waits() {
    let node = relay_to_nobody();
    send(&node, "alice@client.example", "bob@away.example", "on the page");
    eventually("the page shows queue, event and state without JavaScript", SOON, || {
        let (status, page) = node.get("/");
        status == 200 && page.contains("smart-hosts:") && page.contains("RECEIVE") && page.contains("serving")
    });
    let (_, page) = node.get("/");
    for outside in ["src=\"http", "href=\"http", "@import", "url(http"] {
        assert!(!page.contains(outside), "the page loads nothing from elsewhere: {outside}");
    }
}

#[test]
fn events_come_live() {
    let node = Node::started(&[]);
    let mut stream = TcpStream::connect(("127.0.0.1", node.http)).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    write!(stream, "GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", node.http).unwrap();
    let mut heard = String::new();
    let mut hear = |text: &str| {
        eventually(text, SOON, || {
            let mut buffer = [0; 16 << 10];
            if let Ok(count) = stream.read(&mut buffer) {
                heard.push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
            heard.contains(text)
        });
    };
    hear("event: status");
    let id = send(&node, "alice@client.example", "bob@posthouse.test", "live");
    hear("event: trace");
    hear(&id);
}

/// `posthouse ... | head -1`.
#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let node = Node::started(&[]);
    let mut config = std::process::Command::new(binary("posthouse"));
    config.args(["--url", &format!("http://127.0.0.1:{}", node.http), "config"]);
    let mut config = config.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(config.stdout.take());
    let out = config.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stderr), "");
    assert_eq!(out.status.code(), Some(141));
}

/// What needs a cluster, or another node, says so.
#[test]
fn a_node_alone_says_that_it_has_no_cluster_and_no_peers() {
    let node = Node::started(&[]);
    let name = node.json(&["status"])["name"].as_str().unwrap().to_string();
    for (verb, says) in [
        (&["cluster", "status"][..], "this node is in no cluster"),
        (&["node", "drain", "--hand-over"], "this node is in no cluster"),
        (&["node", "remove", "n2.test"], "this node is in no cluster"),
        (&["node", "drain", "n2.test"], "knows no node n2.test"),
        (&["node", "resume", "n2.test"], "posthouse node list"),
    ] {
        let (code, _, text) = node.verb(verb);
        assert!(code == 1 && text.contains(says), "{verb:?}: {code} {text}");
    }
    let (code, _, text) = node.verb(&["node", "drain", "--to", "n2.test"]);
    assert!(code == 2 && text.contains("--hand-over"), "{text}");
    let nodes = node.json(&["node", "list"]);
    assert_eq!((nodes["node"].as_str(), nodes["nodes"][0]["health"].as_str()), (Some(&*name), Some("ready")));
}
