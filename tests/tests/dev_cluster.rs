//! `posthouse dev` as a newcomer meets it: a cluster in one command, a node that dies with its disk, another one that has its mail.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // a test of real processes

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tests::ports::free_ports;
use tests::process::Process;
use tests::wire::Wire;
use tests::{binary, eventually};

const SOON: Duration = Duration::from_secs(60);

/// `posthouse dev ...` in a folder: exit code, and what it printed.
fn dev(dir: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let out = Command::new(binary("posthouse")).arg("dev").args(arguments).current_dir(dir).output().unwrap();
    (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr))
}

fn status(dir: &Path) -> Value {
    let (code, text) = dev(dir, &["status", "--json"]);
    assert_eq!(code, Some(0), "{text}");
    serde_json::from_str(&text).unwrap()
}

fn send(port: u16, to: &str) -> String {
    let mut wire = Wire::connect(port);
    wire.reply();
    for command in ["EHLO client.test", "MAIL FROM:<a@client.test>", &format!("RCPT TO:<{to}>"), "DATA"] {
        wire.command(command);
    }
    wire.command("Subject: hello\r\n\r\nHello.\r\n.")
}

/// Also a test that fails leaves no process behind.
struct Stopped<'a>(&'a Path);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        dev(self.0, &["stop"]);
    }
}

#[test]
fn a_newcomer_kills_a_node_and_its_mail_is_elsewhere() {
    let keep = tempfile::tempdir().unwrap();
    let (dir, base) = (keep.path(), free_ports(100));
    let start = ["dev", "cluster", "--nodes", "3", "--ttl", "2", "--base-port", &base.to_string()];
    let mut command = Command::new(binary("posthouse"));
    command.args(start).current_dir(dir);
    let mut foreground = Process::start(&mut command, &dir.join("foreground.log"));
    let _stopped = Stopped(dir);
    eventually("the cluster is up and says what to try", SOON, || {
        assert!(foreground.is_running(), "it ended: {}", foreground.output());
        foreground.output().contains("What happens, in seconds from now")
    });
    let said = foreground.output();
    for line in [
        format!("swaks --server 127.0.0.1:{}", base + 21),
        "dev kill 2 --disk".into(),
        format!("http://127.0.0.1:{}/", base + 18),
        format!("swaks --server 127.0.0.1:{} --to ann@posthouse.test", base + 5),
    ] {
        assert!(said.contains(&line), "{line}: {said}");
    }
    let (code, text) = dev(dir, &["cluster", "--ttl", "2", "--base-port", &base.to_string()]);
    assert!(code == Some(1) && text.contains("runs already"), "{text}");

    let answer = send(base + 21, "bob@later.test");
    assert!(answer.starts_with("250"), "{answer}");
    assert_eq!(status(dir)["nodes"][1]["status"]["spool"]["messages"], 1);
    let (code, text) = dev(dir, &["kill", "2", "--disk"]);
    assert!(code == Some(0) && text.contains("killed, and its data directory is removed"), "{text}");
    for number in 0..10 {
        let answer = send(base + 5, "ann@posthouse.test");
        assert!(answer.starts_with("250"), "message {number} to the address of all nodes: {answer}");
    }
    assert!(!dir.join("posthouse-dev/n2/data").exists() && dir.join("posthouse-dev/n2/posthouse.toml").exists());
    eventually("another node has its message", SOON, || {
        let now = status(dir);
        let has = |node: &Value| node["status"]["taken"][0]["messages"] == 1;
        now["nodes"].as_array().unwrap().iter().any(has)
    });
    eventually("and the foreground says so", SOON, || {
        let said = foreground.output();
        said.contains("node 2 is down") && said.contains("has taken the journal of node 2 over: 1 message")
    });
    let (code, text) = dev(dir, &["start", "2"]);
    assert_eq!(code, Some(0), "{text}");
    eventually("a new machine of that name takes mail", SOON, || status(dir)["nodes"][1]["status"]["ready"] == true);

    let mut hop = Command::new(binary("posthouse"));
    hop.args(["start", "--org", "posthouse-dev/later.toml", "--data", "posthouse-dev/later"]);
    hop.args(["--http", &format!("127.0.0.1:{}", base + 8)]).current_dir(dir);
    let hop = Process::start(&mut hop, &dir.join("later.log"));
    eventually("the message goes out to its next hop", SOON, || {
        let new = fs::read_dir(dir.join("posthouse-dev/later/mail/later.test/bob/new"));
        new.is_ok_and(|letters| letters.count() == 1)
    });
    drop(hop);

    let pids: Vec<u64> =
        status(dir)["nodes"].as_array().unwrap().iter().filter_map(|node| node["pid"].as_u64()).collect();
    assert_eq!(pids.len(), 3);
    let (code, text) = dev(dir, &["stop"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(foreground.wait(SOON).success(), "{}", foreground.output());
    for pid in pids {
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "process {pid} is left behind");
    }
}

#[test]
fn a_directory_that_it_did_not_make_is_left_alone() {
    let keep = tempfile::tempdir().unwrap();
    let dir = keep.path();
    fs::create_dir(dir.join("letters")).unwrap();
    fs::write(dir.join("letters/one"), "mine").unwrap();
    let two = ["--nodes", "2", "--no-etcd", "--dir", "letters"];
    let (code, text) = dev(dir, &[&["cluster"], &two[..]].concat());
    assert!(code == Some(1) && text.contains("not of our making"), "{text}");
    for verb in [&["kill", "1", "--disk"][..], &["start", "1"], &["status"], &["stop"]] {
        let (code, text) = dev(dir, &[verb, &["--dir", "letters"]].concat());
        assert!(code == Some(1) && text.contains("there is no cluster in"), "{verb:?}: {text}");
    }
    assert_eq!(fs::read_dir(dir.join("letters")).unwrap().count(), 1, "not even a lock was left there");
    let (code, text) = dev(dir, &["cluster", "--nodes", "12"]);
    assert!(code == Some(2) && text.contains("--nodes is 2 to 9"), "{text}");
    assert!(!dir.join("posthouse-dev").exists());
}
