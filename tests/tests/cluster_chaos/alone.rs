//! Two nodes, and rules that take mail without a copy when there is nobody to keep one: one node dies, and the other one goes on.

use tests::cluster::{Cluster, ClusterNode, Load, SOON};
use tests::eventually;

use super::{STEADY, settle_accounts, wait};

fn two() -> Option<Cluster> {
    let mut cluster = Cluster::new(2)?;
    cluster.nodes.iter().for_each(ClusterNode::accept_when_short);
    cluster.nodes.iter_mut().for_each(ClusterNode::start);
    cluster.healthy();
    Some(cluster)
}

/// Waits until node 1 says that it goes on without node 2's copy, then until mail goes through it.
fn goes_on(cluster: &Cluster, load: &Load, times: usize) {
    eventually("node 1 says that it goes on alone", SOON, || {
        cluster.nodes[0].log().matches("going on without n2.chaos.test's copy").count() >= times
    });
    let (promised, arrived) = (load.promised_now(), cluster.sink.arrived().messages());
    eventually("mail is taken and delivered", SOON, || {
        load.promised_now() >= promised + 100 && cluster.sink.arrived().messages() >= arrived + 100
    });
}

#[test]
fn the_last_copy_is_gone_and_the_owner_goes_on_until_it_is_back() {
    let Some(mut cluster) = two() else { return };
    let mut load = Load::default();
    load.start(&cluster.net, &cluster.dir(), &[1, 2], STEADY);
    wait(1.0);
    cluster.node(2).kill();
    load.end(&[2]);
    goes_on(&cluster, &load, 1);
    // Protected again, and what came meanwhile as well.
    cluster.node(2).start();
    cluster.healthy();
    settle_accounts(&mut cluster, &mut load, "one of two nodes dead, the other one alone", 1);
}

#[test]
fn a_copy_that_was_left_behind_names_all_of_it_as_possible_duplicates() {
    let Some(mut cluster) = two() else { return };
    let mut load = Load::default();
    load.start(&cluster.net, &cluster.dir(), &[1], STEADY);
    wait(1.0);
    // Some mail of node 1 waits, here and in its copy.
    cluster.sink.behave("tempfail");
    wait(1.0);
    let waiting = load.waiting_on(1, &cluster.sink);
    assert!(waiting.len() > 20, "mail waits: {}", waiting.len());
    cluster.node(2).kill();
    cluster.sink.behave("accept");
    goes_on(&cluster, &load, 1);
    cluster.node(1).kill();
    load.end(&[1]);
    cluster.node(2).start();
    eventually("node 2 has the journal, and says what may come twice", SOON, || {
        let log = cluster.nodes[1].log();
        log.contains("had gone on without this copy") && log.contains("possible duplicates: ")
    });
    // What was taken alone is on node 1 only.
    cluster.node(1).start();
    cluster.healthy();
    let arrivals = load.all_arrive(&cluster.sink, SOON).unwrap_or_else(|why| {
        cluster.tell();
        panic!("{why}")
    });
    let (named, tally) = (cluster.named(), load.tally());
    let is_named =
        |id: &String| tally.doubts.contains(id) || tally.names.get(id).is_none_or(|name| named.contains(name));
    let unnamed: Vec<&String> = arrivals.doubled().into_iter().filter(|id| !is_named(id)).collect();
    println!(
        "cluster chaos: a copy that was left behind: promised {}, lost 0, duplicates {}, named {}",
        tally.promised.len(),
        arrivals.duplicates(),
        named.len()
    );
    assert!(unnamed.is_empty(), "came twice, and no log names them: {unnamed:?}");
    assert!(arrivals.duplicates() > 0, "the copy had what was delivered meanwhile");
}
