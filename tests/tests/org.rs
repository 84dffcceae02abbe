//! The organization document in a real etcd, and two nodes as real processes that run it.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // tests of real processes

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::chaos::Source;
use tests::etcd::Etcd;
use tests::process::Node;
use tests::two::pki;
use tests::wire::Wire;
use tests::{binary, eventually, free_port};

/// Both nodes run a new version within this; on an idle machine it is some 0.1 s.
const SOON: Duration = Duration::from_secs(10);

struct Organization {
    keep: tempfile::TempDir,
    etcd: Etcd,
    a: Node,
    b: Node,
}

impl Organization {
    /// Two nodes and an etcd, nothing applied.
    fn started() -> Organization {
        let mut organization = Organization::stopped(&[]);
        organization.a.start();
        organization.b.start();
        eventually("both are seen in etcd", SOON, || organization.nodes(&organization.a).len() == 2);
        organization
    }

    /// The nodes are not started yet; `more` arguments are for `a`.
    fn stopped(more: &[&str]) -> Organization {
        let etcd = Etcd::start(1);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        drop(runtime.block_on(etcd.client()));
        let keep = tempfile::tempdir().unwrap();
        pki(keep.path(), &["init", "--organization", "Example Ltd"]);
        let endpoint = etcd.endpoints()[0].to_string();
        let node = |name: &str, more: &[&str]| {
            pki(keep.path(), &["issue", name, "--address", "127.0.0.1"]);
            let dir = keep.path().join(name);
            fs::create_dir(&dir).unwrap();
            let document = format!(
                "name = \"{name}\"\n[peers]\nlisten = \"127.0.0.1:{}\"\ncertificate = \"../pki/nodes/{name}/certificate.pem\"\n\
                 key = \"../pki/nodes/{name}/key.pem\"\nca = \"../pki/nodes/{name}/ca.pem\"\n\
                 [cluster]\nendpoints = [\"{endpoint}\"]\nttl = \"2s\"\n[limits]\nconnection_rate_per_minute = 0\n",
                free_port()
            );
            fs::write(dir.join("posthouse.toml"), document).unwrap();
            Node::at(&dir, &[&["--config", "posthouse.toml"], more].concat())
        };
        let (a, b) = (node("a.test", more), node("b.test", &[]));
        Organization { keep, etcd, a, b }
    }

    /// An organization document in which each node listens where it does already, with a banner that tells versions apart.
    fn document(&self, word: &str, more: &str) -> String {
        let connector = |name: &str, port: u16| {
            format!(
                "\n[[receive_connector]]\nname = \"{name}\"\nservers = [\"{name}.test\"]\nlisten = [\"127.0.0.1:{port}\"]\n\
                 permissions = [\"anonymous\"]\ncopies = 0\nbanner = \"{name}.test {word}\"\n"
            )
        };
        format!(
            "postmaster = \"postmaster@ours.test\"\n\n[[accepted_domain]]\nname = \"ours.test\"\ndeliver = \"maildir\"\n\
             recipients = [\"bob\"]\n{}{}{more}",
            connector("a", self.a.smtp),
            connector("b", self.b.smtp)
        )
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.keep.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().into()
    }

    /// Has a document applied on a node.
    fn apply(&self, on: &Node, text: &str, why: &str) -> (i32, String, String) {
        let file = self.write("org.toml", text);
        on.verb(&["org", "apply", &file, "--why", why, "--who", "ann"])
    }

    fn nodes(&self, of: &Node) -> Vec<Value> {
        of.json(&["org", "show"])["state"]["nodes"].as_array().cloned().unwrap_or_default()
    }

    /// Waits until both run a version, as both say.
    fn both_run(&self, version: u64) {
        for node in [&self.a, &self.b] {
            eventually(&format!("both run version {version}"), SOON, || {
                let nodes = self.nodes(node);
                nodes.len() == 2 && nodes.iter().all(|node| node["runs"] == version)
            });
        }
    }
}

fn banner(port: u16) -> String {
    Wire::connect(port).line().unwrap().unwrap()
}

fn said(wire: &mut Wire, line: &str) -> String {
    wire.send(format!("{line}\r\n").as_bytes()).unwrap();
    loop {
        let line = wire.line().unwrap().expect("the connection is open");
        if line.as_bytes()[3] == b' ' {
            return line;
        }
    }
}

/// A metric of a node.
fn metric(of: &Node, name: &str) -> Option<f64> {
    let (_, page) = of.get("/metrics");
    page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn a_version_runs_on_all_nodes_and_connections_stay_open() {
    let of = Organization::started();
    let (_, status, _) = of.b.verb(&["status"]);
    assert!(status.contains("etcd has no organization document yet; posthouse org apply makes one"), "{status}");
    let mut open = [Wire::connect(of.a.smtp), Wire::connect(of.b.smtp)];
    open.iter_mut().for_each(|wire| assert!(wire.line().unwrap().unwrap().starts_with("220 ")));

    let (code, out, err) = of.apply(&of.a, &of.document("first", ""), "the first one");
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("--- the built-in document\n") && out.contains("+name = \"ours.test\""), "{out}");
    assert!(out.contains("version 1 counts now, by ann: the first one"), "{out}");
    assert!(out.contains("a.test     1") && out.contains("b.test     1"), "{out}");
    of.both_run(1);
    assert_eq!([banner(of.a.smtp), banner(of.b.smtp)], ["220 a.test first", "220 b.test first"]);
    // What was open before goes on to its end under the document that it met.
    for wire in &mut open {
        assert!(said(wire, "EHLO x.test").starts_with("250 "));
        // The built-in document asks for a copy: the other node may not have one yet.
        eventually("mail is taken", SOON, || match said(wire, "MAIL FROM:<x@x.test>") {
            taken if taken.starts_with("250 ") => true,
            refused => {
                assert!(refused.starts_with("451 4.4.0 "), "{refused}");
                false
            }
        });
        assert!(said(wire, "RCPT TO:<bob@ours.test>").starts_with("550 "));
        assert!(said(wire, "RCPT TO:<bob@posthouse.test>").starts_with("250 "), "the built-in domain");
    }
    let mut new = Wire::connect(of.b.smtp);
    assert!(new.line().unwrap().unwrap().starts_with("220 ") && said(&mut new, "EHLO x.test").starts_with("250 "));
    assert!(said(&mut new, "MAIL FROM:<x@x.test>").starts_with("250 "));
    assert!(said(&mut new, "RCPT TO:<bob@ours.test>").starts_with("250 "));

    // The next one has another listener on b, made from what is shown.
    let (_, text, _) = of.b.verb(&["org", "show", "--text"]);
    assert_eq!(text, of.document("first", ""));
    let more = free_port();
    let wider = text.replace(&format!(":{}\"]", of.b.smtp), &format!(":{}\", \"127.0.0.1:{more}\"]", of.b.smtp));
    let file = of.write("wider.toml", &wider);
    let (code, out, _) = of.b.verb(&["org", "diff", &file]);
    assert!(code == 0 && out.starts_with("--- version 1\n+++ ") && out.contains(&format!("127.0.0.1:{more}")), "{out}");
    let (code, out, err) = of.b.verb(&["org", "apply", &file, "--base", "1", "--why", "more room"]);
    assert_eq!(code, 0, "{out}{err}");
    of.both_run(2);
    assert_eq!(banner(more), "220 b.test first");
    assert!(said(&mut open[1], "NOOP").starts_with("250 "));
    assert_eq!([metric(&of.a, "posthouse_org_version"), metric(&of.b, "posthouse_org_newest_version")], [Some(2.0); 2]);
    assert_eq!(metric(&of.b, "posthouse_org_applied_total{result=\"applied\"}"), Some(2.0));
    let (_, page) = of.b.get("/");
    assert!(page.contains("version 2") && page.contains("more room"), "{page}");

    // The same again is no version; what was made from an older one is refused.
    let (code, out, _) = of.b.verb(&["org", "apply", &file, "--why", "again"]);
    assert!(code == 0 && out.contains("nothing was applied: version 2 says the same"), "{out}");
    let (code, _, err) = of.a.verb(&["org", "apply", &file, "--base", "1", "--why", "late"]);
    assert!(code == 1 && err.contains("version 2 is there now (by") && err.contains("more room"), "{err}");

    let (code, out, err) = of.a.verb(&["org", "rollback", "1", "--why", "too much room"]);
    assert!(code == 0 && out.contains("version 3 counts now"), "{out}{err}");
    of.both_run(3);
    eventually("the listener is closed", SOON, || TcpListener::bind(("127.0.0.1", more)).is_ok());
    let (_, history, _) = of.a.verb(&["org", "history"]);
    let whys: Vec<&str> = history.lines().take(4).map(|line| line.rsplit("  ").next().unwrap()).collect();
    assert_eq!(whys, ["WHY", "too much room", "more room", "the first one"], "{history}");
    let (_, old, _) = of.a.verb(&["org", "show", "--version", "2", "--text"]);
    assert_eq!(old, wider);
    let (_, last, _) = of.a.verb(&["org", "diff"]);
    assert!(last.starts_with("--- version 2\n+++ version 3\n"), "{last}");
}

#[test]
fn a_document_that_is_not_sound_is_refused_with_its_line_and_two_at_once_are_not_both_taken() {
    let of = Organization::started();
    assert_eq!(of.apply(&of.a, &of.document("first", ""), "the first one").0, 0);
    of.both_run(1);
    let (code, _, err) = of.apply(&of.b, &format!("tpyo = 1\n{}", of.document("bad", "")), "bad");
    assert_eq!(code, 1);
    assert!(err.contains("org.toml:1:1: unknown key \"tpyo\"") && err.contains("nothing was changed"), "{err}");
    let (code, _, err) = of.b.verb(&["org", "apply", "no-such-file", "--why", "x"]);
    assert!(code == 2 && err.contains("no-such-file: "), "{err}");
    let (code, _, err) = of.b.verb(&["org", "apply", &of.write("good.toml", &of.document("second", "")), "--why", " "]);
    assert!(code == 1 && err.contains("no reason is given"), "{err}");
    let (code, _, err) = of.b.verb(&["org", "rollback", "9", "--why", "x"]);
    assert!(code == 1 && err.contains("there is no version 9"), "{err}");

    let files = [of.write("left.toml", &of.document("left", "")), of.write("right.toml", &of.document("right", ""))];
    let codes = std::thread::scope(|scope| {
        let both = [(&of.a, &files[0]), (&of.b, &files[1])];
        let each =
            both.map(|(node, file)| scope.spawn(|| node.verb(&["org", "apply", file, "--base", "1", "--why", "x"])));
        each.map(|each| each.join().unwrap())
    });
    let winners = codes.iter().filter(|(code, ..)| *code == 0).count();
    assert_eq!(winners, 1, "{codes:?}");
    assert!(codes.iter().any(|(code, _, err)| *code == 1 && err.contains("version 2 is there now")), "{codes:?}");
    of.both_run(2);
    let word = banner(of.a.smtp).rsplit(' ').next().unwrap().to_string();
    assert_eq!(banner(of.b.smtp), format!("220 b.test {word}"));
}

#[test]
fn of_several_versions_in_quick_succession_the_newest_runs_in_the_end() {
    let of = Organization::started();
    let mut open = Wire::connect(of.b.smtp);
    assert!(open.line().unwrap().unwrap().starts_with("220 "));
    for version in 1..=12 {
        let file = of.write("org.toml", &of.document(&format!("number-{version}"), ""));
        let on = if version % 3 == 0 { &of.b } else { &of.a };
        // As JSON nobody waits for the nodes.
        let applied = on.json(&["org", "apply", &file, "--why", "again"]);
        assert_eq!(applied["version"]["version"], version);
    }
    of.both_run(12);
    assert_eq!([banner(of.a.smtp), banner(of.b.smtp)], ["220 a.test number-12", "220 b.test number-12"]);
    assert!(said(&mut open, "NOOP").starts_with("250 "));
    let kept: Value = serde_json::from_slice(&fs::read(of.b.data().join("org.cache")).unwrap()).unwrap();
    assert_eq!((&kept["document"]["version"], &kept["prefix"]), (&12.into(), &"/posthouse".into()));
}

/// 10,000 objects, each of which says something else in another version: half of them domains, half of them mailboxes.
fn wide(word: &str) -> String {
    let (domain, recipient) = match word {
        "first" => ("", ""),
        _ => ("plus_addressing=true\n", "senders=\"trusted\"\n"),
    };
    let domains = (0..5_000).map(|n| format!("[[accepted_domain]]\nname=\"d{n}.t\"\n{domain}"));
    let recipients = (0..5_000).map(|n| format!("[[recipient]]\naddress=\"r{n}@d{n}.t\"\n{recipient}"));
    let way = "[[send_connector]]\nname=\"nowhere\"\nsmart_hosts=[\"127.0.0.1:9\"]\n".to_string();
    domains.chain(recipients).chain([way]).collect()
}

#[test]
fn ten_thousand_changed_objects_cost_no_connection_and_no_message() {
    let of = Organization::started();
    let (code, _, err) = of.apply(&of.a, &of.document("first", &wide("first")), "the first one");
    assert_eq!(code, 0, "{err}");
    of.both_run(1);
    // Half of the sessions live as long as the test, half meet a new one all the time.
    let load = |node: &Node, prefix: &str, per_connection: &str| {
        let options = ["--sessions", "4", "--messages", "700", "--seconds", "60", "--rate", "60", "--size", "2000"];
        let rest = ["--rcpt", "bob@ours.test", "--per-connection", per_connection];
        Source::start(of.keep.path(), node.smtp, prefix, &[&options[..], &rest].concat())
    };
    let mut sources =
        [load(&of.a, "al", "all"), load(&of.a, "an", "5"), load(&of.b, "bl", "all"), load(&of.b, "bn", "5")];
    eventually("mail flows", SOON, || sources.iter().all(|source| source.promised().len() > 20));
    for (version, word) in [(2, "second"), (3, "first"), (4, "second")] {
        let file = of.write("org.toml", &of.document(word, &wide(word)));
        let before = Instant::now();
        of.a.json(&["org", "apply", &file, "--why", "all of them"]);
        let applied = before.elapsed();
        of.both_run(version);
        println!(
            "10,000 changed objects: etcd has them after {applied:?}, both nodes run them after {:?}",
            before.elapsed()
        );
        assert_eq!([banner(of.a.smtp), banner(of.b.smtp)], ["a", "b"].map(|name| format!("220 {name}.test {word}")));
    }
    for source in &mut sources {
        let report = source.result(Duration::from_secs(90));
        let counts = ["acked", "reconnects", "doubtful", "failed"].map(|what| report[what].clone());
        assert_eq!((counts, &report["refused"]), ([700, 0, 0, 0].map(Value::from), &serde_json::json!({})), "{report}");
    }
    for node in [&of.a, &of.b] {
        eventually("all of it is in the mailbox", SOON, || node.mailbox("bob@ours.test").len() == 1_400);
    }
}

#[test]
fn a_node_that_cannot_keeps_what_it_has_and_says_so() {
    let mut of = Organization::started();
    assert_eq!(of.apply(&of.a, &of.document("first", ""), "the first one").0, 0);
    of.both_run(1);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let blocked =
        format!("\n[[receive_connector]]\nname = \"more\"\nservers = [\"b.test\"]\nlisten = [\"127.0.0.1:{port}\"]\n");
    let (code, out, err) = of.apply(&of.a, &of.document("second", &blocked), "one more");
    assert_eq!(code, 0, "{out}{err}");
    let why =
        format!("not version 2: 127.0.0.1:{port}: in use by another program; receive_connector 'more' listens there");
    assert!(out.contains("b.test     1") && out.contains(&why), "{out}");
    assert_eq!([banner(of.a.smtp), banner(of.b.smtp)], ["220 a.test second", "220 b.test first"]);
    let (_, status, _) = of.b.verb(&["status"]);
    assert!(status.contains("version 2 counts, by ann: one more") && status.contains(&why), "{status}");
    let (_, status, _) = of.a.verb(&["status"]);
    assert!(status.contains(&format!("b.test runs version 1, {why}")), "{status}");
    assert!(
        of.b.log().contains("cannot run here") && of.b.log().contains("this node keeps version 1"),
        "{}",
        of.b.log()
    );
    assert_eq!(metric(&of.b, "posthouse_org_applied_total{result=\"refused\"}"), Some(1.0));
    // A restart changes nothing: what ran last runs.
    of.b.kill();
    of.b.start();
    assert_eq!(banner(of.b.smtp), "220 b.test first");
    eventually("it says so again", SOON, || of.b.json(&["status"])["org"]["refused"].as_str().is_some());
    // As soon as the port is free, a reload takes it; it would do so by itself within some seconds.
    drop(taken);
    let (code, out, err) = of.b.verb(&["reload"]);
    assert_eq!(code, 0, "{out}{err}");
    of.both_run(2);
    assert_eq!(banner(of.b.smtp), "220 b.test second");
}

#[test]
fn without_etcd_a_node_starts_with_what_it_ran_last() {
    let mut of = Organization::stopped(&["--org", "../own.toml"]);
    let own = of.document("own", "");
    fs::write(of.keep.path().join("own.toml"), &own).unwrap();
    of.a.start();
    of.b.start();
    assert_eq!(banner(of.a.smtp), "220 a.test own");
    let hash = hashed("wonderland");
    let user = format!("\n[[user]]\nname = \"alice\"\npassword = \"{hash}\"\n");
    let users = of.document("first", &user).replace("\"anonymous\"", "\"anonymous\", \"users\"");
    assert_eq!(of.apply(&of.b, &users, "the first one").0, 0);
    of.both_run(1);
    let (_, status, _) = of.a.verb(&["status"]);
    assert!(status.contains("--org ../own.toml is not used: the document in etcd counts"), "{status}");
    the_hash_is_never_shown(&of, &hash);

    of.etcd.kill(0);
    let (code, _, err) = of.apply(&of.a, &own, "without etcd");
    assert!(code == 1 && err.contains("etcd"), "{err}");
    of.a.kill();
    of.a.start();
    assert_eq!(banner(of.a.smtp), "220 a.test first");
    let org = of.a.json(&["status"])["org"].clone();
    assert_eq!(
        (&org["source"], &org["runs"]["version"], &org["runs"]["who"]),
        (&"cache".into(), &1.into(), &"ann".into())
    );
    assert!(of.a.log().contains("this node starts with the version of the organization document that it ran last"));

    // etcd is back with another version: it is taken. A damaged copy is said, and costs nothing while etcd answers.
    of.etcd.start_member(0);
    let again = users.replace("first", "second");
    eventually("etcd takes it", SOON, || of.apply(&of.b, &again, "while a was alone").0 == 0);
    of.both_run(2);
    assert_eq!(banner(of.a.smtp), "220 a.test second");
    assert_eq!(of.a.json(&["status"])["org"]["source"], "etcd");
    of.a.kill();
    fs::write(of.a.data().join("org.cache"), b"{").unwrap();
    of.a.start();
    assert_eq!(banner(of.a.smtp), "220 a.test second");
    assert!(of.a.log().contains("cannot be used") && of.a.log().contains("org.cache"), "{}", of.a.log());
    // With neither: what it was started with.
    of.a.kill();
    of.etcd.kill(0);
    fs::write(of.a.data().join("org.cache"), b"{").unwrap();
    of.a.start();
    assert_eq!(banner(of.a.smtp), "220 a.test own");
}

/// Not in what is shown, not in a comparison, not in the file mode of the copy; and what is shown can be applied.
fn the_hash_is_never_shown(of: &Organization, hash: &str) {
    let (_, shown, _) = of.a.verb(&["org", "show", "--text"]);
    assert!(shown.contains("password = \"(hidden)\"") && !shown.contains(hash), "{shown}");
    assert!(!of.a.get("/api/v1/org").1.contains(hash) && !of.a.get("/api/v1/org/history/1").1.contains(hash));
    let file = of.write("shown.toml", &shown);
    let (code, out, err) = of.a.verb(&["org", "diff", &file]);
    assert!(code == 0 && out.contains("say the same"), "{out}{err}");
    let other = hashed("looking-glass");
    let file = of.write("other.toml", &shown.replace("(hidden)", &other));
    let (_, out, _) = of.a.verb(&["org", "diff", &file]);
    assert!(
        out.contains("-password = \"(hidden)\"\n+password = \"(hidden, another one)\"") && !out.contains(&other),
        "{out}"
    );
    assert_eq!(mode(&of.a.data().join("org.cache")), 0o600);
}

/// What `posthouse hash-password` makes of a password.
fn hashed(password: &str) -> String {
    let mut command = Command::new(binary("posthouse"));
    let mut child = command.arg("hash-password").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_string()
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn an_object_is_changed_for_all_nodes_and_of_two_at_once_one_is_told() {
    let of = Organization::started();
    let (code, _, err) = of.a.verb(&["org", "set", "retry", "interval=5m"]);
    assert!(code == 1 && err.contains("etcd has no organization document yet") && err.contains("org apply"), "{err}");
    let text = format!("# Ours.\n{}", of.document("first", "# The end.\n"));
    assert_eq!(of.apply(&of.a, &text, "the first one").0, 0);
    of.both_run(1);
    let (code, out, err) = of.b.verb(&["org", "set", "receive_connector", "a", "banner=a.test second"]);
    assert!(code == 0 && out.contains("-banner = \"a.test first\"\n+banner = \"a.test second\""), "{out}{err}");
    of.both_run(2);
    assert_eq!(banner(of.a.smtp), "220 a.test second");
    let (_, shown, _) = of.a.verb(&["org", "show", "--text"]);
    assert_eq!(shown, text.replace("a.test first", "a.test second"), "all else is as it was written");
    let why = of.a.json(&["org", "history"])["versions"][0]["why"].clone();
    assert_eq!(why, "set receive_connector a: banner=a.test second");
    for (arguments, told) in [
        (&["set", "receive_connector", "a", "banner=x", "--base", "1"][..], "version 2 is there now"),
        (&["set", "receive_connector", "a", "errors_max=0"], "org.toml:"),
        (&["remove", "accepted_domain", "no.test"], "there is no accepted_domain"),
    ] {
        let (code, _, err) = of.a.verb(&[&["org"], arguments].concat());
        assert!(code == 1 && err.contains(told), "{arguments:?}: {err}");
    }

    // Two who change the same version: one of them is told, and says it again.
    let codes = std::thread::scope(|scope| {
        let both = [(&of.a, "user=1"), (&of.b, "user=2")].map(|(node, _)| {
            scope.spawn(move || {
                let name = format!("name-{}", node.http);
                node.verb(&["org", "new", "accepted_domain", &format!("{name}.test"), "--base", "2"])
            })
        });
        both.map(|each| each.join().unwrap())
    });
    assert_eq!(codes.iter().filter(|(code, ..)| *code == 0).count(), 1, "{codes:?}");
    assert!(codes.iter().any(|(code, _, err)| *code == 1 && err.contains("version 3 is there now")), "{codes:?}");
    of.both_run(3);
    let (code, out, _) = of.b.verb(&["org", "remove", "receive_connector", "a", "--why", "it moves", "--who", "ann"]);
    assert!(code == 0 && out.contains("version 4") || out.contains("remove receive_connector a"), "{out}");
    let entries = of.b.json(&["audit", "--object", "receive_connector a"])["entries"].clone();
    assert_eq!((&entries[0]["verb"], &entries[0]["after"]["version"]), (&"org remove".into(), &4.into()), "{entries}");
    assert_eq!(entries[0]["before"]["banner"], "a.test second");
    // What one node orders another to do is in the logs of both.
    assert_eq!(of.a.verb(&["node", "drain", "b.test"]).0, 0);
    for (node, from) in [(&of.a, "127.0.0.1"), (&of.b, "a.test")] {
        let entry = node.json(&["audit", "--verb", "node drain"])["entries"][0].clone();
        assert!(entry["result"] == "done" && entry["from"].as_str().unwrap().starts_with(from), "{entry}");
    }
}

#[test]
fn a_node_alone_says_what_to_do_instead() {
    let mut node = Node::new(&[]);
    let org = "[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:2525\"]\n";
    fs::write(node.dir.join("org.toml"), org).unwrap();
    fs::write(node.dir.join("bad.toml"), format!("{org}tpyo = 1\n")).unwrap();
    let file = |name: &str| node.dir.join(name).to_str().unwrap().to_string();
    let (good, bad) = (file("org.toml"), file("bad.toml"));
    let (code, out, _) = node.verb(&["org", "validate", &good]);
    assert!(code == 0 && out.contains("1 receive_connector\n") && out.ends_with("\nsound\n"), "{out}");
    let (code, _, err) = node.verb(&["org", "validate", &bad]);
    assert!(code == 1 && err.contains(":4:1: unknown key \"tpyo\""), "{err}");
    node.start();
    for verb in
        [&["org", "apply", &good, "--why", "x"][..], &["org", "history"], &["org", "rollback", "1", "--why", "x"]]
    {
        let (code, _, err) = node.verb(verb);
        let says = "posthouse.toml has no [cluster]: this node keeps no versions of org.toml; edit org.toml and say posthouse reload";
        assert!(code == 1 && err.contains(says), "{verb:?}: {err}");
    }
    let (code, text, _) = node.verb(&["org", "show", "--text"]);
    assert!(code == 0 && text.starts_with("# What runs without an organization document"), "{text}");
    let (code, out, _) = node.verb(&["org", "diff", &good]);
    assert!(code == 0 && out.contains("-name = \"submission\""), "{out}");
}
