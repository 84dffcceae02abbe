//! Other people's balancers in front of our nodes, and our balancer's probes at other people's servers: HAProxy, Postfix with smtpd and
//! postscreen behind PROXY, Dovecot, slapd, a web server of Python. `./test balancer` installs them.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // a test of real processes

use balancer::probe::{Kind, Known, Probers, Standing, Target, Word};
use directory::ProxyHeader;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tests::dovecot::Dovecot;
use tests::front::{self, Front, at, here, service};
use tests::ldap::{self, Slapd};
use tests::postfix::Postfix;
use tests::process::{Node, Process};
use tests::wire::Wire;
use tests::{eventually, free_port};
use world::World;

const PATIENCE: Duration = Duration::from_secs(60);

/// A hub whose one port is for everybody, and for one application that may relay; a balancer on this machine speaks for them.
fn hub() -> Node {
    let mut node = Node::new(&["--org", "org.toml"]);
    let connector = |name: &str, more: &str| {
        format!(
            "[[receive_connector]]\nname = \"{name}\"\nlisten = [\"127.0.0.1:{}\"]\ntls = \"off\"\ntarpit_ms = 0\n\
             trusted_proxies = [\"127.0.0.1\"]\n{more}\n",
            node.smtp
        )
    };
    let org = format!(
        "postmaster = \"postmaster@ours.test\"\n[[accepted_domain]]\nname = \"ours.test\"\n{}{}",
        connector("everybody", "permissions = [\"anonymous\"]"),
        connector("application", "permissions = [\"anonymous\", \"relay\"]\nremote = [\"127.0.0.7\"]")
    );
    fs::write(node.dir.join("org.toml"), org).unwrap();
    node.start();
    node
}

/// A connection from that address of this machine.
fn connect_from(source: Ipv4Addr, port: u16) -> Wire {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddrV4::new(source, 0)).unwrap();
    connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).unwrap();
    Wire::over(TcpStream::from(socket))
}

/// What a client from `source` hears when it wants to relay, and what the greeting called the server.
fn relays(source: Ipv4Addr, port: u16) -> String {
    let mut client = connect_from(source, port);
    let greeting = client.line().unwrap().unwrap();
    assert!(greeting.starts_with("220 "), "{greeting}");
    let mut heard = String::new();
    for command in ["HELO app.test", "MAIL FROM:<a@app.test>", "RCPT TO:<x@elsewhere.test>", "QUIT"] {
        client.send(format!("{command}\r\n").as_bytes()).unwrap();
        let reply = client.line().unwrap().unwrap();
        if command.starts_with("RCPT") {
            heard = reply;
        }
    }
    heard
}

/// A real HAProxy, ended with its value.
struct HaProxy {
    port: u16,
    process: Process,
    dir: tempfile::TempDir,
}

impl HaProxy {
    /// In front of these servers, each by its letter, with checks that send PROXY LOCAL.
    fn start(servers: &[(&str, u16)]) -> HaProxy {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let mut text = format!(
            "global\n  stats socket {}/stats mode 600 level admin\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  \
             timeout server 60s\nlisten smtp\n  bind 127.0.0.1:{port}\n  option smtpchk EHLO haproxy.test\n  \
             default-server check inter 200ms fall 2 rise 2 send-proxy-v2 check-send-proxy\n",
            dir.path().display()
        );
        servers.iter().for_each(|(name, port)| text.push_str(&format!("  server {name} 127.0.0.1:{port}\n")));
        fs::write(dir.path().join("haproxy.cfg"), text).unwrap();
        let mut command = Command::new("/usr/sbin/haproxy");
        command.arg("-db").arg("-f").arg(dir.path().join("haproxy.cfg"));
        let process = Process::start(&mut command, &dir.path().join("log"));
        let haproxy = HaProxy { port, process, dir };
        eventually("HAProxy listens", PATIENCE, || TcpStream::connect(("127.0.0.1", port)).is_ok());
        haproxy
    }

    /// The fields of a server's line in `show stat`.
    fn stat(&self, server: &str) -> HashMap<String, String> {
        let mut socket = UnixStream::connect(self.dir.path().join("stats")).unwrap();
        socket.write_all(b"show stat\n").unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        let mut lines = text.lines();
        let names: Vec<&str> = lines.next().unwrap().trim_start_matches("# ").split(',').collect();
        let line = lines.find(|line| line.split(',').nth(1) == Some(server)).unwrap();
        names.iter().zip(line.split(',')).map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    /// Waits until the server is `UP` or `DOWN` for it; gives what the last check heard.
    fn until(&self, server: &str, status: &str) -> String {
        eventually(&format!("{server} is {status}: {}", self.process.output()), PATIENCE, || {
            self.stat(server)["status"] == status
        });
        self.stat(server)["last_chk"].clone()
    }
}

#[test]
fn haproxy_checks_see_what_a_node_says_of_itself() {
    let (mut a, mut b) = (hub(), hub());
    let haproxy = HaProxy::start(&[("a", a.smtp), ("b", b.smtp)]);
    for server in ["a", "b"] {
        haproxy.until(server, "UP");
    }
    for _ in 0..4 {
        let (application, stranger) = (Ipv4Addr::new(127, 0, 0, 7), Ipv4Addr::new(127, 0, 0, 8));
        assert!(relays(application, haproxy.port).starts_with("250 "), "the true client may relay");
        assert!(relays(stranger, haproxy.port).starts_with("550 "), "the balancer's own address lends nobody anything");
    }
    assert_eq!(a.verb(&["health"]).0, 0);
    assert_eq!(a.verb(&["node", "drain"]).0, 0);
    let heard = haproxy.until("a", "DOWN");
    assert!(heard.contains("4.3.2 not ready: draining"), "{heard}");
    let (code, _, said) = a.verb(&["health"]);
    assert!(code == 1 && said.contains("takes no mail: draining"), "{code} {said}");
    // Whoever comes now is at b, and hears no 421.
    (0..4).for_each(|_| drop(relays(Ipv4Addr::LOCALHOST, haproxy.port)));
    assert_eq!(a.verb(&["node", "resume"]).0, 0);
    haproxy.until("a", "UP");
    b.kill();
    haproxy.until("b", "DOWN");
    (0..4).for_each(|_| drop(relays(Ipv4Addr::LOCALHOST, haproxy.port)));
    assert_eq!(b.verb(&["health"]).0, 3);
    // Probes are counted where they are asked for and nowhere else.
    let (_, metrics) = a.get("/metrics");
    let answered = |word: &str| metrics.contains(&format!("posthouse_probe_sessions_total{{answer=\"{word}\"}}"));
    assert!(answered("ready") && answered("draining"), "{metrics}");
    let traced = a.verb(&["trace", "--since", "1h", "--limit", "1000"]).1;
    assert!(traced.contains("127.0.0.8") && !traced.contains("not ready"), "{traced}");
    a.stop();
}

/// Probes of a balancer that knows no cluster.
struct Eye {
    probers: Probers,
}

impl Eye {
    fn open() -> Eye {
        let nothing: Arc<dyn Known> = Arc::new(());
        Eye { probers: Probers::new(World::real(), "probe.balancer.test", nothing).unwrap() }
    }

    fn target(port: u16, kind: Kind) -> Target {
        let mut target = Target::new(SocketAddr::from(([127, 0, 0, 1], port)), kind);
        (target.settings.interval_ms, target.settings.fast_interval_ms, target.settings.timeout_ms) = (200, 50, 20_000);
        target
    }

    /// Watches it until it is `word`.
    async fn sees(&self, target: Target, word: Word) -> (Standing, Vec<String>) {
        let watch = self.probers.watch(target);
        let mut changed = watch.changed();
        let seen = tokio::time::timeout(PATIENCE, changed.wait_for(|report| report.standing.word() == word)).await;
        let report = match seen {
            Ok(seen) => seen.unwrap().clone(),
            Err(_) => panic!("{} is {:?} and not {}", watch.target(), watch.standing(), word.text()),
        };
        (report.standing, report.certificate.map(|certificate| certificate.names).unwrap_or_default())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_servers_are_probed_in_their_own_words() {
    let eye = Eye::open();
    let mut dovecot = Dovecot::start("mail.ours.test", "");
    for (port, kind, starttls) in [
        (dovecot.imap, Kind::Imap, false),
        (dovecot.imap, Kind::Imap, true),
        (dovecot.imaps, Kind::Imaps, false),
        (dovecot.pop3, Kind::Pop3, false),
        (dovecot.pop3, Kind::Pop3, true),
        (dovecot.pop3s, Kind::Pop3s, false),
    ] {
        let target = Target { starttls, server_name: Some("mail.ours.test".into()), ..Eye::target(port, kind) };
        let (_, names) = eye.sees(target, Word::Up).await;
        let under_tls = starttls || kind.is_tls_first();
        assert_eq!(names.is_empty(), !under_tls, "{kind:?} {names:?}");
        assert!(names.iter().all(|name| name == "mail.ours.test"), "{names:?}");
    }
    for bad in ["Error", "Fatal", "Connection closed", "handshak"] {
        assert!(!dovecot.log().contains(bad), "a probe says goodbye: {}", dovecot.log());
    }
    // One protocol of a host dies, the other goes on.
    dovecot.stop_pop3();
    eye.sees(Eye::target(dovecot.pop3, Kind::Pop3), Word::Down).await;
    eye.sees(Eye::target(dovecot.imap, Kind::Imap), Word::Up).await;
    dovecot.kill();
    let is_refused = async {
        // Its other processes take connections for a moment longer, and break them.
        while eye.sees(Eye::target(dovecot.imap, Kind::Imap), Word::Down).await.0.reason()
            != "no connection: Connection refused"
        {}
    };
    tokio::time::timeout(PATIENCE, is_refused).await.expect("nobody listens any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postfix_behind_proxy_takes_a_probe_for_what_it_is() {
    let eye = Eye::open();
    let local = |port| Target { proxy: ProxyHeader::V2, ..Eye::target(port, Kind::Smtp) };
    for (postscreen, settings) in [
        (false, "smtpd_upstream_proxy_protocol = haproxy"),
        (true, "postscreen_upstream_proxy_protocol = haproxy\npostscreen_access_list = permit_mynetworks"),
    ] {
        let postfix = if postscreen { Postfix::behind_postscreen(settings) } else { Postfix::start(settings) };
        eye.sees(local(postfix.port), Word::Up).await;
        eye.sees(Target { proxy: ProxyHeader::V1, ..local(postfix.port) }, Word::Up).await;
        // A line with what it said is the last word of each session.
        eventually("Postfix has written its line", PATIENCE, || postfix.log().contains("quit=1 commands=3"));
        let log = postfix.log();
        for bad in ["lost connection", "improper command", "warning", "proxy", "timeout"] {
            let bad_lines: Vec<&str> = log.lines().filter(|line| line.contains(bad)).collect();
            assert!(bad_lines.is_empty(), "{bad_lines:?}");
        }
        assert!(log.contains("ehlo=1 noop=1 quit=1 commands=3"), "{log}");
    }
}

/// Answers GET with 200 under TLS, and with 503 at /down.
const HTTPS: &str = "import http.server, ssl, sys
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = sys.argv[2].encode() + b'\\r\\n'
        self.send_response(503 if self.path == '/down' else 200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Page)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('cert.pem', 'key.pem')
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
";

/// A web server under TLS that calls itself by a name.
struct Web {
    port: u16,
    _process: Process,
    _dir: tempfile::TempDir,
}

impl Web {
    fn start(name: &str) -> Web {
        Web::at(name, free_port())
    }

    fn at(name: &str, port: u16) -> Web {
        let dir = tempfile::tempdir().unwrap();
        let pair = rcgen::generate_simple_self_signed([name.to_string()]).unwrap();
        fs::write(dir.path().join("cert.pem"), pair.cert.pem()).unwrap();
        fs::write(dir.path().join("key.pem"), pair.signing_key.serialize_pem()).unwrap();
        fs::write(dir.path().join("web.py"), HTTPS).unwrap();
        let mut command = Command::new("python3");
        command.args(["web.py", &port.to_string(), name]).current_dir(dir.path());
        let process = Process::start(&mut command, &dir.path().join("log"));
        eventually("the web server listens", PATIENCE, || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Web { port, _process: process, _dir: dir }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn web_servers_directories_and_our_own_health_page_are_probed() {
    let eye = Eye::open();
    let web = Web::start("www.ours.test");
    let mut page = Target { server_name: Some("www.ours.test".into()), ..Eye::target(web.port, Kind::Https) };
    assert_eq!(eye.sees(page.clone(), Word::Up).await.1, ["www.ours.test"]);
    page.http.path = "/down".into();
    assert_eq!(eye.sees(page, Word::Down).await.0.reason(), "HTTP/1.0 503 Service Unavailable");

    let dir = tempfile::tempdir().unwrap();
    let ldif = dir.path().join("people.ldif");
    ldap::people(&ldif, 3);
    let mut slapd = Slapd::loaded(&dir.path().join("slapd"), "ldap", &ldif);
    slapd.start();
    let port = slapd.port;
    eye.sees(Eye::target(port, Kind::Ldap), Word::Up).await;
    let (_, names) = eye.sees(Target { starttls: true, ..Eye::target(port, Kind::Ldap) }, Word::Up).await;
    assert_eq!(names.len(), 1, "{names:?}");
    slapd.kill();
    eye.sees(Eye::target(port, Kind::Ldap), Word::Down).await;

    let node = hub();
    let mut health = Eye::target(node.http, Kind::Http);
    health.http.path = "/health/ready".into();
    let smtp = Target { proxy: ProxyHeader::V2, ..Eye::target(node.smtp, Kind::Smtp) };
    eye.sees(health.clone(), Word::Up).await;
    eye.sees(smtp.clone(), Word::Up).await;
    assert_eq!(node.verb(&["node", "drain"]).0, 0);
    assert_eq!(eye.sees(health, Word::Down).await.0.reason(), "HTTP/1.1 503 Service Unavailable");
    assert_eq!(eye.sees(smtp, Word::Draining).await.0.reason(), "draining");
}

/// Behaviours 8.1: which page of a browser's is where is known to one web server only. By a hash of its source each client meets the same one,
/// on both balancers; when that one goes its clients go to one other each, nobody else moves, and when it is back so are they.
#[test]
fn each_browser_has_its_web_server_on_every_balancer() {
    let names = ["w1", "w2", "w3"];
    let mut webs: HashMap<&str, Web> = names.map(|name| (name, Web::start(name))).into();
    let doors = [at(9), at(10)];
    let fronts = doors.map(|door| {
        let members = names.map(|name| (name, here(webs[name].port), ""));
        Front::started("", &service("web", "https", door, "algorithm = \"source_hash\"", &members))
    });
    let until = |member: &str, standing: &str| fronts.iter().for_each(|front| front.until("web", member, standing));
    names.iter().for_each(|name| until(name, "up"));
    let page = |door: SocketAddr, client: u8| {
        let mut wire = front::connect_from(Ipv4Addr::new(127, 8, client, 1).into(), door).unwrap();
        assert!(wire.start_tls_to("www.ours.test"), "{client} at {door}");
        wire.send(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        std::iter::from_fn(|| wire.line().ok().flatten()).last().unwrap_or_default()
    };
    // Twice at each balancer.
    let homes = || -> Vec<String> {
        let of = |client: u8| {
            let met = [doors[0], doors[1], doors[0], doors[1]].map(|door| page(door, client));
            assert!(met.iter().all(|web| *web == met[0]), "{client}: {met:?}");
            met[0].clone()
        };
        (0..24).map(of).collect()
    };
    let before = homes();
    let all: BTreeSet<&str> = before.iter().map(String::as_str).collect();
    assert_eq!(all, BTreeSet::from(names), "each has clients");
    let port = webs.remove("w2").unwrap().port;
    // At once, and when the probes know.
    for _ in 0..2 {
        let without = homes();
        for (was, is) in before.iter().zip(&without) {
            assert!(is != "w2" && (is == was || was == "w2"), "{before:?} {without:?}");
        }
        until("w2", "down");
    }
    webs.insert("w2", Web::at("w2", port));
    until("w2", "up");
    assert_eq!(homes(), before);
}
