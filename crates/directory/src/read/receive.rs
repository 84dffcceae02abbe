//! Reads `[[receive_connector]]` and looks for contradictions inside one.

use super::section::{At, Section};
use crate::permission::Group;
use crate::range::{EVERYBODY, IpRange, Ranges};
use crate::receive::{AuthMechanisms, BareNewline, Limits, Protocol, ReceiveConnector, ReceiveTls};
use crate::words::WHEN_SHORT_WORDS;
use std::net::SocketAddr;

/// A receive connector with the places of what others may collide with.
pub struct Placed {
    /// The connector, at its name.
    pub connector: At<ReceiveConnector>,
    /// Its sockets.
    pub listen: Vec<At<SocketAddr>>,
    /// Its ranges.
    pub remote: Vec<At<IpRange>>,
    /// Where it starts.
    pub at: usize,
    /// Where its mechanisms stand.
    pub auth_at: usize,
}

/// Reads one receive connector.
pub fn receive_connector(section: &mut Section<'_, '_>, node_name: &str) -> Option<Placed> {
    let name = connector_name(section);
    let protocol = section.choice("protocol", Protocol::WORDS);
    if protocol == Protocol::Submission {
        section.is_submission();
    }
    let listen = listen(section);
    let remote = ranges(section, "remote");
    let mut permissions = section.choices("permissions", Group::WORDS).unwrap_or_default();
    permissions.sort();
    permissions.dedup();
    let hostname = host_name(section, "hostname").unwrap_or_else(|| node_name.to_string());
    let banner = section.text("banner").map_or_else(|| format!("{hostname} ESMTP Posthouse"), |banner| banner.value);
    let connector = ReceiveConnector {
        name: name.as_ref().map_or("", |name| &name.value).into(),
        listen: listen.iter().map(|at| at.value).collect(),
        servers: servers(section),
        remote: Ranges(remote.iter().map(|at| at.value).collect()),
        protocol,
        tls: section.choice("tls", ReceiveTls::WORDS),
        auth: auth(section, &permissions),
        auth_without_tls: section.flag("auth_without_tls"),
        own_domain_senders: section.flag("own_domain_senders"),
        bare_newline: section.choice("bare_newline", BareNewline::WORDS),
        copies: section.has("copies").then(|| section.count("copies") as u8),
        when_short: section.choice("when_short", WHEN_SHORT_WORDS),
        trusted_proxies: trusted(section, "trusted_proxies"),
        trusted_xclient: trusted(section, "trusted_xclient"),
        hostname: hostname.into(),
        banner: banner.into(),
        limits: limits(section),
        permissions,
    };
    contradictions(section, &connector);
    links(section, &connector);
    refuse_open_relay(section, &connector, &remote);
    let connector = At { value: connector, at: name?.at };
    Some(Placed { connector, listen, remote, at: section.head(), auth_at: section.at("auth") })
}

/// A connector's name: it becomes part of queue names and metric labels.
pub fn connector_name(section: &Section<'_, '_>) -> Option<At<String>> {
    let name = section.text("name")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.value.len() > NAME_BYTES_MAX || !name.value.chars().all(plain) {
        section.problem(
            "name",
            format!("\"{}\" is no name; use up to {NAME_BYTES_MAX} letters, digits, - _ and .", name.value),
        );
    }
    Some(name)
}

/// A host name of ours.
pub fn host_name(section: &Section<'_, '_>, key: &str) -> Option<String> {
    let name = section.text(key)?;
    if !mail::address::is_domain(&name.value) || !name.value.is_ascii() {
        section.problem(key, format!("\"{}\" is no host name; write it like mx1.example.org", name.value));
    }
    Some(name.value)
}

fn listen(section: &Section<'_, '_>) -> Vec<At<SocketAddr>> {
    let Some(written) = section.texts("listen") else { return Vec::new() };
    if written.is_empty() {
        section.problem("listen", "listen is empty; write for example listen = [\"0.0.0.0:25\"]");
    }
    let mut found: Vec<At<SocketAddr>> = Vec::new();
    for text in &written {
        let Some(value) = section.socket(text) else { continue };
        if found.iter().any(|known| known.value == value) {
            section.document().problem(text.at, format!("{value} is listed twice; remove one"));
        }
        found.push(At { value, at: text.at });
    }
    found
}

/// The servers that a connector or a domain names.
pub(super) fn servers(section: &Section<'_, '_>) -> Option<Vec<Box<str>>> {
    let written = section.texts("servers")?;
    if written.is_empty() {
        section.problem("servers", "servers is empty; name the servers, or remove it for every server");
    }
    for name in written.iter().filter(|name| !mail::address::is_domain(&name.value) || !name.value.is_ascii()) {
        section
            .document()
            .problem(name.at, format!("\"{}\" is no server's name; write it like mx1.example.org", name.value));
    }
    Some(written.into_iter().map(|name| name.value.to_ascii_lowercase().into()).collect())
}

fn ranges(section: &Section<'_, '_>, key: &str) -> Vec<At<IpRange>> {
    let mut found: Vec<At<IpRange>> = Vec::new();
    for text in section.texts(key).unwrap_or_default() {
        match IpRange::parse(&text.value) {
            Ok(value) if found.iter().any(|known| known.value == value) => {
                section.document().problem(text.at, format!("{value} is listed twice in {key}; remove one"));
            }
            Ok(value) => found.push(At { value, at: text.at }),
            Err(problem) => section.document().problem(text.at, format!("{key}: {problem}")),
        }
    }
    if key == "remote" && section.has(key) && section.texts(key).is_some_and(|texts| texts.is_empty()) {
        section.problem(key, "remote is empty; nobody could connect. Name the peers, or remove it for all");
    }
    found
}

fn trusted(section: &Section<'_, '_>, key: &str) -> Ranges {
    let found = ranges(section, key);
    for range in found.iter().filter(|range| EVERYBODY.contains(&range.value)) {
        let text = format!("{key} must not be everybody: any peer could give itself another address");
        section.document().problem(range.at, text);
    }
    Ranges(found.into_iter().map(|range| range.value).collect())
}

fn auth(section: &Section<'_, '_>, permissions: &[Group]) -> AuthMechanisms {
    let users = permissions.contains(&Group::Users);
    let none = AuthMechanisms::default();
    let Some(words) = section.choices("auth", AuthMechanisms::WORDS) else {
        return if users { AuthMechanisms { plain: true, login: true, scram_sha_256: true } } else { none };
    };
    let auth = words.into_iter().fold(none, AuthMechanisms::and);
    if users && auth.is_empty() {
        section.problem("auth", "permissions has \"users\", but nobody can log on; name mechanisms in auth");
    }
    if !users && !auth.is_empty() {
        section.problem(
            "auth",
            "auth is offered, but permissions has no \"users\": a logon would allow nothing; add it or remove auth",
        );
    }
    auth
}

fn limits(section: &Section<'_, '_>) -> Limits {
    let bounded = |key: &str| Some(section.count(key)).filter(|most| *most > 0);
    let limits = Limits {
        message_bytes_max: section.bytes("message_size_max"),
        header_bytes_max: section.bytes("header_size_max"),
        recipients_max: section.count("recipients_max"),
        connections_max: section.count("connections_max"),
        connections_per_source_max: bounded("connections_per_source_max"),
        connections_per_source_percent_max: section.count("connections_per_source_percent_max"),
        message_rate_per_minute: bounded("message_rate_per_minute"),
        errors_max: section.count("errors_max"),
        logon_failures_max: bounded("logon_failures_max"),
        tarpit_ms: u64::from(section.count("tarpit_ms")),
        idle_timeout_ms: section.duration_ms("idle_timeout"),
        session_timeout_ms: section.duration_ms("session_timeout"),
        hops_max: section.count("hops_max"),
    };
    if limits.session_timeout_ms < limits.idle_timeout_ms {
        let key = if section.has("session_timeout") { "session_timeout" } else { "idle_timeout" };
        section.problem(key, "session_timeout is shorter than idle_timeout; make it longer");
    }
    limits
}

/// What cannot be meant (behaviours 1.5, 1.6).
fn contradictions(section: &Section<'_, '_>, connector: &ReceiveConnector) {
    let has = |group| connector.permissions.contains(&group);
    if section.texts("permissions").is_some_and(|written| written.is_empty()) {
        section.problem("permissions", "permissions is empty: nobody could send; name at least one group");
    }
    if connector.tls == ReceiveTls::Off && !connector.auth.is_empty() && !connector.auth_without_tls {
        section
            .problem("tls", "tls is off and auth_without_tls is false: AUTH could never be used; change one of them");
    }
    if has(Group::Relay) && has(Group::Servers) {
        let text = "\"relay\" (strangers who may relay) and \"servers\" (trusted in everything) exclude each other; choose one";
        section.problem("permissions", text);
    }
    if has(Group::Partners) && !matches!(connector.tls, ReceiveTls::Require | ReceiveTls::Implicit) {
        section.problem("permissions", "\"partners\" needs TLS; write tls = \"require\"");
    }
    if connector.banner.starts_with("220") {
        section.problem("banner", "banner is what stands behind 220; remove the number");
    }
    if connector.auth_without_tls && connector.listen.iter().any(|socket| !socket.ip().is_loopback()) {
        section.warning("auth_without_tls", "passwords may cross the network in the clear");
    }
    if connector.protocol == Protocol::Lmtp && connector.listen.iter().any(|socket| socket.port() == 25) {
        section.warning("protocol", "LMTP must not be spoken on port 25 (RFC 2033 5)");
    }
}

/// What does not go with certificates of the organization at both ends (behaviours 1.7, 3.9).
fn links(section: &Section<'_, '_>, connector: &ReceiveConnector) {
    if connector.tls != ReceiveTls::Organization {
        return;
    }
    if connector.permissions != [Group::Servers] {
        let text = "tls = \"organization\" is for servers of the organization alone; write permissions = [\"servers\"]";
        section.problem(if section.has("permissions") { "permissions" } else { "tls" }, text);
    }
    if connector.protocol != Protocol::Smtp {
        section.problem("protocol", "servers of the organization speak SMTP; remove protocol, or choose another tls");
    }
    for key in ["trusted_proxies", "trusted_xclient"].into_iter().filter(|key| section.has(key)) {
        let text = format!("{key}: servers of the organization do not come through a balancer or a proxy; remove it");
        section.problem(key, text);
    }
}

/// Relay by address alone is for narrow ranges, unless only this machine can connect anyway.
fn refuse_open_relay(section: &Section<'_, '_>, connector: &ReceiveConnector, remote: &[At<IpRange>]) {
    let by_address = [Group::Relay, Group::Servers].into_iter().find(|group| connector.permissions.contains(group));
    let Some(group) = by_address.filter(|_| connector.tls != ReceiveTls::Organization) else { return };
    if connector.listen.iter().all(|socket| socket.ip().is_loopback()) {
        return;
    }
    let too_wide = remote.iter().find(|range| {
        let widest = if range.value.first().is_ipv4() { RELAY_SPAN_MAX_V4 } else { RELAY_SPAN_MAX_V6 };
        range.value.span() >= widest
    });
    if let Some(range) = too_wide {
        let text = format!(
            "\"{group}\" for {} makes an open relay; list the few addresses that may relay in remote (at most a /8, or /32 in IPv6)",
            range.value
        );
        section.document().problem(range.at, text);
    }
}

/// Widest range that may relay by address: a /8.
const RELAY_SPAN_MAX_V4: u128 = 1 << 24;
/// The same for IPv6: a /32, which is one provider.
const RELAY_SPAN_MAX_V6: u128 = 1 << 96;
/// Longest name of a connector, in bytes.
const NAME_BYTES_MAX: usize = 64;
