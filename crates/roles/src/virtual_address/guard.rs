//! The guard: a small process beside a node that has virtual addresses. It holds the reading end of a pipe from the node, and knows which
//! addresses are on which interface under which lease. When the pipe closes, because the node is dead however it died, or when the node has
//! not renewed in time, it removes them and ends their leases.
//!
//! Owns the words on the pipe and the process that reads them. Decides nothing else: it never adds an address and never renews a lease.
//! Always holds: addresses are removed before their lease is ended.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

use ::cluster::etcd::{Access, Client, Endpoint, Trust};
use balancer::address::{Interfaces, end_connections};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until, timeout};

/// A line on the pipe.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Line {
    /// The way to etcd. The first line.
    Etcd(Way),
    /// These addresses will be on an interface.
    Hold(Held),
    /// They live so much longer.
    Renew {
        /// Which.
        name: String,
        /// From now on, in milliseconds.
        for_ms: u64,
    },
    /// They are gone.
    Forget {
        /// Which.
        name: String,
    },
}

/// The way to etcd.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Way {
    endpoints: Vec<String>,
    ca_pem: Option<String>,
    client_pem: Option<(String, String)>,
    user: Option<(String, String)>,
    attempt_ms: u64,
}

/// What is to be removed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Held {
    /// The virtual address.
    pub name: String,
    /// The number of its interface.
    pub index: u32,
    /// The addresses.
    pub nets: Vec<String>,
    /// The lease.
    pub lease: i64,
    /// From now on, in milliseconds.
    pub for_ms: u64,
}

impl Way {
    pub fn of(access: &Access) -> Way {
        let text = |pem: &Vec<u8>| String::from_utf8_lossy(pem).into_owned();
        Way {
            endpoints: access.endpoints.iter().map(ToString::to_string).collect(),
            ca_pem: access.trust.ca_pem.as_ref().map(text),
            client_pem: access.trust.client_pem.as_ref().map(|(chain, key)| (text(chain), text(key))),
            user: access.user.clone(),
            attempt_ms: access.attempt_ms,
        }
    }

    fn access(self) -> Result<Access, String> {
        let endpoints: Result<Vec<Endpoint>, String> = self.endpoints.iter().map(|url| Endpoint::parse(url)).collect();
        let trust = Trust {
            ca_pem: self.ca_pem.map(String::into_bytes),
            client_pem: self.client_pem.map(|(chain, key)| (chain.into_bytes(), key.into_bytes())),
        };
        Ok(Access { endpoints: endpoints?, trust, user: self.user, attempt_ms: self.attempt_ms })
    }
}

/// The verb of the command line by which a node starts its guard.
pub const VERB: &str = "guard-addresses";

/// The guard's process: reads standard input to its end.
pub fn run() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let watched = runtime.and_then(|runtime| runtime.block_on(watch()));
    match watched {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("posthouse: the guard of virtual addresses: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Guard {
    interfaces: Interfaces,
    way: Option<Way>,
    client: Option<Client>,
    held: BTreeMap<String, (Held, Instant)>,
}

async fn watch() -> io::Result<()> {
    // A service manager that ends a whole group must not end the one who cleans up after it. The pipe says when it is over.
    let _quiet = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
    let pipe = pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)?;
    let mut lines = BufReader::with_capacity(LINE_BYTES, pipe).lines();
    let mut guard = Guard { interfaces: Interfaces::open()?, way: None, client: None, held: BTreeMap::new() };
    loop {
        let first = guard.held.values().map(|(_, until)| *until).min();
        let line = tokio::select! {
            biased;
            line = lines.next_line() => line,
            () = sleep_until(first.unwrap_or_else(Instant::now)), if first.is_some() => {
                guard.end_late().await;
                continue;
            }
        };
        match line {
            Ok(Some(line)) => guard.take(&line),
            Ok(None) | Err(_) => break,
        }
    }
    guard.end(|_| true).await;
    Ok(())
}

impl Guard {
    fn take(&mut self, line: &str) {
        let from_now = |ms: u64| Instant::now() + Duration::from_millis(ms);
        match serde_json::from_str::<Line>(line) {
            Ok(Line::Etcd(way)) => self.way = Some(way),
            Ok(Line::Hold(held)) => {
                let until = from_now(held.for_ms);
                self.held.insert(held.name.clone(), (held, until));
            }
            Ok(Line::Renew { name, for_ms }) => {
                if let Some((_, until)) = self.held.get_mut(&name) {
                    *until = from_now(for_ms);
                }
            }
            Ok(Line::Forget { name }) => drop(self.held.remove(&name)),
            // Our own node is of our own version: the file behind its name may be a newer one, the process is not.
            Err(error) => eprintln!("posthouse: the guard of virtual addresses does not understand its node: {error}"),
        }
    }

    async fn end_late(&mut self) {
        let now = Instant::now();
        self.end(|until| until <= now).await;
    }

    /// Removes those whose time `is_over`, all of them, and then ends their leases.
    async fn end(&mut self, is_over: impl Fn(Instant) -> bool) {
        let (over, rest): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.held).into_iter().partition(|(_, (_, until))| is_over(*until));
        self.held = rest;
        let mut leases = Vec::new();
        for (held, _) in over.into_values() {
            if self.remove(&held).await {
                leases.push(held.lease);
            }
        }
        for lease in leases {
            self.revoke(lease).await;
        }
    }

    /// Whether none of them is left. One that is, the kernel removes when its lifetime ends; its lease must not end sooner.
    async fn remove(&self, held: &Held) -> bool {
        let mut all = true;
        for net in held.nets.iter().filter_map(|net| net.parse::<IpNet>().ok()) {
            let _ = self.interfaces.shut(held.index, net).await;
            // Of a node that hangs: of one that is dead the kernel has ended them. Without it clients find out by themselves.
            let _ = end_connections(net.addr());
            all &= self.interfaces.remove(held.index, net).await.is_ok();
        }
        all
    }

    async fn revoke(&mut self, lease: i64) {
        if let Some(Ok(access)) = self.way.take().map(Way::access) {
            self.client = Client::new(access).ok();
        }
        let Some(client) = &self.client else { return };
        // If etcd is away, the lease ends by itself.
        let _ = timeout(REVOKE, client.revoke(lease)).await;
    }
}

/// The first line holds certificates; the others are short.
const LINE_BYTES: usize = 4 << 10;
const REVOKE: Duration = Duration::from_secs(5);
