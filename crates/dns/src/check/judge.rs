//! What is thought of what was seen.

use super::{Seen, ServerSeen, Wanted, Wish};
use crate::name::Name;
use crate::push::Key;
use crate::record::{Data, Kind};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub grade: Grade,
    /// What.
    pub what: String,
    /// What to do.
    pub advice: String,
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// Mail or clients fail because of it.
    Problem,
    /// Some of the world thinks less of us, or a change comes late.
    Warning,
    /// Worth knowing.
    Note,
}

impl Grade {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Grade::Problem => "problem",
            Grade::Warning => "warning",
            Grade::Note => "note",
        }
    }
}

/// All findings, the worst first.
pub fn judge(wish: &Wish, seen: &Seen) -> Vec<Finding> {
    let mut found = Findings(Vec::new());
    delegation(wish, seen, &mut found);
    servers(seen, &mut found);
    for wanted in &wish.sets {
        set(wanted, seen, &mut found);
    }
    domains(wish, seen, &mut found);
    identities(wish, seen, &mut found);
    found.0.sort_by_key(|finding| finding.grade);
    found.0
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, grade: Grade, what: String, advice: impl Into<String>) {
        self.0.push(Finding { grade, what, advice: advice.into() });
    }
}

fn delegation(wish: &Wish, seen: &Seen, found: &mut Findings) {
    let Some(delegation) = &seen.delegation else { return };
    let delegation = match delegation {
        Ok(delegation) => delegation,
        Err(why) => {
            let what = format!("what the parent zone says of {} is not known: {why}", wish.zone);
            return found.add(
                Grade::Warning,
                what,
                "name a resolver that works (--resolver), or the servers (--server)",
            );
        }
    };
    if delegation.servers.is_empty() {
        let what = format!("{} is not delegated: its parent zone has no NS records for it", wish.zone);
        return found.add(Grade::Problem, what, "have them entered where the domain is registered");
    }
    let ours: BTreeSet<String> = wish.name_servers.iter().map(text).collect();
    for missing in ours.difference(&delegation.servers) {
        let what =
            format!("{missing} is a name server of {}, and the parent zone does not say so: nobody asks it", wish.zone);
        found.add(
            Grade::Warning,
            what,
            "have it entered where the domain is registered, or take it out of name_servers",
        );
    }
    for foreign in delegation.servers.difference(&ours) {
        let what =
            format!("the parent zone delegates {} to {foreign} as well, which is none of its name_servers", wish.zone);
        found.add(
            Grade::Problem,
            what,
            "add it to name_servers and let it copy the zone, or have it taken out where the domain is registered",
        );
    }
    for server in delegation.servers.intersection(&ours) {
        let of_zone: BTreeSet<IpAddr> = addresses(wish, server);
        let is_inside = Name::parse(server).is_ok_and(|name| name.is_within(&wish.zone));
        match delegation.glue.get(server) {
            None if is_inside => {
                let what = format!(
                    "the parent zone gives no address for {server}, which is in the zone itself: nobody finds it"
                );
                found.add(Grade::Problem, what, "have its addresses (glue) entered where the domain is registered");
            }
            Some(glue) if is_inside && *glue != of_zone => {
                let what = format!(
                    "the parent zone says that {server} is at {}, the zone says {}",
                    list(glue),
                    list(&of_zone)
                );
                found.add(Grade::Problem, what, "correct the glue where the domain is registered, or the address here");
            }
            _ => {}
        }
    }
}

fn servers(seen: &Seen, found: &mut Findings) {
    if seen.servers.is_empty() {
        found.add(Grade::Problem, "no name server was found to ask".into(), "name them with --server ADDRESS");
    }
    let mut serials: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for server in &seen.servers {
        match &server.serial {
            Ok(serial) => serials.entry(*serial).or_default().push(shown(server)),
            Err(why) => found.add(
                Grade::Problem,
                format!("name server {}: {why}", shown(server)),
                "start it, let UDP and TCP port 53 through to it, or take it out of the delegation",
            ),
        }
    }
    if serials.len() > 1 {
        let each: Vec<String> =
            serials.iter().map(|(serial, names)| format!("{serial} at {}", names.join(" "))).collect();
        let advice = "wait for the transfers and ask again; if it stays, see notify, secondaries and tsig_keys of the zone, and the secondary's log \
                      (nodes of ours number their versions by themselves: a difference there is no fault)";
        found.add(
            Grade::Warning,
            format!("the servers have different versions of the zone: {}", each.join(", ")),
            advice,
        );
    }
}

/// One set, over all servers that answer.
fn set(wanted: &Wanted, seen: &Seen, found: &mut Findings) {
    let what = format!("{} {}", wanted.key.name, wanted.key.kind);
    let mut said: BTreeSet<String> = BTreeSet::new();
    for server in seen.servers.iter().filter(|server| server.serial.is_ok()) {
        let Some((ttl_s, data)) = server.sets.get(&wanted.key) else { continue };
        let name = shown(server);
        let by = if said.is_empty() { "" } else { " as well" };
        if *data != wanted.now {
            let foreign: BTreeSet<&Data> = data.difference(&wanted.ever).collect();
            let text = match (data.is_empty(), foreign.is_empty()) {
                (true, _) => format!("{name} has no {what}"),
                (_, false) => format!(
                    "{name} answers {what} with {}, which is none of ours",
                    list(foreign.into_iter().map(shown_data))
                ),
                _ => format!("{name} answers {what} by another health: {} and not {}", datas(data), datas(&wanted.now)),
            };
            let grade = if !data.is_empty() && data.is_subset(&wanted.ever) { Grade::Note } else { Grade::Problem };
            let advice = match grade {
                Grade::Note => "after the TTL it should be right; if it stays, push or transfer does not work",
                _ => "posthouse dns push, or look why the transfer to that server does not work",
            };
            found.add(grade, text, advice);
        } else if *ttl_s > wanted.ttl_s && said.insert(what.clone()) {
            let text = format!(
                "{name} answers {what} with a TTL of {ttl_s} s{by}, the zone has {} s: a host that is down is asked for longer",
                wanted.ttl_s
            );
            found.add(Grade::Warning, text, "posthouse dns push, or correct the TTL there");
        }
    }
}

/// What others look at before they believe mail from a domain. What the servers answer counts, else what we want.
fn domains(wish: &Wish, seen: &Seen, found: &mut Findings) {
    let texts = |name: &Name| -> Vec<String> {
        let key = Key::new(name, Kind::TXT);
        let answered = seen.servers.iter().find_map(|server| server.sets.get(&key).map(|(_, data)| data));
        let wanted = wish.sets.iter().find(|set| set.key == key).map(|set| &set.now);
        answered.or(wanted).into_iter().flatten().map(text_of).collect()
    };
    for domain in &wish.mail_domains {
        let is_spf = |text: &String| text.eq_ignore_ascii_case("v=spf1") || text.to_lowercase().starts_with("v=spf1 ");
        match texts(domain).iter().filter(|text| is_spf(text)).count() {
            0 => found.add(
                Grade::Warning,
                format!("{domain} has no SPF record: anybody can send in its name"),
                "add txt = [\"v=spf1 mx -all\"] to its [[dns_name]]",
            ),
            1 => {}
            _ => found.add(
                Grade::Problem,
                format!("{domain} has several SPF records, so it has none"),
                "put them together",
            ),
        }
        let policy = Name::parse(&format!("_dmarc.{domain}"));
        if policy.is_ok_and(|name| !texts(&name).iter().any(|text| text.starts_with("v=DMARC1"))) {
            let advice = format!(
                "add a [[dns_name]] \"_dmarc.{}\" with txt = [\"v=DMARC1; p=none\"], and tighten it later",
                text(domain)
            );
            found.add(Grade::Note, format!("{domain} has no DMARC record"), advice);
        }
        let mx = Key::new(domain, Kind::MX);
        let address = [Kind::A, Kind::AAAA].map(|kind| Key::new(domain, kind));
        if !wish.sets.iter().any(|set| set.key == mx || address.contains(&set.key)) {
            found.add(
                Grade::Problem,
                format!("{domain} has neither MX nor address"),
                "add an [[mx_layout]], or mx to its [[dns_name]]",
            );
        }
    }
}

/// The address that mail comes from, the name of that address, and the name in EHLO.
fn identities(wish: &Wish, seen: &Seen, found: &mut Findings) {
    for identity in &wish.identities {
        let (address, hello, server) = (identity.address, &identity.hello, &identity.server);
        let pointers = match seen.pointers.get(&address) {
            None => continue,
            Some(Err(why)) => {
                let what = format!("the name of {address} (server {server}) is not known: {why}");
                found.add(Grade::Warning, what, "name a resolver that works (--resolver)");
                continue;
            }
            Some(Ok(pointers)) => pointers,
        };
        let names: Vec<String> = pointers.iter().map(|pointer| text(&pointer.name)).collect();
        if pointers.is_empty() {
            let what = format!("{address} (server {server}) has no PTR record: many refuse mail from it");
            found.add(
                Grade::Problem,
                what,
                format!("have the owner of the address point it to {hello}, or add its reverse zone here"),
            );
        } else if !pointers.iter().any(|pointer| pointer.addresses.contains(&address)) {
            let what = format!(
                "{address} (server {server}) is called {}, and that name does not have this address",
                names.join(" ")
            );
            found.add(
                Grade::Problem,
                what,
                format!("add {address} to the addresses of that name, or have the PTR record point to {hello}"),
            );
        } else if !names.iter().any(|name| *name == **hello) {
            let what = format!(
                "{address} (server {server}) is called {}, and the server calls itself {hello} in EHLO",
                names.join(" ")
            );
            found.add(
                Grade::Warning,
                what,
                "set hello of its send connector to the name of the address, or have the PTR record changed",
            );
        }
    }
}

/// The addresses of a name in the zone as we want it.
fn addresses(wish: &Wish, name: &str) -> BTreeSet<IpAddr> {
    let of = |set: &&Wanted| matches!(set.key.kind, Kind::A | Kind::AAAA) && set.key.name.trim_end_matches('.') == name;
    wish.sets.iter().filter(of).flat_map(|set| &set.now).filter_map(address).collect()
}

/// The address that a record holds.
pub fn address(data: &Data) -> Option<IpAddr> {
    match data.kind() {
        Kind::A => <[u8; 4]>::try_from(data.octets()).ok().map(|octets| Ipv4Addr::from(octets).into()),
        Kind::AAAA => <[u8; 16]>::try_from(data.octets()).ok().map(|octets| Ipv6Addr::from(octets).into()),
        _ => None,
    }
}

/// What a record says, for people.
pub fn shown_data(data: &Data) -> String {
    let octets = data.octets();
    let name = |from: usize| octets.get(from..).and_then(Name::from_wire).map_or_else(String::new, |name| text(&name));
    let number = |at: usize| crate::wire::message::u16_at(octets, at).unwrap_or_default();
    match data.kind() {
        Kind::A | Kind::AAAA => address(data).map_or_else(String::new, |address| address.to_string()),
        Kind::NS | Kind::CNAME | Kind::PTR => name(0),
        Kind::MX => format!("{} {}", number(0), name(2)),
        Kind::SRV => format!("{} {} {} {}", number(0), number(2), number(4), name(6)),
        Kind::TXT => format!("\"{}\"", text_of(data)),
        _ => octets.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// The strings of a TXT record as one.
fn text_of(data: &Data) -> String {
    let (mut rest, mut out) = (data.octets(), Vec::new());
    while let Some((length, after)) = rest.split_first() {
        let (string, next) = after.split_at(usize::from(*length).min(after.len()));
        out.extend(string);
        rest = next;
    }
    String::from_utf8_lossy(&out).chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn shown(server: &ServerSeen) -> String {
    match server.address {
        Some(address) if server.name != address.to_string() => format!("{} ({address})", server.name),
        _ => server.name.clone(),
    }
}

/// A name without the final dot, lower case.
pub fn text(name: &Name) -> String {
    name.to_string().trim_end_matches('.').to_lowercase()
}

fn datas(data: &BTreeSet<Data>) -> String {
    list(data.iter().map(shown_data))
}

fn list(all: impl IntoIterator<Item = impl ToString>) -> String {
    let all: Vec<String> = all.into_iter().map(|one| one.to_string()).collect();
    if all.is_empty() { "nothing".into() } else { all.join(", ") }
}
