//! Copies and take-over on simulated machines in one thread: links that lose, delay and mix up, power cuts, lost disks, full and
//! failing ones, a register of ownership that is out of reach; and a checker that knows what was promised.
//! `SEEDS` says how many runs, `SEED` runs one.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // a test

mod checks;
mod cluster;
mod ledger;
mod net;
mod node;
mod register;
mod reign;
mod stories;

use cluster::Cluster;
use journal::Canary;
use tests::sim::number;

/// What a run was worth.
struct Tally {
    protected: u64,
    take_overs: u64,
    raises: u64,
}

fn run(seed: u64, canary: Canary) -> Result<Tally, String> {
    let mut cluster = Cluster::new(seed, canary)?;
    let steps = 2000 + cluster.below(3000);
    for _ in 0..steps {
        cluster.step()?;
    }
    cluster.epilogue()?;
    let ledger = &cluster.ledger;
    Ok(Tally { protected: ledger.protected, take_overs: ledger.take_overs, raises: ledger.raises })
}

#[test]
fn what_is_protected_is_with_the_owner_whoever_that_is() {
    let seeds = tests::sim::seeds(200);
    let count = seeds.end - seeds.start;
    let mut sum = Tally { protected: 0, take_overs: 0, raises: 0 };
    for seed in seeds {
        match run(seed, Canary::None) {
            Ok(tally) => {
                sum.protected += tally.protected;
                sum.take_overs += tally.take_overs;
                sum.raises += tally.raises;
            }
            Err(violation) => panic!("seed {seed}: {violation}"),
        }
    }
    println!(
        "{count} seeds: {} protected commits, {} take-overs, {} raised epochs",
        sum.protected, sum.take_overs, sum.raises
    );
    // A simulation in which nothing happens proves nothing.
    let enough = sum.protected > count * 20 && sum.take_overs > count && sum.raises > count;
    assert!(count < 20 || enough, "too little happened");
}

/// What the checker says about the first seeds that it finds something wrong with.
fn caught(canary: Canary) -> Vec<String> {
    let seeds = number("SEEDS").unwrap_or(200).min(200);
    (0..seeds).filter_map(|seed| run(seed, canary).err()).take(3).collect()
}

#[test]
fn canary_acknowledging_before_the_sync_is_caught() {
    let violations = caught(Canary::AckBeforeSync);
    println!("{violations:#?}");
    assert!(!violations.is_empty());
}

#[test]
fn canary_listening_to_lower_epochs_is_caught() {
    let violations = caught(Canary::EpochIgnored);
    println!("{violations:#?}");
    assert!(!violations.is_empty());
}

#[test]
fn canary_waiting_for_one_of_the_level_copies_is_caught() {
    let violations = caught(Canary::AnyCopyIsEnough);
    println!("{violations:#?}");
    assert!(!violations.is_empty());
}

#[test]
fn canary_a_frozen_copy_that_listens_is_caught() {
    let violations = caught(Canary::FrozenListens);
    println!("{violations:#?}");
    assert!(!violations.is_empty());
}

#[test]
fn canary_a_raised_epoch_that_is_not_written_down_is_caught() {
    let violations = caught(Canary::EpochBeforeMeta);
    println!("{violations:#?}");
    assert!(!violations.is_empty());
}
