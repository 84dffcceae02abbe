//! Real processes and real faults: the node is killed, its disk fails or fills, its clocks are set back, its next hops misbehave.
//! Afterwards the generator's ledger of promises is held against the sinks' ledgers of what came.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // tests touch the real world

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tests::chaos::{CONNECTIONS, Dice, Sink, Source, all_arrive, configure, node};
use tests::process::{Node, Process};
use tests::wire::Wire;

/// Kills of the node; at least 25 for the figure that docs/custody.md names.
fn rounds() -> usize {
    std::env::var("CHAOS_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(25)
}

#[test]
fn kill_nine_loses_nothing_and_doubles_little() {
    let (mut dice, mut node) = (Dice::new(), node());
    let dir = node.dir.clone();
    let mut sink = Sink::started(&dir, "sink");
    configure(&node, &[("*", &sink)], "");
    node.start();
    let load = ["--messages", "0", "--seconds", "3600", "--sessions", "32", "--size", "3000", "--rate", "1500"];
    let mut source = Source::start(&dir, node.smtp, "kill", &[&load[..], &["--reconnect"]].concat());
    let mut sink_restarts = 0;
    for round in 0..rounds() {
        dice.nap(1200);
        sink_restarts += disturb(&mut sink, &mut dice, round);
        dice.nap(600);
        node.kill();
        if round % 5 == 4 {
            // Killed again while it recovers.
            let mut early = Process::start(&mut node.command(), &dir.join("node.log"));
            dice.nap(60);
            early.kill();
        }
        node.start();
    }
    sink.restart("accept");
    std::thread::sleep(Duration::from_millis(500));
    source.kill();
    let (promised, doubts) = (source.promised(), source.doubts());
    let arrivals = all_arrive(&promised, &sink, Duration::from_secs(60));

    let kills = rounds() + rounds() / 5;
    // Twice on purpose: sent again by the generator after a doubt, or by the node because somebody was killed between the
    // sink's line and the record of its 250. That is what was under way then: two messages a connection at most.
    let explained = doubts + (kills + sink_restarts + 1) * CONNECTIONS * 2;
    println!(
        "chaos: {kills} kills of the node, {sink_restarts} of the sink; promised {}, lost 0, duplicates {} (at most {explained}: \
         {doubts} doubts of the generator, {CONNECTIONS} connections), left without an answer by the sink {}",
        promised.len(),
        arrivals.duplicates(),
        arrivals.unanswered
    );
    assert!(promised.len() > rounds() * 50, "the node worked between its deaths: {} promises", promised.len());
    assert!(arrivals.duplicates() <= explained, "{} duplicates, {explained} are explained", arrivals.duplicates());
    the_queue_empties(&node);
}

/// One thing that happens to the next hop; 1 if it was killed.
fn disturb(sink: &mut Sink, dice: &mut Dice, round: usize) -> usize {
    const MODES: [&str; 8] = [
        "accept",
        "refuse421",
        "tempfail",
        "tempfail-after-data",
        "slow 100",
        "drop-after-dot 0.2",
        "hang-after-data",
        "mute",
    ];
    let mode = MODES[dice.roll(MODES.len() as u64) as usize];
    match round % 2 {
        // A hanging sink lets its connections go only by dying; a mode that only answers differently needs no restart.
        0 => {
            sink.behave(mode);
            0
        }
        _ => {
            sink.kill();
            dice.nap(200);
            sink.restart("accept");
            1
        }
    }
}

fn the_queue_empties(node: &Node) {
    tests::eventually("the queue is empty", Duration::from_secs(20), || {
        let (status, metrics) = node.get("/metrics");
        assert_eq!(status, 200);
        let queued = metrics.lines().filter(|line| line.starts_with("posthouse_queue_messages"));
        let counts: Vec<f64> = queued.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
        !counts.is_empty() && counts.iter().sum::<f64>() == 0.0
    });
}

#[test]
fn after_a_failed_sync_no_250_and_no_process() {
    for (round, under_load) in [false, true].into_iter().enumerate() {
        let mut node = node();
        let dir = node.dir.clone();
        let mut sink = Sink::new(&dir, "sink");
        configure(&node, &[("*", &sink)], "");
        node.start();
        // Nothing leaves: what is promised must come out of the journal later. A next hop that takes connections and says nothing
        // keeps the idle node from writing, so the first sync that fails is that of the mail sent then.
        sink.restart("mute");
        let mut before = Source::start(&dir, node.smtp, "before", &["--messages", "500", "--sessions", "8"]);
        before.result(Duration::from_secs(30));
        assert_eq!(before.promised().len(), 500);

        let forever = ["--messages", "0", "--seconds", "60", "--sessions", "32", "--reconnect"];
        let during = under_load.then(|| Source::start(&dir, node.smtp, "during", &forever));
        std::thread::sleep(Duration::from_millis(if under_load { 500 } else { 0 }));
        let tracer = fail_every_sync(node.process().pid(), &dir);
        if !under_load {
            let few = ["--messages", "40", "--sessions", "8", "--seconds", "10"];
            let mut after = Source::start(&dir, node.smtp, "after", &few);
            let said = after.result(Duration::from_secs(20));
            assert_eq!(after.promised().len(), 0, "a 250 without a sync");
            assert!(said["doubtful"].as_u64() > Some(0), "mail was sent, and its dot had no answer: {said}");
        }
        let status = node.process().wait(Duration::from_secs(20));
        assert!(!status.success(), "round {round}: a node whose sync failed ended with {status}");
        drop(tracer);
        let mut promised = before.promised();
        if let Some(mut during) = during {
            during.kill();
            promised.extend(during.promised());
        }
        assert!(!under_load || promised.len() > 500, "mail was taken before the syncs failed");

        sink.restart("accept");
        node.start();
        all_arrive(&promised, &sink, Duration::from_secs(60));
    }
}

/// From now on every `fdatasync` and `fsync` of the process fails with EIO.
fn fail_every_sync(pid: u32, dir: &Path) -> Process {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:error=EIO"]);
    command.arg("-o").arg(dir.join("strace.out")).args(["-p", &pid.to_string()]);
    let mut tracer = Process::start(&mut command, &dir.join("strace.log"));
    tests::eventually("strace has the process", Duration::from_secs(10), || {
        assert!(tracer.is_running() || !alive(pid), "strace: {}", tracer.output());
        let status = fs::read_to_string(format!("/proc/{pid}/task/{pid}/status")).unwrap_or_default();
        let traced = |task: &str| !task.lines().any(|line| line == "TracerPid:\t0");
        !alive(pid) || traced(&status) && every_thread(pid).iter().all(|task| traced(task))
    });
    tracer
}

/// Whether the process has not ended; one that nobody has waited for yet has.
fn alive(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
}

/// The status files of a process's threads.
fn every_thread(pid: u32) -> Vec<String> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("status")).ok()).collect()
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    let disk = SmallDisk::new("160m");
    let mut node = Node::at(&disk.0, &["--config", "posthouse.toml", "--org", "org.toml"]);
    let logs = tempfile::tempdir().unwrap();
    let mut sink = Sink::new(logs.path(), "sink");
    configure(&node, &[("*", &sink)], "[journal]\nsegment_size = \"4MB\"\nkeep_free = \"8MB\"\n");
    node.start();

    let endless = ["--messages", "0", "--seconds", "60", "--sessions", "8", "--size", "20000"];
    let mut fill = Source::start(logs.path(), node.smtp, "fill", &endless);
    tests::eventually("the disk is full", Duration::from_secs(60), || {
        // Its log is on the same disk: lines are lost, the node stays.
        assert!(node.process().is_running(), "the node ended: {}", node.log());
        mail_is_answered(node.smtp, "452 4.3.1 *")
    });
    fill.kill();
    let mut promised = fill.promised();
    assert!(promised.len() > 1000, "only {} messages of 20 KB in 160 MB", promised.len());
    tests::eventually("a node that cannot accept is not ready", Duration::from_secs(10), || {
        node.get("/health/ready").0 == 503
    });

    // Full is no reason to keep mail: it leaves, and so the space comes back.
    sink.restart("accept");
    all_arrive(&promised, &sink, Duration::from_secs(60));
    tests::eventually("space returns", Duration::from_secs(30), || mail_is_answered(node.smtp, "250 *"));
    let again = ["--messages", "200", "--sessions", "4", "--reconnect", "--seconds", "30"];
    let mut after = Source::start(logs.path(), node.smtp, "again", &again);
    after.result(Duration::from_secs(40));
    assert_eq!(after.promised().len(), 200);
    promised.extend(after.promised());
    all_arrive(&promised, &sink, Duration::from_secs(30));

    // And over a restart nothing is lost or comes back.
    let came = sink.arrived().taken.len();
    node.kill();
    node.start();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(sink.arrived().taken.len(), came);
}

fn mail_is_answered(port: u16, pattern: &str) -> bool {
    let mut wire = Wire::connect(port);
    wire.reply();
    wire.send(b"EHLO chaos.test\r\n").unwrap();
    wire.reply();
    wire.send(b"MAIL FROM:<a@chaos.test>\r\n").unwrap();
    wire.reply().first().is_some_and(|line| tests::dialog::matches(pattern, line))
}

/// A file system of a few megabytes, gone when dropped. Needs the right to mount.
struct SmallDisk(PathBuf, tempfile::TempDir);

impl SmallDisk {
    fn new(size: &str) -> SmallDisk {
        let keep = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "posthouse-chaos"]).arg(keep.path());
        let status = mount.status().unwrap();
        assert!(status.success(), "this test mounts a tmpfs; run it as root");
        SmallDisk(keep.path().to_path_buf(), keep)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.1.path()).status();
    }
}

#[test]
fn a_monotonic_clock_that_starts_anew_changes_nothing() {
    let mut node = node();
    let dir = node.dir.clone();
    let mut sink = Sink::new(&dir, "sink");
    configure(&node, &[("*", &sink)], "");
    // Up for 200 days; then a "reboot", up for a moment; then 2 days.
    let mut promised = std::collections::HashMap::new();
    for (prefix, uptime_seconds) in [("old", "17280000"), ("new", "0"), ("mid", "172800")] {
        let ours = node.command();
        let mut command = Command::new("unshare");
        command.args(["--time", "--fork", "--kill-child", "--monotonic", uptime_seconds, "--boottime", uptime_seconds]);
        command.arg("--").arg(ours.get_program()).args(ours.get_args()).current_dir(&dir);
        node.start_as(command);
        let mut source = Source::start(&dir, node.smtp, prefix, &["--messages", "300", "--sessions", "4"]);
        source.result(Duration::from_secs(30));
        assert_eq!(source.promised().len(), 300);
        promised.extend(source.promised());
        if prefix != "mid" {
            node.kill();
            // What was killed is unshare; the kernel kills its child a moment later.
            tests::eventually("the node itself is gone", Duration::from_secs(10), || {
                std::net::TcpListener::bind(("127.0.0.1", node.smtp)).is_ok()
            });
        }
    }
    sink.restart("accept");
    let arrivals = all_arrive(&promised, &sink, Duration::from_secs(30));
    assert_eq!(arrivals.duplicates(), 0);
    the_queue_empties(&node);
}

#[test]
fn a_wall_clock_that_jumps_loses_nothing() {
    let mut node = node();
    let dir = node.dir.clone();
    let mut sink = Sink::new(&dir, "sink");
    configure(&node, &[("*", &sink)], "");
    let jump = |by: &str| fs::write(dir.join("clock"), by).unwrap();
    jump("+0");
    // faketime's library stands between this one process and the clock; it reads the file at each question.
    let mut command = node.command();
    command.env("LD_PRELOAD", "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1");
    command
        .env("FAKETIME_TIMESTAMP_FILE", dir.join("clock"))
        .env("FAKETIME_NO_CACHE", "1")
        .env("DONT_FAKE_MONOTONIC", "1");
    node.start_as(command);
    let mut promised = std::collections::HashMap::new();
    for (prefix, by) in [("now", "+0"), ("ahead", "+1h"), ("back", "-20d"), ("far", "+30h")] {
        jump(by);
        let mut source = Source::start(&dir, node.smtp, prefix, &["--messages", "300", "--sessions", "4"]);
        source.result(Duration::from_secs(30));
        assert_eq!(source.promised().len(), 300, "with the clock set by {by}");
        promised.extend(source.promised());
    }
    sink.restart("accept");
    assert_eq!(node.verb(&["queue", "retry", "smart-hosts:to-"]).0, 0);
    let arrivals = all_arrive(&promised, &sink, Duration::from_secs(30));
    assert_eq!(arrivals.duplicates(), 0);
    the_queue_empties(&node);
}

#[test]
fn a_hanging_and_a_slow_hop_slow_no_third() {
    let mut node = node();
    let dir = node.dir.clone();
    let (mut hanging, mut slow) = (Sink::new(&dir, "hanging"), Sink::new(&dir, "slow"));
    let quick = Sink::started(&dir, "quick");
    hanging.restart("hang-after-data");
    slow.restart("slow 500");
    configure(&node, &[("hanging.test", &hanging), ("slow.test", &slow), ("quick.test", &quick)], "");
    node.start();

    let alone = delivered_in(&node, &dir, "alone", &quick);
    for (prefix, rcpt) in [("hang", "user@hanging.test"), ("slow", "user@slow.test")] {
        let options = ["--messages", "3000", "--sessions", "16", "--size", "3000", "--rcpt", rcpt];
        let mut source = Source::start(&dir, node.smtp, prefix, &options);
        source.result(Duration::from_secs(60));
        assert_eq!(source.promised().len(), 3000);
    }
    tests::eventually("both hops have work", Duration::from_secs(20), || {
        hanging.arrived().unanswered > 0 && !slow.arrived().taken.is_empty()
    });
    let beside = delivered_in(&node, &dir, "beside", &quick);
    println!("chaos: 3,000 messages to a quick hop: {alone:?} alone, {beside:?} beside a hanging and a slow one");
    assert!(beside < alone * 2 + Duration::from_secs(1), "{alone:?} alone, {beside:?} beside the others");
    assert!(slow.arrived().taken.len() < 3000, "the slow hop was still at work: the comparison holds");
}

/// How long 3,000 messages take to the quick hop, from the first connection to the last arrival.
fn delivered_in(node: &Node, dir: &Path, prefix: &str, quick: &Sink) -> Duration {
    let begun = Instant::now();
    let options = ["--messages", "3000", "--sessions", "16", "--size", "3000", "--rcpt", "user@quick.test"];
    let mut source = Source::start(dir, node.smtp, prefix, &options);
    source.result(Duration::from_secs(60));
    let promised = source.promised();
    assert_eq!(promised.len(), 3000);
    tests::eventually("all arrive", Duration::from_secs(60), || quick.arrived().missing(&promised).is_empty());
    begun.elapsed()
}
