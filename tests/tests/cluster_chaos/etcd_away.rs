//! All of etcd is gone: mail flows on with the copies that counted; a node that starts meanwhile goes on with what is its own and promises
//! no copies until etcd has said which count; a node that was never in the cluster waits.

use tests::cluster::{Cluster, Load, SOON, TTL_S};
use tests::eventually;

use super::{STEADY, settle_accounts, wait};

#[test]
fn mail_flows_without_etcd_and_a_start_goes_on() {
    let Some(mut cluster) = Cluster::started(3) else { return };
    let mut load = Load::default();
    load.start(&cluster.net, &cluster.dir(), &[1, 2, 3], STEADY);
    wait(1.0);
    (0..3).for_each(|member| cluster.etcd.kill(member));
    wait(2.0 * TTL_S as f64);
    let before = load.promised_now();
    wait(2.0);
    let during = load.promised_now() - before;
    println!("cluster chaos: {during} messages taken in 2 s while etcd was gone for longer than a lease");
    assert!(during > 50, "mail flows on without etcd: {during}");

    let before = cluster.node(1).log().len();
    cluster.node(1).kill();
    cluster.node(1).start();
    let said = |cluster: &mut Cluster, what: &str| cluster.node(1).log()[before..].contains(what);
    assert!(
        said(&mut cluster, "etcd does not answer: going on with what this node owned"),
        "{}",
        cluster.node(1).log()
    );
    let answer = cluster.nodes[0].mail_answer(&cluster.net);
    assert!(answer.starts_with("451 4.4.0"), "nothing is protected before etcd has said so: {answer}");
    cluster.node(2).kill();
    cluster.node(2).lose_disk();
    cluster.node(2).start_only();
    wait(2.0);
    assert!(cluster.node(2).process().is_running() && cluster.node(2).status().is_none(), "it waits for etcd");

    (0..3).for_each(|member| cluster.etcd.start(&cluster.net, member));
    eventually("n1 takes mail again, under a higher epoch", SOON, || {
        cluster.nodes[0].mail_answer(&cluster.net).starts_with("250")
    });
    settle_accounts(&mut cluster, &mut load, "etcd was gone, and nodes started meanwhile", 2);
}
