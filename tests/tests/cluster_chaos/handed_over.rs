//! A node is to be switched off for good: it hands its journal over, with all that waits in it, and its disk may be thrown away.

use std::time::Duration;

use tests::cluster::{Cluster, Load};

use super::{STEADY, settle_accounts, wait};

#[test]
fn a_node_hands_its_journal_over_and_is_switched_off() {
    let Some(mut cluster) = Cluster::started(3) else { return };
    let mut load = Load::default();
    load.start(&cluster.net, &cluster.dir(), &[1, 2, 3], STEADY);
    wait(1.0);
    cluster.sink.behave("tempfail");
    wait(1.0);
    let waits = cluster.node(2).status().unwrap()["spool"]["messages"].as_u64().unwrap();
    let (code, said) = cluster.node(2).verb(&["node", "drain", "--hand-over"]);
    println!("cluster chaos: hand-over with {waits} messages waiting: {said}");
    if code != 0 {
        cluster.tell();
        panic!("n2 does not hand over: {code} {said}");
    }
    assert!(waits > 50, "mail waits on it: {waits}");
    // 77: not to be started again by itself.
    assert_eq!(cluster.node(2).process().wait(Duration::from_secs(20)).code(), Some(77), "{}", cluster.node(2).log());
    cluster.node(2).kill();
    cluster.node(2).lose_disk();
    cluster.sink.behave("accept");
    wait(2.0);
    load.end(&[2]);
    // A new machine of that name.
    cluster.node(2).start();
    let arrivals = settle_accounts(&mut cluster, &mut load, "n2 handed over and switched off", 0);
    assert_eq!(arrivals.duplicates(), load.tally().doubts.len(), "a planned hand-over doubles nothing");
}
