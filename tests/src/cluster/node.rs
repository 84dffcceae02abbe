//! One node of the cluster, alone in its namespace.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde_json::Value;

use super::TTL_S;
use super::net::{ETCDS, Net, Place};
use crate::process::{Process, greets, http_get_within};
use crate::two::pki;
use crate::wire::Wire;
use crate::{binary, eventually};

/// A node: its documents, its data directory, its process.
pub struct ClusterNode {
    pub number: usize,
    pub name: String,
    dir: PathBuf,
    log: PathBuf,
    namespace: String,
    process: Option<Process>,
}

/// Where it takes mail in its namespace.
pub const SMTP: u16 = 25;
const HTTP: u16 = 8025;
const LINKS: u16 = 2526;
/// Connections to the sink: no more messages than that are between a dot and its answer, times what is pipelined.
pub const CONNECTIONS: usize = 10;

impl ClusterNode {
    /// Documents and certificates; not started.
    pub fn new(net: &Net, keep: &Path, number: usize, nodes: usize) -> ClusterNode {
        let org = org_document(&net.address(Place::Hub).to_string());
        ClusterNode::in_organization(net, keep, number, nodes, &org)
    }

    /// The same with another document of the organization.
    pub fn in_organization(net: &Net, keep: &Path, number: usize, nodes: usize, org: &str) -> ClusterNode {
        let name = format!("n{number}.chaos.test");
        let node = node_document(net, &name, number, nodes);
        ClusterNode::with(net, keep, number, &name, [&node, org])
    }

    /// One with these documents: that of the node, that of the organization. Not started.
    pub fn with(net: &Net, keep: &Path, number: usize, name: &str, documents: [&str; 2]) -> ClusterNode {
        let address = net.address(Place::Node(number));
        pki(keep, &["issue", name, "--address", &address.to_string()]);
        let dir = keep.join(format!("n{number}"));
        fs::create_dir(&dir).unwrap();
        for (file, text) in ["posthouse.toml", "org.toml"].iter().zip(documents) {
            fs::write(dir.join(file), text).unwrap();
        }
        let (log, namespace) = (keep.join(format!("n{number}.log")), net.name(Place::Node(number)));
        ClusterNode { number, name: name.into(), dir, log, namespace, process: None }
    }

    /// Puts another organization document in the place of its own and has it read.
    pub fn reload(&self, org: &str) {
        fs::write(self.dir.join("org.toml"), org).unwrap();
        let (code, said) = self.verb(&["reload"]);
        assert_eq!(code, 0, "{}: {said}", self.name);
    }

    /// Its connector takes mail without a copy when there is nobody to keep one; before it is started.
    pub fn accept_when_short(&self) {
        let file = self.dir.join("org.toml");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains("when_short = \"refuse\""));
        fs::write(&file, text.replace("when_short = \"refuse\"", "when_short = \"accept\"")).unwrap();
    }

    /// Adds objects to its organization document, before it is started.
    pub fn add_to_org(&self, objects: &str) {
        let file = self.dir.join("org.toml");
        fs::write(&file, fs::read_to_string(&file).unwrap() + objects).unwrap();
    }

    /// Its document of the organization, as it was written.
    pub fn org_file(&self) -> PathBuf {
        self.dir.join("org.toml")
    }

    /// Where its data is.
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Starts it and waits until its API answers.
    pub fn start(&mut self) {
        self.start_only();
        eventually(&format!("{} answers", self.name), Duration::from_secs(30), || {
            assert!(self.process().is_running(), "{} ended at start:\n{}", self.name, self.log());
            self.status().is_some()
        });
    }

    /// Starts it.
    pub fn start_only(&mut self) {
        self.start_by(self.command(binary("posthouse")));
    }

    /// Starts it by these words before its own: with other rights than ours.
    pub fn start_as(&mut self, words: &[&str]) {
        let mut command = self.command(words[0]);
        command.args(&words[1..]).arg(binary("posthouse"));
        self.start_by(command);
    }

    fn start_by(&mut self, mut command: Command) {
        assert!(self.process.is_none(), "{} runs", self.name);
        command.args(["start", "--config", "posthouse.toml", "--org", "org.toml"]).current_dir(&self.dir);
        self.process = Some(Process::start(&mut command, &self.log));
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.namespace)).arg("--").arg(program);
        command
    }

    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the node was started")
    }

    /// Its process, whose end is the caller's business from now on.
    pub fn take_process(&mut self) -> Process {
        self.process.take().expect("the node was started")
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Its disk is gone.
    pub fn lose_disk(&self) {
        for entry in fs::read_dir(self.data()).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
        }
    }

    /// SIGTERM and its orderly end.
    pub fn stop(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("the node was started");
        process.signal("TERM");
        process.wait(Duration::from_secs(60))
    }

    /// Starts it again if it has ended because its journal was taken over. Any other end by itself is a failure.
    pub fn start_if_deposed(&mut self) {
        let ended = self.process.as_mut().and_then(|process| {
            let running = process.is_running();
            (!running).then(|| process.wait(Duration::from_secs(1)).code())
        });
        let Some(code) = ended else { return };
        assert_eq!(code, Some(75), "{} ended by itself:\n{}", self.name, super::tail(&self.log(), 60));
        self.process = None;
        self.start_only();
    }

    /// Whether its process runs, as far as we know.
    pub fn is_started(&self) -> bool {
        self.process.is_some()
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Its status, if its API answers.
    pub fn status(&self) -> Option<Value> {
        let (code, body) = self.get("/api/v1/status")?;
        (code == 200).then(|| serde_json::from_str(&body).ok()).flatten()
    }

    /// GET over HTTP: status and body, if it answers.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        http_get_within(&self.namespace, HTTP, path)
    }

    /// Whether another node has a level copy of a journal that this one took over, as its log says.
    pub fn copied(&self, journal: &str) -> bool {
        let log = self.log();
        log.lines().any(|line| line.contains(journal) && line.contains("copies that count: n"))
    }

    /// Whether a copy of its own journal counts that is not on this node.
    pub fn is_protected_without(&self, dead: &str) -> bool {
        let Some(status) = self.status() else { return false };
        let counts =
            |copy: &Value| copy["counts"] == true && !copy["holder"].as_str().unwrap_or(dead).starts_with(dead);
        status["copies"].as_array().is_some_and(|copies| copies.iter().any(counts))
    }

    /// What keeps it from being well, if something does.
    pub fn why_not_well(&self) -> Option<String> {
        let Some(status) = self.status() else { return Some(format!("{} does not answer", self.name)) };
        let list = |key: &str| status[key].as_array().cloned().unwrap_or_default();
        let what = match () {
            () if status["ready"] != true => format!("not ready: {}", status["reasons"]),
            () if !list("copies").iter().any(|copy| copy["counts"] == true) => {
                format!("no copy counts: {}", status["copies"])
            }
            () if !list("taken").is_empty() => format!("still delivers what it took: {}", status["taken"]),
            () => return None,
        };
        Some(format!("{}: {what}", self.name))
    }

    /// A verb of the command line, where the node is: exit code and what it printed.
    pub fn verb(&self, arguments: &[&str]) -> (i32, String) {
        let out = self.command(binary("posthouse")).args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        (out.status.code().unwrap_or(-1), text)
    }

    /// What it says to a message in the end: to the content, or to what came before if that was refused. Empty if nobody answers.
    pub fn mail_answer(&self, net: &Net) -> String {
        net.within(Place::Node(self.number), || {
            let Ok(stream) = TcpStream::connect(("127.0.0.1", SMTP)) else { return String::new() };
            let mut wire = Wire::over(stream);
            wire.reply();
            let words = ["EHLO app.test", "MAIL FROM:<app@app.test>", "RCPT TO:<bob@far.test>", "DATA"];
            for word in words {
                let answer = wire.command(word);
                if !answer.starts_with(['2', '3']) {
                    return answer;
                }
            }
            wire.command("Subject: is anybody there\r\n\r\nHello.\r\n.")
        })
    }

    /// It says 220.
    pub fn greets(&self, net: &Net) -> bool {
        net.within(Place::Node(self.number), || greets(SMTP))
    }
}

fn node_document(net: &Net, name: &str, number: usize, nodes: usize) -> String {
    let endpoints: Vec<String> = (0..ETCDS).map(|m| format!("\"http://{}:2379\"", net.etcd_address(m))).collect();
    let mut text = format!(
        "name = \"{name}\"\ndata = \"data\"\n[http]\nlisten = \"127.0.0.1:{HTTP}\"\n[peers]\nlisten = \"{}:{LINKS}\"\n\
         certificate = \"../pki/nodes/{name}/certificate.pem\"\nkey = \"../pki/nodes/{name}/key.pem\"\n\
         ca = \"../pki/nodes/{name}/ca.pem\"\nheartbeat = \"300ms\"\n[cluster]\nendpoints = [{}]\nprefix = \"/posthouse/chaos\"\n\
         ttl = \"{TTL_S}s\"\n[journal]\nsegment_size = \"4MB\"\nkeep_free = \"8MB\"\n[limits]\nconnection_rate_per_minute = 0\n",
        net.address(Place::Node(number)),
        endpoints.join(", "),
    );
    for other in (1..=nodes).filter(|other| *other != number) {
        let address = net.address(Place::Node(other));
        text += &format!("[[peer]]\nname = \"n{other}.chaos.test\"\naddress = \"{address}:{LINKS}\"\n");
    }
    text
}

fn org_document(hub: &str) -> String {
    format!(
        "postmaster = \"postmaster@chaos.test\"\n[[receive_connector]]\nname = \"in\"\nlisten = [\"0.0.0.0:{SMTP}\"]\n\
         remote = [\"198.18.0.0/16\", \"127.0.0.0/8\"]\ntls = \"off\"\npermissions = [\"anonymous\", \"relay\"]\ncopies = 1\n\
         when_short = \"refuse\"\nconnections_per_source_max = 1000\nconnections_per_source_percent_max = 100\ntarpit_ms = 0\n\
         [[send_connector]]\nname = \"out\"\ndomains = [\"*\"]\nsmart_hosts = [\"{hub}:25\"]\ntls = \"off\"\n\
         connections_max = {CONNECTIONS}\ngreeting_timeout = \"4s\"\ncommand_timeout = \"4s\"\ndata_timeout = \"4s\"\n\
         data_end_timeout = \"4s\"\n[retry]\nglitch_count = 1000\nglitch_interval = \"1s\"\nmessage_retry_interval = \"1s\"\n\
         poison_after = 100\n"
    )
}
