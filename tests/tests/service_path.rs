//! What passes through the services of a whole node: TLS that ends there or goes through by name, members by host name, mail boxes of real
//! Dovecots, shares of many connections, and clients that mean no good.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // a test of real processes

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tests::besieged::Besieged;
use tests::dovecot::Dovecot;
use tests::front::{
    Front, Greeter, PATIENCE, at, certificate, connect_from, door, greeted, greeting, here, imap, logs_on, secured,
    service, stream_from,
};
use tests::named::Named;
use tests::wire::Wire;
use tests::{eventually, free_port};

#[test]
fn tls_ends_here_and_a_renewed_certificate_is_for_those_who_come_later() {
    let (dovecot, imaps, https) = (Dovecot::start("unseen.test", ""), at(9), at(9));
    let tls = "[tls]\ncertificate = \"mail.pem\"\nkey = \"mail.key\"\n";
    let mut front = Front::new(tls, "");
    let org = service("mail", "imaps", imaps, "tls = \"terminate\"", &[("d", here(dovecot.imap), "")])
        // In clear behind us: our own page, for some names; for all others a member that is down.
        + &service(
            "web",
            "https",
            https,
            "tls = \"terminate\"",
            &[("own", here(front.node.http), "sni = [\"front.test\", \"*.front.test\"]"), ("none", here(free_port()), "")],
        );
    let dir = front.node.dir.clone();
    let first = certificate(&dir, "mail", "mail.test");
    front.start(&org);
    front.until("mail", "d", "up");
    front.until("web", "own", "up");
    front.until("web", "none", "down");
    let mut held = secured(imaps, "mail.test").unwrap();
    assert_eq!(held.peer_certificate(), first);
    assert!(greeting(&mut held).starts_with("* OK"));
    logs_on(&mut held);
    // The name in the client's greeting chooses the member where TLS ends here, too.
    let page = |name: &str| {
        let mut wire = secured(https, name)?;
        wire.send(b"GET /health/live HTTP/1.1\r\nHost: front.test\r\nConnection: close\r\n\r\n").ok()?;
        wire.line().ok()?
    };
    for name in ["front.test", "www.front.test"] {
        assert_eq!(page(name).as_deref(), Some("HTTP/1.1 200 OK"), "{name}");
    }
    assert_eq!(page("other.test"), None, "whose member is down");
    // Half of a renewed pair changes nothing; all of it is for those who come.
    let shown = || secured(imaps, "mail.test").unwrap().peer_certificate();
    let key = fs::read(dir.join("mail.key")).unwrap();
    let second = certificate(&dir, "mail", "mail.test");
    let second_key = fs::read(dir.join("mail.key")).unwrap();
    fs::write(dir.join("mail.key"), key).unwrap();
    assert_eq!(front.node.verb(&["reload"]).0, 0);
    assert_eq!(shown(), first);
    fs::write(dir.join("mail.key"), second_key).unwrap();
    assert_eq!(front.node.verb(&["reload"]).0, 0);
    eventually("the renewed one is shown", PATIENCE, || shown() == second);
    assert!(imap(&mut held, "NOOP").starts_with("t OK"), "who was there stays");
    assert!(imap(&mut held, "LOGOUT").starts_with("t OK"));
}

#[test]
fn names_in_tls_greetings_find_their_members_unopened() {
    let of = |name: &str| (Dovecot::start(name, &format!("login_greeting = {name}")), name.to_string());
    let (a, b, rest) = (of("a.test"), of("b.test"), of("rest.test"));
    let imaps = at(9);
    let members = [
        ("a", here(a.0.imaps), "sni = [\"a.test\"]"),
        ("b", here(b.0.imaps), "sni = [\"b.test\", \"*.b.test\"]"),
        ("rest", here(rest.0.imaps), ""),
    ];
    let front = Front::started("", &service("mail", "imaps", imaps, "", &members));
    ["a", "b", "rest"].iter().for_each(|member| front.until("mail", member, "up"));
    let says = |name: &str| {
        let mut wire = secured(imaps, name).unwrap();
        let line = greeting(&mut wire);
        logs_on(&mut wire);
        line.rsplit(' ').next().unwrap_or_default().to_string()
    };
    for (name, member) in [
        ("a.test", "a.test"),
        ("A.Test", "a.test"),
        ("x.b.test", "b.test"),
        ("b.test", "b.test"),
        ("c.test", "rest.test"),
    ] {
        assert_eq!(says(name), member, "{name}");
    }
    // A member for one name only is nobody's second choice.
    let without = service("mail", "imaps", imaps, "", &members[..2]);
    front.change(&without);
    eventually("nobody is for that name", PATIENCE, || secured(imaps, "c.test").is_none());
    assert_eq!(says("a.test"), "a.test");
}

/// The zone of the host names, with one address for each.
fn zone(serial: u32, member: &str) -> String {
    format!(
        "$TTL 1\n@ IN SOA ns.example. a.example. {serial} 1 1 60 1\n@ IN NS ns.example.\nns IN A 127.0.0.1\n\
         member IN A {member}\nserver IN A 192.0.2.77\n"
    )
}

#[test]
fn members_and_servers_by_name_are_where_the_name_is_now() {
    let (listen, port) = (at(9), free_port());
    let [old, new] = ["old", "new"].map(Greeter::start);
    // Two addresses of this machine with the same port lead to the two members.
    let _doors = [("127.0.0.31", &old), ("127.0.0.32", &new)].map(|(ip, to)| door(ip, port, to.address));
    let named = Named::start(&zone(1, "127.0.0.31"));
    let org = service(
        "smtp",
        "smtp",
        listen,
        "trusted_proxies = [\"127.0.0.2\"]\nprobe = \"tcp\"",
        &[("m", format!("member.example:{port}"), "")],
    ) + "[[server]]\nname = \"other.test\"\naddress = \"server.example:25\"\n[[server]]\nname = \"third.test\"\naddress = \"192.0.2.78:25\"\n";
    let front = Front::started(&format!("[dns]\nservers = [\"127.0.0.1:{}\"]\n", named.port), &org);
    front.until("smtp", "m", "up");
    let says = || greeting(&mut connect_from(Ipv4Addr::LOCALHOST.into(), listen).unwrap());
    assert_eq!(says(), "220 greets old");
    // Our own servers do not pass, whether their address is written or found; the balancer before this one says who comes.
    let comes = |source: &str| {
        let mut wire = connect_from("127.0.0.2".parse().unwrap(), listen).unwrap();
        wire.send(format!("PROXY TCP4 {source} 192.0.2.1 40000 25\r\n").as_bytes()).unwrap();
        greeting(&mut wire)
    };
    for server in ["192.0.2.77", "192.0.2.78"] {
        eventually("an own server is refused", PATIENCE, || {
            comes(server) == "550 5.7.1 smtp.test servers do not pass the balancer"
        });
        let event = |line: &&str| line.contains(server) && line.contains("own servers do not pass the balancer");
        assert!(front.node.log().lines().any(|line| event(&line)), "{}", front.node.log());
    }
    assert!(front.node.counted("posthouse_service_turned_away_total", "own_server") >= 2.0);
    assert_eq!(comes("192.0.2.79"), "220 greets old");
    let mut held = connect_from(Ipv4Addr::LOCALHOST.into(), listen).unwrap();
    assert_eq!(greeting(&mut held), "220 greets old");
    named.change(&zone(2, "127.0.0.32"));
    eventually("the member's new address is found", PATIENCE, || says() == "220 greets new");
    // Where the name was, the member is gone: that is a drain.
    let answer = held.command("NOOP");
    assert!(
        answer == "250 yes" || answer.starts_with("421 4.3.2 smtp.test the server goes out of service"),
        "{answer}"
    );
}

#[test]
fn mail_boxes_go_on_where_one_store_dies_and_clients_stay_where_they_are_asked_to() {
    let mut stores = ["d1", "d2"].map(|name| Dovecot::start("mail.test", &format!("login_greeting = {name}")));
    let (any, pop, sticky) = (at(9), at(9), at(9));
    let members = |port: fn(&Dovecot) -> u16, more: &'static str| {
        [("d1", here(port(&stores[0])), more), ("d2", here(port(&stores[1])), "")]
    };
    let affinity = "algorithm = \"source_hash\"\naffinity_prefix = 24\naffinity_timeout = \"45m\"";
    let org = |drain: &'static str| {
        service("imap", "imap", any, "", &members(|d| d.imap, ""))
            + &service("pop", "pop3", pop, "", &members(|d| d.pop3, ""))
            + &service("sticky", "imap", sticky, affinity, &members(|d| d.imap, drain))
    };
    let (plain, drained) = (org(""), org("drain = true"));
    let front = Front::started("", &plain);
    for (service, member) in ["imap", "pop", "sticky"].iter().flat_map(|service| [(service, "d1"), (service, "d2")]) {
        front.until(service, member, "up");
    }
    let store_at = |service: SocketAddr, from: Ipv4Addr| {
        let mut wire = connect_from(from.into(), service).unwrap();
        let line = greeting(&mut wire);
        logs_on(&mut wire);
        line.rsplit(' ').next().unwrap_or_default().to_string()
    };
    let home = Ipv4Addr::LOCALHOST;
    let both: BTreeSet<String> = (0..4).map(|_| store_at(any, home)).collect();
    assert_eq!(both.len(), 2, "no affinity is needed: each has its turn");
    // A network is one client: it stays, and different ones are spread.
    let clients = |network: u8| [1, 77, 200].map(|last| Ipv4Addr::new(127, 7, network, last));
    let homes = || -> BTreeMap<u8, String> {
        let of = |network: u8| {
            let stores: BTreeSet<String> = clients(network).into_iter().map(|from| store_at(sticky, from)).collect();
            assert_eq!(stores.len(), 1, "{network}");
            (network, stores.into_iter().next().unwrap())
        };
        (0..12).map(of).collect()
    };
    let before = homes();
    assert_eq!(before.values().collect::<BTreeSet<_>>().len(), 2, "{before:?}");
    assert_eq!(homes(), before);
    // Extended affinity: whoever had to move stays where it is now when the member is back.
    front.change(&drained);
    assert!(homes().values().all(|store| store == "d2"));
    front.change(&plain);
    assert!(homes().values().all(|store| store == "d2"));
    // One protocol of a host dies, the other goes on.
    let pop_greets = || greeting(&mut connect_from(home.into(), pop).unwrap());
    stores[0].stop_pop3();
    assert!((0..6).all(|_| pop_greets() == "+OK d2"));
    front.until("pop", "d1", "down");
    let both: BTreeSet<String> = (0..4).map(|_| store_at(any, home)).collect();
    assert_eq!(both.len(), 2);
    // A store dies: its clients are cut off, come again, and meet the other one at once.
    stores[1].kill();
    assert!((0..6).all(|_| store_at(any, home) == "d1"));
    assert!(homes().values().all(|store| store == "d1"));
    front.until("imap", "d2", "down");
    assert!((0..6).all(|_| store_at(any, home) == "d1"));
}

#[test]
fn ten_thousand_connections_are_shared_and_few_move_when_a_member_leaves() {
    let greeters = ["m1", "m2", "m3"].map(Greeter::start);
    let (shared, hashed, held) = (at(9), at(9), at(9));
    let org = |drain: &'static str| {
        let members = |more: &'static str| {
            let member = |name: &'static str, number: usize, more| (name, greeters[number].address.to_string(), more);
            [member("m1", 0, "weight = 1"), member("m2", 1, more), member("m3", 2, "weight = 2")]
        };
        let more = "probe = \"tcp\"\nconnections_max = 100000";
        let plain = members("weight = 1");
        service("shared", "smtp", shared, &format!("{more}\nalgorithm = \"round_robin\""), &plain)
            + &service("held", "smtp", held, more, &plain)
            + &service("hashed", "smtp", hashed, &format!("{more}\nalgorithm = \"source_hash\""), &members(drain))
    };
    let front = Front::started("", &org("weight = 1"));
    for (service, member) in ["shared", "hashed", "held"].iter().flat_map(|one| [(one, "m1"), (one, "m2"), (one, "m3")])
    {
        front.until(service, member, "up");
    }
    let count = |who: &BTreeMap<usize, String>, name: &str| who.values().filter(|by| *by == name).count();
    // Few enough of one address that each finds a port.
    let source = |number: usize| IpAddr::from([127, 9, (number / 200) as u8, (number % 200) as u8 + 1]);
    // Who is slow has few connections by the default algorithm, whatever its weight: that is what it is for. What is held at once says it exactly.
    let mut open: Vec<Wire> = (0..400).map(|number| connect_from(source(number), held).unwrap()).collect();
    let mut by: BTreeMap<String, usize> = BTreeMap::new();
    open.iter_mut().for_each(|wire| *by.entry(greeting(wire)).or_default() += 1);
    let shares = ["m1", "m2", "m3"].map(|name| by[&format!("220 greets {name}")]);
    assert!(shares.iter().zip([100, 100, 200]).all(|(has, due)| has.abs_diff(due) <= 1), "{shares:?}");
    drop(open);
    let who = greeted(shared, (0..10_000).map(source).collect());
    for (name, due) in [("m1", 2_500), ("m2", 2_500), ("m3", 5_000)] {
        let off = count(&who, name).abs_diff(due);
        assert!(off <= 500, "{name} has {} of 10000 connections and {due} are its share", count(&who, name));
    }
    let clients: Vec<IpAddr> = (0..2_000).map(source).collect();
    let before = greeted(hashed, clients.clone());
    assert_eq!(greeted(hashed, clients.clone()), before, "each meets its own again");
    front.change(&org("weight = 1\ndrain = true"));
    let after = greeted(hashed, clients);
    let moved: Vec<usize> = (0..2_000).filter(|client| before[client] != after[client]).collect();
    assert!(moved.iter().all(|client| before[client] == "m2"), "nobody else moves");
    assert_eq!(moved.len(), count(&before, "m2"));
    assert!(moved.len() <= 2_000 / 4 + 100, "{} of 2000 moved, a quarter was there", moved.len());
}

/// Issue 5, 6: what is counted of a member is the same for every protocol; SIP has calls in the place of connections (`voice`).
#[test]
fn members_of_every_protocol_are_counted_alike() {
    let protocols = [
        ("smtp", "220 m"),
        ("submission", "220 m"),
        ("submissions", ""),
        ("imap", "* OK m"),
        ("imaps", ""),
        ("pop3", "+OK m"),
        ("pop3s", ""),
        ("http", ""),
        ("https", ""),
        ("ldap", ""),
        ("tcp", ""),
    ];
    // It is up, dies, and the probes are slow to say so.
    let more = "probe = \"tcp\"\nprobe_fall = 100\nalgorithm = \"round_robin\"\nejection_failures = 0";
    let (mut org, mut stages) = (String::new(), Vec::new());
    for (protocol, greeting) in protocols {
        let (listen, good, dies) = (at(9), Greeter::saying(greeting), Greeter::saying(greeting));
        let members = [("good", good.address.to_string(), ""), ("dies", dies.address.to_string(), "")];
        org += &service(protocol, protocol, listen, more, &members);
        stages.push((protocol, listen, good, dies));
    }
    let front = Front::started("", &org);
    for (protocol, listen, _good, dies) in stages {
        ["good", "dies"].iter().for_each(|member| front.until(protocol, member, "up"));
        drop(dies);
        for _ in 0..4 {
            let mut wire = connect_from(Ipv4Addr::LOCALHOST.into(), listen).unwrap();
            wire.line().unwrap().unwrap();
            wire.send(b"hello\r\n").unwrap();
            assert_eq!(wire.line().unwrap().as_deref(), Some("250 yes"), "{protocol}");
        }
        let of = |member: &str| front.node.member_figures(protocol, &format!("{member}-{protocol}"));
        eventually("all connections are over", PATIENCE, || of("good")["posthouse_member_connections"] == 0.0);
        let (good, dead) = (of("good"), of("dies"));
        for (family, least) in [
            ("posthouse_service_connections_total", 4.0),
            ("posthouse_service_bytes_total direction=\"up\"", 4.0 * 7.0),
            ("posthouse_service_bytes_total direction=\"down\"", 4.0 * 9.0),
            ("posthouse_service_greeting_seconds_count", 4.0),
            ("posthouse_member_up", 1.0),
        ] {
            assert!(good[family] >= least, "{protocol} {family}: {good:?}");
        }
        assert!(good["posthouse_service_greeting_seconds_sum"] > 0.0, "{protocol}: {good:?}");
        assert_eq!(good["posthouse_service_refused_total"], 0.0, "{protocol}: {good:?}");
        let refused = dead["posthouse_service_refused_total"];
        assert!(refused > 0.0 && dead["posthouse_service_retries_hidden_total"] == refused, "{protocol}: {dead:?}");
    }
}

#[test]
fn who_connects_and_is_silent_or_talks_nonsense_harms_nobody() {
    let besieged = Besieged::start();
    besieged.serves();
    let all = [besieged.smtp, besieged.imaps, besieged.https, besieged.sip, besieged.sips];
    let garbage: [&[u8]; 6] = [
        &[0; 100_000],
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
        b"\x16\x03\x01\xff\xff\x01\xff\xff\xff",
        b"PROXY TCP4 x\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"BDAT 99999999999999999999999 LAST\r\nDATA\r\n\r\n\r\n",
    ];
    let mut held = Vec::new();
    for service in all {
        // Who connects and never speaks, who begins and never goes on, and who ends at once.
        for number in 0..300_usize {
            let mut stream = TcpStream::connect(service).unwrap();
            match number % 3 {
                0 => {}
                1 => drop(stream.write_all(b"\x16")),
                _ => drop(stream.write_all(garbage[number % garbage.len()])),
            }
            held.push((service, stream));
        }
    }
    besieged.serves();
    // A slow one more: a byte of its greeting now and then is no progress.
    let slow: Vec<TcpStream> = [besieged.imaps, besieged.https].map(|to| TcpStream::connect(to).unwrap()).into();
    for byte in [0x16, 3, 1, 2, 0] {
        slow.iter().for_each(|mut stream| drop(stream.write_all(&[byte])));
        besieged.serves();
    }
    // Before TLS is there nobody has more than ten seconds; those of SIP in the middle of a message neither.
    eventually("the silent ones are gone where TLS must come first", PATIENCE, || {
        besieged.active("mail") + besieged.active("web") == 0.0
    });
    for mut stream in slow {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.read(&mut [0; 64]);
        assert!(matches!(stream.read(&mut [0; 64]), Ok(0) | Err(_)));
    }
    // A stranger's PROXY header is passed on as bytes, and believed by nobody.
    let mut wire = Wire::over(TcpStream::connect(besieged.smtp).unwrap());
    wire.send(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 25\r\n").unwrap();
    assert!(wire.reply().join("").starts_with("220"));
    assert!(wire.reply().join("").starts_with("500"));
    drop((held, wire));
    let left = || ["smtp", "mail", "web"].map(|name| besieged.active(name));
    eventually("nothing is left", PATIENCE, || left() == [0.0; 3]);
    besieged.serves();
}

/// As many idle connections as a process of this machine may have, ten thousand at most: each costs little, the next client is served, and one too
/// many hears why.
#[test]
fn idle_connections_cost_little_and_one_too_many_hears_why() {
    // Each has two descriptors here, the client's and the member's, and two in the node, which takes three quarters of what it may have.
    let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(1 << 20);
    setrlimit(Resource::Nofile, Rlimit { current: Some(hard), maximum: Some(hard) }).unwrap();
    let greeter = Greeter::start("m");
    let (few, many, secret) = (at(9), at(9), at(9));
    let more = |max: usize| format!("probe = \"tcp\"\nconnections_max = {max}");
    let member = [("m", greeter.address.to_string(), "")];
    let count = (hard as usize / 4 * 3 / 2 - 1_200).min(10_000).min(hard as usize / 2 - 2_500);
    let terminates = "probe = \"tcp\"\ntls = \"terminate\"";
    let org = service("many", "smtp", many, &more(count), &member)
        + &service("few", "smtp", few, &more(100), &member)
        + &service("secret", "submissions", secret, terminates, &member);
    let mut front = Front::started("", &org);
    front.until("many", "m", "up");
    let before = front.memory_bytes();
    let connect = |number: usize| {
        let from = Ipv4Addr::new(127, 11, (number / 200) as u8, (number % 200) as u8 + 1);
        let mut stream = stream_from(from.into(), many).unwrap();
        let mut first = [0; 3];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"220", "{number}");
        stream
    };
    let held: Vec<TcpStream> = (0..count).map(connect).collect();
    let each = (front.memory_bytes().saturating_sub(before)) / count as u64;
    println!("{count} idle connections, {each} bytes of memory each");
    // 200 MiB for ten thousand.
    assert!(each < 20_000, "{each} bytes for an idle connection");
    let mut late = Wire::over(TcpStream::connect(many).unwrap());
    assert_eq!(greeting(&mut late), "421 4.3.2 many.test no server can take mail now: too many connections");
    let mut other = Wire::over(TcpStream::connect(few).unwrap());
    assert_eq!(greeting(&mut other), "220 greets m", "another service is not concerned");
    assert_eq!(other.command("NOOP"), "250 yes");
    // Under TLS that ends here each has a session's keys and buffers besides.
    let before = front.memory_bytes();
    let mut held_under_tls: Vec<Wire> = (0..1_000).map(|_| secured(secret, "secret.test").unwrap()).collect();
    held_under_tls.iter_mut().for_each(|wire| assert_eq!(greeting(wire), "220 greets m"));
    let each = (front.memory_bytes().saturating_sub(before)) / 1_000;
    println!("{each} bytes of memory for one under TLS");
    assert!(each < 64_000, "{each} bytes for an idle connection under TLS");
    drop((held, held_under_tls));
    eventually("all is given back", PATIENCE, || front.node.counted("posthouse_service_active", "many") == 0.0);
    assert_eq!(greeting(&mut Wire::over(TcpStream::connect(many).unwrap())), "220 greets m");
}

/// Sets how many descriptors a process may have from now on.
fn allow(pid: u32, descriptors: usize) {
    let status =
        Command::new("prlimit").arg("--pid").arg(pid.to_string()).arg(format!("--nofile={descriptors}:")).status();
    assert!(status.unwrap().success());
}

/// After STARTTLS the balancer can only close a session of a drained member. The hub behind it knows the document as well, and says 421.
#[test]
fn a_drained_member_ends_the_sessions_that_its_balancer_cannot_read() {
    let besieged = Besieged::start();
    let mut wire = Wire::over(TcpStream::connect(besieged.smtp).unwrap());
    wire.reply();
    assert!(wire.command("EHLO application.test").starts_with("250"));
    assert!(wire.command("STARTTLS").starts_with("220"));
    assert!(wire.start_tls_to("smtp.test"));
    assert!(wire.command("EHLO application.test").starts_with("250"));
    assert!(wire.command("MAIL FROM:<app@away.test>").starts_with("250"));
    let (code, out, err) = besieged.front.node.verb(&["service", "drain", "hub-smtp", "--force"]);
    assert_eq!(code, 0, "{out}{err}");
    for (command, code) in
        [("RCPT TO:<bob@home.test>", "250"), ("DATA", "354"), ("Subject: x\r\n\r\nx\r\n.", "250"), ("NOOP", "250")]
    {
        let answer = wire.command(command);
        assert!(answer.starts_with(code), "what was begun is finished; {command}: {answer}");
    }
    assert!(wire.command("MAIL FROM:<app@away.test>").starts_with("421 4.3.2 "));
    assert_eq!(wire.line().unwrap(), None);
}

#[test]
fn out_of_descriptors_accepting_pauses_and_goes_on() {
    let mut besieged = Besieged::start();
    besieged.serves();
    let mut held = Wire::over(TcpStream::connect(besieged.smtp).unwrap());
    assert!(held.reply().join("").starts_with("220"));
    let (pid, now) = (besieged.front.node.process().pid(), besieged.front.descriptors());
    let enough = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("limits")).unwrap();
    let enough = enough.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let enough: usize = enough.split_whitespace().nth(3).unwrap().parse().unwrap();
    allow(pid, now + 8);
    let services = [besieged.smtp, besieged.imaps, besieged.https, besieged.sip, besieged.sips];
    let crowd: Vec<TcpStream> = (0..200).map(|number| TcpStream::connect(services[number % 5]).unwrap()).collect();
    eventually("it says so", PATIENCE, || besieged.front.node.log().contains("no connection can be taken now"));
    let said = besieged.front.node.log().matches("can be taken now").count();
    // Who is there goes on, with mail as well.
    held.sends_a_message(|| besieged.front.node.log());
    assert!(besieged.front.node.process().is_running());
    // Long enough for many probes: that we cannot ask says nothing about members.
    std::thread::sleep(Duration::from_secs(3));
    let log = besieged.front.node.log();
    let blamed = log.lines().find(|line| line.contains("is down") && line.contains("open files"));
    assert_eq!(blamed, None);
    allow(pid, enough);
    drop(crowd);
    besieged.serves();
    assert!(held.command("NOOP").starts_with("250"));
    assert!(said < 30, "once for each socket, not ten times a second: {said}");
}
