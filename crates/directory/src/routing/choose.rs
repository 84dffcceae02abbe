//! Which send connector takes mail for a domain (behaviours 2.4).

use super::{From, NO_SITE, Route, Trip};
use crate::org::Org;
use crate::topology::Distance;
use crate::unit::bytes_text;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// How good a connector is for a domain from a place. The smallest one is taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank<'o> {
    /// The cost of the path to its nearest server, and that of the address space.
    pub cost: u64,
    /// Where that server is.
    pub place: Place,
    /// The connector's name.
    pub name: &'o str,
}

/// How near the servers of a connector are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// This server is one of them.
    Here,
    /// One is in this site.
    ThisSite,
    /// The nearest one is in another site, so many links away.
    Remote(u32),
}

/// Why a connector is no candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It is not enabled.
    Disabled,
    /// It takes messages up to so many bytes.
    TooSmall(u64),
    /// It is for the site of its servers, and this is another one.
    OutOfScope,
    /// No path leads to a server of it.
    NoServer,
}

impl Org {
    /// The connector for a domain, by its number, or why there is none.
    pub(crate) fn choose(&self, from: &From<'_>, domain: &str) -> Result<usize, Route> {
        let mut best: Option<(Rank<'_>, usize)> = None;
        let (mut too_small, mut is_for_it) = (None, false);
        self.routing.spaces.levels(domain, |level| {
            for (number, space_cost) in level {
                is_for_it = true;
                match self.rank(from, *number, *space_cost) {
                    Ok(rank) if best.as_ref().is_none_or(|(known, _)| rank < *known) => best = Some((rank, *number)),
                    Ok(_) => {}
                    Err(Lost::TooSmall(_)) => too_small = too_small.or(Some(*number)),
                    Err(_) => {}
                }
            }
            // What is more specific wins, whatever it costs.
            if best.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if let Some((_, number)) = best {
            return Ok(number);
        }
        Err(match too_small.and_then(|number| self.send_connectors.get(number)) {
            Some(connector) => {
                let max = bytes_text(connector.message_bytes_max.unwrap_or_default());
                Route::TooLarge(format!("send connector {} takes messages up to {max}", connector.name).into())
            }
            None if !is_for_it => Route::Unreachable("no send connector is for this domain"),
            None if from.site.is_none() => Route::Unreachable(NO_SITE),
            None => Route::Unreachable("no send connector for this domain can be used from here"),
        })
    }

    /// Those that win one address space as it is written, over all servers and sizes for which that may differ.
    pub(crate) fn winners_of_space(&self, space: &str) -> Vec<usize> {
        let Some(level) = self.routing.spaces.get_space(space) else { return Vec::new() };
        let limits = level.iter().filter_map(|(number, _)| self.send_connectors[*number].message_bytes_max);
        let sizes: BTreeSet<u64> = limits.map(|max| max.saturating_add(1)).chain([0]).collect();
        let written = self.topology().servers.iter().map(|server| &*server.name);
        let mut winners = Vec::new();
        for server in written.chain([self.server()]) {
            for bytes in &sizes {
                let from = self.stands(&Trip { server, bytes: *bytes, been_in: &[] });
                let ranks =
                    level.iter().filter_map(|(number, cost)| Some((self.rank(&from, *number, *cost).ok()?, *number)));
                winners.extend(ranks.min().map(|(_, number)| number));
            }
        }
        winners
    }

    /// Why a connector with the same address space as the chosen one, or none, is behind it.
    pub(crate) fn why_behind(&self, from: &From<'_>, chosen: Option<usize>, rank: &Rank<'_>, domain: &str) -> String {
        let mut best: Option<Rank<'_>> = None;
        self.routing.spaces.levels(domain, |level| {
            let of_chosen = level.iter().find(|(number, _)| Some(*number) == chosen);
            best = of_chosen.and_then(|(number, cost)| self.rank(from, *number, *cost).ok());
            if best.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let Some(best) = best else { return "it is less specific".into() };
        if rank.cost != best.cost {
            format!("it costs {}, more than {}", rank.cost, best.cost)
        } else if rank.place != best.place {
            format!("it costs {} too, and its servers are farther", rank.cost)
        } else {
            format!("it costs {} too, and its name comes later", rank.cost)
        }
    }

    /// How good a connector is under one of its address spaces, or why it cannot be used. Its size is looked at last, so that only what could
    /// be used otherwise is too small.
    pub(crate) fn rank(&self, from: &From<'_>, number: usize, space_cost: u32) -> Result<Rank<'_>, Lost> {
        let (connector, sources) = (&self.send_connectors[number], &self.routing.connectors[number]);
        if !connector.enabled {
            return Err(Lost::Disabled);
        }
        let (place, distance) = if sources.has(from.server) {
            (Place::Here, Distance { cost: 0, hops: 0 })
        } else {
            let site = from.site.ok_or(Lost::NoServer)?;
            if connector.scoped && !sources.stand_in(site) {
                return Err(Lost::OutOfScope);
            }
            let (distance, nearest) = sources.nearest(&self.routing.topology, site, &[]).ok_or(Lost::NoServer)?;
            let place = match nearest == site {
                true => Place::ThisSite,
                false => Place::Remote(distance.hops),
            };
            (place, distance)
        };
        if let Some(max) = connector.message_bytes_max.filter(|max| from.bytes > *max) {
            return Err(Lost::TooSmall(max));
        }
        Ok(Rank { cost: u64::from(distance.cost) + u64::from(space_cost), place, name: &connector.name })
    }
}
