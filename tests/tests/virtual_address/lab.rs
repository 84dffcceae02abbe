//! The world of these tests: three nodes, and somebody on the wire who asks all the time who has the address.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::cluster::{Cluster, Place};
use tests::{eventually, root};

pub const SOON: Duration = Duration::from_secs(60);
pub const FOUR: &str = "198.18.0.100";
pub const SIX: &str = "fd00:18::100";
pub const OUR_SIX: &str = "fd00:18::1";
/// What the namespaces' document says besides.
pub const DOCUMENT: &str = "[[virtual_address]]\nname = \"front\"\naddress = [\"198.18.0.100/24\", \"fd00:18::100/64\"]\ninterface = \"eth0\"\n\
                        servers = [\"n1.chaos.test\", \"n2.chaos.test\", \"n3.chaos.test\"]\nlease = \"4s\"\n";

/// Who said that it has the address: when, for which family, on being asked or not, which card.
#[derive(Clone, Debug)]
pub struct Said {
    pub at: Instant,
    pub six: bool,
    pub told: bool,
    pub mac: String,
}

/// Somebody on the wire who asks all the time.
pub struct Observer {
    child: Child,
    heard: Arc<Mutex<Vec<Said>>>,
}

impl Observer {
    pub fn start(cluster: &Cluster) -> Observer {
        let ours = cluster.net.address(Place::Hub).to_string();
        let mut command = cluster.net.command(Place::Hub, "python3");
        command.arg(root().join("tests/peers/who_has.py")).args(["br0", &ours, FOUR, OUR_SIX, SIX]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let to = heard.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let words: Vec<&str> = line.split(' ').collect();
                let said =
                    Said { at: Instant::now(), six: words[1] == "6", told: words[2] == "told", mac: words[3].into() };
                to.lock().unwrap().push(said);
            }
        });
        Observer { child, heard }
    }

    pub fn all(&self) -> Vec<Said> {
        self.heard.lock().unwrap().clone()
    }

    /// The card that answered last for the family.
    pub fn now(&self, six: bool) -> Option<String> {
        let all = self.all();
        let last = all.iter().rev().find(|said| said.six == six && !said.told)?;
        (last.at.elapsed() < Duration::from_millis(500)).then(|| last.mac.clone())
    }

    /// The cards that answered since then, one after the other. Of two that have it at a time this would be more than one change.
    pub fn turns(&self, since: Instant, six: bool) -> Vec<String> {
        let mut turns: Vec<String> = Vec::new();
        for said in self.all().into_iter().filter(|said| said.at >= since && said.six == six && !said.told) {
            if turns.last() != Some(&said.mac) {
                turns.push(said.mac);
            }
        }
        turns
    }

    /// The first answer of this card since then.
    pub fn first(&self, since: Instant, mac: &str, six: bool) -> Option<Duration> {
        let all = self.all();
        let mut answers = all.iter().filter(|said| said.at >= since && said.six == six && said.mac == mac);
        answers.find(|said| !said.told).map(|said| said.at - since)
    }

    pub fn announcements(&self, since: Instant, mac: &str, six: bool) -> usize {
        self.all().iter().filter(|said| said.at >= since && said.six == six && said.mac == mac && said.told).count()
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn ip(namespace: &str, words: &str) -> String {
    let out = Command::new("ip").args(["-n", namespace]).args(words.split(' ')).output().unwrap();
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// The test's world: nodes, and what has been seen of the address.
pub struct Lab {
    pub cluster: Cluster,
    pub observer: Observer,
}

impl Lab {
    pub fn up() -> Option<Lab> {
        let mut lab = Lab::begun()?;
        lab.start(DOCUMENT);
        Some(lab)
    }

    /// The network, etcd and the observer run; the nodes do not yet.
    pub fn begun() -> Option<Lab> {
        let cluster = Cluster::new(3)?;
        let hub = cluster.net.name(Place::Hub);
        ip(&hub, "link set br0 type bridge mcast_snooping 0");
        ip(&hub, &format!("-6 addr add {OUR_SIX}/64 dev br0 nodad"));
        let observer = Observer::start(&cluster);
        Some(Lab { cluster, observer })
    }

    /// All nodes run with these objects in their document besides, and one has the address.
    pub fn start(&mut self, objects: &str) {
        for node in &mut self.cluster.nodes {
            node.add_to_org(objects);
            node.start();
        }
        self.cluster.healthy();
        eventually("somebody has it", SOON, || self.holder().is_some());
        self.all_would_have_it();
    }

    pub fn all_would_have_it(&self) {
        let would = |number| self.status(number)["candidates"].as_array().map_or(0, Vec::len);
        eventually("all three would have it", SOON, || (1..=3).all(|number| would(number) == 3));
    }

    pub fn namespace(&self, number: usize) -> String {
        self.cluster.net.name(Place::Node(number))
    }

    pub fn mac(&self, number: usize) -> String {
        let said = ip(&self.namespace(number), "-o link show dev eth0");
        said.split("link/ether ").nth(1).unwrap().split(' ').next().unwrap().to_string()
    }

    pub fn has(&self, number: usize) -> bool {
        let shown = ip(&self.namespace(number), "addr show dev eth0");
        shown.contains(FOUR) || shown.contains(SIX)
    }

    /// The number of the node that answers for both families on the wire.
    pub fn holder(&self) -> Option<usize> {
        let (four, six) = (self.observer.now(false)?, self.observer.now(true)?);
        (1..=3).find(|number| self.mac(*number) == four && four == six)
    }

    pub fn status(&self, number: usize) -> Value {
        let said = self.cluster.nodes[number - 1].get("/api/v1/virtual-addresses");
        said.and_then(|(_, body)| serde_json::from_str::<Value>(&body).ok())
            .map_or(Value::Null, |all| all["virtual_addresses"][0].clone())
    }

    /// Another node than `from` has it. Says which one, and prints how long both families took.
    pub fn moved(&self, what: &str, from: usize, since: Instant) -> usize {
        let mut to = None;
        eventually(&format!("{what}: the address leaves n{from}"), SOON, || {
            to = self.holder().filter(|holder| *holder != from);
            to.is_some()
        });
        let to = to.unwrap();
        let (mac, ms) = (self.mac(to), |six| self.observer.first(since, &self.mac(to), six).unwrap().as_millis());
        println!("VIP {what}: n{from} -> n{to}: IPv4 {} ms, IPv6 {} ms", ms(false), ms(true));
        eventually("it is announced", SOON, || {
            self.observer.announcements(since, &mac, false) >= 2 && self.observer.announcements(since, &mac, true) >= 1
        });
        to
    }

    /// Since then the address went from one node to the other, and never back and forth.
    pub fn one_turn(&self, what: &str, since: Instant, from: usize, to: usize) {
        // What comes late shall have come.
        sleep(Duration::from_millis(300));
        for six in [false, true] {
            let turns = self.observer.turns(since, six);
            let expected = [vec![self.mac(from), self.mac(to)], vec![self.mac(to)]];
            assert!(
                expected.contains(&turns),
                "{what}: cards that answered one after the other: {turns:?}, expected {expected:?}"
            );
        }
    }

    /// The node serves (again), and would have the address.
    pub fn back(&mut self, number: usize) {
        if !self.cluster.node(number).is_started() {
            self.cluster.node(number).start();
        }
        self.cluster.healthy();
        self.all_would_have_it();
    }

    /// The guard's process of a node.
    pub fn guard(&mut self, number: usize) -> Option<u32> {
        let node = self.cluster.node(number).process().pid();
        fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let parent = status.lines().find_map(|line| line.strip_prefix("PPid:\t"))?;
            let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
            (parent == node.to_string() && words.contains("guard-addresses")).then_some(pid)
        })
    }

    /// A connection to the address on which the greeting was read: whoever reads on waits.
    pub fn connection(&self, port: u16) -> TcpStream {
        let at: SocketAddr = format!("{FOUR}:{port}").parse().unwrap();
        let stream = self.cluster.net.within(Place::Hub, || TcpStream::connect(at)).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut greeting = String::new();
        BufReader::new(&stream).read_line(&mut greeting).unwrap();
        assert!(greeting.starts_with("220 "), "{greeting}");
        stream
    }

    pub fn serving(&self) {
        let at: SocketAddr = format!("{FOUR}:25").parse().unwrap();
        eventually("the address takes connections", SOON, || {
            self.cluster.net.within(Place::Hub, || TcpStream::connect_timeout(&at, Duration::from_secs(1)).is_ok())
        });
    }
}

pub fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap().success());
}
