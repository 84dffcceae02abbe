//! Reads `[[send_connector]]`.

use super::domain::address_space;
use super::receive::{Spaces, connector_name, host_name, servers};
use super::section::{At, Section};
use crate::send::{AddressSpace, Authorities, Credentials, SendConnector, SendTls, SendTo, Timeouts};
use crate::target::{HostPort, LmtpTarget};
use world::Disk;

/// Reads one send connector.
pub fn send_connector(section: &Section<'_, '_>, node_name: &str, disk: &dyn Disk) -> Option<At<SendConnector>> {
    let name = connector_name(section, Spaces::No);
    let to = to(section);
    let tls = section.choice("tls", SendTls::WORDS);
    let (cost, servers) = (section.count("cost"), servers(section));
    if section.flag("scoped") && servers.is_none() {
        section.warning("scoped", "scoped has no effect without servers");
    }
    let per_connection = section.count("messages_per_connection");
    let connector = SendConnector {
        name: name.as_ref().map_or("".into(), |name| name.value.as_str().into()),
        domains: domains(section, cost),
        cost,
        servers,
        enabled: section.flag("enabled"),
        scoped: section.flag("scoped"),
        message_bytes_max: section.has("message_size_max").then(|| section.bytes("message_size_max")),
        to: to.clone().unwrap_or(SendTo::Mx),
        port: section.count("port").try_into().unwrap_or(25),
        tls,
        tls_ca: authorities(section, tls, disk),
        credentials: credentials(section, to.as_ref(), tls, disk),
        connections_max: section.count("connections_max"),
        messages_per_connection: (per_connection > 0).then_some(per_connection),
        idle_ms: section.duration_ms("idle_timeout"),
        timeouts: Timeouts {
            connect_ms: section.duration_ms("connect_timeout"),
            greeting_ms: section.duration_ms("greeting_timeout"),
            command_ms: section.duration_ms("command_timeout"),
            data_ms: section.duration_ms("data_timeout"),
            data_block_ms: section.duration_ms("data_block_timeout"),
            data_end_ms: section.duration_ms("data_end_timeout"),
        },
        hello: host_name(section, "hello").unwrap_or_else(|| node_name.to_string()).into(),
        routing_headers: section.flag("routing_headers"),
        source: section.text("source").and_then(|source| {
            let wrong = |_| section.problem("source", format!("\"{}\" is no IP address", source.value));
            source.value.parse().map_err(wrong).ok()
        }),
    };
    Some(At { value: connector, at: name?.at })
}

fn domains(section: &Section<'_, '_>, cost: u32) -> Vec<AddressSpace> {
    let written = section.texts("domains").unwrap_or_default();
    if written.is_empty() {
        section.problem("domains", "domains is empty; write [\"*\"] for all domains");
    }
    let mut domains: Vec<AddressSpace> = Vec::new();
    for text in &written {
        let Some((space, cost)) = with_cost(section, text, cost) else { continue };
        let Some(space) = address_space(section, &At { value: space, at: text.at }) else { continue };
        if domains.iter().any(|known| *known.space == *space) {
            section.document().problem(text.at, format!("\"{space}\" is listed twice; remove one"));
        }
        domains.push(AddressSpace { space: space.into(), cost });
    }
    domains
}

/// `SMTP:example.org;5` in its parts (behaviours 2.2). The type may be left out, and the cost.
fn with_cost(section: &Section<'_, '_>, text: &At<String>, by_default: u32) -> Option<(String, u32)> {
    let wrong = |problem: String| section.document().problem(text.at, problem);
    let bare = match text.value.split_once(':') {
        None => text.value.as_str(),
        Some((kind, rest)) if kind.eq_ignore_ascii_case("smtp") => rest,
        Some((kind, _)) => {
            wrong(format!("there are no address spaces of the type \"{kind}\"; only SMTP addresses are routed"));
            return None;
        }
    };
    let Some((space, cost)) = bare.split_once(';') else { return Some((bare.into(), by_default)) };
    match cost.trim().parse() {
        Ok(cost @ 1..=100) => Some((space.trim().into(), cost)),
        _ => {
            wrong(format!("\"{}\" is no cost; write 1 to 100, for example \"example.org;5\"", cost.trim()));
            None
        }
    }
}

fn to(section: &Section<'_, '_>) -> Option<SendTo> {
    let port = section.count("port").try_into().ok();
    let mx = section.flag("mx");
    let ways = usize::from(section.has("smart_hosts")) + usize::from(mx) + usize::from(section.has("lmtp"));
    if ways != 1 {
        let text = "a send connector needs exactly one of smart_hosts = [...], mx = true and lmtp = \"...\"";
        section.problem("name", text);
        return None;
    }
    if mx {
        return Some(SendTo::Mx);
    }
    if let Some(lmtp) = section.text("lmtp") {
        return LmtpTarget::parse(&lmtp.value).map(SendTo::Lmtp).map_err(|text| section.problem("lmtp", text)).ok();
    }
    let written = section.texts("smart_hosts")?;
    if written.is_empty() {
        section.problem("smart_hosts", "smart_hosts is empty; name at least one host");
    }
    let mut hosts = Vec::new();
    for text in written {
        match HostPort::parse(&text.value, port) {
            Ok(host) if hosts.contains(&host) => {
                section.document().problem(text.at, format!("{host} is listed twice; remove one"));
            }
            Ok(host) => hosts.push(host),
            Err(problem) => section.document().problem(text.at, problem),
        }
    }
    Some(SendTo::SmartHosts(hosts))
}

fn authorities(section: &Section<'_, '_>, tls: SendTls, disk: &dyn Disk) -> Option<Authorities> {
    let file = section.text("tls_ca_file")?;
    if tls != SendTls::Verify {
        section.warning("tls_ca_file", "tls_ca_file has no effect without tls = \"verify\"");
    }
    pem_authorities(section, &file, disk)
}

/// The authorities in a file of the key `tls_ca_file`.
pub fn pem_authorities(section: &Section<'_, '_>, file: &At<String>, disk: &dyn Disk) -> Option<Authorities> {
    let pem = section.document().read_file(disk, &file.value, file.at)?;
    if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
        section.problem("tls_ca_file", format!("{} holds no certificate in PEM form", file.value));
    }
    Some(Authorities { pem: pem.into(), file: section.document().path(&file.value) })
}

fn credentials(section: &Section<'_, '_>, to: Option<&SendTo>, tls: SendTls, disk: &dyn Disk) -> Option<Credentials> {
    let (username, file) = (section.text("username"), section.text("password_file"));
    let (username, file) = match (username, file) {
        (None, None) => return None,
        (Some(username), Some(file)) => (username, file),
        (Some(_), None) => {
            section.problem("username", "username needs password_file as well");
            return None;
        }
        (None, Some(_)) => {
            section.problem("password_file", "password_file needs username as well");
            return None;
        }
    };
    if to.is_some_and(|to| !matches!(to, SendTo::SmartHosts(_))) {
        section.problem("username", "username goes with smart_hosts only; nobody logs on at MX hosts or LMTP servers");
    }
    if tls == SendTls::Off {
        section.problem("username", "the password would be sent in the clear; write tls = \"require\" or \"verify\"");
    }
    with_password(section, username, &file, disk)
}

/// A name, and the password in the first line of a file of the key `password_file`.
pub fn with_password(
    section: &Section<'_, '_>,
    username: At<String>,
    file: &At<String>,
    disk: &dyn Disk,
) -> Option<Credentials> {
    let bytes = section.document().read_file(disk, &file.value, file.at)?;
    let text = String::from_utf8_lossy(&bytes);
    let password = text.lines().next().unwrap_or_default();
    if password.is_empty() {
        section.problem("password_file", format!("{} has no password in its first line", file.value));
    }
    Some(Credentials {
        username: username.value.into(),
        password: password.into(),
        password_file: section.document().path(&file.value),
    })
}
