//! Services of real processes: a balancer and two hubs on loopback addresses, clients that know one name and no retry (behaviours 6.1, 6.2;
//! rows 1, 5, 6, 8 and 58 of their last table).
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // a test of real processes

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tests::process::Node;
use tests::wire::Wire;
use tests::{eventually, free_port};

/// Applications in 127.0.0.48/28 may relay, but for one of them; everybody else may only send to home.test.
const HUB: &str = "[[accepted_domain]]\nname = \"home.test\"\ndeliver = \"maildir\"\n\
    [[receive_connector]]\nname = \"own\"\nlisten = [\"127.0.0.1:@SMTP@\"]\nhostname = \"hub@N@.test\"\n\
    [[receive_connector]]\nname = \"service\"\nlisten = [\"127.0.0.2@N@:@PORT@\"]\nhostname = \"relay.test\"\nbanner = \"relay.test ESMTP hub@N@\"\n\
    trusted_proxies = [\"127.0.0.1\"]\ntarpit_ms = 0\npermissions = [\"anonymous\"]\nconnections_per_source_max = 100\nconnections_per_source_percent_max = 90\n\
    [[receive_connector]]\nname = \"applications\"\nlisten = [\"127.0.0.2@N@:@PORT@\"]\nremote = [\"127.0.0.48/28\"]\nhostname = \"relay.test\"\nbanner = \"relay.test ESMTP hub@N@\"\n\
    trusted_proxies = [\"127.0.0.1\"]\ntarpit_ms = 0\npermissions = [\"relay\"]\n\
    [[receive_connector]]\nname = \"not this one\"\nlisten = [\"127.0.0.2@N@:@PORT@\"]\nremote = [\"127.0.0.51\"]\nhostname = \"relay.test\"\nbanner = \"relay.test ESMTP hub@N@\"\n\
    trusted_proxies = [\"127.0.0.1\"]\ntarpit_ms = 0\npermissions = [\"anonymous\"]\n";

/// The balancer takes no mail itself. Its members are ours by `proxy`: their connectors stand in another document.
const BALANCER: &str = "[[receive_connector]]\nname = \"own\"\nlisten = [\"127.0.0.1:@SMTP@\"]\n\
    [[service]]\nname = \"relay\"\nhostname = \"relay.test\"\nlisten = [@LISTEN@]\nproxy = \"v2\"\nprobe_interval = \"200ms\"\nconnect_timeout = \"1s\"\n@MORE@\
    [[member]]\nname = \"hub1\"\nservice = \"relay\"\naddress = \"127.0.0.21:@PORT@\"\n\
    [[member]]\nname = \"hub2\"\nservice = \"relay\"\naddress = \"127.0.0.22:@PORT@\"\n@MEMBER2@";

struct Stage {
    balancer: Node,
    hubs: [Node; 2],
    port: u16,
}

impl Stage {
    /// Everybody is up.
    fn start() -> Stage {
        let port = free_port();
        let hubs = [1, 2].map(|number: u8| {
            let mut hub = Node::new(&["--config", "posthouse.toml", "--org", "org.toml"]);
            let marks = [("@SMTP@", hub.smtp.to_string()), ("@PORT@", port.to_string()), ("@N@", number.to_string())];
            let org = marks.iter().fold(HUB.to_string(), |text, (mark, value)| text.replace(mark, value));
            fs::write(hub.dir.join("posthouse.toml"), format!("name = \"hub{number}.test\"\n")).unwrap();
            fs::write(hub.dir.join("org.toml"), org).unwrap();
            hub.start();
            hub
        });
        let balancer = Node::new(&["--config", "posthouse.toml", "--org", "org.toml"]);
        fs::write(balancer.dir.join("posthouse.toml"), "name = \"balancer.test\"\n").unwrap();
        let mut stage = Stage { balancer, hubs, port };
        stage.document(&["127.0.0.10"], "", "");
        stage.balancer.start();
        stage.until_up(&["hub1", "hub2"]);
        stage
    }

    /// Writes the balancer's document.
    fn document(&self, listen: &[&str], more: &str, member2: &str) {
        let listen: Vec<String> = listen.iter().map(|ip| format!("\"{ip}:{}\"", self.port)).collect();
        let marks = [
            ("@SMTP@", self.balancer.smtp.to_string()),
            ("@PORT@", self.port.to_string()),
            ("@LISTEN@", listen.join(", ")),
            ("@MORE@", more.to_string()),
            ("@MEMBER2@", member2.to_string()),
        ];
        let org = marks.iter().fold(BALANCER.to_string(), |text, (mark, value)| text.replace(mark, value));
        fs::write(self.balancer.dir.join("org.toml"), org).unwrap();
    }

    fn reload(&self) {
        let (code, out, err) = self.balancer.verb(&["reload"]);
        assert_eq!(code, 0, "{out}{err}");
    }

    /// A client's connection to the service, from one of the addresses of loopback.
    fn client_at(&self, service: &str, from: &str) -> std::io::Result<Wire> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        let from: IpAddr = from.parse().unwrap();
        socket.bind(&SocketAddr::new(from, 0).into())?;
        let to: SocketAddr = format!("{service}:{}", self.port).parse().unwrap();
        socket.connect_timeout(&to.into(), Duration::from_secs(10))?;
        Ok(Wire::over(TcpStream::from(socket)))
    }

    fn client(&self, from: &str) -> Wire {
        self.client_at("127.0.0.10", from).unwrap()
    }

    /// Who greets a client: the last word of the banner.
    fn greeted(&self, from: &str) -> (Wire, String) {
        let mut wire = self.client(from);
        let reply = wire.reply().join("\n");
        let name = reply.rsplit(' ').next().unwrap_or_default().to_string();
        assert!(reply.starts_with("220 relay.test ESMTP hub"), "{reply:?}\n{}", self.balancer.log());
        (wire, name)
    }

    /// Members that are up for the balancer.
    fn up(&self) -> Vec<String> {
        let shown = self.balancer.json(&["service", "show", "relay"]);
        let members = shown["members"].as_array().unwrap_or_else(|| panic!("{shown}"));
        let up = members.iter().filter(|member| member["standing"] == "up");
        up.map(|member| member["name"].as_str().unwrap().to_string()).collect()
    }

    fn until_up(&self, names: &[&str]) {
        eventually(&format!("just {names:?} are up"), Duration::from_secs(60), || self.up() == names);
    }
}

/// What a client may do at RCPT for a domain that is not ours.
fn relays(mut wire: Wire) -> String {
    wire.command("EHLO application.test");
    let mail = wire.command("MAIL FROM:<app@away.test>");
    assert!(mail.starts_with("250"), "{mail}");
    let answer = wire.command("RCPT TO:<somebody@elsewhere.test>");
    wire.command("QUIT");
    answer
}

/// Sends one message, as an application without retry does: every answer must be the good one.
fn send(stage: &Stage, number: usize) {
    let (mut wire, _) = stage.greeted("127.0.0.70");
    for (command, code) in [
        ("EHLO application.test", "250"),
        ("MAIL FROM:<app@away.test>", "250"),
        ("RCPT TO:<bob@home.test>", "250"),
        ("DATA", "354"),
        (&format!("Subject: {number}\r\n\r\nhello\r\n."), "250"),
        ("QUIT", "221"),
    ] {
        let answer = wire.command(command);
        assert!(answer.starts_with(code), "message {number}, {command}: {answer}\n{}", stage.balancer.log());
    }
}

#[test]
fn clients_know_one_name_and_the_hubs_know_the_clients() {
    let stage = Stage::start();
    // Row 6: each hub has its share of connections that are open at the same time.
    let open: Vec<(Wire, String)> = (0..40).map(|_| stage.greeted("127.0.0.70")).collect();
    let mut shares: BTreeMap<&str, usize> = BTreeMap::new();
    open.iter().for_each(|(_, name)| *shares.entry(name).or_default() += 1);
    assert_eq!(shares, [("hub1", 20), ("hub2", 20)].into());
    drop(open);
    // Row 8: who relays is said by the client's own address, and the smallest range around it counts.
    for from in ["127.0.0.50", "127.0.0.63"] {
        assert!(relays(stage.greeted(from).0).starts_with("250"), "{from}");
    }
    for from in ["127.0.0.51", "127.0.0.64", "127.0.0.9"] {
        let answer = relays(stage.greeted(from).0);
        assert!(answer.starts_with("550 5.7.1"), "{from}: {answer}");
    }
    // Row 58: the name that clients know; the hub's own connector is untouched.
    let (mut wire, _) = stage.greeted("127.0.0.70");
    let answer = wire.command("EHLO application.test");
    assert!(answer.starts_with("250-relay.test"), "{answer}");
    let mut own = Wire::connect(stage.hubs[0].smtp);
    assert!(own.reply().join("\n").starts_with("220 hub1.test"));
}

/// Issue 5, 6: connections, bytes, refused, retries hidden from clients, probe state, time to greeting, each by service and member.
fn figures_of_each_member(stage: &Stage) {
    let page = stage.balancer.get("/metrics").1;
    let figure = |name: &str, member: &str, more: &str| -> f64 {
        let is_meant = |line: &&str| {
            let labels = ["service=\"relay\"".to_string(), format!("member=\"{member}\""), more.to_string()];
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'))
                && labels.iter().all(|label| line.contains(label))
        };
        let values = page.lines().filter(is_meant).map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap());
        values.reduce(|sum, value| sum + value).unwrap_or_else(|| panic!("no {name} of {member} {more}:\n{page}"))
    };
    for member in ["hub1", "hub2"] {
        assert!(figure("posthouse_service_connections_total", member, "") > 0.0);
        assert!(figure("posthouse_service_bytes_total", member, "direction=\"up\"") > 100.0);
        assert!(figure("posthouse_service_bytes_total", member, "direction=\"down\"") > 100.0);
        assert!(figure("posthouse_service_greeting_seconds_count", member, "") > 0.0);
        assert!(figure("posthouse_service_greeting_seconds_sum", member, "") > 0.0);
        assert_eq!(figure("posthouse_member_up", member, ""), 1.0);
        figure("posthouse_member_connections", member, "");
    }
    // What the dead one refused was another one's to serve, each time; it is said once, and of that member.
    let refused = figure("posthouse_service_refused_total", "hub1", "");
    assert!(refused > 0.0);
    assert_eq!(figure("posthouse_service_retries_hidden_total", "hub1", ""), refused);
    assert_eq!(figure("posthouse_service_retries_hidden_total", "hub2", ""), 0.0);
    let shown = stage.balancer.json(&["service", "show", "relay"]);
    assert_eq!(shown["retries_hidden"].as_f64(), Some(refused), "{shown}");
    for address in ["127.0.0.21", "127.0.0.22"] {
        let target = format!(
            "posthouse_probe_up{{target=\"smtp {address}:{}\",name=\"relay.test\",how=\"proxy-v2\"}} 1",
            stage.port
        );
        assert!(page.contains(&target), "{target}\n{page}");
    }
    assert!(!page.contains("hidden_retries") && !page.contains("rescued"), "counted in one place");
}

#[test]
fn no_client_notices_when_a_member_dies() {
    let mut stage = Stage::start();
    (0..10).for_each(|number| send(&stage, number));
    stage.hubs[0].kill();
    // At once, before any probe has ended.
    (10..40).for_each(|number| send(&stage, number));
    stage.until_up(&["hub2"]);
    (40..50).for_each(|number| send(&stage, number));
    stage.hubs[0].start();
    stage.until_up(&["hub1", "hub2"]);
    eventually("hub1 gets clients again", Duration::from_secs(60), || stage.greeted("127.0.0.70").1 == "hub1");
    figures_of_each_member(&stage);
    // Its journal was there all the time: nothing is lost.
    let arrived = || stage.hubs.iter().map(|hub| hub.mailbox("bob@home.test").len()).sum::<usize>();
    eventually("all fifty messages arrive", Duration::from_secs(60), || arrived() == 50);
    stage.hubs.iter_mut().for_each(Node::kill);
    eventually("nobody is left, and clients hear it", Duration::from_secs(60), || {
        let mut wire = stage.client("127.0.0.70");
        let reply = wire.reply().join("\n");
        assert!(reply.starts_with("421 4.3.2 relay.test"), "{reply:?}");
        stage.up().is_empty()
    });
}

#[test]
fn the_document_changes_while_connections_go_on() {
    let stage = Stage::start();
    let at_hub1 = |(wire, name): (Wire, String)| (name == "hub1").then_some(wire);
    let mut held = (0..).find_map(|_| at_hub1(stage.greeted("127.0.0.70"))).unwrap();
    held.command("EHLO application.test");
    // A socket more; hub2 is drained.
    stage.document(&["127.0.0.10", "127.0.0.11"], "algorithm = \"round_robin\"\n", "drain = true\n");
    stage.reload();
    let more = |from| stage.client_at("127.0.0.11", from).map(|mut wire| wire.reply().join("\n"));
    for _ in 0..6 {
        assert!(more("127.0.0.70").unwrap().ends_with("hub1"), "nobody new comes to a member that is drained");
    }
    assert!(held.command("NOOP").starts_with("250"));
    // The first address is gone: it takes nothing new, and what is open stays open.
    stage.document(&["127.0.0.11"], "", "");
    stage.reload();
    eventually("the address closes", Duration::from_secs(30), || stage.client_at("127.0.0.10", "127.0.0.70").is_err());
    assert!(held.command("NOOP").starts_with("250"));
    // Somebody else has an address: it is said, the others are served, and it is tried again.
    let taken = TcpListener::bind(("127.0.0.12", stage.port)).unwrap();
    stage.document(&["127.0.0.11", "127.0.0.12"], "", "");
    stage.reload();
    let what = format!("127.0.0.12:{}: in use by another program", stage.port);
    eventually("it is said", Duration::from_secs(30), || stage.balancer.log().contains(&what));
    assert!(more("127.0.0.70").unwrap().starts_with("220 relay.test"));
    let shown = stage.balancer.json(&["service", "show", "relay"]);
    assert!(shown["balancers"][0]["wrong"].as_str().is_some_and(|wrong| wrong.contains(&what)), "{shown}");
    drop(taken);
    eventually("it is served as soon as it can be had", Duration::from_secs(60), || {
        let wire = stage.client_at("127.0.0.12", "127.0.0.70");
        wire.is_ok_and(|mut wire| wire.reply().join("\n").starts_with("220 relay.test"))
    });
    // No service any more.
    fs::write(
        stage.balancer.dir.join("org.toml"),
        format!("[[receive_connector]]\nname = \"own\"\nlisten = [\"127.0.0.1:{}\"]\n", stage.balancer.smtp),
    )
    .unwrap();
    stage.reload();
    eventually("nobody listens", Duration::from_secs(30), || more("127.0.0.70").is_err());
}
