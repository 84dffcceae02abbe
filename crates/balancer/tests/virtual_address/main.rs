//! Machines of three nodes over a simulated etcd, network and kernel: whatever happens, never two of them have the address on their interface;
//! and when it has been calm for a while, one of them has it.
#![allow(clippy::unwrap_used)] // a test says so by failing

mod world;

use balancer::address::{Fit, Rules};
use proptest::prelude::*;
use world::{NODES, STEP_MS, Trouble, World};

/// Runs it; the moment at which two had it, or the world at its end.
fn run(seed: u64, ttl_ms: u64, margin_ms: u64, failback: bool, troubles: &[(u64, Trouble)]) -> Result<World, String> {
    let mut world = World::new(seed, ttl_ms, margin_ms, failback);
    if troubles.is_empty() {
        world.loss = 0;
    }
    let mut troubles = troubles.iter();
    let mut next = troubles.next();
    let mut due_ms = world.now_ms + 3_000;
    let mut calm_ms = 0;
    while next.is_some() || calm_ms < CALM_MS {
        world.step();
        match next {
            Some((wait_ms, trouble)) if world.now_ms >= due_ms => {
                world.trouble(*trouble);
                (due_ms, next) = (world.now_ms + wait_ms, troubles.next());
            }
            Some(_) => {}
            None if calm_ms == 0 => {
                // Answers that are lost one after the other move an address with a short lease: that is trouble too.
                world.loss = 0;
                for node in &mut world.nodes {
                    (node.cut, node.fit) = (false, Fit::Ready);
                }
                calm_ms += STEP_MS;
            }
            None => calm_ms += STEP_MS,
        }
        if world.untold {
            return Err(format!("at {} ms the kernel was before the guard", world.now_ms - 1_000_000));
        }
        if world.have_it().len() > 1 {
            return Err(format!("at {} ms {:?} have it", world.now_ms - 1_000_000, world.have_it()));
        }
    }
    Ok(world)
}

/// Longer than any wait of the machine: the longest hysteresis, a lease, an order.
const CALM_MS: u64 = 120_000;

fn trouble() -> impl Strategy<Value = Trouble> {
    let node = 0..NODES;
    prop_oneof![
        node.clone().prop_map(Trouble::Cut),
        node.clone().prop_map(Trouble::Heal),
        (node.clone(), 10u64..9_000).prop_map(|(node, ms)| Trouble::Freeze(node, ms)),
        node.clone().prop_map(Trouble::Kill),
        node.clone().prop_map(Trouble::NoGuard),
        (node.clone(), 10u64..4_000, prop_oneof![Just(10u64), 10u64..9_000])
            .prop_map(|(node, comes_ms, needs_ms)| Trouble::Restart(node, comes_ms, needs_ms)),
        (node.clone(), any::<bool>()).prop_map(|(node, unfit)| Trouble::Unfit(node, unfit)),
        proptest::option::of(node).prop_map(Trouble::Order),
        (100u64..8_000).prop_map(Trouble::EtcdAway),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_two_and_in_the_end_one(
        seed in any::<u64>(),
        ttl_ms in prop_oneof![Just(3_000u64), Just(5_000), Just(20_000)],
        failback in any::<bool>(),
        troubles in prop::collection::vec((10u64..6_000, trouble()), 0..25),
    ) {
        let world = run(seed, ttl_ms, Rules::MARGIN_MS, failback, &troubles).map_err(TestCaseError::fail)?;
        prop_assert_eq!(world.have_it().len(), 1, "after {} moves", world.moves);
        if failback && !troubles.iter().any(|(_, trouble)| matches!(trouble, Trouble::Order(_))) {
            prop_assert_eq!(world.have_it(), vec![0], "the best one");
        }
    }
}

/// The oracle is no ornament: without the margin for a kernel that is late, or with a guard that ends leases at once, two have it.
#[test]
fn without_the_margin_two_have_it() {
    let found = (0..200).any(|seed| {
        let cut = [(9_000, Trouble::NoGuard(0)), (9_000, Trouble::Cut(0)), (9_000, Trouble::Freeze(0, 9_000))];
        run(seed, 5_000, 0, false, &cut).is_err() || {
            let frozen = [(500, Trouble::NoGuard(0)), (9_000, Trouble::Freeze(0, 20_000))];
            run(seed, 5_000, 0, false, &frozen).is_err()
        }
    });
    assert!(found, "a margin of nothing was enough in all of them");
}

/// A restart, however long the new process takes to come, moves nothing, if it then begins at once.
#[test]
fn a_restart_moves_nothing() {
    for seed in 0..20 {
        let restarts: Vec<(u64, Trouble)> =
            (0..NODES).cycle().take(12).map(|node| (6_000, Trouble::Restart(node, 50 + seed * 200, 100))).collect();
        let world = run(seed, 5_000, Rules::MARGIN_MS, false, &restarts).unwrap();
        assert_eq!((world.moves, world.have_it().len()), (1, 1), "seed {seed}");
    }
}

/// Nothing goes wrong: nothing moves.
#[test]
fn a_quiet_cluster_moves_nothing() {
    for seed in 0..20 {
        let world = run(seed, 3_000, Rules::MARGIN_MS, false, &[]).unwrap();
        assert_eq!((world.moves, world.have_it().len()), (1, 1), "seed {seed}");
    }
}

/// What all of them need is gone, at the same time or nearly so: the address stays with one that says "not now", instead of leaving for a node
/// that does not take it.
#[test]
fn nobody_is_ready_and_one_has_it() {
    for (seed, gap_ms) in (0..20).flat_map(|seed| [0, 30, 400, 1_200, 3_000].map(|gap_ms| (seed, gap_ms))) {
        let mut world = World::new(seed, 5_000, Rules::MARGIN_MS, false);
        let run = |world: &mut World, ms: u64| (0..ms).step_by(STEP_MS as usize).for_each(|_| world.step());
        run(&mut world, 5_000);
        for at in 0..NODES {
            world.trouble(Trouble::Unfit((at + seed as usize) % NODES, true));
            run(&mut world, gap_ms);
        }
        run(&mut world, 20_000);
        assert_eq!(world.have_it().len(), 1, "seed {seed}, one after the other by {gap_ms} ms");
    }
}
