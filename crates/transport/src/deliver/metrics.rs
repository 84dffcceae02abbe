//! Owns the counters of deliveries. Labels are of few values: a stranger cannot make more of them.

use metrics::{Counter, Gauge, counter, gauge};

pub(super) struct Metrics {
    pub delivered: Counter,
    pub relayed: Counter,
    pub deferred: Counter,
    pub uncertain: Counter,
    pub failed: Counter,
    pub connections: Gauge,
    pub opened_tls: Counter,
    pub opened_clear: Counter,
    pub not_opened: Counter,
    pub tls_fallbacks: Counter,
    pub servers_passed_over: Counter,
    pub wrong_servers: Counter,
}

impl Metrics {
    /// Registers with the recorder that is installed at this moment.
    pub fn new() -> Metrics {
        let recipients = |outcome: &'static str| counter!("posthouse_delivery_recipients_total", "outcome" => outcome);
        let opened = |how: &'static str| counter!("posthouse_delivery_connections_total", "result" => how);
        Metrics {
            delivered: recipients("delivered"),
            relayed: recipients("relayed"),
            deferred: recipients("deferred"),
            uncertain: recipients("uncertain"),
            failed: recipients("failed"),
            connections: gauge!("posthouse_delivery_connections"),
            opened_tls: opened("tls"),
            opened_clear: opened("clear"),
            not_opened: opened("failed"),
            tls_fallbacks: counter!("posthouse_delivery_tls_fallbacks_total"),
            servers_passed_over: counter!("posthouse_delivery_servers_passed_over_total"),
            wrong_servers: counter!("posthouse_delivery_wrong_servers_total"),
        }
    }
}
