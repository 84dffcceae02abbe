//! Reads `[[receive_connector]]`. What cannot be meant inside one is looked for by [`mechanisms`](super::mechanisms).

use super::mechanisms::{self, Written};
use super::section::{At, Section};
use crate::permission::{Grants, Group, Single, Who};
use crate::range::{EVERYBODY, IpRange, Ranges};
use crate::receive::{
    AuthMechanisms, BareNewline, Extension, Limits, Protocol, ReceiveConnector, ReceiveTls, RefusedDomains,
};
use crate::usage::Usage;
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
    usage(section);
    let name = connector_name(section, Spaces::Yes);
    let protocol = section.choice("protocol", Protocol::WORDS);
    if protocol == Protocol::Submission {
        section.is_submission();
    }
    let listen = listen(section);
    let remote = ranges(section, "remote");
    let mut permissions = section.choices("permissions", Group::WORDS).unwrap_or_default();
    permissions.sort();
    permissions.dedup();
    let (grant, deny) = (singles(section, "grant"), singles(section, "deny"));
    let mut extensions_off = section.choices("extensions_off", Extension::WORDS).unwrap_or_default();
    extensions_off.sort();
    extensions_off.dedup();
    let hostname = host_name(section, "hostname").unwrap_or_else(|| node_name.to_string());
    let banner = section.text("banner").map_or_else(|| format!("{hostname} ESMTP Posthouse"), |banner| banner.value);
    let mut connector = ReceiveConnector {
        enabled: section.flag("enabled"),
        grant: grant.iter().map(|at| at.value.clone()).collect(),
        deny: deny.iter().map(|at| at.value.clone()).collect(),
        externally_secured: section.flag("externally_secured"),
        extensions_off,
        require_hello_domain: section.flag("require_hello_domain"),
        refused_domains: section.choices("refuse_domains", RefusedDomains::WORDS).unwrap_or_default(),
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
    if !section.has("externally_secured") {
        connector.externally_secured = mechanisms::is_secured_by_default(&connector);
    }
    mechanisms::check(section, &connector, &Written { remote: &remote, grant: &grant, deny: &deny, node_name });
    let connector = At { value: connector, at: name?.at };
    Some(Placed { connector, listen, remote, at: section.head(), auth_at: section.at("auth") })
}

/// Other defaults, by what the connector is for.
fn usage(section: &mut Section<'_, '_>) {
    if !section.has("usage") {
        return;
    }
    let usage = section.choice("usage", Usage::WORDS);
    section.use_presets(usage.presets());
    for key in usage.must_be_written().iter().filter(|key| !section.has(key)) {
        section.problem("usage", format!("usage = \"{}\" presets no {key}; add it: {key} = ...", usage.word()));
    }
}

/// Whether a name may hold spaces.
#[derive(Clone, Copy, PartialEq)]
pub enum Spaces {
    /// Between its words, one each.
    Yes,
    /// It becomes part of names of queues, which people type.
    No,
}

/// A connector's name: it becomes part of metric labels.
pub fn connector_name(section: &Section<'_, '_>, spaces: Spaces) -> Option<At<String>> {
    let name = section.text("name")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_word = |word: &str| !word.is_empty() && word.chars().all(plain);
    let (is_name, bytes_max, and) = match spaces {
        Spaces::Yes => (name.value.split(' ').all(is_word), WORDS_BYTES_MAX, ", one space between words"),
        Spaces::No => (is_word(&name.value), NAME_BYTES_MAX, ""),
    };
    if name.value.len() > bytes_max || !is_name {
        let text = format!("\"{}\" is no name; use up to {bytes_max} letters, digits, - _ and .{and}", name.value);
        section.problem("name", text);
    }
    Some(name)
}

/// Single permissions of `grant` or `deny`.
fn singles(section: &Section<'_, '_>, key: &str) -> Vec<At<Single>> {
    let read = |text: At<String>| {
        let parts = text.value.rsplit_once(':').map(|(who, what)| (who.trim(), what.trim()));
        let Some((who, what)) = parts.filter(|(who, _)| !who.is_empty()) else {
            let hint = "write GROUP:PERMISSION or USER:PERMISSION, for example \"anonymous:any-recipient\"";
            section.document().problem(text.at, format!("\"{}\" is no {key}; {hint}", text.value));
            return None;
        };
        let what = section.word(key, what, text.at, Grants::WORDS)?;
        let group = Group::WORDS.iter().find(|(word, _)| *word == who).map(|(_, group)| Who::Group(*group));
        let who = group.unwrap_or_else(|| Who::User(who.to_lowercase().into()));
        Some(At { value: Single { who, what }, at: text.at })
    };
    section.texts(key).unwrap_or_default().into_iter().filter_map(read).collect()
}

/// A host name of ours.
pub fn host_name(section: &Section<'_, '_>, key: &str) -> Option<String> {
    let name = section.text(key)?;
    if !mail::address::is_domain(&name.value) || !name.value.is_ascii() {
        section.problem(key, format!("\"{}\" is no host name; write it like mx1.example.org", name.value));
    }
    Some(name.value)
}

pub(super) fn listen(section: &Section<'_, '_>) -> Vec<At<SocketAddr>> {
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

pub(super) fn ranges(section: &Section<'_, '_>, key: &str) -> Vec<At<IpRange>> {
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

pub(super) fn trusted(section: &Section<'_, '_>, key: &str) -> Ranges {
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
    let auth_tarpit = if section.has("auth_tarpit_ms") { "auth_tarpit_ms" } else { "tarpit_ms" };
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
        auth_tarpit_ms: u64::from(section.count(auth_tarpit)),
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

/// Longest name of a connector, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// The same where it may hold spaces: `Default internal receive connector` and a host name.
const WORDS_BYTES_MAX: usize = 128;
