//! The generator: many sessions that send numbered messages and remember every promise.
//!
//! Owns what is sent, when, and what was answered. Always holds: a message's number is used once; the ledger's
//! line for a 250 is written before the session's next command; without `--reconnect` a message is sent once,
//! with it until it is acknowledged or refused for good.

mod report;
mod session;

use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::letter::Template;
use crate::net::{Interest, Poll};
pub use report::Report;
use session::{After, Job, Session};

/// What to send, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server.
    pub to: SocketAddr,
    /// Parallel sessions.
    pub sessions: usize,
    /// Messages in all; 0 means as many as fit in `bound`.
    pub messages: u64,
    /// Bytes of each body.
    pub size: usize,
    /// Messages per connection; 0 means no limit.
    pub per_connection: u64,
    /// How far commands are sent ahead, when the server offers it.
    pub pipelining: Pipelining,
    /// Speak LMTP: LHLO, and one answer per recipient after the dot.
    pub lmtp: bool,
    /// Envelope sender.
    pub from: String,
    /// Envelope recipients; `{n}` is the message's number, `{r}` the recipient's.
    pub rcpt: String,
    /// Recipients per message.
    pub recipients: usize,
    /// What the ids begin with.
    pub id_prefix: String,
    /// Promises are written here: `ID DIGEST CODE TEXT`.
    pub ledger: Option<PathBuf>,
    /// Messages whose connection died after the dot and before the answer are written here: `ID DIGEST`.
    pub doubts: Option<PathBuf>,
    /// Nothing goes on for longer.
    pub bound: Duration,
    /// Try a message again when the connection is lost or the answer is 4xx.
    pub reconnect: bool,
    /// Messages per second in all; 0 means no limit.
    pub rate: f64,
    /// Log on with AUTH PLAIN on each connection: base64 of NUL, name, NUL, password (RFC 4616).
    pub auth_plain: Option<String>,
}

/// How far commands are sent ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pipelining {
    /// One command, one answer.
    Off,
    /// MAIL, RCPT and DATA in one write.
    On,
    /// The next message's MAIL, RCPT and DATA go in the write that ends this one's content.
    Full,
}

impl std::str::FromStr for Pipelining {
    type Err = ();
    fn from_str(word: &str) -> Result<Pipelining, ()> {
        match word {
            "off" | "no" => Ok(Pipelining::Off),
            "on" | "" => Ok(Pipelining::On),
            "full" => Ok(Pipelining::Full),
            _ => Err(()),
        }
    }
}

/// Sends until all is sent or the bound is reached.
///
/// # Errors
/// Only what makes the run meaningless: no epoll, a ledger that cannot be written.
pub fn run(options: Options) -> io::Result<Report> {
    let mut source = Source::new(options)?;
    let begun = source.begun;
    for index in 0..source.sessions.len() {
        source.connect(index)?;
    }
    let (mut ready, mut input) = (Vec::new(), vec![0; 64 << 10]);
    while source.open > 0 {
        let now = Instant::now();
        let end = begun + source.options.bound;
        if now >= end {
            source.report.timed_out = true;
            break;
        }
        source.due(now)?;
        let next = source.timers.peek().map_or(end, |timer| timer.at.min(end));
        source.poll.wait(next.saturating_duration_since(now), &mut ready)?;
        for (token, is) in ready.drain(..) {
            source.ready(token as usize, is.input, is.output, &mut input)?;
        }
    }
    source.report.finish(source.last_ack.unwrap_or(begun) - begun);
    Ok(source.report)
}

struct Source {
    options: Options,
    template: Template,
    poll: Poll,
    sessions: Vec<Session>,
    /// Sessions that are not done.
    open: usize,
    timers: BinaryHeap<Timer>,
    next_number: u64,
    begun: Instant,
    last_ack: Option<Instant>,
    ledger: Option<File>,
    doubts: Option<File>,
    report: Report,
}

/// Ordered so that the heap gives the earliest first.
#[derive(PartialEq, Eq)]
struct Timer {
    at: Instant,
    index: usize,
}

impl Ord for Timer {
    fn cmp(&self, other: &Timer) -> std::cmp::Ordering {
        other.at.cmp(&self.at).then(other.index.cmp(&self.index))
    }
}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Timer) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Source {
    fn new(options: Options) -> io::Result<Source> {
        let open = |path: &Option<PathBuf>| match path {
            Some(path) => File::options().create(true).append(true).open(path).map(Some),
            None => Ok(None),
        };
        let id_len = options.id_prefix.len() + NUMBER_DIGITS + 1;
        Ok(Source {
            template: Template::new(options.size, id_len),
            poll: Poll::new()?,
            sessions: (0..options.sessions).map(|_| Session::default()).collect(),
            open: options.sessions,
            timers: BinaryHeap::new(),
            next_number: 0,
            begun: Instant::now(),
            last_ack: None,
            ledger: open(&options.ledger)?,
            doubts: open(&options.doubts)?,
            report: Report::default(),
            options,
        })
    }

    fn connect(&mut self, index: usize) -> io::Result<()> {
        let session = &mut self.sessions[index];
        session.fresh();
        match crate::net::connect(self.options.to) {
            Ok(link) => {
                self.poll.add(&link, index as u64, Interest::Input)?;
                session.link = Some(link);
                Ok(())
            }
            Err(_) => self.lost(index),
        }
    }

    fn due(&mut self, now: Instant) -> io::Result<()> {
        while self.timers.peek().is_some_and(|timer| timer.at <= now) {
            let Some(timer) = self.timers.pop() else {
                break;
            };
            if self.sessions[timer.index].wake != Some(timer.at) {
                continue;
            }
            self.sessions[timer.index].wake = None;
            match self.sessions[timer.index].link {
                Some(_) => self.go_on(timer.index)?,
                None => self.connect(timer.index)?,
            }
        }
        Ok(())
    }

    fn sleep(&mut self, index: usize, at: Instant) {
        self.sessions[index].wake = Some(at);
        self.timers.push(Timer { at, index });
    }

    fn ready(&mut self, index: usize, readable: bool, writable: bool, input: &mut [u8]) -> io::Result<()> {
        if writable {
            self.flush(index)?;
        }
        if !readable {
            return Ok(());
        }
        let Some(link) = &mut self.sessions[index].link else {
            return Ok(());
        };
        match link.read(input) {
            Ok(0) => self.lost(index),
            Ok(count) => {
                self.sessions[index].hears(&input[..count]);
                self.answers(index)
            }
            Err(failed) if failed.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(_) => self.lost(index),
        }
    }

    fn answers(&mut self, index: usize) -> io::Result<()> {
        while let Some(reply) = self.sessions[index].next_reply() {
            let after = self.sessions[index].answered(&reply, &self.options);
            match after {
                After::Wait => {}
                After::Send => {}
                After::Content => self.content(index),
                After::Begin => self.begin(index)?,
                After::Acked { texts } => self.acked(index, &texts)?,
                After::Refused { code } => self.refused(index, code)?,
                After::Quit => return self.quitted(index),
                After::Lost { code } => {
                    self.report.refused(code);
                    return self.lost(index);
                }
            }
            if self.sessions[index].link.is_none() {
                return Ok(());
            }
        }
        self.flush(index)
    }

    /// The connection stands and is idle: the next message, or the end.
    fn begin(&mut self, index: usize) -> io::Result<()> {
        let none_left = self.numbers_left() == 0;
        let session = &mut self.sessions[index];
        if session.job.is_some() {
            session.transaction(&self.options);
            return Ok(());
        }
        let spent = self.options.per_connection > 0 && session.on_connection >= self.options.per_connection;
        if spent || (none_left && session.waiting.is_none()) {
            session.quit();
            return Ok(());
        }
        if let Some(job) = session.waiting.take() {
            session.job = Some(job);
            session.transaction(&self.options);
            return Ok(());
        }
        if let Some(at) = self.not_before() {
            self.sleep(index, at);
            return Ok(());
        }
        let job = self.new_job();
        let session = &mut self.sessions[index];
        session.job = Some(job);
        session.transaction(&self.options);
        Ok(())
    }

    fn go_on(&mut self, index: usize) -> io::Result<()> {
        self.begin(index)?;
        self.flush(index)
    }

    fn numbers_left(&self) -> u64 {
        match self.options.messages {
            0 => u64::MAX,
            all => all - self.next_number,
        }
    }

    /// When the rate allows the next message, if that is not yet.
    fn not_before(&self) -> Option<Instant> {
        if self.options.rate <= 0.0 {
            return None;
        }
        let at = self.begun + Duration::from_secs_f64(self.next_number as f64 / self.options.rate);
        (at > Instant::now()).then_some(at)
    }

    fn new_job(&mut self) -> Job {
        let number = self.next_number;
        self.next_number += 1;
        let id = format!("{}-{number:0width$}", self.options.id_prefix, width = NUMBER_DIGITS);
        Job::new(number, id)
    }

    fn content(&mut self, index: usize) {
        // With full pipelining the next message's commands ride on this one's end.
        let session = &self.sessions[index];
        let ahead = self.options.pipelining == Pipelining::Full
            && session.pipelines
            && session.waiting.is_none()
            && self.options.rate <= 0.0
            && self.numbers_left() > 0
            && (self.options.per_connection == 0 || session.on_connection + 1 < self.options.per_connection);
        let next = ahead.then(|| self.new_job());
        let session = &mut self.sessions[index];
        session.content(&self.template, &self.options);
        if let Some(next) = next {
            session.ahead(next, &self.options);
        }
    }

    fn acked(&mut self, index: usize, texts: &[String]) -> io::Result<()> {
        let now = Instant::now();
        let session = &mut self.sessions[index];
        let Some(job) = session.job.take() else {
            return Ok(());
        };
        session.turn_to_ahead();
        if let Some(ledger) = &mut self.ledger {
            let lines: String = texts.iter().map(|text| format!("{} {} {text}\n", job.id, job.digest)).collect();
            ledger.write_all(lines.as_bytes())?;
        }
        session.on_connection += 1;
        session.backoff_ms = 0;
        self.last_ack = Some(now);
        self.report.acked(now - job.content_sent, now - job.begun, self.options.size);
        match self.sessions[index].is_ahead() {
            true => Ok(()),
            false => self.begin(index),
        }
    }

    fn refused(&mut self, index: usize, code: u16) -> io::Result<()> {
        self.report.refused(code);
        let session = &mut self.sessions[index];
        if self.options.reconnect && code < 500 {
            session.drop_link();
            return self.back_off(index);
        }
        self.report.failed += 1;
        session.job = None;
        session.on_connection += 1;
        match session.is_ahead() {
            true => session.turn_to_ahead(),
            false => session.reset(),
        }
        Ok(())
    }

    fn quitted(&mut self, index: usize) -> io::Result<()> {
        let session = &mut self.sessions[index];
        session.drop_link();
        if session.job.is_none() && session.waiting.is_none() && self.numbers_left() == 0 {
            self.open -= 1;
            return Ok(());
        }
        self.connect(index)
    }

    fn lost(&mut self, index: usize) -> io::Result<()> {
        let session = &mut self.sessions[index];
        if session.is_quitting() {
            return self.quitted(index);
        }
        if let (Some(job), true) = (&session.job, session.in_doubt()) {
            self.report.doubtful += 1;
            if let Some(doubts) = &mut self.doubts {
                doubts.write_all(format!("{} {}\n", job.id, job.digest).as_bytes())?;
            }
        }
        session.drop_link();
        self.report.lost += 1;
        if !self.options.reconnect {
            let jobs = [session.job.take(), session.waiting.take()];
            self.report.failed += jobs.iter().flatten().count() as u64;
            if session.losses >= MOST_LOSSES {
                self.open -= 1;
                return Ok(());
            }
        }
        self.back_off(index)
    }

    fn back_off(&mut self, index: usize) -> io::Result<()> {
        let session = &mut self.sessions[index];
        session.losses += 1;
        session.backoff_ms = (session.backoff_ms * 2).clamp(10, 640);
        // Sessions that lost the same server do not come back in step.
        let wait_ms = session.backoff_ms + (index as u64 % 16);
        self.sleep(index, Instant::now() + Duration::from_millis(wait_ms));
        Ok(())
    }

    fn flush(&mut self, index: usize) -> io::Result<()> {
        let session = &mut self.sessions[index];
        match session.write(&self.template) {
            Ok(blocked) => {
                let interest = if blocked { Interest::Both } else { Interest::Input };
                if let (Some(link), true) = (&session.link, session.watched != interest) {
                    self.poll.change(link, index as u64, interest)?;
                    session.watched = interest;
                }
                Ok(())
            }
            Err(_) => self.lost(index),
        }
    }
}

const NUMBER_DIGITS: usize = 9;
/// A session that is not to retry gives up after so many lost connections.
const MOST_LOSSES: u32 = 5;
