//! Values for tests.

use directory::{AuthMechanisms, BareNewline, Group, Limits, Protocol, Ranges, ReceiveConnector, ReceiveTls};

/// A connector for strangers on a loopback port, with limits that no test meets by accident.
pub fn connector(name: &str) -> ReceiveConnector {
    ReceiveConnector {
        name: name.into(),
        listen: vec!["127.0.0.1:25".parse().unwrap()],
        remote: Ranges::default(),
        protocol: Protocol::Smtp,
        tls: ReceiveTls::Offer,
        auth: AuthMechanisms::default(),
        auth_without_tls: false,
        permissions: vec![Group::Anonymous],
        own_domain_senders: true,
        bare_newline: BareNewline::Reject,
        trusted_proxies: Ranges::default(),
        trusted_xclient: Ranges::default(),
        hostname: "mx.example.net".into(),
        banner: "mx.example.net ESMTP".into(),
        limits: Limits {
            message_bytes_max: 1 << 20,
            header_bytes_max: 64 << 10,
            recipients_max: 100,
            connections_max: 100,
            connections_per_source_max: None,
            connections_per_source_percent_max: 100,
            message_rate_per_minute: None,
            errors_max: 5,
            logon_failures_max: Some(3),
            tarpit_ms: 0,
            idle_timeout_ms: 60_000,
            session_timeout_ms: 120_000,
            hops_max: 30,
        },
    }
}
