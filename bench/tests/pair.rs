//! Generator against sink: every promise of the sink is in its ledger, whatever it does to connections.

// The ledgers are files of the test, and it waits on the real clock.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use bench::sink::{self, Mode};
use bench::source::{self, Pipelining};

fn scratch(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("bench-{name}-{}", std::process::id()));
    fs::create_dir_all(&path).expect("a scratch directory");
    path
}

fn a_free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    listener.local_addr().expect("bound")
}

fn sink_at(listen: SocketAddr, mode: Mode, count: u64, ledger: &Path) -> JoinHandle<sink::Report> {
    let options = sink::Options {
        listen,
        count_exit: count,
        ledger: Some(ledger.to_owned()),
        mode,
        control: None,
        bound: Duration::from_secs(20),
        chunking: false,
        lmtp: false,
        orders: None,
    };
    std::thread::spawn(move || sink::run(options).expect("the sink runs"))
}

fn source_to(to: SocketAddr, messages: u64, pipelining: Pipelining, ledger: &Path) -> source::Options {
    source::Options {
        to,
        sessions: 8,
        messages,
        size: 3000,
        per_connection: 7,
        pipelining,
        lmtp: false,
        from: "a@src.example".to_owned(),
        rcpt: "u{n}-{r}@dst.example".to_owned(),
        recipients: 2,
        id_prefix: "t".to_owned(),
        ledger: Some(ledger.to_owned()),
        doubts: None,
        bound: Duration::from_secs(20),
        reconnect: true,
        rate: 0.0,
        auth_plain: None,
    }
}

/// How often each `ID DIGEST` stands in a ledger.
fn counted(ledger: &Path) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for line in fs::read_to_string(ledger).expect("a ledger").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        *counts.entry(words[..2].join(" ")).or_default() += 1;
    }
    counts
}

fn runs(name: &str, mode: Mode, pipelining: Pipelining) -> (source::Report, sink::Report, PathBuf) {
    let (dir, at) = (scratch(name), a_free_port());
    let sink = sink_at(at, mode, 500, &dir.join("sink"));
    let report = source::run(source_to(at, 500, pipelining, &dir.join("source"))).expect("the source runs");
    (report, sink.join().expect("no panic"), dir)
}

#[test]
fn all_ways_of_pipelining_deliver_each_message_once() {
    for (name, pipelining) in [("off", Pipelining::Off), ("on", Pipelining::On), ("full", Pipelining::Full)] {
        let (sent, came, dir) = runs(name, Mode::Accept, pipelining);
        assert_eq!((sent.acked, sent.failed, came.accepted, came.bad), (500, 0, 500, 0), "{name}");
        let (promised, arrived) = (counted(&dir.join("source")), counted(&dir.join("sink")));
        assert_eq!(promised, arrived, "{name}");
        assert!(promised.len() == 500 && promised.values().all(|count| *count == 1), "{name}");
        fs::remove_dir_all(dir).expect("cleared");
    }
}

#[test]
fn connections_that_die_after_the_dot_are_doubts_and_not_losses() {
    let (sent, came, dir) = runs("drops", Mode::DropAfterDot(0.3), Pipelining::Full);
    assert_eq!((sent.acked, came.accepted), (500, 500));
    assert!(came.unanswered > 50, "{came:?}");
    assert_eq!(sent.doubtful, came.unanswered);
    let (promised, arrived) = (counted(&dir.join("source")), counted(&dir.join("sink")));
    assert!(promised.keys().all(|message| arrived.contains_key(message)));
    assert_eq!(u64::from(arrived.values().sum::<u32>()), 500 + came.unanswered);
    fs::remove_dir_all(dir).expect("cleared");
}

#[test]
fn a_server_that_comes_late_and_refuses_at_first_gets_all() {
    let (dir, at) = (scratch("late"), a_free_port());
    let ledger = dir.join("source");
    let source = std::thread::spawn({
        let options = source_to(at, 500, Pipelining::On, &ledger);
        move || source::run(options).expect("the source runs")
    });
    // Nobody listens for a while; then somebody who answers 451 after each dot; then a good one.
    std::thread::sleep(Duration::from_millis(200));
    let control = dir.join("control");
    fs::write(&control, "tempfail-after-data").expect("a control file");
    let options = sink::Options {
        listen: at,
        count_exit: 500,
        ledger: Some(dir.join("sink")),
        mode: Mode::Accept,
        control: Some(control.clone()),
        bound: Duration::from_secs(20),
        chunking: true,
        lmtp: false,
        orders: None,
    };
    let sink = std::thread::spawn(move || sink::run(options).expect("the sink runs"));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(fs::read_to_string(&ledger).expect("a ledger"), "", "no promise yet");
    fs::write(&control, "accept").expect("a control file");
    let (sent, came) = (source.join().expect("no panic"), sink.join().expect("no panic"));
    assert_eq!((sent.acked, sent.failed, came.accepted, came.bad), (500, 0, 500, 0));
    assert!(came.unanswered > 0 && sent.lost > 0, "{sent:?} {came:?}");
    fs::remove_dir_all(dir).expect("cleared");
}
