//! The verbs on single objects of the organization document, their audit log, and familiar verbs: real processes with a document of their own.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // tests of real processes

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::process::Node;
use tests::wire::Wire;
use tests::{binary, eventually, free_port, root};

const SOON: Duration = Duration::from_secs(10);

/// A document with comments, and the node that runs it.
fn started() -> Node {
    let mut node = Node::new(&["--org", "org.toml"]);
    fs::write(node.dir.join("org.toml"), document(node.smtp)).unwrap();
    node.start();
    node
}

fn document(port: u16) -> String {
    format!(
        "# The organization of ours.test. Ask Ann before you change it.\n\n\
         [[accepted_domain]] # all of them\nname = \"ours.test\"\ndeliver = \"maildir\"\nrecipients = [ \"bob\",\n  \"carol\" ] # people\n\n\
         # From everywhere.\n[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:{port}\"]\n  # the end of it\n\n\
         [[send_connector]]\nname = \"out\"\nsmart_hosts = [\"127.0.0.1:{port}\"] # ourselves\n"
    )
}

fn written(node: &Node) -> String {
    fs::read_to_string(node.dir.join("org.toml")).unwrap()
}

fn says(node: &Node, arguments: &[&str]) -> String {
    let (code, out, err) = node.verb(arguments);
    assert_eq!(code, 0, "{arguments:?}: {out}{err}");
    out
}

fn fails(node: &Node, arguments: &[&str]) -> String {
    let (code, out, err) = node.verb(arguments);
    assert_eq!(code, 1, "{arguments:?}: {out}{err}");
    err
}

fn audited(node: &Node, more: &[&str]) -> Vec<Value> {
    node.json(&[&["audit"], more].concat())["entries"].as_array().unwrap().clone()
}

#[test]
fn objects_are_made_changed_and_removed_in_the_document_and_run_at_once() {
    let node = started();
    let before = document(node.smtp);
    let out = says(&node, &["org", "set", "send_connector", "out", "cost=20", "smart_hosts+=127.0.0.1:9", "--dry-run"]);
    assert!(out.contains("+cost = 20") && out.contains("would set send_connector out"), "{out}");
    assert_eq!(written(&node), before, "a dry run changes nothing");

    let more = free_port();
    let mut open = Wire::connect(node.smtp);
    assert!(open.reply()[0].starts_with("220 "));
    let listen = format!("listen=127.0.0.1:{more}");
    says(&node, &["org", "new", "ReceiveConnector", "more", &listen, "banner=more of it", "--why", "more room"]);
    assert!(Wire::connect(more).reply()[0].ends_with("more of it"), "it listens as soon as the verb has ended");
    says(&node, &["org", "set", "receive-connector", "MORE", "banner=other"]);
    assert!(Wire::connect(more).reply()[0].ends_with("other"));
    let block =
        format!("[[receive_connector]]\nname = \"more\"\nlisten = [\"127.0.0.1:{more}\"]\nbanner = \"other\"\n\n");
    assert_eq!(written(&node), before.replace("[[send_connector]]", &format!("{block}[[send_connector]]")));
    says(&node, &["org", "remove", "receive_connector", "more"]);
    eventually("its port is closed", SOON, || std::net::TcpStream::connect(("127.0.0.1", more)).is_err());
    assert_eq!(written(&node), before, "comments, order and formatting are as they were");
    assert!(open.command("NOOP").starts_with("250 "), "a connection of before goes on");

    says(&node, &["org", "set", "accepted_domain", "ours.test", "recipients-=carol", "recipients+=dave"]);
    assert!(written(&node).contains("recipients = [\"bob\", \"dave\"] # people"), "{}", written(&node));
    assert!(says(&node, &["org", "set", "retry", "interval=00:20:00"]).contains("counts from the next start"));
    assert!(
        says(&node, &["org", "set", "retry", "interval=20m"]).contains("nothing was changed: retry says so already")
    );
    let got = node.json(&["org", "get", "retry"]);
    let interval = got["objects"][0]["fields"].as_array().unwrap().iter().find(|field| field["key"] == "interval");
    assert_eq!(interval.map(|field| (&field["value"], &field["written"])), Some((&"20m".into(), &true.into())));
    assert!(says(&node, &["org", "get"]).contains("accepted_domain"));
    assert!(says(&node, &["org", "get", "send_connector", "out"]).contains("smart_hosts"));
    assert!(says(&node, &["status"]).contains("interval"), "what counts after a restart is shown");
}

#[test]
fn what_is_not_sound_is_told_with_its_line_and_nothing_is_changed() {
    let node = started();
    let before = document(node.smtp);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("listen=127.0.0.1:{}", taken.local_addr().unwrap().port());
    for (arguments, told) in [
        (
            &["set", "send_connector", "out", "cost=1000"][..],
            "org.toml:18:8: cost = 1000 is out of range; write 1 to 100; nothing was changed",
        ),
        (&["set", "send_connector", "out", "tls=sometimes"], "tls knows no \"sometimes\""),
        (&["set", "send_connector", "out", "colour=red"], "a send_connector has no key \"colour\""),
        (&["set", "send_connector", "oot", "cost=1"], "there is no send_connector \"oot\"; did you mean \"out\"?"),
        (
            &["set", "send_conector", "out", "cost=1"],
            "there is no kind of object \"send_conector\"; did you mean \"send_connector\"?",
        ),
        (&["new", "send_connector", "out", "mx=true"], "there is a send_connector \"out\" already"),
        (&["new", "receive_connector", "x"], "has no listen; add it"),
        (&["new", "receive_connector", "x", &listen], "in use by another program"),
        (&["remove", "receive_connector", "in"], "nothing listens; add a [[receive_connector]]"),
        (&["remove", "retry"], "there is always one retry"),
        (&["set", "send_connector", "out", "cost=1", "--base", "3"], "has no versions"),
    ] {
        let err = fails(&node, &[&["org"], arguments].concat());
        assert!(err.contains(told), "{arguments:?}: {err}");
        assert_eq!(written(&node), before, "{arguments:?}");
    }
    assert!(Wire::connect(node.smtp).reply()[0].starts_with("220 "));
    assert!(
        audited(&node, &["--verb", "org"]).iter().all(|entry| entry["result"] == "refused" && entry["why"].is_string())
    );

    // Somebody edits the file meanwhile: neither change is lost.
    let edited = before.replace("Ask Ann", "Ask Bob");
    fs::write(node.dir.join("org.toml"), &edited).unwrap();
    let err = fails(&node, &["org", "set", "send_connector", "out", "cost=2"]);
    assert!(
        err.contains("is not what runs here: somebody has changed it") && err.contains("posthouse reload"),
        "{err}"
    );
    assert_eq!(written(&node), edited);
    says(&node, &["reload"]);
    says(&node, &["org", "set", "send_connector", "out", "cost=2"]);
    assert!(
        written(&node).starts_with("# The organization of ours.test. Ask Bob")
            && written(&node).ends_with("cost = 2\n")
    );

    let plain = Node::started(&[]);
    let err = fails(&plain, &["org", "set", "retry", "interval=5m"]);
    assert!(err.contains("built-in organization") && err.contains("org show --text > org.toml"), "{err}");
}

#[test]
fn passwords_are_never_shown_and_never_lost() {
    let node = started();
    fs::set_permissions(node.dir.join("org.toml"), fs::Permissions::from_mode(0o600)).unwrap();
    let hash = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g";
    let out = says(&node, &["org", "new", "user", "ann", &format!("password={hash}")]);
    let set = says(&node, &["org", "set", "user", "ann", "may_send_as=*@ours.test"]);
    let shown = [
        out,
        set,
        says(&node, &["org", "get", "user", "ann"]),
        says(&node, &["org", "get", "user"]),
        says(&node, &["org", "get", "user", "--json"]),
        says(&node, &["Get-User", "ann"]),
        says(&node, &["audit", "--json"]),
        fs::read_to_string(fs::read_dir(node.data().join("audit")).unwrap().next().unwrap().unwrap().path()).unwrap(),
    ];
    for text in shown {
        assert!(!text.contains("$argon2id"), "{text}");
    }
    assert!(written(&node).contains(hash) && written(&node).contains("may_send_as = [\"*@ours.test\"]"));
    assert_eq!(fs::metadata(node.dir.join("org.toml")).unwrap().permissions().mode() & 0o777, 0o600);
    let tested = node.verb(&["org", "test", "user", "ann"]);
    assert!(tested.0 == 1 && tested.1.contains("no receive connector of this server has the permission"), "{tested:?}");
}

#[test]
fn a_node_that_is_killed_while_it_writes_has_one_document_or_the_other_whole() {
    let mut node = started();
    let small = document(node.smtp);
    let names: Vec<String> = (0..4_000).map(|n| format!("recipient-number-{n}")).collect();
    let large = format!("recipients={}", names.join(","));
    let wanted_end = Instant::now() + Duration::from_secs(20);
    let (mut rounds, mut changed) = (0, 0);
    while rounds < 12 && Instant::now() < wanted_end {
        fs::write(node.dir.join("org.toml"), &small).unwrap();
        node.start();
        let http = format!("http://127.0.0.1:{}", node.http);
        let mut verb = Command::new(binary("posthouse"));
        verb.args(["org", "set", "accepted_domain", "ours.test", &large]).env("POSTHOUSE_URL", http);
        let mut verb = verb.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(20 + 25 * rounds));
        node.kill();
        let _ = verb.wait();
        let found = written(&node);
        let whole = found.contains("\"recipient-number-3999\"]") && found.ends_with("# ourselves\n");
        assert!(found == small || whole, "half a document: {} bytes", found.len());
        changed += usize::from(whole);
        rounds += 1;
    }
    assert!(rounds > 2, "{rounds} rounds, the document was changed in {changed}");
    // What the last one left starts a node, and its log says what became of the verb.
    node.start();
    for entry in audited(&node, &[]) {
        assert!(["done", "not known"].contains(&entry["result"].as_str().unwrap()), "{entry}");
    }
}

#[test]
fn of_many_writers_at_once_nobody_loses_a_change() {
    let node = started();
    let names: Vec<String> = (0..8).map(|n| format!("way-{n}")).collect();
    std::thread::scope(|scope| {
        for name in &names {
            let node = &node;
            scope.spawn(move || {
                let space = format!("domains={name}.test");
                says(node, &["org", "new", "send_connector", name, "mx=true", &space]);
            });
        }
    });
    let got = node.json(&["org", "get", "send_connector"]);
    let mut found: Vec<&str> =
        got["objects"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
    found.sort_unstable();
    assert_eq!(found[1..], names.iter().map(String::as_str).collect::<Vec<_>>()[..]);
    assert_eq!(audited(&node, &["--verb", "org new"]).len(), 8);
}

#[test]
fn every_change_leaves_who_what_when_before_and_after() {
    let mut node = started();
    let id = {
        let mut wire = Wire::connect(node.smtp);
        wire.reply();
        for line in ["EHLO c.test", "MAIL FROM:<a@c.test>", "RCPT TO:<bob@ours.test>", "DATA"] {
            wire.command(line);
        }
        wire.command("Subject: x\r\n\r\nx\r\n.").split(' ').nth(2).unwrap().to_string()
    };
    says(&node, &["org", "set", "send_connector", "out", "cost=20", "--why", "dearer"]);
    says(&node, &["node", "drain"]);
    says(&node, &["node", "resume"]);
    says(&node, &["reload"]);
    fails(&node, &["queue", "retry", "mx:out:no.test"]);
    fails(&node, &["message", "remove", "01M7Z9WYR90MT9QKMJ39X00VA5"]);
    // Readings, trials and tests leave nothing.
    says(&node, &["org", "set", "send_connector", "out", "cost=30", "--dry-run"]);
    says(&node, &["org", "test", "receive_connector"]);
    says(&node, &["trace", "--id", &id]);
    let entries = audited(&node, &[]);
    let short: Vec<String> = entries
        .iter()
        .map(|e| {
            format!(
                "{} {}: {}",
                e["verb"].as_str().unwrap(),
                e["object"].as_str().unwrap(),
                e["result"].as_str().unwrap()
            )
        })
        .collect();
    let name = node.json(&["status"])["name"].as_str().unwrap().to_string();
    assert_eq!(
        short,
        [
            "message remove 01M7Z9WYR90MT9QKMJ39X00VA5: refused".to_string(),
            "queue retry mx:out:no.test: refused".into(),
            "reload organization document: done".into(),
            format!("node resume {name}: done"),
            format!("node drain {name}: done"),
            "org set send_connector out: done".into(),
        ]
    );
    let set = &entries[5];
    assert_eq!(
        (&set["number"], &set["before"]["cost"], &set["asked"]["why"]),
        (&1.into(), &Value::Null, &"dearer".into())
    );
    let difference = set["after"]["difference"].as_array().unwrap();
    assert!(difference.iter().any(|line| line == "+cost = 20"), "{set}");
    assert!(
        set["who"].as_str().unwrap().ends_with(" by command line")
            && set["from"].as_str().unwrap().starts_with("127.0.0.1:")
    );
    let user = Command::new("id").arg("-un").output().unwrap().stdout;
    assert_eq!(
        set["unix_user"].as_str(),
        Some(String::from_utf8(user).unwrap().trim()),
        "the kernel says whose process it was"
    );
    assert_eq!((&entries[4]["before"], &entries[3]["before"]), (&"ready".into(), &"draining".into()));

    assert_eq!(audited(&node, &["--object", "SEND_CONNECTOR"]).len(), 1);
    assert_eq!(audited(&node, &["--verb", "node", "--limit", "1"]).len(), 1);
    assert_eq!(audited(&node, &["--since", "2100-01-01T00:00:00Z"]).len(), 0);
    assert!(says(&node, &["audit", "--long"]).contains("          +cost = 20"));
    assert!(says(&node, &["Search-AdminAuditLog"]).contains("+cost = 20"));
    node.kill();
    node.start();
    assert_eq!(audited(&node, &[]).len(), 6, "a killed node has lost none");
    says(&node, &["reload"]);
    assert_eq!(audited(&node, &["--limit", "1"])[0]["number"], 7);
}

#[test]
fn what_cannot_be_noted_is_not_done() {
    let mut node = started();
    let dir = node.data().join("audit");
    let file = fs::read_dir(&dir).unwrap().next().unwrap().unwrap().path();
    node.stop();
    // The file that grows has no room, and there is no place for the next one.
    let line = "{\"n\":1,\"when\":\"2026-11-22T00:00:00Z\",\"verb\":\"x\"}\n";
    fs::write(&file, line.repeat((1 << 20) / line.len())).unwrap();
    node.start();
    fs::rename(&dir, node.dir.join("away")).unwrap();
    let err = fails(&node, &["org", "set", "send_connector", "out", "cost=20"]);
    assert!(err.contains("the audit log cannot be written") && err.contains("nothing was done"), "{err}");
    assert_eq!(written(&node), document(node.smtp));
    let err = fails(&node, &["node", "drain"]);
    assert!(err.contains("nothing was done") && node.get("/health/ready").0 == 200, "{err}");
    fs::rename(node.dir.join("away"), &dir).unwrap();
    says(&node, &["org", "set", "send_connector", "out", "cost=20"]);
    assert_eq!(audited(&node, &["--limit", "1"])[0]["number"], 2);
}

#[test]
fn a_test_says_what_answers_and_leaves_nothing() {
    let node = started();
    let tested = node.json(&["org", "test", "receive_connector"]);
    assert_eq!((&tested[0]["ok"], &tested[0]["findings"][1]["result"]), (&true.into(), &"success".into()), "{tested}");
    assert!(tested[0]["findings"][1]["detail"].as_str().unwrap().contains("STARTTLS works"), "{tested}");
    assert!(says(&node, &["Test-SmtpConnectivity"]).contains("success"));
    assert!(says(&node, &["org", "test", "send_connector", "out"]).contains("success"));
    assert!(says(&node, &["org", "test", "accepted_domain", "ours.test"]).contains("maildir:ours.test"));
    let nobody = format!("smart_hosts=127.0.0.1:{}", free_port());
    says(&node, &["org", "set", "send_connector", "out", &nobody, "tls=require"]);
    let (code, out, err) = node.verb(&["org", "test", "send_connector"]);
    assert!(code == 1 && out.contains("unable to connect") && err.contains("failed: out"), "{out}{err}");
    says(&node, &["node", "drain"]);
    let (code, out, _) = node.verb(&["org", "test", "receive_connector", "in"]);
    assert!(code == 1 && out.contains("transient") && out.contains("421 4.3.2"), "{out}");
    let noise: Vec<String> =
        node.log().lines().filter(|line| line.contains("ERROR") || line.contains("WARN")).map(String::from).collect();
    assert!(noise.is_empty(), "{noise:?}");
    assert_eq!(node.json(&["status"])["spool"]["accepted"], 0);
}

#[test]
fn familiar_verbs_do_what_ours_do() {
    let node = started();
    let listed = says(&node, &["Get-SendConnector", "-Identity", "out"]);
    for line in ["Identity", "AddressSpaces", "SmartHosts", "Port"] {
        assert!(listed.lines().any(|l| l.starts_with(line) && l.contains(" : ")), "{line} in {listed}");
    }
    says(&node, &["Set-SendConnector", "-Identity", "out", "-Cost", "7", "-WhatIf"]);
    assert!(!written(&node).contains("cost"));
    says(&node, &["set-sendconnector", "out", "-Cost:7", "-Confirm:$false"]);
    assert!(written(&node).contains("cost = 7"));
    says(&node, &["Set-TransportServer", "-Identity", "any", "-MessageExpirationTimeout", "4.00:00:00"]);
    assert!(written(&node).contains("expire_after = \"4d\""), "{}", written(&node));
    says(&node, &["New-AcceptedDomain", "-DomainName", "two.test", "-Name", "two.test"]);
    assert!(says(&node, &["Get-AcceptedDomain"]).contains(": two.test"));
    says(&node, &["Remove-AcceptedDomain", "two.test", "-Confirm:$false"]);
    assert!(says(&node, &["Get-Queue"]).contains("there is no queue"));
    assert!(says(&node, &["Get-TransportServer"]).contains("ServerState"));
    assert!(says(&node, &["Get-MessageTrackingLog", "-ResultSize", "5"]).contains("no event matches"));
    assert!(says(&node, &["help", "verbs"]).contains("Get-ReceiveConnector"));
    let (code, _, err) = node.verb(&["Get-SendConectors"]);
    assert!(code == 2 && err.contains("the nearest are") && err.contains("Get-SendConnector"), "{err}");
    let (code, _, err) = node.verb(&["Get-Queue", "-Server", "mx2"]);
    assert!(code == 2 && err.contains("--url"), "{err}");
}

#[test]
fn the_schema_takes_every_example_and_refuses_what_the_reader_refuses() {
    let python = root().join("target/peers/venv/bin/python");
    let python = if python.exists() { python } else { "python3".into() };
    let keep = tempfile::tempdir().unwrap();
    let schema = |more: &[&str], name: &str| {
        let out = Command::new(binary("posthouse")).arg("schema").args(more).output().unwrap();
        assert!(out.status.success());
        fs::write(keep.path().join(name), &out.stdout).unwrap();
    };
    schema(&[], "org.json");
    schema(&["--node"], "node.json");
    let out = Command::new(python)
        .arg(root().join("tests/peers/check_schema.py"))
        .arg(keep.path().join("org.json"))
        .arg(keep.path().join("node.json"))
        .arg(root().join("examples"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}");
    assert!(said.contains("documents are valid") && said.contains("are refused"), "{said}");
}
