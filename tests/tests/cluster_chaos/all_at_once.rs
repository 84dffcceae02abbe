//! The power goes: all nodes and all members of etcd are killed at one moment, and come back with their disks.

use tests::cluster::{Cluster, ClusterNode, ETCDS, Load, Place};

use super::{STEADY, settle_accounts, wait};

#[test]
fn everything_is_killed_at_once_and_comes_back() {
    let Some(mut cluster) = Cluster::started(3) else { return };
    let mut load = Load::default();
    for (round, etcd_first) in [true, false].into_iter().enumerate() {
        load.start(&cluster.net, &cluster.dir(), &[1, 2, 3], STEADY);
        wait(1.0);
        cluster.sink.behave("tempfail");
        wait(0.7);
        // Nobody hears another one die.
        (1..=3).for_each(|number| cluster.net.unplug(Place::Node(number)));
        cluster.nodes.iter_mut().for_each(ClusterNode::kill);
        (0..ETCDS).for_each(|member| cluster.etcd.kill(member));
        cluster.sink.behave("accept");
        (1..=3).for_each(|number| cluster.net.plug(Place::Node(number)));
        if !etcd_first {
            // They have to do without it at first.
            cluster.nodes.iter_mut().for_each(ClusterNode::start_only);
            wait(4.0);
        }
        (0..ETCDS).for_each(|member| cluster.etcd.start(&cluster.net, member));
        if etcd_first {
            cluster.nodes.iter_mut().for_each(ClusterNode::start_only);
        }
        wait(2.0);
        let what = format!("everything killed at once, {} back first", if etcd_first { "etcd" } else { "the nodes" });
        settle_accounts(&mut cluster, &mut load, &what, 3 * (round + 1));
    }
}
