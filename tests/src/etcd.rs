//! etcd as real processes: one member or three, on loopback ports that were free, data in a temporary folder.

use crate::free_port;
use crate::process::Process;
use cluster::etcd::{Access, Client, Endpoint, Trust};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use world::{Clock, RealClock};

/// Certificates for an etcd with TLS.
pub struct Certificates {
    pub ca_pem: Vec<u8>,
    pub client_pem: (Vec<u8>, Vec<u8>),
    /// Another one for us, with a common name.
    pub named_pem: (Vec<u8>, Vec<u8>),
}

pub struct Etcd {
    members: Vec<Member>,
    tls: Option<Certificates>,
    dir: tempfile::TempDir,
}

struct Member {
    client: u16,
    arguments: Vec<String>,
    process: Option<Process>,
}

impl Etcd {
    /// A running cluster of `count` members without TLS.
    pub fn start(count: usize) -> Etcd {
        Etcd::with(count, None)
    }

    /// One member that speaks TLS and wants a client certificate.
    pub fn start_tls() -> Etcd {
        let dir = tempfile::tempdir().unwrap();
        let made = make_certificates(dir.path());
        Etcd::with_in(dir, 1, Some(made))
    }

    fn with(count: usize, tls: Option<Certificates>) -> Etcd {
        Etcd::with_in(tempfile::tempdir().unwrap(), count, tls)
    }

    fn with_in(dir: tempfile::TempDir, count: usize, tls: Option<Certificates>) -> Etcd {
        let ports: Vec<(u16, u16)> = (0..count).map(|_| (free_port(), free_port())).collect();
        let peers: Vec<String> =
            ports.iter().enumerate().map(|(n, (_, peer))| format!("m{n}=http://127.0.0.1:{peer}")).collect();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut members = Vec::new();
        for (n, (client, peer)) in ports.iter().enumerate() {
            let data = dir.path().join(format!("m{n}"));
            let mut arguments: Vec<String> = [
                ("--name", format!("m{n}")),
                ("--data-dir", data.to_str().unwrap().into()),
                ("--listen-client-urls", format!("{scheme}://127.0.0.1:{client}")),
                ("--advertise-client-urls", format!("{scheme}://127.0.0.1:{client}")),
                ("--listen-peer-urls", format!("http://127.0.0.1:{peer}")),
                ("--initial-advertise-peer-urls", format!("http://127.0.0.1:{peer}")),
                ("--initial-cluster", peers.join(",")),
                ("--heartbeat-interval", "50".into()),
                ("--election-timeout", "500".into()),
                ("--logger", "zap".into()),
            ]
            .into_iter()
            .flat_map(|(flag, value)| [flag.to_string(), value])
            .collect();
            if tls.is_some() {
                let file = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
                for (flag, name) in
                    [("--cert-file", "server.pem"), ("--key-file", "server.key"), ("--trusted-ca-file", "ca.pem")]
                {
                    arguments.extend([flag.to_string(), file(name)]);
                }
                arguments.push("--client-cert-auth".into());
            }
            members.push(Member { client: *client, arguments, process: None });
        }
        let mut etcd = Etcd { members, tls, dir };
        for n in 0..count {
            etcd.start_member(n);
        }
        etcd
    }

    /// Starts (again) a member on its data.
    pub fn start_member(&mut self, n: usize) {
        let log = self.dir.path().join(format!("m{n}.log"));
        let member = &mut self.members[n];
        // Debian's etcd refuses some architectures without a word in the environment; a proxy has no business here.
        let mut command = Command::new("etcd");
        command.args(&member.arguments).env_remove("http_proxy").env_remove("https_proxy");
        member.process = Some(Process::start(&mut command, &log));
    }

    /// kill -9.
    pub fn kill(&mut self, n: usize) {
        self.members[n].process = None;
    }

    pub fn signal(&self, n: usize, name: &str) {
        self.members[n].process.as_ref().unwrap().signal(name);
    }

    pub fn endpoints(&self) -> Vec<Endpoint> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        self.members.iter().map(|m| Endpoint::parse(&format!("{scheme}://127.0.0.1:{}", m.client)).unwrap()).collect()
    }

    pub fn access(&self) -> Access {
        let mut access = Access::plain(self.endpoints());
        if let Some(made) = &self.tls {
            access.trust = Trust { ca_pem: Some(made.ca_pem.clone()), client_pem: Some(made.client_pem.clone()) };
        }
        access
    }

    /// The certificates of an etcd with TLS.
    pub fn certificates(&self) -> &Certificates {
        self.tls.as_ref().unwrap()
    }

    /// A client, once etcd answers.
    pub async fn client(&self) -> Client {
        let client = Client::new(self.access()).unwrap();
        answers(&client).await;
        client
    }

    /// Number of the member that leads.
    pub async fn leader(&self, client: &Client) -> usize {
        let start = RealClock.mono_ms();
        loop {
            let status = client.status().await;
            let leads = |s: &cluster::etcd::EndpointStatus| s.health.as_ref().is_ok_and(|h| h.is_leader);
            if let Some(n) = status.iter().position(leads) {
                return n;
            }
            assert!(RealClock.mono_ms() - start < 10_000, "no leader: {status:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Waits until etcd takes writes.
pub async fn answers(client: &Client) {
    let start = RealClock.mono_ms();
    while let Err(error) = client.put("/started", b"", 0).await {
        assert!(RealClock.mono_ms() - start < 20_000, "etcd does not start: {error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// An authority, a certificate for etcd (both usages, see docs/decisions/etcd.md), and one for us.
fn make_certificates(dir: &std::path::Path) -> Certificates {
    use rcgen::{
        BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    };
    let (ca_key, server_key, client_key) =
        (KeyPair::generate().unwrap(), KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut ca = CertificateParams::new(Vec::<String>::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(ca, ca_key);
    let both = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let mut server = CertificateParams::new(vec!["127.0.0.1".into(), "localhost".into()]).unwrap();
    server.extended_key_usages = both;
    let mut named = CertificateParams::new(vec!["node-a".into()]).unwrap();
    named.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let mut client = named.clone();
    client.distinguished_name = DistinguishedName::new();
    named.distinguished_name.push(DnType::CommonName, "node-a");
    let server = server.signed_by(&server_key, &issuer).unwrap();
    let signed = |params: CertificateParams| {
        let certificate = params.signed_by(&client_key, &issuer).unwrap();
        (certificate.pem().into_bytes(), client_key.serialize_pem().into_bytes())
    };
    for (name, text) in
        [("ca.pem", ca_pem.clone()), ("server.pem", server.pem()), ("server.key", server_key.serialize_pem())]
    {
        std::fs::write(dir.join(name), text).unwrap();
    }
    Certificates { ca_pem: ca_pem.into_bytes(), client_pem: signed(client), named_pem: signed(named) }
}

/// The real clock, shared.
pub fn clock() -> Arc<dyn Clock> {
    Arc::new(RealClock)
}
