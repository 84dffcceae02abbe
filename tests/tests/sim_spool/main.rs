//! The spool on a simulated disk, with everything that can go wrong going wrong: crash at every write and sync, torn writes, lost
//! unsynced data, full disk, failing sync, jumping clocks. `SEEDS=n` runs n of them (300 by default), `SEED=n` only that one.
#![allow(clippy::unwrap_used)]

mod ledger;
mod machine;

use machine::Machine;
use spool::Canary;

/// One life of a machine: steps, then everything is delivered. Gives its restarts.
fn run(seed: u64, steps: u64, canary: Canary) -> Result<u32, String> {
    let told = |machine: &Machine, error: String| format!("seed {seed}: {error}\n  {}", machine.story());
    let mut machine = Machine::new(seed, canary)?;
    for _ in 0..steps {
        machine.step().map_err(|error| told(&machine, error))?;
    }
    machine.drain().map_err(|error| told(&machine, error))?;
    Ok(machine.restarts)
}

#[test]
fn every_seed_keeps_every_promise() {
    let mut restarts = 0;
    for seed in tests::sim::seeds(300) {
        match run(seed, 150, Canary::None) {
            Ok(n) => restarts += n,
            Err(error) => panic!("{error}"),
        }
    }
    println!("{restarts} restarts");
}

#[test]
fn a_broken_spool_is_caught() {
    let canaries = [
        Canary::ReceiptBeforeSync,
        Canary::ReleaseBeforeSettle,
        Canary::ForgetSettle,
        Canary::LoseTombstones,
        Canary::StartsUnsynced,
        Canary::StartsUnnoted,
    ];
    for canary in canaries {
        let caught = (0..200).find_map(|seed| run(seed, 150, canary).err());
        println!("{canary:?}: {}", caught.as_deref().unwrap_or("-").lines().next().unwrap_or("-"));
        assert!(caught.is_some(), "{canary:?} went unnoticed");
    }
}
