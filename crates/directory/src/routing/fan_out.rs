//! How a message for several sites shares its way: as one copy to the last site that its paths have in common, by way of hub sites.
//!
//! The least-cost paths of one site are a tree (see `topology::paths`): a branch at this site is a copy, and the copy goes to the place where
//! the branch forks.

use super::From;
use crate::org::Org;
use crate::topology::{SiteNo, Topology};

/// Where a message goes first, by the site that it is for.
pub(super) struct Stops(Vec<(SiteNo, SiteNo)>);

impl Stops {
    /// The first stop on the way to a site.
    pub fn to(&self, target: SiteNo) -> SiteNo {
        self.0.iter().find(|(of, _)| *of == target).map_or(target, |(_, stop)| *stop)
    }
}

impl Org {
    /// Finds the first stop for each of these sites, to all of which there is a path.
    pub(super) fn fan_out(&self, from: &From<'_>, mut targets: Vec<SiteNo>) -> Stops {
        targets.sort_unstable();
        targets.dedup();
        let Some(site) = from.site else { return Stops(Vec::new()) };
        let tree = Tree { topology: &self.routing.topology, root: site, been_in: &from.been_in };
        let mut stops = Vec::with_capacity(targets.len());
        tree.spread(site, targets, &mut stops);
        stops.iter_mut().for_each(|(_, stop)| *stop = tree.first_hub_site(*stop));
        Stops(stops)
    }
}

/// The least-cost paths of one site.
struct Tree<'t> {
    topology: &'t Topology,
    root: SiteNo,
    been_in: &'t [SiteNo],
}

impl Tree<'_> {
    /// One stop for each branch at `at`; where that site cannot be a stop, for each branch behind it.
    fn spread(&self, at: SiteNo, mut targets: Vec<SiteNo>, stops: &mut Vec<(SiteNo, SiteNo)>) {
        while let Some(first) = targets.first().copied() {
            let branch = self.branch(at, first);
            let (here, others): (Vec<SiteNo>, Vec<SiteNo>) =
                targets.into_iter().partition(|target| self.branch(at, *target) == branch);
            targets = others;
            let fork = here.iter().copied().reduce(|a, b| self.fork(a, b)).unwrap_or(first);
            if here.contains(&fork) || self.may_stop(fork) {
                stops.extend(here.into_iter().map(|target| (target, fork)));
            } else {
                self.spread(fork, here, stops);
            }
        }
    }

    /// The neighbour of `at` through which the path to `target` leaves it.
    fn branch(&self, at: SiteNo, target: SiteNo) -> SiteNo {
        let mut site = target;
        while let Some(before) = self.topology.before(self.root, site).filter(|before| *before != at) {
            site = before;
        }
        site
    }

    /// The last site that two paths share.
    fn fork(&self, a: SiteNo, b: SiteNo) -> SiteNo {
        let hops = |site| self.topology.distance(self.root, site).map_or(0, |distance| distance.hops);
        let (mut a, mut b) = (a, b);
        while a != b {
            let deeper = if hops(a) >= hops(b) { &mut a } else { &mut b };
            *deeper = self.topology.before(self.root, *deeper).unwrap_or(self.root);
        }
        a
    }

    /// The first hub site on the path to `stop`, or `stop` itself.
    fn first_hub_site(&self, stop: SiteNo) -> SiteNo {
        let between =
            std::iter::successors(self.topology.before(self.root, stop), |at| self.topology.before(self.root, *at));
        let hub_sites = between.filter(|at| self.topology.sites[*at].hub_site && self.may_stop(*at));
        hub_sites.last().unwrap_or(stop)
    }

    /// Servers are there, and the message has not been there.
    fn may_stop(&self, site: SiteNo) -> bool {
        site != self.root && !self.been_in.contains(&site) && !self.topology.hubs(site).is_empty()
    }
}
