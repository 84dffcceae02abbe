//! Back pressure of a real node whose small disk fills and empties (behaviours 4.6): strangers are refused first, then users, then our own
//! servers; recovery needs the lower threshold and goes the other way round.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // a test of real processes

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tests::process::Node;
use tests::wire::Wire;
use tests::{eventually, free_port};

const MB: u64 = 1 << 20;

/// 64 MB in all, of which 1 MB and three segments of 1 MB are wanted free, bounded to a twentieth: high below 3.2 MB, medium again from
/// 6.4, medium below 12.8, normal from 19.2.
const NODE: &str = "name = \"relay.test\"\n[journal]\nsegment_size = \"1MB\"\nkeep_free = \"1MB\"\n[back_pressure]\npoll_interval = \"100ms\"\n";

const ORG: &str = "[[accepted_domain]]\nname = \"home.test\"\ndeliver = \"maildir\"\n\
    [[receive_connector]]\nname = \"strangers\"\nlisten = [\"127.0.0.1:@SMTP@\"]\npermissions = [\"anonymous\"]\ntarpit_ms = 0\n\
    [[receive_connector]]\nname = \"applications\"\nlisten = [\"127.0.0.1:@SUBMISSION@\"]\npermissions = [\"relay\"]\ntarpit_ms = 0\n\
    [[receive_connector]]\nname = \"servers\"\nlisten = [\"127.0.0.1:@EXTRA@\"]\npermissions = [\"servers\"]\ntarpit_ms = 0\n";

struct Stage {
    node: Node,
    servers: u16,
    disk: PathBuf,
}

impl Stage {
    fn start() -> Stage {
        let mut node = Node::new(&["--config", "posthouse.toml", "--org", "org.toml"]);
        let (servers, disk) = (free_port(), node.data());
        fs::create_dir_all(&disk).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64m,mode=0700", "posthouse-pressure"]).arg(&disk);
        assert!(mount.status().unwrap().success(), "this test mounts a tmpfs; run it as root");
        let ports = [("@SMTP@", node.smtp), ("@SUBMISSION@", node.submission), ("@EXTRA@", servers)];
        let org = ports.iter().fold(ORG.to_string(), |text, (mark, port)| text.replace(mark, &port.to_string()));
        fs::write(node.dir.join("posthouse.toml"), NODE).unwrap();
        fs::write(node.dir.join("org.toml"), org).unwrap();
        node.start();
        Stage { node, servers, disk }
    }

    /// Makes a file larger or smaller until so much is free.
    fn leave_free(&self, wanted: u64) {
        let filler = fs::File::options().create(true).append(true).open(self.disk.join("filler")).unwrap();
        let (free, has) = (free_bytes(&self.disk), filler.metadata().unwrap().len());
        if free > wanted {
            (&filler).write_all(&vec![1; (free - wanted) as usize]).unwrap();
        } else {
            filler.set_len(has.saturating_sub(wanted - free)).unwrap();
        }
    }

    /// What strangers, applications and our own servers hear at MAIL.
    fn answers(&self) -> [String; 3] {
        [self.node.smtp, self.node.submission, self.servers].map(|port| {
            let mut wire = Wire::connect(port);
            wire.reply();
            wire.command("EHLO client.example");
            wire.command("MAIL FROM:<a@client.example>")
        })
    }

    /// Waits until just these are refused, and then looks that it stays so.
    fn refuses(&self, what: &str, expected: [bool; 3]) {
        let refused = || self.answers().map(|answer| answer.starts_with("452 4.3.1 insufficient system resources"));
        eventually(what, Duration::from_secs(10), || refused() == expected);
        std::thread::sleep(Duration::from_millis(400));
        assert_eq!(refused(), expected, "{what}, and then {:?}:\n{}", self.answers(), self.node.log());
    }

    fn level(&self) -> String {
        self.node.json(&["status"])["pressure"]["level"].as_str().unwrap().to_string()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.node.kill();
        let _ = Command::new("umount").arg("--lazy").arg(&self.disk).status();
    }
}

fn free_bytes(dir: &Path) -> u64 {
    let found = rustix::fs::statvfs(dir).unwrap();
    found.f_bavail * found.f_frsize
}

#[test]
fn a_disk_that_fills_refuses_strangers_first_and_servers_last() {
    let stage = Stage::start();
    stage.refuses("all are welcome", [false; 3]);
    assert_eq!(stage.level(), "normal");

    stage.leave_free(10 * MB);
    stage.refuses("medium refuses strangers", [true, false, false]);
    let status = stage.node.verb(&["status"]).1;
    for words in [
        "pressure   medium",
        "journal-disk is medium: 84.",
        "of 64.0MB free), medium above 80 %, normal again at 70 %",
        "mail of strangers is refused at MAIL with 452 4.3.1",
        "restore-after-disk-full",
    ] {
        assert!(status.contains(words), "status lacks {words:?}:\n{status}");
    }
    assert_eq!(stage.node.get("/health/ready").0, 200, "clients and servers are welcome");
    assert!(stage.node.get("/metrics").1.contains("posthouse_pressure_level{resource=\"journal-disk\"} 1"));
    assert!(stage.node.get("/").1.contains("journal-disk is medium"));
    // What passes is taken into custody.
    let mut wire = Wire::connect(stage.servers);
    wire.reply();
    for command in
        ["EHLO s.example", "MAIL FROM:<a@s.example>", "RCPT TO:<bob@home.test>", "DATA", "Subject: x\r\n\r\ny\r\n."]
    {
        let said = wire.command(command);
        assert!(said.starts_with('2') || said.starts_with('3'), "{command}: {said}");
    }
    eventually("it is delivered", Duration::from_secs(10), || stage.node.mailbox("bob@home.test").len() == 1);

    stage.leave_free(15 * MB);
    stage.refuses("between two thresholds nothing changes", [true, false, false]);

    stage.leave_free(5 * MB / 2);
    stage.refuses("high refuses all", [true; 3]);
    assert_eq!((stage.level().as_str(), stage.node.get("/health/ready").0), ("high", 503));
    stage.leave_free(5 * MB);
    stage.refuses("recovery needs the lower threshold", [true; 3]);

    stage.leave_free(8 * MB);
    stage.refuses("medium again", [true, false, false]);
    stage.leave_free(30 * MB);
    stage.refuses("normal again", [false; 3]);
    assert_eq!((stage.level().as_str(), stage.node.get("/health/ready").0), ("normal", 200));
    let log = stage.node.log();
    for words in [
        "WARN",
        "journal-disk is medium",
        "ERROR",
        "journal-disk is high",
        "journal-disk is medium again",
        "journal-disk is normal again",
    ] {
        assert!(log.contains(words), "the log lacks {words:?}:\n{log}");
    }
}
