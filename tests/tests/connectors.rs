//! Receive connectors as an operator meets them: the documents of a fresh install, and the load-balanced relay recipe of behaviours 1.2
//! (rows 8 and 58) in a network namespace: an address that comes later, a shared name, and who may relay there.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // a test of real processes

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tests::process::{Process, http_get_within};
use tests::{binary, eventually};

/// Exit code and what was said on both outputs.
fn posthouse(dir: &Path, arguments: &[&str]) -> (i32, String) {
    let out = Command::new(binary("posthouse")).args(arguments).current_dir(dir).output().unwrap();
    let text = [out.stdout, out.stderr].concat();
    (out.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn a_fresh_install_is_sound_and_is_written_once() {
    for (role, connectors) in [
        ("hub", &["\"Default mx1.ours.example\"", "\"Client mx1.ours.example\""][..]),
        ("edge", &["\"Default internal receive connector mx1.ours.example\""]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let init = [
            "init",
            "--role",
            role,
            "--name",
            "mx1.ours.example",
            "--domain",
            "ours.example",
            "--dir",
            "etc/posthouse",
        ];
        let (code, said) = posthouse(dir.path(), &init);
        assert!(code == 0 && said.contains("wrote etc/posthouse/org.toml") && said.contains("sound"), "{said}");
        let etc = dir.path().join("etc/posthouse");
        let (code, said) = posthouse(&etc, &["check", "--config", "posthouse.toml", "--org", "org.toml"]);
        assert!(code == 0 && said.ends_with("sound\n"), "{said}");
        let org = fs::read_to_string(etc.join("org.toml")).unwrap();
        let written: Vec<&str> = org.lines().filter_map(|line| line.strip_prefix("name = \"")).collect();
        let written: Vec<String> =
            written.iter().filter(|name| name.contains(' ')).map(|name| format!("\"{name}")).collect();
        assert_eq!(written, connectors);
        let (code, said) = posthouse(dir.path(), &init);
        assert!(code == 1 && said.contains("is there already"), "{said}");
        assert_eq!(fs::read_to_string(etc.join("org.toml")).unwrap(), org);
    }
    let dir = tempfile::tempdir().unwrap();
    let asked = ["--config", "posthouse.toml", "--org", "org.toml", "--from", "198.51.100.1", "--to", ":25"];
    posthouse(dir.path(), &["init", "--role", "hub", "--name", "hub1.ours.example", "--domain", "ours.example"]);
    let explain = [&["explain"][..], &asked, &["--mail", "a@away.example", "--rcpt", "bob@ours.example"]].concat();
    let (code, said) = posthouse(dir.path(), &explain);
    assert!(code == 0 && said.contains("MAIL FROM:<a@away.example> is refused with 530 5.7.0"), "{said}");
}

/// A namespace with loopback alone, gone with its value.
struct Namespace(String);

impl Namespace {
    fn new() -> Namespace {
        let namespace = Namespace(format!("ph-connectors-{}", std::process::id()));
        namespace.ip(&["netns", "add", &namespace.0]);
        namespace.ip(&["-n", &namespace.0, "link", "set", "lo", "up"]);
        namespace
    }

    fn ip(&self, arguments: &[&str]) {
        let out = Command::new("ip").args(arguments).output().unwrap();
        assert!(out.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    }

    fn address(&self, address: &str) {
        self.ip(&["-n", &self.0, "address", "add", &format!("{address}/32"), "dev", "lo"]);
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.0)).arg("--").arg(program);
        command
    }

    /// A real client from one address to another; exit code and the conversation.
    fn swaks(&self, from: &str, to: &str, rcpt: &str) -> (i32, String) {
        let mut command = self.command("swaks");
        command.args(["--server", to, "--local-interface", from, "--from", "app@away.example", "--to", rcpt]);
        let out = command.args(["--helo", "app.away.example", "--timeout", "20"]).output().unwrap();
        (out.status.code().unwrap_or(-1), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).output();
    }
}

const ORG: &str = r#"
[[accepted_domain]]
name = "ours.example"
deliver = "maildir"

[[receive_connector]]
name = "Default hub"
listen = ["192.0.2.10:25"]
tarpit_ms = 0

# The address of the balancer's service: on this machine only while it is its turn.
[[receive_connector]]
name = "Relay"
listen = ["192.0.2.77:25"]
remote = ["192.0.2.101", "192.0.2.110-192.0.2.119"]
hostname = "smtp.ours.example"
permissions = ["relay"]
tarpit_ms = 0

[[receive_connector]]
name = "Service"
listen = ["192.0.2.77:25"]
remote = ["192.0.2.0/24"]
hostname = "smtp.ours.example"
tarpit_ms = 0

[[send_connector]]
name = "out"
smart_hosts = ["127.0.0.1:1"]
"#;

#[test]
fn an_address_that_comes_later_carries_the_relay_of_a_shared_name() {
    let (namespace, dir) = (Namespace::new(), tempfile::tempdir().unwrap());
    for own in ["192.0.2.10", "192.0.2.101", "192.0.2.102"] {
        namespace.address(own);
    }
    fs::write(dir.path().join("posthouse.toml"), "name = \"hub1.ours.example\"\n").unwrap();
    fs::write(dir.path().join("org.toml"), ORG).unwrap();
    let mut command = namespace.command(binary("posthouse"));
    command.args(["start", "--config", "posthouse.toml", "--org", "org.toml"]).current_dir(dir.path());
    let mut node = Process::start(&mut command, &dir.path().join("log"));
    let status = |path: &str| http_get_within(&namespace.0, 8025, path).map(|(_, body)| body).unwrap_or_default();
    eventually("the node is ready", Duration::from_secs(30), || {
        assert!(node.is_running(), "{}", node.output());
        http_get_within(&namespace.0, 8025, "/health/ready").is_some_and(|(code, _)| code == 200)
    });
    let shown = status("/api/v1/status");
    assert!(shown.contains("192.0.2.77:25: this machine has no such address; receive_connector 'Relay'"), "{shown}");
    assert!(status("/metrics").contains("posthouse_listeners_unbound 1"));
    // The rest runs: mail for our domain, and no relay.
    let (code, said) = namespace.swaks("192.0.2.101", "192.0.2.10", "bob@ours.example");
    assert!(code == 0 && said.contains("220 hub1.ours.example"), "{said}");
    let (code, said) = namespace.swaks("192.0.2.101", "192.0.2.10", "x@elsewhere.example");
    assert!(code != 0 && said.contains("550 5.7.1"), "{said}");

    namespace.address("192.0.2.77");
    eventually("the service's address is bound", Duration::from_secs(40), || {
        !status("/api/v1/status").contains("no such address")
    });
    assert!(status("/metrics").contains("posthouse_listeners_unbound 0"));
    let (code, said) = namespace.swaks("192.0.2.101", "192.0.2.77", "x@elsewhere.example");
    assert!(code == 0 && said.contains("220 smtp.ours.example") && said.contains("250-smtp.ours.example"), "{said}");
    let (code, said) = namespace.swaks("192.0.2.102", "192.0.2.77", "x@elsewhere.example");
    assert!(code != 0 && said.contains("** 550 5.7.1"), "an unlisted client hears it at RCPT: {said}");
    let (code, said) = namespace.swaks("192.0.2.102", "192.0.2.77", "bob@ours.example");
    assert_eq!(code, 0, "{said}");
    let (code, said) = namespace.swaks("127.0.0.1", "192.0.2.77", "bob@ours.example");
    assert!(code != 0 && said.contains("421 4.3.2"), "no connector is for it: {said}");
    let (_, said) = namespace.swaks("192.0.2.101", "192.0.2.10", "x@elsewhere.example");
    assert!(said.contains("550 5.7.1"), "the default connector is as it was: {said}");
}
