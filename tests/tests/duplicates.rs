//! A real node that is killed under load while a reader moves and removes what it delivers: no letter is lost, and none is in its Maildir
//! twice but what the generator itself sent twice.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // tests touch the real world

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tests::chaos::{Dice, Source, node};
use tests::process::Node;
use tests::two::{SOON, Two};

fn configure(node: &Node) {
    configure_org(node);
    let text = "name = \"node.chaos.test\"\n[limits]\nconnection_rate_per_minute = 0\n";
    fs::write(node.dir.join("posthouse.toml"), text).unwrap();
}

/// Mail for local.test goes into Maildirs.
fn configure_org(node: &Node) {
    let org = format!(
        "postmaster = \"postmaster@local.test\"\n[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:{}\"]\ntls = \"off\"\n\
         permissions = [\"anonymous\"]\nconnections_per_source_max = 1000\nconnections_per_source_percent_max = 100\n\
         tarpit_ms = 0\n[[accepted_domain]]\nname = \"local.test\"\ndeliver = \"maildir\"\n[retry]\npoison_after = 100\n",
        node.smtp
    );
    fs::write(node.dir.join("org.toml"), org).unwrap();
}

/// The generator's name of a letter.
fn bench_id(path: &Path) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]).into_owned();
    head.lines().find_map(|line| line.strip_prefix("X-Bench-Id: ")).map(|id| id.trim().to_string())
}

fn files(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}

/// What a mail reader does: a letter that has been there for a moment is marked as read, or read and removed; gives the names of those.
fn reader(mailbox: PathBuf, stop: Arc<AtomicBool>) -> Vec<String> {
    let mut removed = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        for path in files(&mailbox.join("new")) {
            let age = fs::metadata(&path).and_then(|meta| meta.modified()).ok().and_then(|at| at.elapsed().ok());
            if age.is_none_or(|age| age < Duration::from_millis(200)) {
                continue;
            }
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let Some(id) = bench_id(&path) else { continue };
            if id.bytes().last().is_some_and(|byte| byte % 2 == 0) {
                fs::rename(&path, mailbox.join("cur").join(format!("{name}:2,S"))).unwrap();
            } else {
                fs::remove_file(&path).unwrap();
                removed.push(id);
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    removed
}

/// Returns just after a letter was moved into the mailbox: its outcome cannot be in the journal yet.
fn a_letter_comes(mailbox: &Path) {
    let before: HashSet<PathBuf> = files(&mailbox.join("new")).into_iter().collect();
    tests::eventually("a letter comes", Duration::from_secs(20), || {
        let end = Instant::now() + Duration::from_millis(50);
        while Instant::now() < end {
            if files(&mailbox.join("new")).iter().any(|path| !before.contains(path)) {
                return true;
            }
        }
        false
    });
}

/// A counter on the metrics page, all labels together.
fn counted(node: &Node, name: &str) -> u64 {
    let (_, page) = node.get("/metrics");
    let lines = page.lines().filter(|line| line.starts_with(name));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
}

/// The ids that the log names as possible duplicates, oldest first.
fn named_in(log: &str) -> Vec<String> {
    let lists = log.lines().filter_map(|line| Some(line.split_once("possible duplicates: ")?.1));
    let words = lists.flat_map(|list| list.split_whitespace());
    words.filter(|word| word.len() == 26).map(String::from).collect()
}

/// What became of the load in a mailbox.
struct Outcome {
    promised: usize,
    removed: usize,
}

/// Ends the load and the reader, and holds what was promised against what came.
fn judge(mailbox: &Path, source: &Source, removed: Vec<String>) -> Outcome {
    let count = removed.len();
    let kept: Vec<PathBuf> = ["new", "cur"].iter().flat_map(|part| files(&mailbox.join(part))).collect();
    let letters: Vec<String> = removed.into_iter().chain(kept.iter().filter_map(|path| bench_id(path))).collect();
    let mut times: HashMap<&String, usize> = HashMap::new();
    letters.iter().for_each(|id| *times.entry(id).or_default() += 1);
    let promised = source.promised();
    let lost: Vec<&String> = promised.keys().filter(|id| !times.contains_key(id)).collect();
    assert!(lost.is_empty(), "{} of {} are lost, e.g. {:?}", lost.len(), promised.len(), &lost[..lost.len().min(3)]);
    let doubts = fs::read_to_string(&source.doubts).unwrap();
    let sent_again: HashSet<&str> = doubts.lines().filter_map(|line| line.split(' ').next()).collect();
    let twice: Vec<_> = times.iter().filter(|(id, n)| **n > 1 && !sent_again.contains(id.as_str())).collect();
    assert!(twice.is_empty(), "{} letters came twice, e.g. {:?}", twice.len(), twice.first());
    Outcome { promised: promised.len(), removed: count }
}

/// A reader on a thread of its own, and the word that ends it.
fn start_reader(mailbox: &Path) -> (Arc<AtomicBool>, JoinHandle<Vec<String>>) {
    let (mailbox, stop) = (mailbox.to_path_buf(), Arc::new(AtomicBool::new(false)));
    let stopped = stop.clone();
    (stop, std::thread::spawn(move || reader(mailbox, stopped)))
}

#[test]
fn kill_nine_puts_nothing_twice_into_maildirs() {
    let rounds = std::env::var("CHAOS_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(12);
    let (mut dice, mut node) = (Dice::new(), node());
    configure(&node);
    node.start();
    let mailbox = node.data().join("mail/local.test/user");
    let (stop, reading) = start_reader(&mailbox);
    let mut source = Source::start(&node.dir, node.smtp, "maildir", &LOAD);
    let (mut named, mut suppressed) = (0, 0);
    for _ in 0..rounds {
        std::thread::sleep(Duration::from_millis(700 + dice.roll(800)));
        suppressed += counted(&node, "posthouse_duplicates_suppressed_total");
        a_letter_comes(&mailbox);
        node.kill();
        node.start();
        named += counted(&node, "posthouse_possible_duplicates_total");
    }
    std::thread::sleep(Duration::from_millis(500));
    source.kill();
    tests::eventually("all is delivered", Duration::from_secs(240), || counted(&node, "posthouse_spool_messages") == 0);
    suppressed += counted(&node, "posthouse_duplicates_suppressed_total");
    stop.store(true, Ordering::Relaxed);
    let Outcome { promised, removed } = judge(&mailbox, &source, reading.join().unwrap());
    println!(
        "{rounds} kills: {promised} promised, 0 lost, 0 twice, {named} named, {suppressed} suppressed, {removed} removed by the reader"
    );
    assert!(promised > rounds * 50 && removed > rounds * 10, "there was load, and a reader");
    assert!(suppressed > 0 && named >= suppressed, "the kills fell between deliveries and their records");
    let ids = named_in(&node.log());
    assert_eq!(ids.len() as u64, named, "each one is named in the log");
    let told = node.json(&["trace", "--id", ids.last().unwrap()]);
    let events: Vec<&str> = told["events"].as_array().unwrap().iter().filter_map(|e| e["event"].as_str()).collect();
    assert!(events.contains(&"REPEAT") && events.contains(&"DELIVER"), "{told}");
}

/// Both nodes deliver into one root. One dies with its disk just after a letter of its came; the other takes its journal over.
#[test]
fn a_taker_puts_nothing_twice_into_a_shared_root() {
    // On a busy machine a kill may come too late to fall between a delivery and its record.
    let suppressed = (0..5).map(|_| take_over_in_a_shared_root()).find(|suppressed| *suppressed > 0);
    assert!(suppressed.is_some(), "no kill fell between a delivery and its record");
}

/// Gives how many letters the taker did not deliver once more.
fn take_over_in_a_shared_root() -> u64 {
    let mut two = Two::with(&["--org", "org.toml"]);
    let root = two.keep.path().join("mail");
    fs::create_dir(&root).unwrap();
    [&two.a, &two.b].iter().for_each(|node| configure_org(node));
    two.start();
    for node in [&two.a, &two.b] {
        std::os::unix::fs::symlink(&root, node.data().join("mail")).unwrap();
    }
    let Two { keep: _keep, mut a, b } = two;
    let counts = |of: &Node| of.json(&["status"])["copies"][0]["counts"] == true;
    tests::eventually("both copies count", SOON, || counts(&a) && counts(&b));
    let mailbox = root.join("local.test/user");
    let (stop, reading) = start_reader(&mailbox);
    let mut source = Source::start(&b.dir, a.smtp, "shared", &LOAD);
    std::thread::sleep(Duration::from_secs(4));
    a_letter_comes(&mailbox);
    a.kill();
    fs::remove_dir_all(a.data()).unwrap();
    source.kill();
    tests::eventually("b sees that a is gone", SOON, || b.json(&["status"])["peers"][0]["connected"] == false);
    let (code, said, error) = b.verb(&["journal", "take-over", "a.test", "--yes"]);
    assert_eq!(code, 0, "{said} {error}");
    let taken = || b.json(&["journal", "list"])["taken"].as_array().unwrap().len();
    tests::eventually("all that was taken is delivered", Duration::from_secs(240), || taken() == 0);
    let (named, suppressed) =
        (counted(&b, "posthouse_possible_duplicates_total"), counted(&b, "posthouse_duplicates_suppressed_total"));
    stop.store(true, Ordering::Relaxed);
    let Outcome { promised, removed } = judge(&mailbox, &source, reading.join().unwrap());
    println!(
        "a take-over: {promised} promised, 0 lost, 0 twice, {named} named, {suppressed} suppressed, {removed} removed by the reader"
    );
    assert!(named >= suppressed && removed > 10, "there was load, and a reader");
    assert_eq!(named_in(&b.log()).len() as u64, named, "each one is named in the log");
    suppressed
}

const LOAD: [&str; 13] = [
    "--reconnect",
    "--messages",
    "0",
    "--seconds",
    "3600",
    "--sessions",
    "16",
    "--size",
    "2000",
    "--rate",
    "700",
    "--rcpt",
    "user@local.test",
];
