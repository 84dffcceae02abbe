//! Owns `test`: whether an object does what it is for, just now, from this node. Always holds: nothing is changed and no message is sent; a
//! session that is opened is ended; an answer comes within [`PROBES_MAX`] times [`PATIENCE`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use directory::objects as rows;
use directory::{
    AcceptedDomain, Group, Host, HostPort, LmtpTarget, Org, Password, ReceiveConnector, ReceiveTls, Route,
    SendConnector, SendTls, SendTo, User,
};
use mail::Mailbox;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use transport::auth;
use transport::probe::{Probe, ProbeTls, Probed, Verdict};
use transport::tls_client::{Proof, TlsClient};

use super::{Control, Refusal, refusal, stopping};
use crate::view::{Finding, Tested};

/// Which object is to be tested.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectTest {
    /// Its name; empty for what there is once.
    pub name: String,
    /// For a send connector that delivers to MX hosts: those of this domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
}

impl Control {
    /// Tests an object as it runs here.
    pub async fn object_test(&self, kind: &str, asked: ObjectTest) -> Result<Tested, Refusal> {
        let section = rows::kind(kind).map_err(refusal)?;
        let object = self.object(kind, &asked.name)?;
        let org = self.node.org();
        let name = object.name.as_str();
        let mut findings = vec![place(object.line)];
        match section.name {
            "receive_connector" => match org.receive_connector(name) {
                Some(connector) => findings.extend(self.test_receive(&org, connector).await?),
                None => findings.push(information("listeners", "they are on other servers: ask one of those")),
            },
            "send_connector" => match org.send_connector(name) {
                Some(connector) => findings.extend(self.test_send(connector, asked.domain.as_deref()).await?),
                None => findings.push(information("next hops", "this server does not use it: ask one that does")),
            },
            "user" => match org.user(name) {
                Some(user) => findings.extend(self.test_user(&org, user.clone()).await?),
                None => findings.push(not_yet()),
            },
            "accepted_domain" => match org.accepted_domains.iter().find(|domain| &*domain.name == name) {
                Some(domain) => findings.extend(self.test_domain(&org, domain).await?),
                None => findings.push(not_yet()),
            },
            _ => findings.push(information(section.name, section.what)),
        }
        let ok = findings.iter().all(|finding| matches!(finding.result.as_str(), SUCCESS | INFORMATION));
        Ok(Tested { kind: object.kind, name: object.name, ok, findings })
    }

    /// Greets each binding as a client on this machine would.
    async fn test_receive(&self, org: &Org, connector: &ReceiveConnector) -> Result<Vec<Finding>, Refusal> {
        let tls = tls()?;
        let mut findings = Vec::new();
        for socket in connector.listen.iter().take(PROBES_MAX) {
            let ip = match socket.ip() {
                ip if !ip.is_unspecified() => ip,
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            };
            let address = SocketAddr::new(ip, socket.port());
            let met = org.choose_connector(*socket, ip);
            let probe = Probe {
                host: &connector.hostname,
                hello: &self.name(),
                lmtp: met.is_some_and(|met| met.protocol == directory::Protocol::Lmtp),
                tls: met.map_or(ProbeTls::Off, |met| receive_tls(met.tls)),
                proof: Proof::Nothing,
                source: None,
                proxy_header: org.expects_proxy_header(*socket, ip),
                patience: PATIENCE,
            };
            let probed = probe.tcp(&tls, address).await;
            findings.push(match met {
                // Whoever is in no range is to be refused.
                None if probed.verdict == Verdict::Transient => {
                    let detail = format!("listens; {ip} is in none of its ranges and hears: {}", probed.detail);
                    Finding { what: socket.to_string(), result: SUCCESS.into(), detail }
                }
                Some(met) if met.name != connector.name => {
                    let detail = format!("{} (for {ip} connector {} counts there)", probed.detail, met.name);
                    finding(socket.to_string(), Probed { detail, ..probed })
                }
                _ => finding(socket.to_string(), probed),
            });
        }
        Ok(findings)
    }

    /// Greets each host that mail would be handed to.
    async fn test_send(&self, connector: &SendConnector, domain: Option<&str>) -> Result<Vec<Finding>, Refusal> {
        let (hosts, mut findings) = match &connector.to {
            SendTo::SmartHosts(hosts) => (hosts.clone(), Vec::new()),
            SendTo::Lmtp(LmtpTarget::Tcp(host)) => (vec![host.clone()], Vec::new()),
            SendTo::Lmtp(LmtpTarget::Unix(path)) => {
                let probe = self.towards(connector, "");
                return Ok(vec![finding(format!("unix:{}", path.display()), probe.unix(path).await)]);
            }
            SendTo::Mx => self.exchangers(connector, domain).await?,
        };
        let tls = tls()?;
        for host in hosts {
            let name = host.host.to_string();
            let addresses = match &host.host {
                Host::Ip(ip) => vec![*ip],
                Host::Name(_) => match self.node.kit().resolver.addresses(&name).await {
                    Ok(addresses) => addresses,
                    Err(reply) => {
                        findings.push(told(host.to_string(), &reply));
                        continue;
                    }
                },
            };
            for ip in addresses {
                if findings.len() >= PROBES_MAX {
                    findings.push(information("the rest", "more hosts are not looked at"));
                    return Ok(findings);
                }
                let address = SocketAddr::new(ip, host.port);
                let what = if name == ip.to_string() { address.to_string() } else { format!("{name} [{address}]") };
                findings.push(finding(what, self.towards(connector, &name).tcp(&tls, address).await));
            }
        }
        Ok(findings)
    }

    fn towards<'p>(&self, connector: &'p SendConnector, host: &'p str) -> Probe<'p> {
        let (tls, proof) = match connector.tls {
            SendTls::Off => (ProbeTls::Off, Proof::Nothing),
            SendTls::Opportunistic => (ProbeTls::Offered, Proof::Nothing),
            SendTls::Require => (ProbeTls::Needed, Proof::Nothing),
            SendTls::Verify => (ProbeTls::Needed, Proof::Name(connector.tls_ca.as_ref().map(|ca| &*ca.pem))),
        };
        let lmtp = matches!(connector.to, SendTo::Lmtp(_));
        let (hello, source) = (&*connector.hello, connector.source);
        Probe { host, hello, lmtp, tls, proof, source, proxy_header: false, patience: PATIENCE }
    }

    async fn exchangers(
        &self,
        connector: &SendConnector,
        domain: Option<&str>,
    ) -> Result<(Vec<HostPort>, Vec<Finding>), Refusal> {
        let whole = |space: &&str| !space.starts_with('*');
        let domain =
            domain.or_else(|| connector.domains.iter().map(|space| &*space.space).find(whole)).ok_or_else(|| {
                let error = format!("{} delivers to the MX hosts of any domain", connector.name);
                Refusal::bad(error, "name a domain to test it with: domain=example.org")
            })?;
        let kit = self.node.kit();
        match kit.resolver.exchangers(domain, &kit.own_names, &*self.node.world.chance).await {
            Ok(names) => {
                let what = information(&format!("MX of {domain}"), &names.join(", "));
                let host = |name: String| HostPort { host: Host::Name(name.into()), port: connector.port };
                Ok((names.into_iter().map(host).collect(), vec![what]))
            }
            Err(reply) => Ok((Vec::new(), vec![told(format!("MX of {domain}"), &reply)])),
        }
    }

    /// Whether the stored password can be checked, how long that takes, and where the user can log on with what.
    async fn test_user(&self, org: &Org, user: Arc<User>) -> Result<Vec<Finding>, Refusal> {
        let (word, mechanisms): (_, &[&str]) = match user.password {
            Password::Argon2id(_) => ("argon2id", &["plain", "login"]),
            // Users of the document have a hash.
            Password::Directory(_) => ("kept in a directory", &["plain", "login"]),
            Password::ScramSha256 { .. } => ("SCRAM-SHA-256", &["plain", "login", "scram-sha-256"]),
        };
        let (clock, began_ms) = (self.node.world.clock.clone(), self.node.world.clock.mono_ms());
        let measured = user.clone();
        // No password is empty: it is refused, at the full price.
        let refused = spawn_blocking(move || !auth::verify(&measured.password, b"")).await.map_err(|_| stopping())?;
        let detail = format!("{word}; a logon takes {} ms of a processor", clock.mono_ms() - began_ms);
        let result = if refused { SUCCESS } else { "permanent" };
        let mut findings = vec![Finding { what: "stored password".into(), result: result.into(), detail }];
        for connector in org.receive_connectors.iter().filter(|one| one.permissions.contains(&Group::Users)) {
            let offered = connector.auth.words();
            let common: Vec<&str> = offered.iter().copied().filter(|word| mechanisms.contains(word)).collect();
            findings.push(match common.is_empty() {
                true => Finding {
                    what: format!("connector {}", connector.name),
                    result: "permanent".into(),
                    detail: format!("offers {}: none goes with {word}", offered.join(", ")),
                },
                false => Finding {
                    what: format!("connector {}", connector.name),
                    result: SUCCESS.into(),
                    detail: format!("logs on with {}", common.join(", ")),
                },
            });
        }
        if findings.len() == 1 {
            let detail = "no receive connector of this server has the permission \"users\"".into();
            findings.push(Finding { what: "logon".into(), result: "permanent".into(), detail });
        }
        Ok(findings)
    }

    /// Where the domain's mail goes, and whether the server there answers.
    async fn test_domain(&self, org: &Org, domain: &AcceptedDomain) -> Result<Vec<Finding>, Refusal> {
        let address = format!("postmaster@{}", domain.name.trim_start_matches("*."));
        let Ok(postmaster) = Mailbox::parse(&address, true) else { return Ok(Vec::new()) };
        let what = format!("mail for {address}");
        Ok(match org.route(&postmaster) {
            Route::Connector(connector) => {
                vec![information(&what, &format!("goes through send connector {}; test that one too", connector.name))]
            }
            Route::Lmtp(LmtpTarget::Unix(path)) => {
                let probe = self.to_lmtp("");
                vec![finding(format!("unix:{}", path.display()), probe.unix(&path).await)]
            }
            Route::Lmtp(LmtpTarget::Tcp(HostPort { host: Host::Ip(ip), port })) => {
                let address = SocketAddr::new(ip, port);
                vec![finding(address.to_string(), self.to_lmtp("").tcp(&*tls()?, address).await)]
            }
            Route::Lmtp(LmtpTarget::Tcp(host)) => {
                let name = host.host.to_string();
                match self.node.kit().resolver.addresses(&name).await {
                    Err(reply) => vec![told(host.to_string(), &reply)],
                    Ok(all) => {
                        let (tls, mut findings) = (tls()?, Vec::new());
                        for ip in all.into_iter().take(PROBES_MAX) {
                            let address = SocketAddr::new(ip, host.port);
                            findings.push(finding(
                                format!("{name} [{address}]"),
                                self.to_lmtp(&name).tcp(&tls, address).await,
                            ));
                        }
                        findings
                    }
                }
            }
            Route::Unreachable(reason) => {
                vec![Finding { what, result: "permanent".into(), detail: format!("goes nowhere: {reason}") }]
            }
            _ => vec![Finding { what, result: SUCCESS.into(), detail: self.goes(&postmaster) }],
        })
    }

    fn goes(&self, to: &Mailbox) -> String {
        format!("goes to {}", self.node.route_of(to))
    }

    fn to_lmtp<'p>(&self, host: &'p str) -> Probe<'p> {
        let (tls, proof) = (ProbeTls::Off, Proof::Nothing);
        Probe {
            host,
            hello: "localhost",
            lmtp: true,
            tls,
            proof,
            source: None,
            proxy_header: false,
            patience: PATIENCE,
        }
    }
}

fn receive_tls(tls: ReceiveTls) -> ProbeTls {
    match tls {
        ReceiveTls::Off => ProbeTls::Off,
        ReceiveTls::Offer | ReceiveTls::Require => ProbeTls::Needed,
        ReceiveTls::Implicit => ProbeTls::Implicit,
        ReceiveTls::Organization => ProbeTls::Silent,
    }
}

fn tls() -> Result<Box<TlsClient>, Refusal> {
    let failed =
        |error: rustls::Error| Refusal::failed(format!("no TLS: {error}"), "this is a fault of this program's build");
    TlsClient::new().map(Box::new).map_err(failed)
}

fn finding(what: String, probed: Probed) -> Finding {
    Finding { what, result: probed.verdict.word().into(), detail: probed.detail }
}

fn told(what: String, reply: &mail::Reply) -> Finding {
    let verdict = if reply.is_permanent() { Verdict::Permanent } else { Verdict::Transient };
    Finding { what, result: verdict.word().into(), detail: reply.to_string() }
}

fn information(what: &str, detail: &str) -> Finding {
    Finding { what: what.into(), result: INFORMATION.into(), detail: detail.into() }
}

fn place(line: Option<u32>) -> Finding {
    match line {
        Some(line) => information("document", &format!("line {line}; the document is sound")),
        None => information("document", "nothing of it is written: all is default"),
    }
}

fn not_yet() -> Finding {
    let detail = "the document has it, but this node does not run that version: posthouse status says why".into();
    Finding { what: "this node".into(), result: "transient".into(), detail }
}

const SUCCESS: &str = "success";
const INFORMATION: &str = "information";
/// For one server.
const PATIENCE: Duration = Duration::from_secs(5);
/// Servers that one test looks at.
const PROBES_MAX: usize = 10;
