//! One name that always answers: two nodes, each a balancer and a hub, one virtual address with a service on it, and two applications that
//! know that address and no retry. Each node is killed, cut off, frozen, drained and upgraded, as the holder of the address and as the other
//! one. Asserted: who connects is never refused; what fails was on a connection through the machine that died; nothing that was answered
//! 250 is lost. Times are printed, not asserted. Needs root, iproute2, etcd and arping.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // a test of real processes

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::app::{App, Failure, Moment, Seen, Way};
use tests::cluster::{Cluster, Place};
use tests::eventually;
use tests::process::Process;

const SOON: Duration = Duration::from_secs(90);
const ADDRESS: &str = "198.18.0.100";
/// Longer than the lease of the address and that of the node.
const FROZEN: Duration = Duration::from_secs(6);

/// Each node is a balancer for the one name, and a hub behind it with a connector of its own. Each keeps the copy of the other one's journal;
/// the one that is left goes on alone.
fn document() -> String {
    let hub = |number: usize| {
        format!(
            "[[member]]\nname = \"hub{number}\"\nservice = \"relay\"\naddress = \"198.18.0.1{number}:25\"\n\
             [[receive_connector]]\nname = \"relay-hub{number}\"\nservers = [\"n{number}.chaos.test\"]\nlisten = [\"198.18.0.1{number}:25\"]\n\
             hostname = \"relay.test\"\nbanner = \"relay.test ESMTP hub{number}\"\nremote = [\"198.18.0.0/24\"]\ntrusted_proxies = [\"198.18.0.11\", \"198.18.0.12\"]\n\
             tls = \"off\"\npermissions = [\"anonymous\", \"relay\"]\ncopies = 1\nwhen_short = \"accept\"\nconnections_per_source_max = 1000\n\
             connections_per_source_percent_max = 100\ntarpit_ms = 0\n"
        )
    };
    format!(
        "postmaster = \"postmaster@chaos.test\"\n[[service]]\nname = \"relay\"\nhostname = \"relay.test\"\nlisten = [\"{ADDRESS}:25\"]\n\
         servers = [\"n1.chaos.test\", \"n2.chaos.test\"]\nproxy = \"v2\"\nprobe_interval = \"300ms\"\nconnect_timeout = \"1s\"\n{}{}\
         [[virtual_address]]\nname = \"front\"\naddress = [\"{ADDRESS}/24\"]\ninterface = \"eth0\"\nlease = \"4s\"\n\
         servers = [\"n1.chaos.test\", \"n2.chaos.test\"]\n\
         [[send_connector]]\nname = \"out\"\ndomains = [\"*\"]\nsmart_hosts = [\"198.18.0.1:25\"]\ntls = \"off\"\nconnections_max = 5\n\
         greeting_timeout = \"4s\"\ncommand_timeout = \"4s\"\ndata_timeout = \"4s\"\ndata_end_timeout = \"4s\"\n\
         [retry]\nglitch_count = 1000\nglitch_interval = \"1s\"\nmessage_retry_interval = \"1s\"\npoison_after = 100\n",
        hub(1),
        hub(2)
    )
}

/// What is done to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// kill -9 of the process.
    Kill,
    /// Its cable is pulled.
    Cable,
    /// It is stopped for longer than its leases.
    Freeze,
    /// `posthouse service drain` of its member.
    DrainMember,
    /// `posthouse node drain`.
    DrainNode,
    /// `posthouse restart`.
    Upgrade,
    /// `posthouse vip move`.
    Move,
}

impl Event {
    /// It happens to a node that goes on: nobody need notice.
    fn is_planned(self) -> bool {
        matches!(self, Event::DrainMember | Event::DrainNode | Event::Upgrade | Event::Move)
    }
}

/// A line of the table at the end.
struct Row {
    what: String,
    app: &'static str,
    sent: usize,
    connections: usize,
    failures: usize,
    gap: Duration,
}

struct Lab {
    cluster: Cluster,
    rounds: usize,
    promised: HashMap<String, String>,
    doubts: usize,
    deaths: usize,
    rows: Vec<Row>,
    /// The process that an upgrade has succeeded.
    before: Option<Process>,
}

impl Lab {
    fn up() -> Option<Lab> {
        let mut cluster = Cluster::in_organization(2, &document())?;
        cluster.nodes.iter_mut().for_each(|node| node.start_only());
        cluster.healthy();
        let file = cluster.nodes[0].org_file();
        let (code, said) = cluster.nodes[0].verb(&["org", "apply", file.to_str().unwrap(), "--why", "the first one"]);
        assert_eq!(code, 0, "{said}");
        let mut lab =
            Lab { cluster, rounds: 0, promised: HashMap::new(), doubts: 0, deaths: 0, rows: Vec::new(), before: None };
        lab.well();
        Some(lab)
    }

    fn verb(&self, number: usize, words: &[&str]) {
        let (code, said) = self.cluster.nodes[number - 1].verb(words);
        assert_eq!(code, 0, "{words:?} on n{number}: {said}");
    }

    fn json(&self, number: usize, path: &str) -> Value {
        let got = self.cluster.nodes[number - 1].get(path);
        got.and_then(|(_, body)| serde_json::from_str(&body).ok()).unwrap_or(Value::Null)
    }

    /// Both nodes take mail, would have the address, and find both members up.
    fn well(&mut self) {
        self.cluster.healthy();
        eventually("both would have the address, and find both members up", SOON, || {
            (1..=2).all(|number| self.why_not_well(number).is_none())
        });
    }

    fn why_not_well(&self, number: usize) -> Option<String> {
        let address = self.json(number, "/api/v1/virtual-addresses")["virtual_addresses"][0].clone();
        if address["candidates"].as_array().map_or(0, Vec::len) != 2 || address["holder"].is_null() {
            return Some(format!("n{number}: {address}"));
        }
        let service = self.json(number, "/api/v1/services")["services"][0].clone();
        let balancers = service["balancers"].as_array().cloned().unwrap_or_default();
        let members = balancers.iter().flat_map(|balancer| balancer["members"].as_array().cloned().unwrap_or_default());
        let up = members.filter(|member| member["standing"] == "up" && member["drained"] == false).count();
        (up != 4).then(|| format!("n{number}: {service}"))
    }

    /// The number of the node whose card answers for the address, as somebody on the wire finds.
    fn on_the_wire(&self) -> Option<usize> {
        let mut command = self.cluster.net.command(Place::Etcd, "arping");
        let out = command.args(["-c", "1", "-w", "1", "-I", "eth0", ADDRESS]).output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout).to_lowercase();
        (1..=2).find(|number| said.contains(&self.mac(*number)))
    }

    fn mac(&self, number: usize) -> String {
        let namespace = self.cluster.net.name(Place::Node(number));
        let out = Command::new("ip").args(["-n", &namespace, "-o", "link", "show", "dev", "eth0"]).output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        said.split("link/ether ").nth(1).unwrap().split(' ').next().unwrap().to_string()
    }

    /// The node that has the address: on the wire, and as `posthouse vip status` says on a node that is alive.
    fn holder(&self, asked: usize) -> usize {
        let mut found = None;
        eventually("the wire and etcd say the same", SOON, || {
            found = self.on_the_wire();
            let (code, said) = self.cluster.nodes[asked - 1].verb(&["vip", "status"]);
            found.is_some_and(|number| {
                code == 0 && said.contains(&format!("n{number}.chaos.test")) && {
                    let shown = self.json(asked, "/api/v1/virtual-addresses")["virtual_addresses"][0]["holder"].clone();
                    shown == format!("n{number}.chaos.test")
                }
            })
        });
        found.unwrap()
    }

    fn apps(&mut self) -> Vec<App> {
        self.rounds += 1;
        let (to, round): (SocketAddr, usize) = (format!("{ADDRESS}:25").parse().unwrap(), self.rounds);
        let start = |way, word| App::start(&self.cluster.net, to, &format!("r{round}{word}"), way, 2, 20);
        vec![start(Way::PerMessage, "m"), start(Way::Kept, "k")]
    }
}

/// Each application has so many more 250s.
fn flow(apps: &[App], more: usize) {
    let until: Vec<usize> = apps.iter().map(|app| app.promised() + more).collect();
    let end = Instant::now() + SOON;
    while apps.iter().zip(&until).any(|(app, until)| app.promised() < *until) {
        let failures = || apps.iter().flat_map(App::failures).rev().take(5).collect::<Vec<_>>();
        assert!(Instant::now() < end, "the applications do not go on; they failed last: {:#?}", failures());
        sleep(Duration::from_millis(20));
    }
}

/// What an event did to whom, and when.
struct Told {
    event: Event,
    victim: usize,
    holder: usize,
    began: Instant,
    /// The address was seen where it is since.
    moved: Instant,
}

impl Told {
    /// A failure of an application without retry that nobody could have spared it: its connection went through the machine that died.
    ///
    /// Where the address is moved, or its guard removes it, its clients are told: none waits until its patience is over.
    fn explains(&self, failure: &Failure) -> bool {
        let held = self.victim == self.holder;
        let tells = self.event == Event::Move || held && matches!(self.event, Event::Kill | Event::Freeze);
        let was_told = !tells || !failure.what.contains("os error 11");
        let went_through = held || failure.greeting.ends_with(&format!("hub{}", self.victim));
        // One that was frozen, or cut off, goes on for a moment before it finds that its journal is another's.
        let revives = matches!(self.event, Event::Freeze | Event::Cable)
            && failure.greeting.ends_with(&format!("hub{}", self.victim));
        let there = revives || failure.opened.is_some_and(|opened| opened <= self.moved);
        // TCP connections cannot follow an address to another machine; a new process on the same one they need not follow.
        let moves = held && self.event == Event::Move;
        let ends = !self.event.is_planned() || moves;
        ends && failure.moment != Moment::Connect && there && went_through && was_told
    }

    fn name(&self) -> String {
        let role = if self.victim == self.holder { "holder" } else { "other" };
        format!("{:?} of the {role}", self.event)
    }
}

impl Lab {
    fn happens(&mut self, event: Event, victim: usize) {
        let living = 3 - victim;
        match event {
            Event::Kill => self.cluster.node(victim).kill(),
            Event::Cable => self.cluster.net.unplug(Place::Node(victim)),
            Event::Freeze => self.cluster.node(victim).process().signal("STOP"),
            Event::DrainMember => self.verb(living, &["service", "drain", &format!("hub{victim}"), "--wait"]),
            Event::DrainNode => self.verb(living, &["node", "drain", &format!("n{victim}.chaos.test")]),
            Event::Upgrade => {
                // Its process is no child of ours any more, and the one that is ends when it relays nothing.
                self.before = Some(self.cluster.node(victim).take_process());
                self.verb(victim, &["restart"]);
            }
            Event::Move => self.verb(living, &["vip", "move", "front"]),
        }
    }

    fn is_over(&mut self, event: Event, victim: usize, began: Instant) {
        match event {
            Event::Kill => self.cluster.node(victim).start(),
            Event::Cable => self.cluster.net.plug(Place::Node(victim)),
            Event::Freeze => {
                sleep(FROZEN.saturating_sub(began.elapsed()));
                self.cluster.node(victim).process().signal("CONT");
            }
            Event::DrainMember => self.verb(3 - victim, &["service", "resume", &format!("hub{victim}")]),
            Event::DrainNode => self.verb(3 - victim, &["node", "resume", &format!("n{victim}.chaos.test")]),
            Event::Upgrade | Event::Move => {}
        }
    }

    /// One event, and all that the applications saw of it.
    fn round(&mut self, event: Event, to_holder: bool) {
        let holder = self.holder(1);
        let victim = if to_holder { holder } else { 3 - holder };
        let apps = self.apps();
        flow(&apps, 20);
        let (began, alone) = (Instant::now(), self.times_alone(3 - victim));
        self.happens(event, victim);
        let leaves = to_holder && (!event.is_planned() || event == Event::Move);
        if leaves {
            let mut now = holder;
            eventually("the address moves", SOON, || {
                now = self.holder(3 - victim);
                now != holder
            });
        } else {
            assert_eq!(self.holder(3 - victim), holder, "{event:?}: the address stays where it is");
        }
        let told = Told { event, victim, holder, began, moved: Instant::now() };
        flow(&apps, 20);
        if !event.is_planned() {
            eventually("the one that is left goes on alone", SOON, || self.times_alone(3 - victim) > alone);
            flow(&apps, 5);
        }
        self.is_over(event, victim, began);
        self.well();
        flow(&apps, 10);
        self.deaths += usize::from(!event.is_planned());
        let seen = apps.into_iter().map(|app| (app.way(), app.end())).collect();
        self.account(&told, seen);
        if event == Event::Upgrade {
            self.own_again(victim);
        }
    }

    /// How often this node has gone on without the other one's copy.
    fn times_alone(&self, number: usize) -> usize {
        let without = format!("going on without n{}.chaos.test's copy", 3 - number);
        self.cluster.nodes[number - 1].log().matches(&without).count()
    }

    fn account(&mut self, told: &Told, seen: Vec<(Way, Seen)>) {
        let mut wrong = Vec::new();
        for (way, seen) in seen {
            let app = if way == Way::Kept { "kept" } else { "per message" };
            let row = Row {
                what: told.name(),
                app,
                sent: seen.promised.len(),
                connections: seen.connections,
                failures: seen.failures.len(),
                gap: seen.longest_gap(told.began),
            };
            println!("ONE NAME {row}; {:.1?} until the address was seen where it belongs", told.moved - told.began);
            self.doubts += seen.failures.iter().filter(|failure| failure.moment == Moment::Doubt).count();
            wrong.extend(seen.failures.into_iter().filter(|failure| !told.explains(failure)).map(|f| (app, f)));
            self.promised.extend(seen.promised);
            self.rows.push(row);
        }
        if !wrong.is_empty() {
            self.cluster.tell();
            panic!("{}, began at {:?}, over at {:?}: {wrong:#?}", told.name(), told.began, told.moved);
        }
    }

    /// The process of an upgrade ends, and one that is our child takes its place.
    fn own_again(&mut self, number: usize) {
        self.before.take();
        self.heir(number, "TERM");
        eventually("the process of the upgrade ends", SOON, || !self.heir(number, "0"));
        self.cluster.node(number).start();
        self.well();
    }

    /// Signals the process that has the data directory of a node; whether there is one.
    fn heir(&self, number: usize, signal: &str) -> bool {
        let lock = self.cluster.nodes[number - 1].data().join("lock");
        let pid = fs::read_to_string(lock).ok().and_then(|text| text.trim().parse::<u32>().ok());
        pid.is_some_and(|pid| {
            let told = Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).output();
            told.is_ok_and(|out| out.status.success())
        })
    }

    /// Everything that was answered 250 has come; how often something came twice is counted.
    fn nothing_is_lost(&mut self) {
        let mut missing = 0;
        eventually("everything that was promised arrives", SOON, || {
            missing = self.cluster.sink.arrived().missing(&self.promised).len();
            missing == 0
        });
        let arrivals = self.cluster.sink.arrived();
        println!(
            "ONE NAME promised {}, lost 0, came twice {}, in doubt {}, bodies changed {}",
            self.promised.len(),
            arrivals.duplicates(),
            self.doubts,
            arrivals.bad
        );
        assert_eq!(arrivals.bad, 0, "bodies changed on their way");
        // A hub that dies between the sink's 250 and its own record of it: at most what its connections had in hand.
        assert!(arrivals.duplicates() <= self.deaths * 10, "{} came twice", arrivals.duplicates());
    }

    fn table(&self) {
        println!("ONE NAME {:<24} {:<12} {:>6} {:>6} {:>6} {:>8}", "case", "app", "250", "conns", "failed", "gap");
        self.rows.iter().for_each(|row| println!("ONE NAME {row}"));
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Row { what, app, sent, connections, failures, gap } = self;
        write!(f, "{what:<24} {app:<12} {sent:>6} {connections:>6} {failures:>6} {:>8.2}", gap.as_secs_f64())
    }
}

impl Drop for Lab {
    /// The process of an upgrade is no child of ours.
    fn drop(&mut self) {
        for number in 1..=2 {
            if !self.cluster.nodes[number - 1].is_started() {
                self.heir(number, "KILL");
            }
        }
    }
}

#[test]
fn whatever_happens_to_a_node_the_name_answers() {
    let Some(mut lab) = Lab::up() else { return };
    let rounds = std::env::var("CLUSTER_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1);
    for _ in 0..rounds {
        for event in [Event::Kill, Event::Cable, Event::Freeze, Event::DrainMember, Event::DrainNode, Event::Upgrade] {
            lab.round(event, true);
            lab.round(event, false);
        }
        lab.round(Event::Move, true);
    }
    lab.table();
    lab.nothing_is_lost();
}
