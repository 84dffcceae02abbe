//! Services and members as they are written.

use super::{or_zero, plain, ranges, text, texts};
use crate::service::{Service, ServiceMember, ServiceProtocol};
use crate::unit::duration_text;

pub(super) fn service_value(of: &Service, key: &str) -> Option<String> {
    let (limits, ejection, probe) = (&of.limits, &of.ejection, &of.probe);
    let is_asked = matches!(of.protocol, ServiceProtocol::Http | ServiceProtocol::Https) && !probe.tcp_only;
    let is_sip = of.protocol.is_sip();
    match key {
        "name" => text(&of.name),
        "hostname" => text(&of.hostname),
        "enabled" => plain(of.enabled),
        "listen" => texts(&of.listen),
        "servers" => texts(of.servers.as_ref()?),
        "protocol" => text(of.protocol.word()),
        "algorithm" => text(of.algorithm.word()),
        "affinity_prefix" => plain(of.affinity.prefix_v4),
        "affinity_prefix_ipv6" => plain(of.affinity.prefix_v6),
        "affinity_timeout" => text(duration_text(of.affinity.timeout_ms)),
        "affinity_clients_max" => plain(of.affinity.clients_max),
        "pool_servers" => {
            of.pool.as_ref().filter(|pool| !pool.servers.is_empty()).and_then(|pool| texts(&pool.servers))
        }
        "pool_site" => of.pool.as_ref().filter(|pool| !pool.sites.is_empty()).and_then(|pool| texts(&pool.sites)),
        "pool_port" => plain(of.pool.as_ref()?.port),
        "proxy" => text(of.proxy?.word()),
        "remote" => ranges(&of.remote),
        "trusted_proxies" => ranges(&of.trusted_proxies),
        "connections_max" => plain(limits.connections_max),
        "connections_per_source_max" => or_zero(limits.connections_per_source_max),
        "idle_timeout" => text(duration_text(limits.idle_timeout_ms)),
        "connect_timeout" => text(duration_text(limits.connect_timeout_ms)),
        "greeting_timeout" => text(duration_text(limits.greeting_timeout_ms)),
        "retries" => plain(limits.retries),
        "retry_budget" => plain(limits.retry_budget_percent),
        "slow_start" => text(duration_text(limits.slow_start_ms)),
        "keepalive" => text(duration_text(limits.keepalive_ms.unwrap_or(0))),
        "ejection_failures" => or_zero(ejection.failures),
        "ejection_time" => text(duration_text(ejection.first_ms)),
        "ejection_time_max" => text(duration_text(ejection.longest_ms)),
        "ejection_share_max" => plain(ejection.share_percent_max),
        "probe" => text(if probe.tcp_only { "tcp" } else { "protocol" }),
        "probe_interval" => text(duration_text(probe.interval_ms)),
        "probe_timeout" => text(duration_text(probe.timeout_ms)),
        "probe_rise" => plain(probe.rise),
        "probe_fall" => plain(probe.fall),
        "probe_starttls" => plain(probe.starttls),
        "probe_expired" => text(if probe.expired_is_down { "down" } else { "warn" }),
        "probe_certificate_days" => plain(format!("{:?}", probe.certificate_days)),
        "probe_path" if is_asked => text(&probe.path),
        "probe_status" if is_asked => text(format!("{}-{}", probe.status.0, probe.status.1)),
        "sip_mode" if is_sip => text(of.sip.mode.word()),
        "sip_transports" if of.protocol == ServiceProtocol::Sip => {
            texts(&of.sip.transports.iter().map(|of| of.word()).collect::<Vec<_>>())
        }
        "answer_timeout" if is_sip => text(duration_text(of.sip.answer_timeout_ms)),
        "tls" => text(if of.terminates_tls { "terminate" } else { "pass" }),
        _ => None,
    }
}

/// A member that is written; those of the map are written by their service.
pub(super) fn member_value(of: &ServiceMember, key: &str) -> Option<String> {
    match key {
        "name" => text(&of.name),
        "service" => text(&of.service),
        "address" if !of.is_at_server => text(&of.address),
        "port" if of.is_at_server => plain(of.address.port),
        "server" => text(of.server.as_ref()?),
        "site" => text(of.site.as_ref()?),
        "weight" => plain(of.weight),
        "priority" => plain(of.priority),
        "connections_max" => or_zero(of.connections_max),
        "proxy" => text(of.proxy.word()),
        "drain" => plain(of.drain),
        "sni" => texts(&of.sni),
        _ => None,
    }
}
