//! The choice of a send connector equals that of an oracle that compares all.

use super::maps::{Map, compiled, connectors, mailbox, map};
use super::oracle;
use directory::{Route, ServersOf, Trip};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_connector_is_that_of_the_rule((map, connectors) in map(6).prop_flat_map(|map| (Just(map.clone()), connectors(&map)))) {
        let document = map.document(&connectors);
        let org = compiled(&document, "stranger.test");
        for at in map.all_servers() {
            for domain in ["a.example", "x.a.example", "b.example", "other.test"] {
                for bytes in [0, 15 << 10, 40 << 10] {
                    let wanted = oracle::connector(&map, &connectors, at, domain, bytes);
                    let server = Map::server(at.0, at.1);
                    let route = org.route_one(&Trip { server: &server, bytes, been_in: &[] }, &mailbox(&format!("x@{domain}")));
                    let context = || format!("{at:?} {domain} {bytes}: {route:?}, wanted {wanted:?}\n{document}");
                    match (&route, wanted) {
                        (Route::Connector(connector), Ok(n)) => {
                            prop_assert_eq!(&*connector.name, format!("c{n}"), "{}", context());
                            prop_assert!(connectors[n].servers.is_empty() || connectors[n].servers.contains(&at), "{}", context());
                        }
                        (Route::Servers(ServersOf::Connector(connector)), Ok(n)) => {
                            prop_assert_eq!(&*connector.name, format!("c{n}"), "{}", context());
                            prop_assert!(connectors[n].servers.iter().any(|(site, _)| *site == at.0), "{}", context());
                        }
                        (Route::Site(_) | Route::TooLarge(_), Ok(n)) => {
                            prop_assert!(connectors[n].servers.iter().all(|(site, _)| *site != at.0), "{}", context());
                            // The nearest of its sites, the one with the lowest name of those that are as near.
                            let near = connectors[n].servers.iter().filter_map(|(site, _)| {
                                oracle::path(&map, at.0, *site).map(|(cost, path)| (cost, path.len(), map.site(*site), path))
                            }).min().unwrap();
                            let fits = near.3.windows(2).all(|pair| oracle::link_limit(&map, pair[0], pair[1]) >= bytes);
                            match &route {
                                Route::TooLarge(_) => prop_assert!(!fits, "{}", context()),
                                Route::Site(next) => {
                                    let hub = near.3[1..near.3.len() - 1].iter().find(|site| map.hub_sites[**site] && map.servers[**site] > 0);
                                    let wanted = hub.map_or(near.2.clone(), |site| map.site(*site));
                                    prop_assert!(fits && *next.name == *wanted, "{} by {:?}", context(), near.3);
                                }
                                _ => unreachable!(),
                            }
                        }
                        (Route::TooLarge(_), Err(only_size)) => prop_assert!(only_size, "{}", context()),
                        (Route::Unreachable(_), Err(only_size)) => prop_assert!(!only_size, "{}", context()),
                        _ => prop_assert!(false, "{}", context()),
                    }
                }
            }
        }
    }
}
