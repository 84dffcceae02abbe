//! A node with something wrong in its configuration: it ends at once with exit code 1, says one clear line for each problem, and has touched nothing.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // a test of a real process

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tests::process::Process;
use tests::{binary, free_port};

/// A directory with two documents; the ports in them are free.
struct Setup {
    dir: tempfile::TempDir,
    port: u16,
    http: u16,
}

impl Setup {
    /// `org` and `node` are added to good documents.
    fn new(node: &str, org: &str) -> Setup {
        let setup = Setup { dir: tempfile::tempdir().unwrap(), port: free_port(), http: free_port() };
        let (port, http) = (setup.port, setup.http);
        let good_node = format!("name = \"mx.test\"\ndata = \"data\"\n[http]\nlisten = \"127.0.0.1:{http}\"\n{node}");
        let good_org = format!("[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:{port}\"]\n{org}");
        fs::write(setup.path("posthouse.toml"), good_node).unwrap();
        fs::write(setup.path("org.toml"), good_org).unwrap();
        setup
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(binary("posthouse"));
        command.args([verb, "--config", "posthouse.toml", "--org", "org.toml"]).current_dir(self.dir.path());
        command
    }

    /// Starts a node that must end by itself with exit code 1; gives back what it said.
    fn refused(&self) -> Vec<String> {
        let log = self.path("log");
        let mut node = Process::start(&mut self.command("start"), &log);
        let status = node.wait(Duration::from_secs(20));
        assert_eq!(status.code(), Some(1), "{}", node.output());
        node.output().lines().map(String::from).collect()
    }

    /// The same, and the data directory was not even made.
    fn refused_untouched(&self) -> Vec<String> {
        let said = self.refused();
        assert!(!self.path("data").exists(), "nothing is touched before everything is known to be good");
        said
    }
}

/// Exactly these lines, each holding all of its texts.
fn assert_lines(said: &[String], expected: &[&[&str]]) {
    let fits = |(line, texts): (&String, &&[&str])| texts.iter().all(|text| line.contains(text));
    let good = said.len() == expected.len() && said.iter().zip(expected).all(fits);
    assert!(good, "said:\n{}\nexpected:\n{expected:#?}", said.join("\n"));
}

#[test]
fn unknown_keys_and_wrong_types_are_all_told_at_once() {
    let node = "[journal]\nsegment_sise = \"64MB\"\n";
    let org = "recipients_max = \"many\"\n[[accepted_domain]]\nname = \"a.example\"\nrecipents = [\"bob\"]\n";
    let setup = Setup::new(node, org);
    let expected: &[&[&str]] = &[
        &["posthouse.toml:6:1: unknown key \"segment_sise\" in [journal]; did you mean \"segment_size\"?"],
        &["org.toml:4:18: recipients_max = \"many\" is not understood; write a whole number"],
        &["org.toml:7:1: unknown key \"recipents\" in [[accepted_domain]]; did you mean \"recipients\"?"],
    ];
    assert_lines(&setup.refused_untouched(), expected);
    let check = setup.command("check").output().unwrap();
    assert_ne!(check.status.code(), Some(0));
    let text = String::from_utf8_lossy(&check.stdout).into_owned() + &String::from_utf8_lossy(&check.stderr);
    for line in expected.concat() {
        assert!(text.contains(line), "check says it too: {line}\n{text}");
    }
}

#[test]
fn ranges_that_cross() {
    let port = free_port();
    let connector = |name: &str, range: &str| {
        format!("[[receive_connector]]\nname = \"{name}\"\nlisten = [\"127.0.0.1:{port}\"]\nremote = [\"{range}\"]\n")
    };
    let org = connector("a", "10.0.0.0-10.0.0.20") + &connector("b", "10.0.0.10-10.0.0.30");
    let said = Setup::new("", &org).refused_untouched();
    assert_lines(
        &said,
        &[&["org.toml:11:11: 10.0.0.10-10.0.0.30 crosses 10.0.0.0-10.0.0.20 of receive connector \"a\" (line 7)"]],
    );
}

#[test]
fn an_open_relay() {
    let org = format!(
        "[[receive_connector]]\nname = \"r\"\nlisten = [\"0.0.0.0:{}\"]\npermissions = [\"relay\"]\n",
        free_port()
    );
    assert_lines(
        &Setup::new("", &org).refused_untouched(),
        &[&["org.toml:4:1: \"relay\" for 0.0.0.0/0 makes an open relay"]],
    );
}

#[test]
fn documents_that_are_not_there_or_no_toml() {
    let setup = Setup::new("", "");
    fs::remove_file(setup.path("posthouse.toml")).unwrap();
    fs::write(setup.path("org.toml"), "[[receive_connector]\n").unwrap();
    let said = setup.refused_untouched();
    assert_lines(
        &said,
        &[
            &["posthouse.toml: cannot be read: no such file or directory; --config"],
            &["org.toml:1:21: not valid TOML:"],
        ],
    );
}

#[test]
fn a_key_that_cannot_be_read_and_one_that_is_none() {
    let setup = Setup::new("[tls]\ncertificate = \"cert.pem\"\nkey = \"nowhere.pem\"\n", "");
    fs::write(setup.path("cert.pem"), "hello").unwrap();
    let said = setup.refused_untouched();
    assert_lines(
        &said,
        &[
            &["posthouse.toml:6:15: cert.pem holds no certificate in PEM form"],
            &["posthouse.toml:7:7: cannot read nowhere.pem: no such file or directory"],
        ],
    );
}

#[test]
fn a_certificate_that_only_looks_like_one() {
    let setup = Setup::new("[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n", "");
    fs::write(setup.path("cert.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    fs::write(setup.path("key.pem"), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
    let said = setup.refused_untouched();
    assert!(said.len() == 1 && (said[0].contains("cert.pem") || said[0].contains("key.pem")), "{said:?}");
}

#[test]
fn a_port_in_use() {
    let setup = Setup::new("", "");
    let _taken = TcpListener::bind(("127.0.0.1", setup.port)).unwrap();
    let address = format!("127.0.0.1:{}", setup.port);
    assert_lines(&setup.refused_untouched(), &[&[&address, "in use"]]);
}

#[test]
fn data_of_another_version_and_of_somebody_else() {
    let setup = Setup::new("", "");
    fs::create_dir(setup.path("data")).unwrap();
    fs::write(setup.path("data/version"), "99\n").unwrap();
    fs::write(setup.path("data/precious"), "mail").unwrap();
    assert_lines(&setup.refused(), &[&["data/version", "99"]]);
    let kept = |name: &str| fs::read_to_string(setup.path("data").join(name)).unwrap();
    assert_eq!((kept("version").as_str(), kept("precious").as_str()), ("99\n", "mail"));

    let setup = Setup::new("", "");
    fs::create_dir(setup.path("data")).unwrap();
    fs::write(setup.path("data/thesis.txt"), "mine").unwrap();
    assert_lines(&setup.refused(), &[&["data", "no Posthouse data"]]);
    assert_eq!(fs::read_to_string(setup.path("data/thesis.txt")).unwrap(), "mine");
}

#[test]
fn data_in_use_by_another_process() {
    let first = Setup::new("", "");
    let mut node = Process::start(&mut first.command("start"), &first.path("log"));
    tests::eventually("the first node greets", Duration::from_secs(20), || tests::process::greets(first.port));
    let second = Setup::new("", "");
    std::os::unix::fs::symlink(first.path("data"), second.path("data")).unwrap();
    // The running node goes on writing its journal; what names the owner and the keys must stay.
    let kept = || ["lock", "version", "tls/key.pem"].map(|file| fs::read(first.path("data").join(file)).unwrap());
    let before = kept();
    assert_lines(&second.refused(), &[&["in use by process", &node.pid().to_string()]]);
    assert_eq!(kept(), before);
    assert!(node.is_running() && tests::process::greets(first.port));
}

/// Nobody is to believe that his nodes take over by themselves.
#[test]
fn a_cluster_without_links_is_refused() {
    let setup = Setup::new("[cluster]\nendpoints = [\"http://127.0.0.1:2379\"]\n", "");
    assert_lines(&setup.refused_untouched(), &[&["posthouse.toml:5", "[cluster] needs the table [peers]"]]);
    let checked = setup.command("check").output().unwrap();
    assert_eq!(checked.status.code(), Some(1));
}
