//! Two things go wrong at a time, by the dice: at most one of them is the loss of a disk. Whatever it was, nothing is lost.

use std::fmt;

use tests::chaos::Dice;
use tests::cluster::{Cluster, ETCDS, Load, Place, TTL_S};

use super::{STEADY, rounds, settle_accounts, wait};

/// Something that goes wrong, and can be put right again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// kill -9, and the data directory is removed.
    Lost(usize),
    /// The same without a word to anybody.
    LostInSilence(usize),
    /// kill -9; it comes back with its disk.
    Killed(usize),
    Frozen(usize),
    /// Its cable is out; whom it talks to does not matter.
    Unplugged(usize),
    CutFromPeers(usize),
    CutFromEtcd(usize),
    /// What it sends to this other node is lost.
    Mute(usize, usize),
    EtcdKilled(usize),
    EtcdFrozen(usize),
    /// All members.
    EtcdAway,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Trouble {
    fn first(dice: &mut Dice) -> Trouble {
        let node = 1 + dice.roll(3) as usize;
        match dice.roll(2) {
            0 => [Trouble::Lost(node), Trouble::LostInSilence(node)][dice.roll(2) as usize],
            _ => Trouble::second(dice, usize::MAX),
        }
    }

    /// No loss of a disk, and not on the same node.
    fn second(dice: &mut Dice, taken: usize) -> Trouble {
        let free: Vec<usize> = (1..=3).filter(|node| *node != taken).collect();
        let node = free[dice.roll(free.len() as u64) as usize];
        let member = dice.roll(ETCDS as u64) as usize;
        match dice.roll(9) {
            0 => Trouble::Killed(node),
            1 => Trouble::Frozen(node),
            2 => Trouble::Unplugged(node),
            3 => Trouble::CutFromPeers(node),
            4 => Trouble::CutFromEtcd(node),
            5 => Trouble::Mute(node, node % 3 + 1),
            6 => Trouble::EtcdKilled(member),
            7 => Trouble::EtcdFrozen(member),
            _ => Trouble::EtcdAway,
        }
    }

    fn node(self) -> usize {
        use Trouble::*;
        match self {
            Lost(n)
            | LostInSilence(n)
            | Killed(n)
            | Frozen(n)
            | Unplugged(n)
            | CutFromPeers(n)
            | CutFromEtcd(n)
            | Mute(n, _) => n,
            EtcdKilled(_) | EtcdFrozen(_) | EtcdAway => usize::MAX,
        }
    }

    fn begin(self, cluster: &mut Cluster) {
        match self {
            Trouble::Lost(n) | Trouble::LostInSilence(n) => {
                if self == Trouble::LostInSilence(n) {
                    cluster.net.unplug(Place::Node(n));
                }
                cluster.node(n).kill();
                cluster.node(n).lose_disk();
            }
            Trouble::Killed(n) => cluster.node(n).kill(),
            Trouble::Frozen(n) => cluster.node(n).process().signal("STOP"),
            Trouble::Unplugged(n) => cluster.net.unplug(Place::Node(n)),
            Trouble::CutFromPeers(n) => others(n).for_each(|other| cluster.net.cut(Place::Node(n), Place::Node(other))),
            Trouble::CutFromEtcd(n) => cluster.net.cut(Place::Node(n), Place::Etcd),
            Trouble::Mute(n, other) => cluster.net.cut_one_way(Place::Node(n), Place::Node(other)),
            Trouble::EtcdKilled(member) => cluster.etcd.kill(member),
            Trouble::EtcdFrozen(member) => cluster.etcd.signal(member, "STOP"),
            Trouble::EtcdAway => (0..ETCDS).for_each(|member| cluster.etcd.kill(member)),
        }
    }

    fn end(self, cluster: &mut Cluster) {
        match self {
            Trouble::Lost(n) | Trouble::LostInSilence(n) => {
                cluster.net.plug(Place::Node(n));
                cluster.node(n).start_only();
            }
            Trouble::Killed(n) => cluster.node(n).start_only(),
            Trouble::Frozen(n) => cluster.node(n).process().signal("CONT"),
            Trouble::Unplugged(n) => cluster.net.plug(Place::Node(n)),
            Trouble::CutFromPeers(n) => {
                others(n).for_each(|other| cluster.net.heal(Place::Node(n), Place::Node(other)))
            }
            Trouble::CutFromEtcd(n) => cluster.net.heal(Place::Node(n), Place::Etcd),
            Trouble::Mute(n, other) => cluster.net.heal(Place::Node(n), Place::Node(other)),
            Trouble::EtcdKilled(member) => cluster.etcd.start(&cluster.net, member),
            Trouble::EtcdFrozen(member) => cluster.etcd.signal(member, "CONT"),
            Trouble::EtcdAway => (0..ETCDS).for_each(|member| cluster.etcd.start(&cluster.net, member)),
        }
    }
}

fn others(node: usize) -> impl Iterator<Item = usize> {
    (1..=3).filter(move |other| *other != node)
}

#[test]
fn two_things_go_wrong_at_a_time() {
    let Some(mut cluster) = Cluster::started(3) else { return };
    let (mut dice, mut load) = (Dice::new(), Load::default());
    for round in 1..=rounds() {
        load.start(&cluster.net, &cluster.dir(), &[1, 2, 3], STEADY);
        wait(0.7);
        // With mail waiting, or with none.
        cluster.sink.behave(if dice.roll(2) == 0 { "accept" } else { "tempfail" });
        dice.nap(1000);
        let first = Trouble::first(&mut dice);
        let second = match first.node() {
            usize::MAX => Trouble::Killed(1 + dice.roll(3) as usize),
            node => Trouble::second(&mut dice, node),
        };
        println!("cluster chaos: round {round}: {first}, then {second}");
        first.begin(&mut cluster);
        dice.nap(TTL_S * 2000);
        second.begin(&mut cluster);
        cluster.sink.behave("accept");
        dice.nap(TTL_S * 2500);
        let (one, other) = if dice.roll(2) == 0 { (first, second) } else { (second, first) };
        one.end(&mut cluster);
        dice.nap(2000);
        other.end(&mut cluster);
        wait(1.0);
        settle_accounts(&mut cluster, &mut load, &format!("round {round} of the storm"), round * 2);
    }
}
