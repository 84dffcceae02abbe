//! Mail for the cluster, and where it ends: a generator for each node, one sink, and their ledgers.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::net::{Net, Place};
use super::node::SMTP;
use crate::chaos::{Arrivals, Source};
use crate::process::Process;
use crate::{binary, eventually};

/// `mail-sink` at the hub's port 25.
pub struct ClusterSink {
    ledger: PathBuf,
    control: PathBuf,
    _process: Process,
}

impl ClusterSink {
    /// It accepts.
    pub fn started(net: &Net, dir: &Path) -> ClusterSink {
        ClusterSink::at(net, dir, Place::Hub, &format!("{}:25", net.address(Place::Hub)), &[])
    }

    /// One anywhere, with more options of `mail-sink`.
    pub fn at(net: &Net, dir: &Path, place: Place, address: &str, more: &[&str]) -> ClusterSink {
        let file = |what: &str| dir.join(format!("{}.{what}", net.name(place)));
        let (ledger, control) = (file("ledger"), file("control"));
        fs::write(&control, "accept").unwrap();
        fs::write(&ledger, "").unwrap();
        let mut command = net.command(place, binary("mail-sink"));
        command.args(["--listen", address, "--seconds", "7200", "--mode", "accept"]).args(more);
        command.arg("--ledger").arg(&ledger).arg("--control").arg(&control);
        let mut process = Process::start(&mut command, &file("sink.log"));
        eventually("the sink listens", Duration::from_secs(10), || {
            assert!(process.is_running(), "the sink ended: {}", process.output());
            net.within(place, || TcpStream::connect(address).is_ok())
        });
        ClusterSink { ledger, control, _process: process }
    }

    /// Changes its mode; it looks ten times a second.
    pub fn behave(&self, mode: &str) {
        fs::write(&self.control, mode).unwrap();
    }

    /// What has arrived so far.
    pub fn arrived(&self) -> Arrivals {
        Arrivals::read(&self.ledger)
    }

    /// Bytes of the ledger: what is behind them came later.
    pub fn mark(&self) -> u64 {
        fs::metadata(&self.ledger).unwrap().len()
    }

    /// Whether one of these messages was taken after that mark.
    pub fn has_since(&self, mark: u64, ids: &HashSet<String>) -> bool {
        let mut file = fs::File::open(&self.ledger).unwrap();
        file.seek(SeekFrom::Start(mark)).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        let mut lines = text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        lines.any(|words| ids.contains(words[0]) && words.get(3) == Some(&"accepted"))
    }
}

/// Sessions of one generator: no more messages of its are between a dot and an answer.
pub const SESSIONS: usize = 8;

/// Generators, and all that they were promised.
#[derive(Default)]
pub struct Load {
    running: Vec<(usize, Source)>,
    tally: Tally,
    started: usize,
}

/// What nodes have promised.
#[derive(Default)]
pub struct Tally {
    /// Digest by id.
    pub promised: HashMap<String, String>,
    /// What the node called each of them.
    pub names: HashMap<String, String>,
    /// Messages that the generator has sent again after a lost answer.
    pub doubts: HashSet<String>,
}

impl Tally {
    fn add(&mut self, source: &Source) {
        self.promised.extend(source.promised());
        self.names.extend(source.names());
        self.doubts.extend(source.doubted());
    }
}

impl Load {
    /// Starts a generator for each of these nodes; `options` are those of `mail-source`.
    pub fn start(&mut self, net: &Net, dir: &Path, nodes: &[usize], options: &[&str]) {
        self.started += 1;
        let round = self.started;
        for number in nodes {
            let prefix = format!("r{round}n{number}");
            let to = format!("{}:{SMTP}", net.address(Place::Node(*number)));
            let command = net.command(Place::Hub, binary("mail-source"));
            let sessions = SESSIONS.to_string();
            let all = [&["--seconds", "3600", "--sessions", &sessions, "--size", "3000"][..], options].concat();
            self.running.push((*number, Source::start_by(command, dir, &to, &prefix, &all)));
        }
    }

    /// How many messages have been promised to those that run.
    pub fn promised_now(&self) -> usize {
        self.running.iter().map(|(_, source)| source.promised().len()).sum()
    }

    /// Bytes of the ledger of what the node with this number has promised: it grows with each 250.
    pub fn ledger_size(&self, number: usize) -> u64 {
        let of_node = self.running.iter().filter(|(node, _)| *node == number);
        of_node.map(|(_, source)| fs::metadata(&source.ledger).unwrap().len()).sum()
    }

    /// What the node with this number has promised to the generators that run, and nobody has taken yet.
    pub fn waiting_on(&self, number: usize, sink: &ClusterSink) -> HashSet<String> {
        let arrived = sink.arrived();
        let promised =
            self.running.iter().filter(|(node, _)| *node == number).flat_map(|(_, source)| source.promised());
        promised.map(|(id, _)| id).filter(|id| !arrived.taken.contains_key(id)).collect()
    }

    /// Ends the generators of these nodes.
    pub fn end(&mut self, nodes: &[usize]) {
        let (ended, going): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.running).into_iter().partition(|(number, _)| nodes.contains(number));
        self.running = going;
        for (_, mut source) in ended {
            source.kill();
            self.tally.add(&source);
        }
    }

    /// Waits for those that end by themselves; their reports.
    pub fn results(&mut self, bound: Duration) -> Vec<(usize, serde_json::Value)> {
        let all = std::mem::take(&mut self.running);
        all.into_iter()
            .map(|(number, mut source)| {
                let report = source.result(bound);
                self.tally.add(&source);
                (number, report)
            })
            .collect()
    }

    /// All that was promised to generators that have ended.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Waits until all of that has arrived unharmed.
    pub fn all_arrive(&self, sink: &ClusterSink, bound: Duration) -> Result<Arrivals, String> {
        let end = Instant::now() + bound;
        loop {
            let arrivals = sink.arrived();
            let missing = arrivals.missing(&self.tally.promised);
            match missing.is_empty() {
                true if arrivals.bad == 0 => return Ok(arrivals),
                true => return Err(format!("{} bodies changed on their way", arrivals.bad)),
                false if Instant::now() > end => {
                    let some: Vec<&&String> = missing.iter().take(8).collect();
                    let all = self.tally.promised.len();
                    return Err(format!(
                        "LOST: {} of {all} did not arrive within {bound:?}, e.g. {some:?}",
                        missing.len()
                    ));
                }
                false => std::thread::sleep(Duration::from_millis(200)),
            }
        }
    }
}
