//! etcd loses its leader: first it dies, then it hangs. Mail goes on.

use tests::cluster::{Cluster, Load, TTL_S};

use super::{STEADY, settle_accounts, wait};

#[test]
fn etcd_loses_its_leader() {
    let Some(mut cluster) = Cluster::started(3) else { return };
    let mut load = Load::default();
    load.start(&cluster.net, &cluster.dir(), &[1, 2, 3], STEADY);
    for how in ["dies", "hangs"] {
        let leader = cluster.etcd.leader(&cluster.net);
        match how {
            "hangs" => cluster.etcd.signal(leader, "STOP"),
            _ => cluster.etcd.kill(leader),
        }
        wait(TTL_S as f64 + 2.0);
        let before = load.promised_now();
        wait(TTL_S as f64);
        let during = load.promised_now() - before;
        println!("cluster chaos: etcd's leader {how}: {during} messages taken in {TTL_S} s after a new one was chosen");
        if during < 100 {
            cluster.tell();
            panic!("mail stops when etcd's leader {how}: {during} in {TTL_S} s");
        }
        match how {
            "hangs" => cluster.etcd.signal(leader, "CONT"),
            _ => cluster.etcd.start(&cluster.net, leader),
        }
        wait(1.0);
        // A leader that thaws may end leases that its successor has renewed (etcd before 3.5.11, docs/decisions/etcd.md).
        assert!(how == "hangs" || cluster.deposed() == 0, "a journal was taken over because etcd's leader {how}");
    }
    settle_accounts(&mut cluster, &mut load, "etcd's leader died, then another one hung", 1);
}
