//! Mail between servers of one organization, over links with certificates at both ends: real processes on loopback.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // a test of real processes

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tests::cluster::{Net, Place};
use tests::front::{Front, here, service};
use tests::organization::{Organization, submit, submit_many, submit_to};
use tests::process::Node;
use tests::wire::Wire;
use tests::{eventually, free_port};

const SOON: Duration = Duration::from_secs(30);

/// Mail for b.test is kept by the servers of site b.
const REST: &str = "[[accepted_domain]]\nname = \"b.test\"\ndeliver = \"maildir\"\nservers = [\"b1.test\", \"b2.test\"]\n\
                    [retry]\nglitch_interval = \"1s\"\n";

fn kept(organization: &Organization, node: &str, address: &str) -> usize {
    organization.node(node).mailbox(address).len()
}

/// Rows 2, 33 and 79: the hubs of the target site share the mail; one that is gone costs an attempt and no retry; a new one counts at once.
#[test]
fn hubs_of_the_target_site_share_and_stand_in_for_each_other() {
    let names: &[&str] = &["b1.test", "b2.test", "b3.test"];
    let mut organization = Organization::new(&[("a", &["a1.test"]), ("b", names)], REST);
    organization.forget("b3.test");
    organization.start(&["a1.test", "b1.test", "b2.test"]);
    submit(organization.node("a1.test"), "first@b.test", "first");
    let arrived = || {
        let of = |node| organization.node(node).mailbox("first@b.test");
        [of("b1.test"), of("b2.test")].concat()
    };
    eventually("the first message arrives", SOON, || arrived().len() == 1);
    let text = String::from_utf8_lossy(&arrived()[0]).into_owned();
    assert_eq!(text.matches("\nReceived: ").count() + usize::from(text.starts_with("Received: ")), 2, "{text}");
    assert!(text.contains("TLSv1.3"), "{text}");
    eventually("it came from a server", SOON, || {
        let received = [organization.traced("b1.test", "RECEIVE"), organization.traced("b2.test", "RECEIVE")].concat();
        received.iter().any(|line| line.contains("server=a1.test") && line.contains("\tlinks-b"))
    });

    submit_many(organization.node("a1.test"), "many@b.test", "many", 200);
    let both = || (kept(&organization, "b1.test", "many@b.test"), kept(&organization, "b2.test", "many@b.test"));
    eventually("all arrive", SOON, || both().0 + both().1 == 200);
    assert!(both().0 >= 40 && both().1 >= 40, "the hubs share: {:?}", both());

    organization.kill("b1.test");
    submit_many(organization.node("a1.test"), "one@b.test", "one", 50);
    eventually("all arrive at the other hub", SOON, || kept(&organization, "b2.test", "one@b.test") == 50);
    eventually("all is traced", SOON, || {
        organization.traced("a1.test", "SEND").iter().filter(|line| line.contains("one@b.test")).count() == 50
    });
    let deferred = organization.traced("a1.test", "DEFER");
    assert!(deferred.iter().all(|line| line.contains("many@b.test") || line.contains("one@b.test")), "{deferred:?}");
    assert!(deferred.iter().all(|line| !line.contains("takes mail")), "the queue was never in Retry: {deferred:?}");

    // One more hub, which does not deliver the domain itself: it hands on within its site.
    organization.add("b", "b3.test");
    organization.start(&["b3.test"]);
    assert_eq!(organization.node("a1.test").verb(&["reload"]).0, 0);
    assert_eq!(organization.node("b2.test").verb(&["reload"]).0, 0);
    submit_many(organization.node("a1.test"), "new@b.test", "new", 160);
    eventually("all arrive", SOON, || kept(&organization, "b2.test", "new@b.test") == 160);
    eventually("the new hub takes its share", SOON, || {
        let sent = organization.traced("b3.test", "\tSEND\t");
        sent.iter().filter(|line| line.contains("new@b.test") && line.contains("b2.test[127.0.0.1]")).count() >= 20
    });

    assert_eq!(organization.node("b3.test").verb(&["node", "drain"]).0, 0);
    submit_many(organization.node("a1.test"), "drained@b.test", "drained", 60);
    eventually("a hub that drains is passed over", SOON, || kept(&organization, "b2.test", "drained@b.test") == 60);
}

/// Behaviours 3.4: a site that is gone as a whole; its mail waits as near to it as somebody takes it.
#[test]
fn mail_for_a_site_that_is_gone_waits_at_the_point_of_failure() {
    let sites: &[(&str, &[&str])] = &[("a", &["a1.test"]), ("m", &["m1.test"]), ("b", &["b1.test", "b2.test"])];
    let mut organization = Organization::new(sites, REST);
    organization.start(&["a1.test", "m1.test"]);
    submit(organization.node("a1.test"), "waits@b.test", "waits");
    let waits = |node: &str| {
        let queue = organization.queue(node, "site:b");
        queue.filter(|queue| queue["messages"] == 1 && queue["state"] == "retry").map(|queue| queue.to_string())
    };
    eventually("it waits in the middle", SOON, || waits("m1.test").is_some());
    let shown = waits("m1.test").unwrap();
    assert!(shown.contains("no server of site b takes mail, it waits in site m; asked: "), "{shown}");
    assert!(waits("a1.test").is_none());
    eventually("the trace says why it went there", SOON, || {
        let sent = organization.traced("a1.test", "SEND");
        sent.iter().any(|line| line.contains("m1.test[127.0.0.1]") && line.contains("back-off to site m"))
    });

    organization.kill("m1.test");
    submit(organization.node("a1.test"), "far@b.test", "far");
    let shown = || organization.queue("a1.test", "site:b").map(|queue| queue.to_string()).unwrap_or_default();
    eventually("it waits at its source", SOON, || shown().contains("it waits in site a"));
    assert!(shown().contains("m1.test"), "{}", shown());

    // What has been in the middle site does not go back there.
    organization.start(&["m1.test"]);
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let mut known = organization.link("a1.test");
    known.start_tls_as(&organization.certificate("b1.test"));
    known.reply();
    for (command, heard) in [
        ("EHLO b1.test", "250"),
        (&*format!("MAIL FROM:<a@x.test> XPOSTHOUSE=1,{now_ms},3,i,m"), "250"),
        ("RCPT TO:<been@b.test>", "250"),
        ("DATA", "354"),
        ("Subject: been\r\n\r\nhello\r\n.", "250"),
    ] {
        let said = known.command(command);
        assert!(said.starts_with(heard), "{command}: {said}");
    }
    assert_eq!(organization.node("a1.test").verb(&["queue", "retry", "site:b"]).0, 0);
    eventually("the others go to the middle", SOON, || {
        let queue = organization.queue("m1.test", "site:b");
        queue.is_some_and(|queue| queue["messages"] == 2)
    });
    eventually("it waits where it is", SOON, || {
        let deferred = organization.traced("a1.test", "DEFER");
        deferred
            .iter()
            .any(|line| line.contains("been@b.test") && line.contains("has been in site m and does not go back"))
    });

    organization.start(&["b2.test"]);
    eventually("both arrive", SOON, || {
        kept(&organization, "b2.test", "waits@b.test") == 1 && kept(&organization, "b2.test", "far@b.test") == 1
    });
    let text = String::from_utf8_lossy(&organization.node("b2.test").mailbox("waits@b.test")[0]).into_owned();
    assert!(text.contains("by m1.test"), "{text}");
    assert_eq!(organization.traced("m1.test", "been@b.test"), Vec::<String>::new());
}

/// Who asked for a notice gets it from the server that delivers, and from no other one on the way.
#[test]
fn a_wish_to_be_notified_goes_through() {
    let mut organization = Organization::new(&[("a", &["a1.test"]), ("b", &["b1.test"])], REST_ONE);
    organization.start(&["a1.test", "b1.test"]);
    let mut wire = Wire::connect(organization.node("a1.test").smtp);
    wire.reply();
    for command in [
        "EHLO client.example",
        "MAIL FROM:<a@client.example> ENVID=QQ314 RET=HDRS",
        "RCPT TO:<x@b.test> NOTIFY=SUCCESS ORCPT=rfc822;y@b.test",
        "DATA",
        "Subject: notify\r\n\r\nhello\r\n.",
    ] {
        let heard = wire.command(command);
        assert!(heard.starts_with(['2', '3']), "{command}: {heard}");
    }
    eventually("the notice is made", SOON, || !organization.traced("b1.test", "\tDSN\t").is_empty());
    assert!(organization.traced("a1.test", "\tDSN\t").is_empty());
}

/// Only nodes that our authority signed for, and that the document names as servers, are heard; nobody else sees the keyword.
#[test]
fn strangers_and_servers_that_nobody_knows_are_refused() {
    let names: &[&str] = &["b1.test", "x1.test"];
    let mut organization = Organization::new(&[("b", names)], REST_ONE);
    organization.forget("x1.test");
    organization.start(&["b1.test"]);
    let refused = |what: &str| {
        eventually(what, SOON, || organization.traced("b1.test", "REFUSE").iter().any(|line| line.contains(what)));
    };

    let mut nobody = organization.link("b1.test");
    nobody.start_tls();
    assert!(nobody.line().map_or(true, |line| line.is_none()), "no certificate, no word");
    refused("link_certificate it showed no certificate");

    let mut clear = organization.link("b1.test");
    clear.send(b"EHLO client.example\r\n").unwrap();
    assert!(!clear.line().is_ok_and(|line| line.is_some_and(|line| line.starts_with('2'))));
    refused("link_certificate what it sends is no TLS");

    let mut other = Organization::new(&[("b", &["b1.test"])], REST_ONE);
    other.start(&[]);
    let mut foreign = organization.link("b1.test");
    foreign.start_tls_as(&other.certificate("b1.test"));
    assert!(foreign.line().map_or(true, |line| line.is_none()), "a certificate of another authority");
    refused("link_certificate claims=b1.test its certificate (of Example Ltd) was not signed by the authority in");

    let mut unknown = organization.link("b1.test");
    unknown.start_tls_as(&organization.certificate("x1.test"));
    assert_eq!(
        unknown.line().unwrap().as_deref(),
        Some("550 5.7.1 x1.test is no server of this organization: there is no [[server]] of that name")
    );
    refused("link_unknown_server server=x1.test");

    organization.add("b", "x1.test");
    assert_eq!(organization.node("b1.test").verb(&["reload"]).0, 0);
    let mut known = organization.link("b1.test");
    known.start_tls_as(&organization.certificate("x1.test"));
    assert!(known.line().unwrap().unwrap().starts_with("220 "));
    assert!(known.command("EHLO x1.test").contains("250-XPOSTHOUSE\n"));
    assert!(known.command("MAIL FROM:<a@x.test> XPOSTHOUSE=1,2,3").starts_with("501 "));
    assert!(known.command("MAIL FROM:<a@x.test> XPOSTHOUSE=1,1700000000000,3,i,rome").starts_with("250 "));
}

/// Behaviours 3.9: a balancer between servers is found out at both ends.
#[test]
fn servers_do_not_meet_through_a_balancer() {
    let mut organization = Organization::new(&[("a", &["a1.test"]), ("b", &["b1.test", "b2.test"])], REST);
    let (right, wrong) = (organization.links["b1.test"], organization.links["b2.test"]);
    assert_ne!(right, wrong);
    organization.misplace("b1.test", wrong);
    let clients = organization.node("b2.test").smtp;
    organization.also(&format!(
        "[[send_connector]]\nname = \"vip\"\ndomains = [\"c.test\"]\nservers = [\"a1.test\"]\nsmart_hosts = [\"127.0.0.1:{clients}\"]\n\
         [[receive_connector]]\nname = \"relay\"\nlisten = [\"127.0.0.1:{}\"]\nservers = [\"a1.test\"]\npermissions = [\"relay\"]\n",
        organization.node("a1.test").submission
    ));
    organization.start(&["a1.test", "b2.test"]);
    submit_many(organization.node("a1.test"), "x@b.test", "x", 1);
    eventually("it arrives by the right address", SOON, || kept(&organization, "b2.test", "x@b.test") == 1);
    // Several connections, so that the wrong one is met.
    submit_many(organization.node("a1.test"), "y@b.test", "y", 60);
    eventually("all arrive by the right address", SOON, || kept(&organization, "b2.test", "y@b.test") == 60);
    assert!(organization.node("a1.test").log().contains("a balancer stands between servers"));

    // Our own way out leads to a name that clients use.
    let relay = organization.node("a1.test").submission;
    submit_to(relay, "z@c.test", "z");
    eventually("it is refused there, and the queue says why", SOON, || {
        let queue = organization.queue("a1.test", "smart-hosts:vip").map(|queue| queue.to_string());
        queue.is_some_and(|queue| queue.contains("servers of the organization do not come through a balancer"))
    });

    let mut wire = Wire::connect(organization.node("b2.test").smtp);
    wire.reply();
    let heard = wire.command("EHLO a1.test");
    assert_eq!(heard, "550 5.7.1 servers of the organization do not come through a balancer");
    assert!(wire.command("HELO A1.TEST").starts_with("550 5.7.1 "));
    assert!(wire.command("EHLO client.example").starts_with("250"));
    assert!(wire.command("MAIL FROM:<a@x.test> XPOSTHOUSE=1,2,3,i,rome").starts_with("555 5.5.4 "));
    eventually("the trace names the rule", SOON, || {
        organization.traced("b2.test", "REFUSE").iter().any(|line| line.contains("server_through_balancer"))
    });
    assert!(organization.node("b2.test").log().contains("came through a balancer"));
}

/// Behaviours 3.9, 6.1, with real addresses: a server of ours whose way out leads to a service is refused by its address before any member
/// hears of it; one that comes from an address that nobody knows, by its name. Needs root and iproute2.
#[test]
fn servers_of_ours_that_come_to_a_service_are_refused_by_address_and_by_name() {
    let Some(net) = Net::new(2) else { return };
    let (one, other) = (net.address(Place::Node(1)), net.address(Place::Node(2)));
    let mut front = Front::new("", "");
    let behind = here(free_port());
    let org = service("relay", "smtp", SocketAddr::from((one, 25)), "", &[("m", behind.clone(), "")])
        + &format!(
            "[[receive_connector]]\nname = \"relay\"\nlisten = [\"{behind}\"]\ntrusted_proxies = [\"127.0.0.1\"]\n[[server]]\nname = \"other.test\"\naddress = \"{other}:25\"\n"
        );
    net.within(Place::Node(1), || front.start(&org));
    let in_front = |act: &(dyn Fn() -> bool + Sync)| net.within(Place::Node(1), act);
    eventually("the member is up", SOON, || in_front(&|| front.node.standing("relay", "m-relay") == "up"));

    let mut server = Node::new(&["--config", "posthouse.toml", "--org", "org.toml"]);
    fs::write(server.dir.join("posthouse.toml"), "name = \"other.test\"\n").unwrap();
    let org = format!(
        "[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:{}\"]\npermissions = [\"relay\"]\n\
         [[send_connector]]\nname = \"vip\"\ndomains = [\"*\"]\nsmart_hosts = [\"{one}:25\"]\n",
        server.smtp
    );
    fs::write(server.dir.join("org.toml"), org).unwrap();
    net.within(Place::Node(2), || {
        server.start();
        submit_to(server.smtp, "z@c.test", "z");
    });
    eventually("it is refused, and the queue there says why", SOON, || {
        let queues = net.within(Place::Node(2), || server.json(&["queue", "list"]).to_string());
        queues.contains("550 5.7.1 relay.test servers do not pass the balancer")
    });
    let event = |line: &&str| line.contains("WARN") && line.contains("own servers do not pass the balancer");
    let log = front.node.log();
    assert!(log.lines().filter(event).any(|line| line.contains(&other.to_string())), "{log}");
    assert!(in_front(&|| front.node.counted("posthouse_service_turned_away_total", "own_server") >= 1.0));
    assert!(in_front(&|| front.node.counted("posthouse_service_connections_total", "m-relay") == 0.0));

    let at = |place, says: &str| {
        net.within(place, || {
            let mut wire = Wire::over(TcpStream::connect((one, 25)).unwrap());
            let greeting = wire.reply().join("");
            if greeting.starts_with("220") { wire.command(&format!("EHLO {says}")) } else { greeting }
        })
    };
    assert!(at(Place::Node(2), "client.example").starts_with("550 5.7.1 relay.test servers do not pass"));
    assert!(at(Place::Hub, "client.example").starts_with("250"), "everybody else is served");
    assert_eq!(at(Place::Hub, "OTHER.test"), "550 5.7.1 servers of the organization do not come through a balancer");
    assert!(front.node.log().contains("server OTHER.test came through a balancer"), "{}", front.node.log());
}

/// A server whose certificate the others do not believe: both ends say so, and its mail waits.
#[test]
fn a_certificate_of_another_authority_opens_nothing() {
    let mut organization = Organization::new(&[("a", &["a1.test"]), ("b", &["b1.test"])], REST_ONE);
    organization.make_foreign("a1.test");
    organization.start(&["a1.test", "b1.test"]);
    submit(organization.node("a1.test"), "x@b.test", "x");
    let shown = || organization.queue("a1.test", "site:b").map(|queue| queue.to_string()).unwrap_or_default();
    eventually("the sender says what is wrong", SOON, || shown().contains("it does not take our certificate"));
    eventually("the receiver too", SOON, || {
        let refused = organization.traced("b1.test", "REFUSE");
        refused.iter().any(|line| line.contains("link_certificate claims=a1.test its certificate (of Another Ltd)"))
    });
    assert_eq!(kept(&organization, "b1.test", "x@b.test"), 0);
}

/// A certificate that was renewed on disk is shown on the next link, without a restart.
#[test]
fn a_renewed_certificate_counts_for_links() {
    let mut organization = Organization::new(&[("b", &["b1.test", "b2.test"])], REST);
    organization.start(&["b1.test"]);
    let serial = || {
        let mut wire = organization.link("b1.test");
        wire.start_tls_as(&organization.certificate("b2.test"));
        assert!(wire.line().unwrap().unwrap().starts_with("220 "));
        wire.peer_certificate()
    };
    let before = serial();
    let mut seen = BTreeSet::from([before]);
    tests::two::pki(organization.keep.path(), &["renew", "b1.test"]);
    assert_eq!(organization.node("b1.test").verb(&["reload"]).0, 0);
    assert!(seen.insert(serial()), "another certificate");
}

const REST_ONE: &str = "[[accepted_domain]]\nname = \"b.test\"\ndeliver = \"maildir\"\nservers = [\"b1.test\"]\n";
