//! Answers by the table: what is asked, and what must come.

use super::*;
use crate::name::Name;
use crate::record::Soa;
use crate::tsig::{Algorithm, Key};
use crate::wire::message::{place_at, questions_end, tsig_at};
use crate::zones::Rules;
use proptest::prelude::*;
use std::sync::Arc;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn set(owner: &str, kind: Kind, data: Vec<Data>) -> RecordSet {
    RecordSet { owner: name(owner), kind, ttl_s: 300, data }
}

fn addresses(owner: &str, last: &[u8]) -> RecordSet {
    set(owner, Kind::A, last.iter().map(|last| Data::address([192, 0, 2, *last].into())).collect())
}

fn zone(origin: &str, sets: Vec<RecordSet>) -> Served {
    let (primary, responsible) = (name("ns1.example.org"), name("hostmaster.example.org"));
    let soa = Soa { primary, responsible, serial: 7, refresh_s: 1, retry_s: 1, expire_s: 1, negative_s: 60 };
    let rules = Rules { secondaries: vec!["192.0.2.99:53".parse().unwrap()], ..Rules::default() };
    Served { zone: Arc::new(Zone::new(&name(origin), 300, &soa, sets)), rules: Arc::new(rules) }
}

fn zones() -> Zones {
    let alias = |to: &str| vec![Data::name(Kind::CNAME, &name(to))];
    let big = |n: u8| Data::strings(Kind::TXT, [&[n; 200][..]]);
    let sets = vec![
        set("example.org", Kind::NS, vec![Data::name(Kind::NS, &name("ns1.example.org"))]),
        set(
            "example.org",
            Kind::MX,
            vec![Data::mx(10, &name("mx1.example.org")), Data::mx(10, &name("mx2.example.org"))],
        ),
        addresses("ns1.example.org", &[53]),
        addresses("mx1.example.org", &[1, 2]),
        addresses("mx2.example.org", &[3]),
        addresses("Smtp.Example.org", &[1, 2, 3]),
        set("www.example.org", Kind::CNAME, alias("smtp.example.org")),
        set("loop.example.org", Kind::CNAME, alias("loop.example.org")),
        set("gone.example.org", Kind::CNAME, alias("nobody.example.org")),
        set("away.example.org", Kind::CNAME, alias("elsewhere.example")),
        set("over.example.org", Kind::CNAME, alias("host.example.net")),
        set("*.wild.example.org", Kind::TXT, vec![Data::strings(Kind::TXT, [&b"any"[..]])]),
        set("is.wild.example.org", Kind::A, vec![Data::address([192, 0, 2, 9].into())]),
        set("_25._tcp.mx1.example.org", Kind::TLSA, vec![Data::octets_of(Kind::TLSA, vec![3, 1, 1, 9])]),
        set("sub.example.org", Kind::NS, vec![Data::name(Kind::NS, &name("ns.sub.example.org"))]),
        addresses("ns.sub.example.org", &[77]),
        set("big.example.org", Kind::TXT, (0..9).map(big).collect()),
        set("middle.example.org", Kind::TXT, (0..4).map(big).collect()),
    ];
    Zones::new([zone("example.org", sets), zone("example.net", vec![addresses("host.example.net", &[200])])])
}

/// A question with EDNS of this size, or without.
fn ask(text: &str, kind: Kind, size: Option<u16>) -> Vec<u8> {
    let mut message = vec![1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(size.is_some())];
    crate::wire::question(&mut message, name(text).wire(), kind);
    if let Some(size) = size {
        message.extend([0, 0, 41]);
        message.extend(size.to_be_bytes());
        message.extend([0; 6]);
    }
    message
}

fn reply(zones: &Zones, message: &[u8], via: Via) -> Vec<u8> {
    let mut out = Vec::new();
    let outcome = answer(zones, message, [198, 51, 100, 1].into(), via, || 1_000, &mut out);
    assert!(matches!(outcome, Outcome::Answered(_)));
    out
}

/// `NOERROR aa / A A | SOA | A OPT`.
fn shown(answer: &[u8]) -> String {
    let mut text = Rcode::ALL.iter().find(|rcode| **rcode as u8 == answer[3] & 15).unwrap().word().to_string();
    text += if answer[2] & 4 != 0 { " aa" } else { "" };
    text += if answer[2] & 2 != 0 { " tc" } else { "" };
    assert_eq!((answer[2] & 0x81, answer[3] & 0x80), (0x81, 0), "an answer, RD as it was, no recursion");
    let mut at = questions_end(answer).unwrap();
    for section in [6, 8, 10] {
        text += " /";
        for _ in 0..u16::from_be_bytes([answer[section], answer[section + 1]]) {
            let place = place_at(answer, at).unwrap();
            text += &format!(" {}", place.kind);
            at = place.end;
        }
    }
    assert_eq!(at, answer.len(), "{text}");
    text
}

#[test]
fn the_table_of_answers() {
    let zones = zones();
    let cases = [
        ("smtp.example.org", Kind::A, "NOERROR aa / A A A / /"),
        ("SMTP.EXAMPLE.ORG", Kind::A, "NOERROR aa / A A A / /"),
        ("example.org", Kind::MX, "NOERROR aa / MX MX / / A A A"),
        ("example.org", Kind::SOA, "NOERROR aa / SOA / /"),
        ("example.org", Kind::NS, "NOERROR aa / NS / / A"),
        ("smtp.example.org", Kind::AAAA, "NOERROR aa / / SOA /"),
        ("nobody.example.org", Kind::A, "NXDOMAIN aa / / SOA /"),
        ("a.b.c.nobody.example.org", Kind::A, "NXDOMAIN aa / / SOA /"),
        // An empty name between two that are there (RFC 4592, 2.2.2).
        ("_tcp.mx1.example.org", Kind::A, "NOERROR aa / / SOA /"),
        ("www.example.org", Kind::A, "NOERROR aa / CNAME A A A / /"),
        ("www.example.org", Kind::CNAME, "NOERROR aa / CNAME / /"),
        ("www.example.org", Kind::MX, "NOERROR aa / CNAME / SOA /"),
        ("loop.example.org", Kind::A, "NOERROR aa / CNAME CNAME CNAME CNAME CNAME CNAME CNAME CNAME / /"),
        ("gone.example.org", Kind::A, "NXDOMAIN aa / CNAME / SOA /"),
        ("away.example.org", Kind::A, "NOERROR aa / CNAME / /"),
        ("over.example.org", Kind::A, "NOERROR aa / CNAME A / /"),
        ("x.wild.example.org", Kind::TXT, "NOERROR aa / TXT / /"),
        ("x.y.wild.example.org", Kind::TXT, "NOERROR aa / TXT / /"),
        ("x.wild.example.org", Kind::A, "NOERROR aa / / SOA /"),
        ("is.wild.example.org", Kind::TXT, "NOERROR aa / / SOA /"),
        ("x.is.wild.example.org", Kind::TXT, "NXDOMAIN aa / / SOA /"),
        ("sub.example.org", Kind::A, "NOERROR / / NS / A"),
        ("deep.sub.example.org", Kind::MX, "NOERROR / / NS / A"),
        ("ns.sub.example.org", Kind::A, "NOERROR / / NS / A"),
        ("sub.example.org", Kind::DS, "NOERROR aa / / SOA /"),
        ("smtp.example.org", Kind::ANY, "NOERROR aa / HINFO / /"),
        ("nobody.example.org", Kind::ANY, "NXDOMAIN aa / / SOA /"),
        ("example.com", Kind::A, "REFUSED / / /"),
        ("org", Kind::A, "REFUSED / / /"),
        (".", Kind::NS, "REFUSED / / /"),
        ("example.org", Kind::AXFR, "REFUSED / / /"),
        ("example.org", Kind::IXFR, "REFUSED / / /"),
        ("smtp.example.org", Kind::IXFR, "NOTAUTH / / /"),
        ("example.org", Kind(253), "NOTIMP / / /"),
        ("example.org", Kind(4711), "NOERROR aa / / SOA /"),
    ];
    for (text, kind, wanted) in cases {
        for via in [Via::Udp, Via::Tcp] {
            // Over TCP, a wish for a copy is no question.
            if via == Via::Tcp && is_transfer(kind) {
                continue;
            }
            assert_eq!(shown(&reply(&zones, &ask(text, kind, None), via)), wanted, "{text} {kind}");
            let with_edns = shown(&reply(&zones, &ask(text, kind, Some(4096)), via));
            let place = wanted.rfind('/').unwrap() + 1;
            assert_eq!(
                with_edns,
                format!("{} OPT", wanted).replace("/ OPT", &format!("{} OPT", &wanted[place - 1..place])),
                "{text} {kind}"
            );
        }
    }
}

#[test]
fn what_does_not_fit_is_asked_for_again() {
    let zones = zones();
    let cases = [
        ("middle.example.org", None, "NOERROR aa tc / / /"),
        ("middle.example.org", Some(100), "NOERROR aa tc / / / OPT"),
        ("middle.example.org", Some(1232), "NOERROR aa / TXT TXT TXT TXT / / OPT"),
        ("big.example.org", Some(65_535), "NOERROR aa tc / / / OPT"),
    ];
    for (text, size, wanted) in cases {
        let question = ask(text, Kind::TXT, size);
        let answer = reply(&zones, &question, Via::Udp);
        assert_eq!(shown(&answer), wanted, "{text} {size:?}");
        assert!(answer.len() <= usize::from(size.unwrap_or(512).clamp(512, UDP_MAX)));
        assert!(shown(&reply(&zones, &question, Via::Tcp)).starts_with("NOERROR aa / TXT TXT TXT TXT"));
    }
    // Additional records are left out before the answer is.
    let hosts: Vec<String> = (0..14).map(|n| format!("a-long-name-of-a-host-{n}.example.org")).collect();
    let mx = hosts.iter().map(|host| Data::mx(10, &name(host))).collect();
    let mut sets: Vec<RecordSet> = hosts.iter().map(|host| addresses(host, &[1, 2])).collect();
    sets.push(set("example.org", Kind::MX, mx));
    let zones = Zones::new([zone("example.org", sets)]);
    let short = shown(&reply(&zones, &ask("example.org", Kind::MX, Some(700)), Via::Udp));
    assert!(short.starts_with("NOERROR aa / MX MX") && short.ends_with("MX / / OPT"), "{short}");
}

#[test]
fn the_question_comes_back_as_it_was_written_and_the_order_turns() {
    let zones = zones();
    let question = ask("sMtP.exAMPle.ORG", Kind::A, None);
    let mut firsts = Vec::new();
    for _ in 0..6 {
        let answer = reply(&zones, &question, Via::Udp);
        assert_eq!(answer[12..question.len()], question[12..]);
        let place = place_at(&answer, question.len()).unwrap();
        assert_eq!((place.at, &answer[place.at..place.at + 2], place.ttl), (question.len(), &[0xc0, 12][..], 300));
        firsts.push(answer[place.end - 1]);
    }
    assert_eq!(firsts, [1, 2, 3, 1, 2, 3]);
    let negative = reply(&zones, &ask("nobody.example.org", Kind::A, None), Via::Udp);
    assert_eq!(place_at(&negative, questions_end(&negative).unwrap()).unwrap().ttl, 60, "RFC 2308, 5");
}

#[test]
fn odd_messages() {
    let zones = zones();
    let mut chaos = ask("version.bind", Kind::TXT, None);
    *chaos.last_mut().unwrap() = 3;
    assert_eq!(shown(&reply(&zones, &chaos, Via::Udp)), "REFUSED / / /");
    let mut update = ask("example.org", Kind::SOA, None);
    update[2] |= 5 << 3;
    let answer = reply(&zones, &update, Via::Udp);
    assert_eq!((shown(&answer).as_str(), answer[2] >> 3 & 15, answer.len()), ("NOTIMP / / /", 5, 12));
    let mut version = ask("example.org", Kind::SOA, Some(1232));
    let at = version.len() - 5;
    version[at] = 1;
    let answer = reply(&zones, &version, Via::Udp);
    let opt = answer.len() - 11;
    assert_eq!((answer[3] & 15, answer[opt + 5]), (0, 1), "BADVERS is 16: its upper bits are in OPT");
    let long = [ask("example.org", Kind::SOA, None), vec![0; 9]].concat();
    assert_eq!(shown(&reply(&zones, &long, Via::Udp)), "FORMERR / / /");
    let mut out = Vec::new();
    let mut ours = ask("example.org", Kind::SOA, None);
    ours[2] |= 0x80;
    let outcome = super::answer(&zones, &ours, [192, 0, 2, 1].into(), Via::Udp, || 0, &mut out);
    assert!(matches!(outcome, Outcome::Silent) && out.is_empty(), "an answer is never answered");
}

#[test]
fn signatures() {
    let key = |secret: &[u8]| Key::new(name("k.example"), Algorithm::Sha256, secret);
    let Served { zone, rules } = zones().get(&name("example.org")).unwrap().clone();
    let rules = Rules { keys: vec![key(b"right")], ..Rules::clone(&rules) };
    let zones = Zones::new([Served { zone, rules: rules.into() }]);
    let reply = |key: &Key, sent_s: u64| {
        let mut message = ask("smtp.example.org", Kind::A, Some(1232));
        let chain = key.sign_request(&mut message, sent_s);
        (chain, reply(&zones, &message, Via::Udp))
    };
    let (mut chain, mut answer) = reply(&key(b"right"), 1_000);
    chain.verify_answer(&mut answer, 1_000).unwrap();
    assert_eq!(shown(&answer), "NOERROR aa / A A A / / OPT");
    let unknown = Key::new(name("other.example"), Algorithm::Sha256, b"right");
    let other_way = Key::new(name("k.example"), Algorithm::Sha512, b"right");
    for (key, sent_s, word) in [
        (key(b"wrong"), 1_000, "BADSIG"),
        (unknown, 1_000, "BADKEY"),
        (other_way, 1_000, "BADKEY"),
        (key(b"right"), 2_000, "BADTIME"),
    ] {
        let (mut chain, mut answer) = reply(&key, sent_s);
        assert_eq!((answer[3] & 15, tsig_at(&answer).is_some()), (9, true), "{word}");
        let why = chain.verify_answer(&mut answer, 1_000).unwrap_err();
        assert!(why.contains(word), "{why}");
    }
    let (mut chain, mut answer) = reply(&key(b"right"), 1_000);
    let last = questions_end(&answer).unwrap() + 15;
    answer[last] ^= 1;
    assert!(chain.verify_answer(&mut answer, 1_000).unwrap_err().contains("wrong"));
}

/// What strangers send: octets at random, and good questions with some of them changed.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let names = prop::sample::select(vec![
        "smtp.example.org",
        "x.wild.example.org",
        "www.example.org",
        "a.sub.example.org",
        "big.example.org",
    ]);
    let good = (names, any::<u16>(), prop::option::of(any::<u16>()))
        .prop_map(|(name, kind, size)| ask(name, Kind(kind % 260), size));
    let changed = (good, prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)).prop_map(
        |(mut message, changes)| {
            changes.into_iter().for_each(|(at, byte)| *at.get_mut(&mut message) = byte);
            message
        },
    );
    prop_oneof![prop::collection::vec(any::<u8>(), 0..80), changed]
}

proptest! {
    #[test]
    fn whatever_comes_the_answer_can_be_read_and_fits(message in message()) {
        let zones = zones();
        for via in [Via::Udp, Via::Tcp] {
            let mut out = Vec::new();
            if let Outcome::Answered(_) = answer(&zones, &message, [192, 0, 2, 1].into(), via, || 1_000, &mut out) {
                prop_assert_eq!(&out[..2], &message[..2]);
                prop_assert!(via == Via::Tcp || out.len() <= usize::from(UDP_MAX));
                let mut at = questions_end(&out).unwrap();
                for section in [6, 8, 10] {
                    for _ in 0..u16::from_be_bytes([out[section], out[section + 1]]) {
                        at = place_at(&out, at).unwrap().end;
                    }
                }
                prop_assert_eq!(at, out.len());
            } else {
                prop_assert!(out.is_empty());
            }
        }
    }
}
