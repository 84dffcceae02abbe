//! What cannot be in a zone: records that DNS forbids beside each other, names that lead nowhere (RFC 1034, 1912, 2181, 7208, 7505).

use super::document::Document;
use super::naming::Named;
use crate::topology::Topology;
use crate::zone::{Data, Entry, Naming, Type, parse_name};

/// Problems, each with the place of the record.
pub fn check(document: &Document<'_>, named: &Named, naming: &Naming, map: &Topology) {
    let problem = |entry: &Entry, text: String| document.problem(named.at(entry), text);
    for entry in naming.astray() {
        let hint = "add the zone, or write a name that is in one of the zones that are there";
        problem(entry, format!("{} is in no [[zone]] of this document; {hint}", entry.name));
    }
    for zone in naming.zones() {
        let entries = naming.entries(&zone.name);
        let mut from = 0;
        while from < entries.len() {
            let name = &entries[from].name;
            let count = entries[from..].iter().take_while(|entry| entry.name == *name).count();
            of_name(&entries[from..from + count], &zone.name, &problem);
            from += count;
        }
        for entry in entries {
            below_a_delegation(entry, entries, &zone.name, &problem);
            target(entry, naming, &problem);
        }
    }
    layouts(document, named, map);
}

type Tell<'a> = &'a dyn Fn(&Entry, String);

/// What stands at one name.
fn of_name(entries: &[Entry], zone: &str, problem: Tell<'_>) {
    let name = &entries[0].name;
    if let Err(why) = parse_name(name) {
        problem(&entries[0], format!("a record would stand at {name}: {why}"));
    }
    let of = |kind: Type| entries.iter().filter(move |entry| entry.data.kind() == kind);
    if let (Some(cname), true) = (of(Type::Cname).next(), entries.len() > 1) {
        let text = match **name == *zone {
            true => format!("{name} is the zone itself, so it cannot be a CNAME; give it the addresses"),
            false => format!("{name} is a CNAME, so nothing else can stand there; remove the one or the other"),
        };
        problem(cname, text);
    }
    let foreign = entries.iter().find(|entry| entry.data.kind() != Type::Ns && !is_address(&entry.data));
    if let (Some(_), Some(other), false) = (of(Type::Ns).next(), foreign, **name == *zone) {
        let text = format!(
            "{name} is delegated to other name servers (ns): its {} record belongs there",
            other.data.kind().word()
        );
        problem(other, text);
    }
    let no_mail = of(Type::Mx).find(|entry| entry.data.target().is_none());
    if let (Some(none), 2..) = (no_mail, of(Type::Mx).count()) {
        problem(none, format!("\"0 .\" says that {name} takes no mail; remove it, or the other MX records (RFC 7505)"));
    }
    let is_spf = |entry: &&Entry| matches!(&entry.data, Data::Txt(text) if is_spf(text));
    if let Some(second) = of(Type::Txt).filter(is_spf).nth(1) {
        problem(second, format!("{name} has two SPF records, so it has none (RFC 7208 4.5); put them together"));
    }
}

/// Nothing but addresses of name servers can be below a name that is delegated.
fn below_a_delegation(entry: &Entry, entries: &[Entry], zone: &str, problem: Tell<'_>) {
    let cut = entries
        .iter()
        .find(|other| other.data.kind() == Type::Ns && is_below(&entry.name, &other.name) && *other.name != *zone);
    if let (Some(cut), false) = (cut, is_address(&entry.data)) {
        problem(
            entry,
            format!("{} is below {}, which is delegated to other name servers; write it there", entry.name, cut.name),
        );
    }
}

/// Names that records point to, as far as they are ours.
fn target(entry: &Entry, naming: &Naming, problem: Tell<'_>) {
    let Some(target) = entry.data.target().filter(|_| !matches!(entry.data, Data::Cname(_) | Data::Ptr(_))) else {
        return;
    };
    let Some(zone) = naming.zone_of(target) else { return };
    let entries = naming.entries(&zone.name);
    let is_delegated = entries.iter().any(|other| {
        other.data.kind() == Type::Ns
            && *other.name != *zone.name
            && (*other.name == *target || is_below(target, &other.name))
    });
    let here: Vec<&Entry> = at(entries, target);
    let what = format!("{} {}", entry.name, entry.data.kind().word());
    if let Some(other) = here.iter().find(|other| other.data.kind() == Type::Cname) {
        let Data::Cname(real) = &other.data else { return };
        problem(entry, format!("{what} points to {target}, which is a CNAME; write {real} (RFC 2181 10.3)"));
    } else if !here.iter().any(|other| is_address(&other.data)) && (!is_delegated || entry.data.kind() == Type::Ns) {
        problem(
            entry,
            format!(
                "{what} points to {target}, which has no address in zone {}; add a [[dns_name]] with it",
                zone.name
            ),
        );
    }
}

/// What answers for a name: its own records, or else those of the nearest `*` above.
fn at<'e>(entries: &'e [Entry], name: &str) -> Vec<&'e Entry> {
    let of = |name: &str| entries.iter().filter(|entry| *entry.name == *name).collect::<Vec<_>>();
    let own = of(name);
    if !own.is_empty() {
        return own;
    }
    let above = name.match_indices('.').map(|(dot, _)| format!("*{}", &name[dot..]));
    above.map(|star| of(&star)).find(|found| !found.is_empty()).unwrap_or_default()
}

fn layouts(document: &Document<'_>, named: &Named, map: &Topology) {
    for layout in &named.layouts {
        let servers = layout.value.candidates(map).len();
        let hosts = layout.value.hosts(map);
        let places = hosts.len() * (layout.value.addresses as usize);
        match servers {
            0 => document.problem(
                layout.at,
                "no server has this layout; give the servers public_addresses, or name sites or servers that have some",
            ),
            _ if places < servers => {
                let text = format!(
                    "{} hosts with {} addresses leave {} of {servers} servers without mail; raise hosts or addresses",
                    hosts.len(),
                    layout.value.addresses,
                    servers - places
                );
                document.warning(layout.at, text);
            }
            _ if layout.value.addresses as usize > servers => {
                document.warning(layout.at, format!("addresses = {} and there are {servers} servers: a host has no more addresses than there are servers", layout.value.addresses));
            }
            _ => {}
        }
        let taken = |host: &str| named.names.iter().find(|name| *name.name.value.name == *host);
        if let Some(name) = hosts.iter().find_map(|host| taken(&host.name)) {
            document.problem(
                name.name.at,
                format!(
                    "{} is a host of mx_layout \"{}\"; choose another host_name there, or remove this",
                    name.name.value.name, layout.value.name
                ),
            );
        }
    }
}

/// The text is an SPF record (RFC 7208 4.5).
pub fn is_spf(text: &[u8]) -> bool {
    let head = text.get(..6).unwrap_or_default();
    head.eq_ignore_ascii_case(b"v=spf1") && matches!(text.get(6), None | Some(b' '))
}

fn is_address(data: &Data) -> bool {
    matches!(data, Data::A(_) | Data::Aaaa(_))
}

fn is_below(name: &str, above: &str) -> bool {
    name.strip_suffix(above).is_some_and(|rest| rest.ends_with('.'))
}
