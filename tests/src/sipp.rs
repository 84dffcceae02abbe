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

/// A node with one SIP service at 127.0.0.9, and its hosts at 127.0.0.11, .12, ...
pub struct DialPlan {
    pub dir: tempfile::TempDir,
    pub node: Node,
    pub service: SocketAddr,
    pub hosts: Vec<Sipp>,
    runs: usize,
}

impl DialPlan {
    /// Starts `hosts` (scenario, further arguments) and a node whose service has them as members m1, m2, ...; waits until each is up.
    pub fn start(settings: &str, hosts: &[(&str, &[&str])]) -> DialPlan {
        let dir = tempfile::tempdir().unwrap();
        let service = SocketAddr::from(([127, 0, 0, 9], free_port()));
        let mut text = String::new();
        let mut running = Vec::new();
        for (at, (scenario, further)) in hosts.iter().enumerate() {
            let own = SocketAddr::from(([127, 0, 0, 11 + at as u8], free_port()));
            let further: Vec<String> = further.iter().map(|word| word.to_string()).collect();
            running.push(Sipp::start(dir.path(), &format!("m{}", at + 1), scenario, own, &further));
            text += &format!("[[member]]\nname = \"m{}\"\nservice = \"voice\"\naddress = \"{own}\"\n", at + 1);
        }
        let mut node = Node::at(dir.path(), &["--config", "posthouse.toml", "--org", "org.toml"]);
        let org = format!(
            "[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:{}\"]\n\
             [[service]]\nname = \"voice\"\nprotocol = \"sip\"\nlisten = [\"{service}\"]\nprobe_interval = \"200ms\"\nslow_start = \"0s\"\n{settings}\n{text}",
            node.smtp
        );
        fs::write(dir.path().join("org.toml"), org).unwrap();
        fs::write(dir.path().join("posthouse.toml"), "name = \"mx.voice.test\"\n").unwrap();
        node.start();
        let plan = DialPlan { dir, node, service, hosts: running, runs: 0 };
        for at in 1..=hosts.len() {
            plan.wait_for(&format!("m{at}"), "up");
        }
        plan
    }

    /// Waits until the balancer sees `member` so (`up`, `down`, `draining`).
    pub fn wait_for(&self, member: &str, standing: &str) {
        eventually(&format!("{member} is {standing}"), Duration::from_secs(60), || self.standing(member) == standing);
    }

    fn standing(&self, member: &str) -> String {
        let shown = self.node.json(&["service", "show", "voice"]);
        let members = shown["members"].as_array().cloned().unwrap_or_default();
        let found = members.into_iter().find(|one| one["name"] == member).unwrap_or_default();
        found["standing"].as_str().unwrap_or_default().to_string()
    }

    /// A gateway that makes `calls` at `rate` a second with `scenario`.
    pub fn gateway(&mut self, scenario: &str, calls: u32, rate: u32, further: &[&str]) -> Sipp {
        self.runs += 1;
        let own = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut words: Vec<String> = vec![self.service.to_string()];
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
        let (_, text) = self.node.get("/metrics");
        let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}
