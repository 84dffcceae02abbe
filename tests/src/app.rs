//! Applications as there are many: they know one name, send each message once, and have no retry.
//!
//! One opens a connection for each message, one keeps its connection as long as it lasts. Both write down what they were promised, and
//! each failure with the moment of the session that it came in and with who had greeted.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, IoSlice, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bench::letter::Template;

use crate::cluster::{Net, Place};

/// How an application uses its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// One for each message.
    PerMessage,
    /// One for all.
    Kept,
}

/// Where in a session a message failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// There was no connection.
    Connect,
    /// It broke, or refused, before or at the greeting.
    Greeting,
    /// It had been greeted.
    Session,
    /// The content was sent, the answer did not come: it may arrive.
    Doubt,
}

/// A message that the application believes lost.
#[derive(Clone, Debug)]
pub struct Failure {
    pub id: String,
    pub when: Instant,
    pub moment: Moment,
    /// When its connection was there, if it ever was.
    pub opened: Option<Instant>,
    /// What the server said as its greeting.
    pub greeting: String,
    /// What went wrong.
    pub what: String,
}

/// What an application has seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Digest by id, for each 250.
    pub promised: HashMap<String, String>,
    /// When each 250 came.
    pub answered: Vec<Instant>,
    /// Connections that it opened.
    pub connections: usize,
    pub failures: Vec<Failure>,
}

impl Seen {
    /// The longest time without a 250, from this moment on.
    pub fn longest_gap(&self, since: Instant) -> Duration {
        let before = self.answered.iter().filter(|at| **at <= since).max().copied().unwrap_or(since);
        let mut after: Vec<Instant> = self.answered.iter().filter(|at| **at > since).copied().collect();
        after.sort();
        let starts = std::iter::once(before).chain(after.iter().copied());
        starts.zip(after.iter().copied()).map(|(from, to)| to - from).max().unwrap_or_default()
    }
}

/// Several threads that do the same.
pub struct App {
    way: Way,
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    threads: Vec<JoinHandle<()>>,
}

impl App {
    /// Starts `threads` of them at the hub's place; each sends `per_second` messages.
    pub fn start(net: &Net, to: SocketAddr, prefix: &str, way: Way, threads: usize, per_second: u32) -> App {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Seen::default())));
        let namespace = net.name(Place::Hub);
        let work = |number: usize| {
            let one = One {
                to,
                way,
                prefix: format!("{prefix}t{number}"),
                pause: Duration::from_secs(1) / per_second,
                stop: stop.clone(),
                seen: seen.clone(),
                template: Template::new(1500, 32),
            };
            let namespace = namespace.clone();
            std::thread::spawn(move || crate::process::within(&namespace, || one.run()))
        };
        let threads = (0..threads).map(work).collect();
        App { way, stop, seen, threads }
    }

    /// How it uses its connections.
    pub fn way(&self) -> Way {
        self.way
    }

    /// How many messages it was promised so far.
    pub fn promised(&self) -> usize {
        self.seen.lock().unwrap().promised.len()
    }

    /// What has failed so far.
    pub fn failures(&self) -> Vec<Failure> {
        self.seen.lock().unwrap().failures.clone()
    }

    /// Lets it finish the message that it is at, and ends it.
    pub fn end(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        Arc::into_inner(self.seen).unwrap().into_inner().unwrap()
    }
}

struct One {
    to: SocketAddr,
    way: Way,
    prefix: String,
    pause: Duration,
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    template: Template,
}

struct Session {
    wire: BufReader<TcpStream>,
    opened: Instant,
    greeting: String,
}

type Failed = (Moment, String);

impl One {
    fn run(&self) {
        let mut kept: Option<Session> = None;
        for number in 0.. {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let (id, began) = (format!("{}-{number}", self.prefix), Instant::now());
            let mut session = kept.take();
            let done = self.message(&mut session, &id);
            let now = Instant::now();
            let mut seen = self.seen.lock().unwrap();
            match done {
                Ok(digest) => {
                    seen.promised.insert(id, digest);
                    seen.answered.push(now);
                    kept = session.filter(|_| self.way == Way::Kept);
                }
                Err((moment, what)) => {
                    let (opened, greeting) =
                        session.map_or((None, String::new()), |session| (Some(session.opened), session.greeting));
                    seen.failures.push(Failure { id, when: now, moment, opened, greeting, what });
                }
            }
            drop(seen);
            std::thread::sleep(self.pause.saturating_sub(began.elapsed()));
        }
    }

    /// One message in the session, or in a new one. What it failed in stays there.
    fn message(&self, session: &mut Option<Session>, id: &str) -> Result<String, Failed> {
        if session.is_none() {
            let stream = TcpStream::connect_timeout(&self.to, PATIENCE).map_err(failed(Moment::Connect))?;
            stream.set_read_timeout(Some(PATIENCE)).map_err(failed(Moment::Connect))?;
            stream.set_nodelay(true).map_err(failed(Moment::Connect))?;
            self.seen.lock().unwrap().connections += 1;
            let opened = Instant::now();
            let new = session.insert(Session { wire: BufReader::new(stream), opened, greeting: String::new() });
            new.greeting = new.hear(Moment::Greeting, b'2')?;
            new.ask("EHLO app.test\r\n", b'2')?;
        }
        let session = session.as_mut().ok_or((Moment::Connect, "no session".to_string()))?;
        session.ask("MAIL FROM:<app@app.test>\r\n", b'2')?;
        session.ask("RCPT TO:<bob@far.test>\r\n", b'2')?;
        session.ask("DATA\r\n", b'3')?;
        let mut head = Vec::new();
        let digest = self.template.head(id, "app@app.test", "bob@far.test", &mut head).to_string();
        let mut slices = vec![IoSlice::new(&head)];
        assert!(self.template.slices(0, 100, &mut slices), "a short letter");
        let mut letter: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        letter.extend_from_slice(b".\r\n");
        session.wire.get_mut().write_all(&letter).map_err(failed(Moment::Doubt))?;
        session.hear(Moment::Doubt, b'2')?;
        if self.way == Way::PerMessage {
            // The message is promised; what becomes of QUIT is nobody's concern.
            let _ = session.ask("QUIT\r\n", b'2');
        }
        Ok(digest)
    }
}

impl Session {
    fn ask(&mut self, line: &str, good: u8) -> Result<String, Failed> {
        self.wire.get_mut().write_all(line.as_bytes()).map_err(failed(Moment::Session))?;
        let heard = self.hear(Moment::Session, good);
        heard.map_err(|(moment, what)| (moment, format!("{}: {what}", line.trim_end())))
    }

    /// The last line of an answer.
    fn hear(&mut self, moment: Moment, good: u8) -> Result<String, Failed> {
        loop {
            let mut line = String::new();
            match self.wire.read_line(&mut line) {
                Err(error) => return Err((moment, error.to_string())),
                Ok(0) => return Err((moment, "closed".into())),
                Ok(_) if line.as_bytes().get(3) == Some(&b'-') => {}
                Ok(_) if line.as_bytes().first() == Some(&good) => return Ok(line.trim_end().into()),
                // A refusal after the dot is an answer, not a doubt.
                Ok(_) => return Err((moment.min(Moment::Session), line.trim_end().into())),
            }
        }
    }
}

fn failed(moment: Moment) -> impl Fn(std::io::Error) -> Failed {
    move |error| (moment, error.to_string())
}

/// An application that hears nothing for so long gives the message up.
const PATIENCE: Duration = Duration::from_secs(20);
