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
use tests::cluster::{Cluster, ETCDS, Net, Place};
use tests::process::{Process, http_post_at};
use tests::{binary, eventually, root};

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

    /// The node serves (again), and would have the address.
    fn back(&mut self, number: usize) {
        if !self.cluster.node(number).is_started() {
            self.cluster.node(number).start();
        }
        self.cluster.healthy();
        self.all_would_have_it();
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
    let mut at = lab.holder().unwrap();
    println!("VIP first: n{at}");
    at = by_order(&lab, at);
    at = killed(&mut lab, at);
    at = stopped(&mut lab, at);
    at = killed_with_its_guard(&mut lab, at);
    at = stopped_with_its_guard(&mut lab, at);
    at = cut_off(&mut lab, at);
    at = lease_ended(&lab, at);
    at = drained(&mut lab, at);
    etcd_away(&mut lab, at);
    ended(&mut lab);
}

/// By order, to a node that is named.
fn by_order(lab: &Lab, from: usize) -> usize {
    let to = from % 3 + 1;
    let since = Instant::now();
    let (code, said) = lab.cluster.nodes[0].verb(&["vip", "move", "front", "--to", &format!("n{to}.chaos.test")]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(lab.moved("order", from, since), to);
    lab.one_turn("order", since, from, to);
    let (code, said) = lab.cluster.nodes[0].verb(&["vip", "move", "front", "--to", &format!("n{to}.chaos.test")]);
    assert!(code == 1 && said.contains("already"), "{said}");
    lab.serving();
    to
}

/// kill -9: the guard is left behind, and cleans up. The node returns, and nothing moves.
fn killed(lab: &mut Lab, from: usize) -> usize {
    let guard = lab.guard(from).expect("a guard runs");
    let since = Instant::now();
    lab.cluster.node(from).kill();
    let to = lab.moved("kill -9", from, since);
    lab.one_turn("kill -9", since, from, to);
    assert!(!lab.has(from), "the guard removed it");
    eventually("the guard ends", SOON, || !fs::exists(format!("/proc/{guard}")).unwrap());
    lab.serving();
    let since = Instant::now();
    lab.back(from);
    sleep(Duration::from_secs(2));
    lab.one_turn("no needless failback", since, to, to);
    to
}

/// SIGSTOP of the node: the guard sees that it does not renew. When it goes on, it finds that it is late.
fn stopped(lab: &mut Lab, from: usize) -> usize {
    let since = Instant::now();
    lab.cluster.node(from).process().signal("STOP");
    let to = lab.moved("SIGSTOP", from, since);
    assert!(!lab.has(from), "the guard removed it");
    lab.cluster.node(from).process().signal("CONT");
    lab.back(from);
    assert!(!lab.has(from));
    lab.one_turn("SIGSTOP", since, from, to);
    to
}

/// kill -9 of both: the kernel ends the address, etcd the lease.
fn killed_with_its_guard(lab: &mut Lab, from: usize) -> usize {
    let guard = lab.guard(from).expect("a guard runs");
    let since = Instant::now();
    // The guard first: the kernel wakes up one that is stopped when its node dies (an orphaned process group).
    signal(guard, "KILL");
    lab.cluster.node(from).kill();
    eventually("the kernel ends it", SOON, || !lab.has(from));
    println!("VIP kill -9 of both: the kernel has ended it after {} ms", since.elapsed().as_millis());
    let to = lab.moved("kill -9 of both", from, since);
    lab.one_turn("kill -9 of both", since, from, to);
    lab.back(from);
    to
}

/// SIGSTOP of both, as when a machine hangs. They go on long after.
fn stopped_with_its_guard(lab: &mut Lab, from: usize) -> usize {
    let guard = lab.guard(from).expect("a guard runs");
    let since = Instant::now();
    signal(guard, "STOP");
    lab.cluster.node(from).process().signal("STOP");
    let to = lab.moved("SIGSTOP of both", from, since);
    assert!(!lab.has(from), "the kernel has ended it");
    lab.cluster.node(from).process().signal("CONT");
    signal(guard, "CONT");
    lab.back(from);
    lab.one_turn("SIGSTOP of both", since, from, to);
    to
}

/// The cable, with etcd on it.
fn cut_off(lab: &mut Lab, from: usize) -> usize {
    let since = Instant::now();
    lab.cluster.net.unplug(Place::Node(from));
    eventually("it drops what nobody reaches", SOON, || !lab.has(from));
    println!("VIP cable: dropped after {} ms", since.elapsed().as_millis());
    let to = lab.moved("cable", from, since);
    lab.cluster.net.plug(Place::Node(from));
    lab.back(from);
    lab.one_turn("cable", since, from, to);
    to
}

/// etcd ends the lease, as it does when it believes its holder dead.
fn lease_ended(lab: &Lab, from: usize) -> usize {
    let since = Instant::now();
    let etcd = SocketAddr::from((lab.cluster.net.etcd_address(0), 2379));
    let key = "L3Bvc3Rob3VzZS9jaGFvcy92aXAvZnJvbnQ="; // /posthouse/chaos/vip/front
    let ask = |path: &str, body: String| lab.cluster.net.within(Place::Etcd, || http_post_at(etcd, path, &body));
    let found: Value = serde_json::from_str(&ask("/v3/kv/range", format!("{{\"key\":\"{key}\"}}"))).unwrap();
    let lease = found["kvs"][0]["lease"].as_str().unwrap().to_string();
    let since = since.max(Instant::now());
    ask("/v3/lease/revoke", format!("{{\"ID\":\"{lease}\"}}"));
    // Whoever had it comes last; the next one takes it.
    let to = lab.moved("lease ended by etcd", from, since);
    lab.one_turn("lease ended by etcd", since, from, to);
    to
}

/// No service listens on the address here: what it needs is the node.
fn drained(lab: &mut Lab, from: usize) -> usize {
    let name = format!("n{from}.chaos.test");
    let since = Instant::now();
    let (code, said) = lab.cluster.nodes[0].verb(&["node", "drain", &name]);
    assert_eq!(code, 0, "{said}");
    let to = lab.moved("drain", from, since);
    lab.one_turn("drain", since, from, to);
    let (code, said) = lab.cluster.nodes[0].verb(&["node", "resume", &name]);
    assert_eq!(code, 0, "{said}");
    lab.back(from);
    to
}

/// Without etcd the holder cannot know whether the others are as blind as it is: nobody has the address, until etcd is back.
fn etcd_away(lab: &mut Lab, from: usize) {
    let since = Instant::now();
    (0..ETCDS).for_each(|member| lab.cluster.etcd.signal(member, "STOP"));
    eventually("it is dropped", SOON, || (1..=3).all(|number| !lab.has(number)));
    println!("VIP etcd away: n{from} has dropped it after {} ms", since.elapsed().as_millis());
    sleep(Duration::from_secs(3));
    assert!((1..=3).all(|number| !lab.has(number)), "nobody takes it");
    let back = Instant::now();
    (0..ETCDS).for_each(|member| lab.cluster.etcd.signal(member, "CONT"));
    eventually("somebody has it again", SOON, || lab.holder().is_some());
    println!("VIP etcd back: somebody has it after {} ms", back.elapsed().as_millis());
    lab.cluster.healthy();
    lab.serving();
}

/// SIGTERM: it is given away before anybody is refused.
fn ended(lab: &mut Lab) {
    let from = lab.holder().unwrap();
    lab.all_would_have_it();
    let since = Instant::now();
    let mut process = lab.cluster.node(from).take_process();
    process.signal("TERM");
    let to = lab.moved("SIGTERM", from, since);
    lab.one_turn("SIGTERM", since, from, to);
    assert!(process.wait(SOON).success());
}

/// The configuration of docs/operating/virtual-address-with-keepalived.md, as it stands there, with the addresses of the test.
fn keepalived_document(priority: u32) -> String {
    let page = fs::read_to_string(root().join("docs/operating/virtual-address-with-keepalived.md")).unwrap();
    let block = page.split("```").find(|block| block.contains("vrrp_instance")).unwrap().to_string();
    let posthouse = binary("posthouse");
    let priority = format!("priority {priority}");
    let address = format!("{FOUR}/24");
    let here = [
        ("/usr/bin/posthouse", posthouse.to_str().unwrap()),
        ("script_user nobody", "script_user root"),
        ("priority 100", &priority),
        ("192.0.2.10/24", &address),
    ];
    here.iter().fold(block, |text, (written, here)| {
        assert!(text.contains(written), "the page lacks {written}");
        text.replace(written, here)
    })
}

/// Two nodes without etcd, each with a keepalived that asks `posthouse health`.
struct Keepalived {
    net: Net,
    nodes: Vec<Process>,
    _keepalived: Vec<Process>,
    _keep: tempfile::TempDir,
}

impl Keepalived {
    fn up() -> Option<Keepalived> {
        let net = Net::new(2)?;
        ip(&net.name(Place::Hub), "link set br0 type bridge mcast_snooping 0");
        let keep = tempfile::tempdir().unwrap();
        let (mut nodes, mut keepalived) = (Vec::new(), Vec::new());
        for number in 1..=2usize {
            let place = Place::Node(number);
            let file = |name: &str| keep.path().join(format!("{name}{number}"));
            fs::write(
                file("posthouse.toml"),
                format!(
                    "name = \"n{number}.chaos.test\"\ndata = \"data{number}\"\n[http]\nlisten = \"127.0.0.1:8025\"\n"
                ),
            )
            .unwrap();
            let org = "[[receive_connector]]\nname = \"in\"\nlisten = [\"0.0.0.0:25\"]\ntls = \"off\"\n";
            fs::write(file("org.toml"), org).unwrap();
            let mut command = net.command(place, binary("posthouse"));
            command.arg("start").arg("--config").arg(file("posthouse.toml")).arg("--org").arg(file("org.toml"));
            nodes.push(Process::start(command.current_dir(keep.path()), &file("node.log")));
            fs::write(file("keepalived.conf"), keepalived_document(100 - number as u32)).unwrap();
            let mut command = net.command(place, "keepalived");
            command.args(["--dont-fork", "--log-console", "--vrrp", "-f"]).arg(file("keepalived.conf"));
            command.arg("-p").arg(file("pid")).arg("-r").arg(file("vrrp.pid"));
            keepalived.push(Process::start(&mut command, &file("keepalived.log")));
        }
        Some(Keepalived { net, nodes, _keepalived: keepalived, _keep: keep })
    }

    fn verb(&self, number: usize, words: &[&str]) -> i32 {
        let out = self.net.command(Place::Node(number), binary("posthouse")).args(words).output().unwrap();
        out.status.code().unwrap_or(-1)
    }

    fn holders(&self) -> Vec<usize> {
        let has = |number: &usize| ip(&self.net.name(Place::Node(*number)), "addr show dev eth0").contains(FOUR);
        (1..=2).filter(has).collect()
    }

    fn moved(&self, what: &str, from: usize, since: Instant) -> usize {
        let to = 3 - from;
        eventually(&format!("{what}: it moves to n{to}"), SOON, || self.holders() == [to]);
        println!("VIP keepalived {what}: n{from} -> n{to} after {} ms", since.elapsed().as_millis());
        to
    }
}

#[test]
fn keepalived_moves_it_when_our_check_says_so() {
    let Some(mut lab) = Keepalived::up() else { return };
    eventually("both are ready", SOON, || (1..=2).all(|number| lab.verb(number, &["health"]) == 0));
    eventually("one has it", SOON, || lab.holders().len() == 1);
    let mut at = lab.holders()[0];
    let at_address: SocketAddr = format!("{FOUR}:25").parse().unwrap();
    let serves = |lab: &Keepalived| {
        lab.net.within(Place::Hub, || TcpStream::connect_timeout(&at_address, Duration::from_secs(1)).is_ok())
    };
    assert!(serves(&lab));

    let since = Instant::now();
    assert_eq!(lab.verb(at, &["node", "drain"]), 0);
    assert_eq!(lab.verb(at, &["health"]), 1, "the check says no");
    let drained = at;
    at = lab.moved("drain", at, since);
    assert!(serves(&lab));
    assert_eq!(lab.verb(drained, &["node", "resume"]), 0);
    eventually("it is ready again", SOON, || lab.verb(drained, &["health"]) == 0);
    sleep(Duration::from_secs(5));
    assert_eq!(lab.holders(), [at], "no needless move back");

    let since = Instant::now();
    lab.nodes[at - 1].kill();
    assert_eq!(lab.verb(at, &["health"]), 3, "nobody answers");
    lab.moved("kill -9", at, since);
    assert!(serves(&lab));
}
