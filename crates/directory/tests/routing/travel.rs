//! Following the routes from any server ends at one that delivers, without a site twice; and it ends too if every server has another
//! version of the document.

use super::maps::{Map, compiled, connectors, mailbox, map};
use directory::{Org, Route, Trip};
use mail::Mailbox;
use proptest::prelude::*;
use std::sync::Arc;

/// Where copies of a message end: for each recipient the server and the last word.
type Ends = Vec<(Mailbox, String, Route)>;

/// Follows a message with all its copies. `org` gives the document that a server has.
fn travel<'o>(
    start: &str,
    recipients: &[Mailbox],
    bytes: u64,
    mut org: impl FnMut(&str) -> &'o Org,
) -> Result<Ends, String> {
    let mut copies = vec![(start.to_string(), Vec::<Box<str>>::new(), recipients.to_vec())];
    let (mut ends, mut hops) = (Ends::new(), 0);
    while let Some((server, been_in, recipients)) = copies.pop() {
        hops += 1;
        if hops > 400 {
            return Err("it travels on and on".into());
        }
        let org = org(&server);
        let routes = org.route_message(&Trip { server: &server, bytes, been_in: &been_in }, recipients.iter());
        let own = org.topology().site_of(&server).map(|site| org.topology().sites[site].name.to_string());
        let mut onward: Vec<(String, Vec<Mailbox>)> = Vec::new();
        for (to, route) in recipients.iter().zip(routes) {
            let next = match &route {
                Route::Site(site) => {
                    if been_in.iter().any(|been| **been == *site.name) || Some(&*site.name) == own.as_deref() {
                        return Err(format!("{to} goes to {} again from {server}", site.name));
                    }
                    org.hubs_of(&site.name).nth(hops % 2).or(org.hubs_of(&site.name).next()).cloned()
                }
                Route::Servers(of) => {
                    // The functions for links speak for the server that asks: one of the site is found by hand here.
                    let text = of.to_string();
                    let site = org.topology().site_of(&server).ok_or("servers of no site")?;
                    let named = |name: &str| match text.split_once(':') {
                        Some(("connector", connector)) => org
                            .send_connector(connector)
                            .is_some_and(|c| c.servers.iter().flatten().any(|s| **s == *name)),
                        _ => false,
                    };
                    org.topology().hubs(site).iter().find(|hub| named(&hub.name) && *hub.name != *server).cloned()
                }
                _ => None,
            };
            match next {
                Some(next) => match onward.iter_mut().find(|(name, _)| *name == *next.name) {
                    Some((_, group)) => group.push(to.clone()),
                    None => onward.push((next.name.to_string(), vec![to.clone()])),
                },
                None => ends.push((to.clone(), server.clone(), route)),
            }
        }
        for (next, group) in onward {
            let mut been_in = been_in.clone();
            been_in.extend(own.iter().map(|site| site.as_str().into()));
            copies.push((next, been_in, group));
        }
    }
    Ok(ends)
}

fn recipients() -> Vec<Mailbox> {
    ["x@a.example", "x@y.a.example", "x@b.example", "x@other.test"].map(mailbox).to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_can_be_delivered_is_delivered((map, connectors) in map(7).prop_flat_map(|map| (Just(map.clone()), connectors(&map)))) {
        let document = map.document(&connectors);
        let org = compiled(&document, "stranger.test");
        for at in map.all_servers() {
            let start = Map::server(at.0, at.1);
            let first: Vec<Route> = org.route_message(&Trip { server: &start, bytes: 0, been_in: &[] }, recipients().iter());
            let ends = travel(&start, &recipients(), 0, |_| &org).map_err(|e| TestCaseError::fail(format!("{e}\n{document}")))?;
            prop_assert_eq!(ends.len(), recipients().len(), "each recipient once");
            for (to, server, route) in ends {
                let place = recipients().iter().position(|other| other.same(&to)).unwrap();
                match &first[place] {
                    // What had a way at its start is delivered by a source.
                    Route::Site(_) | Route::Servers(_) | Route::Connector(_) => {
                        let Route::Connector(connector) = &route else {
                            return Err(TestCaseError::fail(format!("{to} from {start} ends at {server}: {route:?}\n{document}")));
                        };
                        prop_assert!(connector.servers.as_ref().is_none_or(|all| all.iter().any(|one| **one == *server)));
                    }
                    other => prop_assert_eq!(format!("{other:?}"), format!("{route:?}")),
                }
            }
        }
    }

    #[test]
    fn it_ends_even_if_every_server_has_another_document(
        (maps, picks) in (map(6), map(6), map(6)).prop_flat_map(|(a, b, c)| {
            let maps = [a, b, c].map(|map| (Just(map.clone()), connectors(&map)));
            (maps, proptest::collection::vec(0_usize..3, 64))
        })
    ) {
        let orgs: Vec<Arc<Org>> = maps.iter().map(|(map, connectors)| compiled(&map.document(connectors), "stranger.test")).collect();
        for at in maps[0].0.all_servers() {
            let mut turn = 0;
            let start = Map::server(at.0, at.1);
            let ends = travel(&start, &recipients(), 0, |_| {
                turn += 1;
                &orgs[picks[turn % picks.len()]]
            }).map_err(TestCaseError::fail)?;
            prop_assert_eq!(ends.len(), recipients().len());
        }
    }
}
