//! A virtual address between three nodes in network namespaces, over real etcd: each way to lose it, and who answers for it on the wire all the
//! time. Times are printed, not asserted. Needs root, iproute2, etcd and python3.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // a test of real processes

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::cluster::{Cluster, ETCDS, Place};
use tests::{eventually, root};

const SOON: Duration = Duration::from_secs(60);
const FOUR: &str = "198.18.0.100";
const SIX: &str = "fd00:18::100";
const OUR_SIX: &str = "fd00:18::1";
/// What the namespaces' document says besides.
const DOCUMENT: &str = "[[virtual_address]]\nname = \"front\"\naddress = [\"198.18.0.100/24\", \"fd00:18::100/64\"]\ninterface = \"eth0\"\n\
                        servers = [\"n1.chaos.test\", \"n2.chaos.test\", \"n3.chaos.test\"]\nlease = \"4s\"\n";

/// Who said that it has the address: when, for which family, on being asked or not, which card.
#[derive(Clone, Debug)]
struct Said {
    at: Instant,
    six: bool,
    told: bool,
    mac: String,
}

/// Somebody on the wire who asks all the time.
struct Observer {
    child: Child,
    heard: Arc<Mutex<Vec<Said>>>,
}

impl Observer {
    fn start(cluster: &Cluster) -> Observer {
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

    fn all(&self) -> Vec<Said> {
        self.heard.lock().unwrap().clone()
    }

    /// The card that answered last for the family.
    fn now(&self, six: bool) -> Option<String> {
        let all = self.all();
        let last = all.iter().rev().find(|said| said.six == six && !said.told)?;
        (last.at.elapsed() < Duration::from_millis(500)).then(|| last.mac.clone())
    }

    /// The cards that answered since then, one after the other. Of two that have it at a time this would be more than one change.
    fn turns(&self, since: Instant, six: bool) -> Vec<String> {
        let mut turns: Vec<String> = Vec::new();
        for said in self.all().into_iter().filter(|said| said.at >= since && said.six == six && !said.told) {
            if turns.last() != Some(&said.mac) {
                turns.push(said.mac);
            }
        }
        turns
    }

    /// The first answer of this card since then.
    fn first(&self, since: Instant, mac: &str, six: bool) -> Option<Duration> {
        let all = self.all();
        let mut answers = all.iter().filter(|said| said.at >= since && said.six == six && said.mac == mac);
        answers.find(|said| !said.told).map(|said| said.at - since)
    }

    fn announcements(&self, since: Instant, mac: &str, six: bool) -> usize {
        self.all().iter().filter(|said| said.at >= since && said.six == six && said.mac == mac && said.told).count()
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ip(namespace: &str, words: &str) -> String {
    let out = Command::new("ip").args(["-n", namespace]).args(words.split(' ')).output().unwrap();
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// The test's world: nodes, and what has been seen of the address.
struct Lab {
    cluster: Cluster,
    observer: Observer,
}

impl Lab {
    fn up() -> Option<Lab> {
        let mut cluster = Cluster::new(3)?;
        let hub = cluster.net.name(Place::Hub);
        ip(&hub, "link set br0 type bridge mcast_snooping 0");
        ip(&hub, &format!("-6 addr add {OUR_SIX}/64 dev br0 nodad"));
        for node in &mut cluster.nodes {
            node.add_to_org(DOCUMENT);
            node.start();
        }
        cluster.healthy();
        let observer = Observer::start(&cluster);
        let lab = Lab { cluster, observer };
        eventually("somebody has it", SOON, || lab.holder().is_some());
        lab.all_would_have_it();
        Some(lab)
    }

    fn all_would_have_it(&self) {
        let would = |number| self.status(number)["candidates"].as_array().map_or(0, Vec::len);
        eventually("all three would have it", SOON, || (1..=3).all(|number| would(number) == 3));
    }

    fn namespace(&self, number: usize) -> String {
        self.cluster.net.name(Place::Node(number))
    }

    fn mac(&self, number: usize) -> String {
        let said = ip(&self.namespace(number), "-o link show dev eth0");
        said.split("link/ether ").nth(1).unwrap().split(' ').next().unwrap().to_string()
    }

    fn has(&self, number: usize) -> bool {
        let shown = ip(&self.namespace(number), "addr show dev eth0");
        shown.contains(FOUR) || shown.contains(SIX)
    }

    /// The number of the node that answers for both families on the wire.
    fn holder(&self) -> Option<usize> {
        let (four, six) = (self.observer.now(false)?, self.observer.now(true)?);
        (1..=3).find(|number| self.mac(*number) == four && four == six)
    }

    fn status(&self, number: usize) -> Value {
        let said = self.cluster.nodes[number - 1].get("/api/v1/virtual-addresses");
        said.and_then(|(_, body)| serde_json::from_str::<Value>(&body).ok())
            .map_or(Value::Null, |all| all["virtual_addresses"][0].clone())
    }

    /// Another node than `from` has it. Says which one, and prints how long both families took.
    fn moved(&self, what: &str, from: usize, since: Instant) -> usize {
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
    fn one_turn(&self, what: &str, since: Instant, from: usize, to: usize) {
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

    /// The guard's process of a node.
    fn guard(&mut self, number: usize) -> Option<u32> {
        let node = self.cluster.node(number).process().pid();
        fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let parent = status.lines().find_map(|line| line.strip_prefix("PPid:\t"))?;
            let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
            (parent == node.to_string() && words.contains("guard-addresses")).then_some(pid)
        })
    }

    fn serving(&self) {
        let at: SocketAddr = format!("{FOUR}:25").parse().unwrap();
        eventually("the address takes connections", SOON, || {
            self.cluster.net.within(Place::Hub, || TcpStream::connect_timeout(&at, Duration::from_secs(1)).is_ok())
        });
    }
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap().success());
}

#[test]
fn it_moves_and_two_never_have_it() {
    let Some(mut lab) = Lab::up() else { return };
    lab.serving();
    let first = lab.holder().unwrap();
    println!("VIP first: n{first}: {}", lab.status(first));

    // By order, to a node and to whichever is next.
    let to = first % 3 + 1;
    let since = Instant::now();
    let (code, said) = lab.cluster.nodes[0].verb(&["vip", "move", "front", "--to", &format!("n{to}.chaos.test")]);
    assert_eq!(code, 0, "{said}");
    println!("VIP order: the verb says: {}", said.trim());
    assert_eq!(lab.moved("order", first, since), to);
    lab.one_turn("order", since, first, to);
    lab.serving();

    // Killed with kill -9: the guard is left behind, and cleans up.
    let since = Instant::now();
    let guard = lab.guard(to).expect("a guard runs");
    lab.cluster.node(to).kill();
    let next = lab.moved("kill -9", to, since);
    lab.one_turn("kill -9", since, to, next);
    assert!(!lab.has(to), "the guard removed it");
    eventually("the guard ends", SOON, || !fs::exists(format!("/proc/{guard}")).unwrap());
    lab.serving();

    // It returns: nothing moves.
    let since = Instant::now();
    lab.cluster.node(to).start();
    lab.cluster.healthy();
    lab.all_would_have_it();
    sleep(Duration::from_secs(2));
    lab.one_turn("no needless failback", since, next, next);

    lab.cluster.node(next).start_if_deposed();
}
