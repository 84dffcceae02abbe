//! A node is cut off without a word, for longer than its lease, and found again.

use tests::cluster::{Cluster, Load, Place, TTL_S};

use super::{STEADY, settle_accounts, wait};

const PEERS: &[Place] = &[Place::Node(1), Place::Node(3)];
const ETCD: &[Place] = &[Place::Etcd];
const BOTH: &[Place] = &[Place::Node(1), Place::Node(3), Place::Etcd];

#[test]
fn a_node_is_cut_from_its_peers_from_etcd_and_from_both() {
    let Some(mut cluster) = Cluster::started(3) else { return };
    let mut load = Load::default();
    for (deaths, (what, from)) in [("its peers", PEERS), ("etcd", ETCD), ("both", BOTH)].into_iter().enumerate() {
        load.start(&cluster.net, &cluster.dir(), &[1, 2, 3], STEADY);
        wait(1.0);
        from.iter().for_each(|other| cluster.net.cut(Place::Node(2), *other));
        for _ in 0..TTL_S * 2 + 2 {
            wait(1.0);
            cluster.start_deposed();
        }
        from.iter().for_each(|other| cluster.net.heal(Place::Node(2), *other));
        wait(2.0);
        settle_accounts(&mut cluster, &mut load, &format!("n2 cut from {what}"), deaths + 1);
    }
}

#[test]
fn what_a_node_sends_its_peers_is_lost_and_what_they_send_is_not() {
    let Some(mut cluster) = Cluster::started(3) else { return };
    let mut load = Load::default();
    load.start(&cluster.net, &cluster.dir(), &[1, 2, 3], STEADY);
    wait(1.0);
    PEERS.iter().for_each(|other| cluster.net.cut_one_way(Place::Node(2), *other));
    wait(TTL_S as f64 * 2.0);
    PEERS.iter().for_each(|other| cluster.net.heal(Place::Node(2), *other));
    wait(2.0);
    settle_accounts(&mut cluster, &mut load, "n2 not heard by its peers", 1);
}
