//! A node is frozen for longer than its lease, and thawed: it must promise nothing that nobody keeps.

use tests::cluster::{Cluster, Load, TTL_S};

use super::{STEADY, settle_accounts, wait};

#[test]
fn a_node_is_frozen_and_thawed() {
    let Some(mut cluster) = Cluster::started(3) else { return };
    let mut load = Load::default();
    load.start(&cluster.net, &cluster.dir(), &[1, 2, 3], STEADY);
    wait(1.0);
    cluster.sink.behave("tempfail");
    wait(0.5);
    cluster.node(2).process().signal("STOP");
    cluster.sink.behave("accept");
    wait(TTL_S as f64 + 4.0);
    // Mail that came in meanwhile lies in its sockets.
    cluster.node(2).process().signal("CONT");
    wait(3.0);
    settle_accounts(&mut cluster, &mut load, "n2 frozen and thawed", 1);
}
