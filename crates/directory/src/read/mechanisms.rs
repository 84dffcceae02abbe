//! What cannot be meant inside one receive connector: the graph of mechanisms, groups and single permissions (behaviours 1.4 to 1.7).
//! It is looked at when a document is read, so that no session ever meets a contradiction.

use super::section::{At, Section};
use crate::permission::{Grants, Group, Principal, Single, Who};
use crate::range::IpRange;
use crate::receive::{Protocol, ReceiveConnector, ReceiveTls};

/// What is written, with its places.
pub struct Written<'w> {
    /// The connector's ranges.
    pub remote: &'w [At<IpRange>],
    /// Its single permissions.
    pub grant: &'w [At<Single>],
    /// What it denies.
    pub deny: &'w [At<Single>],
    /// The node that reads the document.
    pub node_name: &'w str,
}

/// Looks for all of it.
pub fn check(section: &Section<'_, '_>, connector: &ReceiveConnector, written: &Written<'_>) {
    mechanisms(section, connector);
    servers(section, connector, written.node_name);
    links(section, connector);
    singles(section, connector, written);
    open_relay(section, connector, written.remote);
    if connector.banner.starts_with("220") {
        section.problem("banner", "banner is what stands behind 220; remove the number");
    }
    if connector.protocol == Protocol::Lmtp && connector.listen.iter().any(|socket| socket.port() == 25) {
        section.warning("protocol", "LMTP must not be spoken on port 25 (RFC 2033 5)");
    }
}

/// What counts where `externally_secured` is not written: documents that trusted a few addresses go on doing so.
pub fn is_secured_by_default(connector: &ReceiveConnector) -> bool {
    connector.permissions.contains(&Group::Servers)
        && !connector.permissions.contains(&Group::Relay)
        && connector.tls != ReceiveTls::Organization
        && (only_this_machine(connector) || !connector.remote.0.iter().any(is_too_wide))
}

/// Which logons, which TLS, and whether both go together.
fn mechanisms(section: &Section<'_, '_>, connector: &ReceiveConnector) {
    let has = |group| connector.permissions.contains(&group);
    if section.texts("permissions").is_some_and(|written| written.is_empty()) {
        section.problem("permissions", "permissions is empty: nobody could send; name at least one group");
    }
    if connector.tls == ReceiveTls::Off && !connector.auth.is_empty() && !connector.auth_without_tls {
        section
            .problem("tls", "tls is off and auth_without_tls is false: AUTH could never be used; change one of them");
    }
    if connector.auth_without_tls && connector.listen.iter().any(|socket| !socket.ip().is_loopback()) {
        section.warning("auth_without_tls", "passwords may cross the network in the clear");
    }
    // Beside "anonymous" the group adds nothing: what a partner may do in the clear, anybody may.
    let under_tls = matches!(connector.tls, ReceiveTls::Require | ReceiveTls::Implicit);
    if has(Group::Partners) && !has(Group::Anonymous) && !under_tls {
        section.problem("permissions", "\"partners\" needs TLS; write tls = \"require\"");
    }
}

/// Who is one of our servers, and under which name they know us.
fn servers(section: &Section<'_, '_>, connector: &ReceiveConnector, node_name: &str) {
    let has = |group| connector.permissions.contains(&group);
    if has(Group::Relay) && has(Group::Servers) {
        let text = "\"relay\" (strangers who may relay) and \"servers\" (trusted in everything) exclude each other; choose one";
        return section.problem("permissions", text);
    }
    if section.has("externally_secured") && connector.externally_secured {
        if !has(Group::Servers) {
            let text = "externally_secured says that peers are our servers, but permissions has no \"servers\"; add it";
            section.problem("externally_secured", text);
        } else if connector.permissions != [Group::Servers] || !connector.grant.is_empty() {
            let text = "peers of an externally_secured connector are trusted in everything: nobody else may use it; \
                        write permissions = [\"servers\"] and no grant, and make another connector for the others";
            section.problem("externally_secured", text);
        }
    }
    if connector.permissions == [Group::Servers]
        && !connector.externally_secured
        && connector.tls != ReceiveTls::Organization
    {
        let text = "nobody can prove here to be one of our servers, so nobody could send; write tls = \"organization\", or list their \
                    addresses in remote and write externally_secured = true";
        section.problem("permissions", text);
    }
    if has(Group::Servers) && connector.externally_secured && !section.has("externally_secured") {
        let text =
            "\"servers\" are known by their address alone here; write externally_secured = true if that is meant";
        section.warning("permissions", text);
    }
    if has(Group::Servers) && !connector.externally_secured && section.has("hostname") {
        let short = |node: &str| node.split('.').next().unwrap_or_default().to_string();
        let names = |node: &str| {
            connector.hostname.eq_ignore_ascii_case(node) || connector.hostname.eq_ignore_ascii_case(&short(node))
        };
        let is_own =
            connector.servers.as_ref().map_or(names(node_name), |servers| servers.iter().all(|node| names(node)));
        if !is_own {
            let text = "our servers know each other by name: on a connector for \"servers\" hostname is the node's own name or is left \
                        out; give a shared name a connector of its own";
            section.problem("hostname", text);
        }
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
    if connector.externally_secured {
        let text = "tls = \"organization\" asks for a certificate, externally_secured for none; choose one";
        section.problem("externally_secured", text);
    }
    if connector.protocol != Protocol::Smtp {
        section.problem("protocol", "servers of the organization speak SMTP; remove protocol, or choose another tls");
    }
    for key in ["trusted_proxies", "trusted_xclient"].into_iter().filter(|key| section.has(key)) {
        let text = format!("{key}: servers of the organization do not come through a balancer or a proxy; remove it");
        section.problem(key, text);
    }
}

/// Single permissions that contradict each other or go too far (behaviours 1.6: two shapes of relay by address and no other).
fn singles(section: &Section<'_, '_>, connector: &ReceiveConnector, written: &Written<'_>) {
    let document = section.document();
    for At { value: single, at } in written.grant {
        if let Some(text) = goes_too_far(single) {
            document.problem(*at, format!("{single}: {text}"));
        } else if connector.deny.contains(single) {
            document.problem(*at, format!("{single} is granted and denied; remove one"));
        } else if connector.permissions.contains(&Group::Servers) && gives_relay(single) {
            let text = format!(
                "{single} and \"servers\" exclude each other: strangers who may relay get a connector of their own"
            );
            document.problem(*at, text);
        }
    }
    for At { value: single, at } in written.deny {
        let granted = connector.permissions.iter().any(|given| given.grants().has(single.what))
            || connector.grant.iter().any(|other| other.what == single.what);
        if !granted {
            document.warning(*at, format!("{single} takes nothing away: nobody has it here"));
        }
    }
}

fn gives_relay(single: &Single) -> bool {
    single.what == Grants::ANY_RECIPIENT && matches!(single.who, Who::Group(Group::Anonymous | Group::Relay))
}

fn goes_too_far(single: &Single) -> Option<&'static str> {
    match &single.who {
        Who::Group(Group::Servers) => None,
        _ if single.what.has_any(Grants::SERVERS_ONLY) => Some("only our own servers have that, by their certificate"),
        Who::Group(Group::Partners) if single.what == Grants::ANY_RECIPIENT => Some(
            "partners may not relay; make a connector for the addresses that may, with \"anonymous:any-recipient\"",
        ),
        Who::Group(Group::Anonymous | Group::Relay | Group::Partners)
            if single
                .what
                .has_any(Grants::INTERNAL | Grants::TRUSTED | Grants::ANY_SIZE | Grants::ANY_RECIPIENT_COUNT) =>
        {
            Some(
                "strangers stay strangers; for peers that are trusted write permissions = [\"servers\"] and externally_secured = true",
            )
        }
        _ => None,
    }
}

/// Relay by address alone is for narrow ranges, unless only this machine can connect anyway.
fn open_relay(section: &Section<'_, '_>, connector: &ReceiveConnector, remote: &[At<IpRange>]) {
    let may = connector.grants(&Principal::Peer);
    if !may.has(Grants::SUBMIT | Grants::ANY_RECIPIENT) || only_this_machine(connector) {
        return;
    }
    let group = [Group::Relay, Group::Servers].into_iter().find(|group| connector.permissions.contains(group));
    let by = group.map_or("anonymous:any-recipient", Group::word);
    if let Some(range) = remote.iter().find(|range| is_too_wide(&range.value)) {
        let text = format!(
            "\"{by}\" for {} makes an open relay; list the few addresses that may relay in remote (at most a /8, or /32 in IPv6)",
            range.value
        );
        section.document().problem(range.at, text);
    }
}

fn only_this_machine(connector: &ReceiveConnector) -> bool {
    connector.listen.iter().all(|socket| socket.ip().is_loopback())
}

fn is_too_wide(range: &IpRange) -> bool {
    range.span() >= if range.first().is_ipv4() { RELAY_SPAN_MAX_V4 } else { RELAY_SPAN_MAX_V6 }
}

/// Widest range that may relay by address: a /8.
const RELAY_SPAN_MAX_V4: u128 = 1 << 24;
/// The same for IPv6: a /32, which is one provider.
const RELAY_SPAN_MAX_V6: u128 = 1 << 96;
