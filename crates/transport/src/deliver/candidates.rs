//! The servers of the organization that one attempt may ask, and in which order: the target site first, then site by site back towards us.
//!
//! Pure: knows no sockets and no clock. Always holds: every server is asked at most once; a server that failed a moment ago comes after
//! the others of its site, and is never left out; a site farther away from the target is asked only where a nearer one has failed as a
//! whole, now or a moment ago (behaviours 3.4, 3.6).

use directory::{HostPort, Org};
use std::sync::Arc;

/// A server of the organization.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Server {
    /// Its name in the document and in its certificate, lower case.
    pub name: Arc<str>,
    /// Where its connector for servers listens.
    pub address: HostPort,
}

/// The servers of one site.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stop {
    /// The site's name.
    pub site: Arc<str>,
    /// Its servers, in the order of the document.
    pub servers: Vec<Server>,
}

/// All that may be asked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidates {
    /// The site that this server stands in.
    pub own_site: Arc<str>,
    /// The target first; each next one nearer to us.
    pub stops: Vec<Stop>,
}

/// One server in its turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Turn<'l> {
    /// The site that it stands in.
    pub stop: &'l Stop,
    pub server: &'l Server,
}

impl Candidates {
    /// To another site: its servers, then those of the sites on the least-cost path back to us. `None`: nobody is there to be asked.
    pub fn to_site(org: &Org, site: &str) -> Option<Candidates> {
        let target = Stop::new(site.into(), org.hubs_of(site));
        let back = org.back_off(site, &[]);
        let back = back.iter().map(|stop| Stop::new(stop.name.clone(), org.hubs_of(&stop.name)));
        Candidates::new(org, std::iter::once(target).chain(back))
    }

    /// To the other servers of our own site that deliver for `connector:NAME` or `domain:NAME`. `None`: there are none.
    pub fn to_sources(org: &Org, of: &str) -> Option<Candidates> {
        let own = org.own_site()?;
        Candidates::new(org, std::iter::once(Stop::new(own.name.clone(), org.servers_of(of))))
    }

    fn new(org: &Org, stops: impl Iterator<Item = Stop>) -> Option<Candidates> {
        let candidates = Candidates { own_site: org.own_site()?.name.clone(), stops: stops.collect() };
        (candidates.len() > 0).then_some(candidates)
    }

    /// The order of the attempt number `attempt`; `has_failed` says which servers failed a moment ago.
    pub fn order(&self, attempt: usize, has_failed: impl Fn(&Server) -> bool) -> Vec<Turn<'_>> {
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for stop in &self.stops {
            let count = stop.servers.len().max(1);
            let in_rotation = || {
                let (before, from) = stop.servers.split_at(attempt % count);
                from.iter().chain(before).map(move |server| Turn { stop, server })
            };
            let is_down = in_rotation().all(|turn| has_failed(turn.server));
            let turns = if is_down { &mut last } else { &mut first };
            turns.extend(in_rotation().filter(|turn| !has_failed(turn.server)));
            turns.extend(in_rotation().filter(|turn| has_failed(turn.server)));
        }
        first.append(&mut last);
        first
    }

    /// Servers that there are.
    pub fn len(&self) -> usize {
        self.stops.iter().map(|stop| stop.servers.len()).sum()
    }

    /// The site that mail for these candidates goes to.
    pub fn target(&self) -> &str {
        self.stops.first().map_or("", |stop| &stop.site)
    }
}

impl Stop {
    fn new<'s>(site: Arc<str>, servers: impl Iterator<Item = &'s Arc<directory::topology::Server>>) -> Stop {
        let server = |server: &Arc<directory::topology::Server>| Server {
            name: server.name.clone(),
            address: server.address.clone(),
        };
        Stop { site, servers: servers.map(server).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use directory::Host;

    fn candidates(sites: &[(&str, &[&str])]) -> Candidates {
        let server = |name: &&str| Server {
            name: (*name).into(),
            address: HostPort { host: Host::Name((*name).into()), port: 2526 },
        };
        let stop = |(site, names): &(&str, &[&str])| Stop {
            site: (*site).into(),
            servers: names.iter().map(server).collect(),
        };
        Candidates { own_site: "home".into(), stops: sites.iter().map(stop).collect() }
    }

    fn names(candidates: &Candidates, attempt: usize, failed: &[&str]) -> String {
        let turns = candidates.order(attempt, |server| failed.contains(&&*server.name));
        turns.iter().map(|turn| &*turn.server.name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_target_in_rotation_and_then_back_along_the_path() {
        let candidates = candidates(&[("berlin", &["b1", "b2", "b3"]), ("paris", &["p1", "p2"])]);
        for (attempt, failed, order) in [
            (0, &[][..], "b1 b2 b3 p1 p2"),
            (1, &[], "b2 b3 b1 p2 p1"),
            (5, &[], "b3 b1 b2 p2 p1"),
            (0, &["b1"], "b2 b3 b1 p1 p2"),
            (0, &["b1", "p1"], "b2 b3 b1 p2 p1"),
            (0, &["b1", "b2", "b3"], "p1 p2 b1 b2 b3"),
            (0, &["b1", "b2", "b3", "p1", "p2"], "b1 b2 b3 p1 p2"),
        ] {
            assert_eq!(names(&candidates, attempt, failed), order, "{attempt} {failed:?}");
        }
    }

    #[test]
    fn a_site_without_servers_is_passed_over() {
        assert_eq!(names(&candidates(&[("berlin", &[]), ("paris", &["p1"])]), 3, &[]), "p1");
        assert_eq!(names(&candidates(&[]), 0, &[]), "");
    }

    #[test]
    fn each_server_is_first_equally_often() {
        let candidates = candidates(&[("berlin", &["b1", "b2", "b3"])]);
        let mut firsts = std::collections::BTreeMap::new();
        for attempt in 0..300 {
            *firsts.entry(candidates.order(attempt, |_| false)[0].server.name.clone()).or_insert(0) += 1;
        }
        assert!(firsts.values().eq(&[100, 100, 100]), "{firsts:?}");
    }

    #[test]
    fn whatever_has_failed_everybody_is_asked_once() {
        let candidates = candidates(&[("berlin", &["b1", "b2", "b3"]), ("paris", &[]), ("rome", &["r1", "r2"])]);
        for failed in 0u32..32 {
            for attempt in 0..6 {
                let bit =
                    |server: &Server| ["b1", "b2", "b3", "r1", "r2"].iter().position(|name| **name == *server.name);
                let has_failed = |server: &Server| failed >> bit(server).unwrap() & 1 == 1;
                let turns = candidates.order(attempt, has_failed);
                let mut asked: Vec<_> = turns.iter().map(|turn| &*turn.server.name).collect();
                // A healthy server of the target is never behind one of another site.
                let first = turns[0];
                assert!(failed & 7 == 7 || (&*first.stop.site == "berlin" && !has_failed(first.server)));
                asked.sort_unstable();
                assert_eq!(asked, ["b1", "b2", "b3", "r1", "r2"]);
            }
        }
    }
}
