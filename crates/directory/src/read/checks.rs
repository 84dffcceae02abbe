//! What is wrong or doubtful between the parts of an organization document.

use super::document::Document;
use super::org::Read;
use super::receive::Placed;
use super::section::At;
use crate::domain::Deliver;
use crate::org::{Org, socket_covers};
use crate::permission::{Grants, Group, Who};
use crate::range::{IpRange, number};
use crate::receive::Protocol;
use crate::routing::Route;
use crate::user::Password;
use mail::Mailbox;
use std::collections::HashMap;
use std::net::SocketAddr;

/// Problems: names twice, ranges that cross or are taken.
pub fn check(document: &Document<'_>, read: &Read) {
    let twice = |what, names: Vec<(String, usize)>| names_twice(document, what, names);
    twice("accepted_domain", read.domains.iter().map(|d| (d.value.name.to_string(), d.at)).collect());
    twice(
        "receive_connector",
        read.receive.iter().map(|c| (c.connector.value.name.to_string(), c.connector.at)).collect(),
    );
    twice("send_connector", read.send.iter().map(|c| (c.value.name.to_string(), c.at)).collect());
    twice("rule", read.rules.iter().map(|r| (r.value.name.to_string(), r.at)).collect());
    let spaces = read.remote.iter().flat_map(|r| r.value.domains.iter().map(|space| (space.to_string(), r.at)));
    twice("remote_domain", spaces.collect());
    twice("site", read.map.sites.iter().map(|site| (site.value.name.to_string(), site.at)).collect());
    twice("site_link", read.map.links.iter().map(|link| (link.value.name.to_lowercase(), link.at)).collect());
    twice("server", read.map.servers.iter().map(|server| (server.value.name.to_string(), server.at)).collect());
    twice("service", read.services.iter().map(|s| (s.service.value.name.to_string(), s.service.at)).collect());
    let members = read.services.iter().flat_map(|s| &s.members).filter(|m| m.value.is_written);
    twice("member", members.map(|m| (m.value.name.to_string(), m.at)).collect());
    twice("directory", read.directories.iter().map(|d| (d.value.name.to_lowercase(), d.at)).collect());
    let addresses = read.virtual_addresses.iter().map(|one| (one.address.value.name.to_string(), one.address.at));
    twice("virtual_address", addresses.collect());
    twice("user", read.users.iter().map(|u| (u.value.name.to_lowercase(), u.at)).collect());
    singles_of_users(document, read);
    for (i, later) in read.receive.iter().enumerate() {
        for earlier in &read.receive[..i] {
            ranges_of_two(document, earlier, later);
        }
    }
}

pub(super) fn names_twice(document: &Document<'_>, what: &str, names: Vec<(String, usize)>) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (name, at) in names {
        match seen.get(&name) {
            Some(first) => {
                let line = document.line_of(*first);
                document.problem(
                    at,
                    format!("there is a [[{what}]] \"{name}\" already (line {line}); give each its own name"),
                );
            }
            None => _ = seen.insert(name, at),
        }
    }
}

/// Who is named in `grant` and `deny` and is no group must be a user.
fn singles_of_users(document: &Document<'_>, read: &Read) {
    for connector in &read.receive {
        let singles = connector.connector.value.grant.iter().chain(&connector.connector.value.deny);
        let names = singles.filter_map(|single| match &single.who {
            Who::User(name) => Some(name),
            Who::Group(_) => None,
        });
        for name in names.filter(|name| !read.users.iter().any(|user| user.value.name.to_lowercase() == ***name)) {
            let text = format!(
                "\"{name}\" in grant or deny is no group and no [[user]]; write a group's word or a user's name"
            );
            document.problem(connector.connector.at, text);
        }
    }
}

/// Ranges of two connectors that share a socket may nest, but not cross, and only one may have each (behaviours 1.2).
fn ranges_of_two(document: &Document<'_>, earlier: &Placed, later: &Placed) {
    if !earlier.connector.value.may_meet(&later.connector.value) {
        return;
    }
    let shares = |a: SocketAddr, b: SocketAddr| socket_covers(a, b) || socket_covers(b, a);
    let pairs = || earlier.listen.iter().flat_map(|a| later.listen.iter().map(move |b| (a.value, b.value)));
    let Some((_, shared)) = pairs().find(|(a, b)| shares(*a, *b)) else { return };
    let same_socket = pairs().find(|(a, b)| a == b);
    let name = &earlier.connector.value.name;
    for ours in &later.remote {
        let meets = |theirs: &&At<IpRange>| match theirs.value == ours.value {
            true => same_socket.is_some(),
            false => ours.value.crosses(&theirs.value),
        };
        let Some(theirs) = earlier.remote.iter().find(meets) else { continue };
        let (range, line) = (ours.value, document.line_of(theirs.at));
        let text = match same_socket {
            Some((_, socket)) if range == theirs.value => format!(
                "{range} on {socket} is taken by receive connector \"{name}\" already (line {line}); give the two different ranges or sockets"
            ),
            _ => format!(
                "{range} crosses {} of receive connector \"{name}\" (line {line}) on {shared}; put one inside the other or apart",
                theirs.value
            ),
        };
        document.problem(ours.at, text);
        if ours.at == later.at {
            break; // ranges that are not written have one cause
        }
    }
}

/// Warnings: what is allowed but hardly meant.
pub fn warn(document: &Document<'_>, read: &Read, org: &Org) {
    let enabled: Vec<&Placed> = read.receive.iter().filter(|placed| placed.connector.value.enabled).collect();
    for (i, connector) in enabled.iter().enumerate() {
        let others = enabled.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, c)| *c);
        // Only one that is on all nodes of this one takes its peers everywhere.
        let everywhere = |other: &&Placed| {
            let (ours, theirs) = (&connector.connector.value.servers, &other.connector.value);
            theirs.servers.is_none()
                || ours.as_ref().is_some_and(|servers| servers.iter().all(|one| theirs.is_for(one)))
        };
        let others: Vec<&Placed> = others.filter(everywhere).collect();
        if never_matches(connector, &others) {
            let text = "no connection ever meets this connector: smaller ranges of others take all of its peers";
            document.warning(connector.connector.at, text);
        }
    }
    unused_send_connectors(document, read, org);
    domains_without_a_way(document, read, org);
    users_and_mechanisms(document, read);
    open_maildirs(document, read);
    let relays =
        |c: &Placed| c.connector.value.permissions.iter().any(|group| group.grants().has(Grants::ANY_RECIPIENT));
    if let (Some(connector), true) = (read.receive.iter().find(|c| relays(c)), read.send.is_empty()) {
        let text = "this connector takes mail for any domain, but no [[send_connector]] says where to: such mail would wait until it expires";
        document.warning(connector.connector.at, text);
    }
}

fn never_matches(connector: &Placed, others: &[&Placed]) -> bool {
    let pairs = connector.listen.iter().flat_map(|socket| connector.remote.iter().map(move |range| (socket, range)));
    let mut pairs = pairs.peekable();
    pairs.peek().is_some()
        && pairs.all(|(socket, range)| {
            let on_socket = others.iter().filter(|o| o.listen.iter().any(|l| socket_covers(l.value, socket.value)));
            let smaller = on_socket.flat_map(|other| &other.remote).map(|r| r.value);
            filled(&range.value, smaller.filter(|r| *r != range.value && range.value.covers(r)).collect())
        })
}

/// The smaller ranges leave nothing of the range over.
fn filled(range: &IpRange, mut smaller: Vec<IpRange>) -> bool {
    smaller.sort_by_key(|r| number(r.first()));
    let mut next = Some(number(range.first()));
    for r in smaller {
        match next {
            Some(free) if number(r.first()) <= free => {
                next = next.max(number(r.last()).checked_add(1)).filter(|_| number(r.last()) != u128::MAX)
            }
            _ => break,
        }
    }
    next.is_none_or(|free| free > number(range.last()))
}

fn unused_send_connectors(document: &Document<'_>, read: &Read, org: &Org) {
    let mut winners: HashMap<&str, Vec<usize>> = HashMap::new();
    for space in read.send.iter().flat_map(|connector| &connector.value.domains) {
        winners.entry(&space.space).or_insert_with(|| org.winners_of_space(&space.space));
    }
    for (number, At { value: connector, at }) in read.send.iter().enumerate() {
        let of_spaces = || connector.domains.iter().filter_map(|space| winners.get(&*space.space)).flatten();
        let by = of_spaces().next().and_then(|number| read.send.get(*number));
        if let (true, false, Some(by)) = (connector.enabled, of_spaces().any(|winner| *winner == number), by) {
            let text = format!(
                "this connector is never used: \"{}\" has the same domains and comes first by cost and name, even while its next hop is down",
                by.value.name
            );
            document.warning(*at, text);
        }
    }
}

fn domains_without_a_way(document: &Document<'_>, read: &Read, org: &Org) {
    for At { value: domain, at } in read.domains.iter().filter(|d| d.value.deliver == Deliver::Relay) {
        let example = domain.name.trim_start_matches("*.");
        let probe = Mailbox::parse(&format!("postmaster@{example}"), true);
        if probe.is_ok_and(|probe| matches!(org.route(&probe), Route::Unreachable(_))) {
            let text = format!(
                "no send connector delivers {}: its mail would wait until it expires; set deliver or add a send connector",
                domain.name
            );
            document.warning(*at, text);
        }
    }
}

fn users_and_mechanisms(document: &Document<'_>, read: &Read) {
    let logons: Vec<&Placed> =
        read.receive.iter().filter(|c| c.connector.value.permissions.contains(&Group::Users)).collect();
    if let (Some(user), true) = (read.users.first(), logons.is_empty()) {
        document.warning(user.at, "no receive connector has the permission \"users\": nobody can log on");
    }
    let elsewhere = read.directories.iter().any(|directory| directory.value.logon.is_some());
    if let (Some(connector), true) = (logons.first(), read.users.is_empty() && !elsewhere) {
        document.warning(
            connector.connector.at,
            "this connector is for users, but there is no [[user]], and no [[directory]] with logon",
        );
    }
    for connector in logons {
        let auth = connector.connector.value.auth;
        let only_scram = auth.scram_sha_256 && !auth.plain && !auth.login;
        let lacks = |user: &&At<crate::user::User>| matches!(user.value.password, Password::Argon2id(_));
        if let (true, Some(user)) = (only_scram, read.users.iter().find(lacks)) {
            let text = format!(
                "only scram-sha-256 is offered, and user \"{}\" has no SCRAM keys: make them with `posthouse hash-password --scram`",
                user.value.name
            );
            document.warning(connector.auth_at, text);
        }
    }
}

/// Maildirs are made for every new recipient: strangers should not be able to make them.
fn open_maildirs(document: &Document<'_>, read: &Read) {
    let outside = |c: &&Placed| {
        let connector = &c.connector.value;
        let reachable = connector.listen.iter().any(|l| !l.ip().is_loopback());
        reachable && connector.protocol != Protocol::Lmtp && connector.permissions.contains(&Group::Anonymous)
    };
    let Some(connector) = read.receive.iter().find(outside) else { return };
    for At { value: domain, at } in &read.domains {
        if domain.deliver == Deliver::Maildir && !domain.refuses_unknown {
            let name = &connector.connector.value.name;
            let text = format!(
                "strangers on connector \"{name}\" can make mailboxes without end in {}; list its recipients",
                domain.name
            );
            document.warning(*at, text);
        }
    }
}
