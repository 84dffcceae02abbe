//! The rules in their plainest form: every path is tried, every connector is compared with every other one.

use super::maps::{Connector, Map, SPACES};

/// Every simple path between two sites with its cost, as site numbers.
pub fn all_paths(map: &Map, from: usize, to: usize) -> Vec<(u32, Vec<usize>)> {
    fn walk(map: &Map, path: &mut Vec<usize>, cost: u32, to: usize, found: &mut Vec<(u32, Vec<usize>)>) {
        let at = *path.last().unwrap();
        if at == to {
            found.push((cost, path.clone()));
            return;
        }
        for next in 0..map.sites {
            let joins = |members: &Vec<usize>| members.contains(&at) && members.contains(&next);
            let cheapest = map.links.iter().filter(|(members, ..)| joins(members)).map(|(_, cost, _)| *cost).min();
            if let (Some(link), false) = (cheapest, path.contains(&next)) {
                path.push(next);
                walk(map, path, cost + link, to, found);
                path.pop();
            }
        }
    }
    let mut found = Vec::new();
    walk(map, &mut vec![from], 0, to, &mut found);
    found
}

/// The one that counts: cost, hops, then names from the destination backwards (behaviours 3.2).
pub fn path(map: &Map, from: usize, to: usize) -> Option<(u32, Vec<usize>)> {
    let backwards = |path: &[usize]| path.iter().rev().map(|site| map.site(*site)).collect::<Vec<_>>();
    all_paths(map, from, to).into_iter().min_by_key(|(cost, path)| (*cost, path.len(), backwards(path)))
}

/// The limit of the link between two neighbours, in bytes: that of the cheapest one, then of the first by name.
pub fn link_limit(map: &Map, a: usize, b: usize) -> u64 {
    let joining =
        map.links.iter().enumerate().filter(|(_, (members, ..))| members.contains(&a) && members.contains(&b));
    let (_, (_, _, limit)) = joining.min_by_key(|(n, (_, cost, _))| (*cost, format!("l{n}"))).unwrap();
    if *limit == 0 { u64::MAX } else { limit * 1024 }
}

/// The connector that takes mail for a domain at a server: `Ok(its number)`, or whether size was the only reason.
pub fn connector(map: &Map, all: &[Connector], at: (usize, usize), domain: &str, bytes: u64) -> Result<usize, bool> {
    let covers = |space: &str| match space.strip_prefix("*.") {
        Some(parent) => domain == parent || domain.ends_with(&format!(".{parent}")),
        None => space == "*" || space == domain,
    };
    let specificity = |space: &str| match space.strip_prefix("*.") {
        Some(parent) => parent.len(),
        None if space == "*" => 0,
        None => 1000,
    };
    let (mut candidates, mut only_size) = (Vec::new(), false);
    for (n, of) in all.iter().enumerate() {
        for (space, space_cost) in of.spaces.iter().map(|(space, cost)| (SPACES[*space], *cost)) {
            let here = of.servers.is_empty() || of.servers.contains(&at);
            let in_scope = !of.scoped || here || of.servers.iter().any(|(site, _)| *site == at.0);
            let nearest = match here {
                true => Some((0, 0, 0)),
                false => of
                    .servers
                    .iter()
                    .filter_map(|(site, _)| path(map, at.0, *site))
                    .map(|(cost, path)| {
                        (cost, usize::from(path.len() == 1).max(1 + usize::from(path.len() > 1)), path.len())
                    })
                    .min(),
            };
            let (Some((cost, place, hops)), true, true, true) = (nearest, covers(space), of.enabled, in_scope) else {
                continue;
            };
            if of.limit > 0 && bytes > of.limit * 1024 {
                only_size = true;
                continue;
            }
            candidates.push((1000 - specificity(space), cost + space_cost, place, hops, format!("c{n}"), n));
        }
    }
    candidates.into_iter().min().map(|found| found.5).ok_or(only_size)
}
