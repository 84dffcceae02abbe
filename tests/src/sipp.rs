//! SIPp as hosts of a dial plan and as gateways (scenarios in `tests/sipp`), around a node with a SIP service.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use crate::process::{Node, Process};
use crate::{eventually, free_port, root};

/// A SIPp process with its log of calls.
pub struct Sipp {
    pub process: Process,
    log: PathBuf,
    errors: PathBuf,
}

impl Sipp {
    fn start(dir: &Path, name: &str, scenario: &str, own: SocketAddr, further: &[String]) -> Sipp {
        let file = |kind: &str| dir.join(format!("{name}.{kind}"));
        let mut command = Command::new("sipp");
        command.arg("-sf").arg(root().join("tests/sipp").join(scenario)).current_dir(dir);
        command.args([
            "-i",
            &own.ip().to_string(),
            "-p",
            &own.port().to_string(),
            "-nostdin",
            "-trace_logs",
            "-trace_err",
        ]);
        command.arg("-log_file").arg(file("calls")).arg("-error_file").arg(file("errors")).args(further);
        let process = Process::start(&mut command, &file("out"));
        Sipp { process, log: file("calls"), errors: file("errors") }
    }

    /// Lines of its log that begin with `word`, without it.
    pub fn said(&self, word: &str) -> Vec<String> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().filter_map(|line| line.strip_prefix(word)).map(|rest| rest.trim().to_string()).collect()
    }

    /// Waits for its end: whether every call went as its scenario says.
    pub fn end(&mut self) -> ExitStatus {
        self.process.wait(Duration::from_secs(120))
    }

    /// The same; every one must.
    pub fn all_went_well(&mut self) {
        let status = self.end();
        let errors = fs::read_to_string(&self.errors).unwrap_or_default();
        let errors: Vec<&str> = errors.lines().take(30).collect();
        assert!(status.success(), "{status}\n{}\n{}", errors.join("\n"), tail(&self.process.output()));
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// A started node with the service `voice` and its members m1, m2, ...
fn node(dir: &Path, protocol: &str, service: SocketAddr, settings: &str, members: &[SocketAddr]) -> Node {
    let mut node = Node::at(dir, &["--config", "posthouse.toml", "--org", "org.toml"]);
    let mut org = format!(
        "[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:{}\"]\n\
         [[service]]\nname = \"voice\"\nprotocol = \"{protocol}\"\nlisten = [\"{service}\"]\nprobe_interval = \"200ms\"\nslow_start = \"0s\"\n{settings}\n",
        node.smtp
    );
    for (at, address) in members.iter().enumerate() {
        org += &format!("[[member]]\nname = \"m{}\"\nservice = \"voice\"\naddress = \"{address}\"\n", at + 1);
    }
    fs::write(dir.join("org.toml"), org).unwrap();
    fs::write(dir.join("posthouse.toml"), "name = \"mx.voice.test\"\n").unwrap();
    node.start();
    node
}

/// A node with one SIP service at 127.0.0.9, and its hosts at 127.0.0.11, .12, ...
pub struct DialPlan {
    pub dir: tempfile::TempDir,
    pub node: Node,
    pub service: SocketAddr,
    pub hosts: Vec<Sipp>,
    /// Where gateways connect.
    door: SocketAddr,
    /// Begins TLS for gateways and ends it before hosts: SIPp as Debian has it knows none.
    _bridge: Option<Process>,
    runs: usize,
}

impl DialPlan {
    /// Starts `hosts` (scenario, further arguments) and a node whose service has them as members m1, m2, ...; waits until each is up.
    pub fn start(settings: &str, hosts: &[(&str, &[&str])]) -> DialPlan {
        let dir = tempfile::tempdir().unwrap();
        let service = SocketAddr::from(([127, 0, 0, 9], free_port()));
        let mut members = Vec::new();
        let mut running = Vec::new();
        for (at, (scenario, further)) in hosts.iter().enumerate() {
            let own = SocketAddr::from(([127, 0, 0, 11 + at as u8], free_port()));
            let further: Vec<String> = further.iter().map(|word| word.to_string()).collect();
            running.push(Sipp::start(dir.path(), &format!("m{}", at + 1), scenario, own, &further));
            members.push(own);
        }
        let node = node(dir.path(), "sip", service, settings, &members);
        DialPlan { dir, node, service, hosts: running, door: service, _bridge: None, runs: 0 }.all_up()
    }

    /// The same as a service of `sips`, with `count` hosts that answer. A real HAProxy speaks TLS for gateways and hosts.
    pub fn secured(settings: &str, count: u8) -> DialPlan {
        let dir = tempfile::tempdir().unwrap();
        let at = |last: u8| SocketAddr::from(([127, 0, 0, last], free_port()));
        let (service, door) = (at(9), at(8));
        let pair = rcgen::generate_simple_self_signed(["um.voice.test".to_string()]).unwrap();
        fs::write(dir.path().join("um.pem"), pair.cert.pem() + &pair.signing_key.serialize_pem()).unwrap();
        let mut bridge = format!(
            "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 5m\n  timeout server 5m\n\
             listen gateways\n  bind {door}\n  server service {service} ssl verify none\n"
        );
        let (mut members, mut running) = (Vec::new(), Vec::new());
        for number in 1..=count {
            let (own, secured) = (at(10 + number), at(10 + number));
            let further = ["-t", "t1", "-key", "where", &secured.to_string()].map(String::from);
            running.push(Sipp::start(dir.path(), &format!("m{number}"), "uas_secured.xml", own, &further));
            bridge += &format!("listen m{number}\n  bind {secured} ssl crt um.pem\n  server um {own}\n");
            members.push(secured);
        }
        fs::write(dir.path().join("haproxy.cfg"), bridge).unwrap();
        let mut command = Command::new("/usr/sbin/haproxy");
        command.args(["-db", "-f", "haproxy.cfg"]).current_dir(dir.path());
        let bridge = Process::start(&mut command, &dir.path().join("haproxy.log"));
        let node = node(dir.path(), "sips", service, settings, &members);
        DialPlan { dir, node, service, hosts: running, door, _bridge: Some(bridge), runs: 0 }.all_up()
    }

    fn all_up(self) -> DialPlan {
        (1..=self.hosts.len()).for_each(|at| self.wait_for(&format!("m{at}"), "up"));
        self
    }

    /// Waits until the balancer sees `member` so (`up`, `down`, `draining`).
    pub fn wait_for(&self, member: &str, standing: &str) {
        eventually(&format!("{member} is {standing}"), Duration::from_secs(60), || {
            self.node.standing("voice", member) == standing
        });
    }

    /// A gateway that makes `calls` at `rate` a second with `scenario`.
    pub fn gateway(&mut self, scenario: &str, calls: u32, rate: u32, further: &[&str]) -> Sipp {
        self.runs += 1;
        let own = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut words: Vec<String> = vec![self.door.to_string()];
        words.extend(["-s", "1555", "-m", &calls.to_string(), "-r", &rate.to_string()].map(String::from));
        words.extend(further.iter().map(|word| word.to_string()));
        Sipp::start(self.dir.path(), &format!("gateway{}", self.runs), scenario, own, &words)
    }

    /// Calls that were offered to each host, a retransmission counted once.
    pub fn offered(&self) -> Vec<usize> {
        self.hosts
            .iter()
            .map(|host| host.said("INVITE").iter().collect::<std::collections::BTreeSet<_>>().len())
            .collect()
    }

    /// Sends one datagram to the service from 127.0.0.1 and reads an answer.
    pub fn ask(&self, message: &[u8]) -> String {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let text = String::from_utf8_lossy(message).replace("OWN", &socket.local_addr().unwrap().to_string());
        let mut answer = vec![0; 65536];
        for _ in 0..10 {
            socket.send_to(text.as_bytes(), self.service).unwrap();
            if let Ok(count) = socket.recv(&mut answer) {
                return String::from_utf8_lossy(&answer[..count]).into_owned();
            }
        }
        panic!("no answer to\n{text}");
    }

    /// The value of a counter, all labels together that hold `label`.
    pub fn counted(&self, name: &str, label: &str) -> f64 {
        self.node.counted(name, label)
    }
}
