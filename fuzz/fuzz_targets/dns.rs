//! Questions of strangers to the DNS server: each gets no answer or one that can be read, under the same id, within its bound.
#![no_main]

use std::net::Ipv4Addr;
use std::sync::{Arc, OnceLock};

use dns::answer::{Outcome, UDP_MAX, Via, answer};
use dns::name::Name;
use dns::record::{Data, Kind, RecordSet, Soa};
use dns::tsig::{Algorithm, Key};
use dns::wire::message;
use dns::zone::Zone;
use dns::zones::{Rules, Served, Zones};
use libfuzzer_sys::fuzz_target;

static ZONES: OnceLock<Zones> = OnceLock::new();

fn zones() -> Zones {
    let name = |text: &str| Name::parse(text).expect("a name");
    let set = |owner: &str, kind, data| RecordSet { owner: name(owner), kind, ttl_s: 300, data };
    let sets = vec![
        set("a", Kind::NS, vec![Data::name(Kind::NS, &name("ns.a"))]),
        set("a", Kind::MX, vec![Data::mx(10, &name("b.a")), Data::mx(10, &name("c.a"))]),
        set("b.a", Kind::A, vec![Data::address([192, 0, 2, 1].into()), Data::address([192, 0, 2, 2].into())]),
        set("c.a", Kind::CNAME, vec![Data::name(Kind::CNAME, &name("d.c.a"))]),
        set("*.a", Kind::TXT, vec![Data::strings(Kind::TXT, [&[b'x'; 200][..], &[b'y'; 200]])]),
        set("s.a", Kind::NS, vec![Data::name(Kind::NS, &name("n.s.a"))]),
    ];
    let (primary, responsible) = (name("ns.a"), name("h.a"));
    let soa = Soa { primary, responsible, serial: 7, refresh_s: 1, retry_s: 1, expire_s: 1, negative_s: 1 };
    let keys = vec![Key::new(name("k"), Algorithm::Sha256, b"secret")];
    let rules = Rules { keys, ..Rules::default() };
    Zones::new([Served { zone: Arc::new(Zone::new(&name("a"), 300, &soa, sets)), rules: Arc::new(rules) }])
}

fuzz_target!(|input: &[u8]| {
    let zones = ZONES.get_or_init(zones);
    for via in [Via::Udp, Via::Tcp] {
        let mut out = Vec::new();
        match answer(zones, input, Ipv4Addr::LOCALHOST.into(), via, || 1_000, &mut out) {
            Outcome::Silent => assert!(out.is_empty()),
            Outcome::Transfer(_) => assert!(via == Via::Tcp && out.is_empty()),
            Outcome::Answered(_) => {
                assert_eq!(out[..2], input[..2]);
                assert!(out[2] & 0x80 != 0 && (via == Via::Tcp || out.len() <= usize::from(UDP_MAX)));
                let mut at = message::questions_end(&out).expect("questions");
                let [_, answers, authorities, additional] = message::counts(&out).expect("counts");
                for _ in 0..u32::from(answers) + u32::from(authorities) + u32::from(additional) {
                    at = message::place_at(&out, at).expect("a record").end;
                }
                assert_eq!(at, out.len());
            }
        }
    }
});
