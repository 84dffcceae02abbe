//! Restarts without a gap: a new process takes the place of the one that runs while applications that know no retry go on sending.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // tests touch the real world

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tests::eventually;
use tests::process::Node;
use tests::wire::Wire;

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
    let stream = std::net::TcpStream::connect(("127.0.0.1", port)).map_err(|error| format!("refused: {error}"))?;
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
    let stranger = std::os::unix::net::UnixStream::connect(data.join("succession")).unwrap();
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

const RESTARTS: usize = 20;
