//! A message that a name server sent us.

use crate::name::{NAME_MAX, Name};
use crate::record::{Data, Kind};
use crate::wire::message::{Place, counts, place_at, questions_end, u16_at};
use crate::wire::{CLASS_IN, HEADER, rcode_word};
use std::collections::BTreeSet;

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// How it went (RFC 1035 4.1.1, RFC 2136 2.2).
    pub rcode: u8,
    /// The server has the zone itself.
    pub is_authoritative: bool,
    /// There is more, over TCP.
    pub is_cut: bool,
    /// Records, without those of EDNS and signatures.
    pub records: Vec<Record>,
}

/// One record of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Where it stood.
    pub section: Section,
    /// Whose it is.
    pub owner: Name,
    /// Seconds.
    pub ttl_s: u32,
    /// What it says; names in it are not compressed.
    pub data: Data,
}

/// The part of a message that a record stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// What was asked for.
    Answer,
    /// Who knows more.
    Authority,
    /// What may be of use.
    Additional,
}

impl Answer {
    /// Reads a message. `None`: it is none.
    pub fn read(message: &[u8]) -> Option<Answer> {
        let flags = u16_at(message, 2)?;
        let [_, answers, authorities, additional] = counts(message)?;
        let mut at = questions_end(message)?;
        let mut records = Vec::new();
        let sections =
            [(Section::Answer, answers), (Section::Authority, authorities), (Section::Additional, additional)];
        for (section, count) in sections {
            for _ in 0..count {
                let place = place_at(message, at)?;
                at = place.end;
                if place.class == CLASS_IN && !matches!(place.kind, Kind::OPT | Kind::TSIG) {
                    records.push(record(message, section, &place)?);
                }
            }
        }
        let is_answer = flags & 1 << 15 != 0;
        is_answer.then_some(Answer {
            rcode: (flags & 15) as u8,
            is_authoritative: flags & 1 << 10 != 0,
            is_cut: flags & 1 << 9 != 0,
            records,
        })
    }

    /// Its word for how it went.
    pub fn word(&self) -> &'static str {
        rcode_word(self.rcode)
    }

    /// What was answered of this name and kind.
    pub fn data(&self, name: &Name, kind: Kind) -> BTreeSet<Data> {
        self.of(name, kind).map(|record| record.data.clone()).collect()
    }

    /// The TTL of that, the smallest if they differ.
    pub fn ttl_s(&self, name: &Name, kind: Kind) -> Option<u32> {
        self.of(name, kind).map(|record| record.ttl_s).min()
    }

    fn of(&self, name: &Name, kind: Kind) -> impl Iterator<Item = &Record> {
        let in_answer = self.records.iter().filter(|record| record.section == Section::Answer);
        in_answer.filter(move |record| record.owner == *name && record.data.kind() == kind)
    }

    /// The servers that it sends us on to, if the name is delegated: the zone and its NS records.
    pub fn referral(&self) -> Option<(Name, Vec<Name>)> {
        let in_authority = || self.records.iter().filter(|record| record.section == Section::Authority);
        let zone = in_authority().find(|record| record.data.kind() == Kind::NS)?.owner.clone();
        let of_zone = in_authority().filter(|record| record.data.kind() == Kind::NS && record.owner == zone);
        let servers = of_zone.filter_map(|record| Name::from_wire(record.data.octets())).collect();
        (!self.is_authoritative && self.rcode == 0).then_some((zone, servers))
    }
}

fn record(message: &[u8], section: Section, place: &Place) -> Option<Record> {
    let Place { kind, data, end, .. } = *place;
    // What stands before the names, and how many there are (RFC 1035 3.3, RFC 2782).
    let (before, names) = match kind {
        Kind::NS | Kind::CNAME | Kind::PTR => (0, 1),
        Kind::MX => (2, 1),
        Kind::SRV => (6, 1),
        Kind::SOA => (0, 2),
        _ => (end - data, 0),
    };
    let mut octets = message.get(data..data + before)?.to_vec();
    let mut at = data + before;
    for _ in 0..names {
        at = read_name(message, at, &mut octets)?;
    }
    octets.extend(message.get(at..end)?);
    let mut owner = Vec::new();
    read_name(message, place.at, &mut owner)?;
    Some(Record { section, owner: Name::from_wire(&owner)?, ttl_s: place.ttl, data: Data::octets_of(kind, octets) })
}

/// Appends the name at `at`, whole, and gives where it ends in its place. Pointers must lead backwards, so that following them ends.
fn read_name(message: &[u8], mut at: usize, out: &mut Vec<u8>) -> Option<usize> {
    let start = out.len();
    let (mut end, mut lowest) = (None, at);
    loop {
        match *message.get(at)? {
            0 => {
                out.push(0);
                return Some(end.unwrap_or(at + 1));
            }
            length @ 1..=63 => {
                let next = at + 1 + usize::from(length);
                out.extend(message.get(at..next)?);
                at = next;
            }
            0xc0.. => {
                let to = usize::from(u16_at(message, at)? & 0x3fff);
                end = end.or(Some(at + 2));
                if to >= lowest || to < HEADER {
                    return None;
                }
                (at, lowest) = (to, to);
            }
            _ => return None,
        }
        if out.len() - start >= NAME_MAX {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::question;
    use crate::wire::{Section as Part, Writer};
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn message() -> Vec<u8> {
        let mut out = vec![0, 7, 0x84, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        question(&mut out, name("example.org").wire(), Kind::MX);
        let mut writer = Writer::after_question(&mut out, 0, 1232);
        writer.record_of_question(Part::Answer, 300, &Data::mx(10, &name("mx1.example.org")));
        writer.record(Part::Authority, name("example.org").wire(), 60, &Data::name(Kind::NS, &name("ns.example.org")));
        writer.record(Part::Additional, name("mx1.Example.org").wire(), 60, &Data::address([192, 0, 2, 1].into()));
        out
    }

    #[test]
    fn what_our_own_server_writes_is_read() {
        let answer = Answer::read(&message()).unwrap();
        assert_eq!((answer.rcode, answer.is_authoritative, answer.is_cut, answer.records.len()), (0, true, false, 3));
        let mx = Data::mx(10, &name("mx1.example.org"));
        assert_eq!(answer.data(&name("EXAMPLE.org"), Kind::MX), BTreeSet::from([mx]));
        assert_eq!(answer.ttl_s(&name("example.org"), Kind::MX), Some(300));
        assert_eq!(answer.referral(), None, "the server has the zone itself");
        let mut referred = message();
        referred[2] = 0x80;
        assert_eq!(
            Answer::read(&referred).unwrap().referral(),
            Some((name("example.org"), vec![name("ns.example.org")]))
        );
    }

    #[test]
    fn pointers_that_lead_round_or_on_are_none() {
        for to in [12_u16, 13, 0, 0x3fff] {
            let mut bad = vec![0, 7, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0];
            bad.extend((0xc000 | to).to_be_bytes());
            bad.extend([0, 1, 0, 1, 0, 0, 0, 0, 0, 0]);
            assert_eq!(Answer::read(&bad), None, "{to}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(noise in proptest::collection::vec(any::<u8>(), 0..300), places in proptest::collection::vec((0_usize..200, any::<u8>()), 0..6)) {
            Answer::read(&noise);
            let mut bent = message();
            for (at, byte) in places {
                let length = bent.len();
                bent[at % length] = byte;
            }
            Answer::read(&bent);
        }
    }
}
