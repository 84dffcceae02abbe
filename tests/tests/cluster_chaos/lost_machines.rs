//! A machine dies together with its disk: kill -9, and its data directory is removed.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use tests::chaos::Dice;
use tests::cluster::{Cluster, Load, Place, TTL_S};

use super::{STEADY, rounds, settle_accounts, wait};

#[test]
fn machines_are_lost_with_their_disks() {
    let Some(mut cluster) = Cluster::started(3) else { return };
    let (mut dice, mut load) = (Dice::new(), Load::default());
    let (mut slowest, mut stillest) = (Duration::ZERO, Duration::ZERO);
    for round in 1..=rounds() {
        let victim = 1 + dice.roll(3) as usize;
        load.start(&cluster.net, &cluster.dir(), &[1, 2, 3], STEADY);
        wait(0.8);
        dice.nap(700);
        // From here on mail waits: it is on the victim and in its copy only.
        cluster.sink.behave("tempfail");
        wait(0.7);
        let silent = round % 2 == 0;
        if silent {
            // No reset reaches anybody: a machine that lost its power.
            cluster.net.unplug(Place::Node(victim));
        }
        let killed = Instant::now();
        cluster.node(victim).kill();
        cluster.node(victim).lose_disk();
        cluster.sink.behave("accept");
        wait(0.2);
        // What it had in hand has arrived by now. The rest of what it had promised comes from the one that takes its journal over.
        let mark = cluster.sink.mark();
        let waiting = load.waiting_on(victim, &cluster.sink);
        assert!(waiting.len() > 20, "mail waits on n{victim}: {}", waiting.len());
        let early = round % 3 == 0;
        if early {
            // The new machine of that name is there before anybody has taken anything over.
            cluster.net.plug(Place::Node(victim));
            cluster.node(victim).start_only();
        }
        let (took, still) = watch(&mut cluster, &load, victim, &Waiting { mark, ids: waiting.clone(), since: killed });
        (slowest, stillest) = (slowest.max(took), stillest.max(still));
        if !early {
            cluster.net.plug(Place::Node(victim));
            cluster.node(victim).start_only();
        }
        println!(
            "cluster chaos: round {round}: n{victim} lost{}{}; the first of its {} messages left its taker after {:.1} s (lease {TTL_S} s), \
             another node gave no 250 for {:.1} s",
            if silent { " without a word" } else { "" },
            if early { ", a new one started at once" } else { "" },
            waiting.len(),
            took.as_secs_f64(),
            still.as_secs_f64(),
        );
        settle_accounts(&mut cluster, &mut load, &format!("{round} machines lost with their disks"), round);
    }
    assert!(load.tally().promised.len() > rounds() * 200, "there was load: {}", load.tally().promised.len());
    let most = Duration::from_secs(TTL_S + 2);
    println!(
        "cluster chaos: slowest take-over {:.1} s, to be at most {:.1} s; longest time without a 250 on a node that lived: {:.1} s",
        slowest.as_secs_f64(),
        most.as_secs_f64(),
        stillest.as_secs_f64()
    );
    assert!(slowest <= most, "the slowest take-over took {slowest:?}; at most {most:?} are allowed");
}

/// What a dead node had promised.
struct Waiting {
    mark: u64,
    ids: HashSet<String>,
    since: Instant,
}

/// Waits until the first of it has arrived, and the other nodes take mail: how long after the death the one was, and how long one of
/// them gave no 250.
fn watch(cluster: &mut Cluster, load: &Load, victim: usize, waiting: &Waiting) -> (Duration, Duration) {
    let mut took = None;
    let mut others: Vec<Pulse> =
        (1..=3).filter(|other| *other != victim).map(|n| Pulse::new(n, waiting.since)).collect();
    loop {
        others.iter_mut().for_each(|pulse| pulse.look(load.ledger_size(pulse.number)));
        if took.is_none() && cluster.sink.has_since(waiting.mark, &waiting.ids) {
            took = Some(waiting.since.elapsed());
        }
        if let Some(took) = took.filter(|_| others.iter().all(Pulse::beats)) {
            return (took, others.iter().map(|pulse| pulse.longest).max().unwrap_or_default());
        }
        cluster.start_deposed();
        if waiting.since.elapsed() > Duration::from_secs(30) {
            cluster.tell();
            panic!(
                "of {} messages that wait the first was delivered after {took:?}; the others take mail?",
                waiting.ids.len()
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// When a node gave its 250s.
struct Pulse {
    number: usize,
    size: u64,
    last: Instant,
    longest: Duration,
}

impl Pulse {
    fn new(number: usize, since: Instant) -> Pulse {
        Pulse { number, size: 0, last: since, longest: Duration::ZERO }
    }

    fn look(&mut self, size: u64) {
        self.longest = self.longest.max(self.last.elapsed());
        if size != self.size {
            (self.size, self.last) = (size, Instant::now());
        }
    }

    /// It takes mail now.
    fn beats(&self) -> bool {
        self.last.elapsed() < Duration::from_millis(200)
    }
}
