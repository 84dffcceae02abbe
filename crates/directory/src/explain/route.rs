//! Where mail goes, in words: the way, its path with the costs, and why each other send connector is not taken.

use crate::domain::DomainType;
use crate::org::Org;
use crate::routing::{Lost, Place, Route, ServersOf, Trip};
use crate::send::{SendConnector, SendTo};
use crate::topology::SiteNo;
use crate::unit::bytes_text;
use mail::Mailbox;
use std::fmt::Write;

impl Org {
    /// Where mail to `rcpt` goes from this server, and why. Several lines.
    pub(super) fn explain_route(&self, out: &mut String, rcpt: &Mailbox, bytes: u64) {
        let trip = Trip { server: self.server(), bytes, been_in: &[] };
        let route = self.route_one(&trip, rcpt);
        let _ = writeln!(out, "Mail to {rcpt} goes {}.", self.route_words(&route, rcpt));
        let domain = self.accepted_domain(rcpt.domain());
        if let Some(domain) = domain.filter(|domain| domain.domain_type == DomainType::InternalRelay)
            && !self.is_kept_by(domain, rcpt)
        {
            let _ = writeln!(out, "  Accepted domain {} does not know it: send connectors lead there.", domain.name);
        }
        if let Some(target) = self.target_of(&trip, rcpt) {
            self.explain_path(out, target, &route);
        }
        let kept = domain.is_some_and(|domain| self.is_kept_by(domain, rcpt));
        if !kept && (self.send_connectors.len() > 1 || self.topology().has_sites) {
            self.explain_choice(out, &trip, &rcpt.domain_lower());
        }
    }

    fn route_words(&self, route: &Route, rcpt: &Mailbox) -> String {
        match route {
            Route::Maildir(domain) => {
                format!("into the Maildir of {} in {}", domain.mailbox_name(rcpt.local()), rcpt.domain_lower())
            }
            Route::Lmtp(target) => format!("over LMTP to {target}"),
            Route::Connector(connector) => {
                format!("out through send connector \"{}\": {}", connector.name, way(connector))
            }
            Route::Site(site) => format!("to site {}: {}", site.name, servers(self.hubs_of(&site.name))),
            Route::Servers(of) => {
                let what = match of {
                    ServersOf::Connector(connector) => format!("send connector \"{}\"", connector.name),
                    ServersOf::Domain(domain) => format!("accepted domain {}", domain.name),
                };
                let others = self.servers_of(&of.to_string());
                format!("to another server of this site, because {what} is there: {}", servers(others))
            }
            Route::TooLarge(what) => format!("nowhere and back to its sender with 5.3.4: {what}"),
            Route::Unreachable(reason) => format!("nowhere and waits: {reason}"),
        }
    }

    fn explain_path(&self, out: &mut String, target: SiteNo, route: &Route) {
        let map = self.topology();
        let Some(from) = map.site_of(self.server()) else { return };
        let (path, distance) = (map.path(from, target), map.distance(from, target).unwrap_or_default());
        let name = |site: SiteNo| &*map.sites[site].name;
        let mut line = format!("  Path: {}", name(from));
        for pair in path.windows(2) {
            let Some(link) = map.link(pair[0], pair[1]) else { continue };
            let max = link.message_bytes_max.map_or(String::new(), |max| format!(", up to {}", bytes_text(max)));
            let hub = if map.sites[pair[1]].hub_site { " (hub site)" } else { "" };
            let _ = write!(line, " -[{} {}{max}]-> {}{hub}", link.name, link.cost, name(pair[1]));
        }
        let _ = writeln!(out, "{line}; cost {} over {} links.", distance.cost, distance.hops);
        let Route::Site(next) = route else { return };
        if *next.name != *name(target) {
            let _ = writeln!(out, "  It stops at {}, a hub site on that path.", next.name);
        }
        let back_off: Vec<String> = self.back_off(&next.name, &[]).iter().map(|site| site.name.to_string()).collect();
        if !back_off.is_empty() {
            let _ = writeln!(
                out,
                "  If no server there takes it, it waits as near as it gets: {}.",
                back_off.join(", then ")
            );
        }
    }

    /// All connectors, with what they cost from here or why they are not taken.
    fn explain_choice(&self, out: &mut String, trip: &Trip<'_>, domain: &str) {
        let from = self.stands(trip);
        let chosen = self.choose(&from, domain).ok();
        let chosen_space = chosen.and_then(|number| covering(&self.send_connectors[number], domain));
        for (number, connector) in self.send_connectors.iter().enumerate().take(CONNECTORS_SHOWN_MAX) {
            let Some((space, cost)) = covering(connector, domain) else {
                let _ = writeln!(out, "  Not \"{}\": it has no address space for {domain}.", connector.name);
                continue;
            };
            let rank = self.rank(&from, number, cost);
            let words = match rank {
                Ok(rank) if chosen == Some(number) => {
                    let path = rank.cost - u64::from(cost);
                    format!(
                        "\"{}\" by {space}: cost {} (path {path}, address space {cost}), {}",
                        connector.name,
                        rank.cost,
                        place_words(rank.place)
                    )
                }
                Ok(rank) => {
                    let less = chosen_space.is_some_and(|(other, _)| specificity(other) > specificity(space));
                    let why =
                        if less { "it is less specific".into() } else { self.why_behind(&from, chosen, &rank, domain) };
                    format!("Not \"{}\" by {space}: {why}", connector.name)
                }
                Err(lost) => format!("Not \"{}\" by {space}: {}", connector.name, lost_words(lost)),
            };
            let _ = writeln!(out, "  {words}.");
        }
        if let Some(more) = self.send_connectors.len().checked_sub(CONNECTORS_SHOWN_MAX).filter(|more| *more > 0) {
            let _ = writeln!(out, "  And {more} more, of which none is taken or one of them is the one above.");
        }
    }
}

fn place_words(place: Place) -> String {
    match place {
        Place::Here => "from this server".into(),
        Place::ThisSite => "from this site".into(),
        Place::Remote(1) => "one link away".into(),
        Place::Remote(hops) => format!("{hops} links away"),
    }
}

/// The address space of a connector that counts for a domain, and its cost.
fn covering<'c>(connector: &'c SendConnector, domain: &str) -> Option<(&'c str, u32)> {
    let covers = |space: &str| match space.strip_prefix("*.") {
        _ if space == "*" => true,
        Some(parent) => domain == parent || domain.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.')),
        None => domain == space,
    };
    let spaces = connector.domains.iter().filter(|of| covers(&of.space));
    spaces.max_by_key(|of| specificity(&of.space)).map(|of| (&*of.space, of.cost))
}

/// The larger one counts.
fn specificity(space: &str) -> usize {
    match space.strip_prefix("*.") {
        _ if space == "*" => 0,
        Some(parent) => parent.len(),
        None => usize::MAX,
    }
}

fn lost_words(lost: Lost) -> String {
    match lost {
        Lost::Disabled => "it is not enabled".into(),
        Lost::TooSmall(max) => format!("it takes messages up to {}", bytes_text(max)),
        Lost::OutOfScope => "it is scoped, and none of its servers stands in this site".into(),
        Lost::NoServer => "no path leads to a server of it".into(),
    }
}

fn servers<'s>(of: impl Iterator<Item = &'s std::sync::Arc<crate::topology::Server>>) -> String {
    let all: Vec<String> = of.map(|server| format!("{} at {}", server.name, server.address)).collect();
    if all.is_empty() { "no server is known there".into() } else { all.join(", ") }
}

fn way(connector: &SendConnector) -> String {
    match &connector.to {
        SendTo::SmartHosts(hosts) => {
            format!("smart hosts {}", hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
        }
        SendTo::Mx => "the MX hosts of the domain".into(),
        SendTo::Lmtp(target) => format!("LMTP to {target}"),
    }
}

/// Connectors of which something is said.
const CONNECTORS_SHOWN_MAX: usize = 50;
