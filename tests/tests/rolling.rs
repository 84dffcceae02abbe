//! Restarts without a gap: a new process takes the place of the one that runs while applications that know no retry go on sending.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // tests touch the real world

use std::io::{IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tests::process::Node;
use tests::wire::Wire;
use tests::{eventually, free_port};

/// Ends whatever process has the data directory when the test is over: it is not the one that the test has started.
struct Heir<'n>(&'n Path);

impl Heir<'_> {
    fn pid(&self) -> Option<u32> {
        std::fs::read_to_string(self.0.join("lock")).ok()?.trim().parse().ok()
    }
}

impl Drop for Heir<'_> {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
    }
}

/// Applications that send until they are told to stop. A refused connection, a reset, an answer that is no yes: each is an error.
struct Applications {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Result<(), String>>>,
}

impl Applications {
    fn new() -> Applications {
        Applications { stop: Arc::default(), sent: Arc::default(), threads: Vec::new() }
    }

    fn add(
        mut self,
        port: u16,
        session: impl Fn(u16, &AtomicBool, &AtomicUsize) -> Result<(), String> + Send + 'static,
    ) -> Self {
        let (stop, sent) = (self.stop.clone(), self.sent.clone());
        self.threads.push(std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                session(port, &stop, &sent)?;
            }
            Ok(())
        }));
        self
    }

    /// Waits until `more` messages were taken.
    fn wait_for(&self, more: usize) {
        let until = self.sent.load(Ordering::Relaxed) + more;
        eventually("applications go on", Duration::from_secs(60), || {
            self.sent.load(Ordering::Relaxed) >= until || self.threads.iter().any(JoinHandle::is_finished)
        });
    }

    /// How many messages were taken.
    fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap().unwrap();
        }
        self.sent.load(Ordering::Relaxed)
    }
}

fn hears(wire: &mut Wire, code: &str) -> Result<(), String> {
    loop {
        let line = wire.line().map_err(|error| format!("waiting for {code}: {error}"))?;
        let line = line.ok_or_else(|| format!("waiting for {code}: closed"))?;
        match line.strip_prefix(code) {
            Some(rest) if rest.starts_with('-') => {}
            Some(_) => return Ok(()),
            None => return Err(format!("waiting for {code}: {line}")),
        }
    }
}

fn asks(wire: &mut Wire, line: &str, code: &str) -> Result<(), String> {
    wire.send(format!("{line}\r\n").as_bytes()).map_err(|error| format!("{line}: {error}"))?;
    hears(wire, code).map_err(|error| format!("{line}: {error}"))
}

fn message(wire: &mut Wire, sent: &AtomicUsize) -> Result<(), String> {
    asks(wire, "MAIL FROM:<app@client.example>", "250")?;
    asks(wire, "RCPT TO:<bob@posthouse.test>", "250")?;
    asks(wire, "DATA", "354")?;
    asks(wire, "Subject: x\r\n\r\nx\r\n.", "250")?;
    sent.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

fn connect(port: u16) -> Result<Wire, String> {
    let stream = TcpStream::connect(("127.0.0.1", port)).map_err(|error| format!("refused: {error}"))?;
    let mut wire = Wire::over(stream);
    hears(&mut wire, "220")?;
    asks(&mut wire, "EHLO client.example", "250")?;
    Ok(wire)
}

/// A connection per message, as `sendmail` of an old application does it.
fn each_its_own(port: u16, _: &AtomicBool, sent: &AtomicUsize) -> Result<(), String> {
    let mut wire = connect(port)?;
    message(&mut wire, sent)?;
    asks(&mut wire, "QUIT", "221")
}

/// A hub: the new process has the spool, and each message that was answered 250 is there once.
#[test]
fn a_hub_that_restarts_refuses_nobody_and_loses_nothing() {
    let mut node = Node::started(&[]);
    let data = node.data();
    let heir = Heir(&data);
    let mut applications = Applications::new();
    for _ in 0..4 {
        applications = applications.add(node.smtp, each_its_own);
    }
    let mut processes = vec![node.process().pid()];
    for _ in 0..RESTARTS {
        applications.wait_for(5);
        let (code, out, err) = node.verb(&["restart"]);
        assert_eq!(code, 0, "{out}{err}\n{}", node.log());
        processes.extend(heir.pid());
    }
    applications.wait_for(5);
    let sent = applications.end();
    processes.dedup();
    assert_eq!(processes.len(), RESTARTS + 1, "each restart has made another process");
    node.process().wait(Duration::from_secs(30));
    eventually("all mail is delivered", Duration::from_secs(60), || node.mailbox("bob@posthouse.test").len() >= sent);
    assert_eq!(node.mailbox("bob@posthouse.test").len(), sent, "nothing is lost and nothing comes twice");
}

/// The new process cannot run: the old one goes on, and says so.
#[test]
fn who_cannot_run_takes_no_place() {
    let mut node = Node::new(&["--config", "posthouse.toml"]);
    let document = node.dir.join("posthouse.toml");
    std::fs::write(&document, "name = \"mx.posthouse.test\"\n").unwrap();
    node.start();
    let before = node.process().pid();
    std::fs::write(&document, "name = 7\n").unwrap();
    let (code, out, err) = node.verb(&["restart"]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(err.contains("the old one goes on"), "{err}");
    assert_eq!(node.json(&["status"])["pid"], before);
    // One that holds the sockets, and dies before it has said anything more, changes nothing either.
    let data = node.data();
    let stranger = UnixStream::connect(data.join("succession")).unwrap();
    drop(stranger);
    connect(node.smtp).unwrap();
    std::fs::write(&document, "name = \"mx.posthouse.test\"\n").unwrap();
    let heir = Heir(&data);
    let (code, out, err) = node.verb(&["restart"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_ne!(heir.pid(), Some(before));
}

/// The old process is frozen: the new one says so and gives up; thawed, the old one goes on.
#[test]
fn a_frozen_process_is_not_replaced_silently() {
    let mut node = Node::started(&[]);
    node.process().signal("STOP");
    let begun = Instant::now();
    let mut command = node.command();
    let out = command.arg("--succeed").output().unwrap();
    assert!(!out.status.success() && begun.elapsed() < Duration::from_secs(60));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(said.contains("does not answer") && said.contains("kill -9"), "{said}");
    node.process().signal("CONT");
    connect(node.smtp).unwrap();
    assert_eq!(node.json(&["status"])["pid"], node.process().pid());
}

/// A session that goes on for as long as the test: a message, a pause, a message.
fn kept(port: u16, stop: &AtomicBool, sent: &AtomicUsize) -> Result<(), String> {
    let mut wire = connect(port)?;
    while !stop.load(Ordering::Relaxed) {
        message(&mut wire, sent)?;
        std::thread::sleep(Duration::from_millis(50));
    }
    asks(&mut wire, "QUIT", "221")
}

/// Two hubs and a balancer in front of them, each a process.
struct Behind {
    hubs: Vec<Node>,
    balancer: Node,
    service: u16,
}

impl Behind {
    fn start() -> Behind {
        let hubs: Vec<Node> = (0..2).map(|_| Node::started(&[])).collect();
        let service = free_port();
        let mut balancer = Node::new(&["--org", "org.toml"]);
        let mut document = format!(
            "[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:{}\"]\n\n[[service]]\nname = \"smtp\"\nlisten = [\"127.0.0.1:{service}\"]\nproxy = \"none\"\n",
            balancer.smtp
        );
        for (number, hub) in hubs.iter().enumerate() {
            let member = format!(
                "\n[[member]]\nname = \"hub{number}\"\nservice = \"smtp\"\naddress = \"127.0.0.1:{}\"\n",
                hub.smtp
            );
            document.push_str(&member);
        }
        std::fs::write(balancer.dir.join("org.toml"), document).unwrap();
        balancer.start();
        let behind = Behind { hubs, balancer, service };
        eventually("the service greets", Duration::from_secs(60), || tests::process::greets(service));
        behind
    }

    /// Messages that the hubs have.
    fn kept(&self) -> usize {
        self.hubs.iter().map(|hub| hub.mailbox("bob@posthouse.test").len()).sum()
    }
}

/// A balancer: whoever connects while it restarts meets the new process, and what the old one relays goes on in it.
#[test]
fn a_balancer_that_restarts_cuts_nobody() {
    let mut behind = Behind::start();
    let data = behind.balancer.data();
    let heir = Heir(&data);
    let mut applications = Applications::new();
    for _ in 0..4 {
        applications = applications.add(behind.service, each_its_own);
    }
    for _ in 0..2 {
        applications = applications.add(behind.service, kept);
    }
    let mut processes = vec![behind.balancer.process().pid()];
    for _ in 0..RESTARTS {
        applications.wait_for(10);
        let (code, out, err) = behind.balancer.verb(&["restart"]);
        assert_eq!(code, 0, "{out}{err}\n{}", behind.balancer.log());
        processes.extend(heir.pid());
    }
    applications.wait_for(10);
    assert!(behind.balancer.process().is_running(), "the first process stays for the sessions that it relays");
    let sent = applications.end();
    processes.dedup();
    assert_eq!(processes.len(), RESTARTS + 1, "each restart has made another process");
    behind.balancer.process().wait(Duration::from_secs(60));
    eventually("all mail is delivered", Duration::from_secs(60), || behind.kept() >= sent);
    assert_eq!(behind.kept(), sent, "nothing is lost and nothing comes twice");
}

/// A member that is drained under load: nobody notices, and the wait ends when nothing is left.
#[test]
fn a_member_is_drained_under_load() {
    let behind = Behind::start();
    let mut applications = Applications::new();
    for _ in 0..4 {
        applications = applications.add(behind.service, each_its_own);
    }
    applications.wait_for(20);
    let (code, out, err) = behind.balancer.verb(&["service", "drain", "hub0", "--wait", "--why", "a new disk"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("nothing of hub0 is left"), "{out}");
    let connections = || behind.balancer.json(&["service", "show", "smtp"])["members"][0]["connections_total"].as_u64();
    let before = connections();
    applications.wait_for(20);
    assert_eq!(connections(), before, "a drained member gets nothing");
    let (code, _, err) = behind.balancer.verb(&["service", "drain", "hub1"]);
    assert!(code == 1 && err.contains("hub0 is drained") && err.contains("service resume hub0"), "{err}");
    let (code, out, err) = behind.balancer.verb(&["service", "resume", "hub0"]);
    assert_eq!(code, 0, "{out}{err}");
    eventually("it gets connections again", Duration::from_secs(60), || connections() > before);
    let sent = applications.end();
    eventually("all mail is delivered", Duration::from_secs(60), || behind.kept() >= sent);
    let audited = behind.balancer.json(&["audit", "--verb", "member"]).to_string();
    assert!(audited.contains("member drain") && audited.contains("a new disk"), "{audited}");
}

/// A successor that dies when the mail of the old process has ended already: another one is started, and nobody is refused.
#[test]
fn a_successor_that_dies_in_the_middle_is_followed_by_another() {
    let mut node = Node::started(&[]);
    let (data, first) = (node.data(), node.process().pid());
    let heir = Heir(&data);
    let applications = Applications::new().add(node.smtp, each_its_own).add(node.smtp, each_its_own);
    applications.wait_for(5);
    let mut wire = UnixStream::connect(data.join("succession")).unwrap();
    says(&mut wire, r#"{"Hello":{"protocol":1,"process":1,"version":"x"}}"#);
    assert!(hears_frame(&mut wire).contains("Sockets"));
    says(&mut wire, r#""Yield""#);
    assert!(hears_frame(&mut wire).contains("Yielded"));
    drop(wire);
    eventually("another process has the data directory", Duration::from_secs(60), || heir.pid() != Some(first));
    applications.wait_for(10);
    let sent = applications.end();
    eventually("all mail is delivered", Duration::from_secs(60), || node.mailbox("bob@posthouse.test").len() >= sent);
    assert_eq!(node.mailbox("bob@posthouse.test").len(), sent);
}

fn says(wire: &mut UnixStream, json: &str) {
    wire.write_all(&(json.len() as u32).to_be_bytes()).unwrap();
    wire.write_all(json.as_bytes()).unwrap();
}

fn hears_frame(wire: &mut UnixStream) -> String {
    wire.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut length = [0; 4];
    wire.read_exact(&mut length).unwrap();
    let mut json = vec![0; u32::from_be_bytes(length) as usize];
    wire.read_exact(&mut json).unwrap();
    String::from_utf8(json).unwrap()
}

/// A service manager that keeps sockets: who connects while no process is there waits for the next one.
#[test]
fn the_service_manager_keeps_sockets_while_nobody_runs() {
    let mut node = Node::new(&[]);
    let place = node.dir.join("notify");
    let manager = UnixDatagram::bind(&place).unwrap();
    manager.set_nonblocking(true).unwrap();
    let mut command = node.command();
    command.env("NOTIFY_SOCKET", &place);
    node.start_as(command);
    let kept = stored(&manager);
    assert!(kept.len() >= 3, "SMTP, submission and HTTP: {}", kept.len());
    node.stop();
    let mut waits =
        Wire::over(TcpStream::connect(("127.0.0.1", node.smtp)).expect("nobody runs, and nobody is refused"));
    for socket in &kept {
        rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::empty()).unwrap();
    }
    let moves: Vec<String> =
        kept.iter().enumerate().map(|(n, fd)| format!("{}<&{}", n + 200, fd.as_raw_fd())).collect();
    let backs: Vec<String> = (0..kept.len()).map(|n| format!("{}<&{}", n + 3, n + 200)).collect();
    let plain = node.command();
    let words: Vec<String> = std::iter::once(plain.get_program())
        .chain(plain.get_args())
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let script = format!(
        "exec {} && exec {} && export LISTEN_PID=$$ LISTEN_FDS={} && exec {}",
        moves.join(" "),
        backs.join(" "),
        kept.len(),
        words.join(" ")
    );
    let mut command = Command::new("bash");
    command.arg("-c").arg(script).current_dir(&node.dir);
    node.start_as(command);
    hears(&mut waits, "220").unwrap();
    asks(&mut waits, "QUIT", "221").unwrap();
}

/// The descriptors that came with `FDSTORE=1`.
fn stored(manager: &UnixDatagram) -> Vec<OwnedFd> {
    let mut kept = Vec::new();
    loop {
        let (mut bytes, mut space) = ([0; 512], [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))]);
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        if recvmsg(manager, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC).is_err() {
            return kept;
        }
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                kept.extend(descriptors);
            }
        }
    }
}

const RESTARTS: usize = 20;
