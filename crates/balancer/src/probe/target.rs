//! What is probed, and how often. A value: two services that mean the same share one prober.

use directory::ProxyHeader;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// A server to be probed. Equal targets are probed once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// What is asked.
    pub kind: Kind,
    /// The dialog goes on under TLS (STARTTLS, STLS) before the server counts as ready; of no use where TLS comes first.
    pub starttls: bool,
    /// Its name: in TLS (SNI, and whether its certificate is for it) and in the Host field.
    pub server_name: Option<Arc<str>>,
    /// What stands in front of the session: LOCAL of version 2, which has our own nodes say whether they are ready, or our own address in version 1.
    pub proxy: ProxyHeader,
    /// The server of the organization that it is, if it is one: what its cluster knows of it counts at once ([`super::Known`]).
    pub server: Option<Arc<str>>,
    /// What is asked for by HTTP.
    pub http: HttpCheck,
    /// How often, how long, how many.
    pub settings: Settings,
}

/// What a probe speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nothing: whether a connection can be made.
    Tcp,
    /// SMTP: greeting, EHLO, NOOP, QUIT.
    Smtp,
    /// The same under TLS from the first byte.
    Submissions,
    /// IMAP: greeting, CAPABILITY, NOOP, LOGOUT.
    Imap,
    /// The same under TLS from the first byte.
    Imaps,
    /// POP3: greeting, CAPA, QUIT.
    Pop3,
    /// The same under TLS from the first byte.
    Pop3s,
    /// HTTP/1.1: one GET.
    Http,
    /// The same under TLS.
    Https,
    /// LDAP: the root of the directory is read, without a name.
    Ldap,
    /// SIP: OPTIONS, over UDP or else over TCP.
    Sip,
    /// The same over TLS.
    Sips,
}

/// What is asked for by HTTP, and what is a good answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpCheck {
    /// Path and query.
    pub path: Arc<str>,
    /// The Host field; `None`: the target's name, or its address.
    pub host: Option<Arc<str>>,
    /// Lowest and highest status that is good.
    pub status: (u16, u16),
}

/// How often, how long, how many.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// From the end of a probe to the next one, a tenth more or less.
    pub interval_ms: u64,
    /// The same while the standing may be about to change.
    pub fast_interval_ms: u64,
    /// For all of one probe.
    pub timeout_ms: u64,
    /// Good probes in a row that make a server ready again.
    pub rise: u32,
    /// Failures in a row, of probes or of the data path, that make it not ready.
    pub fall: u32,
    /// A certificate that ends within one of these many days is warned of, once for each. Any order.
    pub certificate_days: Arc<[u32]>,
    /// A server whose certificate has ended is not ready; otherwise that is warned of like the days.
    pub expired_is_down: bool,
}

impl Kind {
    /// TLS comes before the protocol.
    pub fn is_tls_first(self) -> bool {
        matches!(self, Kind::Submissions | Kind::Imaps | Kind::Pop3s | Kind::Https | Kind::Sips)
    }

    /// The word of the document.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Tcp => "tcp",
            Kind::Smtp => "smtp",
            Kind::Submissions => "submissions",
            Kind::Imap => "imap",
            Kind::Imaps => "imaps",
            Kind::Pop3 => "pop3",
            Kind::Pop3s => "pop3s",
            Kind::Http => "http",
            Kind::Https => "https",
            Kind::Ldap => "ldap",
            Kind::Sip => "sip",
            Kind::Sips => "sips",
        }
    }
}

impl Target {
    /// A target with nothing special about it.
    pub fn new(address: SocketAddr, kind: Kind) -> Target {
        Target {
            address,
            kind,
            starttls: false,
            server_name: None,
            proxy: ProxyHeader::None,
            server: None,
            http: HttpCheck::default(),
            settings: Settings::default(),
        }
    }
}

impl Target {
    /// What sets it apart from other probes of the same kind and address, beside the name: for metrics. Empty for most.
    pub fn how(&self) -> String {
        let proxy = match self.proxy {
            ProxyHeader::None => "",
            ProxyHeader::V1 => "proxy-v1",
            ProxyHeader::V2 => "proxy-v2",
        };
        let is_http = matches!(self.kind, Kind::Http | Kind::Https);
        let http = if is_http && self.http != HttpCheck::default() { self.http.to_string() } else { String::new() };
        let words = [if self.starttls { "starttls" } else { "" }, proxy, &http];
        words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<&str>>().join(" ")
    }
}

impl fmt::Display for HttpCheck {
    /// `/health 200-399`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lowest, highest) = self.status;
        write!(f, "{} {lowest}", self.path)?;
        if highest != lowest { write!(f, "-{highest}") } else { Ok(()) }
    }
}

impl fmt::Display for Target {
    /// `smtp 192.0.2.1:25`: in logs and as a label.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.word(), self.address)
    }
}

impl Default for HttpCheck {
    fn default() -> HttpCheck {
        HttpCheck { path: "/".into(), host: None, status: (200, 399) }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            interval_ms: 3_000,
            fast_interval_ms: 1_000,
            timeout_ms: 3_000,
            rise: 2,
            fall: 3,
            certificate_days: [60, 30, 7].into(),
            expired_is_down: false,
        }
    }
}
