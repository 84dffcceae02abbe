//! Several processes that want the same place, and one that cannot run: what the operator is told.

use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use tests::eventually;
use tests::process::Node;

use super::restarts::{hears_frame, says};
use super::{Applications, Heir, connect, each_its_own};

/// While one is taking the place, a second one hears so at once, from whichever side it comes; nothing changes by it.
#[test]
fn one_takes_the_place_and_the_other_is_told_who() {
    let mut node = Node::started(&[]);
    let (data, first) = (node.data(), node.process().pid());
    let heir = Heir(&data);
    let mut wire = UnixStream::connect(data.join("succession")).unwrap();
    let rival = std::process::id();
    says(&mut wire, &format!(r#"{{"Hello":{{"protocol":2,"process":{rival},"version":"x"}}}}"#));
    assert!(hears_frame(&mut wire).contains("Sockets"));

    let out = node.command().arg("--succeed").output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(1), "{said}");
    let who = format!("process {rival} is taking the place of process {first}");
    assert!(said.contains(&who) && said.contains("not needed"), "{said}");
    let (code, out, err) = node.verb(&["restart"]);
    assert!(code == 1 && err.contains("a restart is under way"), "{out}{err}");
    assert_eq!(node.json(&["status"])["pid"], first);

    // The one that was first goes away, and the way is free.
    drop(wire);
    let mut said = String::new();
    eventually("the way is free", Duration::from_secs(60), || {
        let (code, out, err) = node.verb(&["restart"]);
        said = format!("{out}{err}");
        code == 0
    });
    assert_ne!(heir.pid(), Some(first), "{said}");
}

/// Two operators at the same moment: one restart is made, or one after the other; nobody who connects is refused.
#[test]
fn two_restarts_at_once_leave_one_process_that_serves() {
    let node = Node::started(&[]);
    let data = node.data();
    let heir = Heir(&data);
    let applications = Applications::new().add(node.smtp, each_its_own).add(node.smtp, each_its_own);
    applications.wait_for(5);
    let by_verb = |_| (node.verb(&["restart"]), "under way");
    let by_hand = |_| {
        let mut command = node.command();
        let out = command.arg("--succeed").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = out.spawn().unwrap();
        let pid = child.id();
        // Whoever wins goes on running: its words are read when the test ends it.
        (pid, child)
    };
    let (first, second) = std::thread::scope(|scope| {
        let one = scope.spawn(|| by_verb(()));
        let other = scope.spawn(|| by_verb(()));
        (one.join().unwrap(), other.join().unwrap())
    });
    let codes = [first.0.0, second.0.0];
    assert!(codes.contains(&0), "one of them has restarted it: {first:?} {second:?}");
    for ((code, out, err), word) in [first, second] {
        assert!(code == 0 || err.contains(word), "{out}{err}");
    }
    applications.wait_for(5);

    let (pids, mut children): (Vec<u32>, Vec<_>) = (0..3).map(by_hand).unzip();
    eventually("one of them serves", Duration::from_secs(60), || heir.pid().is_some_and(|pid| pids.contains(&pid)));
    applications.wait_for(10);
    // Each of the others has been told, or has had its turn and was followed by the next one.
    eventually("only one is left", Duration::from_secs(60), || {
        children.iter_mut().filter_map(|child| child.try_wait().unwrap().is_none().then_some(())).count() == 1
    });
    let sent = applications.end();
    eventually("all mail is delivered", Duration::from_secs(60), || node.mailbox("bob@posthouse.test").len() >= sent);
    for mut child in children {
        if heir.pid() == Some(child.id()) {
            let _ = Command::new("kill").args(["-9", &child.id().to_string()]).status();
        }
        let out = {
            use std::io::Read;
            let mut text = String::new();
            let status = child.wait().unwrap();
            child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
            (status.code(), text)
        };
        assert!(out.0 != Some(1) || out.1.contains("not needed"), "{}", out.1);
    }
}

/// A new process that cannot run says why, and whoever asked for the restart reads it.
#[test]
fn why_the_new_process_cannot_run_is_read_where_the_restart_was_asked_for() {
    let mut node = Node::new(&["--config", "posthouse.toml"]);
    let document = node.dir.join("posthouse.toml");
    let sound = "name = \"mx.posthouse.test\"\n";
    std::fs::write(&document, sound).unwrap();
    node.start();
    let before = node.process().pid();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let cases = [
        ("name = 7\n".to_string(), "posthouse.toml:1:8"),
        (format!("{sound}[peers]\nlisten = \"{}\"\n", taken.local_addr().unwrap()), "[peers]"),
    ];
    for (text, why) in cases {
        std::fs::write(&document, text).unwrap();
        let (code, out, err) = node.verb(&["restart"]);
        assert!(code == 1 && err.contains("the old one goes on") && err.contains(why), "{out}{err}");
        assert_eq!(node.json(&["status"])["pid"], before);
        connect(node.smtp).unwrap();
    }
}
