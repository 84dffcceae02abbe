//! A cluster as real processes, each node in a network namespace of its own, with three members of etcd: machines are lost with their
//! disks, cut off, frozen, filled up, and restarted one by one, all under load. Afterwards the generators' ledgers of promises are held
//! against the sink's ledger of what came. Needs root, iproute2 and etcd; `./test cluster` installs them.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // tests touch the real world

mod all_at_once;
mod alone;
mod cuts;
mod etcd_away;
mod etcd_members;
mod frozen;
mod full_disk;
mod handed_over;
mod lost_machines;
mod rolling;
mod storm;
mod taker_dies;

use std::time::Duration;

use tests::chaos::Arrivals;
use tests::cluster::{CONNECTIONS, Cluster, Load, SESSIONS};

/// So many machines are lost with their disks.
fn rounds() -> usize {
    std::env::var("CLUSTER_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(2)
}

/// What a generator of steady load is told.
const STEADY: &[&str] = &["--messages", "0", "--rate", "150", "--reconnect"];

/// Ends all load, waits until the cluster is well and everything promised has come, and says what came twice.
fn settle_accounts(cluster: &mut Cluster, load: &mut Load, what: &str, deaths: usize) -> Arrivals {
    load.end(&[1, 2, 3]);
    cluster.healthy();
    let arrivals = match load.all_arrive(&cluster.sink, Duration::from_secs(60)) {
        Ok(arrivals) => arrivals,
        Err(why) => {
            cluster.tell();
            panic!("{what}: {why}");
        }
    };
    let (tally, named) = (load.tally(), cluster.named());
    // Sent again by a generator after a doubt; by a taker because the old owner was between a dot and the record of its 250; or by an
    // old owner that was deposed while a session had its answer to come: that message was refused, and its sender sent it again.
    let explained = tally.doubts.len() + deaths * (CONNECTIONS * 2 + SESSIONS);
    println!(
        "cluster chaos: {what}: promised {}, lost 0, duplicates {} (named in logs as possible: {}; doubts of the generators: {}; at most \
         {explained}), nodes that found themselves deposed {}",
        tally.promised.len(),
        arrivals.duplicates(),
        named.len(),
        tally.doubts.len(),
        cluster.deposed(),
    );
    assert!(arrivals.duplicates() <= explained, "{what}: {} duplicates, {explained} explained", arrivals.duplicates());
    // A message that an old owner had, and never promised, is named under the id of that attempt; its sender sent it again.
    let unpromised = named.len() - tally.names.values().filter(|name| named.contains(*name)).count();
    let is_named =
        |id: &String| tally.doubts.contains(id) || tally.names.get(id).is_none_or(|name| named.contains(name));
    let unnamed: Vec<&String> = arrivals.doubled().into_iter().filter(|id| !is_named(id)).collect();
    if unnamed.len() > unpromised {
        cluster.tell();
        panic!(
            "{what}: came twice, and no log names them: {unnamed:?} ({unpromised} are named that nobody was promised)"
        );
    }
    arrivals
}

/// Sleeps.
fn wait(seconds: f64) {
    std::thread::sleep(Duration::from_secs_f64(seconds));
}
