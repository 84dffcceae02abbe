//! Owns where etcd is and how it is trusted: endpoints, TLS, user. Knows no requests and reads no files: PEM comes as bytes.
//! Always holds: a password travels under TLS, or on loopback, or not at all.

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// One member's client URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// TLS or not.
    pub tls: bool,
    /// Name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Endpoint {
    /// Reads `http://host:port` or `https://host:port`; the port may be left out (2379).
    pub fn parse(url: &str) -> Result<Endpoint, String> {
        let wrong = || format!("'{url}' is not http://HOST:PORT or https://HOST:PORT");
        let (tls, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(wrong()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = if let Some(inside) = rest.strip_prefix('[') {
            let (host, port) = inside.split_once(']').ok_or_else(wrong)?;
            host.parse::<Ipv6Addr>().map_err(|_| wrong())?;
            (host, port.strip_prefix(':').or(port.is_empty().then_some("2379")).ok_or_else(wrong)?)
        } else {
            rest.split_once(':').unwrap_or((rest, "2379"))
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(plain) {
            return Err(wrong());
        }
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
        Ok(Endpoint { tls, host: host.to_string(), port })
    }

    /// What goes into the `Host` field.
    pub(super) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    pub(super) fn server_name(&self) -> Result<ServerName<'static>, String> {
        match self.host.parse::<IpAddr>() {
            Ok(address) => Ok(ServerName::from(address)),
            Err(_) => ServerName::try_from(self.host.clone()).map_err(|error| format!("{}: {error}", self.host)),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

/// PEM of what `https` endpoints are trusted with.
#[derive(Clone, Default)]
pub struct Trust {
    /// Authorities; `None` for the public ones.
    pub ca_pem: Option<Vec<u8>>,
    /// Our certificate chain and its key, where etcd wants a client certificate.
    pub client_pem: Option<(Vec<u8>, Vec<u8>)>,
}

impl Trust {
    /// The TLS client that follows from it. The error says what is wrong with which part.
    pub(super) fn client_config(&self) -> Result<Arc<ClientConfig>, String> {
        let mut roots = RootCertStore::empty();
        match &self.ca_pem {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem) {
                    let certificate = certificate.map_err(|error| format!("authority: {error}"))?;
                    roots.add(certificate).map_err(|error| format!("authority: {error}"))?;
                }
                if roots.is_empty() {
                    return Err("authority: there is no certificate in the file".into());
                }
            }
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots);
        // No ALPN: with `h2` etcd would speak gRPC's HTTP/2; without it the same port serves HTTP/1.1.
        let config = match &self.client_pem {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = CertificateDer::pem_slice_iter(chain)
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|error| format!("client certificate: {error}"))?;
                let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("client key: {error}"))?;
                builder.with_client_auth_cert(chain, key).map_err(|error| format!("client certificate: {error}"))?
            }
        };
        Ok(Arc::new(config))
    }
}

/// Where etcd is, and how we log on.
#[derive(Clone)]
pub struct Access {
    /// Its members' client URLs. At least one.
    pub endpoints: Vec<Endpoint>,
    /// For those that are `https`.
    pub trust: Trust,
    /// User and password, where etcd has authentication on.
    pub user: Option<(String, String)>,
    /// Patience with one endpoint for one request, in milliseconds.
    pub attempt_ms: u64,
}

impl Access {
    /// Without TLS and user.
    pub fn plain(endpoints: Vec<Endpoint>) -> Access {
        Access { endpoints, trust: Trust::default(), user: None, attempt_ms: ATTEMPT_MS }
    }
}

impl Access {
    /// What is wrong with it, if anything, in words for the operator.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.endpoints.is_empty() {
            return Err("there is no endpoint".into());
        }
        let open = self.endpoints.iter().find(|endpoint| !endpoint.tls && !endpoint.is_loopback());
        match (&self.user, open) {
            (Some(_), Some(endpoint)) => Err(format!("the password would go to {endpoint} in the clear: use https")),
            _ => Ok(()),
        }
    }
}

/// Patience with one endpoint: three attempts fit into a lease of 5 s.
pub const ATTEMPT_MS: u64 = 1_500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_written_the_same() {
        for (url, written) in [
            ("http://127.0.0.1:2379", "http://127.0.0.1:2379"),
            ("https://etcd-1.example.org", "https://etcd-1.example.org:2379"),
            ("https://[::1]:4001/", "https://[::1]:4001"),
            ("http://[::1]", "http://[::1]:2379"),
        ] {
            assert_eq!(Endpoint::parse(url).unwrap().to_string(), written);
        }
        for url in [
            "",
            "127.0.0.1:2379",
            "ftp://a",
            "http://",
            "http://a:0",
            "http://a:b",
            "http://a b",
            "http://a/b",
            "http://[::1",
        ] {
            assert!(Endpoint::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn bad_pem_says_which() {
        let refused = |trust: Trust| trust.client_config().err().unwrap();
        let junk = b"no certificate".to_vec();
        assert!(refused(Trust { ca_pem: Some(junk.clone()), client_pem: None }).starts_with("authority"));
        assert!(refused(Trust { ca_pem: None, client_pem: Some((junk.clone(), junk)) }).starts_with("client key"));
    }
}
