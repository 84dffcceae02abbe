//! The data path alone, for measuring it beside other balancers: `relay LISTEN MEMBER [v1|v2] [THREADS]`. Serves SMTP until it is ended.

#[path = "../src/relay/tests/setup.rs"]
mod setup;

use balancer::pool::{Health, Pool, Wanted, Watched};
use balancer::relay::{Relay, RelaySettings, ServiceSetup};
use directory::{ProxyHeader, Ranges, ServiceProtocol};
use std::sync::Arc;

struct Up;

impl Watched for Up {
    fn health(&self) -> Health {
        Health::Up
    }

    fn failed(&self) {}
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [listen, to, rest @ ..] = &words[..] else { return Err("relay LISTEN MEMBER [v1|v2] [THREADS]".into()) };
    let proxy = match rest.first().map(String::as_str) {
        Some("v1") => ProxyHeader::V1,
        Some("v2") => ProxyHeader::V2,
        _ => ProxyHeader::None,
    };
    let threads = rest.iter().find_map(|word| word.parse().ok()).unwrap_or(0);
    let address = to.parse()?;
    let member = setup::member("a", address, proxy);
    let service = setup::with(setup::service(ServiceProtocol::Smtp, listen.parse()?), vec![member]);
    let wanted = vec![Wanted { member: Arc::clone(&service.members[0]), address, health: Arc::new(Up) }];
    let pool = Pool::new(0, &service, wanted);
    let relay = Relay::start(&RelaySettings { threads, ..RelaySettings::default() }, &world::World::real())?;
    let setup = ServiceSetup {
        service,
        pool,
        own_servers: Arc::new([]),
        trusted_proxies: Arc::new(Ranges::default()),
        tls: None,
    };
    relay.serve(setup, Vec::new())?;
    loop {
        std::thread::park();
    }
}
