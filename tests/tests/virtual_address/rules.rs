//! Who gets the address, and who does not: a stranger that had it first, a service without members, preference, a process without its
//! rights, an interface that is not there.

use std::fs;
use std::io::Read;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::cluster::Place;
use tests::eventually;

use crate::lab::{DOCUMENT, FOUR, Lab, SIX, SOON, ip};

/// What is in the document besides: the address needs a service whose only member is outside of the cluster.
fn document() -> String {
    format!(
        "{DOCUMENT}needs = [\"relay\"]\n[[service]]\nname = \"relay\"\nlisten = [\"{FOUR}:2500\"]\nprobe_interval = \"300ms\"\n\
         [[member]]\nname = \"outside\"\nservice = \"relay\"\naddress = \"198.18.0.1:25\"\n"
    )
}

#[test]
fn who_may_have_it() {
    let Some(mut lab) = Lab::begun() else { return };
    a_stranger_was_first(&mut lab);
    let mut at = lab.holder().unwrap();
    at = nobody_behind_it(&lab, at);
    a_stranger_comes(&lab, at);
    leaves_with_a_word(&lab, at);
    without_the_right(&mut lab);
    at = lab.holder().unwrap();
    no_such_interface(&lab, at);
    goes_back(&mut lab);
    nobody_is_ready(&lab);
}

fn stranger(lab: &Lab, words: &str, address: &str) {
    ip(&lab.cluster.net.name(Place::Etcd), &format!("addr {words} {address} dev eth0"));
}

/// The card of the machine that etcd is on, which is none of ours as far as the address goes.
fn strange_card(lab: &Lab) -> String {
    let said = ip(&lab.cluster.net.name(Place::Etcd), "-o link show dev eth0");
    said.split("link/ether ").nth(1).unwrap().split(' ').next().unwrap().to_string()
}

fn unfit(lab: &Lab, number: usize) -> String {
    lab.status(number)["unfit"].as_str().unwrap_or_default().to_string()
}

fn verb(lab: &Lab, number: usize, words: &[&str]) -> String {
    let (code, said) = lab.cluster.nodes[number - 1].verb(words);
    assert_eq!(code, 0, "{words:?} on n{number}: {said}");
    said
}

/// A machine that has the address, and says so only when it is asked: none of ours takes it, and it is said whose it is. When it is gone,
/// it is taken.
fn a_stranger_was_first(lab: &mut Lab) {
    for (address, one) in [(format!("{FOUR}/32"), FOUR), (format!("{SIX}/128 nodad"), SIX)] {
        stranger(lab, "add", &address);
        for node in &mut lab.cluster.nodes {
            if one == FOUR {
                node.add_to_org(&document());
            }
            node.start();
        }
        let card = strange_card(lab);
        let is_told = |number: &usize| unfit(lab, *number).contains(&format!("the card {card} answers for it"));
        eventually("each knows whose it is", SOON, || (1..=3).all(|number| is_told(&number)));
        assert!((1..=3).all(|number| !lab.has(number)), "nobody takes what is another's");
        assert!(lab.status(1)["holder"].is_null());
        let said = verb(lab, 1, &["vip", "status"]);
        assert!(
            said.contains("NOBODY") && said.contains(&card) && said.contains("no node of ours has had it"),
            "{said}"
        );
        let log = lab.cluster.nodes[0].log();
        assert!(log.contains("this node cannot have the virtual address") && log.contains(&card), "{log}");
        stranger(lab, "del", address.trim_end_matches(" nodad"));
        if one == FOUR {
            for node in &mut lab.cluster.nodes {
                node.stop();
            }
        }
    }
    let since = Instant::now();
    lab.cluster.healthy();
    eventually("it is taken when it is free", SOON, || lab.holder().is_some());
    println!("VIP the stranger is gone: taken after {} ms", since.elapsed().as_millis());
    lab.all_would_have_it();
}

/// The service that it needs has no member that this node reaches: the address goes to one that does.
fn nobody_behind_it(lab: &Lab, from: usize) -> usize {
    let member = lab.cluster.net.address(Place::Hub);
    let since = Instant::now();
    ip(&lab.namespace(from), &format!("route add blackhole {member}/32"));
    let to = lab.moved("needs: the member is not reached", from, since);
    lab.one_turn("needs", since, from, to);
    let why = unfit(lab, from);
    assert!(why.contains("service relay: no member takes connections"), "{why}");
    ip(&lab.namespace(from), &format!("route del blackhole {member}/32"));
    lab.all_would_have_it();
    to
}

/// A machine that has the address as well while we do, and is silent until it is asked: its card is told, and the address stays where it is.
fn a_stranger_comes(lab: &Lab, at: usize) {
    let card = strange_card(lab);
    let told = |number: usize| lab.status(number)["conflict"]["what"].as_str().unwrap_or_default().to_string();
    assert_eq!(told(at), "", "of nodes of ours nothing is said");
    for (address, one) in [(format!("{FOUR}/32"), FOUR), (format!("{SIX}/128 nodad"), SIX)] {
        stranger(lab, "add", &address);
        let expected = format!("{one} is answered for by the card {card} as well");
        eventually(&expected, SOON, || told(at).contains(&expected));
        stranger(lab, "del", address.trim_end_matches(" nodad"));
    }
    let said = verb(lab, at, &["vip", "status"]);
    assert!(said.contains(&card) && said.contains("take the address from it"), "{said}");
    assert!(lab.cluster.nodes[at - 1].log().contains("as well: its clients reach"));
    eventually("it is still ours", SOON, || lab.holder() == Some(at));
}

/// A planned move ends connections, for TCP cannot follow: who is between two mails hears so from the balancer.
fn leaves_with_a_word(lab: &Lab, from: usize) {
    let mut waits = lab.connection(2500);
    let since = Instant::now();
    verb(lab, from, &["vip", "move", "front"]);
    let to = lab.moved("order", from, since);
    lab.one_turn("order", since, from, to);
    let mut said = String::new();
    // Behind the words there may be a reset.
    let _ = waits.read_to_string(&mut said);
    assert!(said.starts_with("421 4.3.2 ") && said.contains("connect again"), "{said:?}");
}

/// A process without its capabilities: it says which one, is no candidate, and does all else.
fn without_the_right(lab: &mut Lab) {
    lab.cluster.node(3).stop();
    lab.cluster.node(3).start_as(&["setpriv", "--bounding-set=-net_admin", "--"]);
    eventually("it says what it lacks", SOON, || unfit(lab, 3).contains("CAP_NET_ADMIN is missing"));
    lab.cluster.healthy();
    let would = lab.status(1)["candidates"].clone();
    assert_eq!(would, serde_json::json!(["n1.chaos.test", "n2.chaos.test"]));
    let log = lab.cluster.nodes[2].log();
    let line = log.lines().rev().find(|line| line.contains("CAP_NET_ADMIN is missing")).expect("an event");
    assert!(line.contains("dist/posthouse.service.d/virtual-address.conf"), "the next step: {line}");
    let at = (lab.cluster.net.address(Place::Node(3)), 25);
    let takes = lab.cluster.net.within(Place::Hub, || std::net::TcpStream::connect(at).is_ok());
    assert!(takes, "mail is not its business");
    lab.cluster.node(3).stop();
    lab.back(3);
}

/// A document that names an interface which this machine does not have.
fn no_such_interface(lab: &Lab, at: usize) {
    let other = at % 3 + 1;
    let node = &lab.cluster.nodes[other - 1];
    let org = fs::read_to_string(node.org_file()).unwrap();
    node.reload(&org.replace("interface = \"eth0\"", "interface = \"eth9\""));
    eventually("it is said", SOON, || unfit(lab, other) == "this machine has no interface eth9");
    node.reload(&org);
    lab.all_would_have_it();
    assert_eq!(lab.holder(), Some(at));
}

/// With failback it goes to the best node, and comes back to it when that one has been away.
fn goes_back(lab: &mut Lab) {
    for node in &lab.cluster.nodes {
        let org = fs::read_to_string(node.org_file()).unwrap();
        node.reload(&org.replace("lease = \"4s\"\n", "lease = \"4s\"\nfailback = true\n"));
    }
    eventually("the best one has it", SOON, || lab.holder() == Some(1));
    let since = Instant::now();
    lab.cluster.node(1).kill();
    let to = lab.moved("kill -9 with failback", 1, since);
    assert_eq!(to, 2, "the next one in the order");
    let since = Instant::now();
    lab.back(1);
    eventually("it goes back", SOON, || lab.holder() == Some(1));
    println!("VIP failback: n2 -> n1 after {} ms", since.elapsed().as_millis());
    lab.one_turn("failback", since, 2, 1);
    let last = lab.status(2)["last"].to_string();
    assert!(last.contains("n1.chaos.test is ready, and stands before this node"), "{last}");
    let holder: Value = lab.status(2)["holder"].clone();
    assert_eq!(holder, "n1.chaos.test");
}

/// The service's only member is drained: no node would have the address, and so it stays where it is. Drains are etcd's to keep, and want the
/// document there.
fn nobody_is_ready(lab: &Lab) {
    let file = lab.cluster.nodes[0].org_file();
    verb(lab, 1, &["org", "apply", file.to_str().unwrap(), "--why", "the first one"]);
    lab.all_would_have_it();
    let at = lab.holder().unwrap();
    let since = Instant::now();
    verb(lab, at, &["service", "drain", "outside", "--force"]);
    let nobody = || (1..=3).all(|number| lab.status(number)["candidates"].as_array().is_some_and(Vec::is_empty));
    eventually("nobody would have it", SOON, nobody);
    // Longer than the hysteresis of a node that is not ready.
    sleep(Duration::from_secs(2));
    assert_eq!(lab.holder(), Some(at), "an address that says \"not now\" is better than a silent one");
    lab.one_turn("needs, nobody has it", since, at, at);
    verb(lab, at, &["service", "resume", "outside"]);
    lab.all_would_have_it();
}
