//! The two-hub lab of `examples/two-hub-lab`: started by its own script, every passage of its README done with its own tools, ended by its own
//! script. Rows 8, 33, 35, 39, 40 and 80 of behaviours. Needs root, iproute2 and curl.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // a test of real processes

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tests::{binary, eventually, root};

const SOON: Duration = Duration::from_secs(40);
const OUT: &str = "198.18.1.1";
const HUBS: [&str; 2] = ["198.18.1.31", "198.18.1.32"];

/// The lab, while it runs.
struct Lab {
    dir: tempfile::TempDir,
}

impl Lab {
    /// `None`, with a loud line, where a test may make no network namespaces.
    fn up() -> Option<Lab> {
        let probe = format!("phlab{}", std::process::id());
        let made = Command::new("ip").args(["netns", "add", &probe]).status().is_ok_and(|status| status.success());
        if !made {
            eprintln!("\n*** NOT TESTED: network namespaces are needed (root, iproute2) ***\n");
            return None;
        }
        assert!(Command::new("ip").args(["netns", "del", &probe]).status().unwrap().success());
        let lab = Lab { dir: tempfile::tempdir().unwrap() };
        let (ok, said) = lab.script("up", &[]);
        assert!(ok && said.contains("the lab runs"), "{said}");
        Some(lab)
    }

    fn script(&self, name: &str, arguments: &[&str]) -> (bool, String) {
        let log = self.dir.path().join(format!("{name}.said"));
        // Its servers inherit what it writes to: a pipe would never end.
        let to = fs::File::create(&log).unwrap();
        let mut command = Command::new(root().join("examples/two-hub-lab").join(name));
        command
            .args(arguments)
            .env("LAB", self.dir.path().join("lab"))
            .env("NET", format!("phlab{}", std::process::id()));
        command.env("POSTHOUSE", binary("posthouse")).env_remove("POSTHOUSE_URL");
        let status = command.stdin(Stdio::null()).stdout(to.try_clone().unwrap()).stderr(to).status().unwrap();
        (status.success(), fs::read_to_string(log).unwrap())
    }

    fn at(&self, place: &str, words: &[&str]) -> String {
        let (ok, said) = self.script("at", &[&[place], words].concat());
        assert!(ok, "at {place} {words:?}: {said}");
        said
    }

    /// Sends, and gives the last answer.
    fn send(&self, words: &[&str]) -> String {
        let (ok, said) = self.script("send", words);
        assert!(ok, "send {words:?}: {said}");
        said.trim().to_string()
    }

    /// `eve@lab.example` comes into the directory.
    fn add_eve(&self) {
        let file = self.dir.path().join("lab/eve.ldif");
        let entry = "dn: uid=eve,ou=people,dc=lab,dc=example\nobjectClass: inetOrgPerson\nuid: eve\ncn: Eve\nsn: Eve\nmail: eve@lab.example\n";
        fs::write(&file, entry).unwrap();
        let admin =
            ["ldapadd", "-x", "-H", "ldap://198.18.1.10", "-D", "cn=admin,dc=lab,dc=example", "-w", "lab", "-f"];
        self.at("dir", &[&admin[..], &[file.to_str().unwrap()]].concat());
    }

    /// The servers of mail that run, as the system knows them.
    fn processes(&self) -> Vec<u32> {
        let places = ["hub1", "hub2", "mbx", "outside"];
        let pids = places.map(|place| fs::read_to_string(self.dir.path().join("lab").join(place).join("pid")).unwrap());
        let is_node =
            |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "posthouse");
        pids.iter().filter_map(|pid| pid.trim().parse().ok()).filter(is_node).collect()
    }

    /// The letters of a mailbox.
    fn letters(&self, place: &str, address: &str) -> Vec<String> {
        let (local, domain) = address.split_once('@').unwrap();
        let dir =
            self.dir.path().join("lab").join(place).join("posthouse-data/mail").join(domain).join(local).join("new");
        let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| read(&entry.path())).collect()
    }

    fn arrive(&self, place: &str, address: &str, count: usize) -> Vec<String> {
        eventually(&format!("{count} letters for {address}"), SOON, || self.letters(place, address).len() >= count);
        let letters = self.letters(place, address);
        assert_eq!(letters.len(), count, "letters for {address}");
        letters
    }

    fn queues(&self, place: &str) -> Vec<Value> {
        let listed: Value = serde_json::from_str(&self.at(place, &["posthouse", "queue", "list", "--json"])).unwrap();
        let queues = listed["queues"].as_array().unwrap().clone();
        queues.into_iter().filter(|queue| queue["messages"] != 0).collect()
    }

    fn waiting(&self, place: &str) -> u64 {
        self.queues(place).iter().map(|queue| queue["messages"].as_u64().unwrap()).sum()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let (ok, said) = self.script("down", &[]);
        if !std::thread::panicking() {
            assert!(ok, "{said}");
        }
    }
}

fn through(letters: &[String], hub: &str) -> usize {
    letters.iter().filter(|letter| letter.contains(&format!("by {hub}.lab.example"))).count()
}

#[test]
fn the_two_hub_lab_does_what_its_readme_says() {
    let Some(lab) = Lab::up() else { return };
    mail_comes_in_and_strangers_are_strangers(&lab);
    what_leaves_is_shared(&lab);
    a_hub_stops_with_mail_in_its_queue(&lab);
    the_mailbox_host_stops(&lab);
    somebody_new_and_no_directory(&lab);
    let servers = lab.processes();
    assert_eq!(servers.len(), 4, "hub1, hub2, mbx, outside");
    drop(lab);
    let gone = |pid: &u32| !Path::new(&format!("/proc/{pid}")).exists();
    assert!(servers.iter().all(gone), "down ends every server: {servers:?}");
    let left = Command::new("ip").args(["netns", "list"]).output().unwrap();
    let prefix = format!("phlab{}-", std::process::id());
    assert!(!String::from_utf8_lossy(&left.stdout).contains(&prefix), "down leaves nothing");
}

fn mail_comes_in_and_strangers_are_strangers(lab: &Lab) {
    // A hub that has not read the directory yet says later.
    for hub in HUBS {
        let asks = || lab.send(&["outside", hub, "carol@world.example", "nobody@lab.example"]);
        eventually("the hub knows everybody", SOON, || asks().starts_with("550 5.1.1"));
    }
    for hub in HUBS {
        assert!(lab.send(&["outside", hub, "carol@world.example", "alice@lab.example"]).starts_with("250 "));
    }
    assert!(lab.send(&["outside", HUBS[0], "carol@world.example", "everybody@lab.example"]).starts_with("250 "));
    lab.arrive("mbx", "alice@lab.example", 3);
    lab.arrive("mbx", "bob@lab.example", 1);
    for (from, to, code) in [
        ("carol@world.example", "nobody@lab.example", "550 5.1.1"),
        ("carol@world.example", "dave@world.example", "550 5.7.1"),
        ("alice@lab.example", "bob@lab.example", "550 5.7.1"),
    ] {
        let said = lab.send(&["outside", HUBS[0], from, to]);
        assert!(said.starts_with(code), "{from} to {to}: {said}");
    }
    // The two legal shapes of relay, and nobody else.
    for (hub, own, from) in [(0, "198.18.1.50", "app@world.example"), (1, "198.18.1.51", "alice@lab.example")] {
        let said = lab.send(&["outside", HUBS[hub], from, "dave@world.example", "1", own]);
        assert!(said.starts_with("250 "), "{own}: {said}");
    }
    let said = lab.send(&["outside", HUBS[0], "carol@world.example", "dave@world.example", "1", OUT]);
    assert!(said.starts_with("550 5.7.1"), "{said}");
    lab.arrive("outside", "dave@world.example", 2);
}

fn what_leaves_is_shared(lab: &Lab) {
    assert!(lab.send(&["mbx", "127.0.0.1", "alice@lab.example", "carol@world.example", "60"]).starts_with("250 "));
    let letters = lab.arrive("outside", "carol@world.example", 60);
    let (one, other) = (through(&letters, "hub1"), through(&letters, "hub2"));
    assert_eq!(one + other, 60, "each went through one hub");
    assert!(one.min(other) >= 15, "{one} through hub1, {other} through hub2");

    // One stops: the other one has it in the same attempt.
    lab.at("hub1", &["stop"]);
    lab.send(&["mbx", "127.0.0.1", "alice@lab.example", "carol2@world.example", "10"]);
    let queues = lab.queues("mbx");
    assert!(queues.iter().all(|queue| queue["state"] != "retry"), "{queues:?}");
    assert_eq!(through(&lab.arrive("outside", "carol2@world.example", 10), "hub2"), 10);
    lab.at("hub1", &["start"]);
}

fn a_hub_stops_with_mail_in_its_queue(lab: &Lab) {
    lab.at("outside", &["stop"]);
    // A hub that was away a moment ago is left alone for some seconds.
    let mut sent = 0;
    eventually("both hubs have a part of it", SOON, || {
        std::thread::sleep(Duration::from_secs(3));
        lab.send(&["mbx", "127.0.0.1", "alice@lab.example", "carol3@world.example", "20"]);
        sent += 20;
        ["hub1", "hub2"].iter().all(|hub| lab.waiting(hub) >= 8)
    });
    eventually("all of it is at the hubs", SOON, || lab.waiting("hub1") + lab.waiting("hub2") == sent);
    let of_the_other = lab.waiting("hub2") as usize;
    lab.at("hub1", &["stop"]);
    lab.at("outside", &["start"]);
    assert_eq!(through(&lab.arrive("outside", "carol3@world.example", of_the_other), "hub2"), of_the_other);
    lab.at("hub1", &["start"]);
    lab.arrive("outside", "carol3@world.example", sent as usize);
}

fn the_mailbox_host_stops(lab: &Lab) {
    let before = lab.letters("mbx", "bob@lab.example").len();
    lab.at("mbx", &["stop"]);
    lab.send(&["outside", HUBS[0], "carol@world.example", "bob@lab.example", "5"]);
    eventually("they wait at the hub that took them", SOON, || lab.waiting("hub1") == 5);
    assert!(lab.queues("hub1").iter().any(|queue| queue["state"] == "retry"));
    lab.at("mbx", &["start"]);
    lab.arrive("mbx", "bob@lab.example", before + 5);
}

fn somebody_new_and_no_directory(lab: &Lab) {
    let asks = |hub: &str| lab.send(&["outside", hub, "carol@world.example", "eve@lab.example"]);
    assert!(asks(HUBS[0]).starts_with("550 5.1.1"));
    lab.add_eve();
    for hub in HUBS {
        eventually("the hub knows eve", SOON, || asks(hub).starts_with("250 "));
    }
    lab.at("dir", &["stop"]);
    for hub in HUBS {
        assert!(asks(hub).starts_with("250 "), "while the directory is away everybody stays known");
    }
    assert!(lab.send(&["outside", HUBS[0], "carol@world.example", "nobody@lab.example"]).starts_with("550 5.1.1"));
}
