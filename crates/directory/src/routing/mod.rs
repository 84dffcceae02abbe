//! Where a message goes from a server: to a store or a connector of that server, to another server of its site, or to another site.
//!
//! Owns the answer for a whole message, because recipients in several sites share the way as far as it is the same. Pure: it knows no queue
//! and asks nobody who is up. Always holds: every server that has the same document gives the same answer for the same place; a message never
//! goes to a site that it has been in, whatever documents the servers have.

mod choose;
mod fan_out;
mod servers;

pub(crate) use choose::{Lost, Place};
pub use servers::ServersOf;

use crate::domain::{AcceptedDomain, Deliver, DomainType, LocalPreference};
use crate::org::Org;
use crate::send::SendConnector;
use crate::sources::Sources;
use crate::target::LmtpTarget;
use crate::topology::{Site, SiteNo, Topology};
use crate::unit::bytes_text;
use fan_out::Stops;
use mail::Mailbox;
use std::sync::Arc;

/// Where mail for an address goes.
#[derive(Clone, Debug)]
pub enum Route {
    /// Into a Maildir of this server.
    Maildir(Arc<AcceptedDomain>),
    /// To the LMTP server of an accepted domain.
    Lmtp(LmtpTarget),
    /// Out through a send connector of this server (smart hosts, MX or LMTP, see [`SendConnector::to`]).
    Connector(Arc<SendConnector>),
    /// To any server of another site.
    Site(Arc<Site>),
    /// To one of the other servers of this site that deliver it.
    Servers(ServersOf),
    /// Nowhere, ever: what is on its way takes no message of that size. The text names it.
    TooLarge(Box<str>),
    /// Nowhere: mail waits until the configuration says where to.
    Unreachable(&'static str),
}

/// A message at a server.
#[derive(Clone, Copy, Debug)]
pub struct Trip<'t> {
    /// The server that has it, by its name in lower case.
    pub server: &'t str,
    /// Its size, as limits count it.
    pub bytes: u64,
    /// The site of each server that has handed it on, in order.
    pub been_in: &'t [Box<str>],
}

/// A place in the map that a message is at.
pub(crate) struct From<'t> {
    server: &'t str,
    site: Option<SiteNo>,
    bytes: u64,
    /// Sites that it has been in; its own one is there if a server of it has handed it on here.
    been_in: Vec<SiteNo>,
}

/// The way of one recipient, before recipients share theirs.
enum Way {
    Known(Route),
    To(SiteNo),
}

impl Org {
    /// The map of the organization.
    pub fn topology(&self) -> &Topology {
        &self.routing.topology
    }

    /// The name of this server, in lower case.
    pub fn server(&self) -> &str {
        &self.routing.server
    }

    /// Where a small message that begins at this server goes.
    pub fn route(&self, to: &Mailbox) -> Route {
        self.route_one(&Trip { server: self.server(), bytes: 0, been_in: &[] }, to)
    }

    /// Where a message with one recipient goes.
    pub fn route_one(&self, trip: &Trip<'_>, to: &Mailbox) -> Route {
        let from = self.stands(trip);
        match self.way(&from, to) {
            Way::Known(route) => route,
            Way::To(target) => self.site_route(self.fan_out(&from, vec![target]).to(target)),
        }
    }

    /// Where a message goes for each of its recipients, in order. For recipients in several sites it goes as one copy to the last site that
    /// their paths share (behaviours 3.5).
    pub fn route_message<'r>(&self, trip: &Trip<'_>, recipients: impl Iterator<Item = &'r Mailbox>) -> Vec<Route> {
        let from = self.stands(trip);
        let ways: Vec<Way> = recipients.map(|to| self.way(&from, to)).collect();
        let far = ways.iter().filter_map(|way| match way {
            Way::To(target) => Some(*target),
            Way::Known(_) => None,
        });
        let stops: Stops = self.fan_out(&from, far.collect());
        let route = |way| match way {
            Way::Known(route) => route,
            Way::To(target) => self.site_route(stops.to(target)),
        };
        ways.into_iter().map(route).collect()
    }

    /// The place of a trip in the map.
    pub(crate) fn stands<'t>(&self, trip: &Trip<'t>) -> From<'t> {
        let topology = &self.routing.topology;
        From {
            server: trip.server,
            site: topology.site_of(trip.server),
            bytes: trip.bytes,
            been_in: trip.been_in.iter().filter_map(|name| topology.site_no(name)).collect(),
        }
    }

    /// The site that mail for `to` leaves this one for, whatever it passes on its way.
    pub(crate) fn target_of(&self, trip: &Trip<'_>, to: &Mailbox) -> Option<SiteNo> {
        match self.way(&self.stands(trip), to) {
            Way::To(target) => Some(target),
            Way::Known(_) => None,
        }
    }

    fn site_route(&self, site: SiteNo) -> Route {
        Route::Site(Arc::clone(&self.routing.topology.sites[site]))
    }

    /// The way of one recipient.
    fn way(&self, from: &From<'_>, to: &Mailbox) -> Way {
        match self.accepted_domain(to.domain()) {
            Some(domain) if self.is_kept_by(domain, to) => self.way_to_store(from, domain),
            _ => self.way_out(from, to.domain()),
        }
    }

    /// Whether the domain itself delivers this recipient. Of an internal relay domain, all whom it does not know are elsewhere.
    pub(crate) fn is_kept_by(&self, domain: &AcceptedDomain, to: &Mailbox) -> bool {
        let known = || domain.lists(to.local()) || self.recipient_of(to).is_some();
        domain.deliver != Deliver::Relay && (domain.domain_type != DomainType::InternalRelay || known())
    }

    fn way_to_store(&self, from: &From<'_>, domain: &Arc<AcceptedDomain>) -> Way {
        let here = || match &domain.deliver {
            Deliver::Lmtp(target) => Way::Known(Route::Lmtp(target.clone())),
            _ => Way::Known(Route::Maildir(Arc::clone(domain))),
        };
        let Some(sources) = self.routing.stores.get(&domain.name) else { return here() };
        let of = ServersOf::Domain(Arc::clone(domain));
        if sources.has(from.server) {
            // What another server of this site has handed on is delivered: two that avoid their own store must not play with it.
            let avoids = domain.local_preference == LocalPreference::Avoid && !from.was_handed_on_here();
            return match avoids && from.site.is_some_and(|site| self.others_deliver(site, sources, from.server)) {
                true => Way::Known(Route::Servers(of)),
                false => here(),
            };
        }
        self.way_to_one_of(from, sources, of)
    }

    fn way_out(&self, from: &From<'_>, domain: &str) -> Way {
        let chosen = match self.choose(from, domain) {
            Ok(chosen) => chosen,
            Err(route) => return Way::Known(route),
        };
        let (connector, sources) = (&self.send_connectors[chosen], &self.routing.connectors[chosen]);
        if sources.has(from.server) {
            return Way::Known(Route::Connector(Arc::clone(connector)));
        }
        self.way_to_one_of(from, sources, ServersOf::Connector(Arc::clone(connector)))
    }

    /// The way to the nearest of some servers, none of which is this one.
    fn way_to_one_of(&self, from: &From<'_>, sources: &Sources, of: ServersOf) -> Way {
        let Some(site) = from.site else { return Way::Known(Route::Unreachable(NO_SITE)) };
        let topology = &self.routing.topology;
        match sources.nearest(topology, site, &from.been_in) {
            None if sources.is_nowhere() => Way::Known(Route::Unreachable(NO_SERVER)),
            None if sources.nearest(topology, site, &[]).is_none() => Way::Known(Route::Unreachable(NO_PATH)),
            None => Way::Known(Route::Unreachable(BEEN_THERE)),
            Some((_, target)) if target == site => match from.times_handed_on_here() < HANDED_ON_MAX {
                true => Way::Known(Route::Servers(of)),
                false => Way::Known(Route::Unreachable(TO_AND_FRO)),
            },
            Some((_, target)) => match self.narrow_link(site, target, from.bytes) {
                Some(text) => Way::Known(Route::TooLarge(text)),
                None => Way::To(target),
            },
        }
    }

    /// What a message of that size cannot pass on the path, in words.
    fn narrow_link(&self, from: SiteNo, to: SiteNo, bytes: u64) -> Option<Box<str>> {
        let topology = &self.routing.topology;
        topology.bytes_max(from, to).filter(|max| bytes > *max)?;
        let path = topology.path(from, to);
        let links = path.windows(2).filter_map(|pair| topology.link(pair[0], pair[1]));
        let (link, max) =
            links.filter_map(|link| Some((link, link.message_bytes_max?))).find(|(_, max)| bytes > *max)?;
        Some(format!("site link {} takes messages up to {}", link.name, bytes_text(max)).into())
    }
}

impl From<'_> {
    fn times_handed_on_here(&self) -> usize {
        self.been_in.iter().filter(|site| Some(**site) == self.site).count()
    }

    fn was_handed_on_here(&self) -> bool {
        self.times_handed_on_here() > 0
    }
}

const NO_SITE: &str = "this server stands in no site";
const NO_SERVER: &str = "no server that delivers this is known";
const NO_PATH: &str = "no site links lead to a server that delivers this";
const BEEN_THERE: &str = "it has been in every site that delivers this";
const TO_AND_FRO: &str = "the servers of this site hand it to and fro";

/// Servers of one site that hand a message on to each other. One is enough; a second one may have an older document.
const HANDED_ON_MAX: usize = 2;
