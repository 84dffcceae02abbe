//! Mail across three sites while hubs stop, whole sites vanish and the document changes. Needs root and iproute2; everything runs in network
//! namespaces that are gone afterwards. Rows 33, 40, 79 and 80 of behaviours, and its 3.4 and 3.6.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // tests of real processes

use std::time::Duration;

use serde_json::Value;
use tests::eventually;
use tests::sites::{CONNECTIONS, E1, E2, E3, M1, Plan, SOON, Sites, W1, W2};

fn sleep_ms(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

/// How many messages a server's store has taken.
fn stored(sites: &Sites, number: usize) -> usize {
    sites.stored(number).taken.len()
}

/// Waits until a store has taken so many more.
fn takes(sites: &Sites, number: usize, more: usize) {
    let before = stored(sites, number);
    eventually(&format!("server {number} takes {more} more"), SOON, || stored(sites, number) >= before + more);
}

/// The names and states of a server's queues.
fn states(queues: &[Value]) -> Vec<(String, String)> {
    let word = |queue: &Value, key: &str| queue[key].as_str().unwrap_or_default().to_string();
    queues.iter().map(|queue| (word(queue, "name"), word(queue, "state"))).collect()
}

/// Both have a fair part of what both have.
fn share_fairly(what: &str, one: usize, other: usize) {
    let (least, all) = (one.min(other), one + other);
    println!("{what}: {one} and {other}");
    assert!(least * 100 >= all * 30, "{what}: {one} and {other} of {all}");
}

#[test]
fn a_site_loses_a_hub_and_then_all_of_them() {
    let Some(mut sites) = Sites::started(&Plan::default(), &[]) else { return };
    sites.send(&[W1, W2], "user@east.test", 40);
    takes(&sites, E1, 60);
    takes(&sites, E2, 60);
    eventually("some hundred messages", SOON, || stored(&sites, E1) + stored(&sites, E2) >= 500);
    share_fairly("hubs of the target site", stored(&sites, E1), stored(&sites, E2));

    // One hub of two: whoever met it asks the other one in the same attempt. No queue for the site is ever in retry.
    sites.node(E1).kill();
    let before = stored(&sites, E2);
    for _ in 0..20 {
        for west in [W1, W2] {
            let states = states(&sites.queues(west));
            assert!(states.iter().all(|(_, state)| state != "retry"), "server {west}: {states:?}");
        }
        sleep_ms(100);
    }
    assert!(stored(&sites, E2) > before, "mail goes on to the hub that lives");

    // The whole site: mail waits in the site before it, and is counted there.
    sites.node(E2).kill();
    let waits_in_the_middle = |sites: &Sites, at_least: u64| {
        let queues = sites.queues(M1);
        let all: u64 = queues.iter().map(|queue| queue["messages"].as_u64().unwrap()).sum();
        all >= at_least && states(&queues).iter().any(|(name, state)| name.contains("east") && state == "retry")
    };
    eventually("mail waits in the middle", SOON, || waits_in_the_middle(&sites, 100));
    sites.load.end(&[W1, W2]);
    eventually("nothing is left in the west", SOON, || [W1, W2].iter().all(|west| sites.waiting(*west) == 0));
    println!("{} messages wait in the middle, none in the west", sites.waiting(M1));

    sites.node(E1).start();
    sites.node(E2).start();
    let doubled = sites.all_arrive();
    println!("{} promised, {} came twice", sites.load.tally().promised.len(), doubled.len());
    // Two hubs were killed: what each had taken and not yet answered, and what it had handed to its store and not yet written down.
    assert!(doubled.len() <= 2 * 3 * CONNECTIONS * 4, "{} came twice", doubled.len());
    eventually("all queues are empty", SOON, || [W1, W2, M1, E1, E2].iter().all(|number| sites.waiting(*number) == 0));
}

#[test]
fn the_document_changes_while_mail_flows() {
    let plan = Plan::default();
    let Some(mut sites) = Sites::started(&plan, &[E3]) else { return };
    sites.send(&[W1, W2], "user@east.test", 40);
    takes(&sites, E1, 40);
    assert_eq!(sites.taken(M1), 0, "sites on the path are not visited");

    // A hub site on the path is.
    sites.change(&Plan { middle_is_hub: true, ..plan.clone() });
    eventually("mail goes through the hub site", SOON, || sites.taken(M1) > 50);
    // A cheaper way past it.
    let links = vec![("west", "middle", 1), ("middle", "east", 9), ("west", "east", 2)];
    sites.change(&Plan { middle_is_hub: true, links: links.clone(), ..plan.clone() });
    sleep_ms(500);
    let before = sites.taken(M1);
    takes(&sites, E1, 40);
    assert!(sites.taken(M1) - before < 20, "the path leads past it now");

    // A third hub gets its part; then the first one is taken out, and gets no more.
    let mut servers = plan.servers.clone();
    servers.push((E3, "east"));
    sites.change(&Plan { servers: servers.clone(), links: links.clone(), stores: vec![E1, E2, E3], ..plan.clone() });
    takes(&sites, E3, 40);
    sites.change(&Plan { servers, links, stores: vec![E2, E3], ..plan.clone() });
    eventually("the first one has given away what it had", SOON, || {
        let before = stored(&sites, E1);
        sleep_ms(700);
        stored(&sites, E1) == before
    });
    takes(&sites, E3, 40);
    sites.load.end(&[W1, W2]);
    assert!(sites.all_arrive().is_empty(), "nobody was killed: nothing comes twice");
}

#[test]
fn two_source_servers_share_a_connector_and_one_stops_with_a_full_queue() {
    let mut plan = Plan::default();
    // A hub of the west that is no source server: it hands over inside its own site.
    plan.servers.push((E3, "west"));
    let Some(mut sites) = Sites::started(&plan, &[]) else { return };
    sites.send(&[M1, E3], "user@far.test", 40);
    eventually("mail gets out", SOON, || sites.outside.arrived().taken.len() >= 400);
    share_fairly("source servers of a connector", sites.taken(W1), sites.taken(W2));

    // Nobody outside takes mail: both queues fill. One server stops with what it has; the other one takes all that comes.
    sites.outside.behave("refuse421");
    eventually("both have a queue", SOON, || [W1, W2].iter().all(|west| sites.waiting(*west) >= 60));
    let kept = sites.waiting(W1);
    sites.node(W1).kill();
    sites.outside.behave("accept");
    eventually("the other one's queue drains", SOON, || sites.waiting(W2) < 30);
    let before = sites.outside.arrived().taken.len();
    eventually("new mail gets out", SOON, || sites.outside.arrived().taken.len() > before + 100);
    sites.load.end(&[M1, E3]);
    sites.node(W1).start();
    let doubled = sites.all_arrive();
    println!(
        "{kept} waited on the one that stopped; {} promised, {} came twice",
        sites.load.tally().promised.len(),
        doubled.len()
    );
    assert!(doubled.len() <= 3 * CONNECTIONS * 4, "{} came twice", doubled.len());
}
