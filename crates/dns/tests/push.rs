//! Pushes against a name server that does what RFC 2136 says, one set at a time and no more.
#![allow(clippy::unwrap_used)] // a test says so by failing

use dns::name::Name;
use dns::push::{Bounds, Change, Key, Mark, Plan, There, What, plan, updates};
use dns::record::{Data, Kind, RecordSet};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// The zone as that server has it: TTL and data of each set.
type Sets = BTreeMap<Key, (u32, BTreeSet<Data>)>;

fn zone() -> Name {
    Name::parse("example.org").unwrap()
}

fn number(octets: &[u8]) -> u32 {
    octets.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// The naive server: prerequisites, then updates, in order. False: a prerequisite does not hold, nothing is done.
fn server(sets: &mut Sets, message: &[u8]) -> bool {
    let counts: Vec<u32> = message[4..12].chunks(2).map(number).collect();
    let mut at = 12 + zone().wire().len() + 4;
    let mut record = || {
        let end = at
            + message[at..]
                .iter()
                .scan(0_usize, |skip, byte| match *skip {
                    0 if *byte == 0 => None,
                    0 => {
                        *skip = usize::from(*byte);
                        Some(())
                    }
                    _ => {
                        *skip -= 1;
                        Some(())
                    }
                })
                .count()
            + 1;
        let key = Key::new(&Name::from_wire(&message[at..end]).unwrap(), Kind(number(&message[end..end + 2]) as u16));
        let (class, ttl_s) = (number(&message[end + 2..end + 4]), number(&message[end + 4..end + 8]));
        let length = number(&message[end + 8..end + 10]) as usize;
        at = end + 10 + length;
        (key.clone(), class, ttl_s, Data::octets_of(key.kind, message[at - length..at].to_vec()))
    };
    let mut wanted: BTreeMap<Key, BTreeSet<Data>> = BTreeMap::new();
    for _ in 0..counts[1] {
        let (key, class, _, data) = record();
        let of = wanted.entry(key).or_default();
        if class == 1 {
            of.insert(data);
        }
    }
    if wanted.iter().any(|(key, data)| sets.get(key).map(|(_, data)| data.clone()).unwrap_or_default() != *data) {
        return false;
    }
    for _ in 0..counts[2] {
        let (key, class, ttl_s, data) = record();
        match class {
            255 => drop(sets.remove(&key)),
            254 => drop(sets.get_mut(&key).map(|(_, there)| there.remove(&data))),
            _ => {
                let (ttl, there) = sets.entry(key).or_default();
                *ttl = ttl_s;
                there.insert(data);
            }
        }
    }
    sets.retain(|_, (_, data)| !data.is_empty());
    true
}

/// What a look at that server gives.
fn there(sets: &Sets) -> (There, Mark) {
    let mut there = There::default();
    for (key, (ttl_s, data)) in sets {
        there.sets.insert(key.clone(), data.clone());
        there.ttls_s.insert(key.clone(), *ttl_s);
    }
    let mark = Mark::of(&zone(), &there);
    (there, mark)
}

/// The only message that a plan makes.
fn message(plan: &Plan, there: &There) -> Vec<u8> {
    let [message] = &updates(&zone(), plan, there, Bounds::default(), || 1).unwrap()[..] else {
        panic!("not one message")
    };
    message.clone()
}

fn set(name: &str, ttl_s: u32, addresses: &[u8]) -> RecordSet {
    let owner = Name::parse(&format!("{name}.example.org")).unwrap();
    RecordSet {
        owner,
        kind: Kind::A,
        ttl_s,
        data: addresses.iter().map(|n| Data::address([192, 0, 2, *n].into())).collect(),
    }
}

fn held(set: &RecordSet) -> (Key, (u32, BTreeSet<Data>)) {
    (Key::of(set), (set.ttl_s, set.data.iter().cloned().collect()))
}

/// One push; what was planned.
fn push(sets: &mut Sets, wanted: &[RecordSet], overwrite: bool) -> Plan {
    let (there, mark) = there(sets);
    let plan = plan(&zone(), wanted, &there, &mark, overwrite);
    if !plan.is_done() {
        assert!(server(sets, &message(&plan, &there)));
    }
    plan
}

fn what(plan: &Plan) -> Vec<(&str, What)> {
    plan.steps.iter().map(|step| (step.key.name.split('.').next().unwrap(), step.what)).collect()
}

#[test]
fn what_is_not_ours_stays() {
    let mut sets: Sets =
        [held(&set("foreign", 60, &[9])), held(&set("same", 300, &[1])), held(&set("other", 60, &[8]))].into();
    let wanted = [set("smtp", 300, &[1, 2]), set("same", 300, &[1]), set("other", 300, &[3])];
    let first = push(&mut sets, &wanted, false);
    assert_eq!(what(&first), [("other", What::Foreign), ("same", What::Adopt), ("smtp", What::Change(Change::Add))]);
    assert_eq!(sets[&Key::of(&wanted[2])], held(&set("other", 60, &[8])).1);
    assert!(
        what(&push(&mut sets, &wanted, false)) == [("other", What::Foreign)],
        "the second time there is nothing to do"
    );

    // Somebody else changes what is ours.
    sets.extend([held(&set("smtp", 300, &[7]))]);
    assert_eq!(what(&push(&mut sets, &wanted, false)), [("other", What::Foreign), ("smtp", What::Meddled)]);
    assert_eq!(sets[&Key::of(&wanted[0])], held(&set("smtp", 300, &[7])).1);
    // The operator says so.
    push(&mut sets, &wanted, true);
    assert_eq!(sets[&Key::of(&wanted[0])], held(&wanted[0]).1);
    assert_eq!(sets[&Key::of(&wanted[2])], held(&wanted[2]).1);

    // What is wanted no more goes, and the mark with the last of it; what never was ours stays.
    push(&mut sets, &[], false);
    assert_eq!(sets.into_iter().collect::<Vec<_>>(), [held(&set("foreign", 60, &[9]))]);
}

#[test]
fn a_change_in_between_undoes_it_all() {
    let mut sets = Sets::new();
    push(&mut sets, &[set("smtp", 300, &[1])], false);
    let wanted = [set("smtp", 300, &[2]), set("imap", 300, &[2])];
    let (seen, mark) = there(&sets);
    let message = message(&plan(&zone(), &wanted, &seen, &mark, false), &seen);
    sets.extend([held(&set("smtp", 300, &[5]))]);
    let before = sets.clone();
    assert!(!server(&mut sets, &message));
    assert_eq!(sets, before);
    // Two pushes of ours at once: the second one finds another mark.
    let mut sets = Sets::new();
    let (seen, mark) = there(&sets);
    let late = self::message(&plan(&zone(), &[set("imap", 300, &[1])], &seen, &mark, false), &seen);
    push(&mut sets, &[set("smtp", 300, &[1])], false);
    assert!(!server(&mut sets, &late));
}

#[test]
fn an_alias_of_others_is_no_place_for_addresses_and_one_of_ours_makes_room() {
    let owner = Name::parse("smtp.example.org").unwrap();
    let alias =
        RecordSet { owner: owner.clone(), kind: Kind::CNAME, ttl_s: 60, data: vec![Data::name(Kind::CNAME, &zone())] };
    let wanted = [set("smtp", 300, &[1])];
    let mut sets: Sets = [held(&alias)].into();
    assert_eq!(what(&push(&mut sets, &wanted, false)), [("smtp", What::Foreign)]);
    let mut sets = Sets::new();
    push(&mut sets, std::slice::from_ref(&alias), false);
    push(&mut sets, &wanted, false);
    assert!(!sets.contains_key(&Key::of(&alias)) && sets.contains_key(&Key::of(&wanted[0])));
}

#[test]
fn many_names_are_several_messages_and_one_that_is_too_large_is_said() {
    let many: Vec<RecordSet> = (0..2_000).map(|n| set(&format!("{}-{n}", "long".repeat(12)), 300, &[1])).collect();
    let mut sets = Sets::new();
    let (seen, mark) = there(&sets);
    let first = plan(&zone(), &many, &seen, &mark, false);
    let messages = updates(&zone(), &first, &seen, Bounds::default(), || 1).unwrap();
    assert!(messages.len() > 3 && messages.iter().all(|message| message.len() < 65_000), "{}", messages.len());
    // Somebody meddles half-way: what was done is marked as done, and the rest is not touched.
    let (done, rest) = messages.split_at(messages.len() / 2);
    assert!(done.iter().all(|message| server(&mut sets, message)));
    let meddled = many.iter().find(|set| !sets.contains_key(&Key::of(set))).unwrap();
    sets.extend([held(&RecordSet { ttl_s: 7, ..meddled.clone() })]);
    assert!(rest.iter().any(|message| !server(&mut sets, message)));
    let (seen, mark) = there(&sets);
    assert!(
        many.iter().all(|set| mark.0.contains_key(&Key::of(set))
            == (sets.contains_key(&Key::of(set)) && set.owner != meddled.owner))
    );
    let again = plan(&zone(), &many, &seen, &mark, false);
    assert_eq!(again.kept().count(), 1);
    for message in updates(&zone(), &again, &seen, Bounds::default(), || 1).unwrap() {
        assert!(server(&mut sets, &message));
    }
    let (seen, mark) = there(&sets);
    assert_eq!((mark.0.len(), plan(&zone(), &many, &seen, &mark, false).is_done()), (many.len() - 1, true));

    let huge = RecordSet {
        data: (0..5_000).map(|n: u32| Data::address(std::net::IpAddr::from(n.to_be_bytes()))).collect(),
        ..set("huge", 300, &[])
    };
    let (seen, mark) = there(&Sets::new());
    let huge = plan(&zone(), &[huge], &seen, &mark, false);
    assert!(updates(&zone(), &huge, &seen, Bounds::default(), || 1).is_err());
}

fn some_sets() -> impl Strategy<Value = Vec<RecordSet>> {
    let one = (
        prop_oneof![Just("a"), Just("b"), Just("c"), Just("d")],
        1_u32..3,
        proptest::collection::btree_set(0_u8..4, 1..3),
    );
    proptest::collection::vec(one, 0..6).prop_map(|all| {
        let by_name: BTreeMap<&str, (u32, BTreeSet<u8>)> =
            all.into_iter().map(|(name, ttl_s, of)| (name, (ttl_s, of))).collect();
        by_name.into_iter().map(|(name, (ttl_s, of))| set(name, ttl_s, &of.into_iter().collect::<Vec<_>>())).collect()
    })
}

proptest! {
    /// Whatever is there and whatever we want in turn: what others wrote stays as it is, all else is as we want it, and a second push does nothing.
    #[test]
    fn pushes_come_to_what_is_wanted(foreign in some_sets(), turns in proptest::collection::vec(some_sets(), 1..5)) {
        let mut sets: Sets = foreign.iter().map(held).collect();
        for wanted in turns {
            push(&mut sets, &wanted, false);
            let (seen, mark) = there(&sets);
            let again = plan(&zone(), &wanted, &seen, &mark, false);
            prop_assert!(again.is_done(), "{again:?}");
            for set in &wanted {
                let (key, want) = held(set);
                let theirs = foreign.iter().map(held).find(|(other, _)| *other == key);
                prop_assert!(sets[&key] == want || theirs.is_some_and(|(_, theirs)| sets[&key] == theirs));
            }
            let is_marked = |key: &Key| mark.0.contains_key(key);
            for key in sets.keys().filter(|key| is_marked(key)) {
                prop_assert!(wanted.iter().any(|set| Key::of(set) == *key), "{key:?} is ours and not wanted");
            }
        }
    }

    /// The same in small pieces, of which any may be the last that arrives: each push goes on where the one before ended.
    #[test]
    fn pieces_of_pushes_come_to_what_is_wanted(
        foreign in some_sets(),
        turns in proptest::collection::vec((some_sets(), 0_usize..4), 1..8),
        message in 900_usize..1_200,
        part in 1_usize..4,
    ) {
        let bounds = Bounds { message, part };
        let mut sets: Sets = foreign.iter().map(held).collect();
        for (wanted, arrive) in &turns {
            for arrive in [*arrive, usize::MAX] {
                let (seen, mark) = there(&sets);
                let plan = plan(&zone(), wanted, &seen, &mark, false);
                if plan.is_done() {
                    continue;
                }
                for message in updates(&zone(), &plan, &seen, bounds, || 1).unwrap().into_iter().take(arrive) {
                    prop_assert!(message.len() <= bounds.message);
                    prop_assert!(server(&mut sets, &message));
                }
            }
            let (seen, mark) = there(&sets);
            prop_assert!(plan(&zone(), wanted, &seen, &mark, false).is_done());
            for set in wanted {
                let (key, want) = held(set);
                let theirs = foreign.iter().map(held).find(|(other, _)| *other == key);
                prop_assert!(sets[&key] == want || theirs.is_some_and(|(_, theirs)| sets[&key] == theirs));
            }
            for theirs in foreign.iter().map(held) {
                let adopted = mark.0.contains_key(&theirs.0) || wanted.iter().any(|set| held(set) == theirs);
                prop_assert!(adopted || sets.get(&theirs.0).is_none_or(|now| *now == theirs.1));
            }
        }
    }
}
