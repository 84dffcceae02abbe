//! Reads `[cluster]`.

use super::document::Document;
use super::pem::pem_file;
use super::section::Section;
use crate::node::{Cluster, ClusterUser, Spread, TlsFiles};
use crate::target::{Host, HostPort};
use std::net::IpAddr;
use world::Disk;

/// The cluster's etcd; nothing if `[cluster]` is not written.
pub fn cluster(document: &Document<'_>, disk: &dyn Disk) -> Option<Cluster> {
    let section = document.section_if_written("cluster")?;
    if document.section_if_written("peers").is_none() {
        document.problem(
            section.head(),
            "[cluster] needs the table [peers]: nodes keep copies for each other over these links",
        );
    }
    let endpoints = section.texts("endpoints").unwrap_or_default();
    if endpoints.is_empty() && section.has("endpoints") {
        section.problem("endpoints", "endpoints is empty; name the client URLs of etcd's members");
    }
    for endpoint in &endpoints {
        if let Err(what) = check_url(&endpoint.value) {
            document.problem(endpoint.at, what);
        }
    }
    let prefix = section.text("prefix")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
    if !prefix.value.starts_with('/') || prefix.value.len() < 2 || !prefix.value.chars().all(plain) {
        document
            .problem(prefix.at, "a prefix is written like /posthouse/example.org: letters, digits, '/', '.', '-', '_'");
    }
    let tls_used = endpoints.iter().any(|endpoint| endpoint.value.starts_with("https://"));
    for key in ["ca", "certificate", "key"] {
        if section.has(key) && !tls_used {
            section.warning(key, format!("{key} has no effect: no endpoint is https"));
        }
    }
    let ca = section.has("ca").then(|| pem_file(&section, disk, "ca", "-----BEGIN CERTIFICATE-----", "certificate"));
    let certificate = section
        .has("certificate")
        .then(|| pem_file(&section, disk, "certificate", "-----BEGIN CERTIFICATE-----", "certificate"));
    let key = section.has("key").then(|| pem_file(&section, disk, "key", "PRIVATE KEY-----", "private key"));
    let own = match (certificate, key) {
        (Some(certificate), Some(key)) => certificate.zip(key).map(|(certificate, key)| TlsFiles { certificate, key }),
        (Some(_), None) => {
            section.problem("certificate", "certificate needs key as well");
            None
        }
        (None, Some(_)) => {
            section.problem("key", "key needs certificate as well");
            None
        }
        (None, None) => None,
    };
    let user = user(&section, disk);
    let open = endpoints.iter().find(|endpoint| is_open(&endpoint.value));
    if let (Some(_), Some(open)) = (&user, open) {
        section.problem("user", format!("the password would go to {} in the clear; use https", open.value));
    }
    Some(Cluster {
        endpoints: endpoints.into_iter().map(|endpoint| endpoint.value).collect(),
        prefix: prefix.value,
        ttl_ms: section.duration_ms("ttl"),
        ca: ca.flatten(),
        own,
        user,
        address: address(&section),
        site: word(&section, "site"),
        rack: word(&section, "rack"),
        spread: section.choice("spread", Spread::WORDS),
    })
}

fn address(section: &Section<'_, '_>) -> Option<HostPort> {
    let address = section.text("address")?;
    match HostPort::parse(&address.value, Some(super::peers::PORT)) {
        Ok(there) if matches!(&there.host, Host::Ip(ip) if ip.is_unspecified()) => {
            section.problem("address", "0.0.0.0 is no address to reach a node at; write the one that it has");
            None
        }
        Ok(there) => Some(there),
        Err(what) => {
            section.problem("address", what);
            None
        }
    }
}

fn word(section: &Section<'_, '_>, key: &str) -> String {
    section.text(key).map_or_else(String::new, |word| word.value)
}

fn user(section: &Section<'_, '_>, disk: &dyn Disk) -> Option<ClusterUser> {
    let (name, file) = match (section.text("user"), section.text("password_file")) {
        (None, None) => return None,
        (Some(name), Some(file)) => (name, file),
        (Some(_), None) => {
            section.problem("user", "user needs password_file as well");
            return None;
        }
        (None, Some(_)) => {
            section.problem("password_file", "password_file needs user as well");
            return None;
        }
    };
    let bytes = section.document().read_file(disk, &file.value, file.at)?;
    if String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().is_empty() {
        section.problem("password_file", format!("{} has no password in its first line", file.value));
    }
    Some(ClusterUser { name: name.value, password_file: section.document().path(&file.value) })
}

/// Whether what is sent there can be read on the wire.
fn is_open(url: &str) -> bool {
    let Some(host) = url.strip_prefix("http://") else { return false };
    let name = host.strip_prefix('[').and_then(|host| host.split(']').next()).or_else(|| host.split(':').next());
    let near = |name: &str| name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    !name.is_some_and(near)
}

fn check_url(url: &str) -> Result<(), String> {
    let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    match host {
        Some(host) if !host.is_empty() && !host.contains(['/', ' ', '@']) => Ok(()),
        _ => Err(format!("\"{url}\" is no client URL of etcd; write it like https://10.0.0.1:2379")),
    }
}
