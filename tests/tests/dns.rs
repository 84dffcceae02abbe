//! The zones of an organization, asked by kdig, copied by bind and knot, with servers that die: real processes on loopback.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // a test of real processes

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tests::process::{Node, Process};
use tests::{eventually, free_port};

const SOON: Duration = Duration::from_secs(60);

const SECRET: &str = "c2VjcmV0IG9mIHRoaXJ0eS10d28gb2N0ZXRzLCBhdCBsZWFzdC4u";

/// Hubs that take mail, and a node that answers for the zone.
struct Lab {
    keep: tempfile::TempDir,
    hubs: Vec<Node>,
    links: Vec<u16>,
    ns: Node,
    port: u16,
    zone: String,
}

impl Lab {
    /// So many hubs, started; `zone` is what [[zone]] says besides, `server` what [dns_server] does, `more` the rest.
    fn new(count: usize, zone: &str, server: &str, more: &str) -> Lab {
        let keep = tempfile::tempdir().unwrap();
        let (port, links) = (free_port(), (0..count).map(|_| free_port()).collect());
        let folder = |name: &str| {
            let dir = keep.path().join(name);
            fs::create_dir(&dir).unwrap();
            let dns = if name == "ns" {
                format!("[dns_server]\nlisten = [\"127.0.0.1:{port}\"]\n{server}")
            } else {
                String::new()
            };
            fs::write(dir.join("posthouse.toml"), format!("name = \"{name}.example.org\"\n{dns}")).unwrap();
            fs::write(dir.join("key"), SECRET).unwrap();
            Command::new("chmod").arg("600").arg(dir.join("key")).status().unwrap();
            Node::at(&dir, &["--config", "posthouse.toml", "--org", "org.toml"])
        };
        let hubs = (1..=count).map(|n| folder(&format!("hub{n}"))).collect();
        let ns = folder("ns");
        let mut lab = Lab { hubs, links, ns, port, zone: zone.into(), keep };
        lab.write(more);
        for n in 1..=count {
            lab.start(n);
        }
        lab.ns.start();
        lab
    }

    /// Writes the document of each node; they differ in where SMTP listens only. `more` is added.
    fn write(&mut self, more: &str) {
        let server = |(n, port): (usize, &u16)| {
            format!(
                "[[server]]\nname = \"hub{0}.example.org\"\naddress = \"127.0.0.1:{port}\"\npublic_addresses = [\"192.0.2.{0}\"]\n",
                n + 1
            )
        };
        let servers: String = self.links.iter().enumerate().map(server).collect();
        let names: Vec<String> = (1..=self.links.len()).map(|n| format!("\"hub{n}.example.org\"")).collect();
        let rest = format!(
            "[[accepted_domain]]\nname = \"example.org\"\ndeliver = \"maildir\"\n{servers}\
             [[zone]]\nname = \"example.org\"\nname_servers = [\"ns.example.org\"]\nservers = [\"ns.example.org\"]\n{}\n\
             [[dns_name]]\nname = \"ns.example.org\"\naddresses = [\"127.0.0.1\"]\n\
             [[dns_name]]\nname = \"smtp.example.org\"\nservers = [{}]\n\
             [[mx_layout]]\nname = \"in\"\ndomains = [\"example.org\"]\n{more}",
            self.zone,
            names.join(", ")
        );
        let own = |port: u16| {
            format!(
                "[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:{port}\"]\nusage = \"internet\"\n{rest}"
            )
        };
        for (hub, port) in self.hubs.iter_mut().zip(&self.links) {
            hub.smtp = *port;
            fs::write(hub.dir.join("org.toml"), own(*port)).unwrap();
        }
        fs::write(self.ns.dir.join("org.toml"), own(self.ns.smtp)).unwrap();
    }

    fn start(&mut self, hub: usize) {
        self.hubs[hub - 1].start();
    }

    fn ask(&self, arguments: &[&str]) -> String {
        kdig(self.port, arguments)
    }

    /// The last octets of the addresses of smtp.example.org.
    fn addresses(&self) -> BTreeSet<usize> {
        last_numbers(&self.ask(&["+short", "smtp.example.org", "A"]))
    }

    /// The numbers of the MX hosts.
    fn hosts(&self) -> BTreeSet<usize> {
        let mx = self.ask(&["+short", "example.org", "MX"]);
        let number = |line: &str| line.split("mx").nth(1)?.split('.').next()?.parse().ok();
        mx.lines().filter_map(number).collect()
    }

    fn serial(&self, port: u16) -> u32 {
        let soa = kdig(port, &["+short", "example.org", "SOA"]);
        soa.split_whitespace().nth(2).and_then(|serial| serial.parse().ok()).unwrap_or(0)
    }

    fn metrics(&self) -> String {
        self.ns.get("/metrics").1
    }
}

fn last_numbers(text: &str) -> BTreeSet<usize> {
    text.lines().filter_map(|line| line.rsplit('.').next()?.parse().ok()).collect()
}

fn kdig(port: u16, arguments: &[&str]) -> String {
    let mut kdig = Command::new("kdig");
    kdig.args(["@127.0.0.1", "-p", &port.to_string(), "+time=2", "+retry=1"]).args(arguments);
    String::from_utf8_lossy(&kdig.output().unwrap().stdout).into_owned()
}

/// Rows 15, 51 and 56: each of three hubs dead or not, in every combination: only those that take mail are answered; if none does, all.
#[test]
fn the_kill_matrix() {
    let mut lab = Lab::new(3, "", "", "");
    let mut alive: BTreeSet<usize> = [1, 2, 3].into();
    // Each step kills or starts one hub, and all eight combinations come.
    for hub in [0, 1, 2, 1, 3, 1, 2, 1] {
        if hub > 0 && alive.remove(&hub) {
            lab.hubs[hub - 1].kill();
        } else if hub > 0 {
            alive.insert(hub);
            lab.start(hub);
        }
        let wanted = if alive.is_empty() { [1, 2, 3].into() } else { alive.clone() };
        eventually(&format!("{wanted:?} are answered while {alive:?} live"), SOON, || {
            lab.addresses() == wanted && lab.hosts() == wanted
        });
        let is_said = lab.metrics().contains("posthouse_dns_zone_all_down{zone=\"example.org\"} 1");
        assert_eq!(is_said, alive.is_empty(), "that all are down is said, and only then");
    }
    // A hub that drains is alive, and is not answered.
    for n in [1, 2, 3].into_iter().filter(|n| !alive.contains(n)).collect::<Vec<usize>>() {
        lab.start(n);
    }
    eventually("all are back", SOON, || lab.addresses() == [1, 2, 3].into());
    assert_eq!(lab.hubs[0].verb(&["node", "drain"]).0, 0);
    eventually("the one that drains is not answered", SOON, || {
        lab.addresses() == [2, 3].into() && lab.hosts() == [2, 3].into()
    });
    assert_eq!(lab.hubs[0].verb(&["node", "resume"]).0, 0);
    eventually("it is answered again", SOON, || lab.addresses() == [1, 2, 3].into());
    let whole = lab.ask(&["+noall", "+answer", "smtp.example.org", "A"]);
    assert_eq!(whole.matches("\t300\tIN\tA\t").count(), 3, "{whole}");
    // Row 17: whoever takes the first gets another one each time.
    let firsts = |arguments: &[&str]| -> BTreeSet<String> {
        (0..12).filter_map(|_| lab.ask(arguments).lines().next().map(str::to_string)).collect()
    };
    assert_eq!(firsts(&["+short", "smtp.example.org", "A"]).len(), 3);
    assert_eq!(firsts(&["+short", "example.org", "MX"]).len(), 3);
}

/// bind and knot copy the zone under a key: whole at first, then what changed, as soon as it does. The serial outlives a restart.
#[test]
fn secondaries_copy_what_changes_under_a_key() {
    let (bind_port, knot_port) = (free_port(), free_port());
    let secondaries =
        format!("secondaries = [\"127.0.0.1:{bind_port}\", \"127.0.0.1:{knot_port}\"]\ntsig_keys = [\"copy.key\"]");

    let key = "[[tsig_key]]\nname = \"copy.key\"\nalgorithm = \"hmac-sha512\"\nsecret_file = \"key\"\n";
    let mut lab = Lab::new(1, &secondaries, "", key);
    let _bind = bind(lab.keep.path(), bind_port, lab.port, SECRET);
    let _knot = knot(lab.keep.path(), knot_port, lab.port, SECRET);
    let ports = [bind_port, knot_port];
    eventually("both have the zone", SOON, || {
        ports.iter().all(|port| kdig(*port, &["+short", "smtp.example.org", "A"]) == "192.0.2.1\n")
    });
    let without_key = kdig(lab.port, &["+tcp", "example.org", "AXFR"]);
    assert!(!without_key.contains("192.0.2.1"), "without the key there is no copy: {without_key}");

    let before = lab.serial(lab.port);
    assert!(before > 0 && ports.iter().all(|port| lab.serial(*port) == before));
    lab.ns.stop();
    lab.ns.start();
    eventually("it answers", SOON, || lab.serial(lab.port) > 0);
    assert_eq!(lab.serial(lab.port), before, "the same contents have the same serial after a restart");
    eventually("the hub is seen", SOON, || lab.addresses() == [1].into());

    for n in 1..=3 {
        let text = format!("{key}[[dns_name]]\nname = \"example.org\"\ntxt = [\"change {n}\"]\n");
        lab.write(&text);
        let (code, _, why) = lab.ns.verb(&["reload"]);
        assert_eq!(code, 0, "{why}");
        let wanted = format!("\"change {n}\"\n");
        eventually(&format!("both have change {n}"), SOON, || {
            ports.iter().all(|port| kdig(*port, &["+short", "example.org", "TXT"]) == wanted)
        });
        assert!(lab.serial(lab.port) > before, "the serial grows");
    }
    let metrics = lab.metrics();
    assert!(metrics.contains("posthouse_dns_transfers_total{what=\"changes\"}"), "IXFR: {metrics}");
    eventually("they have said that they heard", SOON, || {
        lab.metrics().contains("posthouse_dns_notifies_total{result=\"heard\"}")
    });
}

/// Floods, garbage and slow connections get little, and others go on being answered.
#[test]
fn bad_input_is_bounded_and_others_are_served() {
    let lab = Lab::new(
        1,
        "",
        "rate_limit = 5\nrate_limit_exempt = []\nidle_timeout = \"1s\"\nconnections_per_source_max = 5\n",
        "",
    );
    eventually("the zone is answered", SOON, || lab.serial(lab.port) > 0);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00\x00\x10\x00\x01";
    let (mut answers, mut short, mut buffer) = (0, 0, [0; 1500]);
    for _ in 0..300 {
        socket.send_to(question, ("127.0.0.1", lab.port)).unwrap();
    }
    while let Ok(count) = socket.recv(&mut buffer) {
        answers += 1;
        short += usize::from(buffer[2] & 2 != 0 && count == question.len());
    }
    assert!(answers < 290 && short > 0, "{answers} answers, {short} of them 'ask over TCP'");
    assert!(kdig(lab.port, &["+tcp", "example.org", "SOA"]).contains("NOERROR"), "over TCP there is no such bound");

    for n in 0..5_000usize {
        let length = n * 7 % 300;
        let garbage: Vec<u8> = (0..length).map(|at| (at * 31 + n * 17 + at * n) as u8).collect();
        socket.send_to(&garbage, ("127.0.0.1", lab.port)).unwrap();
    }
    let mut slow: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(("127.0.0.1", lab.port)).unwrap()).collect();
    for stream in &mut slow {
        stream.set_read_timeout(Some(SOON)).unwrap();
        // Half of a length, or the first octets of a question that never ends.
        let _ = stream.write_all(b"\x00\x1d\x12\x34");
    }
    // Those over the bound at once, the others after the idle time: all are closed by the node.
    for stream in &mut slow {
        assert!(matches!(stream.read(&mut buffer), Ok(0) | Err(_)));
    }
    eventually("others are served", SOON, || kdig(lab.port, &["+tcp", "smtp.example.org", "A"]).contains("192.0.2.1"));
    // Two questions in one write get two answers.
    let mut stream = TcpStream::connect(("127.0.0.1", lab.port)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let framed = [&(question.len() as u16).to_be_bytes()[..], question].concat();
    stream.write_all(&framed.repeat(2)).unwrap();
    for _ in 0..2 {
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer[..2], question[..2]);
    }
}

fn bind(dir: &Path, port: u16, primary: u16, secret: &str) -> Process {
    let dir = dir.join("bind");
    fs::create_dir(&dir).unwrap();
    Command::new("chmod").arg("a+rwx").args([dir.parent().unwrap(), &dir]).status().unwrap();
    let at = dir.display();
    let conf = format!(
        "key \"copy.key\" {{ algorithm hmac-sha512; secret \"{secret}\"; }};\n\
         options {{ directory \"{at}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; pid-file none; recursion no;\n\
         dnssec-validation no; session-keyfile \"{at}/session.key\"; }};\ncontrols {{ }};\nserver 127.0.0.1 {{ keys {{ copy.key; }}; }};\n\
         zone \"example.org\" {{ type secondary; primaries {{ 127.0.0.1 port {primary} key copy.key; }}; file \"{at}/zone\"; }};\n"
    );
    fs::write(dir.join("named.conf"), conf).unwrap();
    let mut named = Command::new("/usr/sbin/named");
    Process::start(named.args(["-g", "-n", "1", "-c"]).arg(dir.join("named.conf")), &dir.join("log"))
}

fn knot(dir: &Path, port: u16, primary: u16, secret: &str) -> Process {
    let dir = dir.join("knot");
    fs::create_dir(&dir).unwrap();
    let at = dir.display();
    let conf = format!(
        "server:\n    listen: 127.0.0.1@{port}\n    rundir: {at}\n    user: root\nlog:\n  - target: stderr\n    any: info\n\
         database:\n    storage: {at}\nkey:\n  - id: copy.key\n    algorithm: hmac-sha512\n    secret: {secret}\n\
         remote:\n  - id: primary\n    address: 127.0.0.1@{primary}\n    key: copy.key\n\
         acl:\n  - id: notify\n    address: 127.0.0.1\n    key: copy.key\n    action: notify\n\
         zone:\n  - domain: example.org\n    storage: {at}\n    master: primary\n    acl: notify\n"
    );
    fs::write(dir.join("knot.conf"), conf).unwrap();
    let mut knotd = Command::new("/usr/sbin/knotd");
    Process::start(knotd.arg("-c").arg(dir.join("knot.conf")), &dir.join("log"))
}
