//! The zones of an organization, asked by kdig, copied by bind and knot, with servers that die: real processes on loopback.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // a test of real processes

mod cluster;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
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
    /// What connectors say besides.
    connector: String,
}

impl Lab {
    /// So many hubs, started; `zone` is what [[zone]] says besides, `server` what [dns_server] does, `more` the rest.
    fn new(count: usize, zone: &str, server: &str, more: &str) -> Lab {
        let mut lab = Lab::unstarted(count, zone, server);
        lab.write(more);
        lab.start_all();
        lab
    }

    /// The folders of it; nothing is written and started yet.
    fn unstarted(count: usize, zone: &str, server: &str) -> Lab {
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
        let mut lab = Lab { hubs, links, ns, port, zone: zone.into(), connector: String::new(), keep };
        for (hub, port) in lab.hubs.iter_mut().zip(&lab.links) {
            hub.smtp = *port;
        }
        lab
    }

    fn start_all(&mut self) {
        for n in 1..=self.hubs.len() {
            self.start(n);
        }
        self.ns.start();
    }

    /// Writes the document, one for all nodes. `more` is added.
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
        let connector = |name: &str, port: u16| {
            format!(
                "[[receive_connector]]\nname = \"in {name}\"\nservers = [\"{name}.example.org\"]\nlisten = [\"127.0.0.1:{port}\"]\nusage = \"internet\"\n{}\n",
                self.connector
            )
        };
        let hubs: String = (1..).zip(&self.links).map(|(n, port)| connector(&format!("hub{n}"), *port)).collect();
        let text = format!("{hubs}{}{rest}", connector("ns", self.ns.smtp));
        for node in self.hubs.iter().chain([&self.ns]) {
            fs::write(node.dir.join("org.toml"), &text).unwrap();
        }
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

/// 64 MB in all, of which some are wanted free: with 10 MB left strangers are refused (tests/pressure.rs has the sums).
const SMALL_DISK: &str =
    "[journal]\nsegment_size = \"1MB\"\nkeep_free = \"1MB\"\n[back_pressure]\npoll_interval = \"100ms\"\n";

/// A disk of a hub, that can be filled.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(hub: &Node) -> SmallDisk {
        fs::create_dir_all(hub.data()).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64m,mode=0700", "posthouse-dns"]).arg(hub.data());
        assert!(mount.status().unwrap().success(), "this test mounts a tmpfs; run it as root");
        SmallDisk(hub.data())
    }

    fn fill(&self, is_full: bool) {
        let filler = self.0.join("filler");
        let _ = fs::remove_file(&filler);
        let found = rustix::fs::statvfs(&self.0).unwrap();
        let free = found.f_bavail * found.f_frsize;
        fs::write(&filler, vec![1; if is_full { (free - (10 << 20)) as usize } else { 0 }]).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Row 56 with back pressure: each of two hubs well, short of disk (alive and ready, and strangers are refused), or dead: nine
/// combinations, each one step from the last. The document gives each hub a connector of its own, which trusts the name server's node.
#[test]
fn the_kill_matrix_with_back_pressure() {
    let mut lab = Lab::unstarted(2, "", "");
    lab.connector = "trusted_proxies = [\"127.0.0.1\"]".into();
    lab.write("");
    for hub in &lab.hubs {
        let mut node = fs::read_to_string(hub.dir.join("posthouse.toml")).unwrap();
        node.push_str(SMALL_DISK);
        fs::write(hub.dir.join("posthouse.toml"), node).unwrap();
    }
    let disks: Vec<SmallDisk> = lab.hubs.iter().map(SmallDisk::mount).collect();
    lab.start_all();
    let (mut is_alive, mut is_full) = ([true; 2], [false; 2]);
    for (hub, state) in [
        (1, "well"),
        (1, "short"),
        (2, "short"),
        (1, "well"),
        (2, "dead"),
        (1, "short"),
        (1, "dead"),
        (2, "short"),
        (2, "well"),
    ] {
        let at = hub - 1;
        is_full[at] = state == "short";
        disks[at].fill(is_full[at]);
        if state == "dead" {
            lab.hubs[at].kill();
        } else if !is_alive[at] {
            lab.start(hub);
        }
        is_alive[at] = state != "dead";
        let well: BTreeSet<usize> = [1, 2].into_iter().filter(|hub| is_alive[hub - 1] && !is_full[hub - 1]).collect();
        let wanted = if well.is_empty() { [1, 2].into() } else { well.clone() };
        eventually(&format!("{wanted:?} are answered, hub {hub} is {state}"), SOON, || {
            lab.addresses() == wanted && lab.hosts() == wanted
        });
        let is_said = lab.metrics().contains("posthouse_dns_zone_all_down{zone=\"example.org\"} 1");
        assert_eq!(is_said, well.is_empty());
        if state == "short" {
            assert_eq!(lab.hubs[at].get("/health/ready").0, 200, "it is ready, for users and servers");
        }
    }
    let listed = lab.ns.verb(&["dns", "list"]).1;
    assert!(listed.contains("not answered: smtp.example.org A 192.0.2.1: node hub1.example.org: "), "{listed}");
}

/// A name of services is answered with the addresses where a member takes connections: of the services that the node of the zone does
/// itself, and of one that a hub does, which is gone with its hub or with its member. The page shows the same, and goes on showing it.
#[test]
fn a_name_of_services_follows_their_members() {
    let mut lab = Lab::unstarted(2, "", "");
    lab.connector = "trusted_proxies = [\"127.0.0.1\"]\nhostname = \"relay.example.org\"".into();
    let service = |name: &str, server: &str, listen: &str, member: u16| {
        format!(
            "[[service]]\nname = \"{name}\"\nhostname = \"relay.example.org\"\nservers = [\"{server}.example.org\"]\nlisten = [\"{listen}:{}\"]\n\
             probe_interval = \"200ms\"\n[[member]]\nname = \"of-{name}\"\nservice = \"{name}\"\naddress = \"127.0.0.1:{member}\"\n",
            free_port()
        )
    };
    let services = [
        service("first", "ns", "127.0.0.31", lab.links[0]),
        service("second", "ns", "127.0.0.32", lab.links[1]),
        service("far", "hub1", "192.0.2.1", lab.links[1]),
    ];
    let names = "[[dns_name]]\nname = \"relay.example.org\"\nservices = [\"first\", \"second\"]\n\
                 [[dns_name]]\nname = \"far.example.org\"\nservices = [\"far\"]\naddresses = [\"198.51.100.9\"]\n";
    lab.write(&(services.concat() + names));
    lab.start_all();
    let relay = |lab: &Lab| last_numbers(&lab.ask(&["+short", "relay.example.org", "A"]));
    let far = |lab: &Lab| last_numbers(&lab.ask(&["+short", "far.example.org", "A"]));
    let until = |lab: &Lab, what: &str, of_relay: &[usize], of_far: &[usize]| {
        let (of_relay, of_far): (BTreeSet<usize>, BTreeSet<usize>) =
            (of_relay.iter().copied().collect(), of_far.iter().copied().collect());
        eventually(&format!("{what}: {of_relay:?} and {of_far:?}"), SOON, || {
            relay(lab) == of_relay && far(lab) == of_far
        });
    };
    until(&lab, "all is well", &[31, 32], &[1, 9]);
    lab.hubs[1].kill();
    until(&lab, "without the member of two", &[31], &[9]);
    let (_, page) = lab.ns.get("/");
    let left_out = "<span class=\"mono\">127.0.0.32</span> <span class=\"bad\">service second at 127.0.0.32: no member takes connections</span>";
    assert!(page.contains("<h2>Zones</h2>") && page.contains(left_out), "{page}");
    lab.start(2);
    until(&lab, "it is back", &[31, 32], &[1, 9]);
    lab.hubs[0].kill();
    until(&lab, "without the hub that has an address", &[32], &[9]);
    let zones = lab.ns.json(&["dns", "list"]);
    let withheld = zones["document"][0]["withheld"].to_string();
    assert!(
        withheld.contains("far.example.org A 192.0.2.1: service far at 192.0.2.1: node hub1.example.org: "),
        "{zones}"
    );
    lab.hubs[1].kill();
    until(&lab, "when nobody is up, all are answered", &[31, 32], &[9]);
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
