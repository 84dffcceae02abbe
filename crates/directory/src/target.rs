//! Servers that mail is handed to: by name or address and port, or by Unix socket.

use std::net::IpAddr;
use std::path::PathBuf;

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// Name or address.
    pub host: Host,
    /// Port.
    pub port: u16,
}

/// A host by name or by address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// Looked up in DNS (A and AAAA), lower case.
    Name(Box<str>),
    /// Taken as it is.
    Ip(IpAddr),
}

/// An LMTP server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LmtpTarget {
    /// A Unix socket.
    Unix(PathBuf),
    /// TCP.
    Tcp(HostPort),
}

impl std::fmt::Display for LmtpTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LmtpTarget::Unix(path) => write!(f, "unix:{}", path.display()),
            LmtpTarget::Tcp(host) => write!(f, "{host}"),
        }
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Ip(ip) => write!(f, "{ip}"),
        }
    }
}

impl std::fmt::Display for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.host {
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.port),
            host => write!(f, "{host}:{}", self.port),
        }
    }
}

impl HostPort {
    /// Reads `host`, `host:port`, `192.0.2.1:25`, `[2001:db8::1]:25`, `[192.0.2.1]`; the error says what is wrong. Without a default
    /// the port must be there.
    pub fn parse(text: &str, default_port: Option<u16>) -> Result<HostPort, String> {
        let wrong =
            || format!("\"{text}\" is no host and port; write host:port, for example 192.0.2.1:25 or [2001:db8::1]:25");
        let (host, port) = match text.rsplit_once(':') {
            _ if text.parse::<IpAddr>().is_ok() || text.ends_with(']') => (text, None),
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        let port = match (port, default_port) {
            (Some(port), _) => port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?,
            (None, Some(port)) => port,
            (None, None) => return Err(wrong()),
        };
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let host = match bare.unwrap_or(host).parse::<IpAddr>() {
            Ok(IpAddr::V6(_)) if bare.is_none() && host.len() != text.len() => return Err(wrong()),
            Ok(ip) => Host::Ip(ip),
            Err(_)
                if bare.is_none() && host.is_ascii() && mail::address::is_domain(host) && !looks_like_address(host) =>
            {
                Host::Name(host.to_ascii_lowercase().into())
            }
            Err(_) => return Err(wrong()),
        };
        Ok(HostPort { host, port })
    }
}

impl LmtpTarget {
    /// Reads `unix:/path` (absolute) or `host:port`; the error says what is wrong.
    pub fn parse(text: &str) -> Result<LmtpTarget, String> {
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(LmtpTarget::Unix(path.into())),
            Some(path) => Err(format!("\"{path}\" is no absolute path; write for example unix:/run/dovecot/lmtp")),
            None => Ok(LmtpTarget::Tcp(HostPort::parse(text, None)?)),
        }
    }
}

/// `10.0.0.300` is a mistyped address and not a name: no top-level domain is a number (RFC 3696 2).
fn looks_like_address(host: &str) -> bool {
    host.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        for (text, shown) in [
            ("relay.Example.org:587", "relay.example.org:587"),
            ("relay.example.org", "relay.example.org:25"),
            ("192.0.2.1", "192.0.2.1:25"),
            ("[192.0.2.1]:26", "192.0.2.1:26"),
            ("[2001:db8::1]:26", "[2001:db8::1]:26"),
            ("[2001:db8::1]", "[2001:db8::1]:25"),
            ("2001:db8::1", "[2001:db8::1]:25"),
        ] {
            assert_eq!(HostPort::parse(text, Some(25)).map(|h| h.to_string()), Ok(shown.to_string()), "{text}");
        }
        for bad in
            ["", ":25", "host:", "host:0", "host:70000", "10.0.0.300", "10.0.0.300:25", "a b:25", "-x:25", "[host]:25"]
        {
            assert!(HostPort::parse(bad, Some(25)).is_err(), "{bad}");
        }
        assert!(HostPort::parse("host", None).is_err());
    }

    #[test]
    fn lmtp_targets() {
        let shown = |text: &str| LmtpTarget::parse(text).map(|t| t.to_string());
        assert_eq!(shown("unix:/run/dovecot/lmtp"), Ok("unix:/run/dovecot/lmtp".into()));
        assert_eq!(shown("127.0.0.1:24"), Ok("127.0.0.1:24".into()));
        assert!(shown("unix:lmtp").is_err() && shown("127.0.0.1").is_err());
    }
}
