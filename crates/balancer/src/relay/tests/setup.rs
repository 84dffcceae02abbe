//! A service without a document, for tests and for `examples/relay.rs`.

use directory::{
    Affinity, Algorithm, Ejection, Host, HostPort, IpRange, ProbeSettings, ProxyHeader, Ranges, Service, ServiceLimits,
    ServiceMember, ServiceProtocol, SipMode, SipSettings,
};
use std::net::SocketAddr;
use std::sync::Arc;

/// A service at one address, for everybody, whose members are asked in turn.
pub fn service(protocol: ServiceProtocol, listen: SocketAddr) -> Service {
    let all = ["0.0.0.0/0", "::/0"].map(|text| IpRange::parse(text).expect("a range"));
    Service {
        name: "mail".into(),
        enabled: true,
        hostname: "mail.example".into(),
        listen: vec![listen],
        servers: None,
        protocol,
        algorithm: Algorithm::RoundRobin,
        affinity: Affinity { prefix_v4: 32, prefix_v6: 64, timeout_ms: 0, clients_max: 16 },
        proxy: None,
        remote: Ranges(all.to_vec()),
        trusted_proxies: Ranges::default(),
        limits: ServiceLimits {
            connections_max: 100_000,
            connections_per_source_max: None,
            idle_timeout_ms: 60_000,
            connect_timeout_ms: 5_000,
            greeting_timeout_ms: 10_000,
            retries: 3,
            retry_budget_percent: 100,
            slow_start_ms: 0,
            keepalive_ms: Some(60_000),
        },
        ejection: Ejection { failures: None, first_ms: 1, longest_ms: 1, share_percent_max: 50 },
        probe: ProbeSettings {
            tcp_only: true,
            interval_ms: 1_000,
            timeout_ms: 1_000,
            rise: 1,
            fall: 1,
            starttls: false,
            expired_is_down: false,
            certificate_days: Arc::default(),
            path: "/".into(),
            status: (200, 399),
        },
        sip: SipSettings { mode: SipMode::Redirect, transports: Vec::new(), answer_timeout_ms: 1_000 },
        terminates_tls: false,
        pool: None,
        members: Vec::new(),
    }
}

/// A member of it.
pub fn member(name: &str, address: SocketAddr, proxy: ProxyHeader) -> ServiceMember {
    ServiceMember {
        name: name.into(),
        service: "mail".into(),
        address: HostPort { host: Host::Ip(address.ip()), port: address.port() },
        server: None,
        is_at_server: false,
        is_own: false,
        site: None,
        weight: 1,
        priority: 1,
        connections_max: None,
        drain: false,
        sni: Vec::new(),
        proxy,
        is_written: true,
    }
}

/// Adds members to a service.
#[allow(dead_code)]
pub fn with(mut service: Service, members: Vec<ServiceMember>) -> Arc<Service> {
    service.members = members.into_iter().map(Arc::new).collect();
    Arc::new(service)
}
