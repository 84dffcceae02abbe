//! A hub and a balancer that restart again and again, and what goes wrong on the way.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tests::eventually;
use tests::process::Node;

use super::{Applications, Behind, Heir, RESTARTS, connect, each_its_own, kept};

/// A hub: the new process has the spool, and each message that was answered 250 is there once.
#[test]
fn a_hub_that_restarts_refuses_nobody_and_loses_nothing() {
    let mut node = Node::started(&[]);
    let data = node.data();
    let heir = Heir(&data);
    let mut applications = Applications::new();
    for _ in 0..4 {
        applications = applications.add(node.smtp, each_its_own);
    }
    let mut processes = vec![node.process().pid()];
    for _ in 0..RESTARTS {
        applications.wait_for(5);
        let (code, out, err) = node.verb(&["restart"]);
        assert_eq!(code, 0, "{out}{err}\n{}", node.log());
        processes.extend(heir.pid());
    }
    applications.wait_for(5);
    let sent = applications.end();
    processes.dedup();
    assert_eq!(processes.len(), RESTARTS + 1, "each restart has made another process");
    node.process().wait(Duration::from_secs(30));
    eventually("all mail is delivered", Duration::from_secs(60), || node.mailbox("bob@posthouse.test").len() >= sent);
    assert_eq!(node.mailbox("bob@posthouse.test").len(), sent, "nothing is lost and nothing comes twice");
}

/// The new process cannot run: the old one goes on, and says so.
#[test]
fn who_cannot_run_takes_no_place() {
    let mut node = Node::new(&["--config", "posthouse.toml"]);
    let document = node.dir.join("posthouse.toml");
    std::fs::write(&document, "name = \"mx.posthouse.test\"\n").unwrap();
    node.start();
    let before = node.process().pid();
    std::fs::write(&document, "name = 7\n").unwrap();
    let (code, out, err) = node.verb(&["restart"]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(err.contains("the old one goes on"), "{err}");
    assert_eq!(node.json(&["status"])["pid"], before);
    // One that holds the sockets, and dies before it has said anything more, changes nothing either.
    let data = node.data();
    let stranger = UnixStream::connect(data.join("succession")).unwrap();
    drop(stranger);
    connect(node.smtp).unwrap();
    std::fs::write(&document, "name = \"mx.posthouse.test\"\n").unwrap();
    let heir = Heir(&data);
    let (code, out, err) = node.verb(&["restart"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_ne!(heir.pid(), Some(before));
}

/// An upgrade has brought a program that hangs before its first word: the old process goes on, ends it, says so, and the next restart works.
#[test]
fn who_hangs_before_its_first_word_blocks_no_further_restart() {
    let mut node = Node::new(&[]);
    let (program, hangs) = (node.dir.join("posthouse"), node.dir.join("hangs"));
    // As packages do it: what runs stays as it is, another file has its name.
    let put = |make: &dyn Fn(&Path)| {
        let new = program.with_extension("new");
        make(&new);
        fs::rename(&new, &program).unwrap();
    };
    let good = |to: &Path| {
        fs::copy(tests::binary("posthouse"), to).unwrap();
    };
    put(&good);
    let mut command = Command::new(&program);
    command.args(node.command().get_args()).current_dir(&node.dir);
    node.start_as(command);
    let (data, first) = (node.data(), node.process().pid());
    let heir = Heir(&data);
    let applications = Applications::new().add(node.smtp, each_its_own).add(node.smtp, each_its_own);
    put(&|to| {
        fs::write(to, format!("#!/bin/sh\necho $$ > {}\nkill -STOP $$\nexit 0\n", hangs.display())).unwrap();
        fs::set_permissions(to, fs::Permissions::from_mode(0o755)).unwrap();
    });
    let (code, out, err) = node.verb(&["restart"]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(err.contains("said nothing for 30 s and was ended") && err.contains("then posthouse restart"), "{err}");
    let hung: u32 = fs::read_to_string(&hangs).unwrap().trim().parse().unwrap();
    let event = |line: &str| line.contains("WARN") && line.contains(&format!("the new process {hung} said nothing"));
    assert!(node.log().lines().any(event), "{}", node.log());
    eventually("it is gone", Duration::from_secs(60), || !Path::new(&format!("/proc/{hung}")).exists());
    assert_eq!(node.json(&["status"])["pid"], first);
    applications.wait_for(10);
    put(&good);
    let (code, out, err) = node.verb(&["restart"]);
    assert_eq!(code, 0, "{out}{err}\n{}", node.log());
    assert_ne!(heir.pid(), Some(first));
    applications.wait_for(10);
    applications.end();
}

/// The old process is frozen: the new one says so and gives up; thawed, the old one goes on.
#[test]
fn a_frozen_process_is_not_replaced_silently() {
    let mut node = Node::started(&[]);
    node.process().signal("STOP");
    let begun = Instant::now();
    let mut command = node.command();
    let out = command.arg("--succeed").output().unwrap();
    assert!(!out.status.success() && begun.elapsed() < Duration::from_secs(60));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(said.contains("does not answer") && said.contains("kill -9"), "{said}");
    node.process().signal("CONT");
    connect(node.smtp).unwrap();
    assert_eq!(node.json(&["status"])["pid"], node.process().pid());
}

/// A balancer: whoever connects while it restarts meets the new process, and what the old one relays goes on in it.
#[test]
fn a_balancer_that_restarts_cuts_nobody() {
    let mut behind = Behind::start();
    let data = behind.balancer.data();
    let heir = Heir(&data);
    let mut applications = Applications::new();
    for _ in 0..4 {
        applications = applications.add(behind.service, each_its_own);
    }
    for _ in 0..2 {
        applications = applications.add(behind.service, kept);
    }
    let mut processes = vec![behind.balancer.process().pid()];
    for _ in 0..RESTARTS {
        applications.wait_for(10);
        let (code, out, err) = behind.balancer.verb(&["restart"]);
        assert_eq!(code, 0, "{out}{err}\n{}", behind.balancer.log());
        processes.extend(heir.pid());
    }
    applications.wait_for(10);
    assert!(behind.balancer.process().is_running(), "the first process stays for the sessions that it relays");
    let sent = applications.end();
    processes.dedup();
    assert_eq!(processes.len(), RESTARTS + 1, "each restart has made another process");
    behind.balancer.process().wait(Duration::from_secs(60));
    eventually("all mail is delivered", Duration::from_secs(60), || behind.kept() >= sent);
    assert_eq!(behind.kept(), sent, "nothing is lost and nothing comes twice");
}

/// A successor that dies when the mail of the old process has ended already: another one is started, and nobody is refused.
#[test]
fn a_successor_that_dies_in_the_middle_is_followed_by_another() {
    let mut node = Node::started(&[]);
    let (data, first) = (node.data(), node.process().pid());
    let heir = Heir(&data);
    let applications = Applications::new().add(node.smtp, each_its_own).add(node.smtp, each_its_own);
    applications.wait_for(5);
    let mut wire = UnixStream::connect(data.join("succession")).unwrap();
    says(&mut wire, r#"{"Hello":{"protocol":2,"process":1,"version":"x"}}"#);
    assert!(hears_frame(&mut wire).contains("Sockets"));
    says(&mut wire, r#""Yield""#);
    assert!(hears_frame(&mut wire).contains("Yielded"));
    drop(wire);
    eventually("another process has the data directory", Duration::from_secs(60), || heir.pid() != Some(first));
    applications.wait_for(10);
    let sent = applications.end();
    eventually("all mail is delivered", Duration::from_secs(60), || node.mailbox("bob@posthouse.test").len() >= sent);
    assert_eq!(node.mailbox("bob@posthouse.test").len(), sent);
}

pub fn says(wire: &mut UnixStream, json: &str) {
    wire.write_all(&(json.len() as u32).to_be_bytes()).unwrap();
    wire.write_all(json.as_bytes()).unwrap();
}

pub fn hears_frame(wire: &mut UnixStream) -> String {
    wire.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut length = [0; 4];
    wire.read_exact(&mut length).unwrap();
    let mut json = vec![0; u32::from_be_bytes(length) as usize];
    wire.read_exact(&mut json).unwrap();
    String::from_utf8(json).unwrap()
}
