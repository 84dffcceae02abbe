//! Who exists: the table against a plain map, its memory and its speed, and what RCPT makes of it.
#![allow(clippy::unwrap_used)] // a test says so by failing

mod common;

use common::load;
use directory::recipients::{Builder, Change, Entry, Forward, Is, Kept, Recipients, Senders, Table};
use directory::{Principal, RecipientAnswer};
use mail::Mailbox;
use proptest::prelude::*;
use std::collections::HashMap;

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text, true).unwrap()
}

fn entry(addresses: &[&str]) -> Entry {
    Entry {
        address: mailbox(addresses[0]),
        aliases: addresses[1..].iter().map(|text| mailbox(text)).collect(),
        is: Is::Mailbox,
        forward: None,
        senders: Senders::Anybody,
        message_bytes_max: None,
        attributes: Vec::new(),
    }
}

/// Addresses that are often the same one in other letters.
fn address() -> impl Strategy<Value = String> {
    let local = proptest::sample::select(vec![
        "a",
        "A",
        "\"a\"",
        "bob",
        "BoB",
        "äö",
        "ÄÖ",
        "\u{212A}ai",
        "kai",
        "\"a b\"",
        "+x",
    ]);
    let domain = proptest::sample::select(vec!["x.example", "X.Example", "bücher.example", "BÜCHER.example"]);
    (local, domain).prop_map(|(local, domain)| format!("{local}@{domain}"))
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let is = prop_oneof![
        4 => Just(Is::Mailbox),
        1 => address().prop_map(|target| Is::Contact { target: mailbox(&target) }),
        1 => proptest::collection::vec(address(), 0..4).prop_map(|members| Is::Group {
            members: members.iter().map(|text| mailbox(text)).collect(),
            having: vec![("department".into(), "sales".into())],
        }),
    ];
    let forward = proptest::option::of((address(), any::<bool>()));
    let attributes = proptest::collection::vec(("[a-c]", "[ -~äß]{0,8}"), 0..3);
    let rare = (is, forward, any::<bool>(), proptest::option::of(any::<u64>()), attributes);
    (proptest::collection::vec(address(), 1..4), rare).prop_map(|(addresses, rare)| {
        let (is, forward, trusted, message_bytes_max, attributes) = rare;
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        Entry {
            is,
            forward: forward.map(|(to, keep_copy)| Forward { to: mailbox(&to), keep_copy }),
            senders: if trusted { Senders::Trusted } else { Senders::Anybody },
            message_bytes_max,
            attributes: attributes.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            ..entry(&addresses)
        }
    })
}

/// How the oracle compares: all in lower case, and `"a"` is `a`.
fn plain(address: &Mailbox) -> String {
    address.as_str().replace("\"a\"", "a").replace("\"A\"", "a").to_lowercase()
}

/// The first one that has an address, by address.
fn oracle(entries: &[Entry]) -> HashMap<String, Entry> {
    let mut known = HashMap::new();
    for entry in entries {
        for address in std::iter::once(&entry.address).chain(&entry.aliases) {
            known.entry(plain(address)).or_insert_with(|| entry.clone());
        }
    }
    known
}

proptest! {
    #[test]
    fn a_table_knows_what_a_map_knows(entries in proptest::collection::vec(any_entry(), 0..20), asked in proptest::collection::vec(address(), 0..10)) {
        let (table, clashes) = Recipients::of(entries.clone());
        let known = oracle(&entries);
        prop_assert_eq!(table.len(), entries.len());
        for (told, meant) in table.iter().zip(&entries) {
            prop_assert_eq!(&told.entry(), meant);
            prop_assert_eq!((told.address(), told.is(), told.forward()), (meant.address.clone(), meant.is.clone(), meant.forward.clone()));
            prop_assert_eq!((told.senders(), told.message_bytes_max()), (meant.senders, meant.message_bytes_max));
            let values: Vec<&str> = meant.attributes.iter().filter(|(name, _)| &**name == "a").map(|(_, value)| &**value).collect();
            prop_assert_eq!(told.attribute("A").collect::<Vec<_>>(), values);
        }
        let of_entries = entries.iter().flat_map(|entry| std::iter::once(&entry.address).chain(&entry.aliases).cloned());
        for address in of_entries.chain(asked.iter().map(|text| mailbox(text))) {
            let found = table.get(&address).map(|found| found.entry());
            prop_assert_eq!(found.as_ref(), known.get(&plain(&address)), "{}", address);
        }
        prop_assert!(clashes.iter().all(|clash| known[&plain(&clash.address)].address == clash.of));
    }

    /// Any order of changes ends where the source ends.
    #[test]
    fn changes_end_where_the_source_is(
        first in proptest::collection::btree_map("[a-f]", any_entry(), 0..6),
        then in proptest::collection::vec(("[a-h]", proptest::option::of(any_entry())), 0..20),
    ) {
        // Each key has addresses of its own, so that the order in which layers are asked does not matter.
        let own = |key: &str, entry: Entry| Entry { address: mailbox(&format!("{key}@own.example")), aliases: vec![mailbox(&format!("{key}{}@x.example", entry.aliases.len()))], ..entry };
        let mut known: HashMap<String, Entry> = first.into_iter().map(|(key, entry)| (key.clone(), own(&key, entry))).collect();
        let mut builder = Builder::default();
        known.iter().for_each(|(key, entry)| builder.push(key, entry).unwrap());
        let mut table = Recipients::from(builder.finish().0);
        for (key, entry) in then {
            let entry = entry.map(|entry| own(&key, entry));
            table = table.after(&[Change { key: key.clone(), entry: entry.clone() }]).unwrap();
            match entry {
                Some(entry) => _ = known.insert(key, entry),
                None => _ = known.remove(&key),
            }
        }
        prop_assert_eq!(table.len(), known.len());
        for (key, entry) in &known {
            prop_assert_eq!(table.by_key(key).map(|found| found.entry()), Some(entry.clone()));
            prop_assert_eq!(table.get(&entry.aliases[0]).map(|found| found.entry()), Some(entry.clone()));
        }
        for i in 0..4 {
            for key in 'a'..='h' {
                let address = mailbox(&format!("{key}{i}@x.example"));
                let is_known = known.get(&key.to_string()).is_some_and(|entry| entry.aliases[0] == address);
                prop_assert_eq!(table.get(&address).is_some(), is_known);
            }
        }
    }

    /// What was written is read again; what was damaged is refused or another sound table, and panics nobody.
    #[test]
    fn a_table_is_read_from_its_parts(entries in proptest::collection::vec(any_entry(), 1..8), at in any::<proptest::sample::Index>(), bit in 0_u32..8) {
        let mut builder = Builder::default();
        entries.iter().enumerate().for_each(|(i, entry)| builder.push(&format!("uid={i},ou=people"), entry).unwrap());
        let (table, _) = builder.finish();
        let (words, bytes) = (table.parts().0.to_vec(), table.parts().1.to_vec());
        let again = Table::from_parts(words.clone(), bytes.clone()).unwrap();
        prop_assert_eq!(again.iter().map(|one| (one.key(), one.entry())).collect::<Vec<_>>(), table.iter().map(|one| (one.key(), one.entry())).collect::<Vec<_>>());
        let mut damaged = bytes;
        let at = at.index(damaged.len());
        damaged[at] ^= 1_u8 << bit;
        if let Some(table) = Table::from_parts(words, damaged) {
            table.iter().for_each(|one| drop((one.entry(), one.key())));
        }
    }
}

/// The number of the issue: 1,000,000 recipients with two aliases each in less than 200 MiB, and a look-up far below 1 us.
#[test]
fn a_million_recipients_are_small_and_quick_to_find() {
    let people = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
    let written = |i: usize| {
        [
            format!("firstname.lastname{i}@example.org"),
            format!("U{i:07}@corp.example.org"),
            format!("f.lastname{i}@Sales.example.com"),
        ]
    };
    let mut builder = Builder::default();
    for i in 0..people {
        let addresses = written(i);
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        builder.push(&format!("uid=u{i:07},ou=people,dc=example,dc=org"), &entry(&addresses)).unwrap();
    }
    let (table, clashes) = builder.finish();
    assert!(clashes.is_empty());
    let each = table.memory_bytes() / people;
    println!("{people} recipients: {} MiB, {each} bytes each", table.memory_bytes() >> 20);
    assert!(each < 200, "{each} bytes each: 1,000,000 would take more than 200 MiB");

    let asked: Vec<Mailbox> = (0..people).step_by(7).map(|i| mailbox(&written(i)[i % 3].to_uppercase())).collect();
    let clock = world::World::real().clock;
    let began_us = clock.mono_us();
    assert!(asked.iter().all(|address| table.get(address).is_some()));
    let us = clock.mono_us() - began_us;
    let ns = us * 1000 / asked.len() as u64;
    println!("{ns} ns a look-up");
    assert!(ns < if cfg!(debug_assertions) { 100_000 } else { 1_000 }, "{ns} ns a look-up");
}

#[test]
fn rcpt_asks_the_table() {
    let domain = |keys: &str| {
        let text = format!(
            "[[receive_connector]]\nname = \"in\"\nlisten = [\"192.0.2.1:25\"]\n[[send_connector]]\nname = \"out\"\nmx = true\n\
             [[accepted_domain]]\nname = \"ours.example\"\n{keys}"
        );
        load(None, &text).unwrap().org
    };
    let (people, _) =
        Recipients::of([entry(&["ann@ours.example", "Ann.Smith@ours.example"]), entry(&["ädam@ours.example"])]);
    let answer = |keys: &str, people: &Recipients, to: &str| {
        let org = domain(keys).with_recipients(people);
        org.recipient(&org.receive_connectors[0], &Principal::Peer, &mailbox(to))
    };
    use RecipientAnswer::{Accept, NotKnownYet, UnknownUser};
    let refuse = "unknown_recipients = \"refuse\"\n";
    let plus = "unknown_recipients = \"refuse\"\nplus_addressing = true\n";
    let list = "recipients = [\"carl\"]\n";
    let open = "recipients = [\"carl\"]\nunknown_recipients = \"accept\"\n";
    for (keys, to, expected) in [
        ("", "nobody@ours.example", Accept),
        (refuse, "ann@ours.example", Accept),
        (refuse, "ANN.smith@Ours.Example", Accept),
        (refuse, "\"ann\"@ours.example", Accept),
        (refuse, "ÄDAM@ours.example", Accept),
        (refuse, "nobody@ours.example", UnknownUser),
        (refuse, "ann+tag@ours.example", UnknownUser),
        (refuse, "Postmaster@ours.example", Accept),
        (plus, "ann+tag@ours.example", Accept),
        (plus, "\"ANN+tag\"@ours.example", Accept),
        (plus, "+ann@ours.example", UnknownUser),
        (list, "carl@ours.example", Accept),
        (list, "ann@ours.example", Accept),
        (list, "nobody@ours.example", UnknownUser),
        (open, "nobody@ours.example", Accept),
    ] {
        assert_eq!(answer(keys, &people, to), expected, "{keys} {to}");
    }
    // A directory that was never read may know anybody: later, not never.
    let unread = people.and(&Recipients::unread());
    assert_eq!(answer(refuse, &unread, "nobody@ours.example"), NotKnownYet);
    assert_eq!(answer(refuse, &unread, "ann@ours.example"), Accept);
    assert_eq!(NotKnownYet.refusal().unwrap().to_string(), "451 4.3.0 Recipients are not known yet, try later");
}

/// What is kept on disk is what was known, with the changes; damage is seen, and changes of another table do not count.
#[test]
fn recipients_are_kept_and_read_again() {
    let mut builder = Builder::default();
    for (key, address) in
        [("uid=ann,dc=x", "ann@x.example"), ("uid=bob,dc=x", "bob@x.example"), ("dc=x", "all@x.example")]
    {
        builder.push(key, &entry(&[address])).unwrap();
    }
    let base = Recipients::from(builder.finish().0);
    let change =
        |key: &str, address: Option<&str>| Change { key: key.into(), entry: address.map(|text| entry(&[text])) };
    let now = base.after(&[change("uid=ann,dc=x", Some("anna@x.example")), change("uid=bob,dc=x", None)]).unwrap();
    let all = |known: &Recipients| {
        let mut all: Vec<(String, String)> = known.iter().map(|one| (one.key(), one.address().to_string())).collect();
        all.sort();
        all
    };
    let (kept, changes) =
        (Kept::base(base.base().unwrap()), now.kept_changes(&Kept::base(base.base().unwrap())).unwrap());
    assert_eq!(all(&Kept::read(&kept, Some(&changes)).unwrap()), all(&now));
    assert_eq!(
        all(&now),
        [("dc=x".into(), "all@x.example".into()), ("uid=ann,dc=x".into(), "anna@x.example".to_string())]
    );
    assert_eq!(all(&Kept::read(&kept, None).unwrap()), all(&base));
    for at in 0..kept.len() {
        let mut damaged = kept.clone();
        damaged[at] ^= 4;
        assert!(Kept::read(&damaged, None).is_none(), "byte {at}");
    }
    assert_eq!(all(&Kept::read(&kept, Some(&changes[..changes.len() - 1])).unwrap()), all(&base));
    let other = Kept::base(now.base().unwrap());
    assert_eq!(other, kept, "the table below stays the same one");
    let mut other = Builder::default();
    other.push("dc=y", &entry(&["eve@y.example"])).unwrap();
    let other = Kept::base(&other.finish().0);
    assert_eq!(Kept::read(&other, Some(&changes)).unwrap().len(), 1, "changes of another table");
}
