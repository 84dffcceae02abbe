//! Three nodes are restarted one after the other, each after it was drained, while the others take mail.

use std::time::Duration;

use tests::cluster::{Cluster, Load};
use tests::eventually;

use super::{settle_accounts, wait};

#[test]
fn a_rolling_restart_loses_doubles_and_refuses_nothing() {
    let Some(mut cluster) = Cluster::started(3) else { return };
    let mut load = Load::default();
    for number in 1..=3 {
        let others: Vec<usize> = (1..=3).filter(|other| *other != number).collect();
        // They do not try again: what is refused stays refused, and is seen.
        load.start(&cluster.net, &cluster.dir(), &others, &["--messages", "0", "--rate", "150", "--seconds", "9"]);
        wait(0.5);
        let (code, said) = cluster.node(number).verb(&["node", "drain"]);
        assert_eq!(code, 0, "{said}");
        eventually("it has delivered what it had", Duration::from_secs(20), || {
            let status = cluster.node(number).status().unwrap();
            status["spool"]["messages"] == 0
        });
        let ended = cluster.node(number).stop();
        assert!(ended.success(), "n{number} ended with {ended}:\n{}", cluster.node(number).log());
        cluster.node(number).start();
        for (other, report) in load.results(Duration::from_secs(30)) {
            let refused = report["refused"].as_object().map_or(0, |codes| codes.len());
            assert!(report["acked"].as_u64() > Some(500), "n{other} worked: {report}");
            assert_eq!(
                (refused, report["doubtful"].as_u64()),
                (0, Some(0)),
                "n{other} while n{number} was away: {report}"
            );
        }
        cluster.healthy();
        assert_eq!(cluster.deposed(), 0, "nobody is deposed by a restart");
    }
    let arrivals = settle_accounts(&mut cluster, &mut load, "three nodes restarted one after the other", 0);
    assert_eq!(arrivals.duplicates(), 0);
}
