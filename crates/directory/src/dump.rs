//! The effective configuration as documents again: every setting of every section, defaults included, in the order of the
//! [`settings`](crate::settings) rows.

use crate::domain::{AcceptedDomain, Deliver};
use crate::hidden::HIDDEN;
use crate::load::Loaded;
use crate::node::{Cluster, Node, Peer, Peers};
use crate::quoted::quoted;
use crate::range::Ranges;
use crate::receive::ReceiveConnector;
use crate::retry::Retry;
use crate::send::{SendConnector, SendTo};
use crate::settings::{NODE, ORG, Section};
use crate::unit::{bytes_text, duration_text};
use crate::user::User;
use crate::words::when_short_word;
use std::fmt::Display;

/// Whether password hashes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// As [`HIDDEN`].
    Hide,
    /// As they are, so that the documents can be loaded again.
    Show,
}

impl Loaded {
    /// The node document and the organization document that say what runs. What came from a `recipients_file` is written as `recipients`.
    pub fn to_toml(&self, secrets: Secrets) -> (String, String) {
        let mut node = String::new();
        for section in NODE {
            let peers = self.node.peers.as_ref();
            match section.name {
                "tls" if self.node.tls.is_none() => {}
                "peers" => peers.iter().for_each(|peers| write(&mut node, section, |key| peers_value(peers, key))),
                "cluster" => {
                    let cluster = self.node.cluster.iter();
                    cluster.for_each(|cluster| write(&mut node, section, |key| cluster_value(cluster, key)));
                }
                "peer" => {
                    let known = peers.iter().flat_map(|peers| &peers.known);
                    known.for_each(|peer| write(&mut node, section, |key| peer_value(peer, key)));
                }
                name => write(&mut node, section, |key| node_value(&self.node, name, key)),
            }
        }
        let mut out = String::new();
        for section in ORG {
            match section.name {
                "" => write(&mut out, section, |_| text(&self.org.postmaster)),
                "accepted_domain" => {
                    self.org.accepted_domains.iter().for_each(|d| write(&mut out, section, |key| domain_value(d, key)))
                }
                "receive_connector" => self
                    .org
                    .receive_connectors
                    .iter()
                    .for_each(|c| write(&mut out, section, |key| receive_value(c, key))),
                "send_connector" => {
                    self.org.send_connectors.iter().for_each(|c| write(&mut out, section, |key| send_value(c, key)))
                }
                "user" => {
                    self.org.users.iter().for_each(|u| write(&mut out, section, |key| user_value(u, key, secrets)))
                }
                _ => write(&mut out, section, |key| retry_value(&self.org.retry, key)),
            }
        }
        (node, out)
    }
}

fn write(out: &mut String, section: &Section, value: impl Fn(&str) -> Option<String>) {
    if !section.name.is_empty() {
        out.push_str(&format!("\n{}\n", section.heading()));
    }
    for setting in section.settings {
        if let Some(value) = value(setting.key) {
            out.push_str(&format!("{} = {value}\n", setting.key));
        }
    }
}

fn node_value(node: &Node, section: &str, key: &str) -> Option<String> {
    match (section, key) {
        ("", "name") => text(&node.name),
        ("", "data") => text(node.data.display()),
        ("http", "listen") => text(node.http.listen),
        ("tls", "certificate") => text(node.tls.as_ref()?.certificate.display()),
        ("tls", "key") => text(node.tls.as_ref()?.key.display()),
        ("dns", "servers") => (!node.dns.servers.is_empty()).then(|| texts(&node.dns.servers)).flatten(),
        ("journal", "segment_size") => text(bytes_text(node.journal.segment_bytes)),
        ("maildir", "duplicate_window") => text(duration_text(node.maildir.duplicate_window_ms)),
        ("journal", "keep_free") => text(bytes_text(node.journal.keep_free_bytes)),
        ("log", "level") => text(node.log.level.word()),
        ("log", "format") => text(node.log.format.word()),
        ("limits", "connections_max") => plain(node.limits.connections_max),
        ("limits", "connection_rate_per_minute") => or_zero(node.limits.connection_rate_per_minute),
        ("limits", "outbound_connections_max") => plain(node.limits.outbound_connections_max),
        ("limits", "body_memory") => text(bytes_text(node.limits.body_memory_bytes)),
        ("trace", "keep_bytes") => text(bytes_text(node.trace.keep_bytes)),
        _ => None,
    }
}

fn peers_value(peers: &Peers, key: &str) -> Option<String> {
    match key {
        "listen" => text(peers.listen),
        "certificate" => text(peers.own.certificate.display()),
        "key" => text(peers.own.key.display()),
        "ca" => text(peers.ca.display()),
        "heartbeat" => text(duration_text(peers.heartbeat_ms)),
        "missed_heartbeats_max" => plain(peers.missed_heartbeats_max),
        _ => None,
    }
}

fn cluster_value(cluster: &Cluster, key: &str) -> Option<String> {
    match key {
        "endpoints" => texts(&cluster.endpoints),
        "prefix" => text(&cluster.prefix),
        "ttl" => text(duration_text(cluster.ttl_ms)),
        "ca" => text(cluster.ca.as_ref()?.display()),
        "certificate" => text(cluster.own.as_ref()?.certificate.display()),
        "key" => text(cluster.own.as_ref()?.key.display()),
        "user" => text(&cluster.user.as_ref()?.name),
        "password_file" => text(cluster.user.as_ref()?.password_file.display()),
        "address" => text(cluster.address.as_ref()?),
        "site" => Some(&cluster.site).filter(|site| !site.is_empty()).and_then(text),
        "rack" => Some(&cluster.rack).filter(|rack| !rack.is_empty()).and_then(text),
        "spread" => text(cluster.spread.word()),
        _ => None,
    }
}

fn peer_value(peer: &Peer, key: &str) -> Option<String> {
    match key {
        "name" => text(&peer.name),
        "address" => text(&peer.address),
        "keeps_copy" => plain(peer.keeps_copy),
        _ => None,
    }
}

fn domain_value(domain: &AcceptedDomain, key: &str) -> Option<String> {
    match key {
        "name" => text(&domain.name),
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
        "plus_addressing" => plain(domain.plus_addressing),
        _ => None,
    }
}

fn receive_value(connector: &ReceiveConnector, key: &str) -> Option<String> {
    let limits = &connector.limits;
    match key {
        "name" => text(&connector.name),
        "listen" => texts(&connector.listen),
        "nodes" => texts(connector.nodes.as_ref()?),
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

fn send_value(connector: &SendConnector, key: &str) -> Option<String> {
    let timeouts = &connector.timeouts;
    match (key, &connector.to) {
        ("name", _) => text(&connector.name),
        ("domains", _) => texts(&connector.domains),
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
        ("source", _) => text(connector.source?),
        _ => None,
    }
}

fn user_value(user: &User, key: &str, secrets: Secrets) -> Option<String> {
    match key {
        "name" => text(&user.name),
        "password" if secrets == Secrets::Hide => text(HIDDEN),
        "password" => text(&user.password),
        "may_send_as" => texts(&user.may_send_as),
        _ => None,
    }
}

fn retry_value(retry: &Retry, key: &str) -> Option<String> {
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

fn text(value: impl Display) -> Option<String> {
    Some(quoted(value))
}

fn texts<T: Display>(values: &[T]) -> Option<String> {
    Some(format!("[{}]", values.iter().map(quoted).collect::<Vec<_>>().join(", ")))
}

fn ranges(ranges: &Ranges) -> Option<String> {
    texts(&ranges.0)
}

fn plain(value: impl Display) -> Option<String> {
    Some(value.to_string())
}

/// `0` in the document is no bound.
fn or_zero(value: Option<u32>) -> Option<String> {
    plain(value.unwrap_or(0))
}
