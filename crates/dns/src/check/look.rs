//! Looks: at the parent zone, at each name server, at the names of our addresses.

use super::judge::{address, text};
use super::{Delegation, Pointer, Seen, ServerSeen, Wish};
use crate::ask::{Answer, Question, Section, Server};
use crate::name::Name;
use crate::push::Key;
use crate::record::{Data, Kind};
use directory::zone::reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use tokio::task::JoinSet;
use world::World;

/// Whom to ask.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// Resolvers, asked in turn: they find the parent zone, the name servers and the names of addresses.
    pub resolvers: Vec<SocketAddr>,
    /// These name servers, and not those that the parent zone and the zone name.
    pub servers: Vec<SocketAddr>,
}

/// Looks at everything.
pub async fn look(world: &World, wish: &Wish, ask: &Ask) -> Seen {
    let resolvers = Resolvers { world: world.clone(), at: ask.resolvers.clone() };
    let mut seen = Seen::default();
    let mut targets: Vec<(String, Result<SocketAddr, String>)> =
        ask.servers.iter().map(|at| (at.to_string(), Ok(*at))).collect();
    if ask.servers.is_empty() {
        let delegation = resolvers.delegation(&wish.zone).await;
        targets = resolvers.servers(wish, delegation.as_ref().ok()).await;
        seen.delegation = Some(delegation);
    }
    let mut looks = JoinSet::new();
    for (name, at) in targets {
        match at {
            Ok(at) => {
                let (server, zone) = (Server::new(world, at, None), wish.zone.clone());
                let keys: Vec<Key> = asked(wish);
                looks.spawn(async move { look_at(&server, name, &zone, keys).await });
            }
            Err(why) => seen.servers.push(ServerSeen { name, address: None, serial: Err(why), sets: BTreeMap::new() }),
        }
    }
    while let Some(done) = looks.join_next().await {
        seen.servers.extend(done.ok());
    }
    seen.servers.sort_by(|a, b| (&a.name, a.address).cmp(&(&b.name, b.address)));
    for address in wish.identities.iter().map(|identity| identity.address).collect::<BTreeSet<_>>() {
        seen.pointers.insert(address, resolvers.pointers(address).await);
    }
    seen
}

/// All that we want, and what mail domains should have besides.
fn asked(wish: &Wish) -> Vec<Key> {
    let of_domain = |domain: &Name| {
        let policy = Name::parse(&format!("_dmarc.{domain}")).ok();
        [Some(Key::new(domain, Kind::TXT)), policy.map(|name| Key::new(&name, Kind::TXT))]
    };
    let wanted = wish.sets.iter().map(|set| set.key.clone());
    let all: BTreeSet<Key> = wanted.chain(wish.mail_domains.iter().flat_map(of_domain).flatten()).collect();
    all.into_iter().collect()
}

async fn look_at(server: &Server, name: String, zone: &Name, keys: Vec<Key>) -> ServerSeen {
    let mut seen = ServerSeen { name, address: Some(server.address()), serial: Ok(0), sets: BTreeMap::new() };
    seen.serial = serial(server, zone).await;
    if seen.serial.is_err() {
        return seen;
    }
    for key in keys {
        let Ok(name) = Name::parse(&key.name) else { continue };
        match server.ask(&Question::of(&name, key.kind)).await {
            Ok(answer) if matches!(answer.rcode, 0 | NX_DOMAIN) => {
                let ttl_s = answer.ttl_s(&name, key.kind).unwrap_or_default();
                // What is delegated further is in the authority section.
                let mut data = answer.data(&name, key.kind);
                if let (Kind::NS, Some((of, servers))) = (key.kind, answer.referral().filter(|_| data.is_empty())) {
                    data.extend(servers.iter().filter(|_| of == name).map(|server| Data::name(Kind::NS, server)));
                }
                seen.sets.insert(key, (ttl_s, data));
            }
            Ok(answer) => {
                seen.serial = Err(format!("it answers {} {} with {}", key.name, key.kind, answer.word()));
                break;
            }
            Err(why) => {
                seen.serial = Err(format!("asked for {} {}: {why}", key.name, key.kind));
                break;
            }
        }
    }
    seen
}

async fn serial(server: &Server, zone: &Name) -> Result<u32, String> {
    let answer = server.ask(&Question::of(zone, Kind::SOA)).await.map_err(|why| why.to_string())?;
    let soa = answer.data(zone, Kind::SOA);
    let serial = |data: &Data| {
        let octets = data.octets();
        let at = octets.len().checked_sub(20)?;
        crate::wire::message::u32_at(octets, at)
    };
    match soa.first().and_then(serial) {
        Some(serial) if answer.is_authoritative => Ok(serial),
        Some(_) => Err("it does not have the zone: it only passes on what others say (lame delegation)".into()),
        None => Err(format!("it does not have the zone: {} (lame delegation)", answer.word())),
    }
}

struct Resolvers {
    world: World,
    at: Vec<SocketAddr>,
}

impl Resolvers {
    /// Asks one after the other until one answers.
    async fn ask(&self, name: &Name, kind: Kind) -> Result<Answer, String> {
        let mut failed = "there is no resolver".to_string();
        for at in &self.at {
            let question = Question { name: name.clone(), kind, recursive: true };
            match Server::new(&self.world, *at, None).ask(&question).await {
                Ok(answer) if matches!(answer.rcode, 0 | NX_DOMAIN) => return Ok(answer),
                Ok(answer) => failed = format!("resolver {at} answers {name} {kind} with {}", answer.word()),
                Err(why) => failed = format!("resolver {at}: {why}"),
            }
        }
        Err(failed)
    }

    async fn addresses(&self, name: &Name) -> Result<BTreeSet<IpAddr>, String> {
        let mut found = BTreeSet::new();
        for kind in [Kind::A, Kind::AAAA] {
            let answer = self.ask(name, kind).await?;
            // An alias is followed by the resolver: what stands at its end counts.
            let of_answer = answer.records.iter().filter(|record| record.section == Section::Answer);
            found.extend(of_answer.filter_map(|record| address(&record.data)));
        }
        Ok(found)
    }

    /// What the parent zone says: its own servers are asked, since a resolver would answer with what the zone says of itself.
    async fn delegation(&self, zone: &Name) -> Result<Delegation, String> {
        let mut above = zone.parent();
        while let Some(parent) = above {
            let answer = self.ask(&parent, Kind::NS).await?;
            let servers: Vec<Name> =
                answer.data(&parent, Kind::NS).iter().filter_map(|data| Name::from_wire(data.octets())).collect();
            if servers.is_empty() {
                above = parent.parent();
                continue;
            }
            let mut failed = format!("none of the name servers of {parent} has an address");
            for server in servers {
                for ip in self.addresses(&server).await.unwrap_or_default() {
                    match Server::new(&self.world, (ip, DNS_PORT).into(), None).ask(&Question::of(zone, Kind::NS)).await
                    {
                        Ok(answer) => return Ok(delegation_in(&answer, zone)),
                        Err(why) => failed = format!("{server} ({ip}): {why}"),
                    }
                }
            }
            return Err(failed);
        }
        Err("it has no parent zone".into())
    }

    /// The servers of the zone by name, those of the parent and ours, each with each of its addresses.
    async fn servers(&self, wish: &Wish, delegation: Option<&Delegation>) -> Vec<(String, Result<SocketAddr, String>)> {
        let delegated = delegation.into_iter().flat_map(|delegation| delegation.servers.iter().cloned());
        let names: BTreeSet<String> = wish.name_servers.iter().map(text).chain(delegated).collect();
        let mut found = Vec::new();
        for name in names {
            let resolved = match Name::parse(&name) {
                Ok(parsed) => self.addresses(&parsed).await,
                Err(why) => Err(why.to_string()),
            };
            match resolved {
                Ok(addresses) if addresses.is_empty() => found.push((name, Err("it has no address".into()))),
                Ok(addresses) => {
                    found.extend(addresses.into_iter().map(|ip| (name.clone(), Ok(SocketAddr::new(ip, DNS_PORT)))));
                }
                Err(why) => found.push((name, Err(why))),
            }
        }
        found
    }

    /// The names of an address, each with its addresses.
    async fn pointers(&self, of: IpAddr) -> Result<Vec<Pointer>, String> {
        let owner = Name::parse(&reverse(of)).map_err(|why| why.to_string())?;
        let answer = self.ask(&owner, Kind::PTR).await?;
        // RFC 2317: the name may be an alias into another zone.
        let pointers =
            answer.records.iter().filter(|record| record.section == Section::Answer && record.data.kind() == Kind::PTR);
        let names: Vec<Name> =
            pointers.filter_map(|record| Name::from_wire(record.data.octets())).take(POINTERS_MAX).collect();
        let mut found = Vec::new();
        for name in names {
            let addresses = self.addresses(&name).await?;
            found.push(Pointer { name, addresses });
        }
        Ok(found)
    }
}

/// The NS records and their addresses in what a server of the parent zone answers: a referral, or an answer if it has both zones.
fn delegation_in(answer: &Answer, zone: &Name) -> Delegation {
    let of_zone = answer.records.iter().filter(|record| record.owner == *zone && record.data.kind() == Kind::NS);
    let servers: BTreeSet<String> =
        of_zone.filter_map(|record| Name::from_wire(record.data.octets())).map(|name| text(&name)).collect();
    let mut glue: BTreeMap<String, BTreeSet<IpAddr>> = BTreeMap::new();
    for record in answer.records.iter().filter(|record| record.section == Section::Additional) {
        if let Some(address) = address(&record.data) {
            glue.entry(text(&record.owner)).or_default().insert(address);
        }
    }
    Delegation { servers, glue }
}

const NX_DOMAIN: u8 = 3;
const DNS_PORT: u16 = 53;

/// Names of one address that are looked at.
const POINTERS_MAX: usize = 10;
