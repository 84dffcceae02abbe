//! A real node that expands a group (nested, with members by attribute, by alias, forwarded and outside) while it is killed: what the
//! accept record says is the whole expansion, so every member gets every message that has its 250.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // tests touch the real world

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use tests::chaos::{CONNECTIONS, Dice, Sink, Source, node};
use tests::eventually;
use tests::process::Node;

/// Mailboxes here that each message to `all@local.test` reaches.
const MAILBOXES: [&str; 5] = ["ann", "bob", "carol", "dave", "erin"];

/// Addresses outside that it reaches.
const OUTSIDE: [&str; 2] = ["fay@away.test", "gus@away.test"];

const PEOPLE: &str = r#"
[[accepted_domain]]
name = "local.test"
deliver = "maildir"
unknown_recipients = "refuse"
[[recipient]]
address = "ann@local.test"
attributes = ["floor=1"]
[[recipient]]
address = "bob@local.test"
aliases = ["robert@local.test"]
attributes = ["floor=1"]
[[recipient]]
address = "carol@local.test"
forward_to = "gus@away.test"
keep_copy = true
[[recipient]]
address = "dave@local.test"
aliases = ["david@local.test"]
[[recipient]]
address = "old-dave@local.test"
forward_to = "dave@local.test"
[[recipient]]
address = "erin@local.test"
[[contact]]
address = "fay@local.test"
target = "fay@away.test"
[[group]]
address = "floor@local.test"
having = ["floor=1"]
members = ["all@local.test"]
[[group]]
address = "inner@local.test"
members = ["david@local.test", "old-dave@local.test", "robert@local.test", "fay@local.test"]
[[group]]
address = "all@local.test"
members = ["floor@local.test", "inner@local.test", "carol@local.test", "erin@local.test", "gus@away.test"]
"#;

fn configure(node: &Node, sink: &Sink) {
    let org = format!(
        "postmaster = \"ann@local.test\"\n[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:{}\"]\ntls = \"off\"\n\
         permissions = [\"anonymous\"]\nconnections_per_source_max = 1000\nconnections_per_source_percent_max = 100\ntarpit_ms = 0\n\
         [[send_connector]]\nname = \"out\"\nsmart_hosts = [\"127.0.0.1:{}\"]\ntls = \"off\"\nconnections_max = {CONNECTIONS}\n\
         {PEOPLE}\n[retry]\nglitch_count = 1000\nglitch_interval = \"1s\"\nmessage_retry_interval = \"1s\"\npoison_after = 100\n",
        node.smtp, sink.port
    );
    fs::write(node.dir.join("org.toml"), org).unwrap();
    let text = "name = \"node.chaos.test\"\n[limits]\nconnection_rate_per_minute = 0\n";
    fs::write(node.dir.join("posthouse.toml"), text).unwrap();
}

/// How often each letter is in a mailbox.
fn letters(mailbox: &Path) -> HashMap<String, usize> {
    let mut times = HashMap::new();
    for entry in fs::read_dir(mailbox.join("new")).into_iter().flatten().flatten() {
        let bytes = fs::read(entry.path()).unwrap_or_default();
        let head = String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]).into_owned();
        let id = head.lines().find_map(|line| line.strip_prefix("X-Bench-Id: ")).map(|id| id.trim().to_string());
        *times.entry(id.unwrap_or_else(|| panic!("{}: no letter of ours", entry.path().display()))).or_default() += 1;
    }
    times
}

/// How often each letter came to each address outside: the sink's ledger has the recipients of each in its fifth word.
fn outside(sink: &Sink) -> HashMap<(String, String), usize> {
    let mut times = HashMap::new();
    let ledger = fs::read_to_string(&sink.ledger).unwrap_or_default();
    for line in ledger.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        let words: Vec<&str> = line.split(' ').collect();
        if let [id, _, "ok", "accepted" | "late", ref to @ ..] = words[..] {
            for address in to.iter().flat_map(|to| to.split(',')) {
                *times.entry((id.to_string(), address.to_string())).or_default() += 1;
            }
        }
    }
    times
}

#[test]
fn kill_nine_between_expansion_and_delivery_loses_no_member() {
    let rounds = std::env::var("CHAOS_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(8);
    let (mut dice, mut node) = (Dice::new(), node());
    let sink = Sink::started(&node.dir.clone(), "sink");
    configure(&node, &sink);
    node.start();
    let mut source = Source::start(&node.dir, node.smtp, "group", &LOAD);
    for _ in 0..rounds {
        std::thread::sleep(Duration::from_millis(500 + dice.roll(900)));
        node.kill();
        node.start();
    }
    std::thread::sleep(Duration::from_millis(500));
    source.kill();
    let (promised, doubted) = (source.promised(), source.doubted());
    let empty = || {
        node.json(&["queue", "list"])["queues"]
            .as_array()
            .is_some_and(|queues| queues.iter().all(|queue| queue["messages"].as_u64() == Some(0)))
    };
    eventually("all is delivered", Duration::from_secs(90), empty);
    assert!(promised.len() > rounds * 20, "there was load: {} promises", promised.len());

    let doubted: HashSet<&String> = doubted.iter().collect();
    for mailbox in MAILBOXES {
        let times = letters(&node.data().join("mail/local.test").join(mailbox));
        let lost: Vec<&String> = promised.keys().filter(|id| !times.contains_key(*id)).collect();
        assert!(lost.is_empty(), "{mailbox} lacks {} of {}: {:?}", lost.len(), promised.len(), lost.first());
        // A Maildir shows nothing twice but what the generator sent twice, and that at most as often as it did.
        let twice: Vec<_> = times.iter().filter(|(id, n)| **n > 1 && !doubted.contains(id)).collect();
        assert!(twice.is_empty(), "{mailbox} has {} twice: {:?}", twice.len(), twice.first());
    }
    let came = outside(&sink);
    let mut beyond = 0;
    for address in OUTSIDE {
        let times = |id: &String| came.get(&(id.clone(), address.to_string())).copied().unwrap_or_default();
        let lost: Vec<&String> = promised.keys().filter(|id| times(id) == 0).collect();
        assert!(lost.is_empty(), "{address} lacks {} of {}: {:?}", lost.len(), promised.len(), lost.first());
        beyond += promised.keys().map(|id| times(id) - 1).sum::<usize>();
    }
    assert!(came.keys().all(|(_, to)| OUTSIDE.contains(&to.as_str())), "somebody else got it");
    // Twice outside: what was under way at a kill, and what the generator sent again. Each message has two addresses there.
    let explained = 2 * (doubted.len() + rounds * CONNECTIONS * 2);
    assert!(beyond <= explained, "{beyond} more than once outside, {explained} are explained");
    println!(
        "{rounds} kills: {} promised to {} mailboxes and {} addresses outside, 0 lost, {beyond} twice outside (at most {explained}), {} doubts",
        promised.len(),
        MAILBOXES.len(),
        OUTSIDE.len(),
        doubted.len()
    );
    the_trace_tells(&node);
}

/// The trace names what the categorizer did, by the message's id.
fn the_trace_tells(node: &Node) {
    let events = node.json(&["trace", "--event", "EXPAND"]);
    let id = events["events"][0]["id"].as_str().unwrap_or_else(|| panic!("{events}")).to_string();
    let told = node.json(&["trace", "--id", &id]);
    let said: Vec<String> = told["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| {
            format!(
                "{} {} {}",
                event["event"].as_str().unwrap(),
                event["recipients"],
                event["context"].as_str().unwrap()
            )
        })
        .collect();
    for wanted in [
        "EXPAND [\"floor@local.test\",\"inner@local.test\",\"carol@local.test\",\"erin@local.test\",\"gus@away.test\"] group all@local.test",
        "RESOLVE [\"dave@local.test\"] alias david@local.test",
        "REDIRECT [\"gus@away.test\"] forwarded for carol@local.test, which keeps a copy",
        "REDIRECT [\"fay@away.test\"] contact for fay@local.test",
    ] {
        assert!(said.iter().any(|line| line == wanted), "{wanted} is not in {said:#?}");
    }
}

const LOAD: [&str; 13] = [
    "--messages",
    "0",
    "--seconds",
    "3600",
    "--sessions",
    "8",
    "--size",
    "2000",
    "--rate",
    "60",
    "--reconnect",
    "--rcpt",
    "all@local.test",
];
