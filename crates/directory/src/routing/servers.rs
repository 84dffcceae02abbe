//! What whoever hands mail on to other servers asks: which servers of a site, which sites instead, which servers of a connector.

use super::Trip;
use super::sources::Sources;
use crate::domain::{AcceptedDomain, Deliver, LocalPreference};
use crate::org::Org;
use crate::send::SendConnector;
use crate::topology::{Server, Site, SiteNo};
use mail::Mailbox;
use std::fmt;
use std::sync::Arc;

/// What some servers deliver. Shown as `connector:NAME` or `domain:NAME`, which [`Org::servers_of`] reads.
#[derive(Clone, Debug)]
pub enum ServersOf {
    /// The sources of a send connector.
    Connector(Arc<SendConnector>),
    /// Those that deliver an accepted domain.
    Domain(Arc<AcceptedDomain>),
}

impl fmt::Display for ServersOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServersOf::Connector(connector) => write!(f, "connector:{}", connector.name),
            ServersOf::Domain(domain) => write!(f, "domain:{}", domain.name),
        }
    }
}

impl Org {
    /// The site that this server stands in: what it adds to the journey of a message that it hands on, to another site or in its own.
    /// `None`: the document has sites, and this server stands in none.
    pub fn own_site(&self) -> Option<&Arc<Site>> {
        let topology = &self.routing.topology;
        topology.site_of(self.server()).map(|site| &topology.sites[site])
    }

    /// The servers that mail for a site can be handed to, in order of their names: all that stand there, but not this one. None: the site
    /// is not there any more, or is empty.
    pub fn hubs_of<'o>(&'o self, site: &str) -> impl Iterator<Item = &'o Arc<Server>> + use<'o> {
        let topology = &self.routing.topology;
        let hubs = topology.site_no(site).map_or(&[][..], |site| topology.hubs(site));
        hubs.iter().filter(|hub| *hub.name != *self.server())
    }

    /// The servers of our own site that deliver what `of` names (`connector:NAME`, `domain:NAME`), in order of their names; not this one.
    pub fn servers_of<'o>(&'o self, of: &str) -> impl Iterator<Item = &'o Arc<Server>> + use<'o> {
        let topology = &self.routing.topology;
        let site = topology.site_of(self.server());
        let sources = match of.split_once(':') {
            Some(("connector", name)) => {
                let number = self.send_connectors.iter().position(|connector| *connector.name == *name);
                number.map(|number| &self.routing.connectors[number])
            }
            Some(("domain", name)) => self.routing.stores.get(name),
            _ => None,
        };
        let hubs = site.map_or(&[][..], |site| topology.hubs(site)).iter();
        hubs.filter(move |hub| sources.is_some_and(|sources| sources.names(&hub.name)) && *hub.name != *self.server())
    }

    /// Where mail for a site is left if no server of it takes any (behaviours 3.4): the sites before it on the path from here, nearest
    /// to it first, without those that have no server or that the message has been in. From five links away the remaining distance is
    /// halved, then every site is tried. Our own site is not among them: where nobody takes it, it stays.
    pub fn back_off(&self, site: &str, been_in: &[Box<str>]) -> Vec<Arc<Site>> {
        let topology = &self.routing.topology;
        let ends = topology.site_of(self.server()).zip(topology.site_no(site));
        let path = ends.map_or_else(Vec::new, |(from, to)| topology.path(from, to));
        let mut at = path.len().saturating_sub(1);
        let mut sites = Vec::new();
        loop {
            at = if at > HALVED_FROM { at / 2 } else { at.saturating_sub(1) };
            if at == 0 {
                return sites;
            }
            let stop = &topology.sites[path[at]];
            if !topology.hubs(path[at]).is_empty() && !been_in.contains(&Box::from(&*stop.name)) {
                sites.push(Arc::clone(stop));
            }
        }
    }

    /// Which servers take mail for `to` while the store of this server does not answer: the others of its site, if the domain prefers the
    /// own store and no server of this site has handed the message on here.
    pub fn instead_of_own_store(&self, trip: &Trip<'_>, to: &Mailbox) -> Option<ServersOf> {
        let from = self.stands(trip);
        let domain = self.accepted_domain(to.domain()).filter(|domain| self.can_share(domain))?;
        (!from.was_handed_on_here()).then(|| ServersOf::Domain(Arc::clone(domain)))
    }

    /// Whether what waits for this LMTP server, or for other servers because of it, may go another way while it does not answer.
    pub fn is_shared_store(&self, target: &str) -> bool {
        let to_it =
            |domain: &&Arc<AcceptedDomain>| matches!(&domain.deliver, Deliver::Lmtp(of) if of.to_string() == *target);
        self.accepted_domains.iter().filter(to_it).any(|domain| self.can_share(domain))
    }

    /// It prefers the own store, this server is one of its servers, and another one stands in this site.
    fn can_share(&self, domain: &AcceptedDomain) -> bool {
        let Some(sources) = self.routing.stores.get(&domain.name) else { return false };
        let site = self.routing.topology.site_of(self.server());
        domain.local_preference == LocalPreference::Prefer
            && sources.has(self.server())
            && site.is_some_and(|site| self.others_deliver(site, sources, self.server()))
    }

    /// Whether another server of this site delivers it too.
    pub(super) fn others_deliver(&self, site: SiteNo, sources: &Sources, server: &str) -> bool {
        let hubs = self.routing.topology.hubs(site).iter();
        hubs.filter(|hub| *hub.name != *server).any(|hub| sources.names(&hub.name))
    }
}

/// Links between two sites up to which every site on the path is tried.
const HALVED_FROM: usize = 4;
