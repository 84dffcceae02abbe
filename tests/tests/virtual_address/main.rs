//! A virtual address between three nodes in network namespaces, over real etcd: each way to lose it, and who answers for it on the wire all the
//! time. Times are printed, not asserted. Needs root, iproute2, etcd and python3.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // a test of real processes

mod keepalived;
mod lab;
mod rules;

use std::fs;
use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::cluster::{ETCDS, Place};
use tests::eventually;
use tests::process::http_post_at;

use lab::{Lab, SOON, signal};

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
    // Somebody waits for an answer: nobody but the guard tells it that none comes.
    let mut waits = lab.connection(25);
    let since = Instant::now();
    lab.cluster.node(from).process().signal("STOP");
    let to = lab.moved("SIGSTOP", from, since);
    assert!(!lab.has(from), "the guard removed it");
    assert_eq!(waits.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset, "who waits is told");
    println!("VIP SIGSTOP: who was connected is told after {} ms at most", since.elapsed().as_millis());
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
