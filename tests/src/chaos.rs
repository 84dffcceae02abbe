//! Generator, sink and ledgers of the chaos tests: what was promised, what arrived, and what lies between.
//!
//! The generator writes a line for each 250 before it sends anything else on that session; the sink writes a line for each
//! message before it answers. Both survive every kill of the node, so the two files are the truth to compare it with.

use crate::process::{Node, Process};
use crate::{binary, eventually, free_port};
use std::collections::HashMap;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// One next hop: `mail-sink` on a port of its own, with a word that says how it behaves.
pub struct Sink {
    pub port: u16,
    pub ledger: PathBuf,
    control: PathBuf,
    log: PathBuf,
    process: Option<Process>,
}

impl Sink {
    /// A sink in `dir`, not started yet.
    pub fn new(dir: &Path, name: &str) -> Sink {
        let file = |what: &str| dir.join(format!("{name}.{what}"));
        Sink { port: free_port(), ledger: file("ledger"), control: file("control"), log: file("log"), process: None }
    }

    /// A started one that accepts.
    pub fn started(dir: &Path, name: &str) -> Sink {
        let mut sink = Sink::new(dir, name);
        sink.restart("accept");
        sink
    }

    /// Kills it if it runs, and starts it in this mode.
    pub fn restart(&mut self, mode: &str) {
        self.kill();
        fs::write(&self.control, mode).unwrap();
        let mut command = Command::new(binary("mail-sink"));
        command.args(["--listen", &format!("127.0.0.1:{}", self.port), "--seconds", "3600", "--mode", mode]);
        command.arg("--ledger").arg(&self.ledger).arg("--control").arg(&self.control);
        let mut process = Process::start(&mut command, &self.log);
        eventually("the sink listens", Duration::from_secs(10), || {
            assert!(process.is_running(), "the sink ended: {}", process.output());
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
        self.process = Some(process);
    }

    /// Changes its mode; it looks ten times a second.
    pub fn behave(&self, mode: &str) {
        fs::write(&self.control, mode).unwrap();
    }

    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// What has arrived so far.
    pub fn arrived(&self) -> Arrivals {
        Arrivals::read(&self.ledger)
    }
}

/// One run of `mail-source` against a node.
pub struct Source {
    pub ledger: PathBuf,
    pub doubts: PathBuf,
    process: Process,
}

impl Source {
    /// Starts one; `prefix` is what its message ids begin with, `options` are those of `mail-source`.
    pub fn start(dir: &Path, port: u16, prefix: &str, options: &[&str]) -> Source {
        let command = Command::new(binary("mail-source"));
        Source::start_by(command, dir, &format!("127.0.0.1:{port}"), prefix, options)
    }

    /// The same by a command that ends with the generator's name, at any address.
    pub fn start_by(mut command: Command, dir: &Path, to: &str, prefix: &str, options: &[&str]) -> Source {
        let file = |what: &str| dir.join(format!("source-{prefix}.{what}"));
        let (ledger, doubts) = (file("ledger"), file("doubts"));
        fs::write(&ledger, "").unwrap();
        fs::write(&doubts, "").unwrap();
        command.args(["--to", to, "--id-prefix", prefix]).args(options);
        command.arg("--ledger").arg(&ledger).arg("--doubts").arg(&doubts);
        let process = Process::start(&mut command, &file("log"));
        Source { ledger, doubts, process }
    }

    /// Waits until it has ended by itself; its line of JSON.
    pub fn result(&mut self, bound: Duration) -> serde_json::Value {
        self.process.wait(bound);
        let output = self.process.output();
        let line = output.lines().rfind(|line| line.starts_with('{'));
        line.and_then(|line| serde_json::from_str(line).ok()).unwrap_or_else(|| panic!("mail-source said: {output}"))
    }

    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Every promise: the message's id, and the digest of its body.
    pub fn promised(&self) -> HashMap<String, String> {
        let lines = fs::read_to_string(&self.ledger).unwrap();
        whole_lines(&lines).filter_map(|line| Some((word(line, 0)?, word(line, 1)?))).collect()
    }

    /// What the node called each message that it promised: the third word of its answer.
    pub fn names(&self) -> HashMap<String, String> {
        let lines = fs::read_to_string(&self.ledger).unwrap();
        whole_lines(&lines).filter_map(|line| Some((word(line, 0)?, word(line, 4)?))).collect()
    }

    /// The messages of [`Source::doubts`].
    pub fn doubted(&self) -> Vec<String> {
        whole_lines(&fs::read_to_string(&self.doubts).unwrap()).filter_map(|line| word(line, 0)).collect()
    }

    /// Connections that died between the dot and its answer. The generator sends such a message again: it may arrive twice.
    pub fn doubts(&self) -> usize {
        whole_lines(&fs::read_to_string(&self.doubts).unwrap()).count()
    }
}

/// What a sink wrote down.
#[derive(Default)]
pub struct Arrivals {
    /// Taken with a 250 (or about to be): digest and number of times, by id.
    pub taken: HashMap<String, (String, usize)>,
    /// Bodies that are not what their own header says.
    pub bad: usize,
    /// Came whole, but got no 250: the node has to send them again.
    pub unanswered: usize,
}

impl Arrivals {
    /// Reads a sink's ledger.
    pub fn read(ledger: &Path) -> Arrivals {
        let mut arrivals = Arrivals::default();
        for line in whole_lines(&fs::read_to_string(ledger).unwrap_or_default()) {
            let (Some(id), Some(digest), Some(state), Some(outcome)) =
                (word(line, 0), word(line, 1), word(line, 2), word(line, 3))
            else {
                panic!("{}: {line:?}", ledger.display());
            };
            arrivals.bad += usize::from(state == "BAD");
            match outcome.as_str() {
                "accepted" | "late" => arrivals.taken.entry(id).or_insert((digest, 0)).1 += 1,
                _ => arrivals.unanswered += 1,
            }
        }
        arrivals
    }

    /// Promised ids that have not arrived, or not with the body that was promised.
    pub fn missing<'a>(&self, promised: &'a HashMap<String, String>) -> Vec<&'a String> {
        let arrived = |id: &String, digest: &String| self.taken.get(id).is_some_and(|(came, _)| came == digest);
        promised.iter().filter(|(id, digest)| !arrived(id, digest)).map(|(id, _)| id).collect()
    }

    /// How many messages have arrived.
    pub fn messages(&self) -> usize {
        self.taken.len()
    }

    /// Messages that came more than once.
    pub fn doubled(&self) -> Vec<&String> {
        self.taken.iter().filter(|(_, (_, times))| *times > 1).map(|(id, _)| id).collect()
    }

    /// Arrivals beyond the first of each message.
    pub fn duplicates(&self) -> usize {
        self.taken.values().map(|(_, times)| times - 1).sum()
    }
}

/// Writes the two documents of a node that relays each domain to its sink, with a ladder of seconds.
pub fn configure(node: &Node, routes: &[(&str, &Sink)], journal: &str) {
    configure_org(node, routes);
    fs::write(node.dir.join("posthouse.toml"), format!("name = \"node.chaos.test\"\n{NODE}{journal}")).unwrap();
}

/// Writes the organization document alone.
pub fn configure_org(node: &Node, routes: &[(&str, &Sink)]) {
    let mut org = format!(
        "postmaster = \"postmaster@chaos.test\"\n[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:{}\"]\n\
         tls = \"off\"\npermissions = [\"anonymous\", \"relay\"]\nconnections_per_source_max = 1000\n\
         connections_per_source_percent_max = 100\ntarpit_ms = 0\n",
        node.smtp
    );
    for (domain, sink) in routes {
        let name = domain.replace(['.', '*'], "-");
        org.push_str(&format!(
            "[[send_connector]]\nname = \"to{name}\"\ndomains = [\"{domain}\"]\nsmart_hosts = [\"127.0.0.1:{}\"]\n\
             tls = \"off\"\nconnections_max = {CONNECTIONS}\ngreeting_timeout = \"4s\"\ncommand_timeout = \"4s\"\n\
             data_timeout = \"4s\"\ndata_end_timeout = \"4s\"\n",
            sink.port
        ));
    }
    // Kills are not the messages' fault here: none of them is to be set aside.
    org.push_str(
        "[retry]\nglitch_count = 1000\nglitch_interval = \"1s\"\nmessage_retry_interval = \"1s\"\npoison_after = 100\n",
    );
    fs::write(node.dir.join("org.toml"), org).unwrap();
}

/// Every kill makes all generator sessions connect again at once.
const NODE: &str = "[limits]\nconnection_rate_per_minute = 0\n";

/// A node that is configured so; not started.
pub fn node() -> Node {
    Node::new(&["--config", "posthouse.toml", "--org", "org.toml"])
}

/// Connections to one next hop: no more messages than that are between a dot and its answer, times what is pipelined.
pub const CONNECTIONS: usize = 20;

/// Waits until all that was promised has arrived, unharmed.
pub fn all_arrive(promised: &HashMap<String, String>, sink: &Sink, bound: Duration) -> Arrivals {
    let end = std::time::Instant::now() + bound;
    loop {
        let arrivals = sink.arrived();
        let missing = arrivals.missing(promised);
        if missing.is_empty() {
            assert_eq!(arrivals.bad, 0, "bodies changed on their way");
            return arrivals;
        }
        assert!(
            std::time::Instant::now() < end,
            "{} of {} promised messages did not arrive within {bound:?}, e.g. {:?}",
            missing.len(),
            promised.len(),
            &missing[..missing.len().min(5)]
        );
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// Numbers that look random, and are the same for the same seed.
pub struct Dice(u64);

impl Dice {
    /// From `CHAOS_SEED`, or from the clock; printed, so that a failure's seed is known.
    pub fn new() -> Dice {
        let clock = || std::time::UNIX_EPOCH.elapsed().map_or(1, |since| since.as_micros() as u64);
        let seed = std::env::var("CHAOS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(clock);
        println!("CHAOS_SEED={seed}");
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// One of `0..below`.
    pub fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % below
    }

    /// Sleeps for up to so many milliseconds.
    pub fn nap(&mut self, most_ms: u64) {
        let ms = self.roll(most_ms + 1);
        std::thread::sleep(Duration::from_millis(ms));
    }
}

impl Default for Dice {
    fn default() -> Dice {
        Dice::new()
    }
}

/// A line that a kill cut in two promises nothing.
fn whole_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'))
}

fn word(line: &str, index: usize) -> Option<String> {
    line.split(' ').nth(index).map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_tells_lost_changed_and_doubled() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger");
        let lines = "m-1 aa-1 ok accepted u@x\nm-2 bb-1 BAD accepted u@x\nm-1 aa-1 ok late u@x\nm-3 cc-1 ok dropped u@x\nm-4 dd-1 ok acc";
        fs::write(&path, lines).unwrap();
        let arrivals = Arrivals::read(&path);
        assert_eq!((arrivals.bad, arrivals.unanswered, arrivals.duplicates()), (1, 1, 1));
        let promised = ["m-1 aa-1", "m-2 b0-1", "m-3 cc-1", "m-4 dd-1"];
        let promised: HashMap<String, String> =
            promised.iter().filter_map(|line| Some((word(line, 0)?, word(line, 1)?))).collect();
        let mut missing = arrivals.missing(&promised);
        missing.sort();
        assert_eq!(missing, ["m-2", "m-3", "m-4"]);
    }
}
