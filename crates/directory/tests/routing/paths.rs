//! Least-cost paths equal the best of all paths.

use super::maps::{Map, compiled, map};
use super::oracle;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_path_is_the_best_of_all_paths_and_the_same_on_every_server(map in map(7)) {
        let document = map.document(&[]);
        let orgs = [compiled(&document, "stranger.test"), compiled(&document, &Map::server(0, 0))];
        for org in &orgs {
            let topology = org.topology();
            let no = |site: usize| topology.site_no(&map.site(site)).unwrap();
            for from in 0..map.sites {
                for to in 0..map.sites {
                    let best = oracle::path(&map, from, to);
                    let named: Vec<String> = topology.path(no(from), no(to)).into_iter().map(|site| topology.sites[site].name.to_string()).collect();
                    let wanted = best.as_ref().map_or(Vec::new(), |(_, path)| path.iter().map(|site| map.site(*site)).collect());
                    prop_assert_eq!(named, wanted, "{} to {} in {}", from, to, document);
                    prop_assert_eq!(topology.distance(no(from), no(to)).map(|d| d.cost), best.as_ref().map(|(cost, _)| *cost));
                    let limit = best.map_or(u64::MAX, |(_, path)| {
                        path.windows(2).map(|pair| oracle::link_limit(&map, pair[0], pair[1])).min().unwrap_or(u64::MAX)
                    });
                    prop_assert_eq!(topology.bytes_max(no(from), no(to)), Some(limit).filter(|max| *max < u64::MAX));
                }
            }
        }
    }
}

#[test]
fn fifty_sites_and_two_hundred_connectors_compile_fast() {
    let links = (0..150).map(|n| (vec![n % 50, (n * 7 + 1 + n / 50) % 50], 1 + n as u32 % 9, 0));
    let map = Map {
        sites: 50,
        links: links.filter(|(of, ..)| of[0] != of[1]).collect(),
        hub_sites: vec![false; 50],
        servers: vec![2; 50],
        turn: 0,
    };
    let connector = |n: usize| super::maps::Connector {
        servers: vec![(n % 50, 0), ((n * 3) % 50, 1)],
        spaces: vec![(n % 5, 1 + (n % 60) as u32)],
        limit: 0,
        scoped: false,
        enabled: true,
    };
    let document = map.document(&(0..200).map(connector).collect::<Vec<_>>());
    let clock = world::World::real().clock;
    let started_ms = clock.mono_ms();
    compiled(&document, &Map::server(3, 0));
    let took_ms = clock.mono_ms() - started_ms;
    assert!(took_ms < 3_000, "{took_ms} ms without optimization");
}
