//! Owns the choice of the nodes that keep copies of a journal. Pure: what is known of nodes and copies comes in, members go out.
//! Always holds: who keeps a copy goes on with it while it is of use; another one is asked before the first is let go.

use std::collections::BTreeMap;

use crate::record::{DRAINING, Member, NodeRecord, STOPPING};

/// Which nodes are asked first to keep copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Any.
    Any,
    /// Those of another rack.
    Rack,
    /// Those of another site, then those of another rack.
    Site,
}

/// Who keeps copies of one journal, and how long each has been of no use.
pub struct Choice {
    /// Where the owner stands.
    site: String,
    rack: String,
    spread: Spread,
    /// Makes the choice differ from journal to journal.
    salt: u64,
    chosen: Vec<Chosen>,
    /// Members that were let go because they were of no use, and when.
    failed: BTreeMap<Member, u64>,
}

struct Chosen {
    member: Member,
    /// Where its copy ended when it was last seen to move on.
    acked: u64,
    /// Since when it has neither answered as one that counts, nor moved on.
    useless_since_ms: Option<u64>,
    counts: bool,
    /// It has counted since this owner began.
    has_counted: bool,
}

/// What is known of a copy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// It counts, and answers.
    pub counts: bool,
    /// Where it ends.
    pub acked: u64,
}

impl Choice {
    /// For an owner who stands there. `before`: whose copies counted until now; they are asked first.
    pub fn new(site: &str, rack: &str, spread: Spread, salt: u64, before: &[Member]) -> Choice {
        let chosen = before.iter().cloned().map(Chosen::new).collect();
        Choice { site: site.into(), rack: rack.into(), spread, salt, chosen, failed: BTreeMap::new() }
    }

    /// Looks at the nodes that are there (without the owner, and without those that may not keep a copy). At least `wanted` of them shall
    /// keep one, if there are so many. Gives all that shall, the preferred taker first.
    pub fn step(
        &mut self,
        now_ms: u64,
        nodes: &BTreeMap<String, NodeRecord>,
        wanted: usize,
        seen: impl Fn(&Member) -> Seen,
    ) -> Vec<Member> {
        let alive = |member: &Member| nodes.get(&member.node).is_some_and(|node| node.disk == member.disk);
        for chosen in &mut self.chosen {
            chosen.look(now_ms, alive(&chosen.member), seen(&chosen.member));
        }
        let since = |chosen: &Chosen, ms: u64| chosen.useless_since_ms.is_some_and(|since_ms| now_ms - since_ms >= ms);
        // One that is being linked gets more time than one that counted and answers no more.
        let is_late = |chosen: &Chosen| since(chosen, if chosen.has_counted { LATE_MS } else { USELESS_MS });
        let mut useful = self.chosen.iter().filter(|chosen| !is_late(chosen)).count();
        while useful < wanted {
            let Some(next) = self.best(nodes, now_ms) else { break };
            self.chosen.push(Chosen::new(next));
            useful += 1;
        }
        // One of no use is let go once others do what is wanted; until then it may come back.
        let mut counting = self.chosen.iter().filter(|chosen| chosen.counts).count();
        let mut kept = Vec::new();
        for chosen in std::mem::take(&mut self.chosen).into_iter() {
            if since(&chosen, USELESS_MS) && counting >= wanted {
                self.failed.insert(chosen.member, now_ms);
            } else {
                kept.push(chosen);
            }
        }
        // More than enough, because one came back: the last ones go.
        while counting > wanted {
            let Some(at) = kept.iter().rposition(|chosen| chosen.counts) else { break };
            kept.remove(at);
            counting -= 1;
        }
        self.chosen = kept;
        self.chosen.iter().map(|chosen| chosen.member.clone()).collect()
    }

    /// The best node that does not keep one yet.
    fn best(&self, nodes: &BTreeMap<String, NodeRecord>, now_ms: u64) -> Option<Member> {
        let is_chosen = |node: &str, disk: u64| {
            self.chosen.iter().any(|chosen| chosen.member.node == node && chosen.member.disk == disk)
        };
        let candidates = nodes.iter().filter(|(name, record)| !is_chosen(name, record.disk));
        let member = |(name, record): (&String, &NodeRecord)| Member { node: name.clone(), disk: record.disk };
        let rank = |(name, record): &(&String, &NodeRecord)| {
            let failed = self.failed.get(&Member { node: (*name).clone(), disk: record.disk });
            let resting = failed.is_some_and(|at_ms| now_ms - at_ms < REST_MS);
            (resting, goes_away(record), self.distance(record), mixed(self.salt, name))
        };
        candidates.min_by_key(rank).map(member)
    }

    /// Lower is better.
    fn distance(&self, record: &NodeRecord) -> u8 {
        let same_site = record.site == self.site;
        let same_rack = same_site && record.rack == self.rack;
        match self.spread {
            Spread::Any => 0,
            Spread::Rack => u8::from(same_rack),
            Spread::Site => u8::from(same_site) + u8::from(same_rack),
        }
    }
}

impl Chosen {
    fn new(member: Member) -> Chosen {
        Chosen { member, acked: 0, useless_since_ms: None, counts: false, has_counted: false }
    }

    fn look(&mut self, now_ms: u64, alive: bool, seen: Seen) {
        self.counts = seen.counts;
        self.has_counted |= seen.counts;
        // A copy that counts is of use whatever etcd says: its node may be cut off from etcd only.
        if seen.counts || (alive && seen.acked > self.acked) {
            self.useless_since_ms = None;
        } else {
            self.useless_since_ms.get_or_insert(now_ms);
        }
        self.acked = seen.acked;
    }
}

/// A node that a person is taking out of service may keep copies as long as it is there, but is asked after all others.
fn goes_away(record: &NodeRecord) -> bool {
    [DRAINING, STOPPING].contains(&record.health.as_str())
}

/// Rendezvous hashing: each journal has an order of nodes of its own, and a node that leaves changes it for nobody else.
fn mixed(salt: u64, name: &str) -> u64 {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325 ^ salt, fnv);
    (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// When one has been of no use for so long, another node is asked too. Short, because mail that asks for a copy waits meanwhile.
const LATE_MS: u64 = 500;
/// One that was of no use for so long is let go when others do what is wanted.
const USELESS_MS: u64 = 2_000;
/// One that was let go is asked again only when there is nobody else, or after this time.
const REST_MS: u64 = 300_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn node(disk: u64, site: &str, rack: &str) -> NodeRecord {
        NodeRecord { disk, site: site.into(), rack: rack.into(), ..NodeRecord::default() }
    }

    fn names(members: &[Member]) -> Vec<&str> {
        members.iter().map(|member| member.node.as_str()).collect()
    }

    fn nodes(of: &[(&str, NodeRecord)]) -> BTreeMap<String, NodeRecord> {
        of.iter().map(|(name, record)| (name.to_string(), record.clone())).collect()
    }

    #[test]
    fn other_sites_first_then_other_racks() {
        let all = nodes(&[("b", node(1, "east", "r1")), ("c", node(2, "east", "r2")), ("d", node(3, "west", "r1"))]);
        let choose = |spread, wanted| {
            let mut choice = Choice::new("east", "r1", spread, 7, &[]);
            choice.step(0, &all, wanted, |_| Seen::default())
        };
        assert_eq!(names(&choose(Spread::Site, 2)), ["d", "c"]);
        assert_ne!(names(&choose(Spread::Rack, 1)), ["b"]);
        assert_eq!(choose(Spread::Any, 9).len(), 3);
    }

    #[test]
    fn a_draining_one_is_asked_last() {
        for draining in ["b", "c"] {
            let mut all = nodes(&[("b", node(1, "", "")), ("c", node(2, "", ""))]);
            all.get_mut(draining).unwrap().health = "draining".into();
            let mut choice = Choice::new("", "", Spread::Any, 7, &[]);
            assert_ne!(names(&choice.step(0, &all, 1, |_| Seen::default())), [draining]);
            assert_eq!(choice.step(0, &all, 2, |_| Seen::default()).len(), 2, "better than none");
        }
    }

    #[test]
    fn a_dead_one_is_replaced_and_let_go_when_the_other_counts() {
        let (b, c) = (Member { node: "b".into(), disk: 1 }, Member { node: "c".into(), disk: 2 });
        let all = nodes(&[("b", node(1, "", "")), ("c", node(2, "", ""))]);
        let mut choice = Choice::new("", "", Spread::Any, 7, std::slice::from_ref(&b));
        let counts = |member: Member| move |seen: &Member| Seen { counts: *seen == member, acked: 9 };
        assert_eq!(names(&choice.step(0, &all, 1, counts(b.clone()))), ["b"]);
        let left = nodes(&[("c", node(2, "", ""))]);
        assert_eq!(choice.step(1, &left, 1, |_| Seen { counts: false, acked: 9 }), [b], "it may come back");
        let later = 1 + LATE_MS;
        let both = choice.step(later, &left, 1, |_| Seen { counts: false, acked: 9 });
        assert_eq!(names(&both), ["b", "c"]);
        assert_eq!(names(&choice.step(later + 1, &left, 1, counts(c.clone()))), ["b", "c"], "it may still come back");
        assert_eq!(names(&choice.step(later + USELESS_MS, &left, 1, counts(c))), ["c"]);
        // A node with a new disk is another member.
        let anew = nodes(&[("c", node(5, "", ""))]);
        let much_later = later + 2 * USELESS_MS;
        choice.step(later + 2, &anew, 1, |_| Seen { counts: false, acked: 9 });
        let both = choice.step(much_later, &anew, 1, |_| Seen { counts: false, acked: 9 });
        assert_eq!(both.iter().map(|member| member.disk).collect::<Vec<_>>(), [2, 5]);
    }

    #[test]
    fn one_that_catches_up_for_long_is_left_in_peace_and_one_too_many_goes() {
        let all = nodes(&[("b", node(1, "", "")), ("c", node(2, "", ""))]);
        let mut choice = Choice::new("", "", Spread::Any, 7, &[]);
        let first = choice.step(0, &all, 1, |_| Seen::default());
        for round in 1..100 {
            let chosen = choice.step(round * LATE_MS, &all, 1, |_| Seen { counts: false, acked: round });
            assert_eq!(chosen, first, "it moves on");
        }
        let mut two = Choice::new("", "", Spread::Any, 7, &[first[0].clone(), Member { node: "x".into(), disk: 9 }]);
        assert_eq!(two.step(0, &all, 1, |_| Seen { counts: true, acked: 1 }), [first[0].clone()]);
    }
}
