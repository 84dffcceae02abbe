//! Restarts without a gap: a new process takes the place of the one that runs while applications that know no retry go on sending.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // tests touch the real world

mod address;
mod datagrams;
mod drain;
mod manager;
mod restarts;
mod rivals;

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

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
    connect_at(([127, 0, 0, 1], port).into())
}

fn connect_at(at: SocketAddr) -> Result<Wire, String> {
    let stream = TcpStream::connect(at).map_err(|error| format!("refused: {error}"))?;
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
        Behind::over((0..2).map(|_| Node::started(&[])).collect())
    }

    /// In front of these hubs, which run.
    fn over(hubs: Vec<Node>) -> Behind {
        let service = free_port();
        let mut balancer = Node::new(&["--org", "org.toml"]);
        let mut document = format!(
            "[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:{}\"]\n\n[[service]]\nname = \"smtp\"\nlisten = [\"127.0.0.1:{service}\"]\nproxy = \"none\"\nprobe_interval = \"500ms\"\n",
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

const RESTARTS: usize = 20;
