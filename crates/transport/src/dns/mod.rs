//! Where a domain takes its mail: MX and addresses (RFC 5321 5.1, RFC 7505).
//!
//! Owns the questions and what their answers mean. Caching is hickory's. Always holds: an answer "later" is never told as "never".

mod exchangers;

use self::exchangers::MxAnswer;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData};
use mail::{Enhanced, Reply};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use world::Chance;

/// Asks name servers. Clones share one cache.
#[derive(Clone)]
pub struct Resolver {
    inner: Arc<TokioResolver>,
}

/// How to ask.
#[derive(Clone, Debug)]
pub struct DnsSettings {
    /// Name servers, for tests and for hosts without a usable `/etc/resolv.conf`; empty: the system's.
    pub servers: Vec<SocketAddr>,
    /// For one question to one server.
    pub timeout: Duration,
}

/// The resolver cannot be set up; the text says why.
#[derive(Debug)]
pub struct ResolverError(pub String);

impl std::fmt::Display for ResolverError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "name servers cannot be asked: {}", self.0)
    }
}

impl std::error::Error for ResolverError {}

impl Resolver {
    /// Reads the system's configuration unless `servers` are given. Must be called inside a tokio runtime.
    pub fn new(settings: &DnsSettings) -> Result<Resolver, ResolverError> {
        let provider = TokioRuntimeProvider::default();
        let mut builder = if settings.servers.is_empty() {
            TokioResolver::builder(provider).map_err(|error| ResolverError(error.to_string()))?
        } else {
            let servers = settings.servers.iter().map(name_server).collect();
            TokioResolver::builder_with_config(ResolverConfig::from_parts(None, Vec::new(), servers), provider)
        };
        let options = builder.options_mut();
        options.timeout = settings.timeout;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.cache_size = CACHE_ENTRIES;
        let inner = builder.build().map_err(|error| ResolverError(error.to_string()))?;
        Ok(Resolver { inner: Arc::new(inner) })
    }

    /// Forgets all answers: they are asked for again.
    pub fn forget(&self) {
        self.inner.clear_cache();
    }

    /// The hosts that take mail for `domain`, best first, equal ones in an order of chance. The error is what recipients of the
    /// domain get: 5xx never, 4xx later.
    pub async fn exchangers(
        &self,
        domain: &str,
        own_names: &[String],
        chance: &dyn Chance,
    ) -> Result<Vec<String>, Reply> {
        let answer = match absolute(domain) {
            Some(name) => self.mx(name).await,
            None => MxAnswer::NoDomain,
        };
        exchangers::exchangers(domain, answer, own_names, &mut |n| chance.below(n))
    }

    /// The addresses of a host, A and AAAA. The error is a reply: 5.4.4 there are none, 4.4.3 no answer.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Reply> {
        let none = || Err(Reply::of(550, Enhanced::new(5, 4, 4), format!("host {host} has no address")));
        let Some(name) = absolute(host) else { return none() };
        match self.inner.lookup_ip(name).await {
            Ok(found) => match found.iter().take(ADDRESSES_MAX).collect::<Vec<_>>() {
                found if found.is_empty() => none(),
                found => Ok(found),
            },
            Err(error) if negative(&error).is_some() => none(),
            Err(error) => {
                Err(Reply::of(451, Enhanced::new(4, 4, 3), format!("address of {host} cannot be found out: {error}")))
            }
        }
    }

    async fn mx(&self, name: Name) -> MxAnswer {
        match self.inner.mx_lookup(name).await {
            Ok(found) => {
                let records: Vec<(u16, String)> = found
                    .answers()
                    .iter()
                    .filter_map(|record| match &record.data {
                        RData::MX(mx) => Some((mx.preference, mx.exchange.to_ascii().trim_end_matches('.').to_owned())),
                        _ => None,
                    })
                    .collect();
                // An alias without an MX behind it comes as an answer without MX records.
                if records.is_empty() { MxAnswer::NoRecords } else { MxAnswer::Records(records) }
            }
            Err(error) => match negative(&error) {
                Some(ResponseCode::NXDomain) => MxAnswer::NoDomain,
                Some(_) => MxAnswer::NoRecords,
                None => MxAnswer::Unknown(error.to_string()),
            },
        }
    }
}

/// The code of an answer that says "there is nothing", which is something else than no answer.
fn negative(error: &NetError) -> Option<ResponseCode> {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            code @ (ResponseCode::NXDomain | ResponseCode::NoError) => Some(code),
            _ => None,
        },
        _ => None,
    }
}

/// The name as DNS knows it: A-labels (RFC 5890), no search list.
fn absolute(domain: &str) -> Option<Name> {
    let ascii = idna::domain_to_ascii(domain).ok()?;
    let mut name = Name::from_ascii(ascii).ok()?;
    name.set_fqdn(true);
    Some(name)
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}

/// Answers that are remembered.
const CACHE_ENTRIES: u64 = 4096;
/// Addresses of one host that are tried in one attempt.
const ADDRESSES_MAX: usize = 8;
