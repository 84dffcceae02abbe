//! A real node that is killed under load while a reader moves and removes what it delivers: no letter is lost, and none is in its Maildir
//! twice but what the generator itself sent twice.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // tests touch the real world

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tests::chaos::{Dice, Source, node};
use tests::process::Node;

fn configure(node: &Node) {
    let org = format!(
        "postmaster = \"postmaster@local.test\"\n[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:{}\"]\ntls = \"off\"\n\
         permissions = [\"anonymous\"]\nconnections_per_source_max = 1000\nconnections_per_source_percent_max = 100\n\
         tarpit_ms = 0\n[[accepted_domain]]\nname = \"local.test\"\ndeliver = \"maildir\"\n[retry]\npoison_after = 100\n",
        node.smtp
    );
    fs::write(node.dir.join("org.toml"), org).unwrap();
    let text = "name = \"node.chaos.test\"\n[limits]\nconnection_rate_per_minute = 0\n";
    fs::write(node.dir.join("posthouse.toml"), text).unwrap();
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

#[test]
fn kill_nine_puts_nothing_twice_into_maildirs() {
    let rounds = std::env::var("CHAOS_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(12);
    let (mut dice, mut node) = (Dice::new(), node());
    configure(&node);
    node.start();
    let mailbox = node.data().join("mail/local.test/user");
    let stop = Arc::new(AtomicBool::new(false));
    let reading = std::thread::spawn({
        let (mailbox, stop) = (mailbox.clone(), stop.clone());
        move || reader(mailbox, stop)
    });
    let load =
        ["--messages", "0", "--seconds", "3600", "--sessions", "16", "--size", "2000", "--rate", "700", "--rcpt"];
    let mut source =
        Source::start(&node.dir, node.smtp, "maildir", &[&load[..], &["user@local.test", "--reconnect"]].concat());
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
    tests::eventually("all is delivered", Duration::from_secs(60), || counted(&node, "posthouse_spool_messages") == 0);
    suppressed += counted(&node, "posthouse_duplicates_suppressed_total");
    stop.store(true, Ordering::Relaxed);
    let mut letters = reading.join().unwrap();
    let removed = letters.len();
    letters.extend(
        files(&mailbox.join("new")).iter().chain(&files(&mailbox.join("cur"))).filter_map(|path| bench_id(path)),
    );

    let mut times: HashMap<&String, usize> = HashMap::new();
    letters.iter().for_each(|id| *times.entry(id).or_default() += 1);
    let promised = source.promised();
    let lost: Vec<&String> = promised.keys().filter(|id| !times.contains_key(id)).collect();
    assert!(lost.is_empty(), "{} of {} are lost, e.g. {:?}", lost.len(), promised.len(), &lost[..lost.len().min(3)]);
    let doubts = fs::read_to_string(&source.doubts).unwrap();
    let sent_again: HashSet<&str> = doubts.lines().filter_map(|line| line.split(' ').next()).collect();
    let twice: Vec<_> = times.iter().filter(|(id, n)| **n > 1 && !sent_again.contains(id.as_str())).collect();
    println!(
        "{rounds} kills: {} promised, 0 lost, {named} named, {suppressed} suppressed, {removed} removed by the reader, {} twice",
        promised.len(),
        twice.len()
    );
    assert!(twice.is_empty(), "{} letters came twice, e.g. {:?}", twice.len(), twice.first());
    assert!(promised.len() > rounds * 50 && removed > rounds * 10, "there was load, and a reader");
    assert!(suppressed > 0 && named >= suppressed, "the kills fell between deliveries and their records");
    let log = node.log();
    let ids: Vec<&str> = log.lines().filter_map(|line| Some(line.split_once("possible duplicates: ")?.1)).collect();
    let ids = ids.iter().flat_map(|line| line.split_whitespace()).filter(|word| word.len() == 26).count() as u64;
    assert_eq!(ids, named, "each one is named in the log");
}
