//! What is thought of what was seen, by the table.
#![allow(clippy::unwrap_used)] // a test says so by failing

use dns::check::{Delegation, Finding, Grade, Identity, Pointer, Seen, ServerSeen, Wanted, Wish, judge};
use dns::name::Name;
use dns::push::Key;
use dns::record::{Data, Kind};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn key(text: &str, kind: Kind) -> Key {
    Key::new(&name(text), kind)
}

fn ip(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

fn addresses(all: &[u8]) -> BTreeSet<Data> {
    all.iter().map(|last| Data::address(ip(*last))).collect()
}

/// A zone with a name server inside, a name of two edges of which one is down, mail, SPF and DMARC.
fn wish() -> Wish {
    let set = |text: &str, kind, now: BTreeSet<Data>, ever: BTreeSet<Data>| Wanted {
        key: key(text, kind),
        now,
        ever,
        ttl_s: 300,
    };
    let same = |text: &str, kind, data: BTreeSet<Data>| set(text, kind, data.clone(), data);
    let text = |text: &str| BTreeSet::from([Data::strings(Kind::TXT, [text.as_bytes()])]);
    Wish {
        zone: name("example.org"),
        name_servers: vec![name("ns1.example.org"), name("ns2.example.net")],
        sets: vec![
            same("ns1.example.org", Kind::A, addresses(&[53])),
            set("smtp.example.org", Kind::A, addresses(&[1]), addresses(&[1, 2])),
            same("example.org", Kind::MX, BTreeSet::from([Data::mx(10, &name("smtp.example.org"))])),
            same("example.org", Kind::TXT, text("v=spf1 mx -all")),
            same("_dmarc.example.org", Kind::TXT, text("v=DMARC1; p=none")),
        ],
        mail_domains: vec![name("example.org")],
        identities: vec![Identity { server: "edge1".into(), address: ip(1), hello: "smtp.example.org".into() }],
    }
}

/// Everything as it should be.
fn good(wish: &Wish) -> Seen {
    let sets: BTreeMap<Key, (u32, BTreeSet<Data>)> =
        wish.sets.iter().map(|set| (set.key.clone(), (set.ttl_s, set.now.clone()))).collect();
    let server = |text: &str| ServerSeen { name: text.into(), address: None, serial: Ok(7), sets: sets.clone() };
    let delegation = Delegation {
        servers: ["ns1.example.org".to_string(), "ns2.example.net".into()].into(),
        glue: [("ns1.example.org".to_string(), BTreeSet::from([ip(53)]))].into(),
    };
    let pointer = Pointer { name: name("smtp.example.org"), addresses: [ip(1), ip(2)].into() };
    Seen {
        delegation: Some(Ok(delegation)),
        servers: vec![server("ns1.example.org"), server("ns2.example.net")],
        pointers: [(ip(1), Ok(vec![pointer]))].into(),
    }
}

type Change = fn(&mut Wish, &mut Seen);

fn delegated(seen: &mut Seen) -> &mut Delegation {
    seen.delegation.as_mut().unwrap().as_mut().unwrap()
}

fn answer<'s>(seen: &'s mut Seen, at: usize, text: &str, kind: Kind) -> &'s mut (u32, BTreeSet<Data>) {
    seen.servers[at].sets.get_mut(&key(text, kind)).unwrap()
}

#[test]
fn each_fault_is_found_and_nothing_else() {
    let (mut wish, mut seen) = (wish(), Seen::default());
    seen.clone_from(&good(&wish));
    assert_eq!(judge(&wish, &seen), [], "as it should be");
    wish.mail_domains.clear();
    assert_eq!(judge(&wish, &seen), []);

    let cases: &[(Grade, &str, Change)] = &[
        (Grade::Problem, "is not delegated", |_, seen| delegated(seen).servers.clear()),
        (Grade::Warning, "ns2.example.net is a name server", |_, seen| {
            delegated(seen).servers.remove("ns2.example.net");
        }),
        (Grade::Problem, "to ns9.example.net as well", |_, seen| {
            delegated(seen).servers.insert("ns9.example.net".into());
        }),
        (Grade::Problem, "gives no address for ns1.example.org", |_, seen| delegated(seen).glue.clear()),
        (Grade::Problem, "ns1.example.org is at 192.0.2.9, the zone says 192.0.2.53", |_, seen| {
            delegated(seen).glue.insert("ns1.example.org".into(), [ip(9)].into());
        }),
        (Grade::Warning, "what the parent zone says", |_, seen| seen.delegation = Some(Err("no resolver".into()))),
        (Grade::Problem, "no name server was found", |_, seen| seen.servers.clear()),
        (Grade::Problem, "name server ns1.example.org: it does not answer", |_, seen| {
            seen.servers[0].serial = Err("it does not answer".into());
        }),
        (Grade::Warning, "different versions", |_, seen| seen.servers[1].serial = Ok(6)),
        (Grade::Problem, "ns2.example.net has no example.org. MX", |_, seen| {
            answer(seen, 1, "example.org", Kind::MX).1.clear()
        }),
        (Grade::Problem, "with 192.0.2.7, which is none of ours", |_, seen| {
            answer(seen, 0, "smtp.example.org", Kind::A).1 = addresses(&[1, 7]);
        }),
        (Grade::Note, "by another health: 192.0.2.1, 192.0.2.2 and not 192.0.2.1", |_, seen| {
            answer(seen, 0, "smtp.example.org", Kind::A).1 = addresses(&[1, 2]);
        }),
        (Grade::Warning, "with a TTL of 86400 s", |_, seen| answer(seen, 0, "smtp.example.org", Kind::A).0 = 86_400),
        (Grade::Problem, "has no PTR record", |_, seen| drop(seen.pointers.insert(ip(1), Ok(Vec::new())))),
        (Grade::Problem, "that name does not have this address", |_, seen| {
            let other = Pointer { name: name("smtp.example.org"), addresses: [ip(2)].into() };
            seen.pointers.insert(ip(1), Ok(vec![other]));
        }),
        (Grade::Warning, "calls itself smtp.example.org in EHLO", |_, seen| {
            let other = Pointer { name: name("host7.provider.example"), addresses: [ip(1)].into() };
            seen.pointers.insert(ip(1), Ok(vec![other]));
        }),
        (Grade::Warning, "the name of 192.0.2.1 (server edge1) is not known", |_, seen| {
            seen.pointers.insert(ip(1), Err("timeout".into()));
        }),
    ];
    for (grade, text, change) in cases {
        let (mut wish, mut seen) = (wish.clone(), good(&wish));
        change(&mut wish, &mut seen);
        let found: Vec<Finding> = judge(&wish, &seen);
        assert!(found.len() == 1 && found[0].grade == *grade && found[0].what.contains(text), "{text}: {found:#?}");
        assert!(!found[0].advice.is_empty());
    }
}

#[test]
fn mail_domains_need_what_others_look_at() {
    let wish = wish();
    let found = |change: fn(&mut Seen)| {
        let mut seen = good(&wish);
        change(&mut seen);
        judge(&wish, &seen).into_iter().map(|finding| (finding.grade, finding.what)).collect::<Vec<_>>()
    };
    let without = found(|seen| {
        for at in 0..2 {
            answer(seen, at, "example.org", Kind::TXT).1 =
                BTreeSet::from([Data::strings(Kind::TXT, [&b"v=spf10"[..]])]);
        }
    });
    assert!(without.iter().any(|(_, what)| what.contains("has no SPF record")), "{without:?}");
    let twice = found(|seen| {
        for at in 0..2 {
            let other = Data::strings(Kind::TXT, [&b"v=spf1 -all"[..]]);
            answer(seen, at, "example.org", Kind::TXT).1.insert(other);
        }
    });
    assert!(twice.iter().any(|(grade, what)| *grade == Grade::Problem && what.contains("several SPF")), "{twice:?}");
    let no_policy = found(|seen| {
        for at in 0..2 {
            answer(seen, at, "_dmarc.example.org", Kind::TXT).1.clear();
        }
    });
    assert!(no_policy.iter().any(|(grade, what)| *grade == Grade::Note && what.contains("no DMARC")), "{no_policy:?}");
}
