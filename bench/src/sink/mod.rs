//! The sink: takes mail on loopback, checks it against its own digest, writes down what came.
//!
//! Always holds: the ledger's line is written before the 250 is sent.

mod content;
mod mode;
mod peer;

use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::net::{Interest, Poll};
pub use mode::Mode;
use peer::{House, Next, Peer};

/// What the sink does.
#[derive(Debug)]
pub struct Options {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Ends after so many accepted messages; 0 means never.
    pub count_exit: u64,
    /// What came is written here: `ID DIGEST ok|BAD OUTCOME RECIPIENTS`.
    pub ledger: Option<PathBuf>,
    /// The behaviour at the start.
    pub mode: Mode,
    /// A file whose word is the mode, looked at ten times a second.
    pub control: Option<PathBuf>,
    /// Nothing goes on for longer.
    pub bound: Duration,
    /// Offer CHUNKING.
    pub chunking: bool,
    /// Speak LMTP.
    pub lmtp: bool,
    /// Bytes `q` (end) and `m` (next mode) arrive here, from signals.
    pub orders: Option<UnixStream>,
}

/// What came.
#[derive(Debug, Default)]
pub struct Report {
    /// Messages answered with 250.
    pub accepted: u64,
    /// Messages whose body is not the one their digest names.
    pub bad: u64,
    /// Messages that came whole and were not answered with 250.
    pub unanswered: u64,
    /// Connections taken.
    pub connections: u64,
    /// Most connections open at once.
    pub most_open: usize,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Report {
    /// One line of JSON.
    pub fn json(&self) -> String {
        let seconds = self.first.zip(self.last).map_or(0.0, |(first, last)| (last - first).as_secs_f64());
        let cpu = crate::net::cpu_seconds();
        format!(
            concat!(
                r#"{{"accepted":{},"bad":{},"unanswered":{},"connections":{},"most_open":{},"seconds":{:.3},"#,
                r#""per_second":{:.1},"cpu_seconds":{:.3},"cpu_us_per_message":{:.1}}}"#
            ),
            self.accepted,
            self.bad,
            self.unanswered,
            self.connections,
            self.most_open,
            seconds,
            self.accepted as f64 / seconds.max(1e-9),
            cpu,
            cpu * 1e6 / self.accepted.max(1) as f64,
        )
    }
}

/// Takes mail until the count, the bound or an order ends it.
///
/// # Errors
/// The port or the ledger cannot be had.
pub fn run(options: Options) -> io::Result<Report> {
    let mut sink = Sink::new(options)?;
    let end = Instant::now() + sink.options.bound;
    let (mut ready, mut input) = (Vec::new(), vec![0; 128 << 10]);
    while !sink.ended {
        let now = Instant::now();
        if now >= end {
            break;
        }
        sink.due(now)?;
        let next = sink.late.peek().map_or(end, |late| late.at.min(end));
        let mut wait = next.saturating_duration_since(now);
        if sink.options.control.is_some() {
            wait = wait.min(CONTROL_EVERY);
        }
        sink.poll.wait(wait, &mut ready)?;
        for (token, is) in ready.drain(..) {
            match token {
                LISTENER => sink.accept()?,
                ORDERS => sink.order(),
                _ => sink.ready(token as usize, is.input, &mut input)?,
            }
        }
        sink.look_at_control();
    }
    Ok(sink.report)
}

struct Sink {
    options: Options,
    house: House,
    poll: Poll,
    listener: OwnedFd,
    peers: Vec<Option<Peer>>,
    free: Vec<usize>,
    late: BinaryHeap<Late>,
    ledger: Option<File>,
    looked: Instant,
    control_text: String,
    dice: u64,
    ended: bool,
    report: Report,
}

/// An answer that is held back. Ordered so that the heap gives the earliest first.
#[derive(PartialEq, Eq)]
struct Late {
    at: Instant,
    index: usize,
    serial: u64,
}

impl Ord for Late {
    fn cmp(&self, other: &Late) -> std::cmp::Ordering {
        other.at.cmp(&self.at).then(other.index.cmp(&self.index))
    }
}

impl PartialOrd for Late {
    fn partial_cmp(&self, other: &Late) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Sink {
    fn new(options: Options) -> io::Result<Sink> {
        let poll = Poll::new()?;
        let listener = crate::net::listen(options.listen)?;
        poll.add(&listener, LISTENER, Interest::Input)?;
        if let Some(orders) = &options.orders {
            orders.set_nonblocking(true)?;
            poll.add(orders, ORDERS, Interest::Input)?;
        }
        let ledger = match &options.ledger {
            Some(path) => Some(File::options().create(true).append(true).open(path)?),
            None => None,
        };
        let mut sink = Sink {
            house: House::new(options.mode, options.chunking, options.lmtp),
            poll,
            listener,
            peers: Vec::new(),
            free: Vec::new(),
            late: BinaryHeap::new(),
            ledger,
            looked: Instant::now() - CONTROL_EVERY,
            control_text: String::new(),
            dice: u64::from(std::process::id()) | 1 << 32,
            ended: false,
            report: Report::default(),
            options,
        };
        sink.look_at_control();
        Ok(sink)
    }

    fn accept(&mut self) -> io::Result<()> {
        // A burst at most per turn, so that those who are being served do not starve.
        for _ in 0..64 {
            let Some(link) = crate::net::accept(&self.listener)? else {
                break;
            };
            let index = self.free.pop().unwrap_or(self.peers.len());
            if index == self.peers.len() {
                self.peers.push(None);
            }
            self.poll.add(&link, FIRST_PEER + index as u64, Interest::Input)?;
            self.report.connections += 1;
            self.peers[index] = Some(Peer::new(link, self.report.connections, &self.house));
            self.report.most_open = self.report.most_open.max(self.peers.len() - self.free.len());
            self.settle(index)?;
        }
        Ok(())
    }

    fn ready(&mut self, token: usize, readable: bool, input: &mut [u8]) -> io::Result<()> {
        let index = token - FIRST_PEER as usize;
        let Some(peer) = self.peers.get_mut(index).and_then(Option::as_mut) else {
            return Ok(());
        };
        if readable {
            match peer.link.read(input) {
                Ok(0) => return self.close(index),
                Ok(_) if peer.is_closing() => {}
                Ok(count) => return self.hears(index, &input[..count]),
                Err(failed) if failed.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return self.close(index),
            }
        }
        self.settle(index)
    }

    fn hears(&mut self, index: usize, bytes: &[u8]) -> io::Result<()> {
        let mut bytes = bytes;
        while let Some(peer) = &mut self.peers[index] {
            match peer.hears(bytes, &self.house) {
                Next::Message => self.message(index)?,
                Next::Wait | Next::Close => break,
            }
            bytes = &[];
            if self.peers[index].as_ref().is_some_and(|peer| peer.held) {
                break;
            }
        }
        self.settle(index)
    }

    /// Sends what is to be sent, closes if that was the last, and watches for the right thing.
    fn settle(&mut self, index: usize) -> io::Result<()> {
        let Some(peer) = &mut self.peers[index] else {
            return Ok(());
        };
        let interest = match peer.flush() {
            Err(_) => return self.close(index),
            Ok(false) if peer.is_closing() => return self.close(index),
            Ok(true) => Interest::Both,
            Ok(false) if peer.held => Interest::Gone,
            Ok(false) => Interest::Input,
        };
        if peer.watched != interest {
            self.poll.change(&peer.link, FIRST_PEER + index as u64, interest)?;
            peer.watched = interest;
        }
        Ok(())
    }

    fn close(&mut self, index: usize) -> io::Result<()> {
        if self.peers[index].take().is_some() {
            self.free.push(index);
        }
        Ok(())
    }

    /// A message has come whole: written down first, answered as the mode wants.
    fn message(&mut self, index: usize) -> io::Result<()> {
        let now = Instant::now();
        self.report.first.get_or_insert(now);
        self.report.last = Some(now);
        let drops = match self.house.mode {
            Mode::DropAfterDot(share) => self.roll() < share,
            _ => false,
        };
        let outcome = match self.house.mode {
            _ if drops => "dropped",
            Mode::HangAfterData => "hung",
            Mode::TempFailAfterData => "tempfailed",
            Mode::Slow(_) => "late",
            _ => "accepted",
        };
        self.record(index, outcome)?;
        let Some(peer) = &mut self.peers[index] else {
            return Ok(());
        };
        match (outcome, self.house.mode) {
            ("dropped", _) => return self.close(index),
            ("hung", _) => peer.held = true,
            ("tempfailed", _) => peer.answer_message("451 4.3.0 sink will not now\r\n", &self.house),
            (_, Mode::Slow(ms)) => {
                peer.held = true;
                let serial = peer.serial;
                self.late.push(Late { at: now + Duration::from_millis(ms), index, serial });
            }
            _ => {
                peer.answer_message(QUEUED, &self.house);
                self.report.accepted += 1;
            }
        }
        self.ended |= self.options.count_exit > 0 && self.report.accepted >= self.options.count_exit;
        Ok(())
    }

    fn record(&mut self, index: usize, outcome: &str) -> io::Result<()> {
        let Some(peer) = &self.peers[index] else {
            return Ok(());
        };
        let promised = peer.content.promised();
        let good = match promised {
            "-" => "none",
            promised if promised == peer.content.body().to_string() => "ok",
            _ => "BAD",
        };
        self.report.bad += u64::from(good == "BAD");
        self.report.unanswered += u64::from(!matches!(outcome, "accepted" | "late"));
        if let Some(ledger) = &mut self.ledger {
            let (id, to) = (peer.content.id(), peer.recipients.join(","));
            ledger.write_all(format!("{id} {promised} {good} {outcome} {to}\n").as_bytes())?;
        }
        Ok(())
    }

    fn due(&mut self, now: Instant) -> io::Result<()> {
        while self.late.peek().is_some_and(|late| late.at <= now) {
            let Some(late) = self.late.pop() else { break };
            let Some(peer) = self.peers[late.index].as_mut().filter(|peer| peer.serial == late.serial) else {
                continue;
            };
            peer.held = false;
            peer.answer_message(QUEUED, &self.house);
            self.report.accepted += 1;
            self.hears(late.index, &[])?;
        }
        self.ended |= self.options.count_exit > 0 && self.report.accepted >= self.options.count_exit;
        Ok(())
    }

    fn order(&mut self) {
        let mut bytes = [0; 16];
        let Some(orders) = &mut self.options.orders else {
            return;
        };
        let count = orders.read(&mut bytes).unwrap_or(0);
        for order in &bytes[..count] {
            match order {
                b'm' => {
                    self.house.mode = self.house.mode.next();
                    eprintln!("mail-sink: mode {}", self.house.mode);
                }
                _ => self.ended = true,
            }
        }
    }

    fn look_at_control(&mut self) {
        let Some(path) = &self.options.control else {
            return;
        };
        if self.looked.elapsed() < CONTROL_EVERY {
            return;
        }
        self.looked = Instant::now();
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.trim().is_empty() || text == self.control_text {
            return;
        }
        match text.parse() {
            Ok(mode) => self.house.mode = mode,
            Err(what) => eprintln!("mail-sink: {what}"),
        }
        self.control_text = text;
    }

    fn roll(&mut self) -> f64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice >> 11) as f64 / (1_u64 << 53) as f64
    }
}

const LISTENER: u64 = 0;
const ORDERS: u64 = 1;
const FIRST_PEER: u64 = 2;
const CONTROL_EVERY: Duration = Duration::from_millis(100);
const QUEUED: &str = "250 2.0.0 taken\r\n";
