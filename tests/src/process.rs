//! A Posthouse node, and any other server, as a process that is ended when its value is dropped.

use crate::{binary, eventually, free_port};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A child process with its output in a file; killed and reaped on drop.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, output appended to `log`.
    pub fn start(command: &mut Command, log: &Path) -> Process {
        let out = File::options().create(true).append(true).open(log).unwrap();
        let child = command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out).spawn();
        let child = child.unwrap_or_else(|e| panic!("{command:?}: {e}"));
        Process { child, log: log.to_path_buf() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// kill -9, and wait until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends a signal by name (`TERM`, `STOP`, `USR1`).
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status().unwrap();
        assert!(status.success() || name == "CONT", "kill -{name} {}", self.pid());
    }

    /// Waits for its end.
    pub fn wait(&mut self, bound: Duration) -> ExitStatus {
        let end = Instant::now() + bound;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "process {} did not end within {bound:?}:\n{}", self.pid(), self.output());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// What it has printed so far.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One node: its ports, its data, and the running process.
pub struct Node {
    pub dir: PathBuf,
    pub smtp: u16,
    pub submission: u16,
    pub http: u16,
    arguments: Vec<String>,
    process: Option<Process>,
    keep: Option<tempfile::TempDir>,
}

impl Node {
    /// A node in a new temporary folder, not started yet; `arguments` follow `posthouse start --data ... --smtp ...`.
    pub fn new(arguments: &[&str]) -> Node {
        let keep = tempfile::tempdir().unwrap();
        let mut node = Node::at(keep.path(), arguments);
        node.keep = Some(keep);
        node
    }

    /// The same in a given folder.
    pub fn at(dir: &Path, arguments: &[&str]) -> Node {
        let arguments = arguments.iter().map(|a| a.to_string()).collect();
        let (smtp, submission, http) = (free_port(), free_port(), free_port());
        Node { dir: dir.to_path_buf(), smtp, submission, http, arguments, process: None, keep: None }
    }

    /// A started node that answers on all its ports.
    pub fn started(arguments: &[&str]) -> Node {
        let mut node = Node::new(arguments);
        node.start();
        node
    }

    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// The command line that starts this node.
    pub fn command(&self) -> Command {
        let mut command = Command::new(binary("posthouse"));
        command.arg("start").arg("--data").arg(self.data());
        command.args(["--smtp", &format!("127.0.0.1:{}", self.smtp)]);
        command.args(["--submission", &format!("127.0.0.1:{}", self.submission)]);
        command.args(["--http", &format!("127.0.0.1:{}", self.http)]);
        command.args(&self.arguments).current_dir(&self.dir);
        command
    }

    pub fn start(&mut self) {
        let command = self.command();
        self.start_as(command);
    }

    /// Starts it by another command line (under strace, with an environment) and waits until it greets, and answers whoever succeeds it:
    /// that comes a moment later.
    pub fn start_as(&mut self, mut command: Command) {
        let mut process = Process::start(&mut command, &self.dir.join("node.log"));
        let (smtp, http, succession) = (self.smtp, self.http, self.data().join("succession"));
        eventually("the node greets", Duration::from_secs(60), || {
            assert!(process.is_running(), "the node ended at start:\n{}", process.output());
            greets(smtp) && TcpStream::connect(("127.0.0.1", http)).is_ok() && succession.exists()
        });
        self.process = Some(process);
    }

    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the node was started")
    }

    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// SIGTERM and its orderly end.
    pub fn stop(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("the node was started");
        process.signal("TERM");
        process.wait(Duration::from_secs(60))
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.join("node.log")).unwrap_or_default()).into_owned()
    }

    /// A verb of the command line against this node: exit code, standard output, standard error.
    pub fn verb(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(binary("posthouse"));
        let out =
            command.args(arguments).env("POSTHOUSE_URL", format!("http://127.0.0.1:{}", self.http)).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (out.status.code().unwrap_or(-1), text(out.stdout), text(out.stderr))
    }

    /// A verb with `--json` that must succeed.
    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let mut all = arguments.to_vec();
        all.push("--json");
        let (code, out, err) = self.verb(&all);
        assert_eq!(code, 0, "{arguments:?}: {out}{err}");
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{arguments:?} printed no JSON ({e}): {out}"))
    }

    /// GET over HTTP: status and body.
    pub fn get(&self, path: &str) -> (u16, String) {
        http_get(self.http, path)
    }

    /// The value of a metric, all its labels together whose text holds `label`.
    pub fn counted(&self, name: &str, label: &str) -> f64 {
        let (_, text) = self.get("/metrics");
        let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// What must be known of a member of a service, whatever its protocol (issue 5, 6): each figure is on the page.
    pub fn member_figures(&self, service: &str, member: &str) -> BTreeMap<&'static str, f64> {
        let (page, label) = (self.get("/metrics").1, format!("service=\"{service}\",member=\"{member}\""));
        let of = |family: &'static str| {
            let (name, more) = family.split_once(' ').unwrap_or((family, ""));
            let is_meant = |line: &&str| {
                let rest = line.strip_prefix(name).unwrap_or_default();
                rest.starts_with('{') && rest.contains(&label) && rest.contains(more)
            };
            let values = page.lines().filter(is_meant).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
            let sum = values.reduce(|sum, value| sum + value);
            (family, sum.unwrap_or_else(|| panic!("no {family} of {label}:\n{page}")))
        };
        MEMBER_FIGURES.map(of).into()
    }

    /// How its balancer sees a member of a service: `up`, `down`, `draining`, `unknown`.
    pub fn standing(&self, service: &str, member: &str) -> String {
        let shown = self.json(&["service", "show", service]);
        let members = shown["members"].as_array().cloned().unwrap_or_default();
        let found = members.into_iter().find(|one| one["name"] == member).unwrap_or_default();
        found["standing"].as_str().unwrap_or_default().to_string()
    }

    /// Every message file of a mailbox kept in this node's Maildirs.
    pub fn mailbox(&self, address: &str) -> Vec<Vec<u8>> {
        let (local, domain) = address.split_once('@').unwrap();
        let dir = self.data().join("mail").join(domain).join(local).join("new");
        let Ok(entries) = fs::read_dir(&dir) else { return Vec::new() };
        entries.flatten().map(|entry| fs::read(entry.path()).unwrap()).collect()
    }
}

/// Connections now and so far, bytes both ways, refused, hidden from clients, what probes say, time to greeting.
const MEMBER_FIGURES: [&str; 9] = [
    "posthouse_member_connections",
    "posthouse_service_connections_total",
    "posthouse_service_bytes_total direction=\"up\"",
    "posthouse_service_bytes_total direction=\"down\"",
    "posthouse_service_refused_total",
    "posthouse_service_retries_hidden_total",
    "posthouse_member_up",
    "posthouse_service_greeting_seconds_count",
    "posthouse_service_greeting_seconds_sum",
];

/// Something on that port says 220, at once or behind a PROXY header.
pub fn greets(port: u16) -> bool {
    greets_after(port, b"", Duration::from_secs(1)) || greets_after(port, b"PROXY UNKNOWN\r\n", Duration::from_secs(2))
}

/// The same where a PROXY header is waited for.
pub fn greets_behind_proxy(port: u16) -> bool {
    greets_after(port, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", Duration::from_secs(2))
}

fn greets_after(port: u16, header: &[u8], bound: Duration) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    stream.set_read_timeout(Some(bound)).unwrap();
    let _ = stream.write_all(header);
    let mut first = [0; 3];
    let welcome = stream.read_exact(&mut first).is_ok() && &first == b"220";
    let _ = stream.write_all(b"QUIT\r\n");
    welcome
}

/// GET over HTTP/1.1: status and body.
pub fn http_get(port: u16, path: &str) -> (u16, String) {
    http_get_at(([127, 0, 0, 1], port).into(), path)
}

/// The same at any address.
pub fn http_get_at(at: SocketAddr, path: &str) -> (u16, String) {
    try_http_get(at, path).unwrap()
}

/// POST of JSON: the body of the answer.
pub fn http_post_at(at: SocketAddr, path: &str, json: &str) -> String {
    let mut stream = TcpStream::connect_timeout(&at, Duration::from_secs(10)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let head = format!("POST {path} HTTP/1.0\r\nHost: {at}\r\nContent-Type: application/json\r\n");
    write!(stream, "{head}Content-Length: {}\r\n\r\n{json}", json.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.into())
}

fn try_http_get(at: SocketAddr, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&at, Duration::from_secs(10))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split_whitespace().nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Ok((status, body.to_string()))
}

/// The same on loopback of a network namespace; nothing if nobody answers.
pub fn http_get_within(namespace: &str, port: u16, path: &str) -> Option<(u16, String)> {
    within(namespace, || try_http_get(([127, 0, 0, 1], port).into(), path).ok())
}

/// Does something in a network namespace: its sockets are that one's.
pub fn within<T: Send>(namespace: &str, act: impl FnOnce() -> T + Send) -> T {
    let there = File::open(format!("/run/netns/{namespace}")).unwrap();
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            move_into_link_name_space(there.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            act()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
