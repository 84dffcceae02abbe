//! The sections of the organization document as they are written.

use super::{Secrets, or_zero, plain, ranges, text, texts};
use crate::domain::{AcceptedDomain, Deliver};
use crate::hidden::HIDDEN;
use crate::permission::Group;
use crate::receive::ReceiveConnector;
use crate::retry::Retry;
use crate::send::{AddressSpace, SendConnector, SendTo};
use crate::unit::{bytes_text, duration_text};
use crate::user::User;
use crate::words::when_short_word;

pub(super) fn domain_value(domain: &AcceptedDomain, key: &str) -> Option<String> {
    match key {
        "name" => text(&domain.name),
        "type" => text(domain.domain_type.word()),
        "servers" => texts(domain.servers.as_ref()?),
        "local_preference" => text(domain.local_preference.word()),
        "deliver" => text(match &domain.deliver {
            Deliver::Maildir => "maildir".to_string(),
            Deliver::Relay => "relay".to_string(),
            Deliver::Lmtp(target) => format!("lmtp:{target}"),
        }),
        "recipients" => {
            let mut all: Vec<&Box<str>> = domain.recipients.as_ref()?.iter().collect();
            all.sort();
            texts(&all)
        }
        "unknown_recipients" => text(if domain.refuses_unknown { "refuse" } else { "accept" }),
        "plus_addressing" => plain(domain.plus_addressing),
        _ => None,
    }
}

pub(super) fn receive_value(connector: &ReceiveConnector, key: &str) -> Option<String> {
    let limits = &connector.limits;
    match key {
        "name" => text(&connector.name),
        "enabled" => plain(connector.enabled),
        "grant" => texts(&connector.grant),
        "deny" => texts(&connector.deny),
        // Where others may send too it was not written, for it must not be.
        "externally_secured" if connector.externally_secured && connector.permissions != [Group::Servers] => None,
        "externally_secured" => plain(connector.externally_secured),
        "extensions_off" => texts(&connector.extensions_off.iter().map(|off| off.word()).collect::<Vec<_>>()),
        "require_hello_domain" => plain(connector.require_hello_domain),
        "refuse_domains" => texts(&connector.refused_domains.iter().map(|refused| refused.word()).collect::<Vec<_>>()),
        "auth_tarpit_ms" => plain(limits.auth_tarpit_ms),
        "listen" => texts(&connector.listen),
        "servers" => texts(connector.servers.as_ref()?),
        "remote" => ranges(&connector.remote),
        "protocol" => text(connector.protocol.word()),
        "tls" => text(connector.tls.word()),
        "auth" => texts(&connector.auth.words()),
        "auth_without_tls" => plain(connector.auth_without_tls),
        "permissions" => texts(&connector.permissions.iter().map(|group| group.word()).collect::<Vec<_>>()),
        "own_domain_senders" => plain(connector.own_domain_senders),
        "bare_newline" => text(connector.bare_newline.word()),
        "copies" => connector.copies.and_then(plain),
        "when_short" => text(when_short_word(connector.when_short)),
        "trusted_proxies" => ranges(&connector.trusted_proxies),
        "trusted_xclient" => ranges(&connector.trusted_xclient),
        "hostname" => text(&connector.hostname),
        "banner" => text(&connector.banner),
        "message_size_max" => text(bytes_text(limits.message_bytes_max)),
        "header_size_max" => text(bytes_text(limits.header_bytes_max)),
        "recipients_max" => plain(limits.recipients_max),
        "connections_max" => plain(limits.connections_max),
        "connections_per_source_max" => or_zero(limits.connections_per_source_max),
        "connections_per_source_percent_max" => plain(limits.connections_per_source_percent_max),
        "message_rate_per_minute" => or_zero(limits.message_rate_per_minute),
        "errors_max" => plain(limits.errors_max),
        "logon_failures_max" => or_zero(limits.logon_failures_max),
        "tarpit_ms" => plain(limits.tarpit_ms),
        "idle_timeout" => text(duration_text(limits.idle_timeout_ms)),
        "session_timeout" => text(duration_text(limits.session_timeout_ms)),
        "hops_max" => plain(limits.hops_max),
        _ => None,
    }
}

pub(super) fn send_value(connector: &SendConnector, key: &str) -> Option<String> {
    let timeouts = &connector.timeouts;
    match (key, &connector.to) {
        ("name", _) => text(&connector.name),
        ("domains", _) => {
            let written = |of: &AddressSpace| match of.cost == connector.cost {
                true => of.space.to_string(),
                false => format!("{};{}", of.space, of.cost),
            };
            texts(&connector.domains.iter().map(written).collect::<Vec<_>>())
        }
        ("servers", _) => texts(connector.servers.as_ref()?),
        ("enabled", _) => plain(connector.enabled),
        ("scoped", _) => plain(connector.scoped),
        ("message_size_max", _) => text(bytes_text(connector.message_bytes_max?)),
        ("cost", _) => plain(connector.cost),
        ("smart_hosts", SendTo::SmartHosts(hosts)) => texts(hosts),
        ("mx", SendTo::Mx) => plain(true),
        ("lmtp", SendTo::Lmtp(target)) => text(target),
        ("port", _) => plain(connector.port),
        ("tls", _) => text(connector.tls.word()),
        ("tls_ca_file", _) => text(connector.tls_ca.as_ref()?.file.display()),
        ("username", _) => text(&connector.credentials.as_ref()?.username),
        ("password_file", _) => text(connector.credentials.as_ref()?.password_file.display()),
        ("connections_max", _) => plain(connector.connections_max),
        ("messages_per_connection", _) => or_zero(connector.messages_per_connection),
        ("idle_timeout", _) => text(duration_text(connector.idle_ms)),
        ("connect_timeout", _) => text(duration_text(timeouts.connect_ms)),
        ("greeting_timeout", _) => text(duration_text(timeouts.greeting_ms)),
        ("command_timeout", _) => text(duration_text(timeouts.command_ms)),
        ("data_timeout", _) => text(duration_text(timeouts.data_ms)),
        ("data_block_timeout", _) => text(duration_text(timeouts.data_block_ms)),
        ("data_end_timeout", _) => text(duration_text(timeouts.data_end_ms)),
        ("hello", _) => text(&connector.hello),
        ("routing_headers", _) => plain(connector.routing_headers),
        ("source", _) => text(connector.source?),
        _ => None,
    }
}

pub(super) fn user_value(user: &User, key: &str, secrets: Secrets) -> Option<String> {
    match key {
        "name" => text(&user.name),
        "password" if secrets == Secrets::Hide => text(HIDDEN),
        "password" => text(&user.password),
        "may_send_as" => texts(&user.may_send_as),
        _ => None,
    }
}

pub(super) fn retry_value(retry: &Retry, key: &str) -> Option<String> {
    match key {
        "glitch_count" => plain(retry.glitch_count),
        "glitch_interval" => text(duration_text(retry.glitch_interval_ms)),
        "transient_count" => plain(retry.transient_count),
        "transient_interval" => text(duration_text(retry.transient_interval_ms)),
        "interval" => text(duration_text(retry.interval_ms)),
        "message_retry_interval" => text(duration_text(retry.message_retry_interval_ms)),
        "delay_notice_after" => text(duration_text(retry.delay_notice_after_ms.unwrap_or(0))),
        "expire_after" => text(duration_text(retry.expire_after_ms)),
        "poison_after" => plain(retry.poison_after),
        "postmaster_copy" => texts(&retry.postmaster_copy),
        _ => None,
    }
}
