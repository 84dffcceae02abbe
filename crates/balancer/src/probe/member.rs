//! What a member of a service means to a prober, and what a watch means to a pool.

use super::standing::Word;
use super::target::{HttpCheck, Kind, Settings, Target};
use super::watch::Watch;
use crate::pool::{Health, Watched};
use directory::{Service, ServiceMember, ServiceProtocol};
use std::net::SocketAddr;
use std::sync::Arc;

impl Target {
    /// `member` of `service`, at one of its addresses.
    pub fn of_member(service: &Service, member: &ServiceMember, address: SocketAddr) -> Target {
        let probe = &service.probe;
        let kind = if probe.tcp_only { Kind::Tcp } else { Kind::of(service.protocol) };
        // What ends at the balancer is in clear behind it.
        let kind = if service.terminates_tls { kind.in_clear() } else { kind };
        let settings = Settings {
            interval_ms: probe.interval_ms,
            fast_interval_ms: probe.interval_ms.min(FAST_INTERVAL_MS),
            timeout_ms: probe.timeout_ms,
            rise: probe.rise,
            fall: probe.fall,
            certificate_days: Arc::clone(&probe.certificate_days),
            expired_is_down: probe.expired_is_down,
        };
        Target {
            starttls: probe.starttls && kind.has_starttls(),
            server_name: name_of(service, member),
            proxy: member.proxy,
            server: member.server.clone(),
            http: HttpCheck { path: Arc::clone(&probe.path), host: None, status: probe.status },
            settings,
            ..Target::new(address, kind)
        }
    }
}

/// The name that clients come with: one that the member is for, or the service's, if it is a name at all.
fn name_of(service: &Service, member: &ServiceMember) -> Option<Arc<str>> {
    let own = member.sni.iter().find(|name| !name.starts_with('*')).map(|name| Arc::from(&**name));
    own.or_else(|| service.hostname.contains('.').then(|| service.hostname.clone()))
}

impl Kind {
    fn of(protocol: ServiceProtocol) -> Kind {
        match protocol {
            ServiceProtocol::Smtp | ServiceProtocol::Submission => Kind::Smtp,
            ServiceProtocol::Submissions => Kind::Submissions,
            ServiceProtocol::Imap => Kind::Imap,
            ServiceProtocol::Imaps => Kind::Imaps,
            ServiceProtocol::Pop3 => Kind::Pop3,
            ServiceProtocol::Pop3s => Kind::Pop3s,
            ServiceProtocol::Http => Kind::Http,
            ServiceProtocol::Https => Kind::Https,
            ServiceProtocol::Ldap => Kind::Ldap,
            ServiceProtocol::Sip => Kind::Sip,
            ServiceProtocol::Sips => Kind::Sips,
            ServiceProtocol::Tcp => Kind::Tcp,
        }
    }

    fn in_clear(self) -> Kind {
        match self {
            Kind::Submissions => Kind::Smtp,
            Kind::Imaps => Kind::Imap,
            Kind::Pop3s => Kind::Pop3,
            Kind::Https => Kind::Http,
            other => other,
        }
    }

    fn has_starttls(self) -> bool {
        matches!(self, Kind::Smtp | Kind::Imap | Kind::Pop3 | Kind::Ldap)
    }
}

impl Watched for Watch {
    fn health(&self) -> Health {
        match self.word() {
            Word::Unknown => Health::Unknown,
            Word::Up => Health::Up,
            Word::Down => Health::Down,
            Word::Draining => Health::Draining,
        }
    }

    fn reason(&self) -> String {
        self.standing().reason().into()
    }

    fn failed(&self) {
        self.report_failure();
    }

    fn worked(&self) {
        self.report_success();
    }
}

/// The longest interval while a standing may be about to change.
const FAST_INTERVAL_MS: u64 = 1_000;
