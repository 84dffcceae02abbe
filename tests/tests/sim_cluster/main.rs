//! The cluster on simulated machines in one thread: the seats and tenures of `cluster`, the journals and copies of `journal`, a
//! simulated etcd, clients; power cuts, lost disks, partitions, slow links, etcd out of reach, processes that stand still, hand-overs.
//! The drivers of `roles::cluster` are written here once more, without threads. Checkers know what was promised.
//! `SEEDS` says how many runs, `SEED` runs one, `TRACE=1` says what happens.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // a test

mod checks;
mod etcd;
mod faults;
mod ledger;
mod net;
mod node;
mod office;
mod places;
mod reign;
mod seats;
mod sim;

use journal::Canary;
use ledger::Tally;
use sim::{Broken, Sim};
use tests::sim::number;

fn run(seed: u64, broken: Broken) -> Result<Tally, String> {
    let mut sim = Sim::new(seed, broken)?;
    let until_us = 30_000_000 + sim.below(60_000_000);
    while sim.now_us < until_us {
        sim.step()?;
    }
    sim.epilogue()?;
    Ok(sim.ledger.tally)
}

/// Seeds outside the usual range that have found something.
const FOUND: [u64; 4] = [684, 2024, 3237, 3287];

#[test]
fn what_has_a_receipt_is_delivered_whatever_happens_to_the_cluster() {
    let from = number("FROM").unwrap_or(0);
    let seeds: Vec<u64> = match number("SEED") {
        Some(seed) => vec![seed],
        None => (from..from + number("SEEDS").unwrap_or(200)).chain(FOUND).collect(),
    };
    let count = seeds.len() as u64;
    let (mut sum, mut failed) = (Tally::default(), Vec::new());
    for seed in seeds {
        match run(seed, Broken::Nothing) {
            Ok(tally) => sum += tally,
            Err(violation) => {
                println!("seed {seed}: {violation}");
                failed.push(seed);
            }
        }
    }
    println!("{count} seeds: {sum:?}");
    assert!(failed.is_empty(), "seeds {failed:?}");
    // A simulation in which nothing happens proves nothing.
    let enough = sum.receipts > count * 20 && sum.take_overs > count && sum.hand_overs * 4 > count;
    assert!(count < 20 || enough, "too little happened");
}

/// The checkers must find something wrong; they say what about the first seed.
fn caught(broken: Broken) {
    let seeds = number("SEEDS").unwrap_or(200).min(200);
    let violation = FOUND.into_iter().chain(0..seeds).find_map(|seed| Some((seed, run(seed, broken).err()?)));
    println!("{violation:?}");
    assert!(violation.is_some(), "{broken:?} is not caught");
}

#[test]
fn canary_a_candidate_that_does_not_close_its_copy_is_caught() {
    caught(Broken::NeverFreezes);
}

#[test]
fn canary_waiting_for_a_copy_after_etcd_was_told_is_caught() {
    caught(Broken::WaitsLate);
}

#[test]
fn canary_a_new_disk_that_is_taken_for_the_old_one_is_caught() {
    caught(Broken::DiskBlind);
}

#[test]
fn canary_a_raised_epoch_that_is_not_written_down_is_caught() {
    caught(Broken::Journal(Canary::EpochBeforeMeta));
}

#[test]
fn canary_acknowledging_before_the_sync_is_caught() {
    caught(Broken::Journal(Canary::AckBeforeSync));
}

#[test]
fn canary_a_door_that_waits_for_news_is_caught() {
    caught(Broken::DoorBlind);
}

#[test]
fn canary_a_door_that_forgets_what_etcd_has_answered_is_caught() {
    caught(Broken::DoorForgets);
}
