//! Two nodes without etcd, each with a keepalived that asks `posthouse health`.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tests::cluster::{Net, Place};
use tests::process::Process;
use tests::{binary, eventually, root};

use crate::lab::{FOUR, SOON, ip};

/// The configuration of docs/operating/virtual-address-with-keepalived.md, as it stands there, with the addresses of the test.
fn keepalived_document(priority: u32) -> String {
    let page = fs::read_to_string(root().join("docs/operating/virtual-address-with-keepalived.md")).unwrap();
    let block = page.split("```").find(|block| block.contains("vrrp_instance")).unwrap().to_string();
    let posthouse = binary("posthouse");
    let priority = format!("priority {priority}");
    let address = format!("{FOUR}/24");
    let here = [
        ("/usr/bin/posthouse", posthouse.to_str().unwrap()),
        ("script_user nobody", "script_user root"),
        ("priority 100", &priority),
        ("192.0.2.10/24", &address),
    ];
    here.iter().fold(block, |text, (written, here)| {
        assert!(text.contains(written), "the page lacks {written}");
        text.replace(written, here)
    })
}

/// Two nodes without etcd, each with a keepalived that asks `posthouse health`.
struct Keepalived {
    net: Net,
    nodes: Vec<Process>,
    _keepalived: Vec<Process>,
    _keep: tempfile::TempDir,
}

impl Keepalived {
    fn up() -> Option<Keepalived> {
        let net = Net::new(2)?;
        ip(&net.name(Place::Hub), "link set br0 type bridge mcast_snooping 0");
        let keep = tempfile::tempdir().unwrap();
        let (mut nodes, mut keepalived) = (Vec::new(), Vec::new());
        for number in 1..=2usize {
            let place = Place::Node(number);
            let file = |name: &str| keep.path().join(format!("{name}{number}"));
            fs::write(
                file("posthouse.toml"),
                format!(
                    "name = \"n{number}.chaos.test\"\ndata = \"data{number}\"\n[http]\nlisten = \"127.0.0.1:8025\"\n"
                ),
            )
            .unwrap();
            let org = "[[receive_connector]]\nname = \"in\"\nlisten = [\"0.0.0.0:25\"]\ntls = \"off\"\n";
            fs::write(file("org.toml"), org).unwrap();
            let mut command = net.command(place, binary("posthouse"));
            command.arg("start").arg("--config").arg(file("posthouse.toml")).arg("--org").arg(file("org.toml"));
            nodes.push(Process::start(command.current_dir(keep.path()), &file("node.log")));
            fs::write(file("keepalived.conf"), keepalived_document(100 - number as u32)).unwrap();
            let mut command = net.command(place, "keepalived");
            command.args(["--dont-fork", "--log-console", "--vrrp", "-f"]).arg(file("keepalived.conf"));
            command.arg("-p").arg(file("pid")).arg("-r").arg(file("vrrp.pid"));
            keepalived.push(Process::start(&mut command, &file("keepalived.log")));
        }
        Some(Keepalived { net, nodes, _keepalived: keepalived, _keep: keep })
    }

    fn verb(&self, number: usize, words: &[&str]) -> i32 {
        let out = self.net.command(Place::Node(number), binary("posthouse")).args(words).output().unwrap();
        out.status.code().unwrap_or(-1)
    }

    fn holders(&self) -> Vec<usize> {
        let has = |number: &usize| ip(&self.net.name(Place::Node(*number)), "addr show dev eth0").contains(FOUR);
        (1..=2).filter(has).collect()
    }

    fn moved(&self, what: &str, from: usize, since: Instant) -> usize {
        let to = 3 - from;
        eventually(&format!("{what}: it moves to n{to}"), SOON, || self.holders() == [to]);
        println!("VIP keepalived {what}: n{from} -> n{to} after {} ms", since.elapsed().as_millis());
        to
    }
}

#[test]
fn keepalived_moves_it_when_our_check_says_so() {
    let Some(mut lab) = Keepalived::up() else { return };
    eventually("both are ready", SOON, || (1..=2).all(|number| lab.verb(number, &["health"]) == 0));
    eventually("one has it", SOON, || lab.holders().len() == 1);
    let mut at = lab.holders()[0];
    let at_address: SocketAddr = format!("{FOUR}:25").parse().unwrap();
    let serves = |lab: &Keepalived| {
        lab.net.within(Place::Hub, || TcpStream::connect_timeout(&at_address, Duration::from_secs(1)).is_ok())
    };
    assert!(serves(&lab));

    let since = Instant::now();
    assert_eq!(lab.verb(at, &["node", "drain"]), 0);
    assert_eq!(lab.verb(at, &["health"]), 1, "the check says no");
    let drained = at;
    at = lab.moved("drain", at, since);
    assert!(serves(&lab));
    assert_eq!(lab.verb(drained, &["node", "resume"]), 0);
    eventually("it is ready again", SOON, || lab.verb(drained, &["health"]) == 0);
    sleep(Duration::from_secs(5));
    assert_eq!(lab.holders(), [at], "no needless move back");

    let since = Instant::now();
    lab.nodes[at - 1].kill();
    assert_eq!(lab.verb(at, &["health"]), 3, "nobody answers");
    lab.moved("kill -9", at, since);
    assert!(serves(&lab));
}
