//! The data path against real sockets on loopback: clients and members are threads that read and write what they are told.

mod change;
mod drain;
mod guards;
mod path;
pub(super) mod setup;
mod start;
mod tls;

use super::{Inherited, Relay, RelaySettings, ServiceSetup, Timing, Totals};
use crate::pool::{Health, Pool, Wanted, Watched};
use directory::{ProxyHeader, Ranges, Service, ServiceMember, ServiceProtocol};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Up;

impl Watched for Up {
    fn health(&self) -> Health {
        Health::Up
    }

    fn failed(&self) {}
}

/// A relay with one service.
struct Fixture {
    relay: Relay,
    setup: ServiceSetup,
    at: SocketAddr,
}

/// How a test differs from [`setup::service`].
struct Plan {
    service: Service,
    timing: Timing,
    own_servers: Vec<IpAddr>,
    trusted: Ranges,
    tls: Option<Arc<rustls::ServerConfig>>,
}

fn plan(protocol: ServiceProtocol) -> Plan {
    let service = setup::service(protocol, "127.0.0.1:0".parse().unwrap());
    let (own_servers, trusted) = (Vec::new(), Ranges::default());
    Plan { service, timing: Timing::default(), own_servers, trusted, tls: None }
}

impl Plan {
    fn serve(self, members: Vec<ServiceMember>) -> Fixture {
        let service = setup::with(self.service, members);
        let setup = ServiceSetup {
            pool: Pool::new(0, &service, wanted(&service)),
            service,
            own_servers: self.own_servers.into(),
            trusted_proxies: Arc::new(self.trusted),
            tls: self.tls,
        };
        let settings = RelaySettings { threads: 2, connections_max: 1_000, timing: self.timing };
        let relay = Relay::start(&settings, &world::World::real()).unwrap();
        let at = relay.serve(setup.clone(), Vec::new()).unwrap()[0];
        Fixture { relay, setup, at }
    }
}

fn wanted(service: &Service) -> Vec<Wanted> {
    let wanted = |member: &Arc<ServiceMember>| {
        let directory::Host::Ip(ip) = member.address.host else { panic!("an address") };
        let address = SocketAddr::new(ip, member.address.port);
        Wanted { member: Arc::clone(member), address, health: Arc::new(Up) }
    };
    service.members.iter().map(wanted).collect()
}

impl Fixture {
    fn client(&self) -> Client {
        Client::to(self.at)
    }

    fn totals(&self) -> Totals {
        self.relay.totals().remove(0).1
    }

    /// Waits until the counters say so.
    fn until(&self, what: impl Fn(&Totals) -> bool) {
        until(|| what(&self.totals()), || format!("{:?}", self.totals()));
    }

    /// The document changes: these members drain.
    fn drain(&mut self, names: &[&str]) {
        let drained = |member: &Arc<ServiceMember>| {
            Arc::new(ServiceMember { drain: names.contains(&&*member.name), ..ServiceMember::clone(member) })
        };
        let members = self.setup.service.members.iter().map(drained).collect();
        let service = Service { members, ..Service::clone(&self.setup.service) };
        self.setup.pool.exchange(0, &service, wanted(&service));
    }
}

#[allow(clippy::disallowed_methods)]
fn until(what: impl Fn() -> bool, say: impl Fn() -> String) {
    let start = std::time::Instant::now();
    while !what() {
        assert!(start.elapsed() < PATIENCE, "never: {}", say());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A client that reads lines.
struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    fn to(at: SocketAddr) -> Client {
        let stream = TcpStream::connect(at).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client { stream: BufReader::new(stream) }
    }

    fn of(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client { stream: BufReader::new(stream) }
    }

    fn say(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// One line without its end; nothing at the end of the connection.
    fn line(&mut self) -> String {
        let mut line = String::new();
        // A reset is an end as well.
        let _ = self.stream.read_line(&mut line);
        line.trim_end().to_string()
    }

    fn ask(&mut self, text: &str) -> String {
        self.say(text);
        self.line()
    }

    fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest);
        rest
    }

    fn end(&mut self) {
        self.stream.get_mut().shutdown(Shutdown::Write).unwrap();
    }

    fn address(&self) -> SocketAddr {
        self.stream.get_ref().local_addr().unwrap()
    }
}

/// A member that treats each connection in this way.
fn member(name: &str, serve: impl Fn(Client) + Clone + Send + 'static) -> ServiceMember {
    proxied(name, ProxyHeader::None, serve)
}

fn proxied(name: &str, proxy: ProxyHeader, serve: impl Fn(Client) + Clone + Send + 'static) -> ServiceMember {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(Client::of(stream)));
        }
    });
    setup::member(name, address, proxy)
}

/// Nobody listens there.
fn dead(name: &str) -> ServiceMember {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    setup::member(name, address, ProxyHeader::None)
}

/// Says this and closes.
fn says(name: &str, text: &'static str) -> ServiceMember {
    member(name, move |mut client| client.say(text))
}

/// Accepts, and says nothing until the other end closes.
fn silent(name: &str) -> ServiceMember {
    member(name, |mut client| drop(client.rest()))
}

/// As much SMTP as a session needs.
fn smtp(name: &'static str) -> ServiceMember {
    member(name, move |client| speak_smtp(name, client))
}

fn speak_smtp(name: &str, mut client: Client) {
    client.say(&format!("220-{name}\r\n220 ready\r\n"));
    loop {
        let line = client.line();
        match line.get(..4).unwrap_or_default() {
            "" => return,
            "DATA" => {
                client.say("354 go\r\n");
                while client.line() != "." {}
                client.say(&format!("250 {name} has it\r\n"));
            }
            "QUIT" => return client.say("221 bye\r\n"),
            _ => client.say(&format!("250 {name}\r\n")),
        }
    }
}
