//! What a hop's key means at this moment: which hosts, spoken to how, within which bounds.
//!
//! Owns the reading of send connectors. Knows no sockets. A plan is made for each connection, so that a changed connector counts.

use super::candidates::Candidates;
use directory::{Destination, Host, HostPort, LmtpTarget, Org, SendConnector, SendTls, SendTo, Timeouts};
use mail::firewall::Drops;
use mail::{Enhanced, Reply};
use smtp::client::{Credentials, Protocol};
use spool::HopKey;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// How a hop is reached.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub to: To,
    pub protocol: Protocol,
    pub tls: SendTls,
    pub tls_ca_pem: Option<Arc<[u8]>>,
    pub credentials: Option<Credentials>,
    pub hello: Arc<str>,
    pub source: Option<IpAddr>,
    pub connections_max: usize,
    pub messages_per_connection: u32,
    /// Recipients in one transaction.
    pub recipients_max: u32,
    pub idle_ms: u64,
    pub timeouts: Timeouts,
    /// What the next hop must not see of a header.
    pub drops: Drops,
}

/// Where a hop's hosts come from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum To {
    /// In rotation.
    Hosts(Vec<HostPort>),
    /// From DNS.
    Exchangers { domain: Box<str>, port: u16 },
    /// A socket on this machine.
    Unix(PathBuf),
    /// Servers of our own organization, which prove who they are.
    Servers(Candidates),
}

impl Plan {
    /// The plan of a hop that is reached over a connection. The error is what its messages are told until the configuration says more.
    pub fn of(key: &HopKey, org: &Org, hostname: &str) -> Result<Plan, Reply> {
        match key {
            HopKey::Lmtp { target } => {
                let connector = org.send_connectors.iter().find(|connector| match &connector.to {
                    SendTo::Lmtp(lmtp) => lmtp.to_string() == **target,
                    SendTo::SmartHosts(_) | SendTo::Mx => false,
                });
                let lmtp = lmtp_target(target).ok_or_else(|| misrouted("LMTP target cannot be read"))?;
                let to = match lmtp {
                    LmtpTarget::Unix(path) => To::Unix(path),
                    LmtpTarget::Tcp(host) => To::Hosts(vec![host]),
                };
                Ok(match connector {
                    Some(connector) => Plan::by(connector, to, Protocol::Lmtp),
                    None => Plan::without_connector(to, hostname),
                })
            }
            HopKey::SmartHosts { connector } => match org.send_connector(connector) {
                Some(found) => match &found.to {
                    SendTo::SmartHosts(hosts) => Ok(Plan::by(found, To::Hosts(hosts.clone()), Protocol::Smtp)),
                    SendTo::Mx | SendTo::Lmtp(_) => Err(misrouted("send connector has no smart hosts any more")),
                },
                None => Err(misrouted("send connector is gone")),
            },
            HopKey::Mx { connector, domain } => {
                let found = org.send_connector(connector).ok_or_else(|| misrouted("send connector is gone"))?;
                let to = match mail::address::literal_address(domain) {
                    Some(ip) => To::Hosts(vec![HostPort { host: Host::Ip(ip), port: found.port }]),
                    None => To::Exchangers { domain: domain.clone(), port: found.port },
                };
                Ok(Plan::by(found, to, Protocol::Smtp))
            }
            HopKey::Site { site } => {
                let candidates =
                    Candidates::to_site(org, site).ok_or_else(|| misrouted("no path leads to that site any more"))?;
                Ok(Plan::between_servers(candidates, hostname))
            }
            HopKey::Servers { of } => {
                let candidates = Candidates::to_sources(org, of)
                    .ok_or_else(|| misrouted("no other server of this site delivers it any more"))?;
                Ok(Plan::between_servers(candidates, hostname))
            }
            HopKey::Maildir { .. } | HopKey::TooLarge { .. } | HopKey::Unreachable { .. } => {
                Err(misrouted("no connection leads there"))
            }
        }
    }

    /// The bounds of a destination count beside those of the connector.
    pub fn narrow(&mut self, to: &Destination) {
        let narrower = |own: u32, other: Option<u32>| other.map_or(own, |other| own.min(other.max(1)));
        self.messages_per_connection = narrower(self.messages_per_connection, to.messages_per_connection);
        self.recipients_max = narrower(self.recipients_max, to.recipients_per_message);
        self.idle_ms = self.idle_ms.min(SHARED_IDLE_MS);
    }

    fn by(connector: &SendConnector, to: To, protocol: Protocol) -> Plan {
        Plan {
            tls: if matches!(to, To::Unix(_)) { SendTls::Off } else { connector.tls },
            to,
            protocol,
            tls_ca_pem: connector.tls_ca.as_ref().map(|authorities| Arc::clone(&authorities.pem)),
            credentials: connector.credentials.as_ref().map(|credentials| Credentials {
                username: credentials.username.clone().into(),
                password: credentials.password.clone().into(),
            }),
            hello: Arc::clone(&connector.hello),
            source: connector.source,
            connections_max: connector.connections_max.max(1) as usize,
            messages_per_connection: connector.messages_per_connection.unwrap_or(u32::MAX).max(1),
            recipients_max: u32::MAX,
            idle_ms: connector.idle_ms,
            timeouts: connector.timeouts.clone(),
            drops: Drops { organization: true, routing: !connector.routing_headers },
        }
    }

    /// For servers of our own organization: they are near, and there is always another one to ask.
    fn between_servers(candidates: Candidates, hostname: &str) -> Plan {
        Plan {
            to: To::Servers(candidates),
            // It stays inside the organization.
            drops: Drops::default(),
            protocol: Protocol::Smtp,
            tls: SendTls::Require,
            tls_ca_pem: None,
            credentials: None,
            hello: hostname.into(),
            source: None,
            connections_max: 20,
            // So that long-lived sessions do not pin the load to some servers (behaviours 3.6).
            messages_per_connection: 20,
            recipients_max: u32::MAX,
            idle_ms: 10_000,
            timeouts: Timeouts {
                connect_ms: 5_000,
                greeting_ms: 30_000,
                command_ms: 60_000,
                data_ms: 120_000,
                data_block_ms: 180_000,
                data_end_ms: 600_000,
            },
        }
    }

    /// Connections in a row that may open and bring nothing, before the hop has failed: among servers that balance by themselves, each
    /// gets its chance.
    pub fn barren_max(&self) -> u32 {
        match &self.to {
            To::Servers(candidates) => BARREN_MAX.max(u32::try_from(candidates.len() + 1).unwrap_or(u32::MAX)),
            To::Hosts(_) | To::Exchangers { .. } | To::Unix(_) => BARREN_MAX,
        }
    }

    /// For the LMTP server of an accepted domain, which has no connector of its own.
    fn without_connector(to: To, hostname: &str) -> Plan {
        Plan {
            to,
            protocol: Protocol::Lmtp,
            tls: SendTls::Off,
            tls_ca_pem: None,
            credentials: None,
            hello: hostname.into(),
            source: None,
            connections_max: 20,
            messages_per_connection: u32::MAX,
            recipients_max: u32::MAX,
            idle_ms: 5_000,
            // RFC 5321 4.5.3.2, apart from the connection.
            timeouts: Timeouts {
                connect_ms: 30_000,
                greeting_ms: 300_000,
                command_ms: 300_000,
                data_ms: 120_000,
                data_block_ms: 180_000,
                data_end_ms: 600_000,
            },
            drops: Drops { organization: true, routing: false },
        }
    }
}

/// So long a place that other queues may need is kept for the next message.
const SHARED_IDLE_MS: u64 = 2_000;

/// Mail that the next change of configuration will route anew.
fn misrouted(why: &'static str) -> Reply {
    Reply::new(451, Enhanced::new(4, 4, 4), why)
}

/// Reads what [`LmtpTarget`] writes.
fn lmtp_target(text: &str) -> Option<LmtpTarget> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Some(LmtpTarget::Unix(path.into()));
    }
    let (host, port) = text.rsplit_once(':')?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let host = match bare.parse() {
        Ok(ip) => Host::Ip(ip),
        Err(_) => Host::Name(bare.into()),
    };
    Some(LmtpTarget::Tcp(HostPort { host, port: port.parse().ok()? }))
}

const BARREN_MAX: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lmtp_targets_are_read_as_they_are_written() {
        for text in ["unix:/run/dovecot/lmtp", "127.0.0.1:24", "[::1]:24", "store.example:24"] {
            assert_eq!(lmtp_target(text).map(|target| target.to_string()).as_deref(), Some(text));
        }
        assert_eq!(lmtp_target("nothing"), None);
    }
}
