//! A member of a service, and a node, that are taken out of service under load.

use std::time::Duration;

use tests::chaos::Sink;
use tests::eventually;
use tests::process::Node;
use tests::wire::Wire;

use super::{Applications, Behind, asks, each_its_own, hears};

/// A member that is drained under load: nobody notices, and the wait ends when nothing is left.
#[test]
fn a_member_is_drained_under_load() {
    let behind = Behind::start();
    let mut applications = Applications::new();
    for _ in 0..4 {
        applications = applications.add(behind.service, each_its_own);
    }
    applications.wait_for(20);
    let (code, out, err) = behind.balancer.verb(&["service", "drain", "hub0", "--wait", "--why", "a new disk"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("nothing of hub0 is left"), "{out}");
    let connections = || behind.balancer.json(&["service", "show", "smtp"])["members"][0]["connections_total"].as_u64();
    let before = connections();
    applications.wait_for(20);
    assert_eq!(connections(), before, "a drained member gets nothing");
    let (code, _, err) = behind.balancer.verb(&["service", "drain", "hub1"]);
    assert!(code == 1 && err.contains("hub0 is drained") && err.contains("service resume hub0"), "{err}");
    let (code, out, err) = behind.balancer.verb(&["service", "resume", "hub0"]);
    assert_eq!(code, 0, "{out}{err}");
    eventually("it gets connections again", Duration::from_secs(60), || connections() > before);
    let sent = applications.end();
    eventually("all mail is delivered", Duration::from_secs(60), || behind.kept() >= sent);
    let audited = behind.balancer.json(&["audit", "--verb", "member"]).to_string();
    assert!(audited.contains("member drain") && audited.contains("a new disk"), "{audited}");
}

/// A hub that keeps mail for its own domain and sends the rest to a next hop.
fn hub_with_next_hop(port: u16) -> Node {
    let hub = Node::new(&["--org", "org.toml"]);
    let org = format!(
        "[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:{}\"]\ntls = \"off\"\npermissions = [\"anonymous\", \"relay\"]\n\
         connections_per_source_max = 1000\nconnections_per_source_percent_max = 100\n\
         [[accepted_domain]]\nname = \"posthouse.test\"\ndeliver = \"maildir\"\n\
         [[send_connector]]\nname = \"out\"\ndomains = [\"*\"]\nsmart_hosts = [\"127.0.0.1:{port}\"]\ntls = \"off\"\n\
         [retry]\nglitch_count = 1000\nglitch_interval = \"1s\"\n",
        hub.smtp
    );
    std::fs::write(hub.dir.join("org.toml"), org).unwrap();
    hub
}

/// What is said to whoever connects.
fn greeting(port: u16) -> String {
    Wire::connect(port).line().unwrap().unwrap_or_default()
}

/// The order of docs/operating/service-a-member.md (behaviours 6.5): not ready, no new clients, sessions finish, queues go on; and back.
#[test]
fn a_node_is_drained_in_the_order_that_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = Sink::new(folder.path(), "next");
    let mut first = hub_with_next_hop(sink.port);
    first.start();
    let behind = Behind::over(vec![first, Node::started(&[])]);
    let hub = &behind.hubs[0];
    let (standing, connections) = (
        || behind.balancer.json(&["service", "show", "smtp"])["members"][0]["standing"].clone(),
        || behind.balancer.json(&["service", "show", "smtp"])["members"][0]["connections_total"].as_u64(),
    );
    let mut applications = Applications::new();
    for _ in 0..3 {
        applications = applications.add(behind.service, each_its_own);
    }
    eventually("the hub has clients", Duration::from_secs(60), || standing() == "up" && connections() > Some(10));
    // One message waits for its next hop, and a session is in the middle of another.
    let mut open = Wire::connect(hub.smtp);
    hears(&mut open, "220").unwrap();
    asks(&mut open, "EHLO client.example", "250").unwrap();
    for to in ["far@far.example", "bob@posthouse.test"] {
        asks(&mut open, "MAIL FROM:<app@client.example>", "250").unwrap();
        asks(&mut open, &format!("RCPT TO:<{to}>"), "250").unwrap();
        asks(&mut open, "DATA", "354").unwrap();
        if to == "far@far.example" {
            asks(&mut open, "Subject: waits\r\n\r\nx\r\n.", "250").unwrap();
        }
    }

    let (code, out, err) = hub.verb(&["node", "drain"]);
    assert_eq!(code, 0, "{out}{err}");
    // 1. Not ready, at once, to everybody who asks.
    let (ready, why) = hub.get("/health/ready");
    assert!(ready == 503 && why.contains("draining"), "{ready} {why}");
    let said = greeting(hub.smtp);
    assert!(said.starts_with("421 4.3.2"), "{said}");
    // 2. The balancer sees it and sends nobody more; its clients go on.
    eventually("the balancer sees it", Duration::from_secs(60), || standing() != "up");
    let before = connections();
    applications.wait_for(20);
    assert_eq!(connections(), before, "a node that drains gets nobody");
    // 3. The session finishes its message, and hears 421 at the next.
    asks(&mut open, "Subject: x\r\n\r\nx\r\n.", "250").unwrap();
    asks(&mut open, "MAIL FROM:<app@client.example>", "421").unwrap();
    // 4. What waits goes on.
    assert!(hub.json(&["status"])["spool"]["messages"].as_u64() > Some(0), "one message waits");
    sink.restart("accept");
    eventually("the queue runs empty", Duration::from_secs(60), || {
        std::fs::read_to_string(&sink.ledger).unwrap_or_default().contains("accepted")
            && hub.json(&["status"])["spool"]["messages"] == 0
    });
    assert_eq!(hub.get("/health/ready").0, 503, "it drains still");
    // 5. And back.
    let (code, out, err) = hub.verb(&["node", "resume"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(hub.get("/health/ready").0, 200);
    assert!(greeting(hub.smtp).starts_with("220"));
    eventually("it has clients again", Duration::from_secs(60), || standing() == "up" && connections() > before);
    let sent = applications.end();
    eventually("all mail is delivered", Duration::from_secs(60), || behind.kept() > sent);
    assert_eq!(behind.kept(), sent + 1, "nothing is lost and nothing comes twice");
}
