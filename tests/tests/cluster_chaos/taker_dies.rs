//! The node that took a dead one's journal over dies with its disk as well: the last one goes on with all of it.

use tests::cluster::{Cluster, Load};
use tests::eventually;

use super::{STEADY, settle_accounts, wait};

#[test]
fn the_taker_is_lost_too() {
    let Some(mut cluster) = Cluster::started(3) else { return };
    let mut load = Load::default();
    load.start(&cluster.net, &cluster.dir(), &[1, 2, 3], STEADY);
    wait(1.0);
    // Nothing leaves until both are dead.
    cluster.sink.behave("tempfail");
    wait(1.0);
    cluster.node(2).kill();
    cluster.node(2).lose_disk();
    load.end(&[2]);
    let mut taker = 0;
    eventually("another node has the journal, and a copy of it elsewhere", tests::cluster::SOON, || {
        let has = |number: &usize| cluster.nodes[number - 1].log().contains("taken over from n2.chaos.test");
        taker = [1, 3].into_iter().find(has).unwrap_or(0);
        // Its own journal's copy may have been on the dead one.
        taker > 0
            && cluster.nodes[taker - 1].copied("n2.chaos.test/")
            && cluster.nodes[taker - 1].is_protected_without("n2.")
    });
    let waiting = cluster.node(taker).status().unwrap()["taken"][0]["messages"].as_u64();
    cluster.node(taker).kill();
    cluster.node(taker).lose_disk();
    println!("cluster chaos: n{taker} took n2's journal over and is lost too, with {waiting:?} messages of n2");
    wait(1.0);
    cluster.sink.behave("accept");
    load.end(&[taker]);
    cluster.node(2).start();
    cluster.node(taker).start();
    settle_accounts(&mut cluster, &mut load, "a node and its taker lost with their disks", 2);
    assert!(waiting > Some(50), "the taker had n2's mail: {waiting:?}");
}
