//! Zones as files, pushed to a real bind9 and checked there.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // a test of real processes

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use dns::ask::Server;
use dns::name::Name;
use dns::push::push;
use dns::record::{Data, Kind, RecordSet};
use dns::tsig::{Algorithm, Key};
use tests::process::{Node, Process};
use tests::{eventually, free_port};
use world::{Clock, RealClock, World};

const BOUND: Duration = Duration::from_secs(60);
const SECRET: &str = "q1sVJrnKn0CIZvzQ6fT0JoHNRxWoHbUBvUlYXZk3f0E=";
const OTHER_SECRET: &str = "AAAVJrnKn0CIZvzQ6fT0JoHNRxWoHbUBvUlYXZk3f0E=";

/// A bind9 that is primary for `example.org` and lets the key `push` change it.
struct Primary {
    dir: tempfile::TempDir,
    port: u16,
    process: Option<Process>,
}

impl Primary {
    fn new() -> Primary {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let at = dir.path().display();
        let zone = "$TTL 300\n@ IN SOA ns1.example.net. hostmaster.example.org. 1 3600 600 86400 300\n@ IN NS ns1.example.net.\n\
                    @ IN NS ns2.example.net.\nwww IN A 198.51.100.80\ntaken IN A 198.51.100.81\n";
        fs::write(dir.path().join("zone"), zone).unwrap();
        let conf = format!(
            "key \"push\" {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\n\
             options {{ directory \"{at}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; pid-file none;\n\
             recursion no; dnssec-validation no; session-keyfile \"{at}/session.key\"; }};\ncontrols {{ }};\n\
             zone \"example.org\" {{ type primary; file \"{at}/zone\"; allow-update {{ key push; }}; }};\n"
        );
        fs::write(dir.path().join("named.conf"), conf).unwrap();
        Command::new("chmod").args(["-R", "777"]).arg(dir.path()).status().unwrap();
        Primary { dir, port, process: None }
    }

    fn start(&mut self) {
        let mut named = Command::new("/usr/sbin/named");
        named.args(["-g", "-n", "1", "-c"]).arg(self.dir.path().join("named.conf"));
        self.process = Some(Process::start(&mut named, &self.dir.path().join("named.log")));
        eventually("the primary answers", BOUND, || !self.ask("example.org", "SOA").is_empty());
    }

    /// It, for pushes under the key that it knows.
    fn server(&self, world: &World) -> Server {
        let key = Key::new(Name::parse("push").unwrap(), Algorithm::Sha256, &base64_of(SECRET));
        Server::new(world, ([127, 0, 0, 1], self.port).into(), Some(key))
    }

    /// What it answers, sorted.
    fn ask(&self, name: &str, kind: &str) -> Vec<String> {
        let port = self.port.to_string();
        let done = Command::new("kdig")
            .args(["@127.0.0.1", "-p", &port, "+short", "+retry=0", "+time=2", name, kind])
            .output()
            .unwrap();
        let text = String::from_utf8(done.stdout).unwrap();
        let mut lines: Vec<String> = text.lines().filter(|line| !line.starts_with(";;")).map(String::from).collect();
        lines.sort();
        lines
    }

    /// What somebody else has it do.
    fn nsupdate(&self, lines: &str) {
        let mut child = Command::new("nsupdate")
            .args(["-y", &format!("hmac-sha256:push:{SECRET}")])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let text = format!("server 127.0.0.1 {}\nzone example.org\n{lines}\nsend\n", self.port);
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{lines}");
    }
}

/// The document of a node, pushing to `primary`.
fn document(smtp: u16, other: u16, primary: u16, rest: &str) -> String {
    format!(
        r#"
[[receive_connector]]
name = "in"
listen = ["127.0.0.1:{smtp}"]
[[accepted_domain]]
name = "example.org"
deliver = "maildir"
recipients = ["postmaster"]
[[server]]
name = "edge1.example.org"
address = "127.0.0.1:{smtp}"
public_addresses = ["192.0.2.1"]
[[server]]
name = "edge2.example.org"
address = "127.0.0.1:{other}"
public_addresses = ["192.0.2.2", "2001:db8::2"]
[[tsig_key]]
name = "push"
secret_file = "key"
[[zone]]
name = "example.org"
servers = []
name_servers = ["ns1.example.net", "ns2.example.net"]
push = "127.0.0.1:{primary}"
push_key = "push"
{rest}
[[dns_name]]
name = "example.org"
txt = ["v=spf1 mx -all"]
[[dns_name]]
name = "smtp.example.org"
servers = ["edge1.example.org", "edge2.example.org"]
[[mx_layout]]
name = "main"
domains = ["example.org"]
"#
    )
}

fn edge(name: &str) -> Node {
    let mut node = Node::new(&["--config", "posthouse.toml", "--org", "org.toml"]);
    fs::write(
        node.dir.join("posthouse.toml"),
        format!("name = \"{name}\"\n[limits]\nconnection_rate_per_minute = 0\n"),
    )
    .unwrap();
    fs::write(node.dir.join("key"), format!("{SECRET}\n")).unwrap();
    node.smtp = free_port();
    node
}

fn write(node: &Node, document: &str) {
    fs::write(node.dir.join("org.toml"), document).unwrap();
}

/// A verb that must be done; what it prints.
fn done(node: &Node, words: &[&str]) -> String {
    let (code, out, said) = node.verb(words);
    assert_eq!(code, 0, "{words:?}: {out}{said}\n{}", node.log());
    out
}

#[test]
fn exported_zones_are_read_by_named() {
    let dir = tempfile::tempdir().unwrap();
    let key = "k".repeat(700);
    let digest = "ab".repeat(32);
    let more = format!(
        r#"
[[zone]]
name = "2.0.192.in-addr.arpa"
name_servers = ["ns1.example.net", "ns2.example.net"]
[[dns_name]]
name = "sel._domainkey.example.org"
txt = ["v=DKIM1; k=rsa; p={key}"]
[[dns_name]]
name = "_25._tcp.mx1.example.org"
tlsa = ["3 1 1 {digest}"]
[[dns_name]]
name = "*.apps.example.org"
cname = "smtp.example.org"
[[dns_name]]
name = "_sip._tcp.example.org"
srv = ["0 1 5060 smtp.example.org"]
[[dns_name]]
name = "lab.example.org"
ns = ["ns.lab.example.org"]
[[dns_name]]
name = "ns.lab.example.org"
addresses = ["192.0.2.99"]
caa = []
[[dns_name]]
name = "odd.example.org"
txt = ["say \"this\"; and \\ that", "é"]
caa = ["0 issue \"letsencrypt.org; validationmethods=dns-01\""]
mx = ["0 ."]
"#
    );
    fs::write(dir.path().join("org.toml"), document(2525, 2526, 53, "") + &more).unwrap();
    fs::write(dir.path().join("key"), SECRET).unwrap();
    for zone in ["example.org", "2.0.192.in-addr.arpa"] {
        let mut posthouse = Command::new(tests::binary("posthouse"));
        let out =
            posthouse.args(["dns", "export", "--org", "org.toml", zone]).current_dir(dir.path()).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let file = dir.path().join("zone");
        fs::write(&file, &out.stdout).unwrap();
        // -i: hosts in the zone must have addresses; -k and -m: odd names, and MX to a CNAME, are errors.
        let options = ["-i", "local", "-k", "fail", "-m", "fail", "-M", "fail", "-n", "fail", "-S", "fail", "-D"];
        let read = Command::new("named-checkzone").args(options).arg(zone).arg(&file).output().unwrap();
        let told = String::from_utf8_lossy(&read.stdout);
        assert!(read.status.success(), "{told}\n{}", String::from_utf8_lossy(&out.stdout));
        if zone == "example.org" {
            let is_ours = |line: &&str| line.contains("IN MX") && line.contains("10 mx");
            assert_eq!(told.lines().filter(is_ours).count(), 2, "{told}");
            assert!(told.contains("\"say \\\"this\\\"; and \\\\ that\""), "{told}");
        } else {
            assert!(told.contains("edge1.example.org."), "{told}");
        }
    }
}

#[test]
fn a_zone_is_pushed_by_order() {
    let mut primary = Primary::new();
    primary.start();
    let mut node = edge("edge1.example.org");
    // Nobody is at the other edge.
    let more = "[[dns_name]]\nname = \"taken.example.org\"\naddresses = [\"192.0.2.5\"]\n";
    let manual = document(node.smtp, free_port(), primary.port, "push_on_change = false") + more;
    write(&node, &manual);
    node.start();
    eventually("the dead edge is known", BOUND, || {
        done(&node, &["dns", "list"]).contains("smtp.example.org A 192.0.2.2: node edge2")
    });

    let (code, plan, _) = node.verb(&["dns", "push", "example.org", "--dry-run"]);
    assert!(code == 1 && plan.contains("add smtp.example.org A: 192.0.2.1\n"), "{plan}");
    assert!(plan.contains("keep taken.example.org A: 198.51.100.81 is somebody else's (we want 192.0.2.5)"), "{plan}");
    assert_eq!(primary.ask("smtp.example.org", "A"), Vec::<String>::new());

    let (code, out, said) = node.verb(&["dns", "push"]);
    assert!(code == 1 && said.contains("taken.example.org A stays as somebody else has it"), "{out}{said}");
    assert_eq!(primary.ask("smtp.example.org", "A"), ["192.0.2.1"], "{out}\n{}", node.log());
    assert_eq!(primary.ask("example.org", "MX"), ["10 mx1.example.org."]);
    assert_eq!(primary.ask("example.org", "TXT"), ["\"v=spf1 mx -all\""]);
    assert_eq!(primary.ask("www.example.org", "A"), ["198.51.100.80"]);
    assert_eq!(primary.ask("taken.example.org", "A"), ["198.51.100.81"]);

    // Somebody else changes what is ours: it stays until an operator says otherwise.
    primary.nsupdate("update delete smtp.example.org A\nupdate add smtp.example.org 60 A 198.51.100.7");
    let (code, out, _) = node.verb(&["dns", "push", "example.org"]);
    assert!(code == 1 && out.contains("somebody else has made it 198.51.100.7"), "{out}");
    done(&node, &["dns", "push", "example.org", "--overwrite"]);
    assert_eq!(primary.ask("smtp.example.org", "A"), ["192.0.2.1"]);
    assert_eq!(primary.ask("taken.example.org", "A"), ["192.0.2.5"]);
    assert!(done(&node, &["dns", "push"]).contains("has nothing to change"));
    let audited = done(&node, &["audit", "--json"]);
    assert!(audited.contains("\"zone push\""), "{audited}");

    // What is wanted no more goes, and nothing else.
    write(&node, &manual.replace("name = \"smtp.example.org\"", "name = \"relay.example.org\"").replace(more, ""));
    done(&node, &["reload"]);
    done(&node, &["dns", "push"]);
    assert_eq!(primary.ask("smtp.example.org", "A"), Vec::<String>::new());
    assert_eq!(primary.ask("taken.example.org", "A"), Vec::<String>::new());
    assert_eq!(primary.ask("relay.example.org", "A"), ["192.0.2.1"]);
    assert_eq!(primary.ask("www.example.org", "A"), ["198.51.100.80"]);

    // A key that is another one there.
    fs::write(node.dir.join("key"), OTHER_SECRET).unwrap();
    done(&node, &["reload"]);
    let (code, _, said) = node.verb(&["dns", "push"]);
    assert!(code == 1 && said.contains("signature") && said.contains("[[tsig_key]]"), "{said}");
}

#[test]
fn a_zone_follows_health_by_itself() {
    let (mut primary, mut node, mut other) = (Primary::new(), edge("edge1.example.org"), edge("edge2.example.org"));
    let text = document(node.smtp, other.smtp, primary.port, "");
    write(&node, &text);
    let theirs = text.replace(
        &format!("listen = [\"127.0.0.1:{}\"]", node.smtp),
        &format!("listen = [\"127.0.0.1:{}\"]", other.smtp),
    );
    write(&other, &theirs.replace("push_key = \"push\"", "push_key = \"push\"\npush_on_change = false"));
    other.start();
    node.start();
    // The server is away: that is said, and tried again.
    eventually("the failure is said", BOUND, || {
        node.log().contains("the zone is not there as it should be: it cannot be reached")
    });
    primary.start();
    eventually("both edges are pushed", BOUND, || primary.ask("smtp.example.org", "A") == ["192.0.2.1", "192.0.2.2"]);
    assert_eq!(primary.ask("smtp.example.org", "AAAA"), ["2001:db8::2"]);
    other.kill();
    eventually("the dead edge is gone", BOUND, || primary.ask("smtp.example.org", "A") == ["192.0.2.1"]);
    eventually("its MX too", BOUND, || primary.ask("example.org", "MX") == ["10 mx1.example.org."]);
    assert_eq!(primary.ask("smtp.example.org", "AAAA"), Vec::<String>::new());
    assert_eq!(primary.ask("mx2.example.org", "A"), ["192.0.2.2"], "a name with nobody up keeps its address");
    other.start();
    eventually("the edge is back", BOUND, || primary.ask("example.org", "MX").len() == 2);
}

#[test]
fn what_the_world_sees_is_compared() {
    let mut primary = Primary::new();
    primary.start();
    let mut node = edge("edge1.example.org");
    write(&node, &document(node.smtp, free_port(), primary.port, "push_on_change = false"));
    node.start();
    eventually("the dead edge is known", BOUND, || done(&node, &["dns", "list"]).contains("node edge2"));
    let at = format!("127.0.0.1:{}", primary.port);
    let check = |servers: &str| node.verb(&["dns", "check", "example.org", "--server", servers, "--resolver", &at]);
    let (code, out, _) = check(&at);
    assert!(code == 1 && out.contains(&format!("problem: {at} has no example.org. MX")), "{out}");
    done(&node, &["dns", "push"]);
    let (code, out, said) = check(&at);
    assert_eq!(code, 0, "{out}{said}");
    assert!(out.contains("note: example.org. has no DMARC record"), "{out}");
    primary.nsupdate("update delete example.org MX\nupdate add example.org 9000 MX 10 other.example.net.");
    let (code, out, _) = check(&at);
    assert!(
        code == 1 && out.contains("answers example.org. MX with 10 other.example.net, which is none of ours"),
        "{out}"
    );
    let dead = format!("127.0.0.1:{}", free_port());
    let (code, out, _) = check(&format!("{at},{dead}"));
    assert!(code == 1 && out.contains(&format!("problem: name server {dead}")), "{out}");
}

/// The octets of a secret, by the tool that comes with the system.
fn base64_of(text: &str) -> Vec<u8> {
    let mut child = Command::new("base64").arg("-d").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap().stdout
}

/// A clock that is wrong.
struct Shifted(u64);

impl Clock for Shifted {
    fn wall_ms(&self) -> u64 {
        RealClock.wall_ms() + self.0
    }

    fn mono_us(&self) -> u64 {
        RealClock.mono_us()
    }
}

#[test]
fn a_clock_that_is_wrong_is_told() {
    let mut primary = Primary::new();
    primary.start();
    let wanted = [RecordSet {
        owner: Name::parse("late.example.org").unwrap(),
        kind: Kind::A,
        ttl_s: 300,
        data: vec![Data::address([192, 0, 2, 3].into())],
    }];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let zone = Name::parse("example.org").unwrap();
    let push_at = |shift_ms: u64| {
        let world = World { clock: Arc::new(Shifted(shift_ms)), ..World::real() };
        runtime.block_on(push(&primary.server(&world), &zone, &wanted, false, false))
    };
    let undone = push_at(3_600_000).unwrap_err();
    assert!(undone.to_string().contains("BADTIME") || undone.to_string().contains("clock"), "{undone}");
    assert!(undone.what_to_do().contains("clocks"), "{}", undone.what_to_do());
    assert_eq!(primary.ask("late.example.org", "A"), Vec::<String>::new());
    assert!(push_at(0).unwrap().is_sent);
    assert_eq!(primary.ask("late.example.org", "A"), ["192.0.2.3"]);
    assert!(Path::new(&primary.dir.path().join("zone.jnl")).exists());
}

/// More names than a message holds: several messages, of which each is done whole, and a second push has nothing to do.
#[test]
fn a_zone_of_many_names_is_pushed_in_pieces() {
    let mut primary = Primary::new();
    primary.start();
    let server = primary.server(&World::real());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let zone = Name::parse("example.org").unwrap();
    let set = |n: u16, last: u8| {
        let [high, low] = n.to_be_bytes();
        let owner = Name::parse(&format!("host-{n}.a-department-with-a-long-name.example.org")).unwrap();
        RecordSet { owner, kind: Kind::A, ttl_s: 300, data: vec![Data::address([10, high, low, last].into())] }
    };
    let pushed = |wanted: &[RecordSet]| runtime.block_on(push(&server, &zone, wanted, false, false)).unwrap();
    let first: Vec<RecordSet> = (0..1_500).map(|n| set(n, 1)).collect();
    let done = pushed(&first);
    assert_eq!((done.plan.changes().count(), done.not_taken.len(), done.is_sent), (1_500, 0, true));
    assert!(!pushed(&first).is_sent, "there is nothing to change");
    // Some of each part change, some go.
    let second: Vec<RecordSet> = (0..1_400).map(|n| set(n, if n % 100 == 0 { 2 } else { 1 })).collect();
    let done = pushed(&second);
    assert_eq!((done.plan.changes().count(), done.not_taken.len()), (14 + 100, 0));
    let at = |n: u16| primary.ask(&format!("host-{n}.a-department-with-a-long-name.example.org"), "A");
    assert_eq!((at(1), at(100), at(1_450)), (vec!["10.0.1.1".into()], vec!["10.0.100.2".into()], Vec::<String>::new()));
    assert_eq!(pushed(&[]).plan.changes().count(), 1_400);
    assert_eq!((at(1), primary.ask("www.example.org", "A")), (Vec::<String>::new(), vec!["198.51.100.80".into()]));
}
