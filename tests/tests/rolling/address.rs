//! A virtual address in a restart of its holder, over real etcd, in network namespaces: it never leaves the interface, its key in etcd does
//! not change, and whoever dies on the way leaves nothing behind. Needs root, iproute2 and etcd.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;

use serde_json::Value;
use tests::cluster::{Cluster, Place};
use tests::eventually;
use tests::process::{Process, http_post_at, within};

use super::restarts::{hears_frame, says};
use super::{Applications, asks, connect_at, message};

const SOON: Duration = Duration::from_secs(60);
const FOUR: &str = "198.18.0.100";
const SIX: &str = "fd00:18::100";
const PORT: u16 = 2525;
const NODES: usize = 2;

/// Two nodes; the address, and a service on it that both nodes are members of.
struct Lab {
    cluster: Cluster,
}

impl Lab {
    fn up() -> Option<Lab> {
        let mut cluster = Cluster::new(NODES)?;
        let members: String = (1..=NODES)
            .map(|number| {
                let at = cluster.net.address(Place::Node(number));
                format!("[[member]]\nname = \"m{number}\"\nservice = \"front\"\naddress = \"{at}:25\"\n")
            })
            .collect();
        let document = format!(
            "[[virtual_address]]\nname = \"front\"\naddress = [\"{FOUR}/24\", \"{SIX}/64\"]\ninterface = \"eth0\"\n\
             [[service]]\nname = \"front\"\nlisten = [\"{FOUR}:{PORT}\"]\nproxy = \"none\"\nprobe_interval = \"500ms\"\n{members}"
        );
        let folder = cluster.dir();
        for node in &mut cluster.nodes {
            // What is proven here is not the copies: with two nodes none counts while one of them restarts.
            let file = folder.join(format!("n{}/org.toml", node.number));
            let text =
                fs::read_to_string(&file).unwrap().replace("copies = 1\nwhen_short = \"refuse\"\n", "copies = 0\n");
            fs::write(&file, text).unwrap();
            node.add_to_org(&document);
            node.start();
        }
        let mut lab = Lab { cluster };
        eventually("one has it", SOON, || lab.holder().is_some());
        lab.all_would_have_it();
        Some(lab)
    }

    fn all_would_have_it(&mut self) {
        eventually("all would have it", SOON, || {
            (1..=NODES).all(|number| self.shown(number)["candidates"].as_array().map_or(0, Vec::len) == NODES)
        });
    }

    fn shown(&self, number: usize) -> Value {
        let said = self.cluster.nodes[number - 1].get("/api/v1/virtual-addresses");
        said.and_then(|(_, body)| serde_json::from_str::<Value>(&body).ok())
            .map_or(Value::Null, |all| all["virtual_addresses"][0].clone())
    }

    fn namespace(&self, number: usize) -> String {
        self.cluster.net.name(Place::Node(number))
    }

    /// Whether the interface has all of it.
    fn has(&self, number: usize) -> bool {
        let shown = ip(&self.namespace(number), "addr show dev eth0");
        shown.contains(FOUR) && shown.contains(SIX)
    }

    /// Whether it has any of it.
    fn has_some(&self, number: usize) -> bool {
        let shown = ip(&self.namespace(number), "addr show dev eth0");
        shown.contains(FOUR) || shown.contains(SIX)
    }

    fn holder(&self) -> Option<usize> {
        (1..=NODES).find(|number| self.has(*number))
    }

    /// Another node than `from` has it, and `from` has nothing of it.
    fn moved(&self, what: &str, from: usize) {
        eventually(&format!("{what}: the other one has it"), SOON, || {
            !self.has_some(from) && self.holder().is_some_and(|holder| holder != from)
        });
    }

    /// The key in etcd: its lease and its last change.
    fn key(&self) -> (String, String) {
        let etcd = SocketAddr::from((self.cluster.net.etcd_address(0), 2379));
        let ask = "{\"key\":\"L3Bvc3Rob3VzZS9jaGFvcy92aXAvZnJvbnQ=\"}"; // /posthouse/chaos/vip/front
        let said = self.cluster.net.within(Place::Etcd, || http_post_at(etcd, "/v3/kv/range", ask));
        let found: Value = serde_json::from_str(&said).unwrap();
        let word = |key: &str| found["kvs"][0][key].as_str().unwrap_or_default().to_string();
        (word("lease"), word("mod_revision"))
    }

    fn pid(&self, number: usize) -> Option<u32> {
        let lock = self.cluster.nodes[number - 1].data().join("lock");
        fs::read_to_string(lock).ok()?.trim().parse().ok()
    }

    /// Everything that changes on the interface of a node, from now on.
    fn watch(&self, number: usize) -> Process {
        let mut command = Command::new("ip");
        command.args(["-n", &self.namespace(number), "monitor", "address"]).stdout(Stdio::null());
        let process = Process::start(&mut command, &self.cluster.dir().join(format!("monitor{number}.log")));
        // It sees that the address lives longer, four times a second: then it looks.
        eventually("the interface is watched", SOON, || process.output().contains(FOUR));
        process
    }

    /// One that was succeeded is not ours to wait for.
    fn restart(&mut self, number: usize) {
        let before = self.pid(number);
        let (code, said) = self.cluster.nodes[number - 1].verb(&["restart"]);
        assert_eq!(code, 0, "{said}\n{}", self.cluster.nodes[number - 1].log());
        assert_ne!(self.pid(number), before);
    }

    /// Speaks with the process that runs as one that would succeed it, until it has ended its mail.
    fn rival(&self, number: usize) -> UnixStream {
        let mut wire = UnixStream::connect(self.cluster.nodes[number - 1].data().join("succession")).unwrap();
        says(&mut wire, r#"{"Hello":{"protocol":2,"process":1,"version":"x"}}"#);
        assert!(hears_frame(&mut wire).contains("Sockets"));
        says(&mut wire, "\"Yield\"");
        assert!(hears_frame(&mut wire).contains("Yielded"));
        wire
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for pid in (1..=NODES).filter_map(|number| self.pid(number)) {
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status();
        }
    }
}

fn ip(namespace: &str, words: &str) -> String {
    let out = Command::new("ip").args(["-n", namespace]).args(words.split(' ')).output().unwrap();
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn kill(pid: u32) {
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
}

/// An application on another machine, with a connection for each message, that knows one address.
fn to_the_address(hub: &str, sent: &AtomicUsize) -> Result<(), String> {
    within(hub, || {
        let mut wire = connect_at(format!("{FOUR}:{PORT}").parse().unwrap())?;
        message(&mut wire, sent)?;
        asks(&mut wire, "QUIT", "221")
    })
}

#[test]
fn the_address_stays_where_it_is_while_its_holder_restarts_and_nobody_notices() {
    let Some(mut lab) = Lab::up() else { return };
    let at = lab.holder().unwrap();
    let key = lab.key();
    let watch = lab.watch(at);
    let first = lab.cluster.node(at).take_process();
    let hub = lab.cluster.net.name(Place::Hub);
    let mut applications = Applications::new();
    for _ in 0..3 {
        let hub = hub.clone();
        applications =
            applications.add(PORT, move |_: u16, _: &AtomicBool, sent: &AtomicUsize| to_the_address(&hub, sent));
    }
    for _ in 0..RESTARTS {
        applications.wait_for(20);
        lab.restart(at);
    }
    applications.wait_for(20);
    println!("VIP restart: {} messages in {RESTARTS} restarts of the holder, none refused", applications.end());
    assert_eq!(lab.key(), key, "in etcd nothing has changed");
    let said = watch.output();
    assert!(!said.contains("Deleted"), "it never left the interface:\n{said}");
    assert_eq!(lab.shown(at)["here"], true);
    drop(first);

    // The process that has it now is watched over by a guard of its own.
    lab.all_would_have_it();
    kill(lab.pid(at).unwrap());
    lab.moved("kill -9 of the last process", at);
}

#[test]
fn whoever_dies_in_a_restart_leaves_no_address_behind() {
    let Some(mut lab) = Lab::up() else { return };
    let at = lab.holder().unwrap();
    let (key, watch) = (lab.key(), lab.watch(at));
    let first = lab.cluster.node(at).take_process();

    // The new process dies before it takes the address: the old one has kept it, and the next new one takes it.
    let rival = lab.rival(at);
    std::thread::sleep(Duration::from_secs(5));
    assert!(lab.has(at), "longer than a lease, and the mail of the old process has ended");
    drop(rival);
    eventually("the next process serves", SOON, || lab.pid(at) != Some(first.pid()) && lab.shown(at)["here"] == true);
    assert_eq!(lab.key(), key);
    assert!(!watch.output().contains("Deleted"), "{}", watch.output());
    drop(watch);
    lab.all_would_have_it();

    // It dies with the address in its hands: the guard, whose pipe it has, acts at once.
    let mut rival = lab.rival(at);
    says(&mut rival, "\"Addresses\"");
    let given = hears_frame(&mut rival);
    assert!(given.contains("front") && given.contains(FOUR), "{given}");
    drop(rival);
    lab.moved("kill -9 of the new process", at);
    eventually("the node is back", SOON, || lab.shown(at)["here"] == false);
    lab.all_would_have_it();

    // The old one dies while it keeps it for a new one.
    let at = lab.holder().unwrap();
    let last = lab.cluster.node(at).is_started().then(|| lab.cluster.node(at).take_process());
    let rival = lab.rival(at);
    kill(last.as_ref().map_or_else(|| lab.pid(at).unwrap(), Process::pid));
    lab.moved("kill -9 of the old process", at);
    drop(rival);
}

const RESTARTS: usize = 5;
